//! Plants what an agent program must find, and prints its environment for a shell: for people who try one by hand.
//!
//! ```text
//! oarlock-model --port 4000 &
//! env -i sh -c "$(cargo run -q -p oarlock-model --example plant -- claude HOME WORKSPACE http://127.0.0.1:4000); claude"
//! ```

// What it prints is what it is for.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;

use oarlock_model::drive::{Agent, Place, agents_dir};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, home, workspace, url] = args.as_slice() else {
        eprintln!("usage: plant AGENT HOME WORKSPACE URL");
        return ExitCode::from(2);
    };
    let Some(agent) = Agent::ALL.into_iter().find(|agent| agent.name() == name) else {
        eprintln!("error: there is no agent \"{name}\"");
        return ExitCode::from(2);
    };
    let (home, agents) = (Path::new(home), agents_dir());
    let setup = agent.setup(&Place { url, home, trusted: &[Path::new(workspace)], agents: &agents });
    if let Err(error) = setup.plant(home) {
        eprintln!("error: failed to write into {}: {error}", home.display());
        return ExitCode::FAILURE;
    }
    for (name, value) in setup.environment(home) {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
    ExitCode::SUCCESS
}
