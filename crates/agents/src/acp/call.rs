//! Calls of tools, put together from the updates that agents send of them, each in its own order: some name a call before
//! they know its input, some ask for permission before they name it.

use crate::lenient::{members, word};

use super::wire::{Input, Location, Update, read};

/// A call, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// What it is called for, in one line; a guess until the input is there.
    pub what: String,
    /// The protocol's kind: `edit`, `execute`, `read` and so on.
    pub kind: String,
    /// The files it is about.
    pub paths: Vec<String>,
    /// Whether what it is called for is known from its input.
    pub is_known: bool,
    /// Whether its start was told.
    pub is_told: bool,
}

/// Names of kinds for people, for agents that do not name their tools.
const KINDS: &[(&str, &str)] = &[
    ("read", "Read"),
    ("edit", "Edit"),
    ("delete", "Delete"),
    ("move", "Move"),
    ("search", "Search"),
    ("execute", "Shell"),
    ("think", "Think"),
    ("fetch", "Fetch"),
    ("switch_mode", "Mode"),
];

impl Call {
    /// Takes in what an update says of the call.
    pub fn learn(&mut self, update: &Update<'_>, workspace: &str) {
        let title = word(update.title.as_ref());
        if let Some(kind) = &update.kind {
            self.kind = kind.0.to_string();
        }
        if let Some(name) = update.meta.as_ref().and_then(|meta| meta.tool_name.as_ref()) {
            self.name = name.0.to_string();
        } else if self.name.is_empty() {
            self.name = name_of(&self.id, title, &self.kind);
        }
        let paths: Vec<Location<'_>> = members(update.locations);
        let paths: Vec<String> = paths.iter().map(|at| word(at.path.as_ref()).to_owned()).collect();
        if !paths.is_empty() {
            self.paths = paths;
        }
        let input: Input<'_> = read(update.raw_input);
        let (command, path) = (word(input.command.as_ref()), word(input.path.as_ref()));
        let path = if path.is_empty() && self.kind != "execute" {
            self.paths.first().map_or("", String::as_str)
        } else {
            path
        };
        if !command.is_empty() {
            self.what = format!("{}: {command}", self.name);
            self.is_known = true;
        } else if !path.is_empty() {
            self.what = format!("{} {}", self.name, inside(path, workspace));
            self.is_known = true;
        } else if !self.is_known && !title.is_empty() {
            self.what = if title == self.name { title.into() } else { format!("{}: {title}", self.name) };
            let says = update.raw_input.is_some_and(|input| input.get().len() > 2);
            // Of a command only its folder may be known at first.
            self.is_known |= says && self.kind != "execute";
        }
    }

    /// Tells whether it changes files, all of them inside the workspace.
    pub fn edits_inside(&self, launch_workspace: &str) -> bool {
        let edits = matches!(self.kind.as_str(), "edit" | "delete" | "move");
        edits && !self.paths.is_empty() && self.paths.iter().all(|path| is_inside(path, launch_workspace))
    }
}

/// Returns a tool's name: a title of one word is it, and Gemini puts it before the ids of its calls.
fn name_of(id: &str, title: &str, kind: &str) -> String {
    if let Some((name, _)) = id.split_once("__")
        && !name.is_empty()
    {
        return name.into();
    }
    if !title.is_empty()
        && title.len() <= 40
        && title.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
    {
        return title.into();
    }
    KINDS.iter().find(|(known, _)| *known == kind).map_or("Tool", |(_, name)| name).into()
}

/// Returns a path as it is named from inside the workspace.
#[must_use]
pub fn inside<'p>(path: &'p str, workspace: &str) -> &'p str {
    path.strip_prefix(workspace)
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path)
}

fn is_inside(path: &str, workspace: &str) -> bool {
    let relative = inside(path, workspace);
    !relative.starts_with('/') && !relative.split('/').any(|part| part == "..")
}
