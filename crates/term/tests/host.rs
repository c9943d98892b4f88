//! The contract of a host, on real processes. Every test uses a directory of its own and ends what it started.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, PTY, output_until_exit, random_bytes, until, watching};
use oarlock_term::protocol::Watch;
use oarlock_term::{Client, EnsureError, Exit, Io, Probe, RunDir, Size, ensure, probe, sweep};
use std::fs::{read, read_to_string, write};
use std::os::unix::fs::PermissionsExt;

#[test]
fn bytes_from_a_pipe_are_kept_exactly() {
    let bench = Bench::new();
    let wanted = random_bytes(3_000_000);
    write(bench.file("data"), &wanted).unwrap();
    let record = bench.run_to_end(Io::Pipes, &format!("cat {}", bench.file("data").display()));
    assert_eq!((record.exit, record.bytes), (Exit::Code(0), wanted.len() as u64));
    assert!(read(bench.output()).unwrap() == wanted, "not one byte may differ");
}

#[test]
fn bytes_from_a_raw_terminal_are_kept_exactly() {
    let bench = Bench::new();
    let wanted = random_bytes(1_000_000);
    write(bench.file("data"), &wanted).unwrap();
    let record = bench.run_to_end(PTY, &format!("stty raw; cat {}", bench.file("data").display()));
    assert_eq!(record.bytes, wanted.len() as u64);
    assert!(read(bench.output()).unwrap() == wanted, "not one byte may differ");
}

#[test]
fn stdout_and_stderr_keep_their_order_behind_pipes() {
    let bench = Bench::new();
    bench.run_to_end(Io::Pipes, "for i in 1 2 3; do echo out$i; echo err$i >&2; done");
    assert_eq!(read_to_string(bench.output()).unwrap(), "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
}

#[test]
fn the_exit_is_kept_until_somebody_asks() {
    let bench = Bench::new();
    assert_eq!(probe(bench.dir()).unwrap(), Probe::Never);
    assert_eq!(bench.run_to_end(PTY, "exit 7").exit, Exit::Code(7));
    let Probe::Ended(record) = probe(bench.dir()).unwrap() else { panic!("it has ended") };
    assert_eq!(record.exit, Exit::Code(7));

    let bench = Bench::new();
    assert_eq!(bench.run_to_end(Io::Pipes, "kill -9 $$").exit, Exit::Signal(9));
}

#[test]
fn a_host_that_is_there_is_adopted() {
    let bench = Bench::new();
    let first = bench.start(PTY, "echo $$ >> starts; sleep 1000");
    let second = bench.start(PTY, "echo $$ >> starts; sleep 1000");
    assert!(!first.adopted && second.adopted);
    assert_eq!((first.host, first.child_pid), (second.host, second.child_pid));
    bench.kill();
    let third = bench.start(PTY, "echo $$ >> starts; sleep 1000");
    assert!(third.ended.is_some(), "a run that is over is not started again");
    assert_eq!(read_to_string(bench.file("starts")).unwrap().lines().count(), 1);
}

#[test]
fn many_callers_at_once_start_one_child() {
    let bench = Bench::new();
    let started: Vec<_> = std::thread::scope(|scope| {
        let start = || bench.start(PTY, "echo $$ >> starts; sleep 1000");
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(started.iter().filter(|started| !started.adopted).count(), 1);
    assert!(started.iter().all(|each| each.child_pid == started[0].child_pid));
    until("it wrote its line", || bench.file("starts").exists());
    assert_eq!(read_to_string(bench.file("starts")).unwrap().lines().count(), 1);
}

#[test]
fn a_missing_program_says_so() {
    for (argv, expected) in [
        (vec!["no-such-program"], "no-such-program was not found in PATH"),
        (vec!["/no/such/program"], "/no/such/program was not found"),
        (vec!["/etc/passwd"], "/etc/passwd is not executable"),
        (vec!["/tmp"], "/tmp is not a file"),
    ] {
        let bench = Bench::new();
        let spec = bench.spec(PTY, &argv);
        let Err(EnsureError::NotStarted { reason }) = ensure(bench.dir(), &spec, &common::host()) else {
            panic!("{argv:?} must not start")
        };
        assert!(reason.contains(expected), "{reason}");
        let Probe::Ended(record) = probe(bench.dir()).unwrap() else { panic!("it has ended") };
        assert_eq!(record.exit, Exit::NotStarted { reason: reason.clone() });
        let again = ensure(bench.dir(), &spec, &common::host());
        assert!(matches!(again, Err(EnsureError::NotStarted { .. })), "and it stays so");
    }
}

#[test]
fn a_missing_directory_or_interpreter_says_so() {
    let bench = Bench::new();
    let mut spec = bench.spec(PTY, &["true"]);
    spec.cwd = bench.file("gone");
    let Err(EnsureError::NotStarted { reason }) = ensure(bench.dir(), &spec, &common::host()) else {
        panic!()
    };
    assert!(reason.contains("gone") && reason.contains("working directory"), "{reason}");

    let bench = Bench::new();
    let script = bench.file("script");
    write(&script, "#!/no/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let spec = bench.spec(PTY, &[script.to_str().unwrap()]);
    let Err(EnsureError::NotStarted { reason }) = ensure(bench.dir(), &spec, &common::host()) else {
        panic!()
    };
    assert!(reason.contains("interpreter"), "{reason}");
}

#[test]
fn a_child_gets_exactly_the_environment_asked_for_and_default_signals() {
    let bench = Bench::new();
    bench.run_to_end(
        Io::Pipes,
        "env | sort; grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd | wc -l; umask",
    );
    let path = std::env::var("PATH").unwrap();
    let said = read_to_string(bench.output()).unwrap();
    assert!(said.contains(&format!("OARLOCK_RUN={}\nPATH={path}\nPWD=", bench.run())), "{said}");
    assert!(!said.contains("HOME="), "nothing is inherited: {said}");
    assert!(said.contains("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), "{said}");
    // 0, 1, 2 and the directory that ls reads.
    assert!(said.contains("\n4\n"), "no descriptor leaks: {said}");
}

#[test]
fn a_child_leads_a_session_with_a_terminal_of_the_size_asked_for() {
    let bench = Bench::new();
    bench.run_to_end(
        Io::Pty { size: Size { rows: 33, cols: 99 } },
        "stty size; tty; test -t 0 && echo yes > /dev/tty",
    );
    let said = read_to_string(bench.output()).unwrap();
    assert!(said.starts_with("33 99\r\n/dev/pts/") && said.ends_with("yes\r\n"), "{said}");
}

#[test]
fn a_grandchild_that_hides_is_gone_after_a_stop() {
    let bench = Bench::new();
    let hidden = "setsid sh -c 'trap \"\" TERM HUP; echo $$ > hidden; while :; do sleep 1000; done' & ";
    bench.start(PTY, &format!("{hidden} env -i setsid sleep 1001 & echo $! > bare; sleep 1000"));
    until("both are there", || bench.pid("hidden").is_some() && bench.pid("bare").is_some());
    let pids = [bench.pid("hidden").unwrap(), bench.pid("bare").unwrap()];
    Client::connect(bench.dir()).unwrap().stop(300).unwrap();
    let record = bench.wait_end();
    assert_eq!((record.exit, record.survivors), (Exit::Signal(15), 0));
    assert!(pids.iter().all(|&pid| !common::is_alive(pid)), "neither a session nor a trap hides them");
}

#[test]
fn what_a_child_leaves_behind_ends_with_it() {
    let bench = Bench::new();
    bench.run_to_end(PTY, "setsid sleep 1000 & echo $! > left; echo done");
    assert!(!common::is_alive(bench.pid("left").unwrap()));
    assert_eq!(read_to_string(bench.output()).unwrap(), "done\r\n");
}

#[test]
fn a_child_that_ignores_term_is_killed_after_the_grace() {
    let bench = Bench::new();
    bench.start(PTY, "trap '' TERM; touch ready; while :; do sleep 1000; done");
    until("it is ready", || bench.file("ready").exists());
    Client::connect(bench.dir()).unwrap().stop(100).unwrap();
    assert_eq!(bench.wait_end().exit, Exit::Signal(9));
}

#[test]
fn a_shorter_stop_and_a_kill_shorten_a_long_one() {
    let bench = Bench::new();
    bench.start(PTY, "trap '' TERM; touch ready; while :; do sleep 1000; done");
    until("it is ready", || bench.file("ready").exists());
    let mut client = Client::connect(bench.dir()).unwrap();
    client.stop(3_600_000).unwrap();
    assert!(client.status().unwrap().stopping);
    client.kill().unwrap();
    assert_eq!(bench.wait_end().exit, Exit::Signal(9));
}

#[test]
fn a_signal_reaches_the_child() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "trap 'echo got; exit 3' USR1; touch ready; while :; do sleep 0.02; done");
    until("it is ready", || bench.file("ready").exists());
    let mut client = Client::connect(bench.dir()).unwrap();
    client.signal(10).unwrap();
    assert!(client.signal(4711).is_err(), "there is no such signal");
    assert_eq!(bench.wait_end().exit, Exit::Code(3));
}

#[test]
fn a_host_asked_politely_to_go_takes_its_run_along() {
    let bench = Bench::new();
    let started = bench.start(PTY, "sleep 1000");
    common::signal(started.host.pid, rustix::process::Signal::TERM);
    assert_eq!(bench.wait_end().exit, Exit::Signal(15));
}

#[test]
fn a_host_that_was_killed_is_lost_and_its_child_is_swept() {
    let bench = Bench::with_run("p-1");
    let other = Bench::with_run("p-10");
    let keep = "trap '' HUP TERM; (setsid sh -c 'trap \"\" TERM; echo $$ > hidden; sleep 1000') & echo $$ > main; wait; sleep 1000";
    let started = bench.start(PTY, keep);
    let stranger = other.start(PTY, keep);
    until("all are there", || {
        [&bench, &other].iter().all(|b| b.pid("hidden").is_some() && b.pid("main").is_some())
    });
    common::signal(started.host.pid, rustix::process::Signal::KILL);
    until("it is lost", || {
        matches!(probe(bench.dir()).unwrap(), Probe::Lost { child_alive: true, rebooted: false, .. })
    });
    let again = ensure(bench.dir(), &bench.spec(PTY, &["true"]), &common::host());
    assert!(matches!(again, Err(EnsureError::Lost { .. })), "a lost run is not started a second time");
    let swept = sweep(bench.dir()).unwrap();
    assert!(swept.found >= 2 && swept.survivors == 0, "{swept:?}");
    assert!(!common::is_alive(bench.pid("main").unwrap()) && !common::is_alive(bench.pid("hidden").unwrap()));
    assert!(
        common::is_alive(stranger.child_pid) && common::is_alive(other.pid("hidden").unwrap()),
        "p-1 is not p-10"
    );
    let Probe::Ended(record) = probe(bench.dir()).unwrap() else { panic!("swept means over") };
    assert_eq!(record.exit, Exit::Unknown);
    assert!(matches!(sweep(other.dir()), Err(oarlock_term::SweepError::HostAlive { .. })));
    other.kill();
}

#[test]
fn a_recycled_pid_is_not_the_host() {
    let bench = Bench::new();
    let started = bench.start(PTY, "sleep 1000");
    let path = RunDir::new(bench.dir()).identity();
    let genuine = read_to_string(&path).unwrap();
    let start = format!("\"start_time\":{}", started.host.start_time);
    write(&path, genuine.replacen(&start, "\"start_time\":1", 1)).unwrap();
    assert!(matches!(probe(bench.dir()).unwrap(), Probe::Lost { .. }), "the same pid, another process");
    write(&path, genuine.replace(&started.host.boot_id, "another-boot")).unwrap();
    assert!(matches!(probe(bench.dir()).unwrap(), Probe::Lost { rebooted: true, child_alive: false, .. }));
    write(&path, "half a fi").unwrap();
    assert!(probe(bench.dir()).is_err(), "what cannot be read is no death");
    write(&path, genuine).unwrap();
    assert!(matches!(probe(bench.dir()).unwrap(), Probe::Live(_)));
    bench.kill();
}

/// Not a test: what the next one starts as a process of its own, and kills.
#[test]
#[ignore = "a helper of another test"]
fn starts_a_run_and_is_killed() {
    let spec = serde_json::from_str(&std::env::var("OARLOCK_TEST_SPEC").unwrap()).unwrap();
    ensure(std::env::var("OARLOCK_TEST_DIR").unwrap().as_ref(), &spec, &common::host()).unwrap();
    common::signal(std::process::id(), rustix::process::Signal::KILL);
}

#[test]
fn a_run_lives_on_when_its_starter_is_killed() {
    let bench = Bench::new();
    let spec = bench.spec(PTY, &["sh", "-c", "sleep 1000"]);
    let mut starter = common::again("starts_a_run_and_is_killed");
    starter.env("OARLOCK_TEST_SPEC", serde_json::to_string(&spec).unwrap());
    let ended = starter.env("OARLOCK_TEST_DIR", bench.dir()).output().unwrap();
    assert_eq!(ended.status.code(), None, "it was killed: {ended:?}");
    let started = ensure(bench.dir(), &spec, &common::host()).unwrap();
    assert!(started.adopted && common::is_alive(started.child_pid));
    let parent = common::parent(started.host.pid).unwrap();
    assert_ne!(parent, std::process::id(), "the host is nobody's child who started it");
    let (pid, session) = (started.host.pid, common::session(started.host.pid).unwrap());
    assert_eq!(pid, session, "and no hangup of the starter's terminal reaches it");
    bench.kill();
}

#[test]
fn a_flood_arrives_complete() {
    let bench = Bench::new();
    bench.start(PTY, "stty raw; head -c 50000000 /dev/zero | tr '\\0' 'x'");
    let mut client = watching(&bench, Watch::Output { from: 0 });
    let record = bench.wait_end();
    assert_eq!((record.exit, record.bytes), (Exit::Code(0), 50_000_000), "in one line, too");
    assert_eq!(output_until_exit(&mut client).len(), 50_000_000);
}

#[test]
fn a_child_that_closes_its_terminal_lives_on() {
    for io in [PTY, Io::Pipes] {
        let bench = Bench::new();
        let started = bench.start(io, "exec sh -c 'exec <&- >&- 2>&-; echo closed > closed; while [ ! -e go ]; do sleep 0.02; done; exit 5'");
        until("it closed", || bench.file("closed").exists());
        let mut client = Client::connect(bench.dir()).unwrap();
        assert!(client.status().unwrap().child_alive);
        let before = common::cpu_ticks(started.host.pid);
        (0..50).for_each(|_| client.ping().unwrap());
        assert!(common::cpu_ticks(started.host.pid) - before < 20, "and the host does not spin");
        write(bench.file("go"), "").unwrap();
        assert_eq!(bench.wait_end().exit, Exit::Code(5));
    }
}

#[test]
fn a_grandchild_that_holds_the_terminal_does_not_hold_up_the_end() {
    for io in [PTY, Io::Pipes] {
        let bench = Bench::new();
        let hold = "setsid sh -c 'trap \"\" HUP TERM; touch holding; while :; do sleep 1000; done' &";
        bench.start(io, &format!("{hold} while [ ! -e holding ]; do sleep 0.02; done; echo last words"));
        let record = bench.wait_end();
        assert_eq!((record.exit, record.survivors), (Exit::Code(0), 0));
        assert!(read_to_string(bench.output()).unwrap().contains("last words"));
    }
}

#[test]
fn a_full_disk_stops_the_child_and_loses_nothing() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let bench = Bench::new();
    let host = common::host();
    let limited = format!("ulimit -S -f 64; exec {} \"$1\"", host[0].to_str().unwrap());
    let argv: Vec<_> = ["/bin/sh", "-c", &limited, "sh"].iter().map(std::ffi::OsString::from).collect();
    let spec = bench.spec(Io::Pipes, &["/bin/sh", "-c", "seq 1 100000"]);
    let started = ensure(bench.dir(), &spec, &argv).unwrap();
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it is stalled", || client.status().unwrap().stalled.is_some());
    assert!(client.status().unwrap().child_alive);
    let free = Rlimit { current: None, maximum: None };
    prlimit(Pid::from_raw(started.host.pid.cast_signed()), Resource::Fsize, free).unwrap();
    let record = bench.wait_end();
    let wanted: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert_eq!((record.lost_bytes, record.bytes), (0, wanted.len() as u64));
    assert!(read_to_string(bench.output()).unwrap() == wanted);
}

#[test]
fn an_idle_host_is_small_and_does_nothing() {
    let bench = Bench::new();
    let started = bench.start(PTY, "sleep 1000");
    let mut client = Client::connect(bench.dir()).unwrap();
    client.ping().unwrap();
    drop(client);
    until("it sleeps", || common::is_asleep(started.host.pid));
    let before = common::switches(started.host.pid);
    // Something else that takes a while, instead of a sleep: a whole other run.
    Bench::new().run_to_end(PTY, "true");
    assert!(common::switches(started.host.pid) - before <= 1, "no wakeups");
    println!("resident: {} KiB", common::resident_kib(started.host.pid));
    bench.kill();
}

#[test]
fn a_start_that_broke_off_before_the_program_is_taken_up_again() {
    let bench = Bench::new();
    let spec = bench.spec(PTY, &["sh", "-c", "echo $$ >> starts; sleep 1000"]);
    let run = RunDir::new(bench.dir());
    std::fs::create_dir_all(bench.dir()).unwrap();
    write(run.socket(), "a dead host's").unwrap();
    write(run.spec(), "half a sp").unwrap();
    let host = r#"{"host":{"pid":1,"start_time":1,"boot_id":"b"},"child":null,"ready":false}"#;
    write(run.identity(), host).unwrap();
    assert_eq!(probe(bench.dir()).unwrap(), Probe::Never, "no program ran");
    assert!(!ensure(bench.dir(), &spec, &common::host()).unwrap().adopted);
    bench.kill();
}

#[test]
fn a_host_killed_at_any_moment_of_its_start_never_makes_a_second_child() {
    for round in 0..30 {
        let bench = Bench::new();
        let spec = bench.spec(PTY, &["sh", "-c", "echo $$ >> starts; sleep 1000"]);
        let run = RunDir::new(bench.dir());
        std::thread::scope(|scope| {
            let starter = scope.spawn(|| ensure(bench.dir(), &spec, &common::host()).map(drop));
            until("a host has said who it is", || run.identity().exists());
            let begin = std::time::Instant::now();
            while begin.elapsed().as_micros() < round * 60 {
                std::hint::spin_loop();
            }
            let host =
                serde_json::from_slice::<oarlock_term::Identity>(&read(run.identity()).unwrap()).unwrap();
            common::signal(host.host.pid, rustix::process::Signal::KILL);
            let _ = starter.join().unwrap();
            until("the host is dead", || !common::is_alive(host.host.pid));
        });
        match ensure(bench.dir(), &spec, &common::host()) {
            Ok(_) => until("it runs", || bench.file("starts").exists()),
            Err(EnsureError::Lost { .. }) => drop(sweep(bench.dir()).unwrap()),
            Err(error) => panic!("{error:?}"),
        }
        let starts = read_to_string(bench.file("starts")).unwrap_or_default();
        assert!(starts.lines().count() <= 1, "started twice in round {round}: {starts}");
    }
}

#[test]
fn a_host_whose_directory_was_removed_ends_with_its_child() {
    let bench = Bench::new();
    let started = bench.start(PTY, "touch ready; sleep 1000");
    until("it is ready", || bench.file("ready").exists());
    std::fs::remove_dir_all(bench.dir()).unwrap();
    common::signal(started.child_pid, rustix::process::Signal::KILL);
    until("the host is gone", || !common::is_alive(started.host.pid));
}

/// Not a test of right and wrong: run it in release with `--ignored --nocapture`, alone.
#[test]
#[ignore = "a measurement"]
fn measures_pass_through_against_a_bare_loop() {
    const BYTES: u64 = 200_000_000;
    let flood = format!("stty raw; head -c {BYTES} /dev/zero | tr '\\0' 'x'");
    let (mut bare, mut hosted) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let begin = std::time::Instant::now();
        assert_eq!(common::bare_loop(&flood), BYTES);
        bare = bare.min(begin.elapsed().as_secs_f64());
        let bench = Bench::new();
        let begin = std::time::Instant::now();
        assert_eq!(bench.run_to_end(PTY, &flood).bytes, BYTES);
        hosted = hosted.min(begin.elapsed().as_secs_f64());
    }
    let rate = |seconds: f64| BYTES as f64 / seconds / 1e6;
    println!("bare {:.1} MB/s, hosted {:.1} MB/s, {:.2} of it", rate(bare), rate(hosted), bare / hosted);
}
