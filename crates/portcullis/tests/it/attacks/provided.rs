//! ATK-036: users who have signed in at the identity provider are the provider's, and nobody else of the same name is.

use crate::harness::{Gateway, Granting, Idp, Key, Upstream, call, call_in, initialize, wait_for};
use serde_json::{Value, json};

/// What makes the gateway a client of the provider.
const SIGN_IN: &str = "[authority.sign_in]\nprovider = \"corp\"\nclient_id = \"gateway\"\n";

fn works(scene: &Granting, token: &str) -> u16 {
    call("echo").token(token).send(scene.gateway.address).status
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A gateway that believes users of this provider.
fn of_provider(idp: &Idp) -> Granting {
    Granting::beside(&corp(idp), SIGN_IN)
}

fn corp(idp: &Idp) -> String {
    format!("[issuers.corp]\nissuer = \"{}\"\n", idp.issuer())
}

/// A token that the gateway's own command has made.
fn of_ours(scene: &Granting, subject: &str) -> String {
    let printed = scene.gateway.mint("notes", &["--subject", subject]);
    assert!(printed.status.success(), "{printed:?}");
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}

fn of_theirs(scene: &Granting, code: &str, whom: (&str, &str)) -> Value {
    scene.approve(code, user(whom.0, whom.1), json!({}));
    let given = scene.redeem(code, &[]);
    assert_eq!(given.status, 200, "{given:?}");
    given.json()
}

#[test]
fn ses_08_a_grant_is_for_the_user_of_one_provider_only() {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let config = format!(
        "{}[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nissuers = [\"local\"]\nscopes = [\"notes:read\"]\n\
[[grants]]\nwho = \"user:https://nobody.example|alice\"\nallow = [\"notes__*\"]\n[authority]\n{SIGN_IN}\
[authority.clients.app]\nredirect_uris = [\"http://localhost/callback\"]\n",
        corp(&idp),
        upstream.url()
    );
    let scene = Granting {
        gateway: Gateway::start(&config),
    };
    let given = of_theirs(&scene, "theirs", ("alice", &idp.issuer()));
    let theirs = text(&given["access_token"]);
    let scopes = ["--subject", "alice", "--scope", "notes:read"];
    let ours = scene.gateway.mint("notes", &scopes).stdout;
    let ours = String::from_utf8(ours).unwrap().trim().to_owned();
    let (mut before, own) = ("https://nobody.example".to_owned(), scene.issuer());
    for (whose, opens, stays_out) in [
        (idp.issuer(), theirs, ours.as_str()),
        (own.clone(), ours.as_str(), theirs),
    ] {
        let named = |whose: &str| format!("user:{whose}|alice");
        scene.gateway.reload(&named(&before), &named(&whose));
        before.clone_from(&whose);
        let answer = wait_for("the grant", || {
            let answer = call("echo").token(opens).send(scene.gateway.address);
            (answer.status == 200).then_some(answer)
        });
        let record = scene.gateway.record_of(&answer);
        assert_eq!(record["principal"]["iss"], whose, "{record}");
        assert_eq!(record["principal"]["sub"], "alice", "{record}");
        let is_theirs = opens == theirs;
        assert_eq!(
            record["detail"]["token_iss"],
            if is_theirs { json!(own) } else { Value::Null },
            "{record}"
        );
        let refused = call("echo").token(stays_out).send(scene.gateway.address);
        assert_eq!(refused.status, 403, "{whose} {refused:?}");
        let record = scene.gateway.record_of(&refused);
        assert_eq!(record["event"], "authz.deny", "{record}");
        assert_ne!(record["principal"]["iss"], whose, "{record}");
    }
    // What is decided beforehand is decided the same.
    let explained = scene.gateway.explain("notes", theirs);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains(&format!("of {:?}", idp.issuer())),
        "{explained}"
    );
}

#[test]
fn auth_03_who_is_revoked_gets_no_further_token() {
    let idp = Idp::start();
    let scene = of_provider(&idp);
    scene.approve("good", user("alice", &idp.issuer()), json!({}));
    let given = scene.redeem("good", &[]).json();
    assert_eq!(works(&scene, text(&given["access_token"])), 200);
    let issuer = ["--issuer", &idp.issuer(), "--subject", "alice"];
    scene.gateway.runs("revoke", &issuer);
    scene.gateway.expect("access.revoked", Some("subject"));
    wait_for("the end of the token", || {
        (works(&scene, text(&given["access_token"])) == 401).then_some(())
    });
    let answer = scene.refresh(text(&given["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "revoked")),
        "invalid_grant"
    );
}

fn user(subject: &str, issuer: &str) -> Value {
    json!({ "user": {
        "subject": subject, "issuer": issuer, "name": null, "groups": [], "roles": [],
        "acr": null, "amr": [], "auth_time": 0, "claims": [],
    }})
}

#[test]
fn ses_08_a_user_of_the_provider_is_not_the_owner_of_the_same_name() {
    let idp = Idp::start();
    let scene = of_provider(&idp);
    let own = scene.issuer();
    let owner = of_ours(&scene, "local");
    let mallory = of_theirs(&scene, "mallory", ("local", &idp.issuer()));
    let mallory = text(&mallory["access_token"]).to_owned();
    let opened = initialize(&owner).send(scene.gateway.address);
    let session = opened.header("mcp-session-id").unwrap();
    let stolen = call_in(session, &mallory).send(scene.gateway.address);
    assert_eq!(stolen.status, 404, "{stolen:?}");
    let record = scene.gateway.record_of(&stolen);
    assert_eq!(record["event"], "session.principal_mismatch", "{record}");
    assert_eq!(
        call_in(session, &owner).send(scene.gateway.address).status,
        200
    );
    // Whom the gateway's own name means is revoked by it, whoever vouches.
    scene
        .gateway
        .runs("revoke", &["--issuer", &own, "--subject", "local"]);
    for token in [owner, mallory] {
        wait_for("the end of both", || {
            (works(&scene, &token) == 401).then_some(())
        });
    }
}

#[test]
fn auth_03_whoever_a_removed_provider_vouches_for_gets_no_further_token() {
    let idp = Idp::start();
    let scene = of_provider(&idp);
    scene.approve("good", user("alice", &idp.issuer()), json!({}));
    let given = scene.redeem("good", &[]).json();
    let renewed = scene.refresh(text(&given["refresh_token"]), &[]);
    assert_eq!(renewed.status, 200, "{renewed:?}");
    scene.gateway.reload(SIGN_IN, "");
    let ended = ("oauth.family_revoked", Some("provider_removed"));
    let record = scene.gateway.expect(ended.0, ended.1);
    let whom = format!("{}|alice", idp.issuer());
    assert_eq!(record["detail"]["for"], whom, "{record}");
    let renewed = renewed.json();
    let answer = scene.refresh(text(&renewed["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "over")),
        "invalid_grant"
    );
    let token = text(&renewed["access_token"]);
    assert_eq!(works(&scene, token), 401);
}

#[test]
fn auth_03_who_may_only_assert_signs_nobody_in_and_renews_nothing() {
    let (idp, home) = (Idp::start(), tempfile::tempdir().unwrap());
    let jwks = home.path().join("jwks.json");
    std::fs::write(&jwks, json!({ "keys": [Key::ec("1").jwk()] }).to_string()).unwrap();
    let asserts = format!(
        "[authority.clients.desk]\nredirect_uris = [\"http://localhost/callback\"]\njwks = '{}'\n\
[authority.assertions.corp]\nclients = [\"desk\"]\n",
        jwks.display()
    );
    let scene = Granting::beside(&corp(&idp), &format!("{SIGN_IN}{asserts}"));
    let given = of_theirs(&scene, "good", ("alice", &idp.issuer()));
    let renewed = scene.refresh(text(&given["refresh_token"]), &[]);
    assert_eq!(renewed.status, 200, "its benign twin: {renewed:?}");
    let renewed = renewed.json();
    scene.gateway.reload(SIGN_IN, "");
    let ended = ("oauth.family_revoked", Some("provider_removed"));
    let record = scene.gateway.expect(ended.0, ended.1);
    let whom = format!("{}|alice", idp.issuer());
    assert_eq!(record["detail"]["for"], whom, "{record}");
    let answer = scene.refresh(text(&renewed["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "over")),
        "invalid_grant"
    );
    wait_for("the end of the token", || {
        (works(&scene, text(&renewed["access_token"])) == 401).then_some(())
    });
    // Nor does a code that was approved a moment before.
    scene.approve("late", user("alice", &idp.issuer()), json!({}));
    let answer = scene.redeem("late", &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "revoked")),
        "invalid_grant"
    );
}
