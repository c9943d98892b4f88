//! Which ref names git accepts, without starting it: the rules of git-check-ref-format(1).
//!
//! Must not know which refs exist.

/// Whether a branch name is one git accepts, and one that no option or revision syntax can be mistaken for.
pub(crate) fn is_branch(name: &str) -> bool {
    !name.starts_with('-') && name != "HEAD" && is_ref(&format!("refs/heads/{name}"))
}

/// Whether a full ref name (`refs/…`) is well formed.
pub(crate) fn is_ref(name: &str) -> bool {
    let refused = |byte: u8| byte < 0x20 || byte == 0x7f || b" ~^:?*[\\".contains(&byte);
    let well_formed = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.contains('/')
        && !name.bytes().any(refused)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(well_formed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Git;

    /// Asks git itself.
    fn git_takes(name: &str) -> bool {
        let asked = Git::at("/").reads("check a ref's name").args(["check-ref-format", name]).allow(1).run();
        asked.unwrap().code == 0
    }

    #[test]
    fn it_is_of_one_mind_with_git() {
        let parts = ["a", ".", "..", ".lock", "@", "@{", "/", "-", " ", "~", "^", ":", "?", "*", "[", "\\"];
        let more = ["\u{7f}", "\u{1}", "\n", "é", "{", "}", "HEAD", "lock", "a.b", "x"];
        let parts: Vec<&str> = parts.into_iter().chain(more).collect();
        for first in &parts {
            for second in &parts {
                for name in [
                    format!("refs/heads/{first}{second}"),
                    format!("refs/{second}b{first}"),
                    format!("x/{first}{second}"),
                ] {
                    assert_eq!(is_ref(&name), git_takes(&name), "git and we differ about {name:?}");
                }
            }
        }
    }

    #[test]
    fn a_branch_is_no_option_and_no_revision() {
        for name in ["", "-d", "HEAD", "a..b", "a b", "x.lock", "a\u{7}", "a\0b"] {
            assert!(!is_branch(name), "{name:?} is refused");
        }
        assert!(is_branch("oarlock/pay-1/work") && is_branch("a-b.c") && is_branch("@"), "these are taken");
    }
}
