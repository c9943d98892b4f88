//! The words of a script, and what they mean.
//!
//! Requests read like the command line: `project add PATH`, `project rm ID`, `spawn NAME as ID on PROJECT telling: PROMPT`
//! (`relaying A,*B,C legs N by AGENT,AGENT` makes it a relay over these phases, B ticked off; `gating CHECK,CHECK rounds N after
//! NAME hold by BUILDER,OVERSEER` makes it a gate, `-` for no check),
//! with `about ISSUE` and `again` before the colon,
//! `send NAME MESSAGE: TEXT`, `stop|kill|reject|forget|rm|undo NAME`, `resume NAME: PROMPT`,
//! `land NAME --now --keep --squash`, `rename NAME NEW`, `find TEXT`. `(ID)` in front gives the request's id.
//!
//! Facts are seen (`NAME sees FACT`) or answer an effect (`NAME KEY -> FACT; FACT`, `nothing` for none). Both: `ready`,
//! `removed to trash`, `removed nothing`, `up`, `fails: WHY`, `fails for now: WHY`, `refused CODE: WHY`, `typed`,
//! `held`, `not typed: WHY`, `not typed for good: WHY`, `landed`, `work HEAD ahead N dirty N`, `message M typed|taken run N`, and
//! of a run, `run N` with `up`, `exits N: LAST WORDS`, `dies of signal N`, `not started: WHY`, `host lost`,
//! `begins a turn`, `ends its turn`, `ends its turn with error CLASS`, `asks permission: WHAT`, `permission resolved`,
//! `asks: WHAT`, `is rate limited`, `uses context TOKENS`, of a leg `asked`, `leaves HEAD derived edited: BATON`, `claims done|phase_done|handing_off|stuck: NOTE`, `is conversation ID`, `takes M`.

use oarlock_core::crew::Spawn;
use oarlock_core::fleet;
use oarlock_core::ids::{MessageId, Name, Oid, ProjectId, RequestId, RunId, SessionId, Timestamp};
use oarlock_core::machine::Key;
use oarlock_core::playbook::gate::Check;
use oarlock_core::playbook::relay::{self, Ask, Close, Closed, LegBrief, PhaseRef, PlanRef};
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::{
    Adopted, Agent, Answer, Author, Begun, Claim, Exit, Fact, Farewell, How, Issue, LandWish, Observation,
    Receipt, Role, Showing, Source, Span, Trouble, TurnEnd, Usage, When, Work, WorkspaceKind,
};
use oarlock_core::session::{Effect, MessageState, Request};

use super::gates;

/// Makes a request once its id is known.
pub type Make<R> = Box<dyn FnOnce(RequestId) -> R>;

/// A line of a script.
pub enum Input {
    /// Time passes, or jumps back.
    Pass {
        /// Whether it goes on.
        forward: bool,
        /// How far, in milliseconds.
        ms: u64,
    },
    /// The daemon dies and is started again.
    Crash,
    /// A person looks for a session.
    Find(String),
    /// A person begins a session.
    Spawn {
        /// The request's id, when the script gives one.
        request: Option<String>,
        /// What is wished, under an empty request id.
        spawn: Box<Spawn>,
    },
    /// A wish about projects.
    Fleet {
        /// The request's id, when the script gives one.
        request: Option<String>,
        /// The wish.
        make: Make<fleet::Request>,
    },
    /// A wish about a session.
    Ask {
        /// The request's id, when the script gives one.
        request: Option<String>,
        /// The session's id or name.
        session: String,
        /// The wish.
        make: Make<Request>,
    },
    /// Something was seen.
    Seen {
        /// The session's id or name.
        session: String,
        /// What, for [`seen`].
        fact: String,
    },
    /// An effect came back.
    Settled {
        /// The session's id or name.
        session: String,
        /// Its key, or a pattern with one `*`.
        key: String,
        /// What came of it, for [`answer`].
        facts: Vec<String>,
    },
}

/// Reads a line.
///
/// # Errors
/// When it means nothing.
pub fn parse(line: &str) -> Result<Input, String> {
    let clock = [("+", true), ("-", false)].into_iter().find_map(|(sign, forward)| {
        line.strip_prefix(sign).and_then(duration_ms).map(|ms| Input::Pass { forward, ms })
    });
    if let Some(pass) = clock {
        return Ok(pass);
    }
    if line == "crash" {
        return Ok(Input::Crash);
    }
    if let Some((session, rest)) = line.split_once(" sees ") {
        return Ok(Input::Seen { session: session.into(), fact: rest.into() });
    }
    if let Some((head, facts)) = line.split_once(" ->") {
        let (session, key) = head.split_once(' ').ok_or("a session and a key stand before ->")?;
        let facts = facts.split(';').map(|fact| fact.trim().to_owned());
        let facts = facts.filter(|fact| !fact.is_empty() && fact != "nothing").collect();
        return Ok(Input::Settled { session: session.into(), key: key.into(), facts });
    }
    wish(line)
}

/// Reads `5s`, `500ms`, `2m` or `1h`.
fn duration_ms(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    units.into_iter().find_map(|(unit, ms)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * ms))
}

fn wish(line: &str) -> Result<Input, String> {
    let (request, line) = match line.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((id, rest)) => (Some(id.to_owned()), rest),
        None => (None, line),
    };
    let (head, text) = match line.split_once(':') {
        Some((head, text)) => (head, text.trim().to_owned()),
        None => (line, String::new()),
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    match words[..] {
        ["find", text] => Ok(Input::Find(text.into())),
        ["spawn", ref rest @ ..] => Ok(Input::Spawn { request, spawn: Box::new(spawn(rest, text)?) }),
        ["project", "add", path] => {
            let path = path.to_owned();
            Ok(Input::Fleet { request, make: Box::new(|id| fleet::Request::AddProject(id, path)) })
        }
        ["project", "rm", project] => {
            let project = ProjectId::from(project);
            Ok(Input::Fleet { request, make: Box::new(|id| fleet::Request::RemoveProject(id, project, 0)) })
        }
        [verb, session, ref rest @ ..] => {
            let make = session_wish(verb, rest, text).ok_or_else(|| format!("what is {line:?}?"))?;
            Ok(Input::Ask { request, session: session.into(), make })
        }
        _ => Err(format!("what is {line:?}?")),
    }
}

fn session_wish(verb: &str, rest: &[&str], text: String) -> Option<Make<Request>> {
    Some(match (verb, rest) {
        ("send", [message]) => {
            let message = MessageId::from(*message);
            Box::new(|id| Request::Send(id, message, Author::Person, text, When::Idle))
        }
        ("send", [message, when]) => {
            let message = MessageId::from(*message);
            let when = match *when {
                "now" => When::Now,
                "interrupting" => When::Interrupt,
                _ => return None,
            };
            Box::new(move |id| Request::Send(id, message, Author::Person, text, when))
        }
        ("answer", [word]) => {
            let answer = match *word {
                "allow" => Answer::Allow,
                "always" => Answer::AllowAlways,
                "deny" => Answer::Deny(text),
                "words" => Answer::Words(text),
                _ => return None,
            };
            Box::new(|id| Request::Answer(id, None, answer))
        }
        ("stop", []) => Box::new(Request::Stop),
        ("kill", []) => Box::new(Request::Kill),
        ("resume", []) => Box::new(|id| Request::Resume(id, text, None)),
        ("rename", [name]) => {
            let name = Name::parse(name)?;
            Box::new(|id| Request::Rename(id, name))
        }
        ("land", options) => {
            let has = |option| options.contains(&option);
            let (how, keep, now) =
                (if has("--squash") { How::Squash } else { How::Merge }, has("--keep"), has("--now"));
            let wish =
                LandWish { how, message: None, committed_only: now, expect_base: None, keep, approved: None };
            Box::new(move |id| Request::Land(id, wish, now))
        }
        ("reject", []) => Box::new(|id| Request::Part(id, Farewell::Rejected)),
        ("forget", []) => Box::new(|id| Request::Part(id, Farewell::Forgotten)),
        ("rm", []) => Box::new(|id| Request::Part(id, Farewell::Removed)),
        ("undo", []) => Box::new(Request::Undo),
        _ => return None,
    })
}

fn spawn(words: &[&str], prompt: String) -> Result<Spawn, String> {
    let (mut name, mut id, mut project, mut tells_of_turns) = (None, None, "app", false);
    let (mut relay, mut legs, mut agents) = (None, None, None::<Vec<String>>);
    let (mut reference, mut again) = (None, false);
    let (mut gated, mut is_gate) = (super::gates::Wish::default(), false);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "as" => id = rest.next().copied(),
            "telling" => tells_of_turns = true,
            "relaying" => relay = rest.next().map(|phases| relay_of(phases)),
            "legs" => legs = rest.next().and_then(|legs| legs.parse().ok()),
            "by" => agents = rest.next().map(|names| names.split(',').map(str::to_owned).collect()),
            "again" => again = true,
            "gating" => {
                is_gate = true;
                let checks = rest.next().copied().unwrap_or("-").split(',');
                gated.checks = checks.filter(|check| *check != "-").map(str::to_owned).collect();
            }
            "rounds" => gated.rounds = rest.next().and_then(|rounds| rounds.parse().ok()),
            "after" => gated
                .after
                .extend(rest.next().map(|name| (SessionId(format!("id-{name}")), Name::from(*name)))),
            "hold" => gated.hold = true,
            "about" => reference = rest.next().map(|word| (*word).to_owned()),
            "on" => project = rest.next().copied().unwrap_or(project),
            word => name = Some(word),
        }
    }
    let agent = |name: &String| Agent { tells_of_turns, ..Agent::named(name) };
    let mut agents: Vec<Agent> =
        agents.unwrap_or_else(|| vec!["claude-code".to_owned()]).iter().map(agent).collect();
    let playbook = match relay {
        Some(plan) => Playbook::Relay(relay::Options {
            plan,
            budget: 100_000,
            legs_max: legs.unwrap_or(50),
            agents: agents.clone(),
            ms_max: None,
            cost_micros_max: None,
        }),
        None if is_gate => Playbook::Gate(gated.options(&agents)),
        None => Playbook::Supervise(supervise::Options {}),
    };
    let id = id.map(str::to_owned).or_else(|| name.map(|name| format!("id-{name}")));
    // In a script the prompt is all that the issue says.
    let issue = reference.map(|reference| Issue { reference: Some(reference), title: prompt.clone() });
    Ok(Spawn {
        request: RequestId::default(),
        id: SessionId(id.ok_or("a spawn without a name needs \"as ID\"")?),
        project: project.into(),
        name: name.map(|name| Name::parse(name).ok_or(format!("{name} is no name"))).transpose()?,
        agent: agents.remove(0),
        prompt,
        branch: None,
        base: None,
        workspace: WorkspaceKind::Worktree,
        playbook,
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue,
        again,
    })
}

/// Returns a plan of phases with these names, parted by commas; `*` before a name ticks the phase off.
pub(crate) fn relay_of(phases: &str) -> PlanRef {
    let phase = |name: &str| PhaseRef {
        label: String::new(),
        title: name.trim_start_matches('*').into(),
        is_ticked: name.starts_with('*'),
        lines: (1, 1),
        checks: vec![],
    };
    PlanRef {
        digest: "d1".into(),
        source: "/src/plan.md".into(),
        title: String::new(),
        unit: "phase".into(),
        phases: phases.split(',').map(phase).collect(),
    }
}

fn trouble(text: &str) -> Trouble {
    let (code, message) = text.split_once(':').unwrap_or(("io", text));
    Trouble { code: code.trim().into(), message: message.trim().into(), hint: String::new(), paths: vec![] }
}

/// Reads what came of an effect.
///
/// # Errors
/// When it means nothing, or nothing for this effect.
pub fn answer(
    text: &str,
    id: &SessionId,
    key: &Key,
    effect: Option<&Effect>,
    checks: &[Check],
) -> Result<Fact, String> {
    let because = |prefix: &str| text.strip_prefix(prefix).map(|why| trouble(&format!("io:{why}")));
    let failed = |trouble, transient| Ok(Fact::PerformFailed { key: key.clone(), trouble, transient });
    if let Some(trouble) = because("fails for now:") {
        return failed(trouble, true);
    }
    if let Some(trouble) = because("fails:") {
        return failed(trouble, false);
    }
    if let Some(why) = text.strip_prefix("refused ") {
        let (key, trouble) = (key.clone(), trouble(why));
        return match key.kind() {
            "land" => Ok(Fact::LandRefused { key, trouble }),
            "remove" => Ok(Fact::RemovalRefused { key, trouble }),
            "undo" => Ok(Fact::UndoRefused { key, trouble }),
            kind => Err(format!("{kind} cannot be refused")),
        };
    }
    match (text, effect) {
        ("ready", Some(Effect::PrepareWorkspace { brief } | Effect::RestoreWorkspace { brief, .. })) => {
            Ok(ready(id, &brief.branch, None))
        }
        ("ready untouched", Some(Effect::PrepareWorkspace { brief })) => {
            let work = Work { head: Oid::from("c0"), ..Work::default() };
            Ok(ready(id, &brief.branch, Some(work)))
        }
        ("removed to trash", Some(Effect::RemoveWorkspace { trash, .. })) => {
            Ok(Fact::WorkspaceRemoved { trash: Some(trash.clone()), branch_kept: true })
        }
        ("removed nothing", _) => Ok(Fact::WorkspaceRemoved { trash: None, branch_kept: true }),
        ("up", Some(Effect::StartRun { run, role, .. })) => Ok(up_as(*run, *role)),
        ("landed", Some(Effect::Land { base_branch, .. })) => Ok(Fact::Landed {
            key: key.clone(),
            oid: Oid::from("c9"),
            base_before: Oid::from("c0"),
            head: Oid::from("c1"),
            onto: base_branch.clone(),
            commits: 1,
            notes: vec![],
        }),
        ("pressed", Some(Effect::Press { message, number, .. })) => {
            Ok(Fact::Pressed { message: message.clone(), number: *number })
        }
        ("interrupted", Some(Effect::Interrupt { run, message })) => {
            Ok(Fact::Interrupted { message: message.clone(), run: *run })
        }
        ("asked", Some(Effect::Ask { run, ask, .. })) => Ok(Fact::Asked { run: *run, ask: *ask }),
        (_, Some(Effect::CloseLeg(close))) => left(text, close),
        (_, Some(Effect::Examine(want))) => gates::examined(text, want),
        (_, Some(Effect::ReadChecks { run })) => gates::checked(text, *run, checks),
        (_, Some(Effect::ReadVerdict(want))) => gates::reviewed(text, want),
        ("carried", Some(Effect::Answer { given, .. })) => {
            Ok(Fact::AnswerCarried { given: *given, trouble: None })
        }
        (_, Some(Effect::Deliver { run, message, .. } | Effect::SeekReceipt { run, message })) => {
            typed(text, message, *run)
        }
        _ => fact(text),
    }
}

/// Reads what a leg left: `leaves c1`, with ` derived` or ` edited` after it, and a baton after a colon.
fn left(text: &str, close: &Close) -> Result<Fact, String> {
    let (head, baton) = text.split_once(':').unwrap_or((text, ""));
    let words: Vec<&str> = head.split_whitespace().collect();
    let ["leaves", head, ref rest @ ..] = words[..] else { return Err(format!("what is {text:?}?")) };
    let moved = Oid::from(head) != close.head_before;
    let closed = Closed {
        head: Oid::from(head),
        commits: u32::from(moved),
        dirty: 0,
        baton: baton.trim().into(),
        is_derived: rest.contains(&"derived"),
        faults: vec![],
        plan_edited: rest.contains(&"edited"),
    };
    Ok(Fact::LegClosed { run: close.run, closed })
}

fn ready(id: &SessionId, branch: &str, work: Option<Work>) -> Fact {
    Fact::WorkspaceReady {
        path: format!("/ws/{id}"),
        branch: branch.into(),
        base_branch: "main".into(),
        base: Oid::from("c0"),
        head: Oid::from("c0"),
        notes: vec![],
        work,
    }
}

fn up(run: RunId) -> Fact {
    up_as(run, Role::Builder)
}

fn up_as(run: RunId, role: Role) -> Fact {
    Fact::RunStarted { run, role, host_pid: 100 + run.0, begun: Begun::Fresh }
}

fn typed(text: &str, message: &MessageId, run: RunId) -> Result<Fact, String> {
    let message = message.clone();
    match text {
        "typed" => return Ok(Fact::MessageReceipt { message, run, receipt: Receipt::Typed }),
        "held" => return Ok(Fact::MessageHeld { message }),
        _ => {}
    }
    let refused = [("not typed for good:", false), ("not typed:", true)];
    let found = refused.into_iter().find_map(|(prefix, again)| {
        let trouble = trouble(&format!("not_typed:{}", text.strip_prefix(prefix)?));
        Some(Fact::MessageNotTyped { message: message.clone(), trouble, again })
    });
    found.map_or_else(|| fact(text), Ok)
}

/// Reads what was seen of a session.
///
/// # Errors
/// When it means nothing.
pub fn seen(text: &str, id: &SessionId) -> Result<Fact, String> {
    if text == "ready" { Ok(ready(id, "somewhere", None)) } else { fact(text) }
}

fn fact(text: &str) -> Result<Fact, String> {
    let (head, note) = match text.split_once(':') {
        Some((head, note)) => (head, note.trim()),
        None => (text, ""),
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
    let words: Vec<&str> = head.split_whitespace().collect();
    match words[..] {
        ["run", run, ref rest @ ..] => of_run(RunId(number(run)?), rest, note),
        ["work", head, "ahead", ahead, "dirty", dirty] => Ok(Fact::WorkSeen(Work {
            head: Oid::from(head),
            strayed_to: None,
            ahead: number(ahead)?,
            dirty: number(dirty)?,
        })),
        ["message", message, how, "run", run] => {
            let receipt = if how == "taken" { Receipt::Taken } else { Receipt::Typed };
            Ok(Fact::MessageReceipt { message: message.into(), run: RunId(number(run)?), receipt })
        }
        _ => Err(format!("what is {text:?}?")),
    }
}

fn of_run(run: RunId, words: &[&str], note: &str) -> Result<Fact, String> {
    let code = |text: &str| text.parse::<i32>().map_err(|_| format!("{text} is no number"));
    let what = note.to_owned();
    let exit = match words {
        ["up"] => return Ok(up(run)),
        ["up", "in", "its", "conversation"] => {
            let (role, host_pid, begun) = (Role::Builder, 100 + run.0, Begun::Conversation);
            return Ok(Fact::RunStarted { run, role, host_pid, begun });
        }
        ["exits", number] => Some(Exit::Code(code(number)?)),
        ["dies", "of", "signal", number] => Some(Exit::Signal(code(number)?)),
        ["not", "started"] => Some(Exit::NotStarted(what.clone())),
        ["host", "lost"] => Some(Exit::Unknown),
        _ => None,
    };
    if let Some(exit) = exit {
        let last_words = if matches!(exit, Exit::NotStarted(_)) { String::new() } else { what };
        return Ok(Fact::RunEnded { run, exit, last_words });
    }
    let observation = match words {
        ["begins", "a", "turn"] => Observation::TurnStarted,
        ["ends", "its", "turn"] => Observation::TurnEnded(TurnEnd::Ok),
        ["ends", "its", "turn", "with", "error", class] => {
            Observation::TurnEnded(TurnEnd::Error((*class).into()))
        }
        ["calls", tool, id] => Observation::ToolStarted { id: (*id).into(), name: (*tool).into(), what },
        ["ends", "call", id] => Observation::ToolEnded { id: (*id).into(), ok: true },
        ["asks", "permission", "for", id] => Observation::PermissionAsked { what, ask: Some((*id).into()) },
        ["shows", "its", "prompt"] => Observation::Shows(Showing::Prompt),
        ["shows", "an", "answer"] => Observation::Shows(Showing::Answering),
        ["shows", "a", "spinner"] => Observation::Shows(Showing::Busy),
        ["shows", "a", "limit"] => Observation::Shows(Showing::Limited),
        ["shows", "a", "dialog"] => Observation::Shows(Showing::Dialog(what)),
        ["leaves"] => Observation::Gone { why: what },
        ["asks", "permission"] => Observation::PermissionAsked { what, ask: None },
        ["permission", "resolved"] => Observation::PermissionResolved,
        ["asks"] => Observation::QuestionAsked { what },
        ["uses", "context", tokens] => used(tokens.parse().map_err(|_| format!("{tokens} is no number"))?),
        ["is", "rate", "limited"] => Observation::RateLimited { until: None },
        ["is", "answered"] => Observation::Answers,
        ["is", "rate", "limited", "until", ms] => {
            let until = ms.parse().map(Timestamp).map_err(|_| format!("{ms} is no moment"))?;
            Observation::RateLimited { until: Some(until) }
        }
        ["claims", claim] => Observation::Claimed { claim: read_claim(claim)?, note: what },
        ["is", "conversation", id] => {
            Observation::Started { conversation: Some((*id).into()), model: None, version: None }
        }
        ["takes", message] => Observation::MessageTaken { message: (*message).into() },
        _ => return Err(format!("what does run {run} do: {words:?}?")),
    };
    let source = if matches!(observation, Observation::Shows(_)) { Source::Screen } else { Source::Hook };
    Ok(Fact::Observed { run, source, observation, cursor: 0 })
}

pub(crate) fn used(context: u64) -> Observation {
    Observation::Used(Usage {
        span: Span::Call,
        id: String::new(),
        input: 1,
        cache_read: 0,
        cache_write: 0,
        output: 1,
        cost_micros: None,
        cost_is_of_conversation: false,
        context: Some(context),
        window: None,
    })
}

fn read_claim(word: &str) -> Result<Claim, String> {
    match word {
        "done" => Ok(Claim::Done),
        "phase_done" => Ok(Claim::PhaseDone),
        "handing_off" => Ok(Claim::HandingOff),
        "stuck" => Ok(Claim::Stuck),
        _ => Err(format!("{word} is no claim")),
    }
}

/// Returns what an effect is about, in a few words.
#[must_use]
pub fn effect_words(effect: &Effect) -> String {
    match effect {
        Effect::PrepareWorkspace { brief } => {
            format!("prepare workspace on {}, ports from {}", brief.branch, brief.ports.first)
        }
        Effect::StartRun { run, brief, gate: Some(gate), .. } => {
            gates::start_words(*run, &brief.agent.name, gate)
        }
        Effect::Examine(want) => format!("look at the work, time {}", want.number),
        Effect::ReadChecks { run } => format!("read what the checks of run {run} said"),
        Effect::ReadVerdict(want) => format!("read the verdict of run {}", want.run),
        Effect::StartRun { run, brief, leg: Some(leg), .. } => leg_words(*run, &brief.agent.name, leg),
        Effect::StartRun { run, prompt, conversation: Some(conversation), .. } => {
            format!("start run {run} in conversation {conversation}: \"{prompt}\"")
        }
        Effect::StartRun { run, prompt, .. } => format!("start run {run}: \"{prompt}\""),
        Effect::Press { run, message, number } => {
            format!("press enter again in run {run} for {message}, time {number}")
        }
        Effect::Interrupt { run, message } => format!("interrupt run {run} for {message}"),
        Effect::Ask { run, ask: Ask::Handover, .. } => format!("ask run {run} to hand over"),
        Effect::Ask { run, ask: Ask::Claim, .. } => format!("ask run {run} how it stands"),
        Effect::CloseLeg(close) => format!("look at what run {} left of {}", close.run, close.phase.1),
        Effect::Answer { run, answer, .. } => format!("answer run {run}: {answer:?}"),
        Effect::StopRun { run, grace_ms: 0 } => format!("stop run {run} at once"),
        Effect::StopRun { run, grace_ms } => format!("stop run {run} within {grace_ms} ms"),
        Effect::Deliver { run, text, .. } => format!("type into run {run}: \"{text}\""),
        Effect::SeekReceipt { run, message } => format!("ask whether run {run} got {message}"),
        Effect::ReadWork { .. } => "read work".into(),
        Effect::Land { branch, base_branch, wish, .. } => {
            format!("land {branch} on {base_branch} by {:?}", wish.how).to_lowercase()
        }
        Effect::RemoveWorkspace { workspace, trash, .. } if workspace.is_empty() => {
            format!("remove what was begun of the workspace to trash {trash}")
        }
        Effect::RemoveWorkspace { workspace, trash, .. } => format!("remove {workspace} to trash {trash}"),
        Effect::RestoreWorkspace { trash, brief, .. } => {
            format!("restore trash {trash}, ports from {}", brief.ports.first)
        }
    }
}

fn leg_words(run: RunId, agent: &str, leg: &LegBrief) -> String {
    let mut words = format!("start run {run} by {agent} as leg {} on {}", leg.number, leg.name);
    for (what, text) in [("baton", &leg.baton), ("words", &leg.words)] {
        if !text.is_empty() {
            words += &format!(", {what} \"{text}\"");
        }
    }
    words
}

/// Returns how far a message came, in a few words.
#[must_use]
pub fn message_words(state: &MessageState) -> String {
    match state {
        MessageState::Waiting => "waits".into(),
        MessageState::InDoubt(run) => format!("may or may not have been typed into run {run}"),
        MessageState::Typed(_) => "is typed".into(),
        MessageState::Taken(_) => "is taken up".into(),
        MessageState::Refused(trouble) => format!("is refused: {}", trouble.message),
    }
}
