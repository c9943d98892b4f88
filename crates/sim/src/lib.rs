//! Random worlds around the real engine, and scripts of facts around the core.
//!
//! * [`script`] runs the texts under `spec/`: requests and facts in; effects, status and refusals out.
//! * [`cases`], [`scenario`], [`moves`] and [`world`] drive the real [`oarlock_engine::Engine`] through a fake outside
//!   that loses, repeats, delays and reorders, while the daemon dies at any instruction; [`invariants`] are asked after
//!   every step. [`sabotage`] breaks everything around the core to see each invariant fail.
//!
//! A case is a script of four-byte moves. proptest makes it from a seed and shrinks a failing one by leaving moves
//! out; a plain loop over seeds drives it, so one number names a case:
//!
//! ```text
//! cargo test -p oarlock-sim                                    # as many seeds as fit into a few seconds
//! OARLOCK_SIM_CASES=100000 cargo test -p oarlock-sim --release # many, on every core; OARLOCK_SIM_FROM begins elsewhere
//! OARLOCK_SIM_SEED=42 cargo test -p oarlock-sim --test simulation
//! OARLOCK_SIM_SHRINKS=0 …                                      # whoever plants faults need not see a failing case made short
//! ```
//!
//! Dev only. It must not be used by anything that ships.

pub mod cases;
pub mod invariants;
pub mod moves;
pub mod sabotage;
pub mod scenario;
pub mod script;
pub mod store;
pub mod world;
