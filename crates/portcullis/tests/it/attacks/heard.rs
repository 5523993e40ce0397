//! What clients hear of decisions about what servers define: at once, on the stream that they have, whether or not the
//! server itself has one.

use super::pinned::{BENIGN, CHANGED, ERAS, Era, Hostile, answer};
use crate::harness::{Answer, Request, Seen, Stream, WITH_SESSIONS, initialize, message};
use serde_json::{Value, json};

const CHANGE: &str = "notifications/tools/list_changed";

/// A server that has no stream of its own, in either era.
fn without_stream(seen: &Seen) -> Option<Answer> {
    if seen.method == "GET" {
        return Some(Answer::status(405));
    }
    let asked: Value = serde_json::from_str(&seen.body).ok()?;
    if asked["method"] != "subscriptions/listen" {
        return None;
    }
    let error = json!({ "code": -32601, "message": "Method not found" });
    let said = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error });
    Some(Answer::json(404, "", &said.to_string()))
}

fn with_stream(seen: &Seen) -> Option<Answer> {
    seen.body.contains("subscriptions/listen").then(|| {
        let params = json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": 7 },
            "notifications": { "toolsListChanged": true } });
        let first = json!({ "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged", "params": params });
        Answer::events(&format!("data: {first}\n\n"))
    })
}

impl Hostile {
    fn speaks(&self, first: fn(&Seen) -> Option<Answer>) {
        let says = self.says.clone();
        let script = move |seen: &Seen| first(seen).or_else(|| answer(seen, &says));
        self.scene.upstream.misbehave(script);
    }

    fn listens(&self) -> Stream {
        let wants = json!({ "notifications": { "toolsListChanged": true } });
        let subscription = || message("subscriptions/listen", wants).token(&self.token);
        let own = self.session.as_ref().map(|session| {
            Request::in_session("GET", session)
                .token(&self.token)
                .set("mcp-protocol-version", WITH_SESSIONS)
        });
        let request = own.unwrap_or_else(subscription);
        self.scene.open(&request)
    }

    /// Must hear of one change, and then be shown this at the first look.
    fn hears(&self, stream: &mut Stream, shown: Option<&str>) {
        let line = stream.until(CHANGE).unwrap();
        let heard: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(heard["method"], CHANGE, "{heard}");
        let tag = &heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        let expected = self.session.is_none().then_some(7);
        assert_eq!(tag.as_u64(), expected, "{heard}");
        assert_eq!(self.shown().as_deref(), shown);
    }

    fn decides(&self, deed: &str) {
        self.tools(&[&[deed, "notes", "echo", "--kind", "tool"][..], yes(deed)].concat());
    }
}

fn yes(deed: &str) -> &'static [&'static str] {
    if deed == "approve" { &["--yes"] } else { &[] }
}

#[test]
fn dyn_01_clients_hear_of_every_decision_on_the_stream_that_they_have() {
    for era in ERAS {
        for first in [with_stream, without_stream] {
            let hostile = Hostile::new("pin", era);
            hostile.speaks(first);
            assert_eq!(hostile.shown(), None, "{era:?}");
            hostile.until("pending");
            let mut stream = hostile.listens();
            hostile.decides("approve");
            hostile.hears(&mut stream, Some(BENIGN));
            hostile.turns(CHANGED);
            assert_eq!(hostile.shown().as_deref(), Some(BENIGN), "{era:?}");
            hostile.until("changed");
            // A no to what waits changes nothing for clients, and a yes does.
            hostile.decides("approve");
            hostile.hears(&mut stream, Some(CHANGED));
            hostile.decides("rollback");
            hostile.hears(&mut stream, Some(BENIGN));
            hostile.permits_nothing_of("echo");
        }
    }
}

impl Hostile {
    fn permits_nothing_of(&self, tool: &str) {
        let call = json!({ "name": tool, "arguments": {} });
        self.refuses(&self.request("tools/call", call), "tool.definition_changed");
    }
}

#[test]
fn dyn_01_a_server_whose_lists_are_held_says_that_they_change() {
    for (mode, expected) in [("pin", json!(true)), ("observe", Value::Null)] {
        let hostile = Hostile::new(mode, Era::Stateless);
        let first = hostile.scene.send(&initialize(&hostile.token));
        let found = hostile.request("server/discover", json!({}));
        let second = hostile.scene.send(&found);
        for answer in [first, second] {
            assert_eq!(answer.status, 200, "{answer:?}");
            let can = &answer.json()["result"]["capabilities"];
            assert_eq!(can["tools"]["listChanged"], expected, "{mode} {answer:?}");
        }
    }
}

#[test]
fn dyn_01_a_stream_of_ours_is_had_only_where_there_is_something_to_tell() {
    let hostile = Hostile::new("observe", Era::Sessions);
    hostile.speaks(without_stream);
    let session = hostile.session.as_deref().unwrap();
    let listened = Request::in_session("GET", session).token(&hostile.token);
    assert_eq!(hostile.scene.send(&listened).status, 405);
    let wants = json!({ "notifications": { "toolsListChanged": true } });
    let asked = message("subscriptions/listen", wants).token(&hostile.token);
    assert_eq!(hostile.scene.send(&asked).code(), -32601);
}
