//! Gives libFuzzer's bytes to the target `project_file`. What it does with them is in `crates/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oarlock_fuzzing::run("project_file", data));
