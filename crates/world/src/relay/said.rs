//! Claims by phrase: what an agent says in its own last message of a turn, for those that cannot run `oarlock claim`.

use oarlock_agents::drive::Show;
use oarlock_core::phrase;
use oarlock_core::session::fact::Observation;

/// Longest message that is looked at, in bytes, from its end: the phrase stands there.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The agent's last message, as far as it came. Only that of a leg is listened to: elsewhere a phrase means nothing.
#[derive(Debug, Default)]
pub(crate) struct Words {
    is_leg: bool,
    message: String,
    is_whole: bool,
}

/// Tells whether this process belongs to a leg of a relay.
pub(crate) fn is_leg() -> bool {
    std::env::var_os("OARLOCK_LEG").is_some()
}

impl Words {
    pub(crate) fn of(is_leg: bool) -> Self {
        Self { is_leg, ..Self::default() }
    }

    /// Hears what is shown. A message is what the agent said since it last called a tool or was told something.
    pub(crate) fn hear(&mut self, show: &Show) {
        match show {
            _ if !self.is_leg => {}
            Show::Words { text, whole } => {
                if self.is_whole {
                    self.message.push('\n');
                }
                self.message.push_str(text);
                self.is_whole = *whole;
                if self.message.len() > 2 * MESSAGE_BYTES_MAX {
                    let cut = self.message.ceil_char_boundary(self.message.len() - MESSAGE_BYTES_MAX);
                    self.message.drain(..cut);
                }
            }
            Show::Told(_) | Show::Tool(_) | Show::Output(_) => self.message.clear(),
            Show::Thought(_) | Show::Asks(_) | Show::Note(_) => {}
        }
    }

    /// Takes the claim of the message that ends a turn.
    pub(crate) fn claim(&mut self) -> Option<Observation> {
        claimed(&std::mem::take(&mut self.message))
    }
}

/// Returns the claim of a message.
pub(crate) fn claimed(message: &str) -> Option<Observation> {
    let claim = phrase::claim(message)?;
    Some(Observation::Claimed { claim, note: "By its phrase.".into() })
}

#[cfg(test)]
mod tests {
    use oarlock_core::session::fact::Claim;

    use super::*;

    fn words(text: &str, whole: bool) -> Show {
        Show::Words { text: text.into(), whole }
    }

    fn claims(shows: &[Show]) -> Option<Claim> {
        let mut heard = Words::of(true);
        shows.iter().for_each(|show| heard.hear(show));
        match heard.claim() {
            Some(Observation::Claimed { claim, .. }) => Some(claim),
            _ => None,
        }
    }

    #[test]
    fn a_phrase_counts_in_the_last_message_and_in_no_other() {
        let pieces = [words("All is well.\nPHASE_", false), words("COMPLETE", false)];
        assert_eq!(claims(&pieces), Some(Claim::PhaseDone), "pieces of one line are one line");
        let paragraphs = [words("PHASE_COMPLETE", true), words("That is all.", true)];
        assert_eq!(claims(&paragraphs), Some(Claim::PhaseDone));
        let earlier = [words("PHASE_COMPLETE", true), Show::Tool("Bash: ls".into()), words("Not yet.", true)];
        assert_eq!(claims(&earlier), None, "it went on working");
        let output = [Show::Output("PHASE_COMPLETE".into()), words("See above.", true)];
        assert_eq!(claims(&output), None, "a tool's output is nobody's claim");
        let told = [Show::Told("PHASE_COMPLETE".into())];
        assert_eq!(claims(&told), None, "nor is what it was told");
    }

    #[test]
    fn outside_a_relay_a_phrase_means_nothing_and_a_flood_keeps_its_end() {
        let mut heard = Words::of(false);
        heard.hear(&words("PHASE_COMPLETE", true));
        assert_eq!(heard.claim(), None);
        let mut heard = Words::of(true);
        for _ in 0..300 {
            heard.hear(&words(&"é".repeat(1_000), true));
        }
        assert!(heard.message.len() <= 2 * MESSAGE_BYTES_MAX);
        heard.hear(&words("PHASE_COMPLETE", true));
        assert!(heard.claim().is_some());
    }
}
