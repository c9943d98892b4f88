//! The tour: what oarlock is for, done for real in a throw-away folder, each step checked.
//!
//! It uses the program as a person would, verb by verb, and believes nothing it has not looked at.

mod acts;
mod stage;

use std::path::Path;
use std::time::Instant;

use crate::error::{CliError, Done};
use crate::out;
use stage::Stage;

/// Takes the tour.
pub fn run(keep: bool, folder: Option<&Path>) -> Done {
    let begun = Instant::now();
    let mut stage = Stage::build(folder, keep)?;
    let played = acts::play(&mut stage);
    match played {
        Ok(tally) => {
            acts::summary(&tally, begun.elapsed());
            if keep {
                stage.farewell();
            }
            Ok(())
        }
        Err(stage::Miss::Interrupted) => {
            out::talk("Interrupted; cleaning up.");
            Err(CliError::Said(oarlock_api::exit::INTERRUPTED))
        }
        Err(stage::Miss::Wrong(what)) => {
            stage.leave_folder();
            Err(CliError::failed(
                format!("The demo went wrong: {what}"),
                format!(
                    "The folder is left: {}; the daemon's log is in state/log.",
                    stage.folder().display()
                ),
            ))
        }
    }
}
