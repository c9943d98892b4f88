//! Claude Code: how it is launched in a terminal, what its hooks and its screen say, and how it is answered.
//!
//! Its flags, hooks and payloads are those of version 2.1.329, seen in the program itself and in its help. How it is held
//! by its protocol is in `claude_code/stream.rs`.

mod hooks;
mod screen;
mod stream;
mod transcript;

use oarlock_core::session::fact::{Hold, Permissions, Showing};
use serde_json::json;

use crate::drive::Driver;
use crate::launch::{ARGUMENT_BYTES_MAX, Edit, Launch, Place, Plan, Plant, Put, Version, What};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked};

/// The settings planted in the run's folder: hooks, and no question about the mode that skips all questions.
const SETTINGS: &str = "claude-settings.json";
/// The file of the rules when they are too long for an argument.
const RULES: &str = "claude-rules.md";
/// How long it waits for a hook, in seconds: ours takes milliseconds, and a machine under load must not lose one.
const HOOK_SECONDS_MAX: u32 = 10;

/// Claude Code.
pub struct ClaudeCode;

impl Agent for ClaudeCode {
    fn name(&self) -> &'static str {
        "claude-code"
    }

    fn title(&self) -> &'static str {
        "Claude Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["claude"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "~/.claude/local", "~/.npm/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @anthropic-ai/claude-code"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(2, 1, 329), Version(2, 1, 329)))
    }

    fn env(&self) -> &'static [&'static str] {
        // Not `CLAUDE_CODE_*`: a daemon started inside Claude Code has variables of that session, which must not get here.
        &[
            "ANTHROPIC_*",
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_CODE_USE_FOUNDRY",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
            "CLAUDE_CODE_MAX_RETRIES",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLOUD_ML_REGION",
            "MAX_THINKING_TOKENS",
            "AWS_*",
            "GOOGLE_*",
            "VERTEX_*",
        ]
    }

    fn login(&self) -> &'static [&'static str] {
        &[
            "~/.claude/.credentials.json",
            "$ANTHROPIC_API_KEY",
            "$ANTHROPIC_AUTH_TOKEN",
            "$CLAUDE_CODE_OAUTH_TOKEN",
            "$CLAUDE_CODE_USE_BEDROCK",
            "$CLAUDE_CODE_USE_VERTEX",
            "$CLAUDE_CODE_USE_FOUNDRY",
        ]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        let mut files = vec![settings(launch)];
        files.extend(trust(launch));
        argv.extend(["--settings".into(), format!("{}/{SETTINGS}", launch.folder)]);
        argv.extend(common(launch, &mut files));
        if let Some(prompt) = launch.prompt_argument() {
            // Without the mark, a prompt that begins with `-` is a flag, and a list before it takes it for an element.
            argv.extend(["--".into(), prompt]);
        }
        Plan { argv, env: env(launch), files, first_message: None }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        (launch.hold == Hold::Protocol).then(|| Box::new(stream::Stream::new(launch)) as Box<dyn Driver>)
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

/// Returns the arguments that both ways to hold it share.
fn common(launch: &Launch<'_>, files: &mut Vec<Plant>) -> Vec<String> {
    let mut argv: Vec<String> = match launch.conversation {
        Some(conversation) => vec!["--resume".into(), conversation.into()],
        None => vec!["--session-id".into(), launch.new_conversation.into()],
    };
    if let Some(model) = launch.model {
        argv.extend(["--model".into(), model.into()]);
    }
    if let Some(mode) = mode(launch.permissions) {
        argv.extend(["--permission-mode".into(), mode.into()]);
    }
    match launch.rules {
        "" => {}
        rules if rules.len() <= ARGUMENT_BYTES_MAX => {
            argv.extend(["--append-system-prompt".into(), rules.into()]);
        }
        rules => {
            files.push(Plant { place: Place::Run(RULES.into()), what: What::Text(rules.into()) });
            argv.extend(["--append-system-prompt-file".into(), format!("{}/{RULES}", launch.folder)]);
        }
    }
    argv.extend(launch.args.iter().cloned());
    argv
}

fn mode(permissions: Permissions) -> Option<&'static str> {
    match permissions {
        Permissions::Default => None,
        Permissions::AcceptEdits => Some("acceptEdits"),
        Permissions::Auto => Some("auto"),
        Permissions::Bypass => Some("bypassPermissions"),
    }
}

fn env(launch: &Launch<'_>) -> Vec<(String, String)> {
    let mut env = vec![("DISABLE_AUTOUPDATER".into(), "1".into())];
    if launch.is_root && launch.permissions == Permissions::Bypass {
        // It refuses that mode to root unless it is told that nothing outside can be harmed; who asks for it says so.
        env.push(("IS_SANDBOX".into(), "1".into()));
    }
    env
}

fn settings(launch: &Launch<'_>) -> Plant {
    let hook = |event: &&str| {
        let command = launch.hook_command("claude-code", event);
        let call = json!({"type": "command", "command": command, "timeout": HOOK_SECONDS_MAX});
        ((*event).to_owned(), json!([{"hooks": [call]}]))
    };
    let hooks: serde_json::Map<_, _> = hooks::EVENTS.iter().map(hook).collect();
    let mut settings = json!({"hooks": hooks});
    if launch.permissions == Permissions::Bypass {
        settings["skipDangerousModePermissionPrompt"] = json!(true);
    }
    Plant { place: Place::Run(SETTINGS.into()), what: What::Text(format!("{settings:#}\n")) }
}

/// Answers what it would ask at its first start in a new workspace. There is no flag for it.
fn trust(launch: &Launch<'_>) -> [Plant; 1] {
    let edit = |path: &[&str], put| Edit {
        path: path.iter().map(|key| (*key).into()).collect(),
        value: json!(true),
        put,
    };
    let edits = vec![
        edit(&["hasCompletedOnboarding"], Put::Default),
        // After the first denial it offers another mode, and waits for keys.
        edit(&["hasSeenAutoDefaultNudge"], Put::Default),
        edit(&["projects", launch.workspace, "hasTrustDialogAccepted"], Put::Set),
        edit(&["projects", launch.workspace, "hasCompletedProjectOnboarding"], Put::Default),
    ];
    [Plant { place: Place::User("~/.claude.json".into()), what: What::Json(edits) }]
}

/// Returns the class of an error by its own word for it; `None` when it says nothing.
fn class_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "rate_limit" | "rate_limit_error" => "rate_limit",
        "overloaded" | "overloaded_error" => "overloaded",
        "authentication_failed"
        | "authentication_error"
        | "permission_error"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "cloud_credential_error" => "auth",
        "billing_error" => "billing",
        "invalid_request" | "invalid_request_error" | "model_not_found" | "not_found_error" => "bad_request",
        "server_error" | "api_error" | "max_output_tokens" => "error",
        _ => return None,
    })
}

/// Returns the class of an error by the HTTP status of the provider's answer; `None` when there was none.
fn class_of_status(status: u64) -> Option<&'static str> {
    Some(match status {
        429 => "rate_limit",
        503 | 529 => "overloaded",
        401 | 403 => "auth",
        402 => "billing",
        400..500 => "bad_request",
        500..600 => "error",
        _ => return None,
    })
}

/// Tells by its words whether an error is that the prompt is too long for the model.
fn is_too_long(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("prompt is too long")
        || words.contains("context window")
        || words.contains("context limit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::launch;
    use oarlock_core::session::fact::Observation;

    #[test]
    fn its_command_line_says_what_was_asked() {
        let args = ["--add-dir".to_owned(), "/lib".to_owned()];
        let all = Launch {
            model: Some("opus"),
            permissions: Permissions::AcceptEdits,
            rules: "Be brief.\nAlways.",
            args: &args,
            prompt: "-x \"it's\"\nmore",
            ..launch(Hold::Terminal)
        };
        let plan = ClaudeCode.launch(&all);
        let expected = [
            "/bin/agent",
            "--settings",
            "/runs/1/claude-settings.json",
            "--session-id",
            "11111111-2222-4333-8444-555555555555",
            "--model",
            "opus",
            "--permission-mode",
            "acceptEdits",
            "--append-system-prompt",
            "Be brief.\nAlways.",
            "--add-dir",
            "/lib",
            "--",
            "-x \"it's\"\nmore",
        ];
        assert_eq!(plan.argv, expected);
        assert_eq!(plan.first_message, None);
        let by_protocol = |launch: &Launch<'_>| match ClaudeCode.driver(launch).unwrap().open().first() {
            Some(crate::drive::Step::Start(plan)) => plan.clone(),
            other => panic!("{other:?} is no start"),
        };
        let piped = by_protocol(&Launch { hold: Hold::Protocol, ..all.clone() }).argv;
        assert!(piped.ends_with(&expected[3..13].iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>()));
        assert!(piped.contains(&"--permission-prompt-tool".to_owned()), "without it nobody would be asked");
    }

    #[test]
    fn a_conversation_goes_on_under_the_same_rules() {
        let resumed = Launch { conversation: Some("abc"), rules: "Be brief.", ..launch(Hold::Terminal) };
        let argv = ClaudeCode.launch(&resumed).argv;
        let expected = ["--resume", "abc", "--append-system-prompt", "Be brief."];
        assert_eq!(
            argv[3..],
            expected,
            "a new id for an old conversation is refused, and no prompt is no argument"
        );
    }

    #[test]
    fn each_permission_is_a_mode_of_its_own() {
        let with = |permissions, is_root| {
            let plan = ClaudeCode.launch(&Launch { permissions, is_root, ..launch(Hold::Terminal) });
            let at = plan.argv.iter().position(|arg| arg == "--permission-mode");
            let says_sandbox = plan.env.iter().any(|(name, _)| name == "IS_SANDBOX");
            (at.map(|at| plan.argv[at + 1].clone()), says_sandbox)
        };
        let some = |mode: &str| Some(mode.to_owned());
        assert_eq!(with(Permissions::Default, true), (None, false));
        assert_eq!(with(Permissions::AcceptEdits, true), (some("acceptEdits"), false));
        assert_eq!(with(Permissions::Auto, false), (some("auto"), false));
        assert_eq!(with(Permissions::Bypass, false), (some("bypassPermissions"), false));
        assert_eq!(with(Permissions::Bypass, true), (some("bypassPermissions"), true));
    }

    #[test]
    fn what_is_too_long_for_an_argument_goes_by_file() {
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        let plan = ClaudeCode.launch(&Launch { prompt: &long, rules: &long, ..launch(Hold::Terminal) });
        assert!(plan.argv.iter().all(|arg| arg.len() <= ARGUMENT_BYTES_MAX));
        assert!(plan.argv.last().unwrap().contains("/runs/1/prompt"));
        let rules = Plant { place: Place::Run(RULES.into()), what: What::Text(long) };
        assert!(plan.files.contains(&rules));
        assert!(plan.argv.contains(&"/runs/1/claude-rules.md".to_owned()));
    }

    #[test]
    fn its_questions_at_a_first_start_are_answered_before() {
        let plan = ClaudeCode.launch(&Launch { permissions: Permissions::Bypass, ..launch(Hold::Terminal) });
        let What::Text(settings) = &plan.files[0].what else { panic!("settings are a text") };
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        assert_eq!(settings["skipDangerousModePermissionPrompt"], json!(true));
        let hook = &settings["hooks"]["Stop"][0]["hooks"][0];
        assert_eq!(hook["command"], json!("/bin/oarlock hook claude-code Stop"));
        let What::Json(edits) = &plan.files[1].what else { panic!("trust is edits") };
        let trusted =
            edits.iter().any(|edit| edit.path == ["projects", "/src/app", "hasTrustDialogAccepted"]);
        assert!(trusted, "{edits:?}");
    }

    #[test]
    fn hostile_payloads_say_nothing_and_harm_nobody() {
        let huge =
            format!(r#"{{"hook_event_name":"PreToolUse","tool_name":"{}"}}"#, "B\\u001b".repeat(100_000));
        let deep = format!(
            r#"{{"hook_event_name":"PreToolUse","tool_input":{}1{}}}"#,
            "[".repeat(99),
            "]".repeat(99)
        );
        for payload in [
            "",
            "null",
            "[]",
            "{",
            "\u{0}",
            "{\"hook_event_name\":7}",
            "{\"hook_event_name\":\"NotInventedYet\",\"tool_name\":\"x\"}",
            "{\"hook_event_name\":{\"a\":[]},\"tool_input\":\"x\"}",
        ] {
            assert_eq!(ClaudeCode.hook("Stop", payload.as_bytes()).seen, [], "{payload}");
            assert_eq!(ClaudeCode.transcript_line(payload.as_bytes()).seen, [], "{payload}");
        }
        for payload in [huge, deep] {
            for seen in ClaudeCode.hook("PreToolUse", payload.as_bytes()).seen {
                let text = serde_json::to_string(&seen).unwrap();
                assert!(text.len() < 1000 && !text.contains("u001b"), "{text}");
            }
        }
        assert_eq!(ClaudeCode.hook("Stop", &[0xff, 0xfe]).seen, []);
    }

    #[test]
    fn a_sub_agent_neither_ends_the_turn_nor_clears_the_dialog() {
        let hook = |payload: serde_json::Value| ClaudeCode.hook("", payload.to_string().as_bytes()).seen;
        for event in ["Stop", "SubagentStop", "UserPromptSubmit", "SessionStart", "SessionEnd", "StopFailure"]
        {
            assert_eq!(hook(json!({"hook_event_name": event, "agent_id": "a1"})), [], "{event}");
        }
        let call = json!({"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "ls"}});
        let ended = json!({"hook_event_name": "PostToolUse", "agent_id": "a1", "tool_name": "Bash",
            "tool_input": {"command": "ls"}});
        let [Observation::PermissionAsked { ask: Some(ask), .. }] = &hook(call)[..] else {
            panic!("it asks")
        };
        let [Observation::ToolEnded { id, .. }] = &hook(ended)[..] else { panic!("it ends") };
        assert_ne!(ask, id, "the same command of a sub-agent is another call");
    }

    #[test]
    fn a_question_is_over_when_its_tool_is() {
        let hook = |payload: serde_json::Value| ClaudeCode.hook("", payload.to_string().as_bytes()).seen;
        let questions = json!([{"question": "Which?", "options": []}]);
        let of = |event: &str, input: serde_json::Value| json!({"hook_event_name": event, "tool_name": "AskUserQuestion", "tool_input": input});
        let asked = hook(of("PermissionRequest", json!({"questions": questions})));
        assert_eq!(asked, [Observation::QuestionAsked { what: "Which?".into() }], "it is no permission");
        let started = hook(of("PreToolUse", json!({"questions": questions})));
        let ended = hook(of("PostToolUse", json!({"questions": questions, "answers": {"Which?": "this"}})));
        let [Observation::ToolStarted { id, .. }] = &started[..] else { panic!("{started:?} is no start") };
        let over = [Observation::ToolEnded { id: id.clone(), ok: true }, Observation::PermissionResolved];
        assert_eq!(ended, over, "the end of the call alone would leave the question standing");
    }
}
