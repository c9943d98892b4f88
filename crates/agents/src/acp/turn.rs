//! A turn: what is told of it while it goes on, and how it ended. That it ended does not mean that it succeeded, and some
//! agents say so only in words.

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde_json::json;

use crate::drive::{Show, Step};
use crate::lenient::{members, word};
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};

use super::call::Call;
use super::wire::{self, Block, Prompted, Update, read};
use super::{Acp, CALLS_MAX, RAW_BYTES_MAX};

/// Most characters of an agent's thinking shown at once.
const THOUGHT_CHARS_MAX: usize = 600;
/// Most bytes of its thinking gathered for that.
const THOUGHT_BYTES_MAX: usize = 4 * THOUGHT_CHARS_MAX;
/// Most bytes of what a tool gave that are shown.
const OUTPUT_BYTES_MAX: usize = 2048;

/// The turn under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Whether anything was said, thought or done in it.
    is_alive: bool,
    /// Whether tokens were counted in it.
    is_counted: bool,
    /// How the last chunk of words that was not empty began.
    last_words: String,
    is_cancelled: bool,
}

impl Acp {
    pub(super) fn updated(&mut self, update: &Update<'_>) {
        match word(update.session_update.as_ref()) {
            "agent_message_chunk" => self.words(update),
            "agent_thought_chunk" => {
                let block: Block<'_> = read(update.content);
                self.lives();
                self.answers();
                if self.thought.len() < THOUGHT_BYTES_MAX {
                    self.thought.push_str(word(block.text.as_ref()));
                }
            }
            "tool_call" | "tool_call_update" => {
                self.is_answered = false;
                self.tool(update);
            }
            "usage_update" => {
                let usage = self.quirks.usage.of_context(update, &self.last_usage);
                if let Some(usage) = usage
                    && (usage.context, usage.cost_micros) != self.last_context
                {
                    self.last_context = (usage.context, usage.cost_micros);
                    self.observe(Observation::Used(usage));
                }
            }
            // Plans, modes, commands and titles change nothing of what is known here.
            _ => {}
        }
    }

    fn lives(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.is_alive = true;
        }
    }

    /// Words come in: once for each answer, where somebody else may have told that it has to be waited for.
    fn answers(&mut self) {
        let was_limited = std::mem::take(&mut self.is_limited);
        if !std::mem::replace(&mut self.is_answered, true) && (self.quirks.limits_by_hook || was_limited) {
            self.observe(Observation::Answers);
        }
    }

    fn words(&mut self, update: &Update<'_>) {
        let name = format!("call-{}", self.counted + 1);
        if let Some((usage, raw)) = self.quirks.usage.of_chunk(update, &name) {
            self.counted += 1;
            self.count(usage, raw.get());
        }
        let block: Block<'_> = read(update.content);
        let words = match word(block.kind.as_ref()) {
            "text" | "" => word(block.text.as_ref()).to_owned(),
            other => format!("[{}]", text::line(other, 40)),
        };
        if words.is_empty() {
            return;
        }
        self.flush_thought();
        if !self.quirks.errors_begin.iter().any(|begin| words.starts_with(begin)) {
            self.answers();
        }
        if let Some(turn) = &mut self.turn {
            turn.is_alive = true;
            turn.last_words = words[..words.floor_char_boundary(RAW_BYTES_MAX)].into();
        }
        self.words_open = true;
        self.out.push(Step::Show(Show::Words { text: words, whole: false }));
    }

    fn flush_thought(&mut self) {
        let thought = std::mem::take(&mut self.thought);
        let thought = text::clean(&thought);
        let thought = thought.trim();
        if !thought.is_empty() {
            let shown = text::line(thought, THOUGHT_CHARS_MAX);
            self.out.push(Step::Show(Show::Thought(shown)));
        }
    }

    pub(super) fn close_words(&mut self) {
        self.flush_thought();
        if std::mem::take(&mut self.words_open) {
            self.out.push(Step::Show(Show::Words { text: String::new(), whole: true }));
        }
    }

    fn count(&mut self, usage: oarlock_core::session::fact::Usage, raw: &str) {
        let counts = usage.output > 0 || usage.input > 0;
        let grew =
            usage.output > self.last_usage.output || usage.span != oarlock_core::session::fact::Span::Run;
        if let Some(turn) = &mut self.turn
            && counts
            && grew
        {
            turn.is_counted = true;
        }
        self.last_usage = usage.clone();
        self.observe(Observation::Used(usage));
        if raw.len() <= RAW_BYTES_MAX {
            self.out.push(Step::Raw(raw.into()));
        }
    }

    /// Takes in what an update says of a call, and returns the call's id. Its start is told once it is known what it is
    /// called for, or `now`.
    pub(super) fn learn_call(&mut self, update: &Update<'_>, now: bool) -> String {
        let id = text::line(word(update.tool_call_id.as_ref()), ID_CHARS_MAX);
        let at = match self.calls.iter().position(|call| call.id == id) {
            Some(at) => at,
            None => {
                if self.calls.len() >= CALLS_MAX {
                    self.calls.pop_front();
                }
                self.calls.push_back(Call { id: id.clone(), ..Call::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        call.learn(update, &self.workspace);
        if !call.is_told && (now || call.is_known) {
            call.is_told = true;
            let what = text::line(&call.what, NOTE_CHARS_MAX);
            let name = text::line(&call.name, ID_CHARS_MAX);
            self.close_words();
            self.out.push(Step::Show(Show::Tool(what.clone())));
            self.observe(Observation::ToolStarted { id: id.clone(), name, what });
        }
        id
    }

    fn tool(&mut self, update: &Update<'_>) {
        self.lives();
        let status = word(update.status.as_ref());
        let over = matches!(status, "completed" | "failed");
        if over
            && self
                .calls
                .iter()
                .all(|call| Some(call.id.as_str()) != update.tool_call_id.as_ref().map(|id| &*id.0))
            && update.title.is_none()
        {
            // The end of a call that nothing is known of, such as one from before the client was there.
            return;
        }
        let id = self.learn_call(update, over);
        if !over {
            return;
        }
        self.calls.retain(|call| call.id != id);
        let output = output(update);
        if !output.is_empty() {
            self.out.push(Step::Show(Show::Output(output)));
        }
        self.observe(Observation::ToolEnded { id, ok: status == "completed" });
    }

    pub(super) fn cancel(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        if std::mem::replace(&mut turn.is_cancelled, true) {
            return;
        }
        let params = json!({"sessionId": self.session});
        self.out.push(Step::Send(wire::notification("session/cancel", &params)));
        self.cancel_asks();
    }

    pub(super) fn turn_answered(&mut self, prompted: &Prompted<'_>) {
        let name = format!("turn-{}", self.turns);
        if let Some((usage, raw)) = self.quirks.usage.of_prompt(prompted, &name) {
            self.count(usage, raw.get());
        }
        self.close_words();
        let Some(turn) = self.turn.take() else { return };
        let end = match word(prompted.stop_reason.as_ref()) {
            "cancelled" => TurnEnd::Interrupted,
            "end_turn" => self.end_of(&turn),
            "max_turn_requests" | "max_tokens" => TurnEnd::Error("limit".into()),
            "refusal" => TurnEnd::Error("error".into()),
            _ if turn.is_cancelled => TurnEnd::Interrupted,
            _ => TurnEnd::Unknown,
        };
        let words = match &end {
            TurnEnd::Interrupted => "Interrupted.".into(),
            TurnEnd::Error(class) => format!("The turn ended with an error: {class}."),
            TurnEnd::Unknown => "The turn ended, and how is not known.".into(),
            TurnEnd::Ok => String::new(),
        };
        self.end_turn(end, &words);
    }

    /// Judges a turn that ended "well": by an error told in words, and by silence.
    fn end_of(&self, turn: &Turn) -> TurnEnd {
        let words = turn.last_words.trim_start();
        let says_so = self.quirks.errors_begin.iter().any(|begin| words.starts_with(begin));
        let class = trouble::class(words);
        if says_so && (class != "error" || !turn.is_counted) {
            return TurnEnd::Error(class.into());
        }
        match (turn.is_alive, self.quirks.silence_is_an_error) {
            (true, _) => TurnEnd::Ok,
            (false, true) => TurnEnd::Error("error".into()),
            (false, false) => TurnEnd::Unknown,
        }
    }

    pub(super) fn turn_refused(&mut self, words: &str, class: &str) {
        self.close_words();
        let Some(turn) = self.turn.take() else { return };
        if turn.is_cancelled {
            self.end_turn(TurnEnd::Interrupted, "Interrupted.");
        } else {
            self.end_turn(TurnEnd::Error(class.into()), words);
        }
    }

    /// Ends the turn, and begins the next when something waits to be said.
    pub(super) fn end_turn(&mut self, end: TurnEnd, words: &str) {
        self.cancel_asks();
        self.calls.clear();
        if !words.is_empty() {
            self.note(words);
        }
        self.observe(Observation::TurnEnded(end));
        self.go_on();
    }
}

/// Returns what a tool gave, cut: texts, and where there are none the names of what there is.
fn output(update: &Update<'_>) -> String {
    let blocks: Vec<Block<'_>> = members(update.content);
    let mut given = String::new();
    for block in &blocks {
        let inner: Block<'_> = read(block.content);
        let words = word(inner.text.as_ref());
        if words.is_empty() || given.len() >= OUTPUT_BYTES_MAX {
            continue;
        }
        given.push_str(words);
        given.push('\n');
    }
    let cut = given.floor_char_boundary(OUTPUT_BYTES_MAX);
    let marks = if cut < given.len() { "…" } else { "" };
    let given = text::clean(given[..cut].trim_end());
    format!("{given}{marks}")
}
