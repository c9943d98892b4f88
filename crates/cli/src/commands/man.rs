//! `oarlock man`.

use std::path::PathBuf;

use clap::Args;

use super::{Context, command_line};
use crate::error::{CliError, Done};
use crate::out;

/// Print the manual page, or write a page for every verb
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock man | man -l -\n  oarlock man ~/.local/share/man/man1")]
pub struct Man {
    /// Write all pages into this folder
    folder: Option<PathBuf>,
}

pub fn run(_: &Context, man: &Man) -> Done {
    let failed = |error: std::io::Error| CliError::io("write the manual", &error);
    match &man.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(command_line(), folder).map_err(failed)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command_line()).render(&mut page).map_err(failed)?;
            out::bytes(&page);
            Ok(())
        }
    }
}
