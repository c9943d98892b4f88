//! `oarlock stop`.

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::{connect, out};

/// Stop a session's agent, or, without a session, the daemon
///
/// A session's agent gets SIGTERM, and ten seconds later all of its processes get SIGKILL. Its workspace stays as it
/// is; bring the agent up again with `resume`. A stopped daemon leaves every agent running; the next verb starts it
/// again and finds them.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock stop payments      stop the agent of payments\n  oarlock stop               stop the daemon; agents go on"
)]
pub struct Stop {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: Option<String>,
}

pub fn run(context: &Context, stop: &Stop) -> Done {
    match &stop.session {
        Some(session) => session_stop(context, session, "stop", "Stopped"),
        None => daemon_stop(context),
    }
}

/// Ends a session's agent, gently or at once.
pub fn session_stop(context: &Context, session: &str, verb: &str, done: &str) -> Done {
    let path = format!("/v1/sessions/{}/{verb}", in_path(session));
    let client = context.client()?;
    let busy = out::busy(format!("Waiting for {session} to end"));
    let changed: wire::Changed = client.post(&path, &request_id(), &())?;
    drop(busy);
    if context.json {
        return out::json(&changed);
    }
    let name = &changed.session.name;
    if changed.settled {
        out::line(&format!("{done} {name}."));
    } else {
        out::line(&format!("{name} is still on its way out; see \"oarlock why {name}\"."));
    }
    Ok(())
}

fn daemon_stop(context: &Context) -> Done {
    let client = match connect::running(&context.place) {
        Ok(client) => client,
        // It does not run, which is what was asked for.
        Err(CliError::NoDaemon(..)) if context.json => {
            return out::json(&serde_json::json!({"running": false}));
        }
        Err(CliError::NoDaemon(message, _)) => {
            out::line(&message);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let daemon: wire::Daemon = client.get("/v1/status")?;
    client.post::<_, ()>("/v1/shutdown", &request_id(), &())?;
    if !connect::gone(&context.place, daemon.pid) {
        return Err(CliError::failed(
            format!("The daemon, process {}, takes long to stop.", daemon.pid),
            format!("See its log at {}.", daemon.log),
        ));
    }
    if context.json {
        return out::json(&serde_json::json!({"running": false, "pid": daemon.pid}));
    }
    let going_on = match daemon.running {
        0 => String::new(),
        running => format!(
            " {} on without it.",
            if running == 1 { "1 agent goes".into() } else { format!("{running} agents go") }
        ),
    };
    out::line(&format!("Stopped the daemon.{going_on}"));
    Ok(())
}
