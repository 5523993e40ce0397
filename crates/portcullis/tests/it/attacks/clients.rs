//! ATK-042, ATK-043: clients of our own authorization server that are somebody else, or nobody.

use crate::harness::{
    Answer, Authority, CALLBACK, CHALLENGE, Draft, Front, Granting, Host, Key, Request, Response,
    call, now, posted, redeeming, wait_for,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Who publishes documents of clients, over TLS.
struct Publisher {
    host: Host,
    front: Front,
    directory: TempDir,
    says: Arc<Mutex<Next>>,
}

/// Status, headers and body of the next answers.
type Next = (u16, String, String);

impl Publisher {
    fn start() -> Self {
        let root = Authority::new("documents");
        let says: Arc<Mutex<Next>> = Arc::default();
        let told = Arc::clone(&says);
        let host = Host::start(move |_| {
            let (status, headers, body) = told.lock().unwrap().clone();
            Answer::json(status, &headers, &body)
        });
        let front = Front::start(&root.certify(), host.address());
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self {
            host,
            front,
            directory,
            says,
        }
    }

    fn id(&self) -> String {
        format!("{}/client.json", self.front.url())
    }

    fn document(&self) -> Value {
        json!({
            "client_id": self.id(),
            "client_name": "An app",
            "redirect_uris": ["http://localhost/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        })
    }

    fn says(&self, status: u16, headers: &str, body: &str) {
        *self.says.lock().unwrap() = (status, headers.to_owned(), body.to_owned());
    }

    fn ca(&self) -> String {
        let file = self.directory.path().join("ca.pem");
        format!("ca = '{}'", file.display())
    }

    fn scene(&self, egress: &str) -> Granting {
        // The tables of `[authority]` stand at the end, so that what follows belongs to it.
        Granting::beside(egress, &self.ca())
    }
}

/// The request came as far as asking the user: the client and its redirect URI are believed.
#[track_caller]
fn believed(scene: &Granting, answer: &Response) {
    let record = scene.gateway.record_of(answer);
    let event = text(&record["event"]);
    assert!(
        ![
            "oauth.cimd_rejected",
            "oauth.client_rejected",
            "oauth.redirect_rejected"
        ]
        .contains(&event),
        "{record} {answer:?}"
    );
    assert!(answer.status < 400, "{answer:?}");
}

#[test]
fn cd_12_a_client_is_what_its_document_says_and_no_other() {
    let publisher = Publisher::start();
    let scene = publisher.scene("[egress]\nallow = [\"127.0.0.1\"]\n");
    let id = publisher.id();
    let ask = || scene.authorize(&[("client_id", &id)]);
    let with = |name: &str, value: Value| {
        let mut document = publisher.document();
        document[name] = value;
        document.to_string()
    };
    let plain = publisher.document().to_string();
    let big = with("padding", json!("x".repeat(10 << 20)));
    for (status, headers, body, reason) in [
        (
            200,
            "",
            with("client_id", json!("https://127.0.0.1/other.json")),
            "other_client",
        ),
        (
            200,
            "",
            with("redirect_uris", json!(["https://evil.example/*"])),
            "redirect_uri",
        ),
        (
            200,
            "",
            with("client_secret", json!("s3cret-s3cret")),
            "secret",
        ),
        (200, "", "<html>".to_owned(), "malformed"),
        (200, "", big, "too_large"),
        (404, "", plain.clone(), "status"),
        (
            302,
            "location: http://169.254.169.254/\r\n",
            plain.clone(),
            "status",
        ),
    ] {
        publisher.says(status, headers, &body);
        let answer = ask();
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, None),
            "{answer:?}"
        );
        scene.refused(&answer, ("oauth.cimd_rejected", reason));
    }
    let before = publisher.host.seen().len();
    publisher.says(200, "cache-control: max-age=600\r\n", &plain);
    believed(&scene, &ask());
    believed(&scene, &ask());
    assert_eq!(publisher.host.seen().len(), before + 1, "it is kept");
    let answer = scene.authorize(&[
        ("client_id", &id),
        ("redirect_uri", "https://app.example/oauth/callback"),
    ]);
    scene.refused(&answer, ("oauth.redirect_rejected", "unregistered"));
}

#[test]
fn cd_12_a_document_leads_nobody_inside() {
    let (publisher, lure) = (Publisher::start(), Host::lure());
    let scene = publisher.scene("");
    let port = lure.address().port();
    for (id, reason) in [
        (
            "https://169.254.169.254/latest/meta-data".to_owned(),
            "address",
        ),
        (format!("https://127.0.0.1:{port}/client.json"), "address"),
        (format!("https://localhost:{port}/client.json"), "address"),
        (
            format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
            "address",
        ),
        ("https://[::ffff:a00:1]/client.json".to_owned(), "url"),
        ("https://10.0.0.1/client.json".to_owned(), "address"),
        ("https://[fd00:ec2::254]/client.json".to_owned(), "address"),
        (format!("http://127.0.0.1:{port}/client.json"), "url"),
        (format!("https://2130706433:{port}/client.json"), "url"),
        (format!("https://user@127.0.0.1:{port}/client.json"), "url"),
        ("https://app.example/a/../client.json".to_owned(), "url"),
        ("https://app.example/".to_owned(), "url"),
        (publisher.id(), "address"),
    ] {
        let answer = scene.authorize(&[("client_id", &id)]);
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, None),
            "{id} {answer:?}"
        );
        scene.refused(&answer, ("oauth.cimd_rejected", reason));
    }
    assert!(lure.seen().is_empty() && publisher.host.seen().is_empty());
    assert!(
        !scene
            .gateway
            .records("egress.denied", Some("address"))
            .is_empty()
    );
    // Documents of hosts that the organisation does not name are not even looked for.
    let listed = Granting::start("document_hosts = [\"app.example\"]");
    let answer = listed.authorize(&[("client_id", &publisher.id())]);
    listed.refused(&answer, ("oauth.cimd_rejected", "host"));
    let off = Granting::start("documents = false");
    let answer = off.authorize(&[("client_id", &publisher.id())]);
    off.refused(&answer, ("oauth.client_rejected", "unknown"));
}

fn register(scene: &Granting, body: &Value) -> Response {
    Request::new("POST", "/register")
        .set("content-type", "application/json")
        .body(&body.to_string())
        .send(scene.gateway.address)
}

#[test]
fn cd_12_nobody_registers_unless_that_is_wanted_and_then_few_do() {
    let native = json!({ "client_name": "An app", "redirect_uris": ["http://localhost/callback"] });
    let off = Granting::start("");
    assert_eq!(register(&off, &native).status, 404);
    let scene = Granting::start("[authority.registration]\nper_network = 2");
    let (address, made) = (scene.gateway.address, register(&scene, &native));
    let said = made.json();
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        (
            &said["token_endpoint_auth_method"],
            &said["application_type"]
        ),
        (&json!("none"), &json!("native"))
    );
    let id = text(&said["client_id"]);
    believed(&scene, &scene.authorize(&[("client_id", id)]));
    for (change, reason, error) in [
        (
            ("redirect_uris", json!(["https://evil.example/cb"])),
            "redirect_uri",
            "invalid_redirect_uri",
        ),
        (
            ("redirect_uris", json!(["javascript:alert(1)"])),
            "redirect_uri",
            "invalid_redirect_uri",
        ),
        (
            ("redirect_uris", json!([])),
            "redirect_uri",
            "invalid_redirect_uri",
        ),
        (
            ("application_type", json!("web")),
            "redirect_uri",
            "invalid_redirect_uri",
        ),
        (
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            "keys",
            "invalid_client_metadata",
        ),
        (
            ("grant_types", json!(["implicit"])),
            "grant",
            "invalid_client_metadata",
        ),
    ] {
        let mut body = native.clone();
        body[change.0] = change.1;
        let answer = register(&scene, &body);
        assert_eq!(
            scene.refused(&answer, ("oauth.dcr_rejected", reason)),
            error,
            "{answer:?}"
        );
    }
    // RFC 7592: by its own token only.
    let path = format!("/register/{id}");
    let manage = |method: &str, token: &str| Request::new(method, &path).token(token).send(address);
    let token = text(&said["registration_access_token"]);
    assert_eq!(manage("GET", "guess").status, 401);
    assert_eq!(manage("GET", token).json()["client_id"], id);
    assert_eq!(register(&scene, &native).status, 201);
    let full = register(&scene, &native);
    assert_eq!(full.status, 429);
    scene.refused(&full, ("oauth.dcr_rejected", "quota"));
    assert_eq!(manage("DELETE", token).status, 204);
    let gone = scene.authorize(&[("client_id", id)]);
    scene.refused(&gone, ("oauth.client_rejected", "unknown"));
    let mut flood = 0;
    for _ in 0..40 {
        flood += usize::from(register(&scene, &native).status == 429);
    }
    assert!(flood >= 20, "{flood}");
    assert!(scene.gateway.counted("ratelimit.triggered", "network") > 0);
    let traces = scene.gateway.traces();
    assert!(!traces.contains(token), "a token in the log");
}

#[test]
fn cd_10_the_organisation_says_where_answers_go_at_all() {
    let listed = "redirect_hosts = [\"app.example\"]\n[authority.registration]";
    let scene = Granting::start(listed);
    let with = |redirect: &str| register(&scene, &json!({ "redirect_uris": [redirect] }));
    assert_eq!(with("https://app.example/cb").status, 201);
    for redirect in [
        "https://evil.example/cb",
        "https://sub.app.example/cb",
        "https://app.example.evil.example/cb",
    ] {
        let answer = with(redirect);
        assert_eq!(
            scene.refused(&answer, ("oauth.dcr_rejected", "redirect_uri")),
            "invalid_redirect_uri"
        );
    }
    let publisher = Publisher::start();
    let mut document = publisher.document();
    document["redirect_uris"] = json!(["https://evil.example/cb"]);
    publisher.says(200, "", &document.to_string());
    let open = "[egress]\nallow = [\"127.0.0.1\"]\n";
    let scene = Granting::beside(
        open,
        &format!("redirect_hosts = [\"app.example\"]\n{}", publisher.ca()),
    );
    let answer = scene.authorize(&[
        ("client_id", &publisher.id()),
        ("redirect_uri", "https://evil.example/cb"),
    ]);
    assert_eq!(answer.header("location"), None);
    scene.refused(&answer, ("oauth.cimd_rejected", "redirect_uri"));
}

#[test]
fn cd_12_a_client_with_keys_shows_that_it_has_them() {
    let (key, other) = (Key::ec("1"), Key::ec("1"));
    let directory = tempfile::tempdir().unwrap();
    let jwks = directory.path().join("jwks.json");
    std::fs::write(&jwks, json!({ "keys": [key.jwk()] }).to_string()).unwrap();
    let scene = Granting::start(&format!(
        "[authority.clients.sure]\nredirect_uris = [\"http://localhost/callback\"]\njwks = '{}'",
        jwks.display()
    ));
    let issuer = format!("http://{}", scene.gateway.address);
    let draft = || {
        let draft = Draft::new("sure", "sure", &issuer, &key).header("typ", "JWT");
        draft.claim("exp", now() + 60)
    };
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let show = |code: &str, assertion: &str| {
        let shown = [
            ("client_id", "sure"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        scene.redeem(code, &shown)
    };
    let client = json!({ "client": "sure" });
    scene.approve("plain", client.clone(), json!({}));
    let answer = scene.redeem("plain", &[("client_id", "sure")]);
    assert_eq!(
        scene.refused(&answer, ("oauth.client_rejected", "way")),
        "invalid_client"
    );
    let basic = posted("/token", &redeeming("plain")).set("authorization", "Basic YXBwOng=");
    let answer = basic.send(scene.gateway.address);
    assert_eq!(
        scene.refused(&answer, ("oauth.client_rejected", "way")),
        "invalid_client"
    );
    for (assertion, reason) in [
        (draft().key(&other).sign(), "signature"),
        (
            draft().claim("aud", "https://evil.example").sign(),
            "audience",
        ),
        (
            draft()
                .claim("aud", json!([issuer, "https://evil.example"]))
                .sign(),
            "audience",
        ),
        (draft().claim("sub", "app").sign(), "subject"),
        (draft().claim("iss", "app").sign(), "subject"),
        (draft().claim("exp", now() - 60).sign(), "time"),
        (draft().claim("exp", now() + 3600).sign(), "time"),
        (draft().without("jti").sign(), "id"),
        ("x.y.z".to_owned(), "signature"),
    ] {
        let answer = show("plain", &assertion);
        assert_eq!(
            (
                answer.status,
                &*scene.refused(&answer, ("oauth.client_rejected", reason))
            ),
            (401, "invalid_client")
        );
    }
    let good = draft().sign();
    let given = show("plain", &good);
    assert_eq!(given.status, 200, "{given:?}");
    scene.approve("again", client, json!({}));
    let answer = show("again", &good);
    assert_eq!(
        scene.refused(&answer, ("oauth.client_rejected", "replayed")),
        "invalid_client"
    );

    // It may ask about its own tokens, and nobody else about any.
    let access = given.json()["access_token"].as_str().unwrap().to_owned();
    let ask = |token: &str| {
        let assertion = draft().sign();
        let shown = [
            ("client_id", "sure"),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
            ("token", token),
        ];
        scene.post("/introspect", &shown)
    };
    let told = ask(&access).json();
    assert_eq!(
        (&told["active"], &told["sub"], &told["aud"]),
        (&json!(true), &json!("alice"), &json!(scene.resource()))
    );
    assert_eq!(ask("guess").json(), json!({ "active": false }));
    let public = scene.post("/introspect", &[("client_id", "app"), ("token", &access)]);
    assert_eq!(
        scene.refused(&public, ("oauth.client_rejected", "way")),
        "invalid_client"
    );
    scene.approve("others", json!({}), json!({}));
    let theirs = scene.redeem("others", &[]).json();
    assert_eq!(
        ask(text(&theirs["access_token"])).json(),
        json!({ "active": false })
    );
    assert_eq!(
        ask(text(&theirs["refresh_token"])).json(),
        json!({ "active": false })
    );
    // Of whom was revoked, neither counts.
    let own = given.json();
    let refresh = text(&own["refresh_token"]);
    assert_eq!(ask(refresh).json()["active"], true);
    let whom = ["--issuer", &*scene.issuer(), "--subject", "alice"];
    scene.gateway.runs("revoke", &whom);
    scene.gateway.expect("access.revoked", Some("subject"));
    for token in [refresh, &access] {
        wait_for("the end of both", || {
            (ask(token).json() == json!({ "active": false })).then_some(())
        });
    }
}

#[test]
fn cd_07_what_is_pushed_is_asked_once_by_the_client_that_pushed_it() {
    let scene = Granting::start("");
    let resource = scene.resource();
    let pairs = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", &resource),
    ];
    let push = |changes: &[(&str, &str)]| {
        let mut pairs = pairs.to_vec();
        for (name, value) in changes {
            pairs.retain(|(own, _)| own != name);
            pairs.push((name, value));
        }
        scene.post("/par", &pairs)
    };
    for (change, event, error) in [
        (
            ("redirect_uri", "https://evil.example/cb"),
            ("oauth.redirect_rejected", "unregistered"),
            "invalid_request",
        ),
        (
            ("code_challenge_method", "plain"),
            ("oauth.pkce_rejected", "method"),
            "invalid_request",
        ),
        (
            ("request_uri", "urn:x"),
            ("oauth.request_refused", "request_uri"),
            "invalid_request",
        ),
        (
            ("client_id", "nobody"),
            ("oauth.client_rejected", "unknown"),
            "invalid_client",
        ),
        (
            ("resource", "https://evil.example"),
            ("oauth.request_refused", "resource"),
            "invalid_target",
        ),
    ] {
        let answer = push(&[change]);
        assert_eq!(scene.refused(&answer, event), error, "{answer:?}");
    }
    let open = |client: &str, name: &str| {
        let name = name.replace(':', "%3A");
        let path = format!("/authorize?client_id={client}&request_uri={name}");
        Request::new("GET", &path).send(scene.gateway.address)
    };
    let pushed = push(&[]);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let pushed = pushed.json();
    let name = text(&pushed["request_uri"]);
    believed(&scene, &open("app", name));
    let again = open("app", name);
    scene.refused(&again, ("oauth.request_refused", "request_uri"));
    let pushed = push(&[]).json();
    let other = open("nobody", text(&pushed["request_uri"]));
    assert_eq!((other.status, other.header("location")), (400, None));
}

#[test]
fn tok_11_what_is_given_back_is_over() {
    let scene = Granting::start("");
    scene.approve("good", json!({}), json!({}));
    let given = scene.redeem("good", &[]).json();
    let (access, refresh) = (text(&given["access_token"]), text(&given["refresh_token"]));
    let works = || {
        call("echo")
            .token(access)
            .send(scene.gateway.address)
            .status
    };
    assert_eq!(works(), 200);
    let back = |client: &str, token: &str| {
        scene.post("/revoke", &[("client_id", client), ("token", token)])
    };
    assert_eq!(back("app", "guess").status, 200);
    assert_eq!(back("nobody", refresh).status, 401);
    assert_eq!(works(), 200);
    let answer = back("app", refresh);
    assert_eq!(answer.status, 200);
    scene.refused(&answer, ("oauth.token_revoked", "refresh"));
    wait_for("the end of the token", || (works() == 401).then_some(()));
    let answer = scene.refresh(refresh, &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "over")),
        "invalid_grant"
    );
    scene.approve("more", json!({}), json!({}));
    let given = scene.redeem("more", &[]).json();
    let access = text(&given["access_token"]);
    scene.refused(&back("app", access), ("oauth.token_revoked", "access"));
    let works = || {
        call("echo")
            .token(access)
            .send(scene.gateway.address)
            .status
    };
    wait_for("the end of the other", || (works() == 401).then_some(()));
}

#[test]
fn cd_04_no_stranger_has_us_send_browsers_anywhere_unasked() {
    let publisher = Publisher::start();
    let mut document = publisher.document();
    document["redirect_uris"] = json!(["https://evil.example/cb", "http://localhost/callback"]);
    publisher.says(200, "", &document.to_string());
    let scene = publisher.scene("[egress]\nallow = [\"127.0.0.1\"]\n");
    let id = publisher.id();
    let wrong = |redirect: &str| {
        scene.authorize(&[
            ("client_id", &id),
            ("redirect_uri", redirect),
            ("response_type", "token"),
        ])
    };
    let answer = wrong("https://evil.example/cb");
    assert_eq!(
        (answer.status, answer.header("location")),
        (400, None),
        "{answer:?}"
    );
    scene.refused(&answer, ("oauth.request_refused", "response_type"));
    let local = wrong(CALLBACK);
    let location = local.header("location").unwrap_or_default();
    assert!(location.starts_with(CALLBACK), "{local:?}");
}

#[test]
fn cd_12_a_document_that_is_kept_counts_only_while_its_host_does() {
    let publisher = Publisher::start();
    publisher.says(
        200,
        "cache-control: max-age=86400\r\n",
        &publisher.document().to_string(),
    );
    let scene = publisher.scene("[egress]\nallow = [\"127.0.0.1\"]\n");
    let id = publisher.id();
    believed(&scene, &scene.authorize(&[("client_id", &id)]));
    scene.gateway.reload(
        "[authority]\n",
        "[authority]\ndocument_hosts = [\"app.example\"]\n",
    );
    let answer = scene.authorize(&[("client_id", &id)]);
    scene.refused(&answer, ("oauth.cimd_rejected", "host"));
}

#[test]
fn cd_12_one_network_leaves_room_for_what_others_push() {
    let scene = Granting::start("");
    let resource = scene.resource();
    let pairs = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", &*resource),
    ];
    let flooded = (0..1000).find_map(|_| {
        let answer = scene.post("/par", &pairs);
        (answer.status != 201).then_some(answer)
    });
    let flooded = flooded.expect("an end");
    assert_eq!(flooded.status, 429, "{flooded:?}");
    let other = posted("/par", &pairs).send_from([127, 0, 0, 9], scene.gateway.address);
    assert_eq!(other.status, 201, "{other:?}");
}
