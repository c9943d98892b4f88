//! End to end: the built program, real git, real hosts, a real daemon. Each test is a claim and has a world of its own.
#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod access;
mod adopt;
mod agents;
mod cleanup;
mod clients;
mod clock;
mod config;
mod crash;
mod daemon;
mod disk;
mod display;
mod doctor;
mod events;
mod gate;
#[path = "../harness/mod.rs"]
mod harness;
mod hostile;
mod hosts;
mod init;
mod issue;
mod landing;
mod limits;
mod log;
mod messages;
mod orchestrator;
mod places;
mod relay;
mod repositories;
mod strangers;
mod surface;
mod trash;
