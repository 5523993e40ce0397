//! ATK-014, ATK-099: who was deactivated in the directory goes on; somebody else speaks in the directory's place.

use crate::harness::{AMPLE, Request, Response, Scene, call, call_in, next_second, now, wait_for};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What is waited for at most until access has ended.
const BOUND: Duration = Duration::from_secs(2);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// `more` are further keys of the directory.
fn told(more: &str) -> Scene {
    let config = format!(
        "{AMPLE}[issuers.idp]\nissuer = \"{{idp}}\"\nskew = \"0s\"\n\
         scim = {{ bearer = {{ env = \"SCIM\" }}{more} }}\n\
         [servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n"
    );
    Scene::started(&format!("export SCIM={SECRET}"), &config)
}

fn ask(method: &str, path: &str) -> Request {
    Request::new(method, &format!("/scim/idp/v2{path}"))
        .set("content-type", "application/scim+json; charset=utf-8")
        .token(SECRET)
}

fn with(method: &str, path: &str, body: &Value) -> Request {
    ask(method, path).body(&body.to_string())
}

fn patch(id: &str, operations: &Value) -> Request {
    let body = json!({ "schemas": [PATCH], "Operations": operations });
    with("PATCH", &format!("/Users/{id}"), &body)
}

fn resource(name: &str, external: &str, active: &Value) -> Value {
    json!({ "schemas": [USER], "userName": name, "externalId": external, "active": active })
}

impl Scene {
    fn takes(&self, request: &Request, status: u16, event: &str) -> (Response, Value) {
        let response = self.send(request);
        assert_eq!(response.status, status, "{request:?} {response:?}");
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], event, "{record}");
        assert_eq!(record["detail"]["issuer"], self.idp.issuer().as_str());
        (response, record)
    }

    /// Has the directory tell of a new user; gives the id.
    fn creates(&self, name: &str, external: &str) -> String {
        let request = with("POST", "/Users", &resource(name, external, &json!(true)));
        let (response, _) = self.takes(&request, 201, "identity.provisioned");
        let user = response.json();
        assert_eq!(
            response.header("content-type"),
            Some("application/scim+json")
        );
        assert_eq!(
            response.header("location"),
            user["meta"]["location"].as_str()
        );
        user["id"].as_str().unwrap().to_owned()
    }

    /// Sends what must be answered with an error of SCIM, recorded, and change nothing.
    fn rejects(&self, request: &Request, (status, kind): (u16, &str), reason: &str) {
        let response = self.send(request);
        assert_eq!(response.status, status, "{reason}: {response:?}");
        let error = response.json();
        let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:Error"]);
        assert_eq!(error["schemas"], schemas, "{reason}: {response:?}");
        assert_eq!(error["status"], status.to_string(), "{error}");
        assert_eq!(
            error["scimType"].as_str().unwrap_or_default(),
            kind,
            "{error}"
        );
        let record = self.gateway.record_of(&response);
        let (event, why) = (&record["event"], &record["reason"]);
        assert_eq!((event, why), (&json!("scim.rejected"), &json!(reason)));
    }
}

#[test]
fn auth_03_a_user_whom_the_directory_deactivates_loses_everything_within_two_seconds() {
    let mut scene = told("");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (id, other) = (
        scene.creates("a@example.com", "alice"),
        scene.creates("b@example.com", "bob"),
    );
    let (hers, his) = (scene.session(&alice), scene.session(&bob));
    let listen =
        |session: &str, token: &str| scene.open(&Request::in_session("GET", session).token(token));
    let lost = listen(&hers, &alice);
    let mut kept = listen(&his, &bob);
    scene.permits(&call("echo").token(&alice));

    // As Okta says it.
    let began = Instant::now();
    let off = patch(
        &id,
        &json!([{ "op": "replace", "value": { "active": false } }]),
    );
    let (response, record) = scene.takes(&off, 200, "identity.deprovisioned");
    assert_eq!(response.json()["active"], json!(false), "{response:?}");
    assert_eq!(record["detail"]["disabled"], "alice", "{record}");
    assert_eq!(record["detail"]["user"], id.as_str(), "{record}");
    lost.end();
    let took = began.elapsed();
    assert!(took < BOUND, "the stream went on for {took:?}");
    scene.is_out(&alice);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    println!("the stream was cut after {took:?}");
    // The refusal and the revocation name the request from which they follow.
    let refused = scene.gateway.expect("authn.reject", Some("revoked"));
    assert_eq!(
        refused["detail"]["cause"],
        response.trace.as_str(),
        "{refused}"
    );
    let revoked = scene.gateway.expect("access.revoked", Some("subject"));
    assert_eq!(
        revoked["detail"]["cause"],
        response.trace.as_str(),
        "{revoked}"
    );
    scene.upstream.notify("ev-1", "for-bob");
    kept.until("for-bob").expect("his stream stays");
    drop(kept);
    scene.permits(&call_in(&his, &bob));

    // It holds for tokens of later and after a restart, until the directory says otherwise.
    next_second();
    scene.is_out(&scene.token("alice"));
    scene.gateway.restart();
    scene.is_out(&scene.token("alice"));
    let on = with(
        "PUT",
        &format!("/Users/{id}"),
        &resource("a@example.com", "alice", &json!(true)),
    );
    let (_, record) = scene.takes(&on, 200, "identity.provisioned");
    assert_eq!(record["detail"]["enabled"], "alice", "{record}");
    next_second();
    scene.is_in(&scene.token("alice"));
    scene.is_out(&alice);

    // What an operator has revoked is not the directory's to give back.
    let issuer = scene.idp.issuer();
    scene.gateway.runs(
        "revoke",
        &["--issuer", &issuer, "--subject", "bob", "--until", "1h"],
    );
    scene.is_out(&bob);
    let active = |active: &Value| {
        patch(
            &other,
            &json!([{ "op": "Replace", "path": "active", "value": active }]),
        )
    };
    scene.takes(&active(&json!("False")), 200, "identity.deprovisioned");
    scene.takes(&active(&json!("True")), 200, "identity.provisioned");
    wait_for("both to be in effect", || {
        (scene.gateway.records("access.reinstated", None).len() >= 2).then_some(())
    });
    scene.is_out(&scene.token("bob"));
    assert!(!scene.gateway.traces().contains(SECRET));
}

#[test]
fn auth_03_a_directory_names_users_by_another_claim_and_deletes_them() {
    let scene = told(", claim = \"oid\"");
    let token = |subject: &str, oid: &str| scene.draft(subject).claim("oid", oid).sign();
    let (alice, bob) = (token("pairwise-1", "oid-a"), token("pairwise-2", "oid-b"));
    let request = with(
        "POST",
        "/Users",
        &resource("alice", "oid-a", &json!("True")),
    );
    let (response, _) = scene.takes(&request, 201, "identity.provisioned");
    let id = response.json()["id"].as_str().unwrap().to_owned();
    let session = scene.session(&alice);
    let lost = scene.open(&Request::in_session("GET", &session).token(&alice));
    // As Entra ID looks for a user, and takes one away.
    for (query, total) in [
        ("filter=userName%20eq%20%22ALICE%22", 1),
        ("filter=externalId+eq+%22oid-a%22", 1),
        ("filter=externalId+eq+%22OID-A%22", 0),
        ("filter=userName%20eq%20%22nobody%22", 0),
        ("startIndex=1&count=100", 1),
        ("startIndex=2&count=100", 1),
    ] {
        let (found, _) = scene.takes(&ask("GET", &format!("/Users?{query}")), 200, "scim.read");
        assert_eq!(
            found.json()["totalResults"],
            json!(total),
            "{query}: {found:?}"
        );
    }
    scene.takes(&ask("GET", &format!("/Users/{id}")), 200, "scim.read");
    for path in ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"] {
        scene.takes(&ask("GET", path), 200, "scim.read");
    }
    let clash = with("POST", "/Users", &resource("Alice", "oid-c", &json!(true)));
    scene.rejects(&clash, (409, "uniqueness"), "taken");
    let clash = with("POST", "/Users", &resource("other", "oid-a", &json!(true)));
    scene.rejects(&clash, (409, "uniqueness"), "taken");
    scene.permits(&call("echo").token(&alice));

    let began = Instant::now();
    let gone = ask("DELETE", &format!("/Users/{id}"));
    let (response, record) = scene.takes(&gone, 204, "identity.deprovisioned");
    assert_eq!(
        (response.body.as_str(), &record["detail"]["disabled"]),
        ("", &json!("oid=oid-a"))
    );
    lost.end();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    scene.is_out(&alice);
    scene.is_out(&token("pairwise-3", "oid-a"));
    scene.permits(&call("echo").token(&bob));
    scene.permits(&call("echo").token(&scene.token("oid-a")));
    scene.rejects(&gone, (404, ""), "unknown");
    // Who is given access again is let in with what is issued then.
    next_second();
    scene.takes(&request, 201, "identity.provisioned");
    scene.is_in(
        &scene
            .draft("pairwise-1")
            .claim("oid", "oid-a")
            .claim("iat", now())
            .sign(),
    );
}

#[test]
fn auth_03_nobody_speaks_in_the_directorys_place() {
    let scene = told("");
    let (admin, id) = (scene.token("admin"), scene.creates("admin", "admin"));
    let off = patch(
        &id,
        &json!([{ "op": "replace", "path": "active", "value": false }]),
    );
    let data_plane = scene.token("directory");
    for request in [
        off.clone().unset("authorization"),
        off.clone().token(&data_plane),
        off.clone().token(&SECRET.replace('f', "e")),
        off.clone().token(&SECRET[..31]),
        off.clone().set("authorization", SECRET),
        off.clone().set("authorization", &format!("Basic {SECRET}")),
        off.clone()
            .add("authorization", &format!("Bearer {SECRET}")),
        off.clone()
            .unset("authorization")
            .to(&format!("/scim/idp/v2/Users/{id}?access_token={SECRET}")),
        ask("GET", "/Users").unset("authorization"),
        ask("DELETE", &format!("/Users/{id}")).token(&data_plane),
    ] {
        scene.rejects(&request, (401, ""), "bearer");
    }
    assert_eq!(
        scene.send(&off.clone().unset("authorization")).challenge(),
        "Bearer"
    );
    let path = format!("/Users/{id}");
    let large = resource(&"a".repeat(70_000), "admin", &json!(false));
    let foreign = json!({ "schemas": ["urn:example:evil"], "userName": "admin", "active": false });
    for (request, expected, reason) in [
        (with("PUT", &path, &large), (413, ""), "too_large"),
        (
            with("PUT", &path, &foreign),
            (400, "invalidSyntax"),
            "schema",
        ),
        (
            off.clone().set("content-type", "text/plain"),
            (415, ""),
            "media_type",
        ),
        (
            ask("PATCH", &path).body("{"),
            (400, "invalidSyntax"),
            "syntax",
        ),
        (
            patch(
                &id,
                &json!([{ "op": "replace", "path": "active", "value": "off" }]),
            ),
            (400, "invalidValue"),
            "value",
        ),
        (
            patch(
                &id,
                &json!([{ "op": "replace", "path": "Active ", "value": false }]),
            ),
            (400, "invalidPath"),
            "path",
        ),
        (
            ask("GET", "/Users?filter=userName%20sw%20%22a%22"),
            (400, "invalidFilter"),
            "filter",
        ),
        (ask("GET", "/Groups"), (404, ""), "unknown"),
        (
            patch(
                "00",
                &json!([{ "op": "replace", "path": "active", "value": false }]),
            ),
            (404, ""),
            "unknown",
        ),
        (ask("PUT", "/Schemas"), (405, ""), "method"),
    ] {
        scene.rejects(&request, expected, reason);
    }
    let elsewhere = scene.send(&off.clone().to(&format!("/scim/other/v2/Users/{id}")));
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    // The secret of the directory is no access token.
    scene.unauthenticated(&call("echo").token(SECRET), "malformed");
    scene.permits(&call("echo").token(&admin));
    assert!(scene.gateway.records("access.revoked", None).is_empty());

    // Who guesses is slowed down, and takes nothing from the directory.
    let guess = ask("GET", "/Users").token("guess");
    let last = wait_for("the guesses to be too many", || {
        let response = scene.send(&guess);
        (response.status == 429).then_some(response)
    });
    assert!(last.header("retry-after").is_some(), "{last:?}");
    assert_eq!(last.json()["status"], "429", "{last:?}");
    // The twin: the same change, from the directory.
    scene.takes(&off, 200, "identity.deprovisioned");
    scene.is_out(&admin);
}
