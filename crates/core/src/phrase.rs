//! The three phrases by which an agent that has no tool for it claims something about a phase.
//!
//! Read strictly: a phrase counts on a line of its own in the agent's own last message, whatever decorates it, and never
//! where it is quoted or spoken about. It must not know where the message comes from.

use crate::session::fact::Claim;

/// The phrases, and what each claims.
pub const PHRASES: [(&str, Claim); 3] = [
    ("ALL_PHASES_COMPLETE", Claim::Done),
    ("PHASE_COMPLETE", Claim::PhaseDone),
    ("PHASE_IN_PROGRESS", Claim::HandingOff),
];
/// What may stand around a phrase: emphasis, code, quotation marks, brackets, and the end of a sentence.
const DECORATION: &[char] = &[
    '`', '*', '_', '~', '"', '\'', '“', '”', '‘', '’', '«', '»', '(', ')', '[', ']', '{', '}', '<', '.', ',',
    '!', ':', ';', '#', '-', '=', '✅', '✔', '☑', '🎉', '🚀', '\u{fe0f}', ' ', '\t',
];

/// Returns what a message claims: its last phrase wins.
#[must_use]
pub fn claim(message: &str) -> Option<Claim> {
    message.lines().rev().find_map(claim_of_line)
}

fn claim_of_line(line: &str) -> Option<Claim> {
    let line = line.trim();
    // A quotation repeats what somebody said.
    if line.starts_with('>') {
        return None;
    }
    let word = line.trim_matches(|c: char| c == '>' || DECORATION.contains(&c));
    PHRASES.iter().find(|(phrase, _)| *phrase == word).map(|(_, claim)| *claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_on_a_line_of_its_own_counts_whatever_decorates_it() {
        for line in [
            "PHASE_COMPLETE",
            "  PHASE_COMPLETE\r",
            "`PHASE_COMPLETE`",
            "**PHASE_COMPLETE**",
            "***PHASE_COMPLETE***!",
            "\"PHASE_COMPLETE\"",
            "(PHASE_COMPLETE)",
            "PHASE_COMPLETE.",
            "PHASE_COMPLETE,",
            "PHASE_COMPLETE!",
            "## PHASE_COMPLETE",
            "- PHASE_COMPLETE",
            "✅ PHASE_COMPLETE",
            "<PHASE_COMPLETE>",
            "Done.\n\n```\nPHASE_COMPLETE\n```\n",
        ] {
            assert_eq!(claim(line), Some(Claim::PhaseDone), "{line:?}");
        }
        assert_eq!(claim("ALL_PHASES_COMPLETE"), Some(Claim::Done));
        assert_eq!(claim("PHASE_IN_PROGRESS"), Some(Claim::HandingOff));
    }

    #[test]
    fn what_is_spoken_about_or_quoted_does_not_count() {
        for text in [
            "",
            "I will not output ALL_PHASES_COMPLETE yet.",
            "I must print ALL_PHASES_COMPLETE as I was told.",
            "> PHASE_COMPLETE",
            "PHASE_COMPLETE PHASE_IN_PROGRESS",
            "phase_complete",
            "PHASE COMPLETE",
            "MY_PHASE_COMPLETE",
            "PHASE_COMPLETED",
            "PHASE_COMPLETE = true",
            "| PHASE_COMPLETE |",
        ] {
            assert_eq!(claim(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_last_one_wins() {
        let text = "I will not say ALL_PHASES_COMPLETE yet.\n> PHASE_COMPLETE\nPHASE_IN_PROGRESS";
        assert_eq!(claim(text), Some(Claim::HandingOff));
        assert_eq!(claim("PHASE_COMPLETE\nand then\nALL_PHASES_COMPLETE\n"), Some(Claim::Done));
        assert_eq!(claim("ALL_PHASES_COMPLETE\nNo, wait.\nPHASE_COMPLETE\n"), Some(Claim::PhaseDone));
    }
}
