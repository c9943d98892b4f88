//! What holds for every agent and every way to hold it: what was asked is in what is run, or the agent's file says that it
//! cannot; whatever the prompt is, it is not taken for a flag; and nothing that an agent reports hurts.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use oarlock_agents::drive::{Say, Step};
use oarlock_agents::launch::{Launch, Plan, What};
use oarlock_agents::screen::{Answer, Screen};
use oarlock_agents::{Agent, Asked, REGISTRY};
use oarlock_core::session::fact::{Hold, Permissions};

/// Longest argument Linux takes, in bytes.
const ARGUMENT_MAX: usize = 128 * 1024 - 1;

fn launch(agent: &dyn Agent, hold: Hold) -> Launch<'static> {
    Launch {
        writes: &[],
        hold,
        program: agent.programs().first().copied().unwrap_or_default(),
        version: None,
        workspace: "/the/workspace",
        folder: "/the/run",
        prompt: "Make tea.",
        prompt_file: "/the/run/prompt.md",
        conversation: None,
        new_conversation: "0198f7a2-0000-7000-8000-00000000beef",
        model: None,
        permissions: Permissions::Default,
        rules: "",
        args: &[],
        command: None,
        oarlock: "/opt/oarlock",
        is_root: false,
    }
}

/// Returns what is run, and whether the rest goes by a conversation that this test cannot hold.
fn plan(agent: &dyn Agent, launch: &Launch<'_>) -> (Plan, bool) {
    if matches!(launch.hold, Hold::Terminal | Hold::Process) {
        return (agent.launch(launch), false);
    }
    let mut driver = agent.driver(launch).expect("a hold by protocol has a driver");
    let mut steps = driver.open();
    steps.extend(driver.say(Say { id: None, text: launch.prompt.into(), interrupt: false }));
    let converses = steps.iter().any(|step| matches!(step, Step::Send(_)));
    let plan = steps.into_iter().find_map(|step| match step {
        Step::Start(plan) => Some(plan),
        _ => None,
    });
    (plan.expect("it starts something"), converses)
}

/// Calls `check` for every agent and hold whose launch says all that was asked.
fn each(check: impl Fn(&dyn Agent, Hold)) {
    for agent in REGISTRY {
        for hold in agent.holds() {
            if !plan(*agent, &launch(*agent, *hold)).1 {
                check(*agent, *hold);
            }
        }
    }
}

/// Returns every text of a plan.
fn texts(plan: &Plan) -> Vec<String> {
    let mut texts = plan.argv.clone();
    texts.extend(plan.env.iter().map(|(_, value)| value.clone()));
    texts.extend(plan.first_message.clone());
    for file in &plan.files {
        match &file.what {
            What::Text(text) => texts.push(text.clone()),
            What::Json(edits) => {
                texts.extend(edits.iter().map(|edit| format!("{} {}", edit.path.join("."), edit.value)));
            }
        }
    }
    texts
}

fn says(plan: &Plan, word: &str) -> bool {
    // In a TOML or JSON string inside of an argument it is written with escapes.
    let quoted = serde_json::to_string(word).unwrap();
    let escaped = quoted.trim_matches('"');
    texts(plan).iter().any(|text| text.contains(word) || text.contains(escaped))
}

#[test]
fn an_agent_s_own_words_are_in_order() {
    for agent in REGISTRY {
        let name = agent.name();
        assert_eq!(REGISTRY.iter().filter(|other| other.name() == name).count(), 1, "{name} is there once");
        assert!(!agent.title().is_empty() && !agent.holds().is_empty(), "{name}");
        assert_eq!(agent.programs().is_empty(), agent.install_hint().is_empty(), "{name}");
        assert!(agent.login().iter().all(|login| login.starts_with(['~', '$'])), "{name}");
        for hold in agent.holds() {
            let has_driver = agent.driver(&launch(*agent, *hold)).is_some();
            assert!(has_driver || !matches!(hold, Hold::Protocol | Hold::Acp), "{name} {hold:?}");
        }
        if let Some((oldest, newest)) = agent.tried() {
            assert!(oldest <= newest, "{name}");
        }
    }
}

#[test]
fn the_program_comes_first_and_no_argument_is_too_long_or_cut_short() {
    each(|agent, hold| {
        let long = "tea ".repeat(25 * 1024);
        for prompt in ["", "Make tea.", &long] {
            let (plan, _) = plan(agent, &Launch { prompt, ..launch(agent, hold) });
            if let Some(program) = agent.programs().first() {
                assert_eq!(plan.argv[0], *program, "{} {hold:?}", agent.name());
            }
            for word in &plan.argv {
                assert!(word.len() <= ARGUMENT_MAX && !word.contains('\0'), "{} {hold:?}", agent.name());
            }
        }
    });
}

#[test]
fn what_was_asked_is_in_what_is_run_or_the_agent_says_that_it_cannot() {
    each(|agent, hold| {
        let plain = launch(agent, hold);
        let name = agent.name();
        let must = |asked: Asked, is_there: bool| {
            let cannot = agent.cannot(hold).contains(&asked);
            assert_ne!(is_there, cannot, "{name} held by {hold:?}: {asked:?} is there: {is_there}");
        };
        let (before, _) = plan(agent, &plain);
        for (asked, permissions) in [
            (Asked::AcceptEdits, Permissions::AcceptEdits),
            (Asked::Auto, Permissions::Auto),
            (Asked::Bypass, Permissions::Bypass),
        ] {
            let (plan, _) = plan(agent, &Launch { permissions, ..plain.clone() });
            must(asked, plan != before);
        }
        let (with, _) = plan(agent, &Launch { model: Some("a-model-of-7"), ..plain.clone() });
        must(Asked::Model, says(&with, "a-model-of-7"));
        let (with, _) = plan(agent, &Launch { rules: "Rule 7:\n'tea' first.", ..plain.clone() });
        must(Asked::Rules, says(&with, "Rule 7:\n'tea' first."));
        let args = ["--an-argument".to_owned(), "of the user's".to_owned()];
        let (with, _) = plan(agent, &Launch { args: &args, ..plain.clone() });
        must(Asked::Args, with.argv.windows(2).any(|two| two == args));
        let resumed = Launch { conversation: Some("conversation-7"), ..plain.clone() };
        let (with, _) = plan(agent, &resumed);
        must(Asked::Resume, says(&with, "conversation-7"));
        // Rules are lost on resume by agents whose conversations do not keep them.
        let said_with_the_prompt = matches!(name, "amp" | "gemini" | "kimi") || hold == Hold::Acp;
        if !agent.cannot(hold).contains(&Asked::Rules) && !said_with_the_prompt {
            let (with, _) = plan(agent, &Launch { rules: "Rule 7.", ..resumed });
            assert!(says(&with, "Rule 7."), "{name} held by {hold:?} forgets its rules when it goes on");
        }
    });
}

#[test]
fn any_prompt_arrives_whole_and_is_no_flag() {
    let long = format!("-long {}", "tea ".repeat(25 * 1024));
    let prompts = ["-x", "--help", "two\nlines", "it's \"quoted\" $HOME `x` \\", "ünï 🍵", "", &long];
    each(|agent, hold| {
        for prompt in prompts {
            let launch = Launch { prompt, ..launch(agent, hold) };
            let (plan, _) = plan(agent, &launch);
            let name = agent.name();
            if agent.programs().is_empty() || prompt.is_empty() {
                continue;
            }
            let file = launch.prompt_file;
            let is_in_its_file = says(&plan, file);
            let is_typed = plan.first_message.as_deref() == Some(prompt);
            let is_argument =
                plan.argv.iter().any(|word| word == prompt || word.ends_with(&format!("={prompt}")));
            assert!(is_in_its_file || is_typed || is_argument, "{name} {hold:?} never hears {prompt:.40?}");
            if prompt.len() > ARGUMENT_MAX / 2 {
                assert!(is_in_its_file, "{name} {hold:?}: a long prompt goes by its file");
            }
            if let Some(at) = plan.argv.iter().position(|word| word == prompt)
                && prompt.starts_with('-')
            {
                assert_eq!(plan.argv[at - 1], "--", "{name} {hold:?} takes a prompt for a flag");
            }
        }
    });
}

/// Returns the events that hooks are planted for, wherever they are.
fn planted(agent: &dyn Agent, plan: &Plan) -> Vec<String> {
    let begins = format!("hook {} ", agent.name());
    let of_text = |text: &String| {
        // A plugin tells by a function of its own.
        let after = text.split(begins.as_str()).skip(1).chain(text.split("tell(\"").skip(1)).map(|rest| {
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).collect()
        });
        after.collect::<Vec<String>>()
    };
    texts(plan).iter().flat_map(of_text).collect()
}

/// Agents with programs of their own: the embedded one calls its hooks as it likes, and crashes when told.
fn programs() -> impl Iterator<Item = &'static dyn Agent> {
    REGISTRY.iter().copied().filter(|agent| !agent.programs().is_empty())
}

#[test]
fn every_hook_that_is_planted_is_known_and_every_one_known_is_planted() {
    for agent in programs() {
        let Some(hold) = agent.holds().iter().find(|hold| **hold == Hold::Terminal) else { continue };
        let planted = planted(agent, &agent.launch(&launch(agent, *hold)));
        for event in &planted {
            assert!(agent.hooks().contains(&event.as_str()), "{}: {event} is not known", agent.name());
        }
        for event in agent.hooks() {
            let by_plugin = texts(&agent.launch(&launch(agent, *hold)))
                .iter()
                .any(|text| text.contains(&format!("\"{event}\"")));
            assert!(
                by_plugin || planted.iter().any(|one| one == event),
                "{}: {event} is not planted",
                agent.name()
            );
        }
    }
}

#[test]
fn no_payload_of_a_hook_and_no_screen_hurts() {
    let long = format!("{{\"tool_name\":\"{}\"}}", "x".repeat(1 << 20));
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let payloads: Vec<&[u8]> = vec![
        b"",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b"\"text\"",
        b"{\"tool_name\":{},\"tool_input\":[],\"session_id\":7,\"status\":null,\"reason\":[],\"error\":{}}",
        b"{\"toolName\":\"\\u001b[2J\\u0000\",\"tool_name\":\"\\u001b[2J\",\"tool_input\":{\"command\":\"\\u0003\"}}",
        long.as_bytes(),
        deep.as_bytes(),
    ];
    for agent in programs() {
        for event in agent.hooks().iter().copied().chain(["", "NoSuchEvent", "\u{1b}[2J"]) {
            for payload in &payloads {
                for seen in agent.hook(event, payload).seen {
                    let text = serde_json::to_string(&seen).unwrap();
                    assert!(text.len() < 4096, "{} {event} says too much", agent.name());
                }
            }
        }
        assert_eq!(agent.hook("NoSuchEvent", b"{}").seen, [], "{}", agent.name());
        for payload in &payloads {
            agent.transcript_line(payload);
        }
        let rows: Vec<String> = vec!["\u{1b}[2J".into(), "❯".repeat(10_000), String::new()];
        agent.screen(&Screen { title: "\u{7}", rows: &rows });
        assert_eq!(agent.screen(&Screen { title: "", rows: &[] }), None, "{}", agent.name());
    }
}

#[test]
fn every_guard_is_a_regular_expression_of_the_host() {
    let answers =
        [Answer::Allow, Answer::AllowAlways, Answer::Deny("not now".into()), Answer::Words("black".into())];
    for agent in REGISTRY {
        let typing = agent.typing();
        let mut guards = vec![typing.ready];
        guards.extend(typing.steer);
        for answer in &answers {
            let Some(keys) = agent.answer(answer) else { continue };
            assert!(!keys.guard.shows.is_empty(), "{} presses keys into anything", agent.name());
            assert!(!keys.keys.is_empty(), "{}", agent.name());
            guards.push(keys.guard);
        }
        for pattern in guards.iter().flat_map(|guard| guard.shows.iter().chain(&guard.hides)) {
            assert!(regex_lite::Regex::new(pattern).is_ok(), "{}: {pattern}", agent.name());
        }
        // What comes up in the middle of a turn may be a dialog: an agent that is typed to says when.
        let is_typed_to = agent.holds().contains(&Hold::Terminal) && !agent.programs().is_empty();
        assert!(!is_typed_to || !guards[0].shows.is_empty(), "{} is typed to at any time", agent.name());
    }
}

#[test]
fn no_line_hurts_a_driver() {
    let long = "x".repeat(1 << 20);
    for agent in REGISTRY {
        for hold in agent.holds() {
            let Some(mut driver) = agent.driver(&launch(*agent, *hold)) else { continue };
            driver.open();
            driver.say(Say { id: None, text: "tea".into(), interrupt: false });
            for line in
                ["", "{", "null", "[[]]", "{\"type\":7}", "{\"id\":{},\"result\":[]}", "\u{1b}[2J", &long]
            {
                driver.line(line.as_bytes());
            }
            driver.answer(Some("nothing"), Answer::Allow);
            driver.answer(None, Answer::Words("black".into()));
            driver.interrupt();
            driver.ended(None, "killed");
        }
    }
}
