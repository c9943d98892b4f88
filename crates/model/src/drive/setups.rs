//! The setups, one function per agent.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table, value};

use super::{Agent, KEY, Place, Setup};
use crate::choice::sha256;

/// The model of those who take any.
const MODEL: &str = "scripted";

/// Returns what an agent must find at a place.
pub fn of(agent: Agent, place: &Place) -> Setup {
    let mut setup = match agent {
        Agent::Claude => claude(place),
        Agent::Codex => codex(place),
        Agent::Copilot => copilot(place),
        Agent::Gemini => gemini(place),
        Agent::Opencode => opencode(place),
        Agent::Qwen => qwen(place),
        Agent::Kimi => kimi(place),
        Agent::Aider => aider(place),
    };
    setup.path_dirs = vec![agent.folder(place.agents), place.agents.join("node/bin")];
    // A HOME of its own holds no identity, and Gemini's shell does not look for one there.
    let name = "Scripted Agent";
    let mail = "agent@example.invalid";
    setup.env.extend(env(&[
        ("GIT_AUTHOR_NAME", name),
        ("GIT_AUTHOR_EMAIL", mail),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_COMMITTER_EMAIL", mail),
    ]));
    setup
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn json_file(path: &str, value: &Value) -> (PathBuf, String) {
    (PathBuf::from(path), format!("{value:#}\n"))
}

/// Returns an object with an entry for each trusted folder.
fn trusted(place: &Place, entry: &Value) -> Map<String, Value> {
    place.trusted.iter().map(|folder| (text(folder), entry.clone())).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn claude(place: &Place) -> Setup {
    let entry = json!({"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true});
    // It knows the keys that it may use by their ends.
    let end = &KEY[KEY.len() - 20..];
    let state = json!({
        "hasCompletedOnboarding": true, "hasSeenAutoDefaultNotice": true, "theme": "dark",
        "customApiKeyResponses": {"approved": [end], "rejected": []},
        "projects": trusted(place, &entry),
    });
    let settings = json!({"skipDangerousModePermissionPrompt": true});
    Setup {
        env: env(&[
            ("ANTHROPIC_BASE_URL", place.url),
            ("ANTHROPIC_API_KEY", KEY),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            // As root it refuses to go without asking, unless it is told that nothing can be harmed.
            ("IS_SANDBOX", "1"),
        ]),
        files: vec![json_file(".claude.json", &state), json_file(".claude/settings.json", &settings)],
        path_dirs: vec![],
    }
}

fn codex(place: &Place) -> Setup {
    let mut config = DocumentMut::new();
    config["model"] = value("gpt-5.4");
    config["model_provider"] = value("scripted");
    config["check_for_update_on_startup"] = value(false);
    let tables = |inner: Table| {
        let mut outer = Table::new();
        outer.set_implicit(true);
        outer.insert("scripted", Item::Table(inner));
        Item::Table(outer)
    };
    let mut provider = Table::new();
    provider["name"] = value("scripted");
    provider["base_url"] = value(format!("{}/v1", place.url));
    provider["wire_api"] = value("responses");
    provider["env_key"] = value("SCRIPTED_API_KEY");
    config["model_providers"] = tables(provider);
    let mut projects = Table::new();
    projects.set_implicit(true);
    for folder in place.trusted {
        let mut project = Table::new();
        project["trust_level"] = value("trusted");
        projects.insert(&text(folder), Item::Table(project));
    }
    config["projects"] = Item::Table(projects);
    // Without it the tool that asks a person is offered, and refuses in the mode that everybody uses.
    let mut features = Table::new();
    features["default_mode_request_user_input"] = value(true);
    config["features"] = Item::Table(features);
    Setup {
        env: env(&[("SCRIPTED_API_KEY", KEY)]),
        files: vec![(PathBuf::from(".codex/config.toml"), config.to_string())],
        path_dirs: vec![],
    }
}

fn copilot(place: &Place) -> Setup {
    let folders: Vec<String> = place.trusted.iter().map(|folder| text(folder)).collect();
    Setup {
        env: env(&[
            ("COPILOT_OFFLINE", "true"),
            ("COPILOT_AUTO_UPDATE", "false"),
            ("COPILOT_PROVIDER_BASE_URL", &format!("{}/v1", place.url)),
            ("COPILOT_PROVIDER_API_KEY", KEY),
            ("COPILOT_MODEL", MODEL),
        ]),
        files: vec![json_file(".copilot/config.json", &json!({"trustedFolders": folders}))],
        path_dirs: vec![],
    }
}

fn gemini(place: &Place) -> Setup {
    let settings = json!({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "privacy": {"usageStatisticsEnabled": false},
    });
    let folders = trusted(place, &json!("TRUST_FOLDER"));
    Setup {
        env: env(&[
            ("GOOGLE_GEMINI_BASE_URL", place.url),
            ("GEMINI_API_KEY", KEY),
            ("GEMINI_MODEL", "gemini-2.5-pro"),
            // It starts itself a second time, and the child outlives a hangup of the parent.
            ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ]),
        files: vec![
            json_file(".gemini/settings.json", &settings),
            json_file(".gemini/trustedFolders.json", &Value::Object(folders)),
        ],
        path_dirs: vec![],
    }
}

fn opencode(place: &Place) -> Setup {
    let model = json!({"name": MODEL, "limit": {"context": 200_000, "output": 8192},
        "cost": {"input": 1, "output": 2, "cache_read": 0.1, "cache_write": 1.25}});
    let config = json!({
        "autoupdate": false, "share": "disabled", "model": format!("{MODEL}/{MODEL}"),
        "permission": {"edit": "allow", "bash": "allow"},
        "provider": {MODEL: {
            "npm": "@ai-sdk/openai-compatible", "name": MODEL,
            "options": {"baseURL": format!("{}/v1", place.url), "apiKey": KEY},
            "models": {MODEL: model},
        }},
    });
    Setup {
        env: env(&[
            ("OPENCODE_DISABLE_AUTOUPDATE", "true"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "true"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "true"),
        ]),
        files: vec![json_file(".config/opencode/opencode.json", &config)],
        path_dirs: vec![],
    }
}

fn qwen(place: &Place) -> Setup {
    let settings = json!({
        "security": {"auth": {"selectedType": "openai"}},
        "general": {"enableAutoUpdate": false},
        "privacy": {"usageStatisticsEnabled": false},
    });
    Setup {
        env: env(&[
            ("OPENAI_BASE_URL", &format!("{}/v1", place.url)),
            ("OPENAI_API_KEY", KEY),
            ("OPENAI_MODEL", MODEL),
            ("QWEN_CODE_SUPPRESS_YOLO_WARNING", "1"),
        ]),
        files: vec![json_file(".qwen/settings.json", &settings)],
        path_dirs: vec![],
    }
}

fn kimi(place: &Place) -> Setup {
    Setup {
        env: env(&[
            ("KIMI_MODEL_NAME", MODEL),
            ("KIMI_MODEL_API_KEY", KEY),
            ("KIMI_MODEL_PROVIDER_TYPE", "openai"),
            ("KIMI_MODEL_BASE_URL", &format!("{}/v1", place.url)),
            ("KIMI_CODE_NO_AUTO_UPDATE", "1"),
        ]),
        files: place.trusted.iter().map(|folder| kimi_trust(folder)).collect(),
        path_dirs: vec![],
    }
}

/// Returns the file by which Kimi knows that a folder is trusted; what is below needs files of its own.
fn kimi_trust(folder: &Path) -> (PathBuf, String) {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hash = sha256(text(folder).as_bytes());
    let path = format!(".kimi-code/workspace-trust/wd_{name}_{}", &hash[..12]);
    (PathBuf::from(path), json!({"root": text(folder), "trustedAt": 1_700_000_000_000_u64}).to_string())
}

fn aider(place: &Place) -> Setup {
    Setup {
        env: env(&[
            ("OPENAI_API_BASE", &format!("{}/v1", place.url)),
            ("OPENAI_API_KEY", KEY),
            ("AIDER_MODEL", &format!("openai/{MODEL}")),
            ("AIDER_CHECK_UPDATE", "false"),
            ("AIDER_SHOW_RELEASE_NOTES", "false"),
            ("AIDER_SHOW_MODEL_WARNINGS", "false"),
            ("AIDER_ANALYTICS_DISABLE", "true"),
            // Else it fetches a list of prices.
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ]),
        ..Setup::default()
    }
}
