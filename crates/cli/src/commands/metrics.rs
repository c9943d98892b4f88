//! `oarlock metrics`.

use std::io::Write;

use clap::Args;

use super::Context;
use crate::connect;
use crate::error::{CliError, Done};

/// Print what sessions do and cost, as Prometheus reads it
///
/// The daemon answers the same at /metrics of its socket. Counters are folded from the log, so they go on where they were after a
/// restart. Starts nothing. Exit code 5 when no daemon runs.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock metrics\n  oarlock metrics > /var/lib/node_exporter/textfile/oarlock.prom"
)]
pub struct Metrics {}

pub fn run(context: &Context, _: &Metrics) -> Done {
    let text = connect::running(&context.place)?.get_bytes("/metrics")?;
    std::io::stdout().write_all(&text).map_err(|error| CliError::io("write the metrics", &error))
}
