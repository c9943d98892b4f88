//! Which agent programs there are, from where, and in which version. The one place where a version is written.

/// Where a package is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A package of npm.
    Npm(&'static str),
    /// A package of Python's index; its module has the program's name.
    Pip(&'static str),
}

/// An agent program, or what others run on.
#[derive(Debug)]
pub struct Package {
    /// Our word for it.
    pub name: &'static str,
    /// Where it is from.
    pub from: From,
    /// The one version that tests know.
    pub version: &'static str,
    /// What its program is called.
    pub program: &'static str,
    /// Whether it starts within two seconds, cheap enough for ordinary runs of the tests.
    pub light: bool,
}

/// The name of what most of them run on; the Node of the machine may be too old.
pub const NODE: &str = "node";

/// All of them. Each ships daily; a version moves here, with a run of `cargo xtask agents try`.
pub const TABLE: &[Package] = &[
    npm(NODE, "node", "22.23.3", "node", true),
    npm("claude", "@anthropic-ai/claude-code", "2.1.329", "claude", true),
    npm("codex", "@openai/codex", "0.169.0", "codex", true),
    npm("copilot", "@github/copilot", "1.0.102", "copilot", true),
    npm("gemini", "@google/gemini-cli", "0.61.0", "gemini", true),
    npm("opencode", "opencode-ai", "1.18.33", "opencode", false),
    npm("qwen", "@qwen-code/qwen-code", "0.24.4", "qwen", false),
    npm("kimi", "@moonshot-ai/kimi-code", "2.1.0", "kimi", false),
    Package {
        name: "aider",
        from: From::Pip("aider-chat"),
        version: "0.86.2",
        program: "aider",
        light: false,
    },
];

const fn npm(
    name: &'static str,
    package: &'static str,
    version: &'static str,
    program: &'static str,
    light: bool,
) -> Package {
    Package { name, from: From::Npm(package), version, program, light }
}
