//! Tokens that are bound to a client certificate (RFC 8705): on another connection, with another certificate, or none.

use crate::harness::{
    Authority, Draft, Gateway, Identity, Idp, Key, Line, Oracle, Request, Response, Scene,
    Upstream, call, call_in, initialize, message, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A gateway that speaks TLS, and those who trust it.
struct Mutual {
    gateway: Gateway,
    upstream: Upstream,
    idp: Idp,
    authority: Authority,
    /// Whose certificates the gateway takes, where it does not take all.
    clients: Authority,
    files: TempDir,
}

impl Mutual {
    /// `server` are further keys of the server.
    fn with(server: &str) -> Self {
        Self::and("", "", server)
    }

    /// `tls` are further keys of the listener, `issuer` of the issuer; `{clients}` is the file of the clients' authority.
    fn and(tls: &str, issuer: &str, server: &str) -> Self {
        let (authority, clients) = (Authority::new("own"), Authority::new("clients"));
        let files = tempfile::tempdir().unwrap();
        let own = authority.certify();
        let put = |name: &str, text: String| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (chain, key) = (put("chain", own.chain_pem()), put("key", own.key_pem()));
        let (idp, upstream) = (Idp::start(), Upstream::start());
        let config = format!(
            "[gateway.tls]\ncertificate = \"{chain}\"\nkey = \"{key}\"\n{tls}\n\
             [issuers.idp]\nissuer = \"{}\"\n{issuer}\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n{server}\n",
            idp.issuer(),
            upstream.url(),
        );
        let config = config
            .replace("{clients}", &put("clients", clients.pem()))
            .replace("{lists}", &put("lists", clients.revokes(&[], 2099)))
            .replace("{upstream}", &upstream.url());
        Self {
            gateway: Gateway::start_after("export SECRET=hush", &config),
            upstream,
            idp,
            authority,
            clients,
            files,
        }
    }

    /// These are the revocation lists from now on; the gateway says so by this event.
    fn list(&self, lists: &str, event: &str) {
        let before = self.gateway.records(event, None).len();
        std::fs::write(self.files.path().join("lists"), lists).unwrap();
        wait_for(event, || {
            (self.gateway.records(event, None).len() > before).then_some(())
        });
    }

    /// A connection with this certificate, old or new, must come to nothing for this reason.
    fn turns_away(&self, line: &mut Line, request: &Request, reason: &str) {
        let before = self.posted();
        let answer = line.try_ask(request);
        assert!(answer.is_none(), "{answer:?}");
        let record = self.gateway.expect("tls.rejected", Some(reason));
        assert!(record["peer"].is_string(), "{record}");
        assert_eq!(self.posted(), before);
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.gateway.address)
    }

    fn draft(&self) -> Draft {
        self.idp.draft("alice", &self.url("/servers/notes/mcp"))
    }

    fn bound_to(&self, identity: &Identity) -> String {
        self.draft().claim("cnf", Line::confirmed(identity)).sign()
    }

    /// A connection of a client that shows this certificate, or none.
    fn line(&self, identity: Option<&Identity>) -> Line {
        let shown = identity.map(|identity| (identity, identity));
        self.line_with(shown)
    }

    /// The same with the certificate of one and the key of another.
    fn line_with(&self, shown: Option<(&Identity, &Identity)>) -> Line {
        Line::open(self.gateway.address, &self.authority, shown)
    }

    fn permits(&self, line: &mut Line, request: &Request) -> Response {
        let before = self.posted();
        let response = line.ask(request);
        assert_eq!((response.status, response.code()), (200, 0), "{response:?}");
        assert_eq!(self.posted(), before + 1);
        response
    }

    /// Must be refused with 401 for this reason, and reach nobody.
    fn refuses(&self, line: &mut Line, request: &Request, reason: &str) -> Response {
        let before = self.posted();
        let response = line.ask(request);
        assert_eq!(
            (response.status, response.code()),
            (401, 401),
            "{response:?}"
        );
        let challenge = response.challenge();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        let is_scheme = reason == "scheme";
        let is_told = challenge.contains("error=\"invalid_token\"");
        assert_eq!(is_told, !is_scheme, "{challenge}");
        let record = self.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!("authn.reject"), &json!(reason)),
            "{record}"
        );
        assert_eq!(self.posted(), before);
        response
    }

    /// How many messages have reached the server.
    fn posted(&self) -> usize {
        let seen = self.upstream.requests().into_iter();
        seen.filter(|seen| seen.method == "POST").count()
    }

    fn metadata(&self) -> Value {
        let at = "/.well-known/oauth-protected-resource/servers/notes/mcp";
        self.line(None).ask(&Request::new("GET", at)).json()
    }
}

fn with(token: &str) -> Request {
    call("echo").token(token)
}

#[test]
fn tok_18_takes_a_certificate_bound_token_only_over_a_connection_with_that_certificate() {
    let scene = Mutual::with("mtls = \"accepted\"");
    let (alice, mallory) = (Identity::self_signed(), Identity::self_signed());
    let token = scene.bound_to(&alice);
    let mut own = scene.line(Some(&alice));
    let mut other = scene.line(Some(&mallory));
    let mut without = scene.line(None);
    // Verified and remembered, it is still looked at with whose certificate it comes.
    scene.permits(&mut own, &with(&token));
    scene.refuses(&mut without, &with(&token), "mtls_missing");
    scene.refuses(&mut other, &with(&token), "mtls_certificate");
    scene.permits(&mut own, &with(&token));
    scene.permits(&mut scene.line(Some(&alice)), &with(&token));
    scene.refuses(&mut without, &with(&token), "mtls_missing");
    // Nothing that a client writes stands for a certificate.
    let claimed = with(&token)
        .set("x-forwarded-client-cert", "Hash=00")
        .set("client-cert", ":AAAA:");
    scene.refuses(&mut without, &claimed, "mtls_missing");

    // No certificate makes another kind of token good, or bad.
    let (name, thumbprint) = ("x5t#S256", Line::confirmed(&alice)["x5t#S256"].clone());
    let both = json!({ name: thumbprint, "jkt": Key::ec("c").thumbprint() });
    for bound in [both, json!({ name: [thumbprint] }), json!({ name: "AAAA" })] {
        let token = scene.draft().claim("cnf", bound).sign();
        scene.refuses(&mut own, &with(&token), "cnf");
    }
    let plain = scene.draft().sign();
    scene.permits(&mut own, &with(&plain));
    scene.permits(&mut without, &with(&plain));
    let known = scene.metadata();
    assert_eq!(known["tls_client_certificate_bound_access_tokens"], true);
}

#[test]
fn tok_18_takes_no_certificate_from_whoever_has_not_its_key() {
    let scene = Mutual::with("mtls = \"accepted\"");
    let (alice, mallory) = (Identity::self_signed(), Identity::self_signed());
    let token = scene.bound_to(&alice);
    let mut forged = scene.line_with(Some((&alice, &mallory)));
    assert!(forged.try_ask(&with(&token)).is_none(), "an answer");
    scene.gateway.expect("tls.rejected", Some("signature"));
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.permits(&mut scene.line(Some(&alice)), &with(&token));
}

#[test]
fn tok_18_refuses_other_tokens_where_certificate_bound_ones_are_required() {
    let other = "mtls = \"required\"\n[servers.open]\nurl = \"{upstream}\"\nallow = [\"*\"]\n";
    let scene = Mutual::with(other);
    let alice = Identity::self_signed();
    let mut own = scene.line(Some(&alice));
    let plain = scene.draft().sign();
    scene.refuses(&mut own, &with(&plain), "mtls_unbound");
    scene.refuses(&mut scene.line(None), &with(&plain), "mtls_unbound");
    let key = Key::ec("client");
    let jkt = json!({ "jkt": key.thumbprint() });
    let by_key = scene.draft().claim("cnf", jkt.clone()).sign();
    let url = scene.url("/servers/notes/mcp");
    let proof = Draft::proof(&key, ("POST", &url), &by_key).sign();
    let proven = call("echo").bound(&by_key, &proof);
    scene.refuses(&mut own, &proven, "scheme");
    scene.permits(&mut own, &with(&scene.bound_to(&alice)));

    // At the endpoint for all servers, it asks for the same.
    let all = || scene.idp.draft("alice", &scene.url("/mcp"));
    let mut lists = |token: &str| {
        let list = message("tools/list", json!({})).to("/mcp").token(token);
        let listed = own.ask(&list).json();
        let tools = listed["result"]["tools"].as_array().cloned();
        let is_of = |tool: &Value| tool["name"].as_str().unwrap().starts_with("notes__");
        tools.unwrap_or_default().iter().any(is_of)
    };
    assert!(!lists(&all().sign()));
    assert!(lists(&all().claim("cnf", Line::confirmed(&alice)).sign()));
    let stolen = all().claim("cnf", Line::confirmed(&alice)).sign();
    let stolen = call("notes__echo").to("/mcp").token(&stolen);
    scene.refuses(&mut scene.line(None), &stolen, "mtls_missing");
}

#[test]
fn tok_18_refuses_certificate_bound_tokens_where_they_are_off_or_there_is_no_tls() {
    let alice = Identity::self_signed();
    let plain = Scene::new();
    let token = plain
        .draft("alice")
        .claim("cnf", Line::confirmed(&alice))
        .sign();
    plain.unauthenticated(&with(&token), "cnf");
    plain.permits(&with(&plain.token("alice")));

    let scene = Mutual::with("mtls = \"off\"");
    let token = scene.bound_to(&alice);
    scene.refuses(&mut scene.line(Some(&alice)), &with(&token), "cnf");
    assert!(
        scene
            .metadata()
            .get("tls_client_certificate_bound_access_tokens")
            .is_none()
    );
    // From now on clients are asked, without a restart.
    scene
        .gateway
        .reload("mtls = \"off\"", "mtls = \"accepted\"");
    scene.permits(&mut scene.line(Some(&alice)), &with(&token));
    scene.refuses(&mut scene.line(None), &with(&token), "mtls_missing");
}

#[test]
fn tok_18_takes_only_certificates_of_the_authorities_that_are_named() {
    let scene = Mutual::and("client_ca = \"{clients}\"", "", "mtls = \"accepted\"");
    let (signed, own) = (scene.clients.certify(), Identity::self_signed());
    let mut stranger = scene.line(Some(&own));
    let answer = stranger.try_ask(&with(&scene.bound_to(&own)));
    assert!(answer.is_none(), "{answer:?}");
    scene.gateway.expect("tls.rejected", Some("unknown_issuer"));
    let token = scene.bound_to(&signed);
    scene.permits(&mut scene.line(Some(&signed)), &with(&token));
    let another = scene.clients.certify();
    let mut another = scene.line(Some(&another));
    scene.refuses(&mut another, &with(&token), "mtls_certificate");
    let plain = scene.draft().sign();
    scene.permits(&mut scene.line(None), &with(&plain));
}

const LISTED: &str = "client_ca = \"{clients}\"\nclient_crl = \"{lists}\"";

#[test]
fn tok_18_a_revoked_client_certificate_ends_its_open_connections_and_opens_none() {
    let scene = Mutual::and(LISTED, "", "mtls = \"accepted\"");
    let (alice, mallory) = (scene.clients.certify(), scene.clients.certify());
    let own = with(&scene.bound_to(&alice));
    let stolen = with(&scene.bound_to(&mallory));
    let mut line = scene.line(Some(&alice));
    let mut open = scene.line(Some(&mallory));
    scene.permits(&mut line, &own);
    scene.permits(&mut open, &stolen);
    let revoking = scene.clients.revokes(&[&mallory], 2099);
    scene.list(&revoking, "config.reloaded");
    // The connection that was open is over, without a request of its own.
    let ended = scene.gateway.expect("tls.rejected", Some("revoked"));
    assert!(ended["peer"].is_string(), "{ended}");
    scene.turns_away(&mut open, &stolen, "revoked");
    scene.turns_away(&mut scene.line(Some(&mallory)), &stolen, "revoked");
    wait_for("a record of each", || {
        let told = scene.gateway.records("tls.rejected", Some("revoked"));
        (told.len() == 2).then_some(())
    });
    // Others are not disturbed, and what cannot be read changes nothing.
    scene.permits(&mut line, &own);
    scene.list("no list", "config.rejected");
    scene.permits(&mut line, &own);
    scene.permits(&mut scene.line(Some(&alice)), &own);
    scene.turns_away(&mut scene.line(Some(&mallory)), &stolen, "revoked");
    scene.list(&scene.clients.revokes(&[], 2099), "config.reloaded");
    scene.permits(&mut scene.line(Some(&mallory)), &stolen);
}

#[test]
fn tok_18_refuses_client_certificates_of_which_no_list_says_anything_today() {
    let scene = Mutual::and(LISTED, "", "mtls = \"accepted\"");
    let alice = scene.clients.certify();
    let own = with(&scene.bound_to(&alice));
    let plain = with(&scene.draft().sign());
    let foreign = Authority::new("foreign").revokes(&[], 2099);
    let late = scene.clients.revokes(&[], 2022);
    for unknown in [late, foreign] {
        let mut line = scene.line(Some(&alice));
        scene.permits(&mut line, &own);
        scene.list(&unknown, "config.reloaded");
        scene.turns_away(&mut line, &own, "revocation_unknown");
        scene.turns_away(&mut scene.line(Some(&alice)), &own, "revocation_unknown");
        scene.permits(&mut scene.line(None), &plain);
        scene.list(&scene.clients.revokes(&[], 2099), "config.reloaded");
    }
    let told = scene.gateway.expect("tls.expired", Some("crl"));
    assert_eq!(told["detail"]["key"], "gateway.tls.client_crl", "{told}");
    // Of each certificate that is shown, those between included.
    let between = scene.clients.below("between");
    let bob = between.certify();
    let token = with(&scene.bound_to(&bob));
    scene.turns_away(&mut scene.line(Some(&bob)), &token, "revocation_unknown");
    let both = scene.clients.revokes(&[], 2099) + &between.revokes(&[], 2099);
    scene.list(&both, "config.reloaded");
    scene.permits(&mut scene.line(Some(&bob)), &token);
}

#[test]
fn tok_18_a_session_belongs_to_the_certificate_it_was_opened_with() {
    let scene = Mutual::with("mtls = \"accepted\"");
    let (alice, mallory) = (Identity::self_signed(), Identity::self_signed());
    let (token, another) = (scene.bound_to(&alice), scene.bound_to(&mallory));
    let mut own = scene.line(Some(&alice));
    let opened = own.ask(&initialize(&token));
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let enter = |token: &str| call_in(&session, token);
    for (line, token) in [(Some(&mallory), another), (None, scene.draft().sign())] {
        let refused = scene.line(line).ask(&enter(&token));
        assert_eq!((refused.status, refused.code()), (404, 404), "{refused:?}");
        let record = scene.gateway.record_of(&refused);
        assert_eq!(record["event"], "session.principal_mismatch", "{record}");
    }
    scene.permits(&mut own, &enter(&token));
}

#[test]
fn tok_18_an_issuer_says_to_which_certificate_an_opaque_token_is_bound() {
    let oracle = Oracle::start();
    let issuer = format!(
        "introspection = {{ endpoint = \"{}\", client_id = \"gate\", client_secret = {{ env = \"SECRET\" }} }}",
        oracle.url()
    );
    let scene = Mutual::and("", &issuer, "mtls = \"accepted\"");
    let alice = Identity::self_signed();
    let now = crate::harness::now();
    let answer = |bound: Value| {
        json!({
            "active": true, "iss": scene.idp.issuer(), "aud": scene.url("/servers/notes/mcp"), "sub": "alice",
            "client_id": "agent", "iat": now, "exp": now + 600, "token_type": "Bearer", "cnf": bound,
        })
    };
    oracle.knows("bound", answer(Line::confirmed(&alice)));
    oracle.knows("odd", answer(json!({ "x5t": "AAAA" })));
    let mut own = scene.line(Some(&alice));
    scene.refuses(&mut scene.line(None), &with("bound"), "mtls_missing");
    scene.permits(&mut own, &with("bound"));
    scene.refuses(&mut scene.line(None), &with("bound"), "mtls_missing");
    let other = Identity::self_signed();
    scene.refuses(
        &mut scene.line(Some(&other)),
        &with("bound"),
        "mtls_certificate",
    );
    scene.refuses(&mut own, &with("odd"), "cnf");
}

#[test]
fn tok_18_makes_a_token_that_is_bound_to_a_certificate_and_explains_it() {
    let local = "[issuers.local]\nembedded = true\n";
    let scene = Mutual::and("", local, "mtls = \"required\"");
    let alice = Identity::self_signed();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("client.pem");
    std::fs::write(&file, alice.chain_pem()).unwrap();
    let file = file.to_str().unwrap();
    let minted = scene.gateway.mint("notes", &["--certificate", file]);
    let token = String::from_utf8(minted.stdout).unwrap();
    let token = token.trim();
    scene.permits(&mut scene.line(Some(&alice)), &with(token));
    scene.refuses(&mut scene.line(None), &with(token), "mtls_missing");
    let told = scene.gateway.explain("notes", token);
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(0), "{said}");
    assert!(said.contains("with the client certificate"), "{said}");
    let none = scene.gateway.mint("notes", &["--certificate", "/dev/null"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
}
