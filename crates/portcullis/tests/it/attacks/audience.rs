//! ATK-001: a token that was made for somebody else's server.

use crate::harness::{Gateway, Scene, call, portcullis, post};
use serde_json::{Value, json};

/// Two servers of one issuer, and the gateway's own issuer beside it.
pub(super) const TWO: &str = r#"
[issuers.idp]
issuer = "{idp}"

[issuers.local]
embedded = true

[servers.notes]
url = "{upstream}"
allow = ["*"]

[servers.finance]
url = "{upstream}"
allow = ["*"]
"#;

#[test]
fn man_1_refuses_tokens_of_another_audience() {
    let scene = Scene::with(TWO);
    let (own, sibling) = (scene.gateway.url("notes"), scene.gateway.url("finance"));
    let gateway = format!("http://{}", scene.gateway.address);
    let wrong: &[Value] = &[
        json!(sibling),
        json!([sibling]),
        json!([sibling, "agent", gateway]),
        json!("agent"),
        json!([]),
        json!(""),
        json!("*"),
        json!(null),
        json!(7),
        json!({ "0": own }),
        json!([[own]]),
        json!(gateway),
        json!(format!("{own}/")),
        json!(format!("{own}?")),
        json!(format!("{own}#")),
        json!(format!(" {own}")),
        json!(format!("{own},{sibling}")),
        json!(own.replace("127.0.0.1", "localhost")),
        json!(own.to_uppercase()),
        json!(own.trim_end_matches("/mcp")),
    ];
    for audience in wrong {
        let token = scene.draft("alice").claim("aud", audience.clone()).sign();
        scene.unauthenticated(&call("echo").token(&token), "audience");
    }
    let nothing = scene.draft("alice").without("aud").sign();
    scene.unauthenticated(&call("echo").token(&nothing), "audience");

    scene.permits(&call("echo").token(&scene.token("alice")));
    let many = scene
        .draft("alice")
        .claim("aud", json!([sibling, own]))
        .sign();
    scene.permits(&call("echo").token(&many));
}

#[test]
fn auth_06_refuses_a_sibling_s_token_on_every_method_and_after_it_was_seen_at_the_sibling() {
    let scene = Scene::with(TWO);
    let finance = "/servers/finance/mcp";
    let token = scene
        .idp
        .draft("alice", &scene.gateway.url("finance"))
        .sign();
    scene.permits(&call("echo").to(finance).token(&token)); // now the gateway remembers the token
    for method in ["POST", "GET", "DELETE", "PUT", "PATCH"] {
        scene.unauthenticated(&call("echo").method(method).token(&token), "audience");
    }
    scene.permits(&call("echo").to(finance).token(&token));
}

#[test]
fn auth_06_refuses_the_own_issuer_s_token_for_a_sibling() {
    let scene = Scene::with(TWO);
    let (notes, finance) = (scene.gateway.token("notes"), scene.gateway.token("finance"));
    scene.unauthenticated(&call("echo").token(&finance), "audience");
    scene.unauthenticated(
        &call("echo").to("/servers/finance/mcp").token(&notes),
        "audience",
    );
    scene.permits(&call("echo").token(&notes));
    scene.permits(&call("echo").to("/servers/finance/mcp").token(&finance));
}

#[test]
fn tok_06_does_not_start_with_an_audience_that_everybody_has() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portcullis.toml");
    let server = |audience: &str| {
        format!(
            "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n{audience}\n"
        )
    };
    for (audience, why) in [
        ("audience = \"\"", "an empty audience"),
        ("audience = \"*\"", "without asterisk"),
        (
            "audience = \"https://a.example https://b.example\"",
            "without asterisk and spaces",
        ),
        ("audience = []", "expected a string"),
        (
            "[servers.other]\nurl = \"http://127.0.0.1:9/mcp\"\naudience = \"http://127.0.0.1:8848/servers/notes/mcp\"",
            "the same audience",
        ),
    ] {
        std::fs::write(&file, server(audience)).unwrap();
        let ended = portcullis(&["serve", "--config", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{audience}: {told}");
        assert!(told.contains(why), "{audience}: {told}");
    }
    let config = "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\naudience = \"urn:notes\"\n";
    let gateway = Gateway::start(config);
    let response = post("{}")
        .token(&gateway.token("notes"))
        .send(gateway.address);
    assert_eq!(
        response.status, 400,
        "known, so that its message is read: {response:?}"
    );
}
