//! `oarlock-model`: the scripted model server as a program, for people who try an agent by hand.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use oarlock_model::{Script, Server};

/// Plays a script to agents that ask for a model, on loopback, until it is ended
#[derive(Parser)]
#[command(name = "oarlock-model")]
struct Args {
    /// The script; the everyday one when missing
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The port; 0 is any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where the port is written once the server listens
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Where each request is appended as a line of JSON
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let script = match &args.script {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
            Script::read(&text).map_err(|error| chain(&error))?
        }
        None => Script::everyday(),
    };
    let server = Server::start(script, args.port, args.log.as_deref()).map_err(|error| chain(&error))?;
    if let Some(path) = &args.port_file {
        // Whoever waits for the file must not read half a number.
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, server.port().to_string())
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
    }
    eprintln!("The script is played at {}.", server.url());
    loop {
        // Until the process is ended; the server has a thread of its own.
        std::thread::park();
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
