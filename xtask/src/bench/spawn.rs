//! From `spawn` to agents that run, beside `git worktree add` of the same repository. An agent shows that it runs by
//! making a file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::ground::{Ground, run, timed_ms, wait};
use super::suite::Plan;
use super::table::{Line, Samples};

/// Commits of the repository, and files in it.
const COMMITS: usize = 10_000;
const FILES: usize = 400;
/// Bytes of a file: a source file of a page.
const FILE_BYTES: usize = 2_000;
/// Pause between two looks for the agents' files; it is part of what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Measures until 16 agents run.
///
/// # Errors
/// When they do not.
pub fn sixteen(plan: &Plan) -> Result<Vec<Line>, String> {
    let (ours, peer) = measure(plan, 16, plan.times(5, 2))?;
    Ok(vec![Line {
        what: "until 16 agents run".into(),
        unit: "ms",
        ours,
        peers: vec![("git worktree add, 16 in a row".into(), peer)],
        aim: "at most 0.9x",
        note: format!(
            "{COMMITS} commits, {FILES} files of {FILE_BYTES} bytes; the daemon runs, the project is registered"
        ),
    }])
}

/// Measures until one agent runs.
///
/// # Errors
/// When it does not.
pub fn first(plan: &Plan) -> Result<Vec<Line>, String> {
    let (ours, peer) = measure(plan, 1, plan.times(15, 5))?;
    Ok(vec![Line {
        what: "until the first agent runs".into(),
        unit: "ms",
        ours,
        peers: vec![("one git worktree add".into(), peer)],
        aim: "at most 1.2x",
        note: format!("from the start of \"oarlock spawn\"; the same repository of {COMMITS} commits"),
    }])
}

fn measure(plan: &Plan, count: usize, times: usize) -> Result<(Samples, Samples), String> {
    let ground = Ground::new(&plan.oarlock)?;
    let source = large_repository(&ground)?;
    for name in ["repo", "peer"] {
        run(ground.command("git").args(["clone", "-q", "--local"]).arg(&source).arg(ground.path(name)))?;
    }
    ground.start()?;
    run(&mut ground.oarlock(&["project", "add", "."]))?;
    let (mut ours, mut peer) = <(Samples, Samples)>::default();
    for time in 0..times {
        ours.0.push(agents(&ground, count, time)?);
        let begun = Instant::now();
        for number in 0..count {
            let name = format!("w{time}-{number}");
            let mut command = ground.command("git");
            command.current_dir(ground.path("peer")).args(["worktree", "add", "-q", "-b", &name]);
            run(command.arg(ground.path(&name)))?;
        }
        peer.0.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok((ours, peer))
}

/// Returns how long it took until so many agents had begun, in milliseconds.
fn agents(ground: &Ground, count: usize, time: usize) -> Result<f64, String> {
    let folder = ground.path(&format!("ran-{time}"));
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let command = format!(": > '{}'/$$; exec sleep 600", folder.display());
    let begun = Instant::now();
    let name = format!("t{time}");
    timed_ms(&mut ground.oarlock(&["spawn", &count.to_string(), "--name", &name, "--exec", &command]))?;
    let ran = || Ok(fs::read_dir(&folder).is_ok_and(|entries| entries.count() == count));
    wait("the agents to run", LOOK_EVERY, ran)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Makes the repository by `git fast-import`, in a second or so.
fn large_repository(ground: &Ground) -> Result<PathBuf, String> {
    let path = ground.path("source");
    run(ground.command("git").args(["init", "-q", "-b", "main"]).arg(&path))?;
    let failed = |error: std::io::Error| format!("failed to import the repository: {error}");
    let mut command = ground.command("git");
    command.current_dir(&path).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = command.spawn().map_err(failed)?;
    let mut pipe = import.stdin.take().ok_or("git fast-import has no input")?;
    let written = write_history(&mut pipe);
    drop(pipe);
    let ended = import.wait().map_err(failed)?;
    written.map_err(failed)?;
    if !ended.success() {
        return Err("git fast-import failed".into());
    }
    Ok(path)
}

fn write_history(out: &mut impl Write) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(out);
    for commit in 0..COMMITS {
        let subject = format!("Change {commit}");
        write!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@oarlock.invalid> {} +0000\n",
            1_700_000_000 + commit
        )?;
        writeln!(out, "data {}\n{subject}", subject.len())?;
        let files = if commit == 0 { 0..FILES } else { (commit % FILES)..(commit % FILES + 1) };
        for file in files {
            let text = content(file, commit);
            let path = Path::new("src").join(format!("part-{}", file % 20)).join(format!("file-{file}.txt"));
            write!(out, "M 100644 inline {}\ndata {}\n{text}\n", path.display(), text.len())?;
        }
    }
    out.flush()
}

/// A file whose text differs from file to file and, in one line, from commit to commit.
fn content(file: usize, commit: usize) -> String {
    let mut text = format!("{file} as of {commit}\n");
    let mut line = 0;
    while text.len() < FILE_BYTES {
        text.push_str(&format!(
            "line {line} of file {file}: {}\n",
            (line * 7919 + file * 104_729) % 1_000_003
        ));
        line += 1;
    }
    text
}
