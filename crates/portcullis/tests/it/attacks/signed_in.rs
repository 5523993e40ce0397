//! ATK-034 and what else goes wrong when people sign in here: state, nonce, cookies, logout.

use crate::harness::{
    Draft, Gateway, Key, Login, Request, Response, Surfer, Upstream, call, encoded, form,
    logout_event, wait_for,
};

/// A gateway before a server, and the provider at which people sign in.
fn scene() -> (Gateway, Login, Upstream) {
    let (login, upstream) = (Login::start(), Upstream::start());
    let config = format!(
        "{}[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\", \"corp\"]\n",
        login.config(),
        upstream.url()
    );
    (Gateway::start(&config), login, upstream)
}

fn is_recorded(gateway: &Gateway, event: &str, reason: Option<&str>, status: u16) {
    let found = wait_for(&format!("{event} {reason:?}"), || {
        gateway.records(event, reason).pop()
    });
    assert_eq!(found["outcome"]["status"], status, "{found}");
}

#[test]
fn trn_02_a_user_signs_in_and_out_and_cookies_are_handles() {
    let (gateway, login, upstream) = scene();
    let mut alice = Surfer::default();
    assert!(!alice.is_signed_in(&gateway));
    // What an attacker has planted before is not what is signed in afterwards.
    let planted = "a".repeat(43);
    alice
        .cookies
        .insert("portcullis-session".to_owned(), planted.clone());
    let done = alice.signs_in(&gateway);
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(done.header("refresh"), Some("0; url=/account"));
    let set = done.header("set-cookie").unwrap();
    assert!(
        set.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !set.contains(&planted),
        "{set}"
    );
    let page = alice.get(&gateway, "/account");
    assert!(page.body.contains("The name of alice"), "{}", page.body);
    for (header, expected) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(header), Some(expected));
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    let mut attacker = Surfer::default();
    attacker
        .cookies
        .insert("portcullis-session".to_owned(), planted);
    assert!(!attacker.is_signed_in(&gateway));
    // MCP endpoints neither read cookies nor set them.
    let cookies: Vec<String> = alice
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let refused = call("echo")
        .set("cookie", &cookies.join("; "))
        .send(gateway.address);
    assert_eq!(
        (refused.status, refused.header("set-cookie")),
        (401, None),
        "{refused:?}"
    );
    assert!(upstream.requests().is_empty());
    // A form of another site's, and one without what the page has given.
    let foreign =
        form("/account/sign-out", &[("token", "guess")]).set("origin", "https://evil.example");
    assert_eq!(alice.send(&gateway, foreign).status, 403);
    let guessed = alice.post(&gateway, "/account/sign-out", &[("token", "guess")]);
    assert_eq!(guessed.status, 403, "{guessed:?}");
    is_recorded(&gateway, "form.refused", Some("token"), 403);
    assert!(alice.is_signed_in(&gateway));
    let mut stolen = alice.clone();
    let out = alice.submit(&gateway, &page, &[]);
    assert_eq!(out.status, 200, "{out:?}");
    is_recorded(&gateway, "logout.done", Some("user"), 200);
    assert!(!alice.is_signed_in(&gateway) && !stolen.is_signed_in(&gateway));
    // Nothing of what the provider has issued is anywhere.
    let (told, redeemed) = (gateway.traces(), login.redeemed().pop().unwrap().body);
    let verifier = redeemed.split("code_verifier=").nth(1).unwrap();
    for secret in ["idp-access", "idp-refresh", "idp-code", verifier] {
        assert!(!told.contains(secret), "{secret} is told");
    }
}

#[test]
fn cd_06_state_is_of_one_browser_and_counts_once() {
    let (gateway, login, _upstream) = scene();
    let mut alice = Surfer::default();
    let back = alice.goes_to_sign_in(&gateway);
    // ATK-034: another browser has a cookie of its own, or none.
    for mut other in [Surfer::default(), {
        let mut other = Surfer::default();
        other.get(&gateway, "/account");
        other
    }] {
        let mut attacker = Surfer::default();
        let lured = attacker.goes_to_sign_in(&gateway);
        let refused = other.get(&gateway, &lured);
        assert_eq!(refused.status, 403, "{refused:?}");
        is_recorded(&gateway, "oauth.state_mismatch", Some("browser"), 403);
        assert!(!other.is_signed_in(&gateway));
        // It is used up.
        assert_eq!(attacker.get(&gateway, &lured).status, 400);
    }
    for (query, reason) in [
        ("code=x".to_owned(), "missing"),
        ("code=x&state=guess".to_owned(), "unknown"),
        (
            format!("code=x&state=a&{}", back.split_once('?').unwrap().1),
            "missing",
        ),
    ] {
        let refused = alice.get(&gateway, &format!("/account/callback?{query}"));
        assert_eq!(refused.status, 400, "{query} {refused:?}");
        is_recorded(&gateway, "oauth.state_mismatch", Some(reason), 400);
    }
    assert!(
        login.redeemed().is_empty(),
        "nothing reached the token endpoint"
    );
    assert_eq!(alice.get(&gateway, &back).status, 200);
    assert!(alice.is_signed_in(&gateway));
    let started = gateway.expect("login.started", None);
    assert!(
        started["detail"]["transaction"]
            .as_str()
            .is_some_and(|id| id.len() == 16),
        "{started}"
    );
    let again = alice.get(&gateway, &back);
    assert_eq!(again.status, 400, "{again:?}");
    assert_eq!(login.redeemed().len(), 1);
}

#[test]
fn cd_06_an_answer_of_another_issuer_is_not_taken() {
    let (gateway, login, _upstream) = scene();
    for iss in [Some("https://evil.example"), None] {
        login.poses(iss);
        let refused = Surfer::default().signs_in(&gateway);
        assert_eq!(refused.status, 502, "{refused:?}");
        is_recorded(&gateway, "oauth.iss_mismatch", Some("iss"), 502);
    }
    assert!(login.redeemed().is_empty());
    let own = login.issuer();
    login.poses(Some(&own));
    assert_eq!(Surfer::default().signs_in(&gateway).status, 200);
    login.user(None);
    assert_eq!(Surfer::default().signs_in(&gateway).status, 502);
    is_recorded(&gateway, "login.refused", Some("refused"), 502);
}

#[test]
fn cd_08_an_id_token_must_be_of_this_transaction() {
    let (gateway, login, _upstream) = scene();
    type Change = fn(Draft) -> Draft;
    let other = Key::ed("ed-1");
    let foreign = move |draft: Draft| draft.key(&other);
    let rows: [(Change, &str); 6] = [
        (|draft| draft.without("nonce"), "nonce"),
        (
            |draft| draft.claim("nonce", "of-another-transaction"),
            "nonce",
        ),
        (|draft| draft.claim("azp", "another"), "azp"),
        (|draft| draft.claim("aud", "another"), "audience"),
        (|draft| draft.claim("at_hash", "AAAA"), "hash"),
        (|draft| draft.header("typ", "at+jwt"), "typ"),
    ];
    for (change, reason) in rows {
        login.change(change);
        let mut alice = Surfer::default();
        let refused = alice.signs_in(&gateway);
        assert_eq!(refused.status, 502, "{reason} {refused:?}");
        assert!(refused.header("set-cookie").is_none(), "{refused:?}");
        is_recorded(&gateway, "login.refused", Some(reason), 502);
        assert!(!alice.is_signed_in(&gateway));
    }
    login.change(foreign);
    assert_eq!(Surfer::default().signs_in(&gateway).status, 502);
    is_recorded(&gateway, "login.refused", Some("signature"), 502);
    login.change(|draft| draft);
    assert_eq!(Surfer::default().signs_in(&gateway).status, 200);
    gateway.expect("login.succeeded", None);
    // An ID token opens no server.
    let id_token = login
        .draft("alice")
        .header("typ", "JWT")
        .claim("nonce", "n")
        .sign();
    let refused = call("echo").token(&id_token).send(gateway.address);
    assert_eq!(refused.status, 401, "{refused:?}");
}

#[test]
fn man_4_a_logout_at_the_provider_ends_sessions_here() {
    let (gateway, login, _upstream) = scene();
    let (mut alice, mut bob) = (Surfer::default(), Surfer::default());
    alice.signs_in(&gateway);
    login.user(Some("bob"));
    bob.signs_in(&gateway);
    let told = |token: &str| {
        form("/account/backchannel-logout", &[("logout_token", token)]).send(gateway.address)
    };
    let draft = |name: &str, value: &str| {
        let draft = login
            .draft("nobody")
            .without("sub")
            .header("typ", "logout+jwt");
        draft.claim("events", logout_event()).claim(name, value)
    };
    for (token, reason) in [
        ("x".to_owned(), "malformed"),
        (draft("sub", "alice").claim("nonce", "n").sign(), "logout"),
        (
            draft("sub", "alice").claim("aud", "another").sign(),
            "audience",
        ),
        (draft("sub", "alice").claim("iat", 1000).sign(), "iat"),
        (draft("sub", "alice").without("events").sign(), "logout"),
    ] {
        assert_eq!(told(&token).status, 400, "{reason}");
        is_recorded(&gateway, "logout.refused", Some(reason), 400);
    }
    assert!(alice.is_signed_in(&gateway));
    let token = draft("sub", "alice").sign();
    assert_eq!(told(&token).status, 200);
    is_recorded(&gateway, "logout.done", Some("provider"), 200);
    assert!(!alice.is_signed_in(&gateway) && bob.is_signed_in(&gateway));
    assert_eq!(told(&token).status, 400);
    is_recorded(&gateway, "logout.refused", Some("replayed"), 400);
    assert_eq!(told(&draft("sid", "sid-bob").sign()).status, 200);
    assert!(!bob.is_signed_in(&gateway));
}

#[test]
fn man_4_whoever_is_revoked_is_signed_out() {
    let (gateway, login, _upstream) = scene();
    let (mut alice, mut bob) = (Surfer::default(), Surfer::default());
    alice.signs_in(&gateway);
    login.user(Some("bob"));
    bob.signs_in(&gateway);
    gateway.runs(
        "revoke",
        &["--issuer", &login.issuer(), "--subject", "alice"],
    );
    wait_for("the end of the session", || {
        (!alice.is_signed_in(&gateway)).then_some(())
    });
    let record = gateway.expect("logout.done", Some("revoked"));
    assert!(
        record["detail"]["for"]
            .as_str()
            .unwrap()
            .ends_with("|alice"),
        "{record}"
    );
    assert!(bob.is_signed_in(&gateway));
}

/// The provider's page loads this in a frame as alice signs out there; no cookie of ours comes along.
fn framed(gateway: &Gateway, query: &str) -> Response {
    let path = format!("/account/frontchannel-logout{query}");
    let request = Request::new("GET", &path).set("sec-fetch-site", "cross-site");
    request
        .set("sec-fetch-dest", "iframe")
        .send(gateway.address)
}

#[test]
fn man_4_a_frame_of_the_provider_ends_the_session_that_it_names() {
    let (gateway, login, _upstream) = scene();
    let (mut alice, mut bob) = (Surfer::default(), Surfer::default());
    alice.signs_in(&gateway);
    login.user(Some("bob"));
    bob.signs_in(&gateway);
    let iss = encoded(&login.issuer());
    let mut answers = Vec::new();
    for (query, reason) in [
        (String::new(), "missing"),
        ("?sid=sid-alice".to_owned(), "missing"),
        (format!("?iss={iss}"), "missing"),
        (format!("?iss={iss}&sid="), "missing"),
        (format!("?iss={iss}&sid=sid-bob&sid=sid-alice"), "missing"),
        (
            "?iss=https%3A%2F%2Fother.example&sid=sid-alice".to_owned(),
            "issuer",
        ),
        (format!("?iss={iss}&sid=sid-carol"), "unknown"),
    ] {
        answers.push(framed(&gateway, &query));
        is_recorded(&gateway, "logout.refused", Some(reason), 200);
    }
    assert!(alice.is_signed_in(&gateway) && bob.is_signed_in(&gateway));
    answers.push(framed(&gateway, &format!("?iss={iss}&sid=sid-alice")));
    is_recorded(&gateway, "logout.done", Some("provider_page"), 200);
    assert!(!alice.is_signed_in(&gateway) && bob.is_signed_in(&gateway));
    // Nobody learns of sessions by it, and nobody but the provider frames even this.
    let policy = format!("default-src 'none'; frame-ancestors {}", login.issuer());
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        assert_eq!(answer.header("content-security-policy"), Some(&*policy));
        assert_eq!(answer.header("x-frame-options"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let account = alice.get(&gateway, "/account");
    assert_eq!(account.header("x-frame-options"), Some("DENY"));
    // Guessing is slow.
    let guess = |number: u32| framed(&gateway, &format!("?iss={iss}&sid={number}")).status;
    assert!((0..400).any(|number| guess(number) == 429));
}

#[test]
fn man_4_of_google_only_the_own_domain_signs_in() {
    let (login, upstream) = (Login::start(), Upstream::start());
    let issuer = format!("issuer = \"{}\"", login.issuer());
    let google = format!(
        "provider = \"google\"\nauthority = \"{}\"\nalgorithms = [\"EdDSA\"]",
        login.issuer()
    );
    let config = login.config().replace(&issuer, &google) + "hosted_domains = [\"corp.example\"]\n";
    let server = format!(
        "[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    );
    let gateway = Gateway::start(&(config + &server));
    for (domain, is_in) in [
        (None, false),
        (Some("other.example"), false),
        (Some("CORP.example"), false),
        (Some("a.corp.example"), false),
        (Some("corp.example"), true),
    ] {
        login.change(move |draft| match domain {
            Some(domain) => draft.claim("hd", domain),
            None => draft,
        });
        let (mut alice, before) = (
            Surfer::default(),
            gateway.records("login.refused", None).len(),
        );
        let done = alice.signs_in(&gateway);
        assert_eq!(
            done.status,
            if is_in { 200 } else { 502 },
            "{domain:?} {done:?}"
        );
        assert_eq!(alice.is_signed_in(&gateway), is_in, "{domain:?}");
        if !is_in {
            is_recorded(&gateway, "login.refused", Some("domain"), 502);
            assert_eq!(gateway.records("login.refused", None).len(), before + 1);
        }
    }
    // A service account of anybody gets ID tokens for any audience: none opens a server.
    let token = login.draft("robot").claim("aud", gateway.url("notes"));
    let token = token.claim("hd", "corp.example").sign();
    let refused = call("echo").token(&token).send(gateway.address);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(gateway.record_of(&refused)["reason"], "issuer");
}

#[test]
fn man_4_whoever_could_not_sign_in_now_is_signed_out() {
    let (gateway, login, _upstream) = scene();
    let mut alice = Surfer::default();
    alice.signs_in(&gateway);
    assert!(alice.is_signed_in(&gateway));
    let config = login.config();
    let at = config.find("[authority.sign_in]").unwrap();
    gateway.reload(&config[at..], "");
    assert!(!alice.is_signed_in(&gateway));
}
