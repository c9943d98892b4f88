//! Merges values into the text of a configuration file; every byte that no change is about stays.
//!
//! It must not know where the values come from, nor what is a right one: the result is read by `config` before it is used.

use std::fmt;

use toml_edit::{Array, DocumentMut, Item, RawString, Table, TableLike, Value};

use super::Answers;
use crate::config::{PERMISSIONS, Page, WORKER};

/// A value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl fmt::Display for Said {
    /// Writes it as it stands in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Text(text) => write!(f, "{}", plain(text)),
            Said::List(list) => {
                let texts: Vec<_> = list.iter().map(|text| plain(text).to_string()).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

fn plain(text: &str) -> Value {
    Value::from(text)
}

/// One key that is about to have another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key with the tables above it, such as `workspace.setup`.
    pub key: &'static str,
    /// What it was; `None` when it said nothing.
    pub was: Option<Said>,
    /// What it is to be.
    pub is: Said,
}

/// First line of a file that was not there before.
const HEAD: &str = "# What coding agents are given in this repository; see \"oarlock init --help\".\n";

/// Returns what answers change of a file that says so much, in the order in which a file is read.
pub(super) fn changes(file: &str, page: &Page, answers: &Answers) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut text = |key, was: Option<&str>, is: Option<&str>| {
        if let Some(is) = is.filter(|is| Some(*is) != was) {
            let was = was.map(|was| Said::Text(was.to_owned()));
            changes.push(Change { key, was, is: Said::Text(is.to_owned()) });
        }
    };
    text("agent", page.agent.as_deref(), answers.agent.as_deref());
    let word = |said| PERMISSIONS.iter().find(|(_, known)| Some(*known) == said).map(|(word, _)| *word);
    let was = page.roles.get(WORKER).and_then(|role| role.permissions);
    let permissions = (word(was), word(answers.permissions));
    let table = &page.workspace;
    for (key, was, is) in [
        ("workspace.copy", &table.copy, &answers.copy),
        ("workspace.link", &table.link, &answers.link),
        ("workspace.setup", &table.setup, &answers.setup),
    ] {
        // An empty list says that somebody decided for nothing, which no list does not.
        let was = has(file, key).then_some(was);
        if let Some(is) = is.as_ref().filter(|is| Some(*is) != was) {
            let was = was.map(|was| Said::List(was.clone()));
            changes.push(Change { key, was, is: Said::List(is.clone()) });
        }
    }
    if let (was, Some(is)) = permissions
        && was != Some(is)
    {
        let was = was.map(|was| Said::Text(was.to_owned()));
        changes.push(Change { key: "roles.worker.permissions", was, is: Said::Text(is.to_owned()) });
    }
    changes
}

/// Tells whether a file has a key, whatever its value.
pub(super) fn has(text: &str, path: &str) -> bool {
    let Ok(document) = text.parse::<DocumentMut>() else { return false };
    let mut item = document.as_item();
    path.split('.').all(|key| match item.get(key) {
        Some(below) => {
            item = below;
            true
        }
        None => false,
    })
}

/// Returns the text with the changes made. `None` when it is written in a way that would not survive.
pub(super) fn apply(text: &str, changes: &[Change]) -> Option<String> {
    // The syntax tree ends every line with LF, and the last one always.
    let has_crlf = text.contains("\r\n");
    let mut plain = if has_crlf { text.replace("\r\n", "\n") } else { text.to_owned() };
    if has_crlf && plain.replace('\n', "\r\n") != text {
        return None;
    }
    if text.is_empty() {
        plain.push_str(HEAD);
    } else if !plain.ends_with('\n') {
        plain.push('\n');
    }
    let mut document: DocumentMut = plain.parse().ok()?;
    if document.to_string() != plain {
        return None;
    }
    for change in changes {
        let path: Vec<&str> = change.key.split('.').collect();
        put(&mut document, &path, &change.is)?;
    }
    let edited = document.to_string();
    Some(if has_crlf { edited.replace('\n', "\r\n") } else { edited })
}

/// Sets the value at a path of keys, making the tables on the way.
fn put(document: &mut DocumentMut, path: &[&str], said: &Said) -> Option<()> {
    let (key, tables) = path.split_last()?;
    if tables.is_empty() {
        let is_new = document.get(key).is_none();
        let is_first = !document.iter().any(|(_, item)| item.is_value());
        set(document.as_table_mut(), key, said)?;
        if is_new && is_first {
            below_head(document, key);
        }
        return Some(());
    }
    let is_last = is_missing(document, tables);
    // A table that is made goes to the end, after the comments there: what was before stays before.
    let trailing = text_of(document.trailing());
    let is_alone = document.is_empty();
    let mut above: &mut dyn TableLike = document.as_table_mut();
    for (depth, name) in tables.iter().enumerate() {
        let is_leaf = depth + 1 == tables.len();
        if above.get(name).is_none() {
            above.insert(name, Item::Table(made(is_leaf, &trailing, is_alone)));
        }
        above = above.get_mut(name)?.as_table_like_mut()?;
    }
    set(above, key, said)?;
    if is_last {
        document.set_trailing("");
    }
    Some(())
}

fn is_missing(document: &DocumentMut, tables: &[&str]) -> bool {
    let mut item = document.as_item();
    for name in tables {
        match item.get(name) {
            // In an inline table or under dotted keys a new one is no section of its own.
            Some(below) if below.is_table() => item = below,
            Some(_) => return false,
            None => return !item.as_table().is_some_and(Table::is_dotted),
        }
    }
    false
}

/// Makes a table; one that is no leaf has no line of its own.
fn made(is_leaf: bool, trailing: &str, is_alone: bool) -> Table {
    let mut table = Table::new();
    table.set_implicit(!is_leaf);
    if is_leaf {
        let gap = if is_alone && trailing.is_empty() { "" } else { "\n" };
        table.decor_mut().set_prefix(format!("{trailing}{gap}"));
        // After all that have a place.
        table.set_position(Some(isize::MAX));
    }
    table
}

fn set(table: &mut dyn TableLike, key: &str, said: &Said) -> Option<()> {
    match (table.get_mut(key), said) {
        (None, Said::Text(text)) => drop(table.insert(key, Item::Value(plain(text)))),
        (None, Said::List(list)) => {
            let list: Array = list.iter().map(|text| plain(text)).collect();
            table.insert(key, Item::Value(Value::Array(list)));
        }
        (Some(item), Said::Text(text)) => {
            let value = item.as_value_mut()?;
            let decor = value.decor().clone();
            *value = plain(text);
            *value.decor_mut() = decor;
        }
        (Some(item), Said::List(list)) => merge(item.as_array_mut()?, list),
    }
    Some(())
}

/// Makes an array hold a list: what goes is taken out, what is new put in after the rest.
fn merge(array: &mut Array, list: &[String]) {
    array.retain(|value| value.as_str().is_some_and(|text| list.iter().any(|wanted| wanted == text)));
    let kept: Vec<String> = array.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if !list.starts_with(&kept) {
        // In another order: the place is all that stays.
        array.clear();
        list.iter().for_each(|text| array.push(text.as_str()));
        return;
    }
    for text in &list[kept.len()..] {
        append(array, text);
    }
}

/// Adds a value the way the one before it stands: on a line of its own, or behind it.
fn append(array: &mut Array, text: &str) {
    let Some(last) = array.len().checked_sub(1) else { return array.push(text) };
    let mut value = plain(text);
    // A comment behind the last comma is about the last value: it stays on its line.
    let trailing = text_of(array.trailing());
    let (remark, rest) = trailing.split_at(trailing.find('\n').unwrap_or(0));
    let remark = if array.trailing_comma() && remark.contains('#') { remark } else { "" };
    if !remark.is_empty() {
        array.set_trailing(rest);
    }
    if let Some(before) = array.get_mut(last) {
        let prefix = before.decor().prefix().map(text_of).unwrap_or_default();
        let indent = prefix.rfind('\n').map(|at| prefix[at..].to_owned());
        let indent = indent.unwrap_or_else(|| if remark.is_empty() { " ".into() } else { "\n".into() });
        value.decor_mut().set_prefix(format!("{remark}{indent}"));
        // What stands between the last value and the bracket goes on standing there; a comment stays with its value.
        let suffix = before.decor().suffix().map(text_of).unwrap_or_default();
        if !suffix.contains('#') {
            before.decor_mut().set_suffix("");
            value.decor_mut().set_suffix(suffix);
        }
    }
    array.push_formatted(value);
}

/// Moves a first key below the comments that begin the file, up to the empty line that ends them.
fn below_head(document: &mut DocumentMut, key: &str) {
    let trailing = text_of(document.trailing());
    let mut first = None;
    if document.iter().count() == 1 {
        // Nothing but comments.
        document.set_trailing("");
        first = Some(trailing);
    } else if let Some(table) = first_table(document.as_table_mut()) {
        let prefix = table.decor().prefix().map(text_of).unwrap_or_default();
        let end = prefix.rfind("\n\n").map_or(0, |at| at + 2);
        let (head, rest) = prefix.split_at(end);
        let gap = if rest.starts_with('\n') { "" } else { "\n" };
        table.decor_mut().set_prefix(format!("{gap}{rest}"));
        first = Some(head.to_owned());
    }
    if let (Some(first), Some(mut key)) = (first, document.key_mut(key)) {
        key.leaf_decor_mut().set_prefix(first);
    }
}

/// Returns the table whose line comes first.
fn first_table(table: &mut Table) -> Option<&mut Table> {
    let mut found: Option<&mut Table> = None;
    let mut open: Vec<&mut Table> = vec![table];
    while let Some(next) = open.pop() {
        let mut is_line = false;
        if let (Some(at), false, false) = (next.position(), next.is_implicit(), next.is_dotted()) {
            is_line =
                at > 0 && found.as_ref().and_then(|found| found.position()).is_none_or(|first| at < first);
        }
        if is_line {
            // What is below it comes after it.
            found = Some(next);
            continue;
        }
        open.extend(next.iter_mut().filter_map(|(_, item)| item.as_table_mut()));
    }
    found
}

fn text_of(raw: &RawString) -> String {
    raw.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Whose;
    use oarlock_core::session::fact::Permissions;
    use std::path::Path;

    fn all() -> Answers {
        Answers {
            agent: Some("scripted".into()),
            permissions: Some(Permissions::Auto),
            copy: None,
            link: None,
            setup: Some(vec!["make".into(), "make test".into()]),
        }
    }

    fn page(text: &str) -> Page {
        Page::check(text, Path::new("f.toml"), Whose::Project)
            .unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    /// Merges, and holds the outcome to what must be true of each.
    fn merged(text: &str, answers: &Answers) -> String {
        let before = page(text);
        let out = apply(text, &changes(text, &before, answers)).unwrap();
        let after = page(&out);
        assert_eq!(changes(&out, &after, answers), [], "all of it is there:\n{out}");
        assert_eq!((&after.default_branch, &after.agents), (&before.default_branch, &before.agents));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let mut rest = lines(&out).into_iter();
        for line in lines(text).iter().filter(|line| line.trim_start().starts_with(['#', '['])) {
            assert!(rest.any(|other| other == *line), "{line:?} is there, in its order:\n{out}");
        }
        out
    }

    #[test]
    fn a_new_file_reads_from_the_general_to_the_particular() {
        let answers = Answers { copy: Some(vec![".env".into()]), ..all() };
        let wanted = format!(
            "{HEAD}agent = \"scripted\"\n\n[workspace]\ncopy = [\".env\"]\nsetup = [\"make\", \"make test\"]\n\n\
             [roles.worker]\npermissions = \"auto\"\n"
        );
        assert_eq!(merged("", &answers), wanted);
        let setup = Answers { setup: Some(vec!["make".into()]), ..Answers::default() };
        assert_eq!(merged("", &setup), format!("{HEAD}\n[workspace]\nsetup = [\"make\"]\n"));
    }

    #[test]
    fn what_is_there_stays_to_the_byte_around_what_changes() {
        let text = "# Ours.\n\n  agent   = 'codex'   # the fast one\ndefault_branch='main'\n\n# Links.\n[workspace] # here\n\
                    setup = [ # in order\n    \"make\", # first\n\n    # then nothing\n]\nlink = [\"a\",\"b\"]\n\n\
                    [agents.scripted]\nmodel = \"x\"\n# The end.\n";
        let wanted = "# Ours.\n\n  agent   = \"scripted\"   # the fast one\ndefault_branch='main'\n\n# Links.\n\
                      [workspace] # here\nsetup = [ # in order\n    \"make\", # first\n    \"make test\",\n\n    \
                      # then nothing\n]\nlink = [\"a\",\"b\"]\n\n[agents.scripted]\nmodel = \"x\"\n# The end.\n\n\
                      [roles.worker]\npermissions = \"auto\"\n";
        assert_eq!(merged(text, &all()), wanted);
    }

    #[test]
    fn a_first_key_goes_below_the_comments_that_begin_the_file() {
        let agent = Answers { agent: Some("scripted".into()), ..Answers::default() };
        assert_eq!(
            merged("# Of the shop.\n\n# What all get.\n[workspace]\nlink = []\n", &agent),
            "# Of the shop.\n\nagent = \"scripted\"\n\n# What all get.\n[workspace]\nlink = []\n"
        );
        assert_eq!(
            merged("# What all get.\n[workspace]\nlink = []\n", &agent),
            "agent = \"scripted\"\n\n# What all get.\n[workspace]\nlink = []\n"
        );
        assert_eq!(merged("# Nothing yet.\n", &agent), "# Nothing yet.\nagent = \"scripted\"\n");
        assert_eq!(
            merged("default_branch = \"main\"", &agent),
            "default_branch = \"main\"\nagent = \"scripted\"\n"
        );
        assert_eq!(
            merged("[roles.worker]\nmodel = \"x\"\n[workspace]\n", &agent),
            "agent = \"scripted\"\n\n[roles.worker]\nmodel = \"x\"\n[workspace]\n"
        );
    }

    #[test]
    fn every_way_to_write_a_table_is_followed() {
        for text in [
            "workspace = { link = [\"a\"] }\nroles = { worker = { model = \"x\" } }\n",
            "workspace.link = [\"a\"]\nroles.worker.model = \"x\"\n",
            "roles.overseer.model = \"x\"\n",
            "[roles]\noverseer = { model = \"x\" }\n[workspace]\n",
            "[roles.overseer]\nmodel = \"x\"\n\n[workspace]\nlink = [\"a\"]\n\n[agents.codex]\nmodel = \"y\"\n",
            "[agents.codex.env]\nA = \"1\"\n",
            "\n\n",
        ] {
            let out = merged(text, &all());
            let again = apply(&out, &changes(&out, &page(&out), &all())).unwrap();
            assert_eq!(again, out, "a second time there is nothing to do");
        }
    }

    #[test]
    fn the_ends_of_lines_stay_as_they_are() {
        let text = "# Ours.\r\n[workspace]\r\nsetup = [\r\n  \"make\"\r\n]\r\n";
        let out = merged(text, &all());
        assert_eq!(out.matches('\n').count(), out.matches("\r\n").count());
        assert!(out.contains("  \"make\",\r\n  \"make test\"\r\n]"), "{out}");
        assert_eq!(
            apply("# a\r\n# b\n", &changes("", &Page::default(), &all())),
            None,
            "mixed ends are nobody's wish"
        );
    }

    #[test]
    fn a_list_takes_in_what_is_new_and_lets_go_what_is_gone() {
        let link = |list: &[&str]| Answers {
            link: Some(list.iter().map(|text| (*text).to_owned()).collect()),
            ..Answers::default()
        };
        let text = "[workspace]\nlink = [\"a\", 'b'] # shared\n";
        assert_eq!(
            merged(text, &link(&["a", "b", "c"])),
            "[workspace]\nlink = [\"a\", 'b', \"c\"] # shared\n"
        );
        assert_eq!(merged(text, &link(&["a"])), "[workspace]\nlink = [\"a\"] # shared\n");
        assert_eq!(merged(text, &link(&["c", "a"])), "[workspace]\nlink = [\"c\", \"a\"] # shared\n");
        assert_eq!(merged(text, &link(&[])), "[workspace]\nlink = [] # shared\n");
        let odd = "say \"hi\" \\ \n é";
        assert_eq!(page(&merged(text, &link(&[odd]))).workspace.link, [odd]);
    }
}
