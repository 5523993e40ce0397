//! ATK-002 and ATK-031: what the client brings must not reach the upstream, nor decide where it goes.

use crate::harness::{
    AMPLE, Host, Request, STATELESS, Scene, WITH_SESSIONS, call, call_in, initialize, post, raw,
    wait_for,
};
use serde_json::json;

/// The only headers that an upstream is ever sent.
const OURS: &[&str] = &[
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "accept",
    "traceparent",
    "mcp-protocol-version",
    "mcp-session-id",
    "mcp-method",
    "mcp-name",
    "last-event-id",
    "x-tenant",
];

/// Headers that proxies, gateways and frameworks have believed.
const FOREIGN: &[&str] = &[
    "Cookie",
    "Proxy-Authorization",
    "X-Authorization",
    "X-Api-Key",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-User",
    "X-Forwarded-Access-Token",
    "X-Real-IP",
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-CLIENT-PRINCIPAL-ID",
    "X-Amzn-Oidc-Identity",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "Forwarded",
    "Via",
    "True-Client-IP",
    "router-key",
    "mcp-init-host",
    "x-mcp-servername",
    "x-tenant",
    "tracestate",
    "baggage",
    "dpop",
    "referer",
];

fn burdened(request: Request) -> Request {
    FOREIGN.iter().fold(request, |request, name| {
        request.add(name, "internal-marker")
    })
}

#[test]
fn man_1_never_passes_on_what_the_client_brought() {
    let scene = Scene::and("headers = { X-Tenant = \"support\" }\n");
    let draft = scene.draft("alice");
    let (token, jti) = (draft.sign(), draft.jti());

    let plain = call("echo")
        .token(&token)
        .add("user-agent", "internal-marker");
    scene.permits(&burdened(plain));
    let opened = scene.send(&burdened(initialize(&token)));
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    scene.permits(&burdened(call_in(&session, &token)));
    let notification = post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let notification = notification
        .token(&token)
        .set("mcp-session-id", &session)
        .set("mcp-protocol-version", WITH_SESSIONS);
    assert_eq!(scene.send(&burdened(notification)).status, 202);
    let stream = scene.open(&burdened(
        Request::in_session("GET", &session).token(&token),
    ));
    assert_eq!(stream.response.status, 200);
    assert_eq!(
        scene
            .send(&burdened(
                Request::in_session("DELETE", &session).token(&token)
            ))
            .status,
        200
    );
    wait_for("the DELETE at the upstream", || {
        scene
            .upstream
            .requests()
            .iter()
            .any(|seen| seen.method == "DELETE")
            .then_some(())
    });

    let seen = scene.upstream.requests();
    assert_eq!(seen.len(), 6);
    for seen in seen {
        for (name, _) in &seen.headers {
            assert!(
                OURS.contains(&name.as_str()),
                "the upstream saw {name}: {seen:?}"
            );
        }
        for secret in [
            token.as_str(),
            &jti,
            &session,
            "internal-marker",
            "authorization",
            "Bearer",
        ] {
            assert!(
                !seen.whole().contains(secret),
                "the upstream saw {secret}: {seen:?}"
            );
        }
        assert_eq!(seen.header("x-tenant"), Some("support"));
        assert!(
            seen.header("mcp-session-id")
                .is_none_or(|id| id == "upstream-0"),
            "{seen:?}"
        );
        assert_eq!(seen.target, "/mcp");
    }
}

#[test]
fn tok_04_who_sends_headers_that_only_we_may_set_is_told_of() {
    const EVENT: &str = "request.internal_header_stripped";
    let scene = Scene::with(&format!(
        "{AMPLE}[issuers.idp]\nissuer = \"{{idp}}\"\n[servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n\
         headers = {{ X-Tenant = \"support\" }}\n"
    ));
    let token = scene.token("alice");
    let plain = || call("echo").token(&token);
    // The twin: what clients and proxies send in good faith, and strangers, whose every header is refused with them.
    let usual = plain()
        .add("x-forwarded-for", "10.0.0.1")
        .add("x-request-id", "1")
        .add("user-agent", "mine");
    scene.permits(&usual);
    scene.unauthenticated(&call("echo").add("x-forwarded-user", "admin"), "missing");
    assert!(scene.gateway.records(EVENT, None).is_empty());

    let borrowed = plain()
        .add("X-Forwarded-User", "internal-marker")
        .add("X-MS-CLIENT-PRINCIPAL", "internal-marker")
        .add("router-key", "internal-marker");
    let response = scene.permits(&borrowed);
    let record = scene.gateway.expect(EVENT, Some("identity"));
    assert_eq!(
        record["detail"]["headers"],
        "router-key, x-forwarded-user, x-ms-client-principal"
    );
    let call_record = scene.gateway.record_of(&response);
    for field in ["principal", "client", "server", "trace"] {
        assert_eq!(record[field], call_record[field], "{record}");
    }
    assert!(record["peer"].is_string(), "{record}");
    scene.permits(&plain().add("X-Tenant", "internal-marker"));
    let record = scene.gateway.expect(EVENT, Some("configured"));
    assert_eq!(record["detail"]["headers"], "x-tenant");
    for seen in scene.upstream.requests() {
        assert!(!seen.whole().contains("internal-marker"), "{seen:?}");
        assert_eq!(seen.header("x-tenant"), Some("support"));
    }
    assert!(!scene.gateway.traces().contains("internal-marker"));

    // However often it is done, the log says how often, and does not fill.
    for _ in 0..150 {
        scene.permits(&borrowed);
    }
    wait_for("the sum", || {
        (scene.gateway.counted(EVENT, "identity") == 151).then_some(())
    });
    assert!(scene.gateway.records(EVENT, Some("identity")).len() < 110);
}

#[test]
fn man_3_takes_its_route_from_the_configuration_alone() {
    let scene = Scene::with(super::audience::TWO);
    let lure = Host::lure();
    let token = scene.token("alice");
    for (name, value) in [
        ("X-Original-URL", "/servers/finance/mcp".to_owned()),
        ("X-Rewrite-URL", "/servers/finance/mcp".to_owned()),
        ("X-HTTP-Method-Override", "DELETE".to_owned()),
        ("X-Forwarded-Host", lure.address().to_string()),
        ("mcp-init-host", lure.address().to_string()),
        ("x-mcp-servername", "finance".to_owned()),
        ("router-key", "secret-api-key".to_owned()),
    ] {
        let response = scene.permits(&call("echo").token(&token).set(name, &value));
        assert_eq!(
            scene.gateway.record_of(&response)["server"],
            "notes",
            "{name}"
        );
        scene.unauthenticated(
            &call("echo")
                .set(name, &value)
                .set("x-forwarded-user", "alice"),
            "missing",
        );
    }
    assert_eq!(lure.seen().len(), 0);
}

#[test]
fn tok_01_has_no_other_way_in() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let rest = format!(
        "authorization: Bearer {token}\r\ncontent-type: application/json\r\nmcp-protocol-version: {STATELESS}\r\n\
         mcp-method: tools/call\r\nmcp-name: echo\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let own = scene.gateway.address;
    let foreign = Host::lure();
    for (target, hosts) in [
        (
            format!("http://{}/servers/notes/mcp", foreign.address()),
            vec![own.to_string()],
        ),
        (
            "http://evil.example/servers/notes/mcp".to_owned(),
            vec![own.to_string()],
        ),
        (
            "/servers/notes/mcp".to_owned(),
            vec![own.to_string(), "evil.example".to_owned()],
        ),
        (
            "/servers/notes/mcp".to_owned(),
            vec!["evil.example".to_owned(), own.to_string()],
        ),
        (
            "/servers/notes/mcp".to_owned(),
            vec![foreign.address().to_string()],
        ),
        ("/servers/notes/mcp".to_owned(), vec![]),
    ] {
        let hosts: String = hosts
            .iter()
            .flat_map(|host| ["host: ", host, "\r\n"])
            .collect();
        let response = raw(
            own,
            format!("POST {target} HTTP/1.1\r\n{hosts}{rest}").as_bytes(),
        );
        assert!(
            matches!(response.status, 400 | 403 | 421),
            "{target} {hosts} {response:?}"
        );
    }
    // The upstream's session id, which only the gateway may know, is no session of ours.
    let session = scene.session(&token);
    let before = scene.upstream.requests().len();
    let forwarded = call_in("upstream-0", &token);
    assert_eq!(scene.send(&forwarded).status, 404);
    assert_eq!(
        (scene.upstream.requests().len(), foreign.seen().len()),
        (before, 0)
    );

    scene.permits(&call_in(&session, &token));
    let response = raw(
        own,
        format!("POST http://{own}/servers/notes/mcp HTTP/1.1\r\nhost: {own}\r\n{rest}").as_bytes(),
    );
    assert_eq!(
        response.status, 200,
        "absolute-form is accepted for our own name (RFC 9112 section 3.2.2): {response:?}"
    );
    assert_eq!(
        response.json()["result"]["content"][0]["text"],
        json!("\"echo\" done")
    );
}
