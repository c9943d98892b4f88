//! How accurate status is: real agents are led through everything that a status has a word for, and ten times a second what
//! oarlock says is held against what independent witnesses know. `cargo xtask agents accuracy` writes the page.
//!
//! The witnesses must not be oarlock's: nothing here may take a hook, a screen or a protocol for the truth.

mod count;
mod page;
mod play;
mod said;
mod witness;

use oarlock_model::Script;
use oarlock_model::drive::{Agent, agents_dir};

use count::Count;
use page::Record;
use play::Play;
use said::Follower;

use crate::stage::Stage;

const SCRIPT: &str = include_str!("accuracy/script.toml");
/// The least part of samples that has to be right on a machine that is busy with other tests. The page tells what it is on
/// one that is not.
const RIGHT_MIN_PERCENT: u64 = 85;

/// Names a measurement for each agent, held one way.
macro_rules! measured {
    ($($name:ident: $agent:ident, $word:literal, $hold:literal;)*) => {
        $(
            #[test]
            #[ignore = "takes minutes, and counts only on a quiet machine: cargo xtask agents accuracy"]
            fn $name() {
                measure(Agent::$agent, $word, $hold);
            }
        )*
    };
}

measured! {
    measure_claude_by_its_protocol: Claude, "claude-code", "protocol";
    measure_claude_in_a_terminal: Claude, "claude-code", "terminal";
    measure_codex_by_its_protocol: Codex, "codex", "protocol";
    measure_codex_in_a_terminal: Codex, "codex", "terminal";
    measure_copilot_by_acp: Copilot, "copilot", "acp";
    measure_copilot_in_a_terminal: Copilot, "copilot", "terminal";
    measure_opencode_by_acp: Opencode, "opencode", "acp";
    measure_opencode_in_a_terminal: Opencode, "opencode", "terminal";
    measure_gemini_by_acp: Gemini, "gemini", "acp";
    measure_gemini_in_a_terminal: Gemini, "gemini", "terminal";
    measure_qwen_by_acp: Qwen, "qwen", "acp";
}

fn stage(program: Agent, agent: &'static str, hold: &'static str) -> (Stage, Follower) {
    let script = Script::read(SCRIPT).expect("it is a script");
    let stage = Stage::playing(script, program, agent, hold);
    stage.crew.ok(&["start"]);
    let follower = Follower::of(&stage.crew);
    // Whoever is connected hears of a session; one that is for nothing else tells that somebody is.
    stage.crew.exec("overture", "true");
    stage.until("the feed to be followed", || {
        let said = follower.said("overture");
        said.last().is_some_and(|(_, word)| word == "done").then_some(())
    });
    (stage, follower)
}

fn measure(program: Agent, agent: &'static str, hold: &'static str) {
    let (stage, follower) = stage(program, agent, hold);
    let mut free = Play::begin(&stage, &follower, "free", "bypass");
    free.tool();
    free.stream();
    free.limit();
    free.interrupt();
    free.crash();
    let mut count = free.count();
    let mut asks = Play::begin(&stage, &follower, "asks", stage.asking());
    asks.permission();
    asks.stop();
    count.add(&asks.count());
    let link = std::fs::read_link(agents_dir().join(program.name())).unwrap_or_default();
    let version = link.to_string_lossy().rsplit('-').next().unwrap_or_default().to_owned();
    let notes = free.notes.into_iter().chain(asks.notes).collect();
    let record = Record { agent: agent.into(), hold: hold.into(), version, notes, count };
    eprintln!("{}", page::section(&record));
    record.keep();
}

#[test]
#[ignore = "needs a real agent program: cargo xtask agents test"]
fn what_is_said_of_claude_is_what_is_so() {
    let (stage, follower) = stage(Agent::Claude, "claude-code", "protocol");
    let mut play = Play::begin(&stage, &follower, "free", "bypass");
    play.tool();
    play.interrupt();
    play.crash();
    let count: Count = play.count();
    let (right, wrong) = count.right_wrong();
    assert!(right * 100 >= (right + wrong) * RIGHT_MIN_PERCENT, "{count:#?}");
    let states: Vec<&str> = count.delays.iter().map(|(state, _)| state.as_str()).collect();
    let led_through = ["starting", "working", "idle", "working", "idle", "working", "idle", "failed"];
    assert_eq!(states, led_through);
    assert!(count.delays.iter().all(|(_, delay)| delay.is_some()), "every change is seen: {count:#?}");
}
