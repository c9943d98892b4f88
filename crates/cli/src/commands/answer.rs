//! `oarlock answer`.

use clap::Args;
use oarlock_api::wire;

use super::spawn::stdin;
use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Answer what an agent asks: a permission, or a question
///
/// A permission takes `allow`, `always` (and do not ask for the like again) or `deny`, with a reason after it if you like.
/// A question takes words: say them after `--say`. What it asks stands in `oarlock show S`. An answer reaches the agent once,
/// and only while the question it is for is up.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock answer payments allow\n  oarlock answer payments deny 'use the staging key'\n  oarlock answer payments --say 'port 8080'"
)]
pub struct Answer {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// The answer to a permission
    #[arg(value_parser = ["allow", "always", "deny"], required_unless_present = "say", value_name = "ANSWER")]
    answer: Option<String>,
    /// Why it is denied: the agent is told
    #[arg(value_name = "REASON", conflicts_with = "say")]
    reason: Option<String>,
    /// The answer to a question, in words; - reads standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "answer")]
    say: Option<String>,
    /// The question it is for, as `oarlock show --json` names it (default: the one that stands)
    #[arg(long, value_name = "ID")]
    ask: Option<String>,
}

pub fn run(context: &Context, answer: &Answer) -> Done {
    let (word, text) = match (&answer.answer, answer.say.as_deref()) {
        (_, Some("-")) => ("words", stdin()?),
        (_, Some(words)) => ("words", words.to_owned()),
        (Some(word), None) => (word.as_str(), answer.reason.clone().unwrap_or_default()),
        (None, None) => return Err(CliError::Usage("There is no answer.".into(), "Give one.".into())),
    };
    if !text.is_empty() && matches!(word, "allow" | "always") {
        return Err(CliError::Usage(
            "Only a denial has a reason.".into(),
            format!("Allow it, then tell the agent more with \"oarlock send {} …\".", answer.session),
        ));
    }
    let body = wire::Answer { answer: word.into(), text, ask: answer.ask.clone() };
    let path = format!("/v1/sessions/{}/answer", in_path(&answer.session));
    let changed: wire::Changed = context.client()?.post(&path, &request_id(), &body)?;
    if context.json {
        return out::json(&changed);
    }
    if changed.settled {
        out::line("Answered.");
    } else {
        out::line(&format!("The answer is on its way. See \"oarlock why {}\".", answer.session));
    }
    Ok(())
}
