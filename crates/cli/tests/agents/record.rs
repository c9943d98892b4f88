//! Samples of real agents, renewed: each is run against the scripted model, and what it printed, called and showed is written
//! where the golden tests of `crates/agents` read it. `cargo xtask agents record` runs this and tells what has changed.
//!
//! It judges nothing of what it records; whether that is still read rightly, the golden tests say.

mod dialogue;
mod sample;
mod scrub;
mod terminal;

use oarlock_model::Script;
use oarlock_model::drive::{Agent, agents_dir};

use crate::stage::Stage;
use sample::Samples;

/// Names a recording for each agent.
macro_rules! recorded {
    ($($name:ident: $agent:ident, $word:literal, [$($hold:literal),*];)*) => {
        $(
            #[test]
            #[ignore = "writes into spec/samples: cargo xtask agents record"]
            fn $name() {
                record(Agent::$agent, $word, &[$($hold),*]);
            }
        )*
    };
}

recorded! {
    record_claude: Claude, "claude-code", ["stream", "protocol", "terminal"];
    record_codex: Codex, "codex", ["stream", "protocol", "terminal"];
    record_copilot: Copilot, "copilot", ["stream", "acp", "terminal"];
    record_opencode: Opencode, "opencode", ["stream", "acp", "terminal"];
    record_gemini: Gemini, "gemini", ["stream", "acp", "terminal"];
    record_qwen: Qwen, "qwen", ["stream", "acp"];
    record_kimi: Kimi, "kimi", ["stream", "acp"];
}

fn record(program: Agent, agent: &'static str, holds: &[&'static str]) {
    let mut samples = Samples::of(agent);
    for hold in holds {
        let stage = Stage::playing(Script::everyday(), program, agent, hold);
        match *hold {
            "stream" => sample::streams(program, &stage, &mut samples),
            "terminal" => terminal::record(&stage, &mut samples),
            _ => dialogue::record(program, &stage, &mut samples),
        }
    }
    let link = std::fs::read_link(agents_dir().join(program.name())).unwrap_or_default();
    let version = link.to_string_lossy().rsplit('-').next().unwrap_or_default().to_owned();
    samples.put("recorded.version", format!("{version}\n"));
}
