//! Clients for which no user is asked here: they come for themselves, or with what an enterprise's provider asserts. Whoever
//! shows something of somebody else, or something old, gets nothing.

use crate::harness::{
    Draft, Granting, Idp, Key, Request, Response, call, call_in, encode, initialize, now, posted,
    unsigned, wait_for,
};
use portcullis_core::time::Timestamp;
use portcullis_state::{Durable, Kind, Revocation, Whom};
use serde_json::{Value, json};
use tempfile::TempDir;

const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const CEDAR: &str = r#"
permit (principal, action, resource in Server::"agents")
when { principal.hasTag("idp") && principal.getTag("idp") == "urn:portcullis:clients" };
"#;

struct Scene {
    granting: Granting,
    idp: Idp,
    key: Key,
    _directory: TempDir,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let decoded =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    serde_json::from_slice(&decoded.unwrap()).unwrap()
}

impl Scene {
    fn new() -> Self {
        let (idp, key, directory) = (Idp::start(), Key::ec("1"), tempfile::tempdir().unwrap());
        let jwks = directory.path().join("jwks.json");
        std::fs::write(&jwks, json!({ "keys": [key.jwk()] }).to_string()).unwrap();
        let policy = directory.path().join("agents.cedar");
        std::fs::write(&policy, CEDAR).unwrap();
        let jwks = jwks.display();
        let tables = format!(
            "[issuers.corp]\nissuer = \"{}\"\n[servers.agents]\nurl = \"http://127.0.0.1:1/mcp\"\nissuers = [\"local\"]\n\
[servers.jobs]\nurl = \"http://127.0.0.1:1/mcp\"\nissuers = [\"local\"]\nscopes = [\"other:all\", \"other:most\"]\n\
[policy]\nfiles = ['{}']\n",
            idp.issuer(),
            policy.display()
        );
        let granting = Granting::beside(
            &tables,
            &format!(
                "[authority.clients.agent]\ngrant_types = [\"client_credentials\"]\nscopes = [\"notes:read\", \"other:all\"]\n\
jwks = '{jwks}'\n\
[authority.clients.desk]\nredirect_uris = [\"http://localhost/callback\"]\njwks = '{jwks}'\n\
[authority.clients.third]\nredirect_uris = [\"http://localhost/callback\"]\njwks = '{jwks}'\n\
[authority.assertions.corp]\nclients = [\"desk\"]\n"
            ),
        );
        Self {
            granting,
            idp,
            key,
            _directory: directory,
        }
    }

    /// What a client shows to be itself.
    fn itself(&self, client: &str) -> String {
        let draft = Draft::new(client, client, &self.granting.issuer(), &self.key);
        draft.header("typ", "JWT").claim("exp", now() + 60).sign()
    }

    fn asks(&self, client: &str, pairs: &[(&str, &str)]) -> Request {
        let shown = self.itself(client);
        let mut all = vec![
            ("client_id", client),
            ("client_assertion_type", KIND),
            ("client_assertion", &*shown),
        ];
        all.extend(pairs);
        posted("/token", &all)
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.granting.gateway.address)
    }

    fn credentials(&self, client: &str, pairs: &[(&str, &str)]) -> Response {
        let resource = self.granting.resource();
        let mut all = vec![("grant_type", "client_credentials")];
        if !pairs.iter().any(|(name, _)| *name == "resource") {
            all.push(("resource", &resource));
        }
        all.extend(pairs.iter().filter(|(_, value)| !value.is_empty()));
        self.send(&self.asks(client, &all))
    }

    /// An assertion as the provider makes it.
    fn draft(&self) -> Draft {
        let own = self.granting.issuer();
        let draft = self.idp.draft("alice", &own);
        let draft = draft.header("typ", "oauth-id-jag+jwt");
        draft
            .claim("client_id", "desk")
            .claim("resource", self.granting.resource())
            .claim("scope", "notes:read")
            .claim("exp", now() + 300)
    }

    fn asserts(&self, client: &str, assertion: &str) -> Response {
        let pairs = [("grant_type", ASSERTION), ("assertion", assertion)];
        self.send(&self.asks(client, &pairs))
    }

    #[track_caller]
    fn refuses(&self, answer: &Response, (error, reason): (&str, &str)) {
        let event = ("oauth.token_refused", reason);
        assert_eq!(self.granting.refused(answer, event), error, "{answer:?}");
        assert!(answer.json().get("access_token").is_none());
    }

    /// A token of a user who is called as the agent is, by our own word.
    fn user(&self, server: &str) -> String {
        let subject = ["--subject", "agent"];
        let printed = self.granting.gateway.mint(server, &subject);
        assert!(printed.status.success(), "{printed:?}");
        String::from_utf8(printed.stdout).unwrap().trim().to_owned()
    }

    /// Revokes what was issued up to `ago` seconds before now, as if that had been done then.
    fn revokes(&self, (kind, issuer, name): (Kind, &str, &str), ago: u64) {
        let then = Timestamp::from_seconds(now() - ago);
        let (issuer, name) = (issuer.to_owned(), name.to_owned());
        let whom = Whom { kind, issuer, name };
        let revocation = Revocation::new(whom, then, (then, "test".to_owned()));
        let file = self.granting.gateway.data().join("state.db");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let durable = Durable::open(&file).await.unwrap();
            durable.revoke(revocation).await.unwrap();
        });
    }

    fn works(&self, token: &str) -> u16 {
        self.send(&call("echo").token(token)).status
    }
}

#[test]
fn cd_12_an_agent_gets_tokens_for_itself_and_what_was_written_for_it() {
    let scene = Scene::new();
    let answer = scene.credentials("agent", &[]);
    let given = answer.json();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(text(&given["scope"]), "notes:read", "{given}");
    assert!(given.get("refresh_token").is_none(), "{given}");
    let record = scene.granting.gateway.record_of(&answer);
    assert_eq!(
        (
            &record["event"],
            &record["reason"],
            &record["detail"]["client"]
        ),
        (
            &json!("oauth.token_issued"),
            &json!("client"),
            &json!("agent")
        )
    );
    let access = text(&given["access_token"]);
    let said = claims(access);
    assert_eq!(
        (&said["sub"], &said["client_id"], &said["idp"], &said["aud"]),
        (
            &json!("agent"),
            &json!("agent"),
            &json!("urn:portcullis:clients"),
            &json!(scene.granting.resource())
        )
    );
    for name in ["auth_time", "groups", "roles", "acr", "amr"] {
        assert!(said.get(name).is_none(), "{name}: {said}");
    }
    assert_eq!(scene.works(access), 200);
    // Scopes: what is written for it, and what it asks for of that.
    let narrow = scene.credentials("agent", &[("scope", "notes:read nothing")]);
    assert_eq!(narrow.json()["scope"], "notes:read", "{narrow:?}");
    let more = scene.credentials("agent", &[("scope", "notes:write")]);
    scene.refuses(&more, ("invalid_scope", "scope"));
    let jobs = scene.granting.gateway.url("jobs");
    let written = scene.credentials("agent", &[("resource", &jobs)]);
    assert_eq!(written.json()["scope"], "other:all", "{written:?}");
    let more = [("resource", &*jobs), ("scope", "other:most")];
    let more = scene.credentials("agent", &more);
    scene.refuses(&more, ("invalid_scope", "scope"));
    let missing = scene.credentials("agent", &[("resource", "")]);
    scene.refuses(&missing, ("invalid_target", "no_resource"));
    let elsewhere = scene.credentials("agent", &[("resource", "https://evil.example/mcp")]);
    scene.refuses(&elsewhere, ("invalid_target", "resource"));
    // Who has no such grant, or no keys, has none.
    let other = scene.credentials("desk", &[]);
    scene.refuses(&other, ("unauthorized_client", "grant_type"));
    let resource = scene.granting.resource();
    let public = [
        ("grant_type", "client_credentials"),
        ("client_id", "app"),
        ("resource", &*resource),
    ];
    let public = scene.granting.post("/token", &public);
    scene.refuses(&public, ("unauthorized_client", "grant_type"));
    let secret = [("client_id", "agent"), ("client_secret", "x")];
    let secret = [&[("grant_type", "client_credentials")][..], &secret].concat();
    let secret = scene.granting.post("/token", &secret);
    let event = ("oauth.client_rejected", "way");
    assert_eq!(scene.granting.refused(&secret, event), "invalid_client");
    let replayed = scene.asks("agent", &[("grant_type", "client_credentials")]);
    scene.send(&replayed);
    let event = ("oauth.client_rejected", "replayed");
    let replayed = scene.send(&replayed);
    assert_eq!(scene.granting.refused(&replayed, event), "invalid_client");
}

#[test]
fn ses_08_an_agent_is_no_user_of_the_same_name() {
    let scene = Scene::new();
    let agent = scene.credentials("agent", &[]).json();
    let address = scene.granting.gateway.address;
    let user = scene.user("notes");
    let opened = initialize(text(&agent["access_token"])).send(address);
    let session = opened.header("mcp-session-id").unwrap();
    let stolen = call_in(session, &user).send(address);
    assert_eq!(stolen.status, 404, "{stolen:?}");
    // Policies can tell them apart: this server is for agents.
    let agents = scene.granting.gateway.url("agents");
    let own = scene.credentials("agent", &[("resource", &agents)]);
    assert_eq!(own.status, 200, "{own:?}");
    let to_agents = |token: &str| {
        let request = call("echo").to("/servers/agents/mcp").token(token);
        request.send(address).status
    };
    assert_ne!(to_agents(text(&own.json()["access_token"])), 403);
    assert_eq!(to_agents(&scene.user("agents")), 403);
    // Whoever is revoked loses what there is.
    let issuer = scene.granting.issuer();
    let client = ["--issuer", &issuer, "--client", "agent"];
    scene.granting.gateway.runs("revoke", &client);
    wait_for("the end of the token", || {
        (scene.works(text(&agent["access_token"])) == 401).then_some(())
    });
}

#[test]
fn cd_08_what_an_enterprise_has_granted_gives_a_token_once() {
    let scene = Scene::new();
    let assertion = scene.draft().claim("email", "alice@corp.example").sign();
    let answer = scene.asserts("desk", &assertion);
    let given = answer.json();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(given.get("refresh_token").is_none(), "{given}");
    let record = scene.granting.gateway.record_of(&answer);
    assert_eq!(
        (&record["event"], &record["reason"]),
        (&json!("oauth.token_issued"), &json!("assertion"))
    );
    let said = claims(text(&given["access_token"]));
    assert_eq!(
        (
            &said["sub"],
            &said["idp"],
            &said["client_id"],
            &said["scope"]
        ),
        (
            &json!("alice"),
            &json!(scene.idp.issuer()),
            &json!("desk"),
            &json!("notes:read")
        )
    );
    assert_eq!(scene.works(text(&given["access_token"])), 200);
    scene.refuses(
        &scene.asserts("desk", &assertion),
        ("invalid_grant", "replayed"),
    );
    // No page was shown, and none is skipped for it: the code flow asks as ever.
    assert!(
        scene
            .granting
            .gateway
            .records("consent.remembered", None)
            .is_empty()
    );
    // Who is revoked at the provider gets nothing more.
    let issuer = scene.idp.issuer();
    let alice = ["--issuer", &issuer, "--subject", "alice"];
    let later = scene.draft().sign();
    scene.granting.gateway.runs("revoke", &alice);
    scene
        .granting
        .gateway
        .expect("access.revoked", Some("subject"));
    wait_for("the end of the token", || {
        (scene.works(text(&given["access_token"])) == 401).then_some(())
    });
    scene.refuses(&scene.asserts("desk", &later), ("invalid_grant", "revoked"));
}

#[test]
fn cd_08_an_assertion_of_or_for_somebody_else_gives_nothing() {
    let scene = Scene::new();
    let own = scene.granting.issuer();
    let (stranger, other) = (Key::ed("ed-1"), Idp::start());
    let none = encode(
        json!({ "alg": "none", "typ": "oauth-id-jag+jwt" })
            .to_string()
            .as_bytes(),
    );
    let good = scene.draft().sign();
    let bare = {
        let (_, rest) = good.split_once('.').unwrap();
        let (payload, _) = rest.rsplit_once('.').unwrap();
        format!("{none}.{payload}.")
    };
    for (assertion, (error, reason)) in [
        (
            scene.draft().header("typ", "JWT").sign(),
            ("invalid_grant", "typ"),
        ),
        (
            scene.draft().header("typ", "at+jwt").sign(),
            ("invalid_grant", "typ"),
        ),
        (
            scene.draft().header("typ", Value::Null).sign(),
            ("invalid_grant", "typ"),
        ),
        (
            scene.draft().claim("aud", "https://other.example").sign(),
            ("invalid_grant", "audience"),
        ),
        (
            scene
                .draft()
                .claim("aud", json!([own, "https://other.example"]))
                .sign(),
            ("invalid_grant", "audience"),
        ),
        (
            scene.draft().claim("aud", format!("{own}/token")).sign(),
            ("invalid_grant", "audience"),
        ),
        (
            scene.draft().claim("client_id", "third").sign(),
            ("invalid_grant", "azp"),
        ),
        (
            scene.draft().without("client_id").sign(),
            ("invalid_grant", "azp"),
        ),
        (
            scene.draft().claim("exp", now() - 120).sign(),
            ("invalid_grant", "expired"),
        ),
        (
            scene.draft().without("exp").sign(),
            ("invalid_grant", "lifetime"),
        ),
        (
            scene.draft().claim("exp", now() + 3600).sign(),
            ("invalid_grant", "lifetime"),
        ),
        (
            scene.draft().claim("iat", now() + 600).sign(),
            ("invalid_grant", "nbf"),
        ),
        (
            scene.draft().without("iat").sign(),
            ("invalid_grant", "iat"),
        ),
        (
            scene.draft().without("jti").sign(),
            ("invalid_grant", "jti"),
        ),
        (
            scene.draft().without("sub").sign(),
            ("invalid_grant", "subject"),
        ),
        (
            scene.draft().claim("iss", other.issuer()).sign(),
            ("invalid_grant", "issuer"),
        ),
        (
            scene.draft().claim("iss", own.as_str()).sign(),
            ("invalid_grant", "issuer"),
        ),
        (
            scene.draft().key(&stranger).sign(),
            ("invalid_grant", "signature"),
        ),
        (unsigned(&good, ""), ("invalid_grant", "signature")),
        (bare, ("invalid_grant", "alg")),
        (
            scene.draft().sign_hmac(b"x"),
            ("invalid_grant", "signature"),
        ),
        ("x".to_owned(), ("invalid_grant", "malformed")),
        (
            scene
                .draft()
                .claim("cnf", json!({ "jkt": stranger.thumbprint() }))
                .sign(),
            ("invalid_grant", "cnf"),
        ),
        (
            scene
                .draft()
                .claim("resource", "https://evil.example/mcp")
                .sign(),
            ("invalid_target", "resource"),
        ),
        (
            scene.draft().without("resource").sign(),
            ("invalid_grant", "audience"),
        ),
        (
            scene.draft().claim("scope", "admin").sign(),
            ("invalid_scope", "scope"),
        ),
    ] {
        scene.refuses(&scene.asserts("desk", &assertion), (error, reason));
    }
    // Of a client that is not named for this provider, and of one without keys.
    let third = scene.draft().claim("client_id", "third").sign();
    let refused = ("unauthorized_client", "grant_type");
    scene.refuses(&scene.asserts("third", &third), refused);
    let public = [
        ("grant_type", ASSERTION),
        ("client_id", "app"),
        ("assertion", &*good),
    ];
    scene.refuses(&scene.granting.post("/token", &public), refused);
    // Another client's hands do not help: it has to be the one that is named.
    let wide = scene.draft().claim("scope", "notes:read other:all").sign();
    let at = |resource: &str| {
        let resource = ("resource", resource);
        let pairs = [("grant_type", ASSERTION), ("assertion", &*wide), resource];
        scene.send(&scene.asks("desk", &pairs))
    };
    // Nor does a server of ours that it does not name.
    for elsewhere in [
        "https://evil.example/mcp",
        &scene.granting.gateway.url("jobs"),
    ] {
        scene.refuses(&at(elsewhere), ("invalid_target", "resource"));
    }
    let named = at(&scene.granting.resource()).json();
    assert_eq!(named["scope"], "notes:read", "{named}");
    assert_eq!(scene.asserts("desk", &good).status, 200, "its benign twin");
}

#[test]
fn auth_03_what_was_revoked_by_a_claim_is_asserted_in_vain() {
    let scene = Scene::new();
    let of = |department: &str| {
        let draft = scene.draft().claim("department", department);
        scene.asserts("desk", &draft.sign())
    };
    assert_eq!(of("sales").status, 200);
    let issuer = scene.idp.issuer();
    let sales = ["--issuer", &issuer, "--claim", "department=sales"];
    scene.granting.gateway.runs("revoke", &sales);
    scene.granting.gateway.expect("access.revoked", None);
    // The claim is none of those that are kept of a user.
    let refused = wait_for("the revocation", || {
        let answer = of("sales");
        (answer.status != 200).then_some(answer)
    });
    scene.refuses(&refused, ("invalid_grant", "revoked"));
    assert_eq!(of("research").status, 200);
}

#[test]
fn auth_03_nobody_gets_tokens_directly_while_it_is_unknown_who_is_revoked() {
    let scene = Scene::new();
    assert_eq!(scene.credentials("agent", &[]).status, 200);
    let file = scene.granting.gateway.data().join("state.db");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    scene.granting.gateway.expect("state.unreadable", None);
    for refused in [
        scene.credentials("agent", &[]),
        scene.asserts("desk", &scene.draft().sign()),
    ] {
        assert_eq!(refused.status, 503, "{refused:?}");
        let record = scene.granting.gateway.record_of(&refused);
        let told = (&record["event"], &record["reason"]);
        assert_eq!(told, (&json!("gateway.unavailable"), &json!("state")));
    }
    std::fs::rename(&aside, &file).unwrap();
    scene.granting.gateway.expect("state.readable", None);
    assert_eq!(scene.credentials("agent", &[]).status, 200);
}

#[test]
fn auth_03_a_revoked_agent_gets_no_token_until_that_is_taken_back() {
    let scene = Scene::new();
    let own = scene.granting.issuer();
    let gets = || scene.credentials("agent", &[]);
    assert_eq!(gets().status, 200);
    for (kind, flag, issuer) in [
        (Kind::Client, "--client", &*own),
        (Kind::Subject, "--subject", &own),
        (Kind::Subject, "--subject", "urn:portcullis:clients"),
    ] {
        // Long ago: whoever comes for itself has not signed in since.
        scene.revokes((kind, issuer, "agent"), 3600);
        let refused = wait_for("the revocation", || {
            let answer = gets();
            (answer.status != 200).then_some(answer)
        });
        scene.refuses(&refused, ("invalid_grant", "revoked"));
        let asserted = scene.asserts("desk", &scene.draft().sign());
        assert_eq!(asserted.status, 200, "another client: {asserted:?}");
        let back = ["--issuer", issuer, flag, "agent"];
        scene.granting.gateway.runs("reinstate", &back);
        wait_for("its end", || (gets().status == 200).then_some(()));
    }
}

#[test]
fn auth_03_what_was_asserted_before_a_revocation_is_asserted_in_vain() {
    let scene = Scene::new();
    let own = scene.granting.issuer();
    let asserts = |ago: u64| {
        let draft = scene.draft().claim("iat", now() - ago);
        scene.asserts("desk", &draft.sign())
    };
    assert_eq!(asserts(200).status, 200);
    // By our own name for the user, whom the provider may not know as revoked.
    scene.revokes((Kind::Subject, &own, "alice"), 100);
    let refused = wait_for("the revocation", || {
        let answer = asserts(200);
        (answer.status != 200).then_some(answer)
    });
    scene.refuses(&refused, ("invalid_grant", "revoked"));
    assert_eq!(asserts(0).status, 200, "the user has come back since");
    // A client that is revoked does not come back by itself.
    scene.revokes((Kind::Client, &own, "desk"), 100);
    let refused = wait_for("the revocation", || {
        let answer = asserts(0);
        (answer.status != 200).then_some(answer)
    });
    scene.refuses(&refused, ("invalid_grant", "revoked"));
    let back = ["--issuer", &own, "--client", "desk"];
    scene.granting.gateway.runs("reinstate", &back);
    wait_for("its end", || (asserts(0).status == 200).then_some(()));
}
