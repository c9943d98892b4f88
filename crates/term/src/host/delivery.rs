//! How a message reaches the child: looked for, recorded on disk, looked for again, typed once. It must not know how messages
//! travel.
//!
//! A guarded message is typed in the very turn of the loop in which the screen was found to fit: nothing else is written in
//! between. What the child draws between the last look and the write is seen by nobody; that takes microseconds.

use super::input::Chunk;
use super::output::Read;
use super::service::Service;
use super::terminal::Terminal;
use crate::guard::Lookout;
use crate::protocol::{
    Bracketed, HostFrame, MESSAGE_ID_BYTES_MAX, Message, MessageState, RefusalCode, SETTLE_MS_MAX,
};
use crate::sweep::now_ms;
use crate::typed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The message was not taken: why, for programs and for people.
pub(super) type Refusal = (RefusalCode, String);

/// How long the child has to have been silent for what it drew to count as a picture: larger ones come in pieces, a moment apart.
const SILENCE: Duration = Duration::from_millis(2);
/// How long a look waits for that at most. The host does nothing else meanwhile.
const LOOK_WITHIN: Duration = Duration::from_millis(100);
/// The most bytes taken in for one look: more in a tenth of a second is a flood, and no prompt.
const LOOK_BYTES_MAX: usize = 4 << 20;
/// How often a look is begun anew because something came while it was made.
const LOOKS_MAX: u32 = 4;
/// After how long an unfinished picture counts as one: terminals give up on mode 2026 after about as long.
const REDRAW_MS_MAX: u64 = 1000;
/// How often an Enter waits for a look that could not be had, and how long each time. Then it is not pressed.
const ENTER_LOOKS_MAX: u32 = 20;
const ENTER_AGAIN: Duration = Duration::from_millis(100);

/// What a look at the screen came to, if it does not fit.
enum Misfit {
    /// It shows the wrong things.
    Wrong(String),
    /// What it shows cannot be told at the moment.
    Unclear(String),
}

impl Misfit {
    fn reason(self) -> String {
        match self {
            Self::Wrong(reason) | Self::Unclear(reason) => reason,
        }
    }
}

impl Service<'_> {
    /// The exactly-once path: recorded on disk, then typed; a repeated id is answered and not typed.
    pub fn take_message(&mut self, index: usize, message: &Message) -> HostFrame {
        let id = message.id.clone();
        match self.accept(index, message) {
            Ok(duplicate) => HostFrame::Accepted { id, duplicate },
            Err((code, reason)) => HostFrame::Refused { id, reason, code },
        }
    }

    fn accept(&mut self, index: usize, message: &Message) -> Result<bool, Refusal> {
        if self.viewers[index].read_only {
            return Err((RefusalCode::ReadOnly, super::answer::ONLY_LOOK.to_owned()));
        }
        if message.id.is_empty() || message.id.len() > MESSAGE_ID_BYTES_MAX {
            let reason = format!("a message's id has 1 to {MESSAGE_ID_BYTES_MAX} bytes");
            return Err((RefusalCode::BadMessage, reason));
        }
        if self.inbox.state(&message.id) != MessageState::Unknown {
            return Ok(true);
        }
        let lookout = self.lookout(message)?.map(Rc::new);
        if self.inbox.is_full() {
            return Err((RefusalCode::TooMany, "this run has been sent too many messages".to_owned()));
        }
        self.can_type(self.chunks(message, None).iter().map(|chunk| chunk.bytes.len()).sum())?;
        if let Some(lookout) = &lookout {
            self.is_ready(lookout)?;
        }
        let length = message.text.len();
        self.inbox.accept(&message.id, length).map_err(|error| {
            (RefusalCode::NotRecorded, format!("the message could not be recorded: {error}"))
        })?;
        // A disk takes its time, and a dialog may have come up.
        if let Some(refusal) = lookout.as_ref().and_then(|lookout| self.is_ready(lookout).err()) {
            self.inbox.withdraw(&message.id, length);
            return Err(refusal);
        }
        let chunks = self.chunks(message, lookout.as_ref());
        if chunks.is_empty() {
            self.inbox.ended(&message.id, length, MessageState::Typed);
        }
        chunks.into_iter().for_each(|chunk| self.input.push(chunk));
        if lookout.is_some() {
            self.write_input();
        }
        Ok(false)
    }

    fn lookout(&self, message: &Message) -> Result<Option<Lookout>, Refusal> {
        let Some(guard) = &message.guard else { return Ok(None) };
        if self.terminal.size().is_none() {
            return Err((RefusalCode::BadGuard, super::answer::NO_SCREEN.to_owned()));
        }
        Lookout::new(guard, &message.text).map(Some).map_err(|reason| (RefusalCode::BadGuard, reason))
    }

    /// Returns whether this many bytes can be typed or can wait to be.
    pub fn can_type(&self, bytes: usize) -> Result<(), Refusal> {
        if !self.ending.child_alive() {
            Err((RefusalCode::Ended, "the child has ended".to_owned()))
        } else if self.terminal.writer().is_none() || self.input.ends_after {
            Err((RefusalCode::Ended, "the child's input is closed".to_owned()))
        } else if !self.input.has_room(bytes) {
            Err((RefusalCode::Busy, "the child does not read its input, and no more can wait".to_owned()))
        } else {
            Ok(())
        }
    }

    /// The writes a message takes: its text, and then the submit by itself.
    fn chunks(&self, message: &Message, lookout: Option<&Rc<Lookout>>) -> Vec<Chunk> {
        let is_pty = matches!(self.terminal, Terminal::Pty { .. });
        let is_bracketed = match message.bracketed {
            Bracketed::Auto => is_pty && self.output.modes().bracketed_paste,
            Bracketed::Always => true,
            Bracketed::Never => false,
        };
        let bytes = if message.keys {
            message.text.clone().into_bytes()
        } else {
            typed::paste(&typed::clean(&message.text), is_bracketed)
        };
        let mut chunks = Vec::new();
        if !bytes.is_empty() {
            chunks.push(Chunk::plain(bytes));
        }
        if message.submit && !message.keys {
            // Enter is CR on a terminal; a pipe's lines end with LF.
            let after = Duration::from_millis(message.settle_ms.min(SETTLE_MS_MAX).into());
            let enter = if is_pty { b"\r" } else { b"\n" };
            // An Enter by itself was looked for a moment ago; one after a text is looked for again.
            let guard = lookout.filter(|_| !chunks.is_empty()).cloned();
            chunks.push(Chunk { after, guard, ..Chunk::plain(enter.to_vec()) });
        }
        if let Some(last) = chunks.last_mut() {
            last.ends = Some((message.id.clone(), message.text.len()));
        }
        chunks
    }

    /// Returns whether a guarded text can be typed this very moment.
    fn is_ready(&mut self, lookout: &Lookout) -> Result<(), Refusal> {
        let not_ready = |reason: &str| Err((RefusalCode::NotReady, reason.to_owned()));
        if !self.input.is_empty() {
            return not_ready("something else is still being typed");
        }
        if !self.terminal.writer().is_some_and(|writer| is_ready_for(writer, PollFlags::OUT, Duration::ZERO))
        {
            return not_ready("the child does not read its input");
        }
        self.look(lookout, lookout.is_enter).map_err(|misfit| (RefusalCode::NotReady, misfit.reason()))?;
        let child = self.identity.child.map(|child| child.pid);
        if let Some(child) = child.filter(|_| lookout.foreground && !lookout.is_enter) {
            self.below.shows_prompt(child);
        }
        Ok(())
    }

    /// Writes what is due. An Enter that is guarded is looked for first, and dropped when the screen does not fit.
    pub fn write_input(&mut self) {
        let mut may_pass = false;
        // Each round ends with a guarded write passed, dropped or put off, so the queue is its bound.
        loop {
            let now = Instant::now();
            let Some(writer) = self.terminal.writer() else { return self.input.clear() };
            let flushed = self.input.flush(writer, now, may_pass);
            for (id, bytes) in flushed.typed {
                self.inbox.ended(&id, bytes, MessageState::Typed);
            }
            if flushed.broken {
                self.input.clear();
                self.terminal.close_input();
                return;
            }
            if self.input.ends_after && self.input.is_empty() {
                self.terminal.close_input();
                return;
            }
            let Some((lookout, tries)) = self.input.gate(now) else { return };
            if !is_ready_for(writer, PollFlags::OUT, Duration::ZERO) {
                return;
            }
            may_pass = match self.look(&lookout, true) {
                Ok(()) => true,
                Err(Misfit::Unclear(_)) if tries < ENTER_LOOKS_MAX => {
                    self.input.put_off(ENTER_AGAIN);
                    false
                }
                Err(Misfit::Wrong(_) | Misfit::Unclear(_)) => {
                    if let Some((id, bytes)) = self.input.drop_next() {
                        self.inbox.ended(&id, bytes, MessageState::Unsubmitted);
                    }
                    false
                }
            };
        }
    }

    /// Returns whether the screen fits once all that the child wrote is taken in.
    fn look(&mut self, lookout: &Lookout, is_enter: bool) -> Result<(), Misfit> {
        let until = Instant::now() + LOOK_WITHIN;
        for _ in 0..LOOKS_MAX {
            self.take_in(until)?;
            self.compare(lookout, is_enter)?;
            let has_more = |reader: BorrowedFd<'_>| is_ready_for(reader, PollFlags::IN, Duration::ZERO);
            if !self.terminal.reader().is_some_and(has_more) {
                return Ok(());
            }
        }
        Err(Misfit::Unclear("the screen changes without a pause".to_owned()))
    }

    /// Takes in what the child writes until it is silent for a moment and in the middle of no picture.
    fn take_in(&mut self, until: Instant) -> Result<(), Misfit> {
        let mut taken = 0;
        loop {
            let Some(reader) = self.terminal.reader() else {
                return Err(Misfit::Wrong("the terminal is closed".to_owned()));
            };
            match self.output.pump(reader) {
                Read::Some(count) => taken += count,
                Read::Closed => self.terminal.output_closed(),
                Read::Nothing if self.output.stalled().is_some() => {
                    return Err(Misfit::Unclear("the child's output cannot be kept".to_owned()));
                }
                Read::Nothing => {
                    let is_silent = !is_ready_for(reader, PollFlags::IN, SILENCE);
                    if is_silent && !self.is_redrawing() {
                        return Ok(());
                    }
                }
            }
            if Instant::now() >= until || taken > LOOK_BYTES_MAX {
                return Err(Misfit::Unclear("the child writes without a pause".to_owned()));
            }
        }
    }

    fn is_redrawing(&self) -> bool {
        let age_ms = now_ms().saturating_sub(self.output.last_at_ms().unwrap_or_default());
        self.output.modes().redrawing && age_ms < REDRAW_MS_MAX
    }

    fn compare(&mut self, lookout: &Lookout, is_enter: bool) -> Result<(), Misfit> {
        if lookout.foreground && self.foreground() != Some(true) {
            return Err(Misfit::Wrong("another program has the terminal".to_owned()));
        }
        let lines = self.lines().map_err(Misfit::Unclear)?;
        lookout.objection(&lines, is_enter).map_or(Ok(()), |reason| Err(Misfit::Wrong(reason)))
    }
}

/// Returns whether a descriptor is ready within this time; one that is broken is not.
fn is_ready_for(fd: BorrowedFd<'_>, flags: PollFlags, within: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0) && fds[0].revents().intersects(flags)
}
