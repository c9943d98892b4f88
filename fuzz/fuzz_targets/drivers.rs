//! Gives libFuzzer's bytes to the target `drivers`. What it does with them is in `crates/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oarlock_fuzzing::run("drivers", data));
