//! ATK-006: issuers that look like a trusted one, and trusted ones that speak for each other.

use crate::harness::{Gateway, Host, Idp, Key, Manner, Scene, Upstream, call, wait_for};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn auth_07_matches_the_issuer_byte_for_byte() {
    let scene = Scene::new();
    let rogue = Idp::start();
    let lure = Host::lure();
    let (trusted, key) = (scene.idp.issuer(), Key::ed("ed-1"));
    let names: &[Value] = &[
        json!(rogue.issuer()),
        json!(lure.url()),
        json!(format!("{trusted}/")),
        json!(format!("{trusted}/evil")),
        json!(format!("{trusted}.evil.example")),
        json!(format!("{trusted}@{}", lure.address())),
        json!(format!("{trusted}?x={}", lure.url())),
        json!(format!("{trusted}#")),
        json!(format!(" {trusted}")),
        json!(trusted.replace("127.0.0.1", "localhost")),
        json!(trusted.replace("127.0.0.1", "127.1")),
        json!(trusted.to_uppercase()),
        json!(trusted.replace("http:", "https:")),
        json!(""),
        json!(null),
        json!([trusted]),
        json!({ "iss": trusted }),
    ];
    for name in names {
        // Signed by the impostor, and even by the trusted issuer itself.
        for draft in [scene.draft("alice").key(&key), scene.draft("alice")] {
            scene.unauthenticated(
                &call("echo").token(&draft.claim("iss", name.clone()).sign()),
                "issuer",
            );
        }
    }
    scene.unauthenticated(
        &call("echo").token(&scene.draft("alice").without("iss").sign()),
        "issuer",
    );
    let own = rogue.draft("alice", &scene.gateway.url("notes"));
    scene.unauthenticated(&call("echo").token(&own.sign()), "issuer");
    scene.unauthenticated(
        &call("echo").token(&own.claim("iss", trusted).sign()),
        "signature",
    );
    assert_eq!(
        (rogue.requests(), lure.seen().len()),
        (0, 0),
        "an untrusted issuer was asked"
    );
    scene.permits(&call("echo").token(&scene.token("alice")));
}

/// Two issuers; each server trusts one of them, and the third both.
fn two(first: &Idp, second: &Idp, upstream: &Upstream) -> Gateway {
    let (one, two, url) = (first.issuer(), second.issuer(), upstream.url());
    Gateway::start(&format!(
        r#"
[issuers.one]
issuer = "{one}"
[issuers.two]
issuer = "{two}"
[servers.notes]
url = "{url}"
allow = ["*"]
[servers.left]
url = "{url}"
issuers = ["one"]
allow = ["*"]
[servers.right]
url = "{url}"
issuers = ["two"]
allow = ["*"]
"#
    ))
}

#[test]
fn auth_07_keeps_the_keys_of_each_issuer_apart() {
    let (idp, other, upstream) = (Idp::start(), Idp::start(), Upstream::start());
    let scene = Scene {
        gateway: two(&idp, &other, &upstream),
        upstream,
        idp,
    };
    // Both issuers call their key the same; each signs what it likes.
    let audience = scene.gateway.url("notes");
    let posing = other
        .draft("alice", &audience)
        .claim("iss", scene.idp.issuer())
        .sign();
    scene.unauthenticated(&call("echo").token(&posing), "signature");
    let own_id = Key::ed("only-theirs");
    other.publish(std::slice::from_ref(&own_id));
    let posing = scene.draft("alice").key(&own_id).sign();
    scene.unauthenticated(&call("echo").token(&posing), "kid");
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.permits(&call("echo").token(&other.draft("alice", &audience).key(&own_id).sign()));
}

#[test]
fn authz_03_keeps_the_issuers_of_each_server_apart() {
    let (idp, other, upstream) = (Idp::start(), Idp::start(), Upstream::start());
    let scene = Scene {
        gateway: two(&idp, &other, &upstream),
        upstream,
        idp,
    };
    let (left, right) = (scene.gateway.url("left"), scene.gateway.url("right"));
    let admin = |idp: &Idp, audience: &str| {
        idp.draft("root", audience)
            .claim("roles", json!(["admin"]))
            .sign()
    };
    let at = |server: &str| call("echo").to(&format!("/servers/{server}/mcp"));
    scene.unauthenticated(&at("left").token(&admin(&other, &left)), "issuer");
    scene.unauthenticated(&at("right").token(&admin(&scene.idp, &right)), "issuer");
    scene.permits(&at("left").token(&admin(&scene.idp, &left)));
    scene.permits(&at("right").token(&admin(&other, &right)));
}

#[test]
fn tok_07_does_not_believe_metadata_that_names_another_issuer() {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    idp.lie("https://idp.example");
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        idp.issuer(),
        upstream.url()
    );
    let scene = Scene {
        gateway: Gateway::start_unready(&config),
        upstream,
        idp,
    };
    let record = scene.gateway.expect("jwks.refresh_failed", None);
    assert_eq!(
        record["detail"]["error"], "no metadata that names this issuer",
        "{record}"
    );
    assert_eq!(
        crate::harness::Request::new("GET", "/readyz")
            .send(scene.gateway.admin)
            .status,
        503
    );
    for issuer in [scene.idp.issuer(), "https://idp.example".to_owned()] {
        let token = scene.draft("alice").claim("iss", issuer.as_str()).sign();
        let reason = if issuer == scene.idp.issuer() {
            "kid"
        } else {
            "issuer"
        };
        scene.unauthenticated(&call("echo").token(&token), reason);
    }
    assert_eq!(scene.idp.fetches(), 0, "keys of a liar were fetched");
    scene.permits(&call("echo").token(&scene.gateway.token("notes")));
}

#[test]
fn auth_02_takes_tokens_in_the_form_of_a_large_provider() {
    let scene = Scene::with(
        r#"
[issuers.idp]
issuer = "{idp}"
token_types = ["JWT"]
algorithms = ["RS256"]
scope_claim = "scp"

[servers.notes]
url = "{upstream}"
audience = "api://notes"
scopes = ["Notes.Read"]

[[grants]]
who = "role:Notes.Agent"
allow = ["notes__echo"]
"#,
    );
    let good = scene
        .idp
        .draft("AAAAAAAA-sub", "api://notes")
        .key(&scene.idp.key("rsa-1"))
        .header("typ", "JWT");
    let good = good
        .without("client_id")
        .claim("azp", "0000-app")
        .claim("tid", "tenant-1")
        .claim("ver", "2.0");
    let good = good
        .claim("scp", "Notes.Read")
        .claim("roles", json!(["Notes.Agent"]));
    let response = scene.permits(&call("echo").token(&good.sign()));
    assert_eq!(scene.gateway.record_of(&response)["client"], "0000-app");
    scene.unauthenticated(
        &call("echo").token(&good.clone().claim("aud", "0000-app").sign()),
        "audience",
    );
    let tenant = format!("{}/tenant-2/v2.0", scene.idp.issuer());
    scene.unauthenticated(
        &call("echo").token(&good.clone().claim("iss", tenant).sign()),
        "issuer",
    );
    let request = call("echo").token(&good.clone().without("scp").sign());
    scene.refuses(&request, (403, 403), ("authz.deny", "scope"));
    let request = call("echo").token(&good.without("roles").sign());
    scene.refuses(&request, (403, 403), ("authz.deny", "no_rule"));
}

#[test]
fn auth_02_takes_keys_of_an_issuer_that_closes_after_its_answer() {
    for manner in [Manner::Closes, Manner::Ends] {
        let (idp, upstream) = (Idp::start(), Upstream::start());
        idp.behave(manner);
        let config = format!(
            "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
            idp.issuer(),
            upstream.url()
        );
        let scene = Scene {
            gateway: Gateway::start(&config),
            upstream,
            idp,
        };
        assert!(
            scene
                .gateway
                .records("jwks.refresh_failed", None)
                .is_empty(),
            "{manner:?}"
        );
        scene.permits(&call("echo").token(&scene.token("alice")));
        let stranger = scene.draft("alice").key(&Key::ed("unknown")).sign();
        scene.unauthenticated(&call("echo").token(&stranger), "kid");
    }
}

#[test]
fn authz_02_tightens_the_rules_while_an_issuer_hangs() {
    let (idp, other, upstream) = (Idp::start(), Idp::start(), Upstream::start());
    let scene = Scene {
        gateway: two(&idp, &other, &upstream),
        upstream,
        idp,
    };
    let alice = scene.token("alice");
    scene.permits(&call("echo").token(&alice));
    other.behave(Manner::Hangs);
    let unknown = other.draft("eve", &scene.gateway.url("notes"));
    let stuck = call("echo").token(&unknown.key(&Key::ed("unknown")).sign());
    let mut waiting = TcpStream::connect(scene.gateway.address).unwrap();
    let bytes = stuck.bytes(scene.gateway.address, &"cd".repeat(16), "");
    waiting.write_all(&bytes).unwrap();
    let asked = other.requests();
    wait_for("the fetch that hangs", || {
        (other.requests() > asked).then_some(())
    });
    // Nobody waits for it: neither the keys of others, nor the rules, nor the rules after those.
    let began = Instant::now();
    let rotated = Key::ed("rotated");
    scene.idp.publish(std::slice::from_ref(&rotated));
    scene.permits(&call("echo").token(&scene.draft("alice").key(&rotated).sign()));
    let url = format!("url = \"{}\"\nallow = ", scene.upstream.url());
    let alice = scene.draft("alice").key(&rotated).sign();
    for (old, new, reloads) in [("\"*\"", "\"echo\"", 1), ("\"echo\"", "\"read_note\"", 2)] {
        scene
            .gateway
            .reload(&format!("{url}[{old}]"), &format!("{url}[{new}]"));
        wait_for("the reload", || {
            (scene.gateway.records("config.reloaded", None).len() == reloads).then_some(())
        });
    }
    let request = call("echo").token(&alice);
    scene.refuses(&request, (403, 403), ("authz.deny", "no_rule"));
    scene.permits(&call("read_note").token(&alice));
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(8),
        "it waited for the issuer: {took:?}"
    );
}
