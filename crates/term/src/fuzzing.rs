//! Names for parsers of this crate that only fuzzers call, behind the feature `fuzzing`. Each is the real one, called as the
//! host or a client calls it. It must not hold any rule of its own.

use crate::dir::RunDir;
use crate::host;
use crate::modes::{ModeScanner, Modes};
use crate::screen::{Model, Screen};
use crate::spec::{Size, Spec};
use crate::{attach, typed};
use std::fs::File;
use std::io;
use std::path::Path;

/// Returns the screen of a model that was fed the file up to each of these offsets in turn, as a watcher's is.
///
/// # Errors
/// When the file cannot be read.
pub fn screen_in_pieces(file: &File, offsets: &[u64], size: Size) -> io::Result<Screen> {
    let mut model = Model::new(size);
    for offset in offsets {
        model.catch_up(file, *offset, Modes::default())?;
    }
    model.screen(file)
}

/// Returns whether bracketed paste and the alternate screen are on after these pieces of output.
pub fn modes_in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (bool, bool) {
    let mut scanner = ModeScanner::default();
    pieces.into_iter().for_each(|piece| scanner.feed(piece));
    (scanner.modes().bracketed_paste, scanner.modes().alternate_screen)
}

/// Returns what a host types for a message's text.
#[must_use]
pub fn typed(text: &str, bracketed: bool) -> Vec<u8> {
    typed::paste(&typed::clean(text), bracketed)
}

/// Returns where a person's keys say that they want to leave.
#[must_use]
pub fn detach(keys: &[u8], detach_key: u8) -> Option<usize> {
    attach::find_detach(keys, detach_key)
}

/// Returns why a spec cannot be run, and the environment that it gives the child.
#[must_use]
pub fn spec(spec: &Spec) -> (Option<&'static str>, Vec<(String, String)>) {
    (spec.fault(), spec.marked_env())
}

/// Opens the record of accepted messages in a run's directory, adds one, and returns whether it was known before.
///
/// # Errors
/// When the file cannot be read or written.
pub fn note_typed(dir: &Path, id: &str) -> io::Result<bool> {
    host::fuzzing_note_typed(&RunDir::new(dir), id)
}
