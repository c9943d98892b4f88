//! `oarlock events`.

use clap::Args;
use oarlock_api::wire;

use super::Context;
use crate::error::{CliError, Done};
use crate::out;

/// Show the history: every fact, in order, with its position
///
/// With -f it goes on as things happen, from now on or from --since; a follower that falls behind, or whose daemon is
/// restarted, goes on where it was.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock events\n  oarlock events --since 120 -f\n  oarlock events -f --json | jq -r .kind"
)]
pub struct Events {
    /// Begin after this position
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Go on as things happen
    #[arg(long, short)]
    follow: bool,
    /// Only this session's
    #[arg(long, value_name = "S")]
    session: Option<String>,
}

pub fn run(context: &Context, events: &Events) -> Done {
    let wanted = |event: &wire::Event| {
        let Some(session) = &events.session else { return true };
        [&event.name, &event.session].into_iter().flatten().any(|text| text == session)
    };
    if events.follow {
        return follow(context, events.since, wanted);
    }
    let client = context.client()?;
    let mut after = events.since;
    loop {
        let query = after.map(|after| format!("?since={after}")).unwrap_or_default();
        let page: Vec<wire::Event> = client.get(&format!("/v1/events{query}"))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.seq);
        for event in page.iter().filter(|event| wanted(event)) {
            print(context, event)?;
        }
    }
}

fn follow(context: &Context, since: Option<u64>, wanted: impl Fn(&wire::Event) -> bool) -> Done {
    let mut cursor = since;
    out::end_with_reader();
    loop {
        let client = context.client()?;
        let mut failed = None;
        let followed = client.follow(cursor, |frame| {
            match frame {
                wire::Frame::Event { event, .. } => {
                    cursor = Some(event.seq);
                    if wanted(&event) {
                        failed = print(context, &event).err();
                    }
                }
                wire::Frame::Reset { seq } => {
                    out::talk(&format!("The log does not hold what came after that; going on from {seq}."));
                    cursor = Some(seq);
                }
                wire::Frame::CutOff => {}
            }
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        // The daemon stopped or was killed: the next one goes on after the same position.
        match followed.map_err(CliError::from) {
            Ok(()) | Err(CliError::Failed(..) | CliError::NoDaemon(..)) => {}
            Err(error) => return Err(error),
        }
        if cursor.is_none() {
            let daemon: wire::Daemon = context.client()?.get("/v1/status")?;
            cursor = Some(daemon.seq);
        }
    }
}

fn print(context: &Context, event: &wire::Event) -> Done {
    if context.json {
        return out::json(event);
    }
    let time = event.at.get(11..19).unwrap_or(&event.at);
    let name = event.name.as_deref().unwrap_or("-");
    out::line(&format!("{:>6}  {time}  {name:<16}  {}", event.seq, out::clean(&event.text)));
    Ok(())
}
