//! The command line: one file per verb. Every verb but `daemon` and the hidden ones is a client.

mod commands;
mod connect;
mod demo;
mod error;
mod out;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A host is started for every run, and a hook for every step of an agent: they must cost little, so they never meet the
    // argument parser.
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match (args.first().and_then(|verb| verb.to_str()), args.get(1)) {
        (Some("host"), Some(folder)) => oarlock_term::host_main(Path::new(folder)),
        (Some("bridge"), Some(folder)) => oarlock_world::bridge::main(Path::new(folder)),
        (Some("checks"), Some(job)) => oarlock_world::gate::checks::main(Path::new(job)),
        (Some("confine"), Some(_)) => oarlock_world::gate::confine::main(&args[1..]),
        (Some("hook"), _) => oarlock_world::hook::main(&args[1..]),
        (Some("scripted"), Some(word)) if word == "--pipe" => oarlock_world::scripted::pipe_main(),
        (Some("scripted"), Some(script)) => oarlock_world::scripted::main(Path::new(script)),
        _ => commands::main(),
    }
}
