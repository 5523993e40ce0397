//! ATK-013, ATK-039 to ATK-041: servers that need consent, and what goes wrong on the way to it.

use crate::harness::{
    AMPLE, Answer, Browser, Consenting, Gateway, Granter, Host, Idp, Request, Response, Scene,
    Upstream, WITH_SESSIONS, call, call_in, initialize, next_second, portcullis, post, wait_for,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(super) const OPEN: &str = "register = true\n[egress]\nallow = [\"127.0.0.1\"]\n";

/// A gateway before such a server.
pub(super) fn scene(server: Consenting, more: &str) -> (Scene, Consenting) {
    scene_after("", server, more)
}

/// The same in a process in which a shell ran `before` first.
pub(super) fn scene_after(before: &str, server: Consenting, more: &str) -> (Scene, Consenting) {
    let idp = Idp::start();
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.notes.sign_in]\n{more}",
        idp.issuer(),
        server.upstream.url()
    );
    let scene = Scene {
        gateway: Gateway::start_after(before, &config),
        upstream: Upstream::start(),
        idp,
    };
    (scene, server)
}

/// The link that this caller gets.
pub(super) fn link(scene: &Scene, subject: &str) -> String {
    let refused = scene.send(&call("echo").token(&scene.token(subject)));
    assert_eq!((refused.status, refused.code()), (200, 403), "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["event"], "oauth.consent_needed", "{record}");
    let url = refused.json()["error"]["data"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains(&url) && message.contains("notes"),
        "{message}"
    );
    url
}

/// The browser in which alice has agreed.
pub(super) fn connected(scene: &Scene) -> Browser {
    let mut browser = Browser::default();
    let page = browser.connects(&scene.gateway, &link(scene, "alice"));
    assert_eq!(page.status, 200, "{page:?}");
    browser
}

pub(super) fn works(scene: &Scene, subject: &str) {
    let answer = scene.send(&call("echo").token(&scene.token(subject)));
    assert_eq!((answer.status, answer.code()), (200, 0), "{answer:?}");
    assert_eq!(scene.gateway.record_of(&answer)["event"], "call.completed");
}

/// What a page that refuses is recorded as.
fn is_refused(scene: &Scene, page: &Response, status: u16, (event, reason): (&str, &str)) {
    assert_eq!(page.status, status, "{page:?}");
    let found = wait_for("the record of a page", || {
        scene.gateway.records(event, Some(reason)).pop()
    });
    assert_eq!(found["outcome"]["status"], status, "{found}");
}

#[test]
fn tok_15_a_user_consents_and_only_this_user_is_connected() {
    let (mut scene, server) = scene(Consenting::start(), OPEN);
    let url = link(&scene, "ali<b>ce");
    assert_eq!(server.shown(), [None], "nothing is shown before consent");
    assert_eq!(link(&scene, "ali<b>ce"), url, "one link for one caller");
    let mut browser = Browser::default();
    let page = browser.get(&scene.gateway, &url);
    assert!(
        page.body.contains("notes") && page.body.contains("ali&lt;b&gt;ce"),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("<b>ce") && !page.body.contains("<script"),
        "{}",
        page.body
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let done = browser.connects(&scene.gateway, &url);
    assert_eq!(done.status, 200, "{done:?}");
    works(&scene, "ali<b>ce");
    let asked = server.authority.seen("/authorize").pop().unwrap();
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["resource"], server.upstream.url());
    assert_eq!(asked["scope"], "notes");
    assert_eq!(asked["client_id"], "registered");
    let redeemed = server.authority.seen("/token").pop().unwrap();
    assert_eq!(redeemed["resource"], server.upstream.url());
    assert_eq!(
        server.shown().pop().unwrap().as_deref(),
        Some("Bearer access-2")
    );
    // Another caller has a link of its own and none of this one's access.
    assert_ne!(link(&scene, "bob"), url);
    assert_eq!(server.shown().pop().unwrap(), None);
    for event in ["oauth.link_opened", "oauth.started", "oauth.connected"] {
        let record = scene.gateway.expect(event, None);
        assert!(
            record["detail"]["for"]
                .as_str()
                .unwrap()
                .ends_with("ali<b>ce"),
            "{record}"
        );
    }
    // It outlives the process, and is in no file as text.
    scene.gateway.restart();
    works(&scene, "ali<b>ce");
    assert_eq!(server.authority.seen("/token").len(), 1);
    let secrets = [
        "access-2",
        "refresh-2",
        "code-1",
        &redeemed["code_verifier"],
        url.rsplit('/').next().unwrap(),
    ];
    let told = scene.gateway.traces();
    let kept: Vec<u8> = ["state.db", "state.db-wal"]
        .iter()
        .filter_map(|name| std::fs::read(scene.gateway.data().join(name)).ok())
        .flatten()
        .collect();
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} is told");
        assert!(
            !kept
                .windows(secret.len())
                .any(|part| part == secret.as_bytes()),
            "{secret} is kept"
        );
    }
}

#[test]
fn tok_15_tells_clients_that_open_urls_in_their_way() {
    let (scene, _server) = scene(Consenting::start(), OPEN);
    let token = scene.token("alice");
    let plain = scene.send(&initialize(&token));
    assert_eq!((plain.status, plain.code()), (200, 403), "{plain:?}");
    let params = json!({
        "protocolVersion": WITH_SESSIONS,
        "capabilities": { "elicitation": { "url": {} } },
        "clientInfo": { "name": "test", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let told = scene.send(&post(&body.to_string()).token(&token));
    assert_eq!((told.status, told.code()), (200, -32042), "{told:?}");
    let asked = &told.json()["error"]["data"]["elicitations"][0];
    assert_eq!(asked["mode"], "url", "{asked}");
    assert_eq!(asked["url"], told.json()["error"]["data"]["url"]);
}

#[test]
fn tok_15_a_link_is_for_one_browser_and_one_use() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let url = link(&scene, "alice");
    let (mut first, mut second) = (Browser::default(), Browser::default());
    // The other one has a cookie of ours too: it is about to agree to something else.
    let own = link(&scene, "mallory");
    assert_eq!(second.get(&scene.gateway, &own).status, 200);
    let nobody = Browser::default().get(&scene.gateway, &format!("{url}/go"));
    is_refused(&scene, &nobody, 403, ("oauth.refused", "browser"));
    // Nobody goes on without having seen the page.
    let unseen = second.get(&scene.gateway, &format!("{url}/go"));
    is_refused(&scene, &unseen, 403, ("oauth.refused", "browser"));
    let back = first.consents(&scene.gateway, &url).unwrap();
    let used = first.get(&scene.gateway, &url);
    is_refused(&scene, &used, 404, ("oauth.refused", "link"));
    // The answer, in the browser of somebody else: that is the end of it.
    let stolen = second.get(&scene.gateway, &back);
    is_refused(&scene, &stolen, 403, ("oauth.refused", "browser"));
    let late = first.get(&scene.gateway, &back);
    is_refused(&scene, &late, 400, ("oauth.refused", "state"));
    for query in ["", "?code=x", "?code=x&state=guessed", "?state=a&state=b"] {
        let page = first.get(&scene.gateway, &format!("/connect/callback{query}"));
        assert_eq!(page.status, 400, "{query} {page:?}");
    }
    assert_eq!(
        server.authority.seen("/token").len(),
        0,
        "no code was exchanged"
    );
    // A link that somebody opened belongs to that browser.
    let url = link(&scene, "alice");
    assert_eq!(first.get(&scene.gateway, &url).status, 200);
    for path in ["", "/go"] {
        for browser in [&mut Browser::default(), &mut second] {
            let other = browser.get(&scene.gateway, &format!("{url}{path}"));
            is_refused(&scene, &other, 403, ("oauth.refused", "browser"));
        }
    }
    assert_eq!(first.connects(&scene.gateway, &url).status, 200);
    works(&scene, "alice");
}

#[test]
fn tok_07_sends_no_code_to_another_authorization_server() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let mut browser = Browser::default();
    for iss in [Some("https://as.example"), None, Some("")] {
        server.authority.poses(iss);
        let page = browser.connects(&scene.gateway, &link(&scene, "alice"));
        is_refused(&scene, &page, 502, ("oauth.iss_mismatch", "iss"));
        assert_eq!(server.authority.seen("/token").len(), 0, "{iss:?}");
    }
    let truth = server.authority.issuer();
    server.authority.poses(Some(&truth));
    connected(&scene);
    works(&scene, "alice");
}

#[test]
fn tok_07_shows_no_client_and_no_token_to_another_authorization_server() {
    let (server, rogue) = (Consenting::start(), Granter::start());
    let own = format!(
        "issuer = \"{}\"\nclient_id = \"ours\"\nclient_secret = {{ env = \"SECRET\" }}\n[egress]\nallow = [\"127.0.0.1\"]\n",
        server.authority.issuer()
    );
    let idp = Idp::start();
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.notes.sign_in]\n{own}",
        idp.issuer(),
        server.upstream.url()
    );
    let scene = Scene {
        gateway: Gateway::start_after("export SECRET=hunter2-of-ours", &config),
        upstream: Upstream::start(),
        idp,
    };
    let mut browser = connected(&scene);
    works(&scene, "alice");
    // The server changes sides: it names another authorization server, and refuses the token that it took before.
    *server.authorities.lock().unwrap() = vec![rogue.issuer()];
    server.authority.ends_all();
    let page = browser.connects(&scene.gateway, &link(&scene, "alice"));
    is_refused(
        &scene,
        &page,
        502,
        ("oauth.metadata_rejected", "other_authority"),
    );
    assert_eq!(rogue.requests(), 0, "the other one was asked");
    assert!(!scene.gateway.traces().contains("hunter2-of-ours"));
}

#[test]
fn cd_12_a_server_sends_nobody_astray() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let lure = Host::start_at("127.0.0.2:0", |_| Answer::json(200, "", "{}"));
    let (mut browser, port) = (Browser::default(), lure.address().port());
    let mut fails = |event: &str, reason: &str| {
        let page = browser.connects(&scene.gateway, &link(&scene, "alice"));
        is_refused(&scene, &page, 502, (event, reason));
        assert!(
            !page.body.contains("127.0.0") && !page.body.contains("script"),
            "{}",
            page.body
        );
    };
    for (url, reason) in [
        ("http://169.254.169.254/latest".to_owned(), "address"),
        (format!("http://127.0.0.2:{port}/"), "address"),
        (format!("http://[::ffff:127.0.0.2]:{port}/"), "address"),
        (format!("http://2130706434:{port}/"), "malformed"),
        ("file:///etc/passwd".to_owned(), "scheme"),
        ("javascript:alert(1)".to_owned(), "malformed"),
    ] {
        *server.metadata.lock().unwrap() = Some(url);
        fails("egress.denied", reason);
    }
    *server.metadata.lock().unwrap() = None;
    for issuer in [
        format!("http://127.0.0.2:{port}"),
        "https://[::ffff:10.0.0.1]".to_owned(),
    ] {
        *server.authorities.lock().unwrap() = vec![issuer];
        fails("egress.denied", "address");
    }
    *server.authorities.lock().unwrap() = vec![server.authority.issuer()];
    for url in [
        "file:/c:/windows/system32/calc.exe",
        "javascript:alert(1)",
        "http://x/$(calc)",
        "--flag",
        "data:text/html,x",
        "https://as.example/\"><script>alert(1)</script>",
    ] {
        server.authority.says("authorization_endpoint", json!(url));
        fails("oauth.metadata_rejected", "url");
    }
    let truth = format!("{}/authorize", server.authority.issuer());
    server
        .authority
        .says("authorization_endpoint", json!(truth));
    server.authority.says(
        "token_endpoint",
        json!(format!("http://127.0.0.2:{port}/token")),
    );
    fails("egress.denied", "address");
    server.authority.says(
        "token_endpoint",
        json!(format!("{}/token", server.authority.issuer())),
    );
    server.authority.says("issuer", json!("https://as.example"));
    fails("oauth.metadata_rejected", "issuer");
    server
        .authority
        .says("issuer", json!(server.authority.issuer()));
    server
        .authority
        .says("code_challenge_methods_supported", json!(["plain"]));
    fails("oauth.metadata_rejected", "pkce");
    assert_eq!(lure.seen().len(), 0, "somebody went astray");
    assert_eq!(server.authority.seen("/token").len(), 0);
    server
        .authority
        .says("code_challenge_methods_supported", json!(["S256"]));
    connected(&scene);
    works(&scene, "alice");
}

#[test]
fn tok_15_renews_tokens_before_their_end_and_once_for_all() {
    let (scene, server) = scene(Consenting::start(), &format!("{OPEN}{AMPLE}"));
    server.authority.lifetime(4);
    connected(&scene);
    let (token, began) = (scene.token("alice"), Instant::now());
    while began.elapsed() < Duration::from_secs(9) {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let answer = scene.send(&call("echo").token(&token));
                    assert_eq!((answer.status, answer.code()), (200, 0), "{answer:?}");
                });
            }
        });
    }
    let asked = server.authority.seen("/token");
    let renewals = asked
        .iter()
        .filter(|form| form["grant_type"] == "refresh_token");
    let shown: std::collections::HashSet<&String> =
        renewals.map(|form| &form["refresh_token"]).collect();
    assert_eq!(
        shown.len(),
        asked.len() - 1,
        "each refresh token was shown once: {asked:?}"
    );
    assert!((2..=4).contains(&shown.len()), "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|form| form["resource"] == server.upstream.url())
    );
    assert_eq!(
        scene.gateway.records("oauth.refreshed", None).len(),
        shown.len()
    );
    // Without a token endpoint, calls fail once the token has ended, and nothing goes up.
    server.authority.is_broken(true);
    let refused = wait_for("the end of the token", || {
        let answer = scene.send(&call("echo").token(&token));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(
        (refused.status, refused.code()),
        (502, -32603),
        "{refused:?}"
    );
    let before = server.shown().len();
    assert_eq!(scene.send(&call("echo").token(&token)).status, 502);
    assert_eq!(server.shown().len(), before, "an expired token went up");
    server.authority.is_broken(false);
    works(&scene, "alice");
}

#[test]
fn tok_15_a_client_that_leaves_while_a_token_is_renewed_loses_nobody_the_next_one() {
    let (mut scene, server) = scene(Consenting::start(), OPEN);
    server.authority.lifetime(3);
    connected(&scene);
    works(&scene, "alice");
    let renewals = || server.authority.seen("/token").len() - 1;
    server.authority.pauses(Duration::from_secs(1));
    let token = scene.token("alice");
    wait_for("a renewal under way", || {
        // It is sent, and its sender is gone.
        let request = call("echo").token(&token);
        let bytes = request.bytes(scene.gateway.address, "0", "");
        let mut stream = TcpStream::connect(scene.gateway.address).unwrap();
        stream.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        drop(stream);
        (renewals() == 1).then_some(())
    });
    server.authority.pauses(Duration::ZERO);
    server.authority.lifetime(3600);
    scene.gateway.expect("oauth.refreshed", None);
    // What the authorization server gave instead of the refresh token is there: it is not asked with an old one.
    scene.gateway.restart();
    works(&scene, "alice");
    let shown: Vec<String> = (server.authority.seen("/token").iter())
        .filter_map(|form| form.get("refresh_token").cloned())
        .collect();
    let once: std::collections::HashSet<&String> = shown.iter().collect();
    assert_eq!(once.len(), shown.len(), "{shown:?}");
}

#[test]
fn tok_15_a_family_of_tokens_that_has_ended_needs_consent_again() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let mut browser = connected(&scene);
    works(&scene, "alice");
    // Somebody has used a refresh token of this family twice (ATK-013): all of it is over.
    server.authority.ends_all();
    next_second();
    next_second();
    let url = link(&scene, "alice");
    scene.gateway.expect("oauth.refresh_failed", Some("spent"));
    assert_eq!(browser.connects(&scene.gateway, &url).status, 200);
    works(&scene, "alice");
}

#[test]
fn tok_15_gives_tokens_back_when_access_is_revoked() {
    let (mut scene, server) = scene(Consenting::start(), OPEN);
    let mut browser = connected(&scene);
    let url = link(&scene, "bob");
    let issuer = scene.idp.issuer();
    scene
        .gateway
        .runs("revoke", &["--subject", "alice", "--issuer", &issuer]);
    scene
        .gateway
        .runs("revoke", &["--subject", "bob", "--issuer", &issuer]);
    scene.gateway.expect("oauth.revoked", Some("revoked"));
    wait_for("the tokens to be given back", || {
        (server.authority.seen("/revoke").len() == 2).then_some(())
    });
    let given = server.authority.seen("/revoke");
    assert_eq!(given[0]["token"], "refresh-2");
    assert_eq!(given[1]["token"], "access-2");
    let page = wait_for("the link to be forgotten", || {
        Some(browser.get(&scene.gateway, &url)).filter(|page| page.status != 200)
    });
    assert_eq!(page.status, 404);
    // Reinstated, alice has access here, and none of what was given back.
    next_second();
    scene
        .gateway
        .runs("reinstate", &["--subject", "alice", "--issuer", &issuer]);
    scene.gateway.expect("access.reinstated", None);
    scene.gateway.restart();
    link(&scene, "alice");
}

#[test]
fn tok_10_asks_for_more_scopes_a_few_times_and_no_more() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let mut browser = connected(&scene);
    *server.step.lock().unwrap() = Some("admin".to_owned());
    let url = link(&scene, "alice");
    assert_eq!(browser.connects(&scene.gateway, &url).status, 200);
    let asked = server.authority.seen("/authorize").pop().unwrap();
    assert_eq!(
        asked["scope"], "admin notes",
        "what was granted before is asked for too"
    );
    link(&scene, "alice");
    let refused = scene.send(&call("echo").token(&scene.token("alice")));
    assert_eq!(refused.status, 502, "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(
        (&record["event"], &record["reason"]),
        (&json!("upstream.failed"), &json!("credentials"))
    );
    *server.step.lock().unwrap() = None;
    works(&scene, "alice");
}

#[test]
fn rs_e07_a_client_hears_that_its_user_has_consented() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let mut browser = connected(&scene);
    let token = scene.token("alice");
    let params = json!({
        "protocolVersion": WITH_SESSIONS,
        "capabilities": { "elicitation": { "url": {} } },
        "clientInfo": { "name": "test", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let opened = scene.send(&post(&body.to_string()).token(&token));
    let session = opened.header("mcp-session-id").unwrap();
    let mut stream = scene.open(&Request::in_session("GET", session).token(&token));
    assert_eq!(stream.response.status, 200);
    // The server wants more than it was granted.
    *server.step.lock().unwrap() = Some("admin".to_owned());
    let told = scene.send(&call_in(session, &token));
    assert_eq!(told.code(), -32042, "{told:?}");
    let asked = &told.json()["error"]["data"]["elicitations"][0];
    let page = browser.connects(&scene.gateway, asked["url"].as_str().unwrap());
    assert_eq!(page.status, 200, "{page:?}");
    scene.gateway.expect("oauth.connected", None);
    let line = stream.until("notifications/elicitation/complete").unwrap();
    assert!(
        line.contains(asked["elicitationId"].as_str().unwrap()),
        "{line}"
    );
}

#[test]
fn cd_12_is_known_by_a_document_that_its_operator_publishes() {
    let published = "https://www.example/portcullis.json";
    let more = format!("client_document = \"{published}\"\n{OPEN}");
    let (scene, server) = scene(Consenting::start(), &more);
    let connects = |subject: &str| {
        let url = link(&scene, subject);
        let page = Browser::default().connects(&scene.gateway, &url);
        assert_eq!(page.status, 200, "{page:?}");
        let mut asked = server.authority.seen("/authorize");
        asked.pop().unwrap()["client_id"].clone()
    };
    assert_eq!(connects("alice"), "registered", "it takes no documents");
    let takes = "client_id_metadata_document_supported";
    server.authority.says(takes, json!(true));
    assert_eq!(connects("bob"), published);
    let redeemed = server.authority.seen("/token").pop().unwrap();
    assert_eq!(redeemed["client_id"], published);
    assert!(!redeemed.contains_key("client_secret"), "{redeemed:?}");
}

/// This caller agrees in a browser of its own.
fn connects(scene: &Scene, subject: &str) -> Response {
    Browser::default().connects(&scene.gateway, &link(scene, subject))
}

#[test]
fn cd_12_keeps_clients_over_a_restart_and_shows_them_to_no_other_issuer() {
    let (mut scene, server) = scene(Consenting::start(), OPEN);
    let first = &server.authority;
    first.says(
        "token_endpoint_auth_methods_supported",
        json!(["client_secret_basic"]),
    );
    let secret = "first-secret-8c1f";
    first.registers(json!({ "client_id": "first-client-77", "client_secret": secret }));
    assert_eq!(connects(&scene, "alice").status, 200);
    let record = scene.gateway.expect("oauth.registered", None);
    assert_eq!(record["detail"]["issuer"], first.issuer(), "{record}");
    assert_eq!(record["detail"]["client_id"], "first-client-77", "{record}");
    // The same client for the next caller, and after the next start; sealed, and in no log.
    scene.gateway.restart();
    assert_eq!(connects(&scene, "bob").status, 200);
    assert_eq!(first.seen("/register").len(), 1);
    let kept: Vec<u8> = ["state.db", "state.db-wal"]
        .iter()
        .filter_map(|name| std::fs::read(scene.gateway.data().join(name)).ok())
        .flatten()
        .collect();
    let is_kept = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!is_kept(secret) && !scene.gateway.traces().contains(secret));
    // The server names another authorization server: that one sees nothing of the first.
    let second = Granter::start();
    *server.authorities.lock().unwrap() = vec![second.issuer()];
    assert_eq!(connects(&scene, "carol").status, 200);
    assert_eq!(second.seen("/register").len(), 1);
    for seen in second.heard() {
        let all = format!("{seen:?}");
        assert!(
            !all.contains("first-client-77") && !all.contains(secret),
            "{all}"
        );
        assert!(!all.contains(&STANDARD.encode(format!("first-client-77:{secret}"))));
    }
    // And where the first one comes back, so does its client.
    *server.authorities.lock().unwrap() = vec![first.issuer()];
    assert_eq!(connects(&scene, "dave").status, 200);
    assert_eq!(first.seen("/register").len(), 1);
}

#[test]
fn cd_12_registers_again_where_its_client_is_known_no_longer_or_over() {
    let (scene, server) = scene(Consenting::start(), OPEN);
    let authority = &server.authority;
    authority.registers(
        json!({ "client_id": "one", "client_secret": "s", "client_secret_expires_at": 0 }),
    );
    assert_eq!(connects(&scene, "alice").status, 200);
    authority.disowns("one");
    authority.registers(
        json!({ "client_id": "two", "client_secret": "s", "client_secret_expires_at": 1 }),
    );
    let page = connects(&scene, "bob");
    is_refused(&scene, &page, 502, ("oauth.refused", "client"));
    assert_eq!(connects(&scene, "bob").status, 200);
    assert_eq!(
        authority.seen("/authorize").pop().unwrap()["client_id"],
        "two"
    );
    // The secret of the second ended long ago: it was for that one sign-in.
    assert_eq!(connects(&scene, "carol").status, 200);
    assert_eq!(authority.seen("/register").len(), 3);
}

fn rewrap(scene: &Scene) -> Output {
    let data = scene.gateway.data().display().to_string();
    portcullis(&["keys", "rewrap", "--json", "--data", &data])
}

fn rewrapped(scene: &Scene) -> Value {
    let done = rewrap(scene);
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn tok_12_what_is_sealed_stays_while_its_keys_are_wrapped_anew() {
    let (mut scene, server) = scene(Consenting::start(), OPEN);
    connected(&scene);
    works(&scene, "alice");
    let file = |name: &Value| {
        let name = format!("wrapping-{}.key", name.as_str().unwrap());
        scene.gateway.data().join("keys").join(name)
    };
    let first = rewrapped(&scene);
    assert!(first["keys"].as_u64().unwrap() > 0, "{first}");
    let told = scene.gateway.expect("key.rewrapped", None);
    assert_eq!(told["detail"]["new"], first["name"]);
    let known = std::fs::read(file(&first["name"])).unwrap();
    works(&scene, "alice");
    // Once more: there is one key, and the one before is gone.
    let second = rewrapped(&scene);
    assert!(!file(&first["name"]).exists());
    // Whoever has an old key has nothing: not even a command takes it for the new one.
    let path = file(&second["name"]);
    let own = std::fs::read(&path).unwrap();
    std::fs::write(&path, known).unwrap();
    let refused = rewrap(&scene);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    std::fs::write(&path, own).unwrap();
    // While it is stopped, and killed at any moment.
    scene.gateway.stop();
    for kill in 0..8 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["keys", "rewrap", "--data"])
            .arg(scene.gateway.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(4 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    rewrapped(&scene);
    scene.gateway.restart();
    works(&scene, "alice");
    assert_eq!(
        server.authority.seen("/token").len(),
        1,
        "nobody was asked again"
    );
}
