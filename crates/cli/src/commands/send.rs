//! `oarlock send`.

use clap::Args;
use oarlock_api::client::Client;
use oarlock_api::wire;

use super::spawn::stdin;
use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Tell an agent something, and get a receipt
///
/// The text reaches its agent exactly once, whole, in order, whatever dies meanwhile: through the agent's own protocol where
/// it is held by one, else as a paste into its terminal while its screen shows that it is ready; never into a dialog, never
/// into a shell. Of an --exec command only the process is known, and it is typed to at once.
///
/// The receipt: `queued` (it waits until the agent is between two turns), `delivered` (its terminal or protocol has it),
/// `accepted` (the agent was seen taking it up).
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock send payments 'use the new API, please'\n  git log -3 | oarlock send payments -\n  oarlock send payments --interrupt 'stop, the spec changed'\n  oarlock send tea,milk,sugar 'commit what you have'"
)]
pub struct Send {
    /// The session: name, id, or a unique prefix; several with commas between
    #[arg(value_name = "S")]
    session: String,
    /// The text; - reads standard input
    #[arg(value_name = "TEXT", required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    text: Vec<String>,
    /// Also during a turn, if the agent queues what comes then
    #[arg(long, conflicts_with = "interrupt")]
    now: bool,
    /// Interrupt the turn for it
    #[arg(long)]
    interrupt: bool,
    /// Follow the receipt until the agent accepted the message
    #[arg(long, short)]
    follow: bool,
}

pub fn run(context: &Context, send: &Send) -> Done {
    let text = match send.text.as_slice() {
        [dash] if dash == "-" => stdin()?,
        words => words.join(" "),
    };
    let when = match (send.now, send.interrupt) {
        (true, _) => Some("now".to_owned()),
        (_, true) => Some("interrupt".to_owned()),
        _ => None,
    };
    let body = wire::Send { text, when };
    let client = context.client()?;
    let sessions: Vec<&str> = send.session.split(',').filter(|name| !name.is_empty()).collect();
    let several = sessions.len() > 1;
    let mut receipts = Vec::new();
    let mut failed = Ok(());
    // Every one of them gets it whatever becomes of the others.
    for session in sessions {
        match tell(context, send, &client, session, &body, several) {
            Ok(message) => receipts.push(message),
            Err(error) if several => {
                out::talk(&format!("{session}:"));
                error.report(context.json);
                failed = Err(CliError::Said(error.code()));
            }
            Err(error) => return Err(error),
        }
    }
    match receipts.as_slice() {
        [one] if context.json && !several => out::json(one)?,
        all if context.json => out::json(&all)?,
        _ => {}
    }
    failed
}

/// Sends the message to one session, and says how far it came.
fn tell(
    context: &Context,
    send: &Send,
    client: &Client,
    session: &str,
    body: &wire::Send,
    several: bool,
) -> Result<wire::Message, CliError> {
    let path = format!("/v1/sessions/{}/messages", in_path(session));
    let mut message: wire::Message = client.post(&path, &request_id(), body)?;
    let prefix = if several { format!("{session}: ") } else { String::new() };
    let say = |message: &wire::Message| {
        if !context.json {
            out::line(&format!("{prefix}{}", receipt(session, message, send.follow)));
        }
    };
    if message.state != "refused" {
        say(&message);
    }
    while send.follow && !matches!(message.state.as_str(), "accepted" | "refused") {
        let id = in_path(&message.id);
        let further: wire::Message = client.get(&format!("{path}/{id}?beyond={}", message.state))?;
        let moved = further.state != message.state;
        message = further;
        if moved && message.state != "refused" {
            say(&message);
        }
    }
    if message.state == "refused" {
        return Err(CliError::failed(message.trouble, format!("See \"oarlock why {session}\".")));
    }
    Ok(message)
}

fn receipt(session: &str, message: &wire::Message, follows: bool) -> String {
    match message.state.as_str() {
        "delivered" => "Delivered.".into(),
        "accepted" => "Accepted.".into(),
        _ if follows => "Queued.".into(),
        _ => format!("Queued; it is delivered once the agent is ready. See \"oarlock show {session}\"."),
    }
}
