//! The crate graph: which of our crates may use which, as the table "The rooms" in `ARCHITECTURE.md` says.
//!
//! The table is the only place where it is written. A room's row lists what it may use; "all above" is every row before
//! it. Whoever may use a room may use the core when that room may: the core's nouns are in its interface.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::shell;

/// Where the table is, and its heading.
const PAGE: &str = "ARCHITECTURE.md";
const HEADING: &str = "## The rooms";
/// The room whose nouns cross every interface, and the one that tests may use from anywhere.
const CORE: &str = "core";
const SIM: &str = "sim";

/// A crate of ours, and those of ours it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Room {
    name: String,
    may_use: Vec<String>,
}

/// One arrow between two crates of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    /// Only for tests of `from`.
    dev: bool,
}

/// Returns a sentence for every arrow that must not be, and how many arrows there are.
///
/// # Errors
/// When there is no table, or cargo cannot say what depends on what.
pub fn faults() -> Result<(Vec<String>, usize), String> {
    let page = std::fs::read_to_string(shell::root().join(PAGE))
        .map_err(|error| format!("failed to read {PAGE}: {error}"))?;
    let rooms = rooms(&page);
    if rooms.is_empty() {
        return Err(format!("{PAGE} has no table under \"{HEADING}\""));
    }
    let metadata = MetadataCommand::new()
        .current_dir(shell::root())
        .no_deps()
        .exec()
        .map_err(|error| format!("failed to read cargo metadata: {error}"))?;
    let names: Vec<String> = metadata.packages.iter().map(|package| room_name(&package.name)).collect();
    let arrows = arrows(&metadata, &names);
    Ok((judge(&rooms, &names, &arrows), arrows.len()))
}

/// Reads the table: rows of `folder`, what it holds, and what it may use.
fn rooms(page: &str) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    let section = page.lines().skip_while(|line| !line.starts_with(HEADING)).skip(1);
    for line in section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [folder, .., uses] = cells.as_slice() else { continue };
        let folder = folder.split('`').nth(1).unwrap_or_default();
        // What stands in brackets says which part, for people.
        let uses: String = uses.split('(').map(|p| p.split_once(')').map_or(p, |(_, rest)| rest)).collect();
        let may_use = match uses.trim() {
            "all above" => rooms.iter().map(|room| room.name.clone()).collect(),
            list => list.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        rooms.push(Room { name: folder.trim_start_matches("crates/").to_owned(), may_use });
    }
    // A row below others already knows theirs, so one pass from the top hands the core down.
    for index in 0..rooms.len() {
        let has_core =
            |name: &String| rooms.iter().any(|r| r.name == *name && r.may_use.iter().any(|n| n == CORE));
        if rooms[index].may_use.iter().any(has_core) {
            rooms[index].may_use.push(CORE.to_owned());
        }
    }
    rooms
}

/// Returns the room of a package: `core` for `oarlock-core`, `cli` for `oarlock`.
fn room_name(package: &str) -> String {
    match package.strip_prefix("oarlock-") {
        Some(name) => name.to_owned(),
        None if package == "oarlock" => "cli".to_owned(),
        None => package.to_owned(),
    }
}

fn arrows(metadata: &Metadata, names: &[String]) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for package in &metadata.packages {
        // Ours are found by path: a stranger on a registry may bear a name of ours.
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let to = room_name(&dependency.name);
            if names.contains(&to) {
                let dev = dependency.kind == DependencyKind::Development;
                arrows.push(Arrow { from: room_name(&package.name), to, dev });
            }
        }
    }
    arrows
}

fn judge(rooms: &[Room], names: &[String], arrows: &[Arrow]) -> Vec<String> {
    let place = |name: &str| rooms.iter().position(|room| room.name == name);
    let mut faults = Vec::new();
    for name in names.iter().filter(|name| place(name).is_none()) {
        faults.push(format!("{name} is in no room: give it a row under \"{HEADING}\" in {PAGE}"));
    }
    for Arrow { from, to, dev } in arrows {
        let (Some(above), Some(below)) = (place(from), place(to)) else { continue };
        let may_use = &rooms[above].may_use;
        // Tests may look at anything beneath them, and at the simulator.
        let fine_in_tests = *dev && (to == SIM || below < above);
        if !may_use.contains(to) && !fine_in_tests {
            let kind = if *dev { "tests of " } else { "" };
            faults.push(format!(
                "{kind}{from} may not use {to}: take the arrow away, or move the wall in {PAGE} and say why in docs/design"
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n## The rooms\n\n| folder | holds | may use |\n|---|---|---|\n\
        | `crates/core` | nouns | nothing of ours |\n| `crates/engine` | loop | core |\n\
        | `crates/store` | log | engine |\n| `crates/term` | host | nothing of ours |\n\
        | `crates/daemon` | all | all above |\n| `crates/cli` | main | daemon, term (attach) |\n\
        | `crates/sim` | worlds | engine |\n\n## Else\n\n| `crates/attic` | | core |\n";

    fn judged(from: &str, to: &str, dev: bool) -> usize {
        let names = [from.to_owned(), to.to_owned()];
        judge(&rooms(PAGE), &names, &[Arrow { from: from.into(), to: to.into(), dev }]).len()
    }

    #[test]
    fn arrows_point_down_only() {
        assert_eq!(judged("store", "engine", false), 0);
        assert_eq!(judged("store", "core", false), 0, "the engine speaks in the core's nouns");
        assert_eq!(judged("daemon", "term", false), 0);
        assert_eq!(judged("cli", "term", false), 0, "words in brackets are for people");
        assert_eq!(judged("engine", "store", false), 1, "the engine must not know what stores its log");
        assert_eq!(judged("term", "core", false), 1, "the host knows nothing of ours");
        assert_eq!(
            judged("cli", "store", false),
            1,
            "what the daemon uses is not there for the command line"
        );
    }

    #[test]
    fn tests_may_use_what_is_beneath_and_the_simulator() {
        assert_eq!(judged("store", "sim", true), 0);
        assert_eq!(judged("cli", "store", true), 0);
        assert_eq!(judged("core", "engine", true), 1);
    }

    #[test]
    fn a_crate_without_a_room_is_named() {
        let faults = judge(&rooms(PAGE), &["attic".into()], &[]);
        assert!(
            faults[0].starts_with("attic is in no room"),
            "the table ends at the next heading: {faults:?}"
        );
    }

    #[test]
    fn packages_have_the_names_of_their_rooms() {
        assert_eq!(
            [room_name("oarlock-core"), room_name("oarlock"), room_name("xtask")],
            ["core", "cli", "xtask"]
        );
    }
}
