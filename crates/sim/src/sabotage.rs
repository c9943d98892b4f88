//! Ways to break what surrounds the core, so that every invariant is seen failing.
//!
//! Nothing here reaches into the core or the engine: only the world, the store and the driver are made to misbehave.

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The terminal types each message twice.
    TypesTwice,
    /// The terminal presses Enter whatever it shows, and as often as it is told.
    PressesInDialogs,
    /// The terminal gives an answer again.
    AnswersAgain,
    /// The agent of a leg is asked twice.
    AsksAgain,
    /// The driver begins a leg on the first phase again.
    RepeatsPhases,
    /// A relay's legs are begun without a look at the last one.
    ForgetsToLook,
    /// The terminal types although the run's process is gone.
    TypesIntoTheDead,
    /// Landing does not look for what an earlier attempt of the same key left.
    LandsAgain,
    /// Landing merges and then says that it was refused.
    LandsAndDenies,
    /// Whatever is rejected is landed all the same.
    LandsTheRejected,
    /// Starting a run does not look for the host that is there.
    StartsTwice,
    /// Starting any run starts another run of the session as well.
    StartsAnother,
    /// What lands of a gate is another commit than the one that was judged.
    LandsUnjudged,
    /// The driver takes from a landing what says which commit is meant.
    LandsWhatever,
    /// A gate that was approved waits for its turn for ever.
    ForgetsTurns,
    /// Every gate is told that its turn to land has come.
    LetsAllLand,
    /// Gates get rounds that nobody granted.
    GivesRounds,
    /// Stopping a run takes the workspace away first.
    RemovesBeforeStopping,
    /// Removing keeps nothing in the trash.
    RemovesWithoutTrash,
    /// Removing moves the workspace to another entry of the trash than it says.
    MislabelsTrash,
    /// Undo brings back an empty workspace.
    RestoresNothing,
    /// The store loses a line of each append.
    StoreDropsLine,
    /// The store writes another fact than it was given.
    StoreGarbles,
    /// The store stamps a line with a moment before its own.
    StoreStampsBack,
    /// The store appends a line when a request is refused.
    RefusalLeavesTrace,
    /// The driver gives each job to two workers.
    GivesTwice,
    /// The driver gives a settled job again.
    GivesSettled,
    /// The driver gives jobs the engine never handed out, all at once.
    GivesTooMany,
    /// The driver gives a message to a run whose permission dialog is up.
    GivesToBlocked,
    /// The driver gives a message to a run that has one typed and not taken up.
    GivesOver,
    /// The driver forgets the notes of started effects when it restarts.
    ForgetsStarted,
    /// A retried request reaches the engine under another id.
    RenamesRetries,
    /// Deliveries are settled without a word of what came of them.
    AnswersNothing,
    /// Workers never come back.
    NeverAnswers,
    /// The driver drops jobs on the floor.
    LosesJobs,
    /// A snapshot leaves out what was settled.
    SnapshotForgets,
    /// A state keeps every effect that ever came back.
    ForgetsNothing,
    /// Every session is given the same ports.
    LeasesTwice,
    /// A name finds the first session that bears it, however many do.
    FindsAnybody,
}
