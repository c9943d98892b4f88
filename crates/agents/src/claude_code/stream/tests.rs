//! What no recording shows: several questions at once, limits of a subscription, hostile lines.

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Hold, Observation, TurnEnd};
use serde_json::{Value, json};

use super::Stream;
use crate::drive::{Driver, Say, Step};
use crate::screen::Answer;
use crate::testing::launch;

fn stream() -> Stream {
    Stream::new(&launch(Hold::Protocol))
}

fn tell(stream: &mut Stream, line: &Value) -> Vec<Step> {
    stream.line(line.to_string().as_bytes())
}

fn seen(steps: &[Step]) -> Vec<Observation> {
    steps
        .iter()
        .filter_map(|step| if let Step::Observe(seen) = step { Some(seen.clone()) } else { None })
        .collect()
}

fn asks(request: &str, call: &str, command: &str) -> Value {
    json!({"type": "control_request", "request_id": request, "request": {"subtype": "can_use_tool",
        "tool_name": "Bash", "tool_use_id": call, "input": {"command": command},
        "permission_suggestions": [{"type": "addRules", "destination": "localSettings"}]}})
}

fn asked(call: &str, command: &str) -> Observation {
    Observation::PermissionAsked { what: format!("Bash: {command}"), ask: Some(call.into()) }
}

#[test]
fn what_is_asked_at_once_is_shown_one_after_the_other() {
    let mut stream = stream();
    assert_eq!(
        seen(&tell(&mut stream, &asks("r1", "c1", "ls"))),
        [Observation::TurnStarted, asked("c1", "ls")]
    );
    assert_eq!(seen(&tell(&mut stream, &asks("r2", "c2", "rm"))), [], "one is shown already");
    let steps = stream.answer(None, Answer::Allow);
    assert_eq!(seen(&steps), [Observation::PermissionResolved, asked("c2", "rm")]);
    let cancel = json!({"type": "control_cancel_request", "request_id": "r2"});
    assert_eq!(seen(&tell(&mut stream, &cancel)), [Observation::PermissionResolved]);
    let steps = stream.answer(Some("c2"), Answer::Allow);
    assert!(
        !steps.iter().any(|step| matches!(step, Step::Send(_))),
        "nobody waits for it any more: {steps:?}"
    );
}

#[test]
fn an_answer_goes_to_the_question_it_names() {
    let mut stream = stream();
    tell(&mut stream, &asks("r1", "c1", "ls"));
    tell(&mut stream, &asks("r2", "c2", "rm"));
    let steps = stream.answer(Some("c2"), Answer::AllowAlways);
    let Some(Step::Send(reply)) = steps.first() else { panic!("{steps:?} sends nothing") };
    let reply: Value = serde_json::from_str(reply).unwrap();
    assert_eq!(reply["response"]["request_id"], json!("r2"));
    let updates = &reply["response"]["response"]["updatedPermissions"];
    assert_eq!(updates[0]["destination"], json!("session"), "no file of anybody's is written: {updates}");
    assert_eq!(seen(&steps), [], "the other one is still shown");
}

#[test]
fn a_limit_says_when_it_ends() {
    let mut stream = stream();
    let limit = |status: &str| json!({"type": "rate_limit_event", "rate_limit_info": {"status": status, "resetsAt": 1_800_000_000}});
    assert_eq!(seen(&tell(&mut stream, &limit("allowed_warning"))), []);
    let until = Some(Timestamp(1_800_000_000_000));
    assert_eq!(seen(&tell(&mut stream, &limit("rejected"))), [Observation::RateLimited { until }]);
}

#[test]
fn a_result_that_calls_itself_a_success_may_be_an_error() {
    for (reason, status, class) in [
        ("api_error", 429, "rate_limit"),
        ("api_error", 401, "auth"),
        ("api_error", 529, "overloaded"),
        ("api_error", 500, "error"),
        ("prompt_too_long", 400, "context_full"),
        ("max_turns", 0, "limit"),
    ] {
        let result = json!({"type": "result", "subtype": "success", "is_error": true, "terminal_reason": reason,
            "api_error_status": status, "result": "no"});
        let ended = Observation::TurnEnded(TurnEnd::Error(class.into()));
        assert_eq!(seen(&tell(&mut stream(), &result)), [ended], "{reason} {status}");
    }
}

#[test]
fn an_interruption_by_another_hand_is_no_error() {
    let result = json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
        "terminal_reason": "aborted_tools", "errors": ["x"]});
    let ended = Observation::TurnEnded(TurnEnd::Interrupted);
    assert_eq!(
        seen(&tell(&mut stream(), &result)),
        [ended],
        "a person at the bridge pressed Esc, or a hook stopped it"
    );
    let broken =
        json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "errors": ["x"]});
    assert_eq!(seen(&tell(&mut stream(), &broken)), [Observation::TurnEnded(TurnEnd::Error("error".into()))]);
}

#[test]
fn hostile_lines_say_nothing_and_harm_nobody() {
    let mut stream = stream();
    for line in [
        "",
        "noise on the standard output",
        "null",
        "[]",
        "{",
        "{\"type\":7}",
        "{\"type\":\"not_invented_yet\",\"message\":[]}",
        "{\"type\":\"user\",\"message\":{\"content\":\"words\"}}",
        "{\"type\":\"system\",\"subtype\":{}}",
        "{\"type\":\"command_lifecycle\",\"state\":\"queued\"}",
    ] {
        assert_eq!(stream.line(line.as_bytes()), [], "{line}");
    }
    assert_eq!(stream.line(&[0xff, 0xfe]), []);
    let request =
        json!({"type": "control_request", "request_id": "r9", "request": {"subtype": "mcp_message"}});
    let steps = tell(&mut stream, &request);
    assert!(
        matches!(&steps[..], [Step::Send(reply)] if reply.contains("r9")),
        "it would wait for ever: {steps:?}"
    );
}

#[test]
fn each_message_has_an_id_of_its_own_in_the_conversation() {
    let ids = |folder: &'static str| {
        let mut stream = Stream::new(&crate::launch::Launch { folder, ..launch(Hold::Protocol) });
        let mut id = || match &stream.say(Say { id: None, text: "hi".into(), interrupt: false })[..] {
            [Step::Send(line)] => serde_json::from_str::<Value>(line).unwrap()["uuid"].clone(),
            other => panic!("{other:?} sends nothing"),
        };
        [id(), id()]
    };
    let ([first, second], [later, _]) = (ids("/runs/1"), ids("/runs/2"));
    assert_ne!(first, second);
    assert_ne!(first, later, "the agent drops a message whose id it has seen, in another run, too");
    assert_eq!([first, second], ids("/runs/1"), "the same run says the same");
}
