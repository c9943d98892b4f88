//! `oarlock completion`.

use clap::Args;
use clap_complete::Shell;

use super::{Context, command_line};
use crate::error::Done;
use crate::out;

/// Print the completion script of a shell
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock completion bash > ~/.local/share/bash-completion/completions/oarlock\n  oarlock completion zsh > ~/.zfunc/_oarlock\n  oarlock completion fish > ~/.config/fish/completions/oarlock.fish"
)]
pub struct Completion {
    /// The shell
    shell: Shell,
}

pub fn run(_: &Context, completion: &Completion) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(completion.shell, &mut command_line(), "oarlock", &mut script);
    out::bytes(&script);
    Ok(())
}
