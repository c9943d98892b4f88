//! The pure core: nouns, facts, requests, effects, and the one machine that relates them.
//!
//! It must not know files, processes, clocks, randomness or git. `#![no_std]` makes the compiler hold it to that:
//! what happens next is a pure function of the log.
#![no_std]

extern crate alloc;

pub mod baton;
pub mod cleanup;
pub mod crew;
pub mod fleet;
pub mod ids;
pub mod machine;
pub mod phrase;
pub mod plan;
pub mod playbook;
pub mod session;
pub mod status;
pub mod text;
