//! Records a dialogue: what an agent writes to its driver, and what the driver was told. The driver is the real one, so that
//! the ids in the recording are those of every replay. It draws nothing and keeps no session.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use oarlock_agents::drive::{Driver, Say, Step};
use oarlock_agents::launch::{Launch, Place, Plan, What};
use oarlock_agents::screen::Answer;
use oarlock_core::session::fact::{Hold, Observation, Permissions};
use oarlock_model::drive::Agent;

use super::sample::Samples;
use super::scrub::Scrub;
use crate::harness::wait;
use crate::stage::Stage;

/// How long an agent may take for a turn.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long it may go on writing after a turn: what it says then belongs to the sample.
const QUIET: Duration = Duration::from_millis(700);
/// The run's folder, in every replay: ids are made of it.
const FOLDERS: [(&str, &str); 2] = [("acp", "/run"), ("protocol", "/runs/1")];

/// Records work that is asked leave for, an interrupted turn and one that fails.
pub fn record(program: Agent, stage: &Stage, samples: &mut Samples) {
    let mut talk = Talk::begin(program, stage);
    let (say, name) = match stage.hold {
        "acp" => ("> ", "recorded.acp.txt"),
        _ => ("@ ", "recorded.dialogue.txt"),
    };
    talk.prefix = (if stage.hold == "acp" { "< " } else { "" }, say);
    talk.say("[[play:commit file=tea.txt text=green]] Make tea.");
    talk.until_the_turn_ends(false);
    talk.say("[[play:slow]] Tell me a story.");
    talk.until_the_turn_ends(true);
    talk.say("[[play:bad_request]] Let me in.");
    talk.until_the_turn_ends(false);
    samples.put(name, talk.end());
}

struct Talk {
    driver: Box<dyn Driver>,
    scrub: Scrub,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    said: String,
    prefix: (&'static str, &'static str),
    seen: Vec<Observation>,
}

impl Talk {
    fn begin(program: Agent, stage: &Stage) -> Self {
        let run = stage.crew.root.join("run");
        fs::create_dir_all(&run).unwrap();
        let (_, folder) = FOLDERS.into_iter().find(|(hold, _)| *hold == stage.hold).unwrap();
        let workspace = stage.crew.repo.to_string_lossy().into_owned();
        let hold = if stage.hold == "acp" { Hold::Acp } else { Hold::Protocol };
        let agent = oarlock_agents::find(stage.agent).unwrap();
        let launch = Launch {
            writes: &[],
            hold,
            program: program.name(),
            version: None,
            workspace: &workspace,
            folder,
            prompt: "",
            prompt_file: "/runs/1/prompt",
            conversation: None,
            new_conversation: "11111111-2222-4333-8444-555555555555",
            model: None,
            permissions: Permissions::Default,
            rules: "",
            args: &[],
            command: None,
            oarlock: "/bin/oarlock",
            is_root: rustix::process::geteuid().is_root(),
        };
        let mut driver = agent.driver(&launch).expect("it is held by one");
        let mut steps = driver.open();
        let Some(Step::Start(plan)) = (!steps.is_empty()).then(|| steps.remove(0)) else {
            panic!("a driver starts its agent first")
        };
        let (mut child, lines) = start(stage, &plan, folder, &run);
        let input = child.stdin.take();
        let scrub = Scrub::new(stage, &stage.crew.repo, Some(&run));
        let (said, prefix, seen) = (String::new(), ("", ""), Vec::new());
        let mut talk = Self { driver, scrub, child, input, lines, said, prefix, seen };
        talk.carry(steps);
        talk
    }

    fn carry(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(line) => {
                    self.scrub.tell(&line);
                    if let Some(input) = &mut self.input {
                        // One that is gone is seen by its silence.
                        let _ = input.write_all(format!("{line}\n").as_bytes()).and_then(|()| input.flush());
                    }
                }
                Step::Observe(observation) => self.seen.push(observation),
                Step::CloseInput => self.input = None,
                Step::Start(_) => panic!("an agent that is spoken to lives for all of it"),
                Step::Stop | Step::Stay | Step::Raw(_) | Step::Taken(_) | Step::Show(_) | Step::End(_) => {}
            }
        }
    }

    fn note(&mut self, told: &str) {
        self.said.push_str(&format!("{}{told}\n", self.prefix.1));
    }

    fn say(&mut self, text: &str) {
        self.note(&format!("say {text}"));
        let id = (self.prefix.0 == "< ").then(|| "m".into());
        let steps = self.driver.say(Say { id, text: text.into(), interrupt: false });
        self.carry(steps);
    }

    /// Takes a line in, if one comes in time.
    fn hear(&mut self, within: Duration) -> bool {
        let Ok(line) = self.lines.recv_timeout(within) else { return false };
        let scrubbed = self.scrub.line(&line);
        self.said.push_str(&format!("{}{scrubbed}\n", self.prefix.0));
        let steps = self.driver.line(line.as_bytes());
        self.carry(steps);
        true
    }

    /// Hears the agent until its turn is over, allows what it asks leave for, and interrupts it if that is wanted.
    fn until_the_turn_ends(&mut self, interrupts: bool) {
        let end = Instant::now() + PATIENCE;
        let mut interrupt_at = interrupts.then(|| Instant::now() + Duration::from_secs(4));
        loop {
            assert!(Instant::now() < end, "the turn does not end: {}", self.said);
            self.hear(Duration::from_millis(50));
            for observation in std::mem::take(&mut self.seen) {
                match observation {
                    Observation::PermissionAsked { .. } => {
                        self.note("answer allow");
                        let steps = self.driver.answer(None, Answer::Allow);
                        self.carry(steps);
                    }
                    Observation::TurnEnded(_) => {
                        while self.hear(QUIET) {}
                        self.seen.clear();
                        return;
                    }
                    _ => {}
                }
            }
            if interrupt_at.is_some_and(|at| Instant::now() > at) {
                interrupt_at = None;
                self.note("interrupt");
                let steps = self.driver.interrupt();
                self.carry(steps);
            }
        }
    }

    fn end(mut self) -> String {
        self.input = None;
        let status = wait(Duration::from_secs(10), || self.child.try_wait().unwrap());
        if status.is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        while self.hear(QUIET) {}
        self.note(&format!("ended {}", status.and_then(|status| status.code()).unwrap_or(0)));
        self.said
    }
}

/// Starts the agent as a plan says, with the run's folder where it really is.
fn start(stage: &Stage, plan: &Plan, folder: &str, run: &Path) -> (Child, Receiver<String>) {
    let real = |text: &str| text.replace(&format!("{folder}/"), &format!("{}/", run.display()));
    for plant in &plan.files {
        if let (Place::Run(name), What::Text(text)) = (&plant.place, &plant.what) {
            let path: PathBuf = run.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, real(text)).unwrap();
        }
    }
    let args: Vec<String> = plan.argv[1..].iter().map(|arg| real(arg)).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = stage.crew.program(&plan.argv[0], &args);
    command.envs(plan.env.iter().map(|(name, value)| (name, real(value))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in output.lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    (child, lines)
}
