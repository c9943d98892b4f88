//! The agents: which are there, in which versions, whether somebody is logged in, and whether their hooks are heard.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use oarlock_agents::launch::Version;
use oarlock_agents::{Agent, REGISTRY};
use oarlock_api::wire::Check;
use oarlock_core::crew::Crew;
use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Hold, Source};
use oarlock_core::text;
use oarlock_world::config;
use oarlock_world::run::program;

use super::check;

/// Longest time a program may take to tell its version here, where somebody waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// An agent that is being asked for its version.
pub(super) struct Asked {
    agent: &'static dyn Agent,
    program: Result<PathBuf, String>,
    version: Option<JoinHandle<Option<Version>>>,
}

/// What is known of an agent that is there.
struct Found<'a> {
    name: &'a str,
    title: &'a str,
    program: &'a Path,
    version: Option<Version>,
    tried: Option<(Version, Version)>,
    /// What shows that somebody is logged in; `None` when that cannot be told.
    login: Option<Option<&'a str>>,
    /// When its hooks were last heard, of the runs that call them; `None` without such a run.
    hooks: Option<Option<Timestamp>>,
}

/// Looks for every agent and asks all that are there at once.
pub(super) fn ask() -> Vec<Asked> {
    let person = config::person().unwrap_or_default();
    let own = REGISTRY.iter().copied().filter(|agent| !agent.programs().is_empty());
    own.map(|agent| {
        let program = program::find(agent, person.program(agent.name()));
        let version =
            program.clone().ok().map(|path| thread::spawn(move || program::version_within(&path, PATIENCE)));
        Asked { agent, program, version }
    })
    .collect()
}

/// Tells of those that are there a line each, and of all others one.
pub(super) fn all(asked: Vec<Asked>, crew: Option<&Crew>) -> Vec<Check> {
    let (mut checks, mut missing) = (Vec::new(), Vec::new());
    for Asked { agent, program, version } in asked {
        let version = version.and_then(|asked| asked.join().ok()).flatten();
        match program {
            Ok(program) => checks.push(judge(&Found {
                name: agent.name(),
                title: agent.title(),
                program: &program,
                version,
                tried: agent.tried(),
                login: program::login(agent),
                hooks: crew.and_then(|crew| hooks(agent, crew)),
            })),
            // Somebody named it, and it is not there.
            Err(why) if !why.contains("is not installed") => {
                let name = format!("agent {}", agent.name());
                checks.push(check(
                    &name,
                    "fail",
                    format!("{why}."),
                    format!("Correct it, or unset {}.", program::variable(agent.name())),
                ));
            }
            Err(_) => missing.push(agent.name()),
        }
    }
    let there = checks.len();
    let text = match (there, missing.is_empty()) {
        (0, _) => "None is installed. Any command works with --exec.".to_owned(),
        (_, true) => "All that are known are installed.".to_owned(),
        (_, false) => format!("Not installed: {}.", missing.join(", ")),
    };
    checks.push(check("agents", "ok", text, ""));
    checks
}

/// Returns when an agent's hooks were last heard.
fn hooks(agent: &dyn Agent, crew: &Crew) -> Option<Option<Timestamp>> {
    let runs = crew.sessions.values().map(|scope| &scope.state).filter(|session| {
        session
            .brief
            .as_ref()
            .is_some_and(|brief| brief.agent.name == agent.name() && brief.agent.hold == Hold::Terminal)
    });
    let runs: Vec<_> = runs.flat_map(|session| &session.runs).filter(|run| run.host_pid != 0).collect();
    let heard = runs.iter().filter_map(|run| run.evidence.get(&Source::Hook)).map(|last| last.at).max();
    (!runs.is_empty() && !agent.hooks().is_empty()).then_some(heard)
}

fn judge(found: &Found<'_>) -> Check {
    let name = format!("agent {}", found.name);
    let version = found.version.map(|Version(a, b, c)| format!("{a}.{b}.{c}"));
    let mut parts = vec![format!(
        "{} at {}",
        version.as_deref().unwrap_or("An unknown version"),
        found.program.display()
    )];
    match found.login {
        Some(Some(what)) => parts.push(format!("logged in ({what})")),
        Some(None) => parts.push("not logged in".into()),
        None => {}
    }
    match found.hooks {
        Some(Some(at)) => parts.push(format!("hooks heard {}", text::moment(at))),
        Some(None) => parts.push("its hooks were never heard".into()),
        None => {}
    }
    let says = format!("{}.", parts.join(", "));
    let (result, hint) = match found {
        Found { version: None, .. } => (
            "warn",
            format!("It told no version within {} s. Try: '{}' --version", PATIENCE.as_secs(), found.program.display()),
        ),
        Found { login: Some(None), .. } => ("warn", format!("Begin {} once by hand and log in, or set its key.", found.title)),
        Found { hooks: Some(None), .. } => (
            "warn",
            "It ran in a terminal and told nothing: its status is read from its screen alone. See \"oarlock why\" of such a session."
                .into(),
        ),
        Found { version: Some(version), tried: Some((oldest, newest)), .. } if version < oldest || version > newest => {
            let range = |Version(a, b, c): &Version| format!("{a}.{b}.{c}");
            let tried = if oldest == newest { range(oldest) } else { format!("{} to {}", range(oldest), range(newest)) };
            ("ok", format!("Tried with {tried}. Others work, and less may be said of them."))
        }
        _ => ("ok", String::new()),
    };
    check(&name, result, says, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found<'static> {
        Found {
            name: "claude-code",
            title: "Claude Code",
            program: Path::new("/bin/claude"),
            version: Some(Version(2, 1, 329)),
            tried: Some((Version(2, 1, 300), Version(2, 1, 329))),
            login: Some(Some("~/.claude/.credentials.json")),
            hooks: Some(Some(Timestamp(1_800_000_000_000))),
        }
    }

    #[test]
    fn an_agent_is_judged_by_what_it_tells_and_by_what_is_heard_of_it() {
        let good = judge(&found());
        assert_eq!((good.result.as_str(), good.hint.as_str()), ("ok", ""));
        assert_eq!(
            good.text,
            "2.1.329 at /bin/claude, logged in (~/.claude/.credentials.json), hooks heard 2027-01-15 08:00 UTC."
        );
        let newer = judge(&Found { version: Some(Version(3, 0, 0)), ..found() });
        assert_eq!(
            (newer.result.as_str(), newer.hint.starts_with("Tried with 2.1.300 to 2.1.329.")),
            ("ok", true)
        );
        for (bad, says) in [
            (Found { version: None, ..found() }, "told no version"),
            (Found { login: Some(None), ..found() }, "log in"),
            (Found { hooks: Some(None), ..found() }, "told nothing"),
        ] {
            let judged = judge(&bad);
            assert!(judged.result == "warn" && judged.hint.contains(says), "{judged:?}");
        }
        assert!(!judge(&Found { login: None, hooks: None, ..found() }).text.contains("logged"));
    }
}
