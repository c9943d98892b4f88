//! Any command, in a terminal beside git. Nothing is known of it but its process, its commits, and what it chooses to
//! report with `oarlock claim`.

use oarlock_core::session::fact::Hold;

use crate::Agent;
use crate::launch::{Launch, Plan};

/// A command of the user's.
pub struct Exec;

impl Agent for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Process]
    }

    fn reads_prose(&self) -> bool {
        false
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let command = launch.command.unwrap_or("true");
        // `sh -c` so that a pipe or a `&&` means what the user meant; the prompt goes by file, never into the command.
        Plan { argv: vec!["sh".into(), "-c".into(), command.into()], ..Plan::default() }
    }
}
