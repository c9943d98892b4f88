//! Starting the child: finding the program, giving it a terminal or pipes, and saying exactly why when it cannot be.
//! It must not know what happens to the child afterwards.

use super::terminal::{Terminal, winsize};
use crate::dir::RunDir;
use crate::process;
use crate::record::{ChildIdentity, Identity};
use crate::signals;
use crate::spec::{Io, Size, Spec};
use rustix::fd::OwnedFd;
use rustix::fs::{Access, OFlags, access, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{InputModes, OptionalActions, tcgetattr, tcsetattr, tcsetwinsize};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs are looked for when the environment has no PATH.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts the child. It records itself in `host.json` before it becomes the program, so that no program ever runs
/// unrecorded, and then leads a session of its own.
pub(super) fn launch(
    run: &RunDir,
    spec: &Spec,
    identity: &Identity,
) -> Result<(ChildIdentity, Terminal), String> {
    if !spec.cwd.is_dir() {
        return Err(match std::fs::metadata(&spec.cwd) {
            Ok(_) => format!("the working directory {} is not a directory", spec.cwd.display()),
            Err(error) => format!("the working directory {} cannot be used: {error}", spec.cwd.display()),
        });
    }
    let program = find(spec)?;
    let mut command = Command::new(&program);
    command.arg0(&spec.argv[0]).args(&spec.argv[1..]).current_dir(&spec.cwd);
    command.env_clear().envs(spec.marked_env());
    let terminal =
        connect(&mut command, spec.io).map_err(|error| format!("no terminal could be made: {error}"))?;
    let is_pty = matches!(spec.io, Io::Pty { .. });
    let (run, identity) = (run.clone(), identity.clone());
    let become_child = move || {
        rustix::process::setsid()?;
        if is_pty {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        signals::reset_all();
        let own = process::own_identity()?;
        let child = Some(ChildIdentity { pid: own.pid, start_time: own.start_time });
        run.write_json(&run.identity(), &Identity { child, ..identity.clone() })
    };
    // SAFETY: the host has one thread, so after the fork everything may be called that may be called at all.
    unsafe { command.pre_exec(become_child) };
    let child = command.spawn().map_err(|error| explain(&program, &error))?;
    let pid = child.id();
    // Nobody has waited for it, so even if it has ended its entry is there.
    let found = process::stat(pid).ok().flatten();
    let start_time = found.map(|stat| stat.start_time).unwrap_or_default();
    Ok((ChildIdentity { pid, start_time }, terminal))
}

fn connect(command: &mut Command, io: Io) -> io::Result<Terminal> {
    match io {
        Io::Pty { size } => {
            let (master, child_side) = open_pty(size.clamped())?;
            let side = || -> io::Result<Stdio> { Ok(Stdio::from(child_side.try_clone()?)) };
            command.stdin(side()?).stdout(side()?).stderr(side()?);
            Ok(Terminal::Pty { master, _child_side: child_side, size: size.clamped(), is_hung_up: false })
        }
        Io::Pipes => {
            let (child_input, input) = pipe_with(PipeFlags::CLOEXEC)?;
            let (output, child_output) = pipe_with(PipeFlags::CLOEXEC)?;
            // Only our ends must not block; each end of a pipe has flags of its own.
            fcntl_setfl(&input, OFlags::NONBLOCK)?;
            fcntl_setfl(&output, OFlags::NONBLOCK)?;
            command.stdin(Stdio::from(child_input)).stdout(Stdio::from(child_output.try_clone()?));
            command.stderr(Stdio::from(child_output));
            Ok(Terminal::Pipes { input: Some(input), output: Some(output) })
        }
    }
}

fn open_pty(size: Size) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let child_side = ioctl_tiocgptpeer(&master, flags)?;
    let mut modes = tcgetattr(&child_side)?;
    // Erasing takes a whole character, not a byte of it.
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&child_side, OptionalActions::Now, &modes)?;
    tcsetwinsize(&master, winsize(size))?;
    fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
    Ok((master, child_side))
}

/// Finds the program as execvp(3) would with the child's environment, but tells missing from forbidden.
fn find(spec: &Spec) -> Result<PathBuf, String> {
    let name = &spec.argv[0];
    if name.contains('/') {
        let path = spec.cwd.join(name);
        return usable(&path).map(|()| path).map_err(|why| format!("{name} {why}"));
    }
    let path = spec.env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_str());
    let path = path.unwrap_or(PATH_DEFAULT);
    let mut refusal = None;
    for directory in path.split(':') {
        let candidate = spec.cwd.join(directory).join(name);
        match usable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(why) if candidate.exists() => {
                refusal.get_or_insert_with(|| format!("{} {why}", candidate.display()));
            }
            Err(_) => {}
        }
    }
    Err(refusal.unwrap_or_else(|| format!("{name} was not found in PATH ({path})")))
}

fn usable(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "was not found".to_owned(),
        _ => format!("cannot be used: {error}"),
    })?;
    if !meta.is_file() {
        return Err("is not a file".to_owned());
    }
    access(path, Access::EXEC_OK).map_err(|_| "is not executable".to_owned())
}

fn explain(program: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{} names an interpreter which was not found", program.display())
        }
        _ => format!("{} could not be started: {error}", program.display()),
    }
}
