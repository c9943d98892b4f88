//! What an agent logs of a provider that refuses it, where its protocol says nothing of that. Which lines are the log's is in
//! an agent's quirks; what is logged besides is dropped unread.

use oarlock_core::session::fact::Observation;

use super::Acp;
use crate::drive::Step;

/// A log on standard error.
pub struct Log {
    /// What a line says that begins an entry; `None` when it begins none. Lines below that are indented, or close what was
    /// opened, belong to it.
    pub entry: fn(&str) -> Option<Said>,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The provider refused a request for its rate, and is asked again.
    Limited,
    /// The provider took a request.
    Answered,
    /// Something else.
    Other,
}

impl Acp {
    /// Takes in a line of standard error; `None` when it is not the log's.
    pub(super) fn log_line(&mut self, line: &[u8]) -> Option<Vec<Step>> {
        let log = self.quirks.log.as_ref()?;
        let line = String::from_utf8_lossy(line);
        let Some(said) = (log.entry)(&line) else {
            self.in_log &= line.starts_with([' ', '\t', '}', ']']);
            return self.in_log.then(Vec::new);
        };
        self.in_log = true;
        // Between turns it asks for titles and for what may be said next, which makes nobody wait.
        match said {
            Said::Limited if self.turn.is_some() => {
                self.is_answered = false;
                self.is_limited = true;
                self.observe(Observation::RateLimited { until: None });
            }
            Said::Answered if self.turn.is_some() && std::mem::take(&mut self.is_limited) => {
                self.observe(Observation::Answers);
            }
            Said::Limited | Said::Answered | Said::Other => {}
        }
        Some(self.steps())
    }
}
