//! `oarlock send`.

use clap::Args;
use oarlock_api::wire;

use super::spawn::stdin;
use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Tell an agent something, and get a receipt
///
/// The text is typed into its terminal exactly once, whole, whatever dies meanwhile. An agent that tells of its turns is
/// typed to only between them, so never into a permission dialog; of an --exec command only the process is known, and it
/// is typed to at once.
/// `typed` means that its terminal has it, `taken` that the agent was seen taking it up.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock send payments 'use the new API, please'\n  git log -3 | oarlock send payments -"
)]
pub struct Send {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// The text; - reads standard input
    #[arg(value_name = "TEXT", required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    text: Vec<String>,
}

pub fn run(context: &Context, send: &Send) -> Done {
    let text = match send.text.as_slice() {
        [dash] if dash == "-" => stdin()?,
        words => words.join(" "),
    };
    let path = format!("/v1/sessions/{}/messages", in_path(&send.session));
    let message: wire::Message = context.client()?.post(&path, &request_id(), &wire::Send { text })?;
    if context.json {
        return out::json(&message);
    }
    match message.state.as_str() {
        "typed" => out::line("Typed."),
        "taken" => out::line("Taken up."),
        "refused" => {
            return Err(CliError::failed(message.trouble, format!("See \"oarlock why {}\".", send.session)));
        }
        _ => out::line(&format!(
            "Queued; it is typed once the agent is between turns. See \"oarlock show {}\".",
            send.session
        )),
    }
    Ok(())
}
