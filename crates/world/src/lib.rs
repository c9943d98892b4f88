//! Everything of oarlock that touches the outside world.
//!
//! The git side (`git`, `workspace`, `trash`, `landing`) works on paths and object ids alone: it must not know sessions,
//! facts or the daemon. `perform` maps wanted effects to it and to `run`; `observe` turns what happens into facts.

pub mod bridge;
pub mod config;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod git;
pub mod hook;
pub mod init;
pub mod issue;
pub mod landing;
mod observe;
mod perform;
pub mod plant;
mod query;
pub mod relay;
pub mod run;
pub mod scripted;
pub mod trash;
mod trouble;
pub mod workspace;

pub use perform::{Folders, World};
pub use query::{KeptWorkspace, LandingPreview};
