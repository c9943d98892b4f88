//! The agent of the storm: a program with a screen of its own that looks like a known one, keeps what was submitted to it,
//! and takes note of whatever was typed where nothing may be. It must not know who types.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use serde_json::json;

use super::words::Dice;

/// A look and a write are microseconds apart, unless one of the two loses its processor in between; that much later it is
/// a fault.
const GRACE: Duration = Duration::from_millis(150);
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";
const RULE: &str = "────────────────────────────────────────";

/// What it is in the middle of.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    Turn { since: Instant, until: Instant, dialog_at: Option<Instant> },
    Dialog { since: Instant, until: Instant, told: bool, then: Option<Instant> },
}

/// How it behaves, by the first part of its session's name.
struct Manners {
    turn_ms: (u64, u64),
    /// Out of a hundred turns so many have a dialog in them.
    dialogs_in_turns: u64,
    /// About how often a dialog comes up between turns.
    dialog_every_ms: u64,
    repaints_every_ms: Option<u64>,
    lives_ms: Option<(u64, u64)>,
}

fn manners(kind: &str) -> Manners {
    let plain = Manners {
        turn_ms: (0, 30),
        dialogs_in_turns: 0,
        dialog_every_ms: 0,
        repaints_every_ms: None,
        lives_ms: None,
    };
    match kind {
        "busy" => Manners { turn_ms: (0, 400), dialogs_in_turns: 3, ..plain },
        "redraw" => Manners { repaints_every_ms: Some(25), ..plain },
        "asking" => Manners { turn_ms: (0, 60), dialogs_in_turns: 10, dialog_every_ms: 2_500, ..plain },
        "dying" => Manners { turn_ms: (0, 100), lives_ms: Some((400, 6_000)), ..plain },
        "shell" => Manners { turn_ms: (0, 100), lives_ms: Some((1_000, 9_000)), ..plain },
        _ => plain,
    }
}

/// Files of one session, in a folder outside of its workspace.
pub(super) struct Books {
    folder: PathBuf,
    name: String,
}

impl Books {
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        Self { folder: folder.into(), name: name.into() }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", self.name))
    }

    pub(super) fn note(&self, what: &str, line: &serde_json::Value) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(what)).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }

    /// Returns the lines of one of the files; none when it is not there.
    pub(super) fn lines(&self, what: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path(what)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

struct Tui {
    books: Books,
    dice: Dice,
    manners: Manners,
    inbox: PathBuf,
    line: Vec<u8>,
    is_pasting: bool,
    phase: Phase,
    next_dialog: Option<Instant>,
    next_paint: Option<Instant>,
    dies_at: Option<Instant>,
}

fn between(dice: &mut Dice, (low, high): (u64, u64)) -> Duration {
    Duration::from_millis(low + dice.below(high - low + 1))
}

fn books() -> Books {
    let [folder, name] = ["STORM_FOLDER", "OARLOCK_NAME"].map(|name| std::env::var(name).unwrap());
    Books::of(Path::new(&folder), &name)
}

fn raw_mode() {
    let mut modes = tcgetattr(rustix::stdio::stdin()).unwrap();
    modes.make_raw();
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes).unwrap();
}

/// Returns what was typed until then; nothing once time is up.
fn hear(within: Duration) -> Vec<u8> {
    let timeout = Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    let mut bytes = vec![0; 16 << 10];
    match poll(&mut fds, Some(&timeout)) {
        Ok(count) if count > 0 => {}
        _ => return vec![],
    }
    // A terminal that is gone has nobody to draw for.
    let Ok(count @ 1..) = rustix::io::read(rustix::stdio::stdin(), &mut bytes) else { std::process::exit(0) };
    bytes.truncate(count);
    bytes
}

fn draw(text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        let Ok(count) = rustix::io::write(rustix::stdio::stdout(), bytes) else { std::process::exit(0) };
        bytes = &bytes[count..];
    }
}

/// Not a test: the agent, in a process of its own. Its host ends it.
#[test]
#[ignore = "a program that the storm starts"]
fn draws_a_screen_and_listens() {
    raw_mode();
    let seed = std::env::var("STORM_SEED").unwrap().parse::<u64>().unwrap();
    let inbox = PathBuf::from(std::env::var("OARLOCK_INBOX").unwrap());
    let books = books();
    let draws = books.name.bytes().fold(seed ^ u64::from(std::process::id()), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let manners = manners(books.name.split('-').next().unwrap());
    let mut dice = Dice(draws);
    let now = Instant::now();
    let dies_at = manners.lives_ms.map(|life| now + between(&mut dice, life));
    let next_paint = manners.repaints_every_ms.map(|_| now);
    let (line, phase) = (Vec::new(), Phase::Idle);
    let mut tui = Tui {
        books,
        dice,
        manners,
        inbox,
        line,
        is_pasting: false,
        phase,
        next_dialog: None,
        next_paint,
        dies_at,
    };
    tui.plan_dialog();
    draw("\x1b[?2004h");
    tui.report("started");
    tui.paint();
    tui.report("turn_ended");
    loop {
        tui.keep_time();
        let typed = hear(tui.next_deadline().saturating_duration_since(Instant::now()));
        tui.take(&typed);
    }
}

/// Not a test: what an agent that died left behind in its terminal: a shell, which would run what is typed.
#[test]
#[ignore = "a program that the storm starts"]
fn takes_the_terminal_over() {
    raw_mode();
    // What was on its way to the one who died is nobody's fault.
    tcflush(rustix::stdio::stdin(), QueueSelector::IFlush).unwrap();
    let (books, begun) = (books(), Instant::now());
    draw("\r\nrobin@box:~/shop$ ");
    loop {
        let typed = hear(Duration::from_secs(3600));
        let age = begun.elapsed();
        let what = if age > GRACE { "faults" } else { "windows" };
        let words = String::from_utf8_lossy(&typed);
        if !typed.is_empty() {
            books.note(what, &json!({"into": "shell", "age_ms": age.as_millis() as u64, "typed": words}));
        }
    }
}

impl Tui {
    fn report(&self, event: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.inbox).unwrap();
        let line = json!({"event": event, "payload": {"what": "rm -rf build"}});
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn plan_dialog(&mut self) {
        let every = self.manners.dialog_every_ms;
        let wait = |dice: &mut Dice| between(dice, (every / 4, 2 * every));
        self.next_dialog = (every > 0).then(|| Instant::now() + wait(&mut self.dice));
    }

    fn picture(&self) -> String {
        let input = match (self.line.len(), self.line.contains(&b'\n')) {
            (0..=60, false) => String::from_utf8_lossy(&self.line).into_owned(),
            (length, _) => format!("[Pasted text #1 +{length} bytes]"),
        };
        let footer = match self.phase {
            Phase::Turn { .. } => "  esc to interrupt",
            _ => "  ? for shortcuts",
        };
        let bottom = match self.phase {
            Phase::Dialog { .. } => format!(
                "{RULE}\r\n Bash command\r\n\r\n   rm -rf build\r\n\r\n Do you want to proceed?\r\n ❯ 1. Yes\r\n   2. No\r\n\r\n \
                 Esc to cancel"
            ),
            _ => format!("{RULE}\r\n❯ {input}\r\n{RULE}\r\n{footer}"),
        };
        format!("● What was said before.\r\n\r\n{bottom}")
    }

    /// Draws it all anew: at once, or as some do, in pieces, with or without saying so.
    fn paint(&mut self) {
        let picture = self.picture();
        let Some(every) = self.manners.repaints_every_ms else {
            return draw(&format!("\x1b[2J\x1b[H{picture}"));
        };
        let half = picture.char_indices().nth(picture.chars().count() / 2).map_or(0, |(at, _)| at);
        let (first, rest) = picture.split_at(half);
        match self.dice.below(3) {
            0 => draw(&format!("\x1b[2J\x1b[H{picture}")),
            1 => {
                draw(&format!("\x1b[?2026h\x1b[2J\x1b[H{first}"));
                draw(&format!("{rest}\x1b[?2026l"));
            }
            _ => {
                draw(&format!("\x1b[H{first}"));
                draw(&format!("{rest}\x1b[J"));
            }
        }
        self.next_paint = Some(Instant::now() + Duration::from_millis(every / 2 + self.dice.below(every)));
    }

    fn next_deadline(&self) -> Instant {
        let phase = match self.phase {
            Phase::Idle => None,
            Phase::Turn { until, dialog_at, .. } => dialog_at.or(Some(until)),
            Phase::Dialog { until, .. } => Some(until),
        };
        let far = Instant::now() + Duration::from_secs(60);
        [phase, self.next_dialog, self.next_paint, self.dies_at].into_iter().flatten().min().unwrap_or(far)
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if is_due(self.dies_at) {
            self.books.note("deaths", &json!({}));
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        match self.phase {
            Phase::Turn { until, dialog_at, .. } if is_due(dialog_at) => self.ask(Some(until)),
            Phase::Turn { until, .. } if now >= until => self.end_turn(),
            Phase::Dialog { until, told, then, .. } if now >= until => self.put_down(told, then),
            Phase::Idle if is_due(self.next_dialog) => self.ask(None),
            _ => {}
        }
        if is_due(self.next_dialog) {
            self.plan_dialog();
        }
        if is_due(self.next_paint) {
            self.paint();
        }
    }

    /// Puts up a dialog: in a turn, or out of nowhere.
    fn ask(&mut self, then: Option<Instant>) {
        // What was typed before it is up belongs to the prompt.
        loop {
            let typed = hear(Duration::ZERO);
            if typed.is_empty() {
                break;
            }
            self.take(&typed);
        }
        if let Phase::Turn { since, until, .. } = self.phase {
            self.phase = Phase::Turn { since, until, dialog_at: None };
        }
        if self.is_pasting || matches!(self.phase, Phase::Idle) != then.is_none() {
            return;
        }
        let told = then.is_some() || self.dice.below(2) == 0;
        let tells_first = self.dice.below(2) == 0;
        if told && tells_first {
            self.report("permission_asked");
        }
        let since = Instant::now();
        let until = since + GRACE + between(&mut self.dice, (50, 450));
        self.phase = Phase::Dialog { since, until, told, then };
        self.paint();
        if told && !tells_first {
            self.report("permission_asked");
        }
    }

    /// Takes the dialog away: somebody answered it elsewhere.
    fn put_down(&mut self, told: bool, then: Option<Instant>) {
        let now = Instant::now();
        self.phase = match then {
            Some(until) => Phase::Turn { since: now, until, dialog_at: None },
            None => Phase::Idle,
        };
        self.paint();
        if told {
            self.report("permission_resolved");
        }
        if told && then.is_none() {
            self.report("turn_ended");
        }
    }

    fn end_turn(&mut self) {
        self.phase = Phase::Idle;
        // Some tell of it before it can be seen.
        let tells_first = self.dice.below(20) == 0;
        if tells_first {
            self.report("turn_ended");
        }
        self.paint();
        if !tells_first {
            self.report("turn_ended");
        }
    }

    fn take(&mut self, typed: &[u8]) {
        if typed.is_empty() {
            return;
        }
        let (into, since) = match self.phase {
            Phase::Idle => return self.type_in(typed),
            Phase::Turn { since, .. } => ("turn", since),
            Phase::Dialog { since, .. } => ("dialog", since),
        };
        let age = since.elapsed();
        let what = if age > GRACE { "faults" } else { "windows" };
        let words = String::from_utf8_lossy(typed);
        self.books.note(what, &json!({"into": into, "age_ms": age.as_millis() as u64, "typed": words}));
        match self.phase {
            // It was typed to the prompt: the dialog was not quite up.
            Phase::Dialog { told, then, .. } if age <= GRACE => {
                self.put_down(told, then);
                self.type_in(typed);
            }
            // A real one would take it for an answer.
            Phase::Dialog { .. } => {}
            Phase::Idle | Phase::Turn { .. } => self.type_in(typed),
        }
    }

    fn type_in(&mut self, typed: &[u8]) {
        for byte in typed {
            match (*byte, self.is_pasting) {
                (b'\r' | b'\n', false) => {
                    self.submit();
                    continue;
                }
                (0x15, false) => self.line.clear(),
                (byte, _) => self.line.push(byte),
            }
            for (mark, begins) in [(PASTE_BEGINS, true), (PASTE_ENDS, false)] {
                if self.line.ends_with(mark) {
                    self.line.truncate(self.line.len() - mark.len());
                    self.is_pasting = begins;
                }
            }
        }
        if !self.is_pasting {
            self.paint();
        }
    }

    fn submit(&mut self) {
        let line = std::mem::take(&mut self.line);
        // An Enter at an empty prompt does nothing.
        if line.is_empty() {
            return;
        }
        let now = Instant::now();
        let until = now + between(&mut self.dice, self.manners.turn_ms);
        let asks = self.dice.below(100) < self.manners.dialogs_in_turns;
        let half = until.saturating_duration_since(now) / 2;
        self.phase = Phase::Turn { since: now, until, dialog_at: asks.then_some(now + half) };
        self.paint();
        let run = std::env::var("OARLOCK_RUN").unwrap();
        self.books.note("submitted", &json!({"run": run, "text": String::from_utf8_lossy(&line)}));
        self.report("turn_started");
    }
}

/// Returns the script that stands in the agent's place: it starts this test program as what the session's name says.
pub(super) fn script(folder: &Path, seed: u64) -> String {
    let own = std::env::current_exe().unwrap();
    let call = |what: &str| format!("'{}' --ignored --exact --nocapture --quiet tui::{what}", own.display());
    format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec echo '2.1.329 (Claude Code)'\nexport STORM_FOLDER='{}' STORM_SEED={seed}\n\
         case $OARLOCK_NAME in\nshell-*) {}; exec {} ;;\n*) exec {} ;;\nesac\n",
        folder.display(),
        call("draws_a_screen_and_listens"),
        call("takes_the_terminal_over"),
        call("draws_a_screen_and_listens"),
    )
}

/// Makes an executable file.
pub(super) fn program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(PermissionsExt::from_mode(0o755)).unwrap();
}
