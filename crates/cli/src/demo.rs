//! The demo.
use crate::error::Done;
use std::path::Path;
pub fn run(_: bool, _: Option<&Path>) -> Done {
    Ok(())
}
