//! What `reject`, `forget` and `rm` have in common: a farewell, and where the work went.

use oarlock_api::wire;

use super::{Context, in_path, request_id};
use crate::error::Done;
use crate::out;

/// How the farewell is asked for.
pub enum How {
    /// By a verb of the session's own.
    Post(&'static str),
    /// By taking the session away.
    Delete,
}

/// Parts with a session, and says where its work is kept.
pub fn with(context: &Context, session: &str, how: How, done: &str) -> Done {
    let client = context.client()?;
    let path = format!("/v1/sessions/{}", in_path(session));
    let busy = out::busy(format!("Taking {session} away"));
    let changed: wire::Changed = match how {
        How::Post(verb) => client.post(&format!("{path}/{verb}"), &request_id(), &())?,
        How::Delete => client.delete(&path, &request_id())?,
    };
    drop(busy);
    if context.json {
        return out::json(&changed);
    }
    let name = &changed.session.name;
    let kept = match (&changed.trash, changed.settled) {
        (Some(_), _) => "its workspace is in the trash. \"oarlock undo\" brings it back.",
        (None, true) => "there was nothing to keep.",
        (None, false) => "its workspace is still being taken away.",
    };
    out::line(&format!("{done} {name}; {kept}"));
    Ok(())
}
