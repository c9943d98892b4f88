//! Codex: how it is launched in a terminal, what its hooks and its screen say, and how it is answered.
//!
//! Its flags, settings, hooks and payloads are those of version 0.169.0, seen in the program itself and in its help. How it
//! is held by its protocol is in `codex/app_server.rs`.

mod app_server;
mod failure;
mod hooks;
mod screen;
mod transcript;

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::drive::Driver;
use crate::launch::{ARGUMENT_BYTES_MAX, Launch, Place, Plan, Plant, Version, What};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked};

/// The file of the rules when they are too long for an argument.
const RULES: &str = "codex-rules.md";
/// How long it waits for a hook, in seconds: ours takes milliseconds, and a machine under load must not lose one.
const HOOK_SECONDS_MAX: u32 = 10;

/// Codex.
pub struct Codex;

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn title(&self) -> &'static str {
        "Codex"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["codex"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "~/.npm/bin", "~/.cargo/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @openai/codex"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(0, 169, 0), Version(0, 169, 0)))
    }

    fn env(&self) -> &'static [&'static str] {
        &["CODEX_HOME", "CODEX_API_KEY", "OPENAI_*", "AZURE_OPENAI_*", "OLLAMA_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.codex/auth.json", "$OPENAI_API_KEY", "$CODEX_API_KEY"]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut files = Vec::new();
        let mut argv = vec![launch.program.to_owned()];
        if launch.conversation.is_some() {
            argv.push("resume".into());
        }
        // A server shared by all of a user's sessions would outlive this one, and call its hooks with another's variables.
        argv.extend(["--no-daemon", "--dangerously-bypass-hook-trust"].map(String::from));
        argv.extend(settings(launch));
        for event in hooks::EVENTS {
            let command = toml(&launch.hook_command("codex", event));
            let call = format!("{{type=\"command\",command={command},timeout={HOOK_SECONDS_MAX}}}");
            argv.extend(["-c".into(), format!("hooks.{event}=[{{hooks=[{call}]}}]")]);
        }
        if let Some(model) = launch.model {
            argv.extend(["--model".into(), model.into()]);
        }
        if let Some(rules) = rules(launch, &mut files) {
            argv.extend(["-c".into(), format!("developer_instructions={}", toml(&rules))]);
        }
        argv.extend(launch.args.iter().cloned());
        let prompt = launch.prompt_argument();
        if launch.conversation.is_some() || prompt.is_some() {
            argv.push("--".into());
            argv.extend(launch.conversation.map(Into::into));
            argv.extend(prompt);
        }
        Plan { argv, env: Vec::new(), files, first_message: None }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        (launch.hold == Hold::Protocol)
            .then(|| Box::new(app_server::AppServer::new(launch)) as Box<dyn Driver>)
    }

    fn hooks(&self) -> &'static [&'static str] {
        hooks::EVENTS
    }

    fn hook(&self, _event: &str, payload: &[u8]) -> Hooked {
        hooks::read(payload)
    }

    fn transcript_line(&self, line: &[u8]) -> Hooked {
        transcript::read(line)
    }

    fn screen(&self, screen: &Screen<'_>) -> Option<Showing> {
        screen::read(screen)
    }

    fn typing(&self) -> Typing {
        screen::typing()
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        Some(screen::keys(answer))
    }
}

/// Returns the settings that both ways to hold it share, as flags.
fn settings(launch: &Launch<'_>) -> Vec<String> {
    let workspace = toml(launch.workspace);
    let mut settings = vec![
        "check_for_update_on_startup=false".to_owned(),
        // A proposal to change the model comes as a dialog, which takes the next message for its answer.
        "notice.hide_rate_limit_model_nudge=true".into(),
        // A table in one line: in a dotted path, the dots of the folder would be taken for its own.
        format!("projects={{{workspace}={{trust_level=\"trusted\"}}}}"),
    ];
    match launch.permissions {
        Permissions::Default => {}
        Permissions::AcceptEdits | Permissions::Auto => {
            settings.extend(writable(launch));
            settings.push("approval_policy=\"on-request\"".into());
            if launch.permissions == Permissions::Auto {
                settings.push("approvals_reviewer=\"auto_review\"".into());
            }
        }
        Permissions::Bypass => {
            settings.push("approval_policy=\"never\"".into());
            settings.push("sandbox_mode=\"danger-full-access\"".into());
        }
    }
    settings.into_iter().flat_map(|setting| ["-c".into(), setting]).collect()
}

/// Its own mode for work in a workspace keeps git's folder read-only, so that no work could be committed.
fn writable(launch: &Launch<'_>) -> [String; 2] {
    let git: Vec<String> = launch.writes.iter().map(|dir| format!(",{}=\"write\"", toml(dir))).collect();
    let roots = r#"":workspace_roots"={"."="write",".git/**"="write"}"#;
    let files = format!("{{\":root\"=\"read\",{roots},\":tmpdir\"=\"write\"{}}}", git.concat());
    ["default_permissions=\"oarlock\"".into(), format!("permissions.oarlock.filesystem={files}")]
}

/// Returns the rules as its instructions: themselves, or where to find them when they are too long for an argument.
fn rules(launch: &Launch<'_>, files: &mut Vec<Plant>) -> Option<String> {
    match launch.rules {
        "" => None,
        rules if rules.len() <= ARGUMENT_BYTES_MAX => Some(rules.into()),
        rules => {
            files.push(Plant { place: Place::Run(RULES.into()), what: What::Text(rules.into()) });
            let file = format!("{}/{RULES}", launch.folder);
            Some(format!("Your standing rules are in the file {file}. Read all of it before anything else."))
        }
    }
}

/// Returns a text as a basic string of TOML. JSON escapes all that TOML does, but DEL.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Returns the class of an error by its words: of a model's call nothing else is told to hooks.
fn class_of_words(words: &str) -> &'static str {
    let words = words.to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    match () {
        () if has(&["context window", "context length", "too long"]) => "context_full",
        () if has(&["429", "rate limit", "usage limit", "too many requests"]) => "rate_limit",
        () if has(&["401", "403", "unauthorized", "forbidden", "api key", "not logged in"]) => "auth",
        () if has(&["402", "quota", "billing", "credits"]) => "billing",
        () if has(&["529", "503", "overloaded", "at capacity", "high demand"]) => "overloaded",
        () if has(&["400", "404", "bad request", "invalid"]) => "bad_request",
        () if has(&["connect", "stream", "timed out", "timeout", "network", "dns"]) => "network",
        () => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::Step;
    use crate::testing::launch;
    use serde_json::json;

    /// What follows each `-c`.
    fn settings_of(argv: &[String]) -> Vec<&str> {
        argv.windows(2).filter(|pair| pair[0] == "-c").map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn its_command_line_says_what_was_asked() {
        let args = ["--search".to_owned()];
        let all = Launch {
            model: Some("gpt"),
            permissions: Permissions::AcceptEdits,
            rules: "Be \"brief\".\nAlways.\u{7f}",
            args: &args,
            writes: &["/src/main/.git".to_owned()],
            prompt: "-x \"it's\"\nmore",
            ..launch(Hold::Terminal)
        };
        let argv = Codex.launch(&all).argv;
        assert_eq!(argv[..3], ["/bin/agent", "--no-daemon", "--dangerously-bypass-hook-trust"]);
        assert!(argv.ends_with(&["--search".into(), "--".into(), "-x \"it's\"\nmore".into()]));
        assert!(argv.windows(2).any(|pair| pair == ["--model", "gpt"]));
        let settings = settings_of(&argv);
        for setting in [
            r#"projects={"/src/app"={trust_level="trusted"}}"#,
            r#"approval_policy="on-request""#,
            r#"default_permissions="oarlock""#,
            r#"developer_instructions="Be \"brief\".\nAlways.\u007f""#,
            r#"hooks.Stop=[{hooks=[{type="command",command="/bin/oarlock hook codex Stop",timeout=10}]}]"#,
        ] {
            assert!(settings.contains(&setting), "{setting} is in {settings:?}");
        }
        let sandbox = settings.iter().find(|setting| setting.starts_with("permissions.oarlock")).unwrap();
        assert!(sandbox.ends_with(r#","/src/main/.git"="write"}"#), "git writes there: {sandbox}");
    }

    #[test]
    fn a_conversation_goes_on_under_the_same_rules() {
        let resumed =
            Launch { conversation: Some("abc"), rules: "Be brief.", prompt: "go", ..launch(Hold::Terminal) };
        let argv = Codex.launch(&resumed).argv;
        assert_eq!(argv[1], "resume");
        assert!(argv.ends_with(&["--".into(), "abc".into(), "go".into()]));
        assert!(settings_of(&argv).contains(&"developer_instructions=\"Be brief.\""));
        let plain = Codex.launch(&launch(Hold::Terminal)).argv;
        assert!(!plain.contains(&"--".to_owned()), "no prompt is no argument");
    }

    #[test]
    fn each_permission_is_settings_of_its_own() {
        let with = |permissions| {
            let argv = Codex.launch(&Launch { permissions, ..launch(Hold::Terminal) }).argv;
            let own = |setting: &&str| {
                ["approv", "sandbox", "default_permissions"].iter().any(|start| setting.starts_with(start))
            };
            settings_of(&argv).into_iter().filter(own).map(str::to_owned).collect::<Vec<_>>()
        };
        let (asks, profile) = ("approval_policy=\"on-request\"", "default_permissions=\"oarlock\"");
        assert_eq!(with(Permissions::Default), [""; 0], "the user's own settings say");
        assert_eq!(with(Permissions::AcceptEdits), [profile, asks]);
        assert_eq!(with(Permissions::Auto), [profile, asks, "approvals_reviewer=\"auto_review\""]);
        let all = ["approval_policy=\"never\"", "sandbox_mode=\"danger-full-access\""];
        assert_eq!(with(Permissions::Bypass), all);
    }

    #[test]
    fn what_is_too_long_for_an_argument_goes_by_file() {
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        let plan = Codex.launch(&Launch { prompt: &long, rules: &long, ..launch(Hold::Terminal) });
        assert!(plan.argv.iter().all(|arg| arg.len() <= ARGUMENT_BYTES_MAX));
        assert!(plan.argv.last().unwrap().contains("/runs/1/prompt"));
        assert_eq!(plan.files, [Plant { place: Place::Run(RULES.into()), what: What::Text(long) }]);
        assert!(settings_of(&plan.argv).iter().any(|setting| setting.contains("/runs/1/codex-rules.md")));
    }

    #[test]
    fn hostile_payloads_and_lines_say_nothing_and_harm_nobody() {
        let mut driver = Codex.driver(&launch(Hold::Protocol)).unwrap();
        for payload in [
            "",
            "null",
            "[]",
            "{",
            "\u{0}",
            "{\"hook_event_name\":7,\"method\":7,\"params\":\"x\"}",
            "{\"hook_event_name\":\"NotInventedYet\",\"method\":\"not/invented\",\"params\":{\"item\":[]}}",
            "{\"hook_event_name\":{\"a\":[]},\"id\":99,\"result\":[]}",
        ] {
            assert_eq!(Codex.hook("Stop", payload.as_bytes()).seen, [], "{payload}");
            assert_eq!(Codex.transcript_line(payload.as_bytes()).seen, [], "{payload}");
            assert_eq!(driver.line(payload.as_bytes()), [], "{payload}");
        }
        let huge = "B\u{1b}".repeat(100_000);
        let payload =
            json!({"hook_event_name": "PreToolUse", "tool_name": huge, "tool_input": {"command": huge}});
        for seen in Codex.hook("", payload.to_string().as_bytes()).seen {
            let text = serde_json::to_string(&seen).unwrap();
            assert!(text.len() < 1000 && !text.contains("u001b"), "{text}");
        }
        assert_eq!(Codex.hook("Stop", &[0xff, 0xfe]).seen, []);
    }

    #[test]
    fn a_sub_agent_does_not_end_the_turn() {
        for event in ["Stop", "UserPromptSubmit", "SessionStart", "SessionEnd", "Interrupt"] {
            let payload = json!({"hook_event_name": event, "agent_id": "a1"}).to_string();
            assert_eq!(Codex.hook("", payload.as_bytes()).seen, [], "{event}");
        }
    }

    #[test]
    fn what_it_asks_and_nobody_here_can_answer_is_refused() {
        let mut driver = Codex.driver(&launch(Hold::Protocol)).unwrap();
        let steps = driver.line(br#"{"id":"q1","method":"item/tool/call","params":{}}"#);
        let [Step::Send(reply)] = &steps[..] else { panic!("{steps:?} is no reply") };
        assert!(reply.contains("-32601") && reply.contains("\"q1\""), "it would wait for ever: {reply}");
    }

    #[test]
    fn questions_are_answered_in_words_and_permissions_are_not_given_to_them() {
        use oarlock_core::session::fact::Observation;
        let mut driver = Codex.driver(&launch(Hold::Protocol)).unwrap();
        let asked = json!({"id": 7, "method": "item/tool/requestUserInput", "params": {"itemId": "c1", "questions": [
            {"id": "db", "question": "Which database?", "options": [{"label": "sqlite"}, {"label": "postgres"}]}]}});
        let steps = driver.line(asked.to_string().as_bytes());
        let question = Step::Observe(Observation::QuestionAsked { what: "Which database?".into() });
        assert!(steps.contains(&question), "{steps:?}");
        let steps = driver.answer(Some("c1"), Answer::Allow);
        assert!(!steps.iter().any(|step| matches!(step, Step::Send(_))), "a yes is no answer: {steps:?}");
        let steps = driver.answer(Some("c1"), Answer::Words("2".into()));
        let sent = Step::Send(
            json!({"id": 7, "result": {"answers": {"db": {"answers": ["postgres"]}}}}).to_string(),
        );
        assert_eq!(steps, [sent, Step::Observe(Observation::PermissionResolved)]);
    }
}
