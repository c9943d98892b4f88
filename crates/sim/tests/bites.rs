//! Every invariant is seen failing: what it guards is broken on purpose, around the core, and it must say so.

use std::collections::BTreeSet;

use oarlock_sim::cases;
use oarlock_sim::invariants;
use oarlock_sim::sabotage::Sabotage;
use oarlock_sim::scenario::Setting;
use oarlock_sim::world::Typist;

/// Seeds tried before an invariant counts as toothless.
const SEEDS: u64 = 40_000;

/// Which invariant notices which misbehaviour.
const BITES: &[(&str, Sabotage)] = &[
    ("seq_has_no_gaps", Sabotage::StoreDropsLine),
    ("stamps_never_go_back", Sabotage::StoreStampsBack),
    ("replay_equals_live", Sabotage::StoreGarbles),
    ("a_restart_reaches_the_same_state", Sabotage::ForgetsStarted),
    ("a_snapshot_reads_back_the_same", Sabotage::SnapshotForgets),
    ("one_landing_per_key", Sabotage::LandsAgain),
    ("one_landing_per_session", Sabotage::LandsAndDenies),
    ("nothing_lands_after_it_was_let_go", Sabotage::LandsTheRejected),
    ("never_typed_twice", Sabotage::TypesTwice),
    ("never_typed_twice", Sabotage::ForgetsStarted),
    ("never_handed_to_a_blocked_agent", Sabotage::GivesToBlocked),
    ("nothing_is_typed_over_what_stands", Sabotage::GivesOver),
    ("never_typed_into_an_ended_run", Sabotage::TypesIntoTheDead),
    ("an_enter_answers_no_dialog", Sabotage::PressesInDialogs),
    ("an_answer_is_given_once", Sabotage::AnswersAgain),
    ("a_leg_is_asked_once", Sabotage::AsksAgain),
    ("no_phase_is_worked_again", Sabotage::RepeatsPhases),
    ("a_relay_keeps_its_limits", Sabotage::ForgetsToLook),
    ("nothing_lands_unjudged", Sabotage::LandsUnjudged),
    ("a_gate_names_what_it_lands", Sabotage::LandsWhatever),
    ("a_gate_keeps_its_limits", Sabotage::GivesRounds),
    ("one_has_the_turn_to_land", Sabotage::LetsAllLand),
    ("an_approved_gate_lands", Sabotage::ForgetsTurns),
    ("one_live_run_per_session", Sabotage::StartsAnother),
    ("run_ids_are_never_reused", Sabotage::StartsTwice),
    ("settled_is_never_performed_again", Sabotage::GivesSettled),
    ("a_state_does_not_grow_with_its_past", Sabotage::ForgetsNothing),
    ("no_job_is_handed_out_twice_at_once", Sabotage::GivesTwice),
    ("what_moves_a_workspace_works_alone", Sabotage::GivesTooMany),
    ("lanes_hold", Sabotage::GivesTooMany),
    ("a_workspace_is_never_removed_under_a_run", Sabotage::RemovesBeforeStopping),
    ("a_removal_leaves_trash", Sabotage::MislabelsTrash),
    ("undo_brings_back_exactly_that_trash", Sabotage::RestoresNothing),
    ("nothing_is_lost", Sabotage::RemovesWithoutTrash),
    ("a_refused_request_leaves_no_trace", Sabotage::RefusalLeavesTrace),
    ("a_repeated_request_is_answered_the_same", Sabotage::RenamesRetries),
    ("ports_are_leased_once", Sabotage::LeasesTwice),
    ("a_name_never_means_two_sessions", Sabotage::FindsAnybody),
    ("a_fair_world_comes_to_rest", Sabotage::NeverAnswers),
    ("every_session_rests_well", Sabotage::LosesJobs),
    ("no_message_waits_for_nothing", Sabotage::AnswersNothing),
    ("the_state_agrees_with_the_world", Sabotage::RemovesBeforeStopping),
];

fn setting(invariant: &'static str, sabotage: Option<Sabotage>) -> Setting {
    Setting { typist: Typist::TypesAnything, sabotage, only: Some(invariant), ..Setting::default() }
}

#[test]
fn every_invariant_bites() {
    let mut toothless = Vec::new();
    for (invariant, sabotage) in BITES {
        let caught = (0..SEEDS).find_map(|seed| {
            let script = cases::script_of(seed);
            let broken = cases::play(&script, setting(invariant, Some(*sabotage))).err();
            broken.map(|(broken, _)| (seed, broken.invariant))
        });
        match caught {
            Some((seed, by)) => {
                assert_eq!(by, *invariant, "only the invariant asked may answer");
                println!("{invariant} sees {sabotage:?} at seed {seed}");
            }
            None => toothless.push((invariant, sabotage)),
        }
    }
    assert!(toothless.is_empty(), "these are broken and nobody says so: {toothless:?}");
}

#[test]
fn no_invariant_is_left_out() {
    let shown: BTreeSet<&str> = BITES.iter().map(|(invariant, _)| *invariant).collect();
    let all: BTreeSet<&str> = invariants::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, all, "an invariant nobody has seen failing may as well not be there");
}
