//! What the fuzzers do with bytes: a function per family of parsers, each of which states what must hold of what comes out.
//!
//! The programs under `fuzz/` give these functions bytes that libFuzzer makes up; a plain test of this crate gives them the
//! corpora that are kept there. A property that does not hold is a panic, for that is what libFuzzer looks for. It must not know
//! libFuzzer, nor hold a parser: all of them are the real ones.
//!
//! Dev only. It must not be used by anything that ships.

pub mod make;
pub mod targets;

/// A family of parsers, by the name of its program and its corpus, and what is done with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order in which they are run.
pub const TARGETS: &[Target] = &[
    ("words", targets::words::run),
    ("reports", targets::reports::run),
    ("script", targets::script::run),
    ("project_file", targets::project_file::run),
    ("requests", targets::requests::run),
    ("feed", targets::feed::run),
    ("protocol", targets::protocol::run),
    ("screen", targets::screen::run),
    ("records", targets::records::run),
    ("git_output", targets::git_output::run),
    ("log", targets::log::run),
    ("fold", targets::fold::run),
    ("streams", targets::streams::run),
    ("documents", targets::documents::run),
    ("hooks", targets::hooks::run),
    ("drivers", targets::drivers::run),
    ("commands", targets::commands::run),
    ("issues", targets::issues::run),
];

/// Gives bytes to a target.
///
/// # Panics
/// When there is no such target, or a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, act) = target.expect("the programs under fuzz/ are named after the targets");
    act(bytes);
}
