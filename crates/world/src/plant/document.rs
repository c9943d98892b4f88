//! Puts values into a JSON document that a person wrote, and takes them out again: comments and layout survive.
//!
//! Text in, text out. Must not know files, nor whose the values are.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstObject, CstRootNode};
use oarlock_agents::launch::Put;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What agents' settings are written in: JSON, with comments and trailing commas. Looser text is not understood by all of
/// them, and would be read otherwise than they do.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A value that somebody wants in a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Edit {
    /// The keys that lead to it, outermost first.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// How it is put there.
    pub put: How,
}

impl From<&oarlock_agents::launch::Edit> for Edit {
    fn from(edit: &oarlock_agents::launch::Edit) -> Self {
        Self { path: edit.path.clone(), value: edit.value.clone(), put: edit.put.into() }
    }
}

/// [`Put`], as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// As the value of its key.
    Set,
    /// As the value of its key, unless it has one.
    Default,
    /// As an element of the array there, unless an equal one is in it.
    Append,
}

impl From<Put> for How {
    fn from(put: Put) -> Self {
        match put {
            Put::Set => How::Set,
            Put::Default => How::Default,
            Put::Append => How::Append,
        }
    }
}

/// What was done to a document by one edit, so that it can be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Undo {
    /// The keys that lead to the value, or to the array.
    path: Vec<String>,
    /// The value put there.
    ours: Value,
    /// Whether it is an element of the array at `path`.
    element: bool,
    /// The value that was there before.
    before: Option<Value>,
    /// How many of the containers at `path[..1]`, `path[..2]` and so on were there before; the others were made.
    had: usize,
}

/// What came of putting values into a document.
#[derive(Debug, PartialEq)]
pub(super) struct Done {
    /// The document.
    pub text: String,
    /// What was done, in order. Edits that found their value there did nothing.
    pub undo: Vec<Undo>,
    /// Edits that could not be done, a sentence's end each.
    pub notes: Vec<String>,
}

/// Why a document is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is not JSON, or cannot be written back as it was.
    Unreadable,
    /// It holds something else than an object.
    NotAnObject,
}

impl Unfit {
    /// Returns the end of a sentence that begins with the file's name.
    pub(super) fn says(self) -> &'static str {
        match self {
            Unfit::Unreadable => "is not JSON that can be read",
            Unfit::NotAnObject => "does not hold a JSON object",
        }
    }
}

/// Puts values into a document; an empty one becomes an object.
pub(super) fn put(text: &str, edits: &[&Edit]) -> Result<Done, Unfit> {
    let root = parse(text)?;
    let top = root.object_value_or_create().ok_or(Unfit::NotAnObject)?;
    let mut done = Done { text: String::new(), undo: Vec::new(), notes: Vec::new() };
    for edit in edits {
        match put_one(&top, edit) {
            Ok(undo) => done.undo.extend(undo),
            Err(why) => done.notes.push(format!("holds {why} at {}", edit.path.join("."))),
        }
    }
    done.text = root.to_string();
    Ok(done)
}

/// Takes back what was done, the last first, as far as the values are still there; what others wrote stays.
pub(super) fn take_back(text: &str, undo: &[Undo]) -> Result<String, Unfit> {
    let root = parse(text)?;
    let Some(top) = root.object_value() else { return Ok(text.to_owned()) };
    for one in undo.iter().rev() {
        take_back_one(&top, one);
    }
    Ok(root.to_string())
}

/// Whether a document holds nothing: no value, or an empty object, and no comment.
pub(super) fn is_empty(text: &str) -> bool {
    text.chars().filter(|c| !c.is_whitespace()).collect::<String>().trim_matches(['{', '}']).is_empty()
}

fn parse(text: &str) -> Result<CstRootNode, Unfit> {
    let root = CstRootNode::parse(text, &OPTIONS).map_err(|_| Unfit::Unreadable)?;
    // A document that does not come back as it was would lose something that nobody asked to be changed.
    if root.to_string() == text { Ok(root) } else { Err(Unfit::Unreadable) }
}

/// Does one edit. Returns what was done, or what is in its way.
fn put_one(top: &CstObject, edit: &Edit) -> Result<Option<Undo>, &'static str> {
    let Some((key, parents)) = edit.path.split_last() else { return Ok(None) };
    let is_element = edit.put == How::Append;
    let had = reach(top, &edit.path, is_element)?;
    let mut object = top.clone();
    for parent in parents {
        object = object.object_value_or_create(parent).ok_or("something else than an object")?;
    }
    let undo =
        |before| Undo { path: edit.path.clone(), ours: edit.value.clone(), element: is_element, before, had };
    if is_element {
        let array = object.array_value_or_create(key).ok_or("something else than an array")?;
        if array.elements().iter().any(|element| element.to_serde_value().as_ref() == Some(&edit.value)) {
            return Ok(None);
        }
        array.append(input(&edit.value));
        return Ok(Some(undo(None)));
    }
    let Some(there) = object.get(key) else {
        object.append(key, input(&edit.value));
        return Ok(Some(undo(None)));
    };
    let before = there.value().and_then(|value| value.to_serde_value());
    if edit.put == How::Default || before.as_ref() == Some(&edit.value) {
        return Ok(None);
    }
    there.set_value(input(&edit.value));
    Ok(Some(undo(before)))
}

/// Returns how many containers on the way to an edit's place are there, when nothing is in its way.
fn reach(top: &CstObject, path: &[String], is_element: bool) -> Result<usize, &'static str> {
    let mut object = top.clone();
    for (depth, key) in path.iter().enumerate() {
        // Which of two equal keys counts is up to the reader: no edit would be sure to be seen.
        if object.properties().iter().filter(|one| one.decoded_name().as_ref() == Some(key)).count() > 1 {
            return Err("the same key twice");
        }
        let Some(there) = object.get(key) else { return Ok(depth) };
        let is_last = depth + 1 == path.len();
        if is_last && is_element {
            return if there.array_value().is_some() {
                Ok(path.len())
            } else {
                Err("something else than an array")
            };
        }
        if is_last {
            return Ok(depth);
        }
        object = there.object_value().ok_or("something else than an object")?;
    }
    Ok(path.len())
}

fn take_back_one(top: &CstObject, undo: &Undo) {
    let Some((key, parents)) = undo.path.split_last() else { return };
    let Some(object) = walk(top, parents) else { return };
    let Some(there) = object.get(key) else { return };
    if undo.element {
        let Some(array) = there.array_value() else { return };
        let elements = array.elements();
        let ours = elements.into_iter().rev().find(|one| one.to_serde_value().as_ref() == Some(&undo.ours));
        let Some(ours) = ours else { return };
        ours.remove();
        if undo.had < undo.path.len() {
            if !is_bare_array(&array) {
                return;
            }
            there.remove();
        }
    } else {
        if there.value().and_then(|value| value.to_serde_value()).as_ref() != Some(&undo.ours) {
            return;
        }
        match &undo.before {
            Some(before) => there.set_value(input(before)),
            None => there.remove(),
        }
    }
    // What was made on the way goes when nothing else moved in.
    for depth in (undo.had + 1..undo.path.len()).rev() {
        let (name, above) = undo.path[..depth].split_last().expect("depth is at least 1");
        let Some(property) = walk(top, above).and_then(|object| object.get(name)) else { return };
        if !property.object_value().is_some_and(|object| is_empty(&object.to_string())) {
            return;
        }
        property.remove();
    }
}

fn is_bare_array(array: &CstArray) -> bool {
    array.to_string().chars().all(|c| c.is_whitespace() || "[]".contains(c))
}

fn walk(top: &CstObject, path: &[String]) -> Option<CstObject> {
    path.iter().try_fold(top.clone(), |object, key| object.object_value(key))
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(yes) => CstInputValue::Bool(*yes),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(all) => CstInputValue::Array(all.iter().map(input).collect()),
        Value::Object(all) => {
            CstInputValue::Object(all.iter().map(|(key, value)| (key.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn value(text: &str) -> Option<Value> {
        parse(text).ok()?.value()?.to_serde_value()
    }

    fn edit(path: &[&str], value: Value, put: How) -> Edit {
        Edit { path: path.iter().map(|key| (*key).to_owned()).collect(), value, put }
    }

    /// What may stand between two tokens.
    fn gap() -> impl Strategy<Value = &'static str> {
        prop::sample::select(
            &["", "", " ", "\n", "\r\n", "\t", "/* a \" { */", "// b ]\n", "\n  // c\n  "][..],
        )
    }

    fn key() -> impl Strategy<Value = &'static str> {
        prop::sample::select(&["a", "b", "c", "a b", "\u{e9}", "/w/x", "with.dot"][..])
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![json!(null), json!(true), json!(7), json!("text \u{1f980}\n"), json!(-1.5)])
    }

    fn array(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        (prop::collection::vec((gap(), inner, gap()), 0..4), any::<bool>()).prop_map(|(all, comma)| {
            let inner: Vec<String> = all.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
            format!("[{}{}]", inner.join(","), if comma && !all.is_empty() { "," } else { "" })
        })
    }

    fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let property = (key(), (gap(), gap(), gap(), gap()), inner);
        (prop::collection::vec(property, 0..5), any::<bool>(), gap()).prop_map(|(all, comma, end)| {
            let mut seen: Vec<&str> = Vec::new();
            let mut inner = Vec::new();
            for (key, (a, b, c, d), value) in &all {
                if !seen.contains(key) {
                    seen.push(key);
                    inner.push(format!("{a}{}{b}:{c}{value}{d}", json!(key)));
                }
            }
            format!("{{{}{}{end}}}", inner.join(","), if comma && !all.is_empty() { "," } else { "" })
        })
    }

    /// Documents as people write them: comments, trailing commas, any layout.
    pub(in crate::plant) fn jsonc() -> impl Strategy<Value = String> {
        let value = leaf().prop_map(|value| value.to_string());
        let value =
            value.prop_recursive(3, 24, 4, |inner| prop_oneof![array(inner.clone()), object(inner)].boxed());
        (gap(), object(value), gap()).prop_map(|(a, top, b)| format!("{a}{top}{b}"))
    }

    pub(in crate::plant) fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let value = prop_oneof![leaf(), Just(json!({"k": [1, {"m": 2}]})), Just(json!([]))];
        let how = prop::sample::select(&[How::Set, How::Default, How::Append][..]);
        let one = (prop::collection::vec(key(), 1..4), value, how);
        prop::collection::vec(one, 0..6)
            .prop_map(|all| all.into_iter().map(|(path, value, put)| edit(&path, value, put)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_put_in_and_taken_out_leaves_the_same_values(text in jsonc(), edits in edits()) {
            let before = value(&text).expect("the documents are good");
            let all: Vec<&Edit> = edits.iter().collect();
            let done = put(&text, &all).unwrap();
            prop_assert!(value(&done.text).is_some(), "{} is not JSON", done.text);
            let after = take_back(&done.text, &done.undo).unwrap();
            prop_assert_eq!(value(&after), Some(before), "{}", after);
        }

        #[test]
        fn every_comment_survives(text in jsonc(), edits in edits()) {
            let comments = |text: &str| {
                ["/* a \" { */", "// b ]", "// c"].map(|comment| text.matches(comment).count())
            };
            // A value that is replaced takes the comments in it along.
            let gentle: Vec<&Edit> = edits.iter().filter(|edit| edit.put != How::Set).collect();
            let done = put(&text, &gentle).unwrap();
            prop_assert_eq!(comments(&done.text), comments(&text), "{}", done.text);
        }

        #[test]
        fn edits_that_found_no_obstacle_are_there(text in jsonc(), edits in edits()) {
            for edit in edits {
                let done = put(&text, &[&edit]).unwrap();
                let now = value(&done.text).unwrap();
                let there = edit.path.iter().try_fold(&now, |value, key| value.get(key));
                let is_there = match edit.put {
                    How::Set => there == Some(&edit.value),
                    How::Default => there.is_some(),
                    How::Append => there.and_then(Value::as_array).is_some_and(|all| all.contains(&edit.value)),
                };
                prop_assert_eq!(is_there, done.notes.is_empty(), "{}", done.text);
            }
        }
    }

    #[test]
    fn layout_is_kept_and_followed() {
        let text = "{\n    // mine\n    \"a\": 1\n}\n";
        let set = edit(&["b", "c"], json!(true), How::Set);
        let done = put(text, &[&set]).unwrap();
        assert_eq!(done.text, "{\n    // mine\n    \"a\": 1,\n    \"b\": {\n        \"c\": true\n    }\n}\n");
        assert_eq!(take_back(&done.text, &done.undo).unwrap(), text);
    }

    #[test]
    fn looser_text_than_agents_read_is_left_alone() {
        for text in ["{a: 1}", "{'a': 1}", "{\"a\": 1 \"b\": 2}", "{\"a\": 0x1}", "\u{feff}{}", "{", "{}{}"] {
            assert_eq!(put(text, &[]), Err(Unfit::Unreadable), "{text}");
        }
        assert_eq!(put("[]", &[]), Err(Unfit::NotAnObject));
        assert_eq!(put("", &[]).unwrap().text.trim(), "{}");
    }

    #[test]
    fn an_object_that_was_made_stays_when_somebody_moved_in() {
        let done = put("{}", &[&edit(&["a", "b", "c"], json!(1), How::Set)]).unwrap();
        let theirs = put(&done.text, &[&edit(&["a", "x"], json!(2), How::Set)]).unwrap().text;
        assert_eq!(value(&take_back(&theirs, &done.undo).unwrap()), Some(json!({"a": {"x": 2}})));
        assert_eq!(value(&take_back(&done.text, &done.undo).unwrap()), Some(json!({})));
    }
}
