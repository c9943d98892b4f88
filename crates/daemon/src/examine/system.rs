//! What the system gives: a clock, ports, open files, terminals, and places to hold agents to.

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oarlock_api::place::Place;
use oarlock_api::wire::Check;
use oarlock_core::crew::Crew;
use oarlock_core::fleet::{BLOCKS_MAX, PORT_FIRST, PORTS_PER_BLOCK};
use oarlock_core::ids::Timestamp;
use oarlock_core::text;
use oarlock_world::gate::confine;
use rustix::process::{Resource, getrlimit};

use super::check;

/// Open files that a daemon with a hundred agents may need: three each, and as many clients.
const FILES_NEEDED: u64 = 1_024;
/// Processes that a hundred agents may need: agents start tens each.
const PROCESSES_NEEDED: u64 = 2_000;
/// How far two clocks may be apart, in milliseconds: those of a file system on the same machine are not.
const CLOCK_MS: u64 = 2_000;
/// No clock is before this day, 2025-01-01: certificates would not hold.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;

pub(super) fn all(place: &Place, known: Option<(&Crew, Timestamp)>) -> Vec<Check> {
    let mut checks = vec![clock(place, known.map(|(_, at)| at)), ports(known.map(|(crew, _)| crew))];
    checks.extend([limits(), terminals(), holding()]);
    checks
}

fn clock(place: &Place, last: Option<Timestamp>) -> Check {
    let millis = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    };
    let probe = place.state().join(format!(".clock-{}", std::process::id()));
    let written =
        fs::File::create(&probe).and_then(|mut file| file.write_all(b"x").and_then(|()| file.metadata()));
    drop(fs::remove_file(&probe));
    let files = written.and_then(|meta| meta.modified()).map(millis).ok();
    judge_clock(millis(SystemTime::now()), files, last.map(|last| last.0))
}

fn judge_clock(now: u64, files: Option<u64>, last: Option<u64>) -> Check {
    let hint = "Set the clock, and keep it so: timedatectl set-ntp true";
    if now < CLOCK_MIN_MS {
        return check("clock", "fail", format!("It says {}.", text::moment(Timestamp(now))), hint);
    }
    if let Some(last) = last.filter(|last| *last > now + CLOCK_MS) {
        let text = format!(
            "It says {}, and the log's last line is of {}: the clock went back.",
            text::moment(Timestamp(now)),
            text::moment(Timestamp(last))
        );
        return check("clock", "warn", text, hint);
    }
    if let Some(apart) = files.map(|files| files.abs_diff(now)).filter(|apart| *apart > CLOCK_MS) {
        let text = format!("The disk's clock is {} s apart from this machine's.", apart / 1_000);
        return check(
            "clock",
            "warn",
            text,
            "Keep the state on a local disk, or set both clocks by the network.",
        );
    }
    check("clock", "ok", format!("{}.", text::moment(Timestamp(now))), "")
}

fn ports(crew: Option<&Crew>) -> Check {
    let sessions = crew.into_iter().flat_map(|crew| crew.sessions.values());
    let held = sessions.filter(|scope| scope.state.holds_place()).count();
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next().and_then(|port| port.parse().ok());
    judge_ports(u16::try_from(held).unwrap_or(u16::MAX), lowest)
}

fn judge_ports(held: u16, lowest_given: Option<u16>) -> Check {
    let free = BLOCKS_MAX.saturating_sub(held);
    let last = PORT_FIRST.saturating_add(BLOCKS_MAX.saturating_mul(PORTS_PER_BLOCK)).saturating_sub(1);
    let text = format!("{free} of {BLOCKS_MAX} blocks are free, {PORT_FIRST} to {last}.");
    if free < 100 {
        return check("ports", "warn", text, "Take sessions off the list: \"oarlock cleanup --dry-run\".");
    }
    if lowest_given.is_some_and(|lowest| lowest <= last) {
        let text = format!("{text} The system gives some of them to outgoing connections, too.");
        let hint = "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"";
        return check("ports", "warn", text, hint);
    }
    check("ports", "ok", text, "")
}

fn limits() -> Check {
    let of = |what| getrlimit(what).current.unwrap_or(u64::MAX);
    judge_limits(of(Resource::Nofile), of(Resource::Nproc))
}

fn judge_limits(files: u64, processes: u64) -> Check {
    if files < FILES_NEEDED {
        let text = format!("{files} files may be open at once; a hundred agents need {FILES_NEEDED}.");
        return check("limits", "warn", text, format!("ulimit -n {FILES_NEEDED}"));
    }
    if processes < PROCESSES_NEEDED {
        let text =
            format!("{processes} processes may run at once; a hundred agents may need {PROCESSES_NEEDED}.");
        return check("limits", "warn", text, format!("ulimit -u {PROCESSES_NEEDED}"));
    }
    let number = |limit: u64| if limit == u64::MAX { "Any number of".to_owned() } else { limit.to_string() };
    check("limits", "ok", format!("{} open files.", number(files)), "")
}

fn terminals() -> Check {
    let opened = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
    match opened {
        Ok(_) => check("terminals", "ok", "They can be made.", ""),
        Err(error) => check(
            "terminals",
            "fail",
            format!("No pseudo-terminal can be made: {error}."),
            "Mount devpts at /dev/pts, and see /proc/sys/kernel/pty/max.",
        ),
    }
}

/// Tells whether a gate can hold its agents to their places.
fn holding() -> Check {
    let own = std::env::current_exe().map_err(|error| error.to_string());
    match own.and_then(|own| confine::available(&own)) {
        Ok(()) => check("holding", "ok", "Agents of a gate can be held to their places.", ""),
        Err(why) => check(
            "holding",
            "warn",
            format!("Agents of a gate cannot be held to their places: {why}"),
            "Allow user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), \
             or begin gates with --unconfined.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_clock_that_went_back_or_is_another_is_said_so() {
        let result = |now, files, last| judge_clock(now, files, last).result;
        assert_eq!(result(NOW, Some(NOW + 10), Some(NOW - 5_000)), "ok");
        assert_eq!(result(NOW, None, None), "ok");
        assert_eq!(result(NOW, Some(NOW), Some(NOW + 60_000)), "warn");
        assert_eq!(result(NOW, Some(NOW - 60_000), None), "warn");
        assert_eq!(result(5, Some(5), None), "fail");
    }

    #[test]
    fn few_ports_and_low_limits_are_said_so() {
        assert_eq!(judge_ports(3, Some(32_768)).result, "ok");
        assert_eq!(judge_ports(BLOCKS_MAX, None).result, "warn");
        assert_eq!(judge_ports(0, Some(10_000)).result, "warn");
        assert_eq!(judge_limits(u64::MAX, u64::MAX).text, "Any number of open files.");
        assert_eq!(
            (judge_limits(256, 9_999).result, judge_limits(4_096, 100).result),
            ("warn".into(), "warn".into())
        );
    }
}
