//! Words that tie the project to somebody's machine: paths of build machines, and hosts of package registries.

use super::{Finding, Tree};

/// Roots of build machines. In parts, so that this file does not hold them.
const ROOTS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/builds", "/"), concat!("/home/run", "ner/")];

/// Hosts of package registries. In parts, for the same reason.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("py", "pi.org"),
    concat!("files.python", "hosted.org"),
    concat!("deb.deb", "ian.org"),
    concat!("proxy.go", "lang.org"),
];

/// The one kind of file where a registry is named: cargo writes it, and cargo-deny checks it.
const LOCK: &str = "Cargo.lock";

/// No file names a build machine or a registry.
pub fn names_no_machine(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let root = ROOTS.iter().find(|root| holds_root(line, root));
            let host =
                HOSTS.iter().find(|host| file.path.rsplit('/').next() != Some(LOCK) && line.contains(*host));
            let mut found = |what: &str, word: &str, remedy: &str| {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: index + 1,
                    says: format!("it names {what}, {word}"),
                    remedy: remedy.into(),
                });
            };
            if let Some(root) = root {
                found(
                    "a path of a build machine",
                    root,
                    "make it relative to the repository or to a temporary folder",
                );
            }
            if let Some(host) = host {
                found("the host of a package registry", host, "leave it to each machine's own configuration");
            }
        }
    }
    findings
}

/// Tells whether an absolute path in the line begins with the root.
fn holds_root(line: &str, root: &str) -> bool {
    // After one of these, the slash stands inside a longer path.
    let is_inside = |c: char| c.is_alphanumeric() || "._-}>)~*$/".contains(c);
    line.match_indices(root).any(|(at, _)| !line[..at].chars().last().is_some_and(is_inside))
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn a_build_machines_path_is_found() {
        let root = ROOTS[0];
        let text =
            format!("let a = \"{root}b\";\ncd {root}\nrefs/oarlock{root}x\n{{state}}{root}\n~{root}\n");
        let found = names_no_machine(&Tree::of(&[("a.rs", &text)]));
        assert_eq!(places(&found), ["a.rs:1", "a.rs:2"]);
    }

    #[test]
    fn a_registrys_host_is_found_outside_the_lock_file() {
        let text = format!("x\nurl = \"https://{}/a\"\n", HOSTS[1]);
        assert_eq!(places(&names_no_machine(&Tree::of(&[("web/a.json", &text)]))), ["web/a.json:2"]);
        for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
            assert_eq!(places(&names_no_machine(&Tree::of(&[(lock, &text)]))), [""; 0]);
        }
    }
}
