//! The driver of agents that have no protocol but a process for each turn, which prints lines of JSON.
//!
//! It starts one for each thing that is said, lets the agent's own reader read what it prints, and goes on with the
//! conversation that was seen. It must not know any agent: what is run, and how it is read, comes from the agent's file.

use std::collections::VecDeque;

use oarlock_core::ids::MessageId;
use oarlock_core::session::fact::{Hold, Observation, Permissions, TurnEnd};

use crate::drive::{Driver, Say, Show, Step};
use crate::launch::{ARGUMENT_BYTES_MAX, Launch, Place, Plan, Plant, Version, What};
use crate::screen::Answer;
use crate::streams::{self, New, Reader};

/// Things said that wait for the turn under way: nobody says more before he hears an answer.
const WAITING_MAX: usize = 64;
/// Exit codes of a shell, and of the bridge, for a program that cannot be run (POSIX, 2.8.2): no later turn could.
const CANNOT_RUN: [i32; 2] = [126, 127];

/// How one agent is run a turn at a time.
#[derive(Clone, Copy)]
pub struct Way {
    /// Returns what to run for a turn. The launch's prompt is what is said (with the rules already told, when the agent
    /// has no other place for them), its conversation the one to go on with.
    pub plan: fn(&Launch<'_>) -> Plan,
    /// Makes the reader of what is printed.
    pub reader: New,
    /// Whether the launch's new conversation becomes the conversation's name, so that it need not be seen.
    pub is_named_by_us: bool,
}

/// Drives an agent turn by turn.
pub struct Turns {
    way: Way,
    launch: Kept,
    conversation: Option<String>,
    turns: u32,
    under_way: Option<Turn>,
    waiting: VecDeque<Say>,
}

/// A turn under way.
struct Turn {
    reader: Box<dyn Reader>,
    /// The message that began it, until it was seen to be taken up.
    message: Option<MessageId>,
    is_interrupted: bool,
}

/// A launch that outlives what it was made from.
#[derive(Clone)]
struct Kept {
    hold: Hold,
    program: String,
    version: Option<Version>,
    workspace: String,
    folder: String,
    prompt: String,
    prompt_file: String,
    new_conversation: String,
    model: Option<String>,
    permissions: Permissions,
    rules: String,
    args: Vec<String>,
    writes: Vec<String>,
    oarlock: String,
    is_root: bool,
}

impl Turns {
    /// Makes the driver of a launch.
    #[must_use]
    pub fn new(launch: &Launch<'_>, way: Way) -> Self {
        let kept = Kept {
            hold: launch.hold,
            program: launch.program.into(),
            version: launch.version,
            workspace: launch.workspace.into(),
            folder: launch.folder.into(),
            prompt: launch.prompt.into(),
            prompt_file: launch.prompt_file.into(),
            new_conversation: launch.new_conversation.into(),
            model: launch.model.map(Into::into),
            permissions: launch.permissions,
            rules: launch.rules.into(),
            args: launch.args.to_vec(),
            writes: launch.writes.to_vec(),
            oarlock: launch.oarlock.into(),
            is_root: launch.is_root,
        };
        let conversation = launch.conversation.map(Into::into);
        Self { way, launch: kept, conversation, turns: 0, under_way: None, waiting: VecDeque::new() }
    }

    fn begin(&mut self, say: Say) -> Vec<Step> {
        self.turns += 1;
        let plan = self.plan(&say.text);
        let reader = (self.way.reader)();
        self.under_way = Some(Turn { reader, message: say.id, is_interrupted: false });
        vec![
            Step::Show(Show::Told(say.text)),
            Step::Observe(Observation::TurnStarted),
            Step::Start(plan),
            // Some read an open input to its end before they begin.
            Step::CloseInput,
        ]
    }

    fn plan(&self, text: &str) -> Plan {
        let kept = &self.launch;
        // The brief has its file. What comes later and is too long for a command line gets one of its own.
        let inside = format!("said-{}.md", self.turns);
        let own_file = format!("{}/{inside}", kept.folder);
        let is_brief = text == kept.prompt;
        let launch = Launch {
            hold: kept.hold,
            program: &kept.program,
            version: kept.version,
            workspace: &kept.workspace,
            folder: &kept.folder,
            prompt: text,
            prompt_file: if is_brief { &kept.prompt_file } else { &own_file },
            conversation: self.conversation.as_deref(),
            new_conversation: &kept.new_conversation,
            model: kept.model.as_deref(),
            permissions: kept.permissions,
            rules: &kept.rules,
            args: &kept.args,
            command: None,
            writes: &kept.writes,
            oarlock: &kept.oarlock,
            is_root: kept.is_root,
        };
        let mut plan = (self.way.plan)(&launch);
        if !is_brief && (text.len() > ARGUMENT_BYTES_MAX || plan.argv.contains(&own_file)) {
            plan.files.push(Plant { place: Place::Run(inside), what: What::Text(text.into()) });
        }
        plan
    }

    /// Begins the next turn, or waits for what is said next.
    fn go_on(&mut self) -> Vec<Step> {
        match self.waiting.pop_front() {
            Some(say) => self.begin(say),
            None => vec![Step::Stay],
        }
    }
}

impl Driver for Turns {
    fn open(&mut self) -> Vec<Step> {
        vec![Step::Stay]
    }

    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Some(turn) = &mut self.under_way else { return Vec::new() };
        let read = turn.reader.line(line);
        if read.is_empty() {
            return read;
        }
        let taken = turn.message.take().map(Step::Taken);
        taken.into_iter().chain(read).collect()
    }

    fn say(&mut self, say: Say) -> Vec<Step> {
        let Some(turn) = &mut self.under_way else { return self.begin(say) };
        if self.waiting.len() >= WAITING_MAX {
            return vec![Step::Show(Show::Note("Too many messages wait; this one is not taken.".into()))];
        }
        let stops = say.interrupt && !std::mem::replace(&mut turn.is_interrupted, true);
        self.waiting.push_back(say);
        if stops { vec![Step::Stop] } else { Vec::new() }
    }

    fn answer(&mut self, _ask: Option<&str>, _answer: Answer) -> Vec<Step> {
        vec![Step::Show(Show::Note("Nothing was asked: this agent asks nothing when it is run so.".into()))]
    }

    fn interrupt(&mut self) -> Vec<Step> {
        match &mut self.under_way {
            Some(turn) if !turn.is_interrupted => {
                turn.is_interrupted = true;
                vec![Step::Stop]
            }
            _ => Vec::new(),
        }
    }

    fn ended(&mut self, code: Option<i32>, stderr: &str) -> Vec<Step> {
        let Some(turn) = self.under_way.take() else { return self.go_on() };
        let end = match streams::ended(turn.reader.end(), code, stderr) {
            _ if turn.is_interrupted => TurnEnd::Interrupted,
            end => end,
        };
        let mut steps = Vec::new();
        if let Some(seen) = turn.reader.conversation() {
            self.conversation = Some(seen.into());
        } else if self.way.is_named_by_us && matches!(end, TurnEnd::Ok | TurnEnd::Interrupted) {
            let named = self.conversation.get_or_insert_with(|| self.launch.new_conversation.clone());
            let conversation = Some(named.clone());
            steps.push(Step::Observe(Observation::Started { conversation, model: None, version: None }));
        }
        if let (TurnEnd::Ok, Some(message)) = (&end, turn.message) {
            steps.push(Step::Taken(message));
        }
        let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
        if let (TurnEnd::Error(_), Some(last)) = (&end, last) {
            steps.push(streams::note(last));
        }
        if end == TurnEnd::Interrupted {
            steps.push(streams::note("Interrupted."));
        }
        steps.push(Step::Observe(Observation::TurnEnded(end)));
        match code {
            Some(code) if CANNOT_RUN.contains(&code) => {
                steps.push(Step::End(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            _ => steps.extend(self.go_on()),
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way = Way {
        plan: |launch| {
            let mut argv = vec![launch.program.to_owned()];
            argv.extend(launch.conversation.map(|id| format!("--resume={id}")));
            argv.extend(launch.prompt_argument());
            Plan { argv, ..Plan::default() }
        },
        reader: || Box::<streams::cursor::Cursor>::default(),
        is_named_by_us: false,
    };

    fn turns(way: Way) -> Turns {
        let launch = Launch {
            writes: &[],
            hold: Hold::Protocol,
            program: "agent",
            version: None,
            workspace: "/w",
            folder: "/r",
            prompt: "the brief",
            prompt_file: "/r/prompt.md",
            conversation: None,
            new_conversation: "ours",
            model: None,
            permissions: Permissions::Default,
            rules: "",
            args: &[],
            command: None,
            oarlock: "oarlock",
            is_root: false,
        };
        Turns::new(&launch, way)
    }

    fn say(text: &str, id: Option<&str>, interrupt: bool) -> Say {
        Say { id: id.map(MessageId::from), text: text.into(), interrupt }
    }

    fn argv(steps: &[Step]) -> Option<Vec<&str>> {
        steps.iter().find_map(|step| match step {
            Step::Start(plan) => Some(plan.argv.iter().map(String::as_str).collect()),
            _ => None,
        })
    }

    const INIT: &[u8] = br#"{"type":"system","subtype":"init","session_id":"c1"}"#;
    const RESULT: &[u8] = br#"{"type":"result","subtype":"success","is_error":false}"#;

    #[test]
    fn each_thing_said_is_a_process_and_goes_on_with_the_conversation_that_was_seen() {
        let mut turns = turns(WAY);
        assert_eq!(turns.open(), [Step::Stay]);
        let begun = turns.say(say("the brief", None, false));
        assert_eq!(argv(&begun), Some(vec!["agent", "the brief"]));
        assert!(begun.contains(&Step::Observe(Observation::TurnStarted)));
        assert_eq!(begun.last(), Some(&Step::CloseInput));
        turns.line(INIT);
        turns.line(RESULT);
        let over = turns.ended(Some(0), "");
        assert_eq!(over, [Step::Observe(Observation::TurnEnded(TurnEnd::Ok)), Step::Stay]);
        let next = turns.say(say("more", Some("m1"), false));
        assert_eq!(argv(&next), Some(vec!["agent", "--resume=c1", "more"]));
        assert_eq!(turns.line(INIT).first(), Some(&Step::Taken("m1".into())), "it was seen to be taken up");
        assert!(!turns.line(INIT).contains(&Step::Taken("m1".into())), "and that once");
    }

    #[test]
    fn what_is_said_during_a_turn_waits_or_interrupts_it() {
        let mut turns = turns(WAY);
        turns.say(say("the brief", None, false));
        turns.line(INIT);
        assert_eq!(turns.say(say("later", Some("m1"), false)), []);
        assert_eq!(turns.say(say("now", Some("m2"), true)), [Step::Stop]);
        assert_eq!(turns.interrupt(), [], "it is being stopped already");
        let over = turns.ended(None, "");
        assert!(over.contains(&Step::Observe(Observation::TurnEnded(TurnEnd::Interrupted))));
        assert_eq!(argv(&over), Some(vec!["agent", "--resume=c1", "later"]));
        turns.line(RESULT);
        assert_eq!(argv(&turns.ended(Some(0), "")), Some(vec!["agent", "--resume=c1", "now"]));
    }

    #[test]
    fn a_message_that_the_agent_never_saw_is_not_taken() {
        let mut turns = turns(WAY);
        turns.say(say("hello", Some("m1"), false));
        let over = turns.ended(Some(1), "warming up\nError: 401 Unauthorized\n\n");
        assert!(!over.iter().any(|step| matches!(step, Step::Taken(_))), "{over:?}");
        assert!(over.contains(&Step::Observe(Observation::TurnEnded(TurnEnd::Error("auth".into())))));
        assert!(over.contains(&streams::note("Error: 401 Unauthorized")));
        assert_eq!(over.last(), Some(&Step::Stay), "after a login it can go on");
    }

    #[test]
    fn a_program_that_cannot_be_run_ends_it_all() {
        let mut turns = turns(WAY);
        turns.say(say("hello", None, false));
        assert_eq!(turns.ended(Some(127), "").last(), Some(&Step::End(127)));
    }

    #[test]
    fn a_conversation_that_we_named_is_gone_on_with_once_it_is_there() {
        let mut turns =
            turns(Way { is_named_by_us: true, reader: || Box::<streams::goose::Goose>::default(), ..WAY });
        turns.say(say("the brief", None, false));
        turns.ended(Some(1), "network unreachable");
        let again = turns.say(say("again", None, false));
        assert_eq!(argv(&again), Some(vec!["agent", "again"]), "nothing was made by a turn that failed");
        turns.line(br#"{"type":"complete"}"#);
        let over = turns.ended(Some(0), "");
        let started = Observation::Started { conversation: Some("ours".into()), model: None, version: None };
        assert!(over.contains(&Step::Observe(started)));
        assert_eq!(argv(&turns.say(say("more", None, false))), Some(vec!["agent", "--resume=ours", "more"]));
    }

    #[test]
    fn what_is_too_long_for_a_command_line_goes_by_a_file_of_its_own() {
        let mut turns = turns(WAY);
        turns.say(say("the brief", None, false));
        turns.ended(Some(0), "");
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        let begun = turns.say(say(&long, None, false));
        let Some(Step::Start(plan)) = begun.iter().find(|step| matches!(step, Step::Start(_))) else {
            panic!("it starts")
        };
        assert!(plan.argv[1].contains("/r/said-2.md"), "{:?}", plan.argv);
        let place = Place::Run("said-2.md".into());
        assert_eq!(plan.files, [Plant { place, what: What::Text(long) }]);
    }

    #[test]
    fn more_than_anybody_says_is_not_taken() {
        let mut turns = turns(WAY);
        turns.say(say("the brief", None, false));
        for _ in 0..WAITING_MAX {
            assert_eq!(turns.say(say("more", None, false)), []);
        }
        assert!(matches!(turns.say(say("too much", None, false))[..], [Step::Show(Show::Note(_))]));
    }
}
