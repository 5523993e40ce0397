//! ATK-004: no token, half a token, two tokens, a token in the wrong place.

use crate::harness::{Key, Request, Scene, call, encode, message, post, wait_for};
use serde_json::json;

const METHODS: &[&str] = &[
    "POST", "GET", "DELETE", "PUT", "PATCH", "HEAD", "TRACE", "PROPFIND", "MCP",
];
const METADATA: &str = "/.well-known/oauth-protected-resource/servers/notes/mcp";

#[test]
fn man_3_asks_for_a_token_on_every_route_and_method() {
    let scene = Scene::new();
    let mut sent = 0;
    let mut expect = |request: &Request, status: u16| {
        sent += 1;
        let response = scene.send(request);
        assert_eq!(response.status, status, "{request:?} {response:?}");
        assert_eq!(response.header("mcp-session-id"), None);
    };
    for target in [
        "/mcp",
        "/servers/notes/mcp",
        "/servers/notes/mcp?",
        "/servers/notes/mcp?token=x&server=notes",
    ] {
        for method in METHODS {
            for session in [None, Some("0123456789012345678901234567890123456789012")] {
                let request = Request::new(method, target);
                expect(
                    &session.map_or_else(
                        || request.clone(),
                        |id| request.clone().set("mcp-session-id", id),
                    ),
                    401,
                );
            }
        }
    }
    for method in [
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "subscriptions/listen",
        "server/discover",
        "x",
    ] {
        expect(&message(method, json!({ "name": "echo" })), 401);
    }
    expect(&post("not json"), 401); // who is not known gets no parser to attack
    expect(
        &post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        401,
    );
    expect(&post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), 401);
    for target in [
        "/",
        "/mcp/",
        "/sse",
        "/messages",
        "/metrics",
        "/healthz",
        "/readyz",
        "/admin",
        "/login",
        "/token",
        "/authorize",
        "/servers",
        "/servers/notes",
        "/servers/notes/mcp/",
        "/servers/nobody/mcp",
        "/Servers/notes/mcp",
        "/servers/NOTES/mcp",
        "/servers/notes/MCP",
        "//servers/notes/mcp",
        "/servers//notes/mcp",
        "/servers/./notes/mcp",
        "/servers/x/../notes/mcp",
        "/servers/%6eotes/mcp",
        "/servers/notes%2fmcp",
        "/servers/notes/mcp;x",
        "/servers/notes/mcp/../mcp",
        "/.well-known/oauth-protected-resource/metrics",
    ] {
        for method in ["POST", "GET", "DELETE"] {
            expect(&Request::new(method, target), 404);
        }
    }
    // What is public, and no more.
    expect(&Request::new("GET", METADATA), 200);
    expect(&Request::new("POST", METADATA), 405);
    expect(&Request::new("DELETE", METADATA), 405);
    expect(&Request::new("OPTIONS", "/servers/notes/mcp"), 204);

    assert_eq!(scene.upstream.requests().len(), 0);
    assert_eq!(
        scene.gateway.exchanges().len(),
        sent,
        "one record for each request"
    );
    scene.permits(&call("echo").token(&scene.token("alice")));
    assert_eq!(scene.gateway.exchanges().len(), sent + 1);
}

#[test]
fn man_3_takes_one_bearer_token_from_one_header() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let with = |value: &str| call("echo").set("authorization", value);
    for (value, reason) in [
        ("Basic YWxpY2U6c2VjcmV0".to_owned(), "scheme"),
        (token.clone(), "scheme"),
        (format!("Token {token}"), "scheme"),
        (format!("Bearer\t{token}"), "scheme"),
        (format!("Bearer:{token}"), "scheme"),
        (format!("Bearer,Bearer {token}"), "scheme"),
        ("Bearer".to_owned(), "scheme"),
        (format!("Bearer {token} {token}"), "malformed"),
        (format!("Bearer {token}, Bearer {token}"), "malformed"),
        (format!("Bearer \t{token}"), "malformed"),
        (format!("Bearer \"{token}\""), "malformed"),
        ("Bearer none".to_owned(), "malformed"),
        ("Bearer ..".to_owned(), "malformed"),
        ("Bearer a.b".to_owned(), "malformed"),
        (format!("Bearer {}", "a".repeat(20_000)), "malformed"),
        (format!("Bearer {token}.x"), "malformed"),
        (format!("Bearer {}", token.replace('.', "..")), "malformed"),
    ] {
        scene.unauthenticated(&with(&value), reason);
    }
    scene.unauthenticated(&call("echo"), "missing");
    scene.unauthenticated(&call("echo").set("authorization", ""), "scheme");
    scene.unauthenticated(
        &call("echo")
            .token(&token)
            .add("authorization", &format!("Bearer {token}")),
        "duplicate",
    );
    scene.unauthenticated(
        &call("echo")
            .token(&token)
            .add("Authorization", "Basic eA=="),
        "duplicate",
    );
    let target = format!("/servers/notes/mcp?access_token={token}");
    scene.unauthenticated(&call("echo").to(&target), "query");
    scene.unauthenticated(&call("echo").to(&target).token(&token), "query");
    for target in ["token", "access%5Ftoken", "jwt", "authorization"] {
        scene.unauthenticated(
            &call("echo").to(&format!("/servers/notes/mcp?{target}={token}")),
            "missing",
        );
    }
    scene.permits(&call("echo").token(&token));
    scene.permits(&with(&format!("bearer   {token}")));
    assert!(
        !scene.gateway.traces().contains(&token),
        "the token was written somewhere"
    );
}

#[test]
fn man_3_does_not_lock_a_victim_out() {
    let scene = Scene::new();
    let rogue = Key::ed("ed-1");
    for _ in 0..200 {
        let forged = scene.draft("victim").key(&rogue).sign();
        assert_eq!(scene.send(&call("echo").token(&forged)).status, 401);
    }
    assert_eq!(scene.upstream.requests().len(), 0);
    wait_for("every try in the log", || {
        (scene.gateway.counted("authn.reject", "signature") == 200).then_some(())
    });
    scene.permits(&call("echo").token(&scene.token("victim")));
}

#[test]
fn auth_01_knows_no_credentials_of_its_own_making() {
    let scene = Scene::new();
    for (name, value) in [
        ("x-api-key", "secret"),
        ("cookie", "session=1; access_token=2"),
        (
            "mcp-session-id",
            "0123456789012345678901234567890123456789012",
        ),
        ("x-forwarded-user", "alice"),
        ("x-ms-client-principal", "eyJhbGljZSI6MX0"),
    ] {
        scene.unauthenticated(&call("echo").set(name, value), "missing");
    }
    for secret in ["secret", "portcullis", ""] {
        let homemade = scene
            .draft("alice")
            .header("alg", "HS256")
            .sign_hmac(secret.as_bytes());
        scene.unauthenticated(&call("echo").token(&homemade), "alg");
    }
    let login =
        Request::new("POST", "/login").set("content-type", "application/x-www-form-urlencoded");
    let response = scene.send(&login.body("user=admin&password=admin"));
    assert_eq!(
        (response.status, response.header("set-cookie")),
        (404, None)
    );
    // A token of the gateway's own form, but not of an issuer that this configuration trusts.
    let own = Key::ed("own");
    let token = scene
        .draft("alice")
        .key(&own)
        .claim("iss", format!("http://{}", scene.gateway.address))
        .sign();
    scene.unauthenticated(&call("echo").token(&token), "issuer");
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn siem_01_records_every_attempt_once_and_never_the_token() {
    const ROUNDS: usize = 5;
    let scene = Scene::new();
    let good = scene.draft("alice");
    let rogue = Key::ed("ed-1");
    let expired = crate::harness::now() - 100;
    let kinds = [
        ("signature", good.clone().key(&rogue).sign()),
        ("alg", good.clone().header("alg", "HS256").sign_hmac(b"x")),
        (
            "header",
            good.clone().header("jku", "http://evil.example/").sign(),
        ),
        ("typ", good.clone().header("typ", "JWT").sign()),
        (
            "issuer",
            good.clone().claim("iss", "https://evil.example").sign(),
        ),
        ("kid", good.clone().header("kid", "nobody").sign()),
        ("expired", good.clone().claim("exp", expired).sign()),
        ("nbf", good.clone().claim("nbf", expired + 1000).sign()),
        ("lifetime", good.clone().without("exp").sign()),
        ("audience", good.clone().claim("aud", "urn:other").sign()),
        ("subject", good.clone().without("sub").sign()),
        ("malformed", encode(b"no token")),
    ];
    for _ in 0..ROUNDS {
        for (reason, token) in &kinds {
            scene.unauthenticated(&call("echo").token(token), reason);
        }
        scene.permits(&call("echo").token(&good.sign()));
    }
    assert_eq!(scene.gateway.exchanges().len(), ROUNDS * (kinds.len() + 1));
    for (reason, _) in &kinds {
        assert_eq!(
            scene.gateway.records("authn.reject", Some(reason)).len(),
            ROUNDS,
            "{reason}"
        );
    }
    let successes = scene.gateway.records("call.completed", None);
    assert_eq!(successes.len(), ROUNDS);
    for record in successes {
        assert_eq!(
            record["principal"],
            json!({ "iss": scene.idp.issuer(), "sub": "alice" })
        );
        assert_eq!(
            (&record["client"], &record["jti"]),
            (&json!("agent"), &json!(good.jti()))
        );
    }
    let written = scene.gateway.traces();
    for token in kinds
        .iter()
        .map(|(_, token)| token.clone())
        .chain([good.sign()])
    {
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(
                !written.contains(part),
                "token material was written: {part}"
            );
        }
    }
}
