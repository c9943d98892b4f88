//! What tests of agents start from.

use oarlock_core::session::fact::{Hold, Permissions};

use crate::launch::Launch;

/// Returns a launch of which nothing is said but what every one has.
pub fn launch(hold: Hold) -> Launch<'static> {
    Launch {
        writes: &[],
        hold,
        program: "/bin/agent",
        version: None,
        workspace: "/src/app",
        folder: "/runs/1",
        prompt: "",
        prompt_file: "/runs/1/prompt",
        conversation: None,
        new_conversation: "11111111-2222-4333-8444-555555555555",
        model: None,
        permissions: Permissions::Default,
        rules: "",
        args: &[],
        command: None,
        oarlock: "/bin/oarlock",
        is_root: false,
    }
}
