//! Tokens of a real identity provider: its algorithms, its keys as they change, and what is not for us.

use crate::harness::{
    Authority, Draft, Gateway, Identity, Key, Line, Request, initialize, wait_for,
};
use crate::issuer::Issuer;
use crate::peer::{Served, round};
use crate::speakers::{client, server};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The provider's users with a key of each kind, and clients that come as them.
const ALGORITHMS: &[(&str, &str, &str)] = &[
    ("rs", "RS256", "sdk-v1"),
    ("es", "ES256", "sdk-v2"),
    ("ed", "EdDSA", "rmcp"),
];

/// A server, its provider, and a way to as many gateways as a test needs.
struct Scene {
    issuer: Issuer,
    upstream: Served,
}

impl Scene {
    fn new() -> Self {
        Self {
            issuer: Issuer::start(&["alice"]),
            upstream: Served::http(server("sdk-v2").file),
        }
    }

    fn config(&self) -> String {
        format!(
            "[issuers.idp]\nissuer = \"{}\"\n\n[servers.notes]\nurl = \"http://127.0.0.1:{}/mcp\"\nallow = [\"*\", \"resource:*\", \"prompt:*\"]\n",
            self.issuer.name(),
            self.upstream.port()
        )
    }

    fn gateway(&self) -> Gateway {
        Gateway::start(&self.config())
    }

    fn token(&self, user: &str, gateway: &Gateway) -> String {
        self.issuer.token(user, &gateway.url("notes"))
    }

    /// A token for each of the algorithms, with its user.
    fn tokens(&self, gateway: &Gateway) -> Vec<(&'static str, String)> {
        let users = ALGORITHMS.iter().map(|&(user, ..)| user);
        users
            .map(|user| (user, self.token(user, gateway)))
            .collect()
    }
}

/// The first part of a token.
pub(crate) fn header(token: &str) -> Value {
    let (header, _) = token.split_once('.').unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// A request with this token is taken, and recorded with its principal.
pub(crate) fn accepted(gateway: &Gateway, user: &str, token: &str) {
    let response = initialize(token).send(gateway.address);
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.body.contains("peer-sdk-v2"), "{response:?}");
    let record = gateway.record_of(&response);
    assert_eq!(record["event"], "call.completed", "{record}");
    assert_eq!(record["principal"]["sub"], user, "{record}");
}

/// A request with this token is refused with a challenge, and recorded with the reason.
pub(crate) fn refused(gateway: &Gateway, token: &str, reason: &str) {
    let response = initialize(token).send(gateway.address);
    assert_eq!(response.status, 401, "{response:?}");
    let metadata = format!(
        "resource_metadata=\"http://{}/.well-known/oauth-protected-resource/servers/notes/mcp\"",
        gateway.address
    );
    let challenge = response.challenge();
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains(&metadata), "{challenge}");
    let record = gateway.record_of(&response);
    assert_eq!(
        (&record["event"], &record["reason"]),
        (&json!("authn.reject"), &json!(reason)),
        "{record}"
    );
}

#[test]
fn auth_02_accepts_every_algorithm_of_a_real_provider() {
    let scene = Scene::new();
    let gateway = scene.gateway();
    for (user, algorithm, speaker) in ALGORITHMS {
        let token = scene.token(user, &gateway);
        let header = header(&token);
        assert_eq!(
            (&header["alg"], &header["typ"]),
            (&json!(algorithm), &json!("at+jwt"))
        );
        let came = round(client(speaker).file, &[&gateway.url("notes"), &token]);
        assert_eq!(came.text(), Some("hello"), "{algorithm}: {came:?}");
        let calls = gateway.records("call.completed", None);
        let is_theirs = |record: &&Value| {
            record["target"] == "echo"
                && record["principal"] == json!({ "iss": scene.issuer.name(), "sub": user })
                && record["client"] == *user
        };
        assert_eq!(calls.iter().filter(is_theirs).count(), 1, "{algorithm}");
    }
    assert_eq!(gateway.records("authn.reject", None).len(), 0);
}

#[test]
fn tok_08_follows_a_real_provider_that_changes_its_keys() {
    let scene = Scene::new();
    let (overlapping, sudden) = (scene.gateway(), scene.gateway());
    let old = scene.tokens(&overlapping);
    for (user, token) in &old {
        accepted(&overlapping, user, token);
    }

    let keys = scene.issuer.control("POST", "/rotate");
    assert_eq!(
        keys["published"].as_array().map(Vec::len),
        Some(6),
        "{keys}"
    );
    let new = scene.tokens(&overlapping);
    for ((user, old), (_, new)) in old.iter().zip(&new) {
        assert_ne!(header(old)["kid"], header(new)["kid"]);
        accepted(&overlapping, user, new);
        accepted(&overlapping, user, old);
    }
    assert_eq!(overlapping.records("authn.reject", None).len(), 0);
    assert!(!overlapping.records("jwks.refreshed", None).is_empty());

    // Old keys that are gone at once: whoever signs with them is nobody from the next fetch on.
    let late = scene.token("alice", &sudden);
    let keys = scene.issuer.control("POST", "/rotate?withdraw=true");
    assert_eq!(
        keys["published"].as_array().map(Vec::len),
        Some(3),
        "{keys}"
    );
    accepted(&sudden, "alice", &scene.token("alice", &sudden));
    refused(&sudden, &late, "kid");
}

#[test]
fn auth_06_refuses_a_token_of_a_real_provider_for_somebody_else() {
    let scene = Scene::new();
    let gateway = scene.gateway();
    let good = scene.token("alice", &gateway);
    let own = gateway.url("notes");
    let strangers = [
        "https://elsewhere.example/mcp".to_owned(),
        gateway.url("others"),
        format!("{own}/"),
        format!("http://{}/", gateway.address),
    ];
    for resource in &strangers {
        refused(&gateway, &scene.issuer.token("alice", resource), "audience");
    }
    // Without a resource, the provider gives a token that says nothing to anybody else.
    refused(
        &gateway,
        &scene.issuer.token_with("alice", "scope=any"),
        "malformed",
    );

    // As a real client sees it; and the same client with the right token.
    let before = gateway.records("authn.reject", Some("audience")).len();
    assert_eq!(before, strangers.len());
    let stranger = scene.issuer.token("alice", &strangers[0]);
    for speaker in ["sdk-v1", "sdk-v2", "rmcp"] {
        let came = round(client(speaker).file, &["--era", "legacy", &own, &stranger]);
        assert_eq!(came.code, Some(401), "{came:?}");
        let came = round(client(speaker).file, &["--era", "legacy", &own, &good]);
        assert_eq!(came.text(), Some("hello"), "{came:?}");
    }
    let after = gateway.records("authn.reject", Some("audience")).len();
    assert!(after >= before + 3, "{after} rejects");
}

#[test]
fn tok_08_lets_nobody_in_while_the_keys_of_a_real_provider_are_out_of_reach() {
    let scene = Scene::new();
    scene.issuer.control("POST", "/stop-jwks");
    let (asked, patient) = (
        Gateway::start_unready(&scene.config()),
        Gateway::start_unready(&scene.config()),
    );
    let status = |gateway: &Gateway| Request::new("GET", "/readyz").send(gateway.admin).status;
    assert_eq!((status(&asked), status(&patient)), (503, 503));
    asked.expect("jwks.refresh_failed", None);
    refused(&asked, &scene.token("alice", &asked), "kid");

    // They are back: the next one to come is let in, with no restart, and the gateway is ready.
    scene.issuer.control("POST", "/start-jwks");
    let token = scene.token("alice", &patient);
    accepted(&patient, "alice", &token);
    wait_for("readiness", || (status(&patient) == 200).then_some(()));

    // They are gone again: whom we know already stays, and a key that we cannot learn of opens nothing.
    scene.issuer.control("POST", "/stop-jwks");
    scene.issuer.control("POST", "/rotate");
    accepted(&patient, "alice", &token);
    refused(&patient, &scene.token("alice", &patient), "kid");
}

#[test]
fn auth_03_a_token_that_only_a_real_provider_can_read_is_good_until_it_ends_there() {
    good_until_it_ends("");
}

#[test]
fn auth_03_the_signed_answers_of_a_real_provider_are_read() {
    good_until_it_ends(", signed = true");
}

/// `more` are further keys of the introspection.
fn good_until_it_ends(more: &str) {
    let scene = Scene::new();
    let asked = format!(
        "introspection = {{ client_id = \"gateway\", client_secret = {{ env = \"SECRET\" }}, ttl = \"1s\"{more} }}"
    );
    let config = scene
        .config()
        .replacen("\n\n", &format!("\n{asked}\n\n"), 1);
    let before = format!("export SECRET='{}'", scene.issuer.secret());
    let gateway = Gateway::start_after(&before, &config);
    let token = scene.token("opaque", &gateway);
    assert!(!token.contains('.'), "it is no JWT");
    accepted(&gateway, "opaque", &token);
    accepted(&gateway, "rs", &scene.token("rs", &gateway));
    refused(&gateway, &format!("{token}x"), "inactive");
    let other = scene.issuer.token("opaque", "https://other.example/mcp");
    refused(&gateway, &other, "audience");

    scene.issuer.revoke("opaque", &token);
    wait_for("the provider's no", || {
        (initialize(&token).send(gateway.address).status == 401).then_some(())
    });
    refused(&gateway, &token, "inactive");
    assert!(!gateway.traces().contains(&token));
    accepted(&gateway, "opaque", &scene.token("opaque", &gateway));
}

#[test]
fn tok_18_takes_the_bound_tokens_of_a_provider_from_their_holder_only() {
    let scene = Scene::new();
    let config = format!("{}dpop = \"required\"\ndpop_nonce = true\n", scene.config());
    let gateway = Gateway::start(&config);
    let url = gateway.url("notes");
    let (key, other) = (Key::ec("client"), Key::ec("other"));
    let token = scene.issuer.bound_token("alice", &url, &key);
    let ask = |key: &Key, nonce: &str| {
        let proof = Draft::proof(key, ("POST", &url), &token).claim("nonce", nonce);
        let response = initialize("")
            .bound(&token, &proof.sign())
            .send(gateway.address);
        let record = gateway.record_of(&response);
        (response, record)
    };
    let (first, record) = ask(&key, "");
    assert_eq!(
        (first.status, &record["reason"]),
        (401, &json!("dpop_nonce"))
    );
    let nonce = first.header("dpop-nonce").unwrap();
    let (stolen, record) = ask(&other, nonce);
    assert_eq!(
        (stolen.status, &record["reason"]),
        (401, &json!("dpop_key"))
    );
    let (answered, record) = ask(&key, nonce);
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(record["principal"]["sub"], "alice", "{record}");
    for token in [&token, &scene.token("alice", &gateway)] {
        let response = initialize(token).send(gateway.address);
        assert_eq!(response.status, 401, "{response:?}");
        assert_eq!(gateway.record_of(&response)["reason"], "dpop_missing");
    }
}

#[test]
fn tok_18_takes_the_certificate_bound_tokens_of_a_provider_over_that_certificate_only() {
    let scene = Scene::new();
    let (authority, files) = (Authority::new("own"), tempfile::tempdir().unwrap());
    let own = authority.certify();
    let [chain, key] = ["chain", "key"].map(|name| files.path().join(name));
    std::fs::write(&chain, own.chain_pem()).unwrap();
    std::fs::write(&key, own.key_pem()).unwrap();
    let (chain, key) = (chain.display(), key.display());
    let config = format!(
        "[gateway.tls]\ncertificate = \"{chain}\"\nkey = \"{key}\"\n{}mtls = \"required\"\n",
        scene.config()
    );
    let gateway = Gateway::start(&config);
    let url = format!("https://{}/servers/notes/mcp", gateway.address);
    let (alice, mallory) = (Identity::self_signed(), Identity::self_signed());
    let token = scene.issuer.token_of_certificate(&url, &alice.chain[0]);
    let ask = |shown: Option<&Identity>, token: &str| {
        let shown = shown.map(|identity| (identity, identity));
        let mut line = Line::open(gateway.address, &authority, shown);
        let response = line.ask(&initialize(token));
        let record = gateway.record_of(&response);
        (response.status, record["reason"].clone())
    };
    let refused = |reason: &str| (401, json!(reason));
    assert_eq!(ask(Some(&alice), &token).0, 200);
    assert_eq!(ask(Some(&mallory), &token), refused("mtls_certificate"));
    assert_eq!(ask(None, &token), refused("mtls_missing"));
    let plain = scene.issuer.token("rs", &url);
    assert_eq!(ask(Some(&alice), &plain), refused("mtls_unbound"));
}
