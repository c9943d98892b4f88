//! Command lines: what a person asked for is in them, whatever it looks like.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use oarlock_agents::find;
use oarlock_agents::launch::{Launch, Plan};
use oarlock_core::session::fact::{Hold, Permissions};

const AGENTS: &[&str] = &["opencode", "gemini", "qwen", "copilot", "kimi"];
const NEW: &str = "11111111-2222-4333-8444-555555555555";

fn launch(prompt: &str) -> Launch<'_> {
    Launch {
        writes: &[],
        hold: Hold::Terminal,
        program: "/bin/agent",
        version: None,
        workspace: "/w",
        folder: "/run dir",
        prompt,
        prompt_file: "/run dir/prompt",
        conversation: None,
        new_conversation: NEW,
        model: None,
        permissions: Permissions::Default,
        rules: "",
        args: &[],
        command: None,
        oarlock: "/my home/oarlock",
        is_root: false,
    }
}

fn everything(plan: &Plan) -> String {
    format!("{plan:?}")
}

fn plan(agent: &str, launch: &Launch<'_>) -> Plan {
    find(agent).unwrap().launch(launch)
}

/// A prompt is the end of one argument, or typed: never an argument that could be read as an option.
#[test]
fn a_prompt_is_one_argument_whatever_it_looks_like() {
    for agent in AGENTS {
        for prompt in ["-x", "--yolo", "two\nlines", "a 'quoted' \"word\" $HOME `id`", "/help", "@file"] {
            let plan = plan(agent, &launch(prompt));
            let holds: Vec<&String> = plan.argv.iter().filter(|word| word.ends_with(prompt)).collect();
            match &plan.first_message {
                Some(typed) => assert_eq!((typed.as_str(), holds.len()), (prompt, 0), "{agent}"),
                None => {
                    assert_eq!(holds.len(), 1, "{agent}: {:?}", plan.argv);
                    assert!(holds[0].starts_with("--") && holds[0].contains('='), "{agent}: {}", holds[0]);
                }
            }
        }
        let long = "x".repeat(100 * 1024);
        let plan = plan(agent, &launch(&long));
        assert!(
            plan.argv.iter().all(|word| word.len() < 97 * 1024),
            "{agent}: no system takes such an argument"
        );
        assert!(everything(&plan).contains("/run dir/prompt"), "{agent}: it is told where to read it");
    }
}

#[test]
fn model_rules_arguments_and_conversations_arrive() {
    let args = ["--user-flag".to_owned()];
    for agent in AGENTS {
        let new = Launch { model: Some("big-model"), rules: "Be kind.", args: &args, ..launch("go") };
        let told = everything(&plan(agent, &new));
        for what in ["big-model", "Be kind.", "--user-flag"] {
            assert!(told.contains(what), "{agent}: {what} in {told}");
        }
        let resumed = Launch { conversation: Some("conv-1"), ..new };
        let told = plan(agent, &resumed);
        assert!(told.argv.iter().any(|word| word.ends_with("conv-1")), "{agent}: {:?}", told.argv);
        assert!(!told.argv.iter().any(|word| word.contains(NEW)), "{agent}: one conversation, not two");
    }
}

#[test]
fn each_permission_mode_is_its_own_command_line() {
    let told = |agent: &str, permissions| {
        let plan = plan(agent, &Launch { permissions, ..launch("go") });
        format!("{:?} {:?}", plan.argv, plan.env)
    };
    let freely = [
        ("opencode", r#"\"permission\":\"allow\""#),
        ("gemini", "--approval-mode=yolo"),
        ("qwen", "--approval-mode=yolo"),
        ("copilot", "--allow-all-paths"),
        ("kimi", "--auto"),
    ];
    for (agent, free) in freely {
        assert!(told(agent, Permissions::Bypass).contains(free), "{agent}");
        for less in [Permissions::Default, Permissions::AcceptEdits, Permissions::Auto] {
            assert!(!told(agent, less).contains(free), "{agent}: {less:?} is less than everything");
        }
        assert_ne!(told(agent, Permissions::Default), told(agent, Permissions::Auto), "{agent}");
    }
}

/// What calls our hooks survives a path with a space in it.
#[test]
fn hooks_are_planted_for_the_run() {
    for agent in ["gemini", "qwen", "copilot"] {
        let plan = plan(agent, &launch("go"));
        let told = everything(&plan);
        for event in find(agent).unwrap().hooks() {
            assert!(
                told.contains(&format!("'/my home/oarlock' hook {agent} {event}")),
                "{agent}: {event} in {told}"
            );
        }
    }
    let told = everything(&plan("opencode", &launch("go")));
    assert!(
        told.contains("file:///run%20dir/opencode/oarlock.js") && !told.contains("OARLOCK_PROGRAM"),
        "{told}"
    );
}
