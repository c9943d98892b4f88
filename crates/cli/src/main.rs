//! The command line: one file per verb. Every verb but `daemon` and the hidden ones is a client.

mod commands;
mod connect;
mod demo;
mod error;
mod out;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A host is started for every run and must cost little, so it never meets the argument parser.
    let mut args = std::env::args_os().skip(1);
    match (args.next().as_deref().and_then(|verb| verb.to_str()), args.next()) {
        (Some("host"), Some(folder)) => oarlock_term::host_main(Path::new(&folder)),
        (Some("scripted"), Some(script)) => oarlock_world::scripted::main(Path::new(&script)),
        _ => commands::main(),
    }
}
