//! The HTTP surface, asked over its socket as any program could: a daemon of its own for each test.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bench;
mod connections;
mod feed;
mod floods;
mod malformed;
mod pages;
mod requests;
mod shutdown;
mod tokens;
