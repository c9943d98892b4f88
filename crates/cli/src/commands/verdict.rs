//! `oarlock verdict`: what an overseer says of what it was to judge. Hidden: it is for overseers, inside a run.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use oarlock_world::gate::verdict;

use super::Context;
use crate::error::{CliError, Done};
use crate::out;

/// Bytes read: more than a verdict may have.
const BYTES_MAX: u64 = 1 << 20;

/// Give a verdict about what this run was asked to judge
///
/// It is read at once, and what is wrong with it is said; the last one that was right counts.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock verdict verdict.json\n  oarlock verdict - < verdict.json")]
pub struct Verdict {
    /// The verdict, as JSON; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(_: &Context, wish: &Verdict) -> Done {
    let (Some(path), Ok(binding)) =
        (std::env::var_os(verdict::FILE).map(PathBuf::from), std::env::var(verdict::BINDING))
    else {
        return Err(CliError::Usage(
            "This is not an overseer's run, so there is nothing to judge.".into(),
            "It is for agents that oarlock started to judge.".into(),
        ));
    };
    let mut bytes = Vec::new();
    let read = match wish.file.to_str() {
        Some("-") => std::io::stdin().take(BYTES_MAX).read_to_end(&mut bytes),
        _ => std::fs::File::open(&wish.file).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)),
    };
    read.map_err(|error| CliError::io("read the verdict", &error))?;
    let judged = verdict::parse(&bytes, &binding)
        .map_err(|why| CliError::Usage(why, "Mend it and give it again; it was not taken.".into()))?;
    verdict::write(&path, &bytes).map_err(|error| CliError::io("leave the verdict", &error))?;
    out::line(if judged.is_approval() { "Noted: it is approved." } else { "Noted: it goes back." });
    Ok(())
}
