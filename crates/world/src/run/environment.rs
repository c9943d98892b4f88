//! The environment of a run: an allow-list, and what oarlock adds. It must not know what agents do with it.

use std::path::Path;

/// Variables that every agent is given when the daemon has them: where things are, who the user is, how the network is
/// reached, what tools need to build and push.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "TERMINFO",
    "TERMINFO_DIRS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "GPG_TTY",
    "GNUPGHOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSH_COMMAND",
    "GIT_AUTHOR_*",
    "GIT_COMMITTER_*",
    "GIT_CONFIG_*",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GH_HOST",
    "GH_CONFIG_DIR",
    "GITLAB_TOKEN",
    "CARGO_*",
    "RUSTUP_*",
    "RUSTFLAGS",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "GOPROXY",
    "GOFLAGS",
    "JAVA_HOME",
    "MAVEN_OPTS",
    "GRADLE_*",
    "ANDROID_*",
    "NVM_*",
    "VOLTA_HOME",
    "FNM_*",
    "PNPM_HOME",
    "BUN_INSTALL",
    "DENO_*",
    "NPM_CONFIG_*",
    "npm_config_*",
    "NODE_OPTIONS",
    "PYENV_*",
    "VIRTUAL_ENV",
    "CONDA_*",
    "UV_*",
    "POETRY_*",
    "PIP_*",
    "PYTHONPATH",
    "RBENV_*",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_*",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "PKG_CONFIG_*",
    "NIX_*",
    "DOCKER_*",
    "KUBECONFIG",
    "CUDA_*",
    "ROCM_*",
    "HF_*",
]; // One line a purpose; an agent's own variables are in its file.

/// Variables that tell a program that it runs inside of an agent or of another terminal. An agent that finds them refuses to
/// start, or starts as a child of somebody it is not a child of.
const MARKS: &[&str] = &[
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_*",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_*",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_PID",
    "CLAUDE_ENV_FILE",
    "CLAUDE_PROJECT_DIR",
    "CLAUDE_EFFORT",
    "AI_AGENT",
    "AGENT",
    "CODEX_SESSION_ID",
    "CODEX_THREAD_ID",
    "CODEX_SANDBOX*",
    "OPENCODE",
    "OPENCODE_PID",
    "OPENCODE_SESSION_*",
    "GEMINI_CLI",
    "QWEN_CODE",
    "QWEN_CODE_SESSION_ID",
    "COPILOT_AGENT_SESSION_ID",
    "COPILOT_CLI",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "TMUX",
    "TMUX_PANE",
    "ZELLIJ",
    "ZELLIJ_*",
    "STY",
    "NO_COLOR",
    "CI",
    "VSCODE_*",
    "TERM_PROGRAM*",
];

/// The variable of the daemon's that names further variables to be given to agents, with commas between: the key of a provider
/// of the user's own has a name that nobody else knows.
pub(super) const PASSED: &str = "OARLOCK_PASS_ENV";

/// Tells whether a pattern (a name, or its beginning and `*`) fits a variable's name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

fn any_fits(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// Returns the part of an environment that a run is given. `own` are the names of the agent's own variables; `None` is
/// a command of the user's, which is given all but what would mislead git, name another run, or take it for another
/// agent's child.
pub(super) fn allowed(
    all: impl Iterator<Item = (String, String)>,
    own: Option<&[&str]>,
    passed: &[&str],
) -> Vec<(String, String)> {
    let misleads = |name: &str| {
        let of_git = name.starts_with("GIT_") && !any_fits(ALLOWED, name);
        of_git || name.starts_with("OARLOCK_") || name == "PWD" || name == "OLDPWD" || any_fits(MARKS, name)
    };
    let may = |name: &str| match own {
        Some(own) => any_fits(ALLOWED, name) || any_fits(own, name) || any_fits(passed, name),
        None => true,
    };
    all.filter(|(name, _)| may(name) && !misleads(name)).collect()
}

/// Sets variables on top of others, the later ones over the earlier.
pub(super) fn set(env: &mut Vec<(String, String)>, more: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in more {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
}

/// Puts a folder before the others in `PATH`.
pub(super) fn path_first(env: &mut Vec<(String, String)>, folder: &Path) {
    let folder = folder.to_string_lossy().into_owned();
    let path = match env.iter().find(|(name, _)| name == "PATH") {
        Some((_, path)) if !path.is_empty() => format!("{folder}:{path}"),
        _ => folder,
    };
    set(env, [("PATH".into(), path)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(own: Option<&[&str]>) -> Vec<String> {
        let all = [
            "PATH",
            "ANTHROPIC_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "CLAUDECODE",
            "CLAUDE_CODE_SESSION_ID",
            "TMUX",
        ];
        let more = ["GIT_DIR", "GIT_AUTHOR_NAME", "OARLOCK_TOKEN", "LC_ALL", "PWD", "MY_OWN"];
        let all = all.iter().chain(&more).map(|name| ((*name).to_owned(), String::from("x")));
        allowed(all, own, &["MY_*"]).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn an_agent_gets_what_is_allowed_and_its_own() {
        assert_eq!(
            given(Some(&["ANTHROPIC_*", "CLAUDE_CODE_*"])),
            ["PATH", "ANTHROPIC_API_KEY", "GIT_AUTHOR_NAME", "LC_ALL", "MY_OWN"]
        );
    }

    #[test]
    fn a_command_of_the_user_s_gets_all_but_what_misleads() {
        let all =
            ["PATH", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GIT_AUTHOR_NAME", "LC_ALL", "MY_OWN"];
        assert_eq!(given(None), all);
    }

    #[test]
    fn what_is_set_later_wins() {
        let mut env = vec![("PATH".into(), "/bin".into()), ("A".into(), "1".into())];
        path_first(&mut env, Path::new("/ours"));
        set(&mut env, [("A".into(), "2".into())]);
        assert_eq!(env, [("PATH".into(), "/ours:/bin".into()), ("A".to_owned(), "2".to_owned())]);
    }
}
