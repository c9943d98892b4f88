//! Every script under `spec/` says what the core does today. `OARLOCK_UPDATE=1` rewrites what comes out.
//!
//! A harness of its own, so that each script is a test with its own name.

#![expect(clippy::print_stdout, reason = "a harness reports on standard output")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oarlock_sim::script;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec");
    let args: Vec<String> = std::env::args().skip(1).collect();
    // What follows "--format" is no name: a runner asks for the list as "--list --format terse".
    let words = args.iter().enumerate().filter(|(at, _)| *at == 0 || args[at - 1] != "--format");
    let wanted = words.map(|(_, arg)| arg).find(|arg| !arg.starts_with('-'));
    let mut scripts = Vec::new();
    for folder in ["session", "supervise", "relay", "gate"] {
        scripts.extend(texts_in(&root.join(folder)));
    }
    assert!(!scripts.is_empty(), "there are scripts under {}", root.display());
    let name =
        |path: &Path| path.strip_prefix(&root).unwrap_or(path).with_extension("").display().to_string();
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let exact = has("--exact");
    scripts.retain(|path| {
        let name = name(path);
        wanted.is_none_or(|wanted| if exact { name == *wanted } else { name.contains(wanted.as_str()) })
    });
    if has("--ignored") {
        scripts.clear();
    }
    if has("--list") {
        scripts.iter().for_each(|path| println!("{}: test", name(path)));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for path in &scripts {
        match check(path) {
            Ok(()) => println!("test {} ... ok", name(path)),
            Err(why) => {
                failed += 1;
                println!("test {} ... FAILED\n{why}", name(path));
            }
        }
    }
    println!("\n{} scripts, {failed} failed", scripts.len());
    ExitCode::from(u8::from(failed > 0))
}

fn texts_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut texts: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts.sort();
    texts
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if !text.starts_with("# ") {
        return Err("a script begins with a comment that says which rule it shows".into());
    }
    let today = script::run(&text)?;
    if today == text {
        return Ok(());
    }
    if std::env::var_os("OARLOCK_UPDATE").is_some_and(|value| value == "1") {
        return fs::write(path, today).map_err(|error| error.to_string());
    }
    Err(script::diff(&text, &today))
}
