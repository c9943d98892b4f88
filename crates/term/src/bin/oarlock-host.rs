//! A host by itself, for the tests and for anyone who wants to look at one. The product calls `host_main` from a hidden
//! verb of its own binary; this must know nothing more than that call.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(dir) => oarlock_term::host_main(Path::new(&dir)),
        None => {
            eprintln!("usage: oarlock-host DIR");
            ExitCode::from(2)
        }
    }
}
