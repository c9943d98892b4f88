//! Claims about planting: what is there before a run is there after it, whatever happens meanwhile.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Repo, git, hermetic, read, write};
use oarlock_agents::launch::{Edit, Place, Plant, Put, What};
use oarlock_world::plant::{Places, Planted, plant, unplant};
use oarlock_world::workspace::prepare;
use serde_json::{Value, json};

/// Folders of an imaginary machine.
struct Machine {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Machine {
    fn new() -> Self {
        hermetic();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["home", "runs/1", "runs/2", "work", "shared"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self { _dir: dir, root }
    }

    fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    fn run(&self, run: &str) -> PathBuf {
        self.root.join("runs").join(run)
    }

    fn plant(&self, run: &str, plants: &[Plant]) -> Planted {
        self.plant_in(&self.root.join("work"), run, plants)
    }

    fn plant_in(&self, workspace: &Path, run: &str, plants: &[Plant]) -> Planted {
        let (run, home, shared) = (self.run(run), self.home(), self.root.join("shared"));
        std::fs::create_dir_all(&run).unwrap();
        plant(plants, &Places { run: &run, workspace, home: &home, shared: &shared }).unwrap()
    }

    fn unplant(&self, run: &str) -> Vec<String> {
        let planted = Planted::read(&self.run(run)).unwrap().expect("something is planted");
        let notes = unplant(&planted).unwrap();
        assert_eq!(Planted::read(&self.run(run)).unwrap(), None, "the record goes with it");
        notes
    }

    /// Nothing is remembered of files that nobody holds.
    #[track_caller]
    fn assert_forgotten(&self) {
        let left = std::fs::read_dir(self.root.join("shared")).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
    }
}

fn text(place: Place, text: &str) -> Plant {
    Plant { place, what: What::Text(text.into()) }
}

fn json_at(place: Place, edits: &[(&[&str], Value, Put)]) -> Plant {
    let edits = edits.iter().map(|(path, value, put)| Edit {
        path: path.iter().map(|key| (*key).to_owned()).collect(),
        value: value.clone(),
        put: *put,
    });
    Plant { place, what: What::Json(edits.collect()) }
}

fn user(path: &str) -> Place {
    Place::User(path.into())
}

fn in_workspace(path: &str) -> Place {
    Place::Workspace(path.into())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn value(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

const SETTINGS: &str = "// mine\n{\n\t\"theme\": \"dark\", // at night\n\t\"hooks\": {\"Stop\": [1,],},\r\n}";

#[test]
fn a_user_s_file_has_the_values_and_later_is_byte_for_byte_as_it_was() {
    let machine = Machine::new();
    let path = machine.home().join(".claude.json");
    std::fs::write(&path, SETTINGS).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let edits: &[(&[&str], Value, Put)] = &[
        (&["projects", "/w", "trusted"], json!(true), Put::Set),
        (&["theme"], json!("light"), Put::Default),
        (&["hooks", "Stop"], json!({"command": "x"}), Put::Append),
    ];
    let planted = machine.plant("1", &[json_at(user("~/.claude.json"), edits)]);
    assert_eq!(planted.notes, Vec::<String>::new());
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(now.contains("// mine") && now.contains("// at night"), "comments survive: {now}");
    assert!(now.contains("\"dark\"") && !now.contains("light"), "a default changes nothing that is there");
    assert!(now.contains("trusted") && now.contains("command"));
    assert_eq!(mode(&path), 0o640, "permissions stay");
    assert_eq!(machine.unplant("1"), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS);
    assert_eq!(mode(&path), 0o640);
    machine.assert_forgotten();
}

#[test]
fn a_file_that_was_not_there_is_made_for_nobody_else_s_eyes_and_goes_with_its_folders() {
    let machine = Machine::new();
    let edits: &[(&[&str], Value, Put)] = &[(&["a", "b"], json!([1, {"c": null}]), Put::Set)];
    machine.plant("1", &[json_at(user("~/.config/agent/settings.json"), edits)]);
    let path = machine.home().join(".config/agent/settings.json");
    assert_eq!(value(&path), json!({"a": {"b": [1, {"c": null}]}}));
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    machine.unplant("1");
    assert!(!machine.home().join(".config").exists());
    machine.assert_forgotten();
}

#[test]
fn what_others_wrote_meanwhile_stays_and_only_our_values_go() {
    let machine = Machine::new();
    let path = machine.home().join(".claude.json");
    std::fs::write(&path, "{\"theme\": \"dark\", \"n\": 1}").unwrap();
    let edits: &[(&[&str], Value, Put)] = &[
        (&["projects", "/w", "trusted"], json!(true), Put::Set),
        (&["theme"], json!("light"), Put::Set),
        (&["list"], json!("ours"), Put::Append),
        (&["changed"], json!("ours"), Put::Set),
    ];
    machine.plant("1", &[json_at(user("~/.claude.json"), edits)]);
    // An agent reads its settings and writes all of them, in its own layout, with its own values among ours.
    let mut theirs = value(&path);
    theirs["projects"]["/w"]["history"] = json!(["hello"]);
    theirs["list"].as_array_mut().unwrap().insert(0, json!("theirs"));
    theirs["changed"] = json!("theirs");
    theirs["n"] = json!(2);
    std::fs::write(&path, serde_json::to_string(&theirs).unwrap()).unwrap();
    machine.unplant("1");
    let want = json!({
        "theme": "dark", "n": 2, "changed": "theirs", "list": ["theirs"],
        "projects": {"/w": {"history": ["hello"]}},
    });
    assert_eq!(value(&path), want);
    machine.assert_forgotten();
}

#[test]
fn a_value_that_two_runs_need_stays_until_the_last_lets_go() {
    let machine = Machine::new();
    let path = machine.home().join("a.json");
    std::fs::write(&path, SETTINGS).unwrap();
    let both = |mine: &str| {
        let edits: &[(&[&str], Value, Put)] =
            &[(&["onboarded"], json!(true), Put::Set), (&["projects", mine], json!(1), Put::Set)];
        json_at(user("~/a.json"), edits)
    };
    machine.plant("1", &[both("one")]);
    machine.plant("2", &[both("two")]);
    machine.unplant("1");
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(now.contains("onboarded") && now.contains("two") && !now.contains("one"), "{now}");
    machine.unplant("2");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS);
    machine.assert_forgotten();
}

#[test]
fn a_run_whose_folder_was_taken_away_holds_nothing() {
    let machine = Machine::new();
    let path = machine.home().join("a.json");
    std::fs::write(&path, SETTINGS).unwrap();
    let one = |key: &str| json_at(user("~/a.json"), &[(&[key], json!(1), Put::Set)]);
    machine.plant("1", &[one("from_one")]);
    std::fs::remove_dir_all(machine.run("1")).unwrap();
    machine.plant("2", &[one("from_two")]);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("from_one"));
    machine.unplant("2");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS);
}

#[test]
fn many_runs_at_once_lose_nothing() {
    let machine = Machine::new();
    let path = machine.home().join("a.json");
    std::fs::write(&path, SETTINGS).unwrap();
    let runs: Vec<String> = (0..12).map(|run| format!("many-{run}")).collect();
    std::thread::scope(|scope| {
        for run in &runs {
            let machine = &machine;
            scope.spawn(move || {
                let edits: &[(&[&str], Value, Put)] =
                    &[(&["projects", run, "trusted"], json!(true), Put::Set)];
                machine.plant(run, &[json_at(user("~/a.json"), edits)]);
            });
        }
    });
    let now = std::fs::read_to_string(&path).unwrap();
    for run in &runs {
        assert!(now.contains(&format!("\"{run}\"")), "{run} is lost");
    }
    std::thread::scope(|scope| {
        for run in &runs {
            let machine = &machine;
            scope.spawn(move || machine.unplant(run));
        }
    });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS);
    machine.assert_forgotten();
}

#[test]
fn what_cannot_be_edited_is_left_alone_and_told_of() {
    let machine = Machine::new();
    let home = machine.home();
    for (name, bytes) in [
        ("broken.json", &b"{\"a\": "[..]),
        ("list.json", b"[1]"),
        ("latin.json", b"{\"a\": \"\xe9\"}"),
        ("scalar.json", b"{\"a\": 7}"),
        ("twice.json", b"{\"a\": {}, \"a\": {}}"),
        ("read_only.json", b"{}"),
    ] {
        let path = home.join(name);
        std::fs::write(&path, bytes).unwrap();
        if name == "read_only.json" {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
        }
        let edit = json_at(user(&format!("~/{name}")), &[(&["a", "b"], json!(1), Put::Set)]);
        let planted = machine.plant("1", &[edit]);
        assert_eq!(planted.notes.len(), 1, "{name}: {:?}", planted.notes);
        assert!(planted.notes[0].starts_with(&format!("~/{name} ")), "{:?}", planted.notes);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name} is as it was");
        machine.unplant("1");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name} is as it was");
    }
    std::fs::create_dir(home.join("folder.json")).unwrap();
    let edit = json_at(user("~/folder.json"), &[(&["a"], json!(1), Put::Set)]);
    assert_eq!(machine.plant("1", &[edit]).notes.len(), 1);
    machine.unplant("1");
    machine.assert_forgotten();
}

#[test]
fn a_user_s_links_are_written_through() {
    let machine = Machine::new();
    let home = machine.home();
    std::fs::create_dir_all(home.join("dotfiles/agent")).unwrap();
    std::fs::write(home.join("dotfiles/agent/real.json"), SETTINGS).unwrap();
    symlink("dotfiles/agent", home.join(".agent")).unwrap();
    symlink("real.json", home.join("dotfiles/agent/settings.json")).unwrap();
    symlink("dotfiles/not-yet.json", home.join("dangling.json")).unwrap();
    symlink("round", home.join("and-round")).unwrap();
    symlink("and-round", home.join("round")).unwrap();
    let edit = |path: &str| json_at(user(path), &[(&["new"], json!(1), Put::Set)]);
    let planted =
        machine.plant("1", &[edit("~/.agent/settings.json"), edit("~/dangling.json"), edit("~/round")]);
    assert_eq!(planted.notes, ["~/round is behind links that lead in circles, and was left alone."]);
    assert!(home.join(".agent").is_symlink() && home.join(".agent/settings.json").is_symlink());
    let real = home.join("dotfiles/agent/real.json");
    assert!(std::fs::read_to_string(&real).unwrap().contains("\"new\": 1"));
    assert_eq!(value(&home.join("dotfiles/not-yet.json")), json!({"new": 1}));
    machine.unplant("1");
    assert_eq!(std::fs::read_to_string(&real).unwrap(), SETTINGS);
    assert!(!home.join("dotfiles/not-yet.json").exists() && home.join("dangling.json").is_symlink());
    machine.assert_forgotten();
}

#[test]
fn a_workspace_s_files_are_hidden_from_git_and_leave_no_trace() {
    let machine = Machine::new();
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    let exclude = repo.root.join(".git/info/exclude");
    let before = std::fs::read(&exclude).unwrap_or_default();
    let planted = machine.plant_in(
        &ready.path,
        "1",
        &[
            text(in_workspace(".cursor/rules/oarlock.mdc"), "rules\n"),
            json_at(in_workspace(".cursor/hooks.json"), &[(&["version"], json!(1), Put::Set)]),
        ],
    );
    assert_eq!(planted.notes, Vec::<String>::new());
    assert_eq!(read(&ready.path, ".cursor/rules/oarlock.mdc"), "rules\n");
    assert_eq!(git(&ready.path, &["status", "--porcelain"]), "");
    machine.unplant("1");
    assert!(!ready.path.join(".cursor").exists());
    assert_eq!(std::fs::read(&exclude).unwrap_or_default(), before, "nothing stays hidden");
    assert_eq!(git(&ready.path, &["status", "--porcelain"]), "");
    machine.assert_forgotten();
}

#[test]
fn one_run_s_end_does_not_uncover_another_s_files() {
    let machine = Machine::new();
    let repo = Repo::new();
    let one = prepare(&repo.want("one")).unwrap().path;
    let two = prepare(&repo.want("two")).unwrap().path;
    let plants = [text(in_workspace(".agent"), "x")];
    machine.plant_in(&one, "1", &plants);
    machine.plant_in(&two, "2", &plants);
    machine.unplant("1");
    assert_eq!(git(&two, &["status", "--porcelain"]), "");
    // A workspace that was taken away takes nothing down with it.
    std::fs::remove_dir_all(&two).unwrap();
    machine.unplant("2");
    machine.assert_forgotten();
}

#[test]
fn the_repository_s_own_files_are_left_alone() {
    let machine = Machine::new();
    let repo = Repo::new();
    repo.write(".tracked.json", "{}\n");
    git(&repo.root, &["add", "."]);
    git(&repo.root, &["commit", "-qm", "settings"]);
    let path = prepare(&repo.want("one")).unwrap().path;
    write(&path, "theirs.txt", "theirs");
    symlink(machine.home(), path.join("out")).unwrap();
    symlink(".git", path.join("in")).unwrap();
    let edit = |name: &str| json_at(in_workspace(name), &[(&["a"], json!(1), Put::Set)]);
    let plants = [
        edit(".tracked.json"),
        text(in_workspace("theirs.txt"), "ours"),
        edit("out/x.json"),
        edit("in/config"),
    ];
    let planted = machine.plant_in(&path, "1", &plants);
    assert_eq!(planted.notes.len(), 4, "{:?}", planted.notes);
    assert_eq!(read(&path, ".tracked.json"), "{}\n");
    assert_eq!(read(&path, "theirs.txt"), "theirs");
    assert!(!machine.home().join("x.json").exists());
    let status = git(&path, &["status", "--porcelain"]);
    assert!(status.contains("?? theirs.txt"), "what is the person's own stays in sight: {status}");
    machine.unplant("1");
    assert_eq!(read(&path, "theirs.txt"), "theirs");
}

#[test]
fn a_planted_file_that_somebody_changed_stays_and_shows() {
    let machine = Machine::new();
    let repo = Repo::new();
    let path = prepare(&repo.want("one")).unwrap().path;
    machine.plant_in(&path, "1", &[text(in_workspace("RULES.md"), "ours\n")]);
    write(&path, "RULES.md", "ours\nand more\n");
    assert_eq!(machine.unplant("1"), ["RULES.md was changed by somebody else, and was left alone."]);
    assert_eq!(read(&path, "RULES.md"), "ours\nand more\n");
    assert!(git(&path, &["status", "--porcelain"]).contains("?? RULES.md"));
    machine.assert_forgotten();
}

#[test]
fn planting_again_for_the_same_run_is_planting_once() {
    let machine = Machine::new();
    let path = machine.home().join("a.json");
    std::fs::write(&path, SETTINGS).unwrap();
    let plants = [
        json_at(user("~/a.json"), &[(&["x"], json!(1), Put::Append)]),
        text(Place::Run("hooks/settings.json".into()), "{}"),
    ];
    machine.plant("1", &plants);
    let once = std::fs::read_to_string(&path).unwrap();
    machine.plant("1", &plants);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), once);
    assert_eq!(mode(&machine.run("1").join("hooks/settings.json")), 0o600);
    machine.unplant("1");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS);
    assert!(machine.run("1").join("hooks/settings.json").exists(), "the run's own files are the run's");
}

#[test]
fn a_place_that_leads_elsewhere_is_refused_before_anything_is_planted() {
    let machine = Machine::new();
    let (run, home, shared) = (machine.run("1"), machine.home(), machine.root.join("shared"));
    let work = machine.root.join("work");
    let places = Places { run: &run, workspace: &work, home: &home, shared: &shared };
    for place in [
        Place::Run("../x".into()),
        in_workspace("/etc/x"),
        in_workspace("a/../../x"),
        user("~/../x"),
        user("x"),
    ] {
        let plants = [text(user("~/fine"), "x"), text(place.clone(), "x")];
        assert!(plant(&plants, &places).is_err(), "{place:?}");
        assert!(!home.join("fine").exists());
    }
}

/// What the child of the test below does until it is killed.
#[test]
#[ignore = "run by a_crash_anywhere_leaves_what_can_be_taken_away, as a process of its own"]
fn plants_and_unplants_for_ever() {
    let Some(root) = std::env::var_os("PLANT_ROOT").map(PathBuf::from) else { return };
    let (run, home, shared) = (root.join("runs/1"), root.join("home"), root.join("shared"));
    let work = root.join("work");
    let places = Places { run: &run, workspace: &work, home: &home, shared: &shared };
    loop {
        let planted = plant(&crash_plants(), &places).unwrap();
        std::fs::write(root.join("planted-once"), "").unwrap();
        unplant(&planted).unwrap();
    }
}

fn crash_plants() -> [Plant; 3] {
    let edits: &[(&[&str], Value, Put)] =
        &[(&["projects", "/w", "trusted"], json!(true), Put::Set), (&["theme"], json!("light"), Put::Set)];
    [
        json_at(user("~/a.json"), edits),
        json_at(user("~/deep/er/b.json"), edits),
        text(in_workspace(".rules/x.md"), "rules"),
    ]
}

#[test]
fn a_crash_anywhere_leaves_what_can_be_taken_away() {
    let machine = Machine::new();
    git(&machine.root.join("work"), &["init", "-q"]);
    let path = machine.home().join("a.json");
    std::fs::write(&path, SETTINGS).unwrap();
    let exclude = machine.root.join("work/.git/info/exclude");
    let hidden_before = std::fs::read(&exclude).unwrap_or_default();
    for round in 0..24_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plants_and_unplants_for_ever", "--ignored", "--nocapture"])
            .env("PLANT_ROOT", &machine.root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = machine.root.join("planted-once");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !begun.exists() {
            assert!(std::time::Instant::now() < deadline && child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        // A different moment each round; which one does not matter, for every one must be survived.
        for _ in 0..round * 2_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(&begun).unwrap();
        if round % 2 == 0 {
            machine.plant("1", &crash_plants());
            assert!(std::fs::read_to_string(&path).unwrap().contains("light"), "a repeat goes on");
        }
        if let Some(planted) = Planted::read(&machine.run("1")).unwrap() {
            unplant(&planted).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS, "round {round}");
        let home: Vec<_> = std::fs::read_dir(machine.home()).unwrap().flatten().collect();
        assert_eq!(home.len(), 1, "round {round}: {home:?}");
        assert!(!machine.root.join("work/.rules").exists(), "round {round}");
        assert_eq!(std::fs::read(&exclude).unwrap_or_default(), hidden_before, "round {round}");
    }
}
