//! `oarlock attach`.

use std::path::Path;

use clap::Args;
use oarlock_api::wire;
use oarlock_term::display::{Display, DisplayError, Id, Place, Tmux, Zellij};
use oarlock_term::{AttachEnd, AttachOptions, DETACH_KEY, Size};
use serde::Serialize;

use super::{Context, in_path};
use crate::error::{CliError, Done};
use crate::out;

/// The size of a window until somebody looks at it: the smallest that agents' interfaces are made for.
const FIRST_SIZE: Size = Size { rows: 24, cols: 80 };

/// Take a session's terminal: see what the agent sees, type what you like
///
/// Ctrl-] leaves; the agent goes on. Several people may be attached; the size is that of the one who typed last.
///
/// With --in, a window of tmux or zellij takes it instead of this terminal, and what is printed leads there. It is in a
/// server of oarlock's own; in a tmux of yours, "tmux new-window oarlock attach S" does.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock attach payments\n  oarlock attach payments --in tmux\n  tmux new-window oarlock attach payments"
)]
pub struct Attach {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// Open a window of it there, and print the command that shows it
    #[arg(long = "in", value_name = "WHERE", value_parser = ["tmux", "zellij"])]
    display: Option<String>,
}

pub fn run(context: &Context, attach: &Attach) -> Done {
    match attach.display.as_deref() {
        Some("tmux") => {
            let tmux = Tmux::new(context.place.state());
            open(context, &attach.session, &tmux, |id| tmux.reach(id))
        }
        Some(_) => {
            let zellij = Zellij::new(context.place.state());
            open(context, &attach.session, &zellij, |id| zellij.reach(id))
        }
        None => take_terminal(context, &attach.session, false),
    }
}

/// A window that shows a session.
#[derive(Serialize)]
struct Opened<'a> {
    session: &'a str,
    display: &'static str,
    window: &'a str,
    command: &'a str,
}

/// Opens a window that shows a session, and prints the command by which a person gets there.
fn open(context: &Context, session: &str, display: &impl Display, reach: impl Fn(&Id) -> String) -> Done {
    let hint = "Take the terminal here: leave out --in.";
    display.available().map_err(|why| CliError::failed(why, hint))?;
    let (session, _) = live(context, session)?;
    let failed = |error: DisplayError| CliError::failed(crate::error::sentence(&error), hint);
    let oarlock =
        std::env::current_exe().map_err(|error| CliError::io("find oarlock's own program", &error))?;
    // By its id: it may be renamed while the window is open.
    let argv = [oarlock.to_string_lossy().into_owned(), "attach".into(), session.id.clone()];
    let place = Place {
        session: session.name.clone(),
        cwd: context.place.state().to_owned(),
        env: environment(context),
        size: FIRST_SIZE,
    };
    let id = display.open(&place, &argv, &session.name).map_err(failed)?;
    let command = reach(&id);
    if context.json {
        let (session, display) = (session.name.as_str(), display.name());
        return out::json(&Opened { session, display, window: id.as_str(), command: &command });
    }
    out::talk(&format!("Opened {} in {}. See it with:", session.name, display.name()));
    out::line(&command);
    Ok(())
}

/// What a client in a window needs to find the daemon, and no more: a multiplexer shows it to whoever lists processes.
fn environment(context: &Context) -> Vec<(String, String)> {
    let own = ["PATH", "HOME", "LANG"];
    let own = own.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    let state = context.place.state().to_string_lossy().into_owned();
    own.chain([("OARLOCK_HOME".to_owned(), state)]).collect()
}

/// Connects this terminal to the session's, to type or only to look.
pub fn take_terminal(context: &Context, session: &str, read_only: bool) -> Done {
    let (session, run) = live(context, session)?;
    let name = &session.name;
    let options = AttachOptions { read_only, detach_key: DETACH_KEY };
    let end = oarlock_term::attach(Path::new(&run.folder), options).map_err(|error| {
        let hint = format!("Read what it wrote with \"oarlock logs {name}\".");
        CliError::failed(crate::error::sentence(&error), hint)
    })?;
    out::talk(&match end {
        AttachEnd::Detached => format!("Left {name}; it goes on."),
        AttachEnd::Exited(_) => format!("The agent of {name} ended; see \"oarlock why {name}\"."),
        AttachEnd::Lost => format!("The host of {name} is gone; see \"oarlock why {name}\"."),
    });
    Ok(())
}

/// Returns a session and its run, which must live.
fn live(context: &Context, session: &str) -> Result<(wire::Session, wire::Run), CliError> {
    let detail: wire::SessionDetail = context.client()?.get(&format!("/v1/sessions/{}", in_path(session)))?;
    let name = &detail.session.name;
    match detail.runs.last().filter(|run| run.exit.is_none()) {
        Some(run) => Ok((detail.session.clone(), run.clone())),
        None => Err(CliError::Refused(
            wire::Error {
                code: "not_running".into(),
                message: format!("No agent runs in {name}."),
                hint: format!(
                    "Read what it wrote with \"oarlock logs {name}\", or bring it up with \"oarlock resume {name}\"."
                ),
                paths: vec![],
            },
            409,
        )),
    }
}
