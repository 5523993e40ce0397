//! ATK-018 and ATK-019: streams that are read by a second reader, and streams that are taken up again by another.

use crate::harness::{Answer, Request, Scene, call_in, wait_for};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn listen(session: &str, token: &str) -> Request {
    Request::in_session("GET", session).token(token)
}

#[test]
fn ses_03_lets_one_reader_have_a_stream() {
    let scene = Scene::new();
    let (alice, mallory) = (scene.token("alice"), scene.token("mallory"));
    let session = scene.session(&alice);
    let mut victim = scene.open(&listen(&session, &alice));
    assert_eq!(victim.response.status, 200);
    // CVE-2026-33946: a second GET takes the first one's stream over.
    scene.refuses(
        &listen(&session, &alice),
        (409, -32600),
        ("session.duplicate_stream", "stream_taken"),
    );
    scene.refuses(
        &listen(&session, &mallory),
        (404, 404),
        ("session.principal_mismatch", "principal_mismatch"),
    );
    assert_eq!(
        scene.upstream.notify("ev-1", "for-alice-alone"),
        1,
        "one stream at the upstream"
    );
    victim
        .until("for-alice-alone")
        .expect("the victim's stream stays");
    drop(victim);
    let mut again = wait_for("the place of the first reader", || {
        let stream = scene.open(&listen(&session, &alice));
        (stream.response.status == 200).then_some(stream)
    });
    scene.upstream.notify("ev-2", "once-more");
    again.until("once-more").unwrap();
}

#[test]
fn ses_03_resumes_for_the_one_who_was_given_the_id() {
    let scene = Scene::new();
    let (alice, mallory) = (scene.token("alice"), scene.token("mallory"));
    let (session, second) = (scene.session(&alice), scene.session(&alice));
    let foreign = scene.session(&mallory);
    let mut stream = scene.open(&listen(&session, &alice));
    scene.upstream.notify("ev-1", "secret");
    let id = stream.next_id();
    drop(stream);
    assert!(
        !id.contains("ev-1"),
        "the upstream's own id reached the client"
    );

    let resume =
        |session: &str, token: &str, id: &str| listen(session, token).set("last-event-id", id);
    let refused = ("stream.resume_rejected", "resume");
    scene.refuses(&resume(&foreign, &mallory, &id), (404, -32600), refused);
    scene.refuses(&resume(&second, &alice, &id), (404, -32600), refused);
    scene.refuses(
        &resume(&session, &mallory, &id),
        (404, 404),
        ("session.principal_mismatch", "principal_mismatch"),
    );
    let mut bytes = URL_SAFE_NO_PAD.decode(&id).unwrap();
    for place in 0..bytes.len() {
        bytes[place] ^= 1;
        scene.refuses(
            &resume(&session, &alice, &URL_SAFE_NO_PAD.encode(&bytes)),
            (404, -32600),
            refused,
        );
        bytes[place] ^= 1;
    }
    for guess in [
        "ev-1",
        "ev-2",
        "0",
        "",
        "../ev-1",
        &id[1..],
        &format!("{id}="),
        &"A".repeat(5000),
    ] {
        scene.refuses(&resume(&session, &alice, guess), (404, -32600), refused);
    }

    let resumed = scene.open(&resume(&session, &alice, &id));
    assert_eq!(resumed.response.status, 200);
    let asked = scene.upstream.requests().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.header("last-event-id")),
        ("GET", Some("ev-1"))
    );
    drop(resumed);
    assert_eq!(
        scene
            .send(&Request::in_session("DELETE", &session).token(&alice))
            .status,
        200
    );
    let after = scene.send(&resume(&session, &alice, &id));
    assert_eq!(after.status, 404);
    assert_eq!(scene.gateway.record_of(&after)["event"], "session.reject");
}

#[test]
fn ses_03_passes_one_narrowed_answer_on_a_stream_that_is_taken_up_again() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\"]\n",
    );
    let token = scene.token("alice");
    let session = scene.session(&token);
    let whole = |body: &str| {
        let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ncontent-length:";
        Answer::Bytes(format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    // The server closes before it answers, and answers when the client comes back (SEP-1699): here twice.
    scene.upstream.misbehave(move |seen| {
        let tools = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"echo"},{"name":"delete_all"}]}}"#;
        match seen.header("last-event-id") {
            Some("up-1") => Some(whole(&format!("id: up-2\ndata: {tools}\n\nid: up-3\ndata: {tools}\n\n"))),
            None if seen.body.contains("tools/list") => Some(whole("id: up-1\nretry: 1\ndata: \n\n")),
            _ => None,
        }
    });
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#;
    let mut asked = scene.open(&call_in(&session, &token).body(list));
    let id = asked.next_id();
    let (rest, _) = asked.end();
    assert!(
        !rest.contains("error"),
        "an end to be continued is no answer: {rest}"
    );
    let resumed = scene.open(&listen(&session, &token).set("last-event-id", &id));
    let (rest, _) = resumed.end();
    assert_eq!(rest.matches("\"echo\"").count(), 1, "{rest}");
    assert!(
        !rest.contains("delete_all") && !rest.contains("up-"),
        "{rest}"
    );
    wait_for("the records", || {
        let counted = |event, reason| scene.gateway.records(event, reason).len();
        let all = (
            counted("call.suspended", None),
            counted("call.completed", None),
            counted("upstream.refused", Some("answer_not_asked")),
        );
        (all == (1, 2, 1)).then_some(()) // `initialize` is the other one that was completed
    });
}

#[test]
fn ses_03_has_no_streams_to_steal_where_there_are_no_sessions() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    for method in ["GET", "DELETE"] {
        let request = Request::in_session(method, &session)
            .token(&token)
            .method(method)
            .set("mcp-protocol-version", "2026-07-28");
        scene.refuses(
            &request.set("last-event-id", "x"),
            (405, -32600),
            ("http.rejected", "method"),
        );
    }
    scene.permits(&call_in(&session, &token));
}
