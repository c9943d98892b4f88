//! A wall clock that jumps under the real daemon: years ahead, years back. The daemon is given a clock of the test's by a
//! shim between it and the C library, compiled here.

use std::fs;
use std::process::Command;

use crate::harness::{Crew, skipped, text};

/// Adds the seconds in a file to the wall clock, and leaves every other clock alone.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    char text[32] = {0};
    const char *path = getenv("OARLOCK_TEST_CLOCK");
    if (failed || clock != CLOCK_REALTIME || !path) return failed;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
"#;

const YEAR_S: i64 = 365 * 24 * 3600;

#[test]
fn a_clock_that_jumps_under_the_daemon_loses_nothing_and_stops_nobody() {
    let mut crew = Crew::new();
    let (source, shim, clock) =
        (crew.root.join("shim.c"), crew.root.join("shim.so"), crew.root.join("clock"));
    fs::write(&source, SHIM).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).output();
    if !compiled.as_ref().is_ok_and(|output| output.status.success()) {
        let why = compiled.map_or_else(|error| error.to_string(), |output| text(&output.stderr));
        return skipped("a_clock_that_jumps_under_the_daemon", &why);
    }
    let shift = |seconds: i64| {
        // In one step, so that no reader sees half of it.
        fs::write(clock.with_extension("new"), seconds.to_string()).unwrap();
        fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    shift(0);
    crew.set("LD_PRELOAD", &shim);
    crew.set("OARLOCK_TEST_CLOCK", &clock);
    crew.exec("long", "stty -echo; echo ready; while read -r line; do echo \"heard: $line\"; done");
    crew.wait_output("long", "ready");
    let (daemon, before) = (crew.daemon_pid(), crew.run_processes("long"));
    let mut years = Vec::new();
    for (number, seconds) in [10 * YEAR_S, -10 * YEAR_S, 1, -YEAR_S, 30 * YEAR_S, 0].into_iter().enumerate() {
        shift(seconds);
        let name = format!("list-{number}");
        crew.exec(&name, "echo bread >list.txt; git add .; git commit -qm 'Write list'; echo tea >tea.txt");
        crew.wait_status(&name, "done");
        crew.ok(&["send", "long", &format!("word-{number}.")]);
        crew.wait_output("long", &format!("heard: word-{number}."));
        crew.ok(&["reject", &name]);
        crew.wait_gone(&name);
        crew.ok(&["undo", &name]);
        crew.exec("short", "sleep 600");
        crew.ok(&["stop", "short"]);
        crew.ok(&["rm", "short"]);
        years.push(crew.session(&name)["created_at"].as_str().unwrap()[..4].parse::<i64>().unwrap());
        crew.ok(&["ls", "--all"]);
    }
    assert!(years[4] - years[3] >= 19, "the daemon did see the clock jump ahead: {years:?}");
    assert!(years.is_sorted(), "and followed it back nowhere: {years:?}");
    assert_eq!(crew.daemon_pid(), daemon, "one daemon went through all of it");
    assert_eq!(crew.run_processes("long"), before);
    // A daemon that starts with a clock behind its own log goes on as well.
    shift(-20 * YEAR_S);
    crew.kill_daemon();
    crew.ok(&["send", "long", "at last."]);
    let output = crew.wait_output("long", "heard: at last.");
    for number in 0..6 {
        assert_eq!(output.matches(&format!("heard: word-{number}.")).count(), 1, "{output}");
    }
    shift(0);
    assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
}
