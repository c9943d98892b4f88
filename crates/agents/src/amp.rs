//! Amp, written from its documentation and never run here.
//!
//! It is held a turn at a time (`amp -x --stream-json`): of its own interface nothing is known that could be typed into
//! safely. It has modes instead of models, and asks nothing when it is run so.

use oarlock_core::session::fact::{Hold, Permissions};

use crate::drive::Driver;
use crate::launch::{Launch, Plan};
use crate::streams;
use crate::turns::{Turns, Way};
use crate::{Agent, Asked};

/// Amp.
pub struct Amp;

impl Agent for Amp {
    fn name(&self) -> &'static str {
        "amp"
    }

    fn title(&self) -> &'static str {
        "Amp"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["amp"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.amp/bin", "~/.local/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "curl -fsSL https://ampcode.com/install.sh | bash"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol]
    }

    fn env(&self) -> &'static [&'static str] {
        &["AMP_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.local/share/amp/secrets.json", "$AMP_API_KEY"]
    }

    fn cannot(&self, _hold: Hold) -> &'static [Asked] {
        &[Asked::AcceptEdits, Asked::Auto]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        turn(launch)
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let way = Way { plan: turn, reader: || Box::new(streams::amp::reader()), is_named_by_us: false };
        Some(Box::new(Turns::new(launch, way)))
    }
}

fn turn(launch: &Launch<'_>) -> Plan {
    let mut argv = vec![launch.program.to_owned()];
    if let Some(thread) = launch.conversation {
        argv.extend(["threads".into(), "continue".into(), thread.into()]);
    }
    argv.push("--stream-json".into());
    argv.extend(launch.model.map(|mode| format!("--mode={mode}")));
    if launch.permissions == Permissions::Bypass {
        argv.push("--dangerously-allow-all".into());
    }
    argv.extend(launch.args.iter().cloned());
    // A conversation that goes on has been told the rules.
    let words =
        if launch.conversation.is_some() { launch.prompt_argument() } else { launch.prompt_with_rules() };
    // Of one word with its flag, so that a prompt that begins with a dash is no flag.
    argv.extend(words.map(|words| format!("--execute={words}")));
    Plan { argv, env: vec![("AMP_SKIP_UPDATE_CHECK".into(), "1".into())], ..Plan::default() }
}
