//! Devices without a browser (RFC 8628): whoever starts one gets nothing before a user has looked and allowed it.

use crate::harness::{
    Draft, Gateway, Key, Login, Response, Surfer, Upstream, call, form, goes_to, wait_for,
};
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

struct Scene {
    gateway: Gateway,
    login: Login,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Scene {
    fn new() -> Self {
        let (login, upstream) = (Login::start(), Upstream::start());
        let config = format!(
            "{}[authority.clients.cli]\nname = \"Notes CLI\"\ngrant_types = [\"{GRANT}\", \"refresh_token\"]\n\
[authority.clients.other]\ngrant_types = [\"{GRANT}\"]\n\
[authority.clients.web]\nredirect_uris = [\"https://app.example/cb\"]\n\
[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\"]\nscopes = [\"notes:read\"]\n",
            login.config(),
            upstream.url()
        );
        let gateway = Gateway::start(&config);
        Self { gateway, login }
    }

    fn starts(&self, client: &str) -> Response {
        let resource = self.gateway.url("notes");
        let fields = [
            ("client_id", client),
            ("scope", "notes:read"),
            ("resource", &*resource),
        ];
        form("/device_authorization", &fields).send(self.gateway.address)
    }

    /// A device that has started.
    fn started(&self) -> Value {
        let answer = self.starts("cli");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let record = self.gateway.record_of(&answer);
        assert_eq!(record["event"], "oauth.device_started", "{record}");
        answer.json()
    }

    fn polls(&self, client: &str, device: &Value) -> Response {
        let fields = [
            ("grant_type", GRANT),
            ("client_id", client),
            ("device_code", text(&device["device_code"])),
        ];
        form("/token", &fields).send(self.gateway.address)
    }

    /// The device is told this and nothing else.
    #[track_caller]
    fn told(&self, answer: &Response, error: &str, (event, reason): (&str, &str)) {
        assert_eq!(
            (answer.status, text(&answer.json()["error"])),
            (400, error),
            "{answer:?}"
        );
        let record = self.gateway.record_of(answer);
        assert_eq!(
            (text(&record["event"]), text(&record["reason"])),
            (event, reason),
            "{record}"
        );
    }

    /// The user types the code; gives the page that follows.
    fn types(&self, browser: &mut Surfer, code: &str) -> Response {
        let page = browser.get(&self.gateway, "/device");
        assert_eq!(page.status, 200, "{page:?}");
        browser.submit(&self.gateway, &page, &[("user_code", code)])
    }

    /// The user decides, and signs in where that is needed.
    fn decides(&self, browser: &mut Surfer, page: &Response, decision: &str) -> Response {
        let answer = browser.submit(&self.gateway, page, &[("decision", decision)]);
        match answer.header("location") {
            Some(there) if there.starts_with(&self.login.issuer()) => {
                browser.get(&self.gateway, &goes_to(there))
            }
            _ => answer,
        }
    }

    fn works(&self, token: &str) -> u16 {
        call("echo").token(token).send(self.gateway.address).status
    }
}

#[test]
fn cd_09_a_device_gets_tokens_when_a_user_has_looked_and_allowed_it() {
    let scene = Scene::new();
    let device = scene.started();
    let code = text(&device["user_code"]);
    assert_eq!(code.len(), 11, "{device}");
    let pending = ("oauth.device_pending", "pending");
    scene.told(
        &scene.polls("cli", &device),
        "authorization_pending",
        pending,
    );
    let soon = ("oauth.device_pending", "too_soon");
    scene.told(&scene.polls("cli", &device), "slow_down", soon);
    // A link that has the code does nothing but show it.
    let mut browser = Surfer::default();
    let link = text(&device["verification_uri_complete"]);
    let page = browser.get(&scene.gateway, link);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains(code) && page.body.contains("Compare this code"));
    assert!(page.body.contains("Did somebody send you this code"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let page = browser.submit(&scene.gateway, &page, &[("user_code", code)]);
    assert_eq!((page.status, scene.login.visits()), (200, 0), "{page:?}");
    for words in [
        code,
        "Somebody else may have started this",
        "Notes CLI",
        "notes:read",
        "You are asked each time",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    scene.gateway.expect("consent.required", None);
    let allowed = scene.decides(&mut browser, &page, "allow");
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert!(allowed.body.contains("The device gets access"));
    let record = scene.gateway.record_of(&allowed);
    assert_eq!(record["event"], "consent.granted", "{record}");
    let family = record["detail"]["family"].clone();

    let stranger = ("oauth.token_refused", "unknown");
    scene.told(&scene.polls("other", &device), "invalid_grant", stranger);
    let given = scene.polls("cli", &device);
    assert_eq!(given.status, 200, "{given:?}");
    let record = scene.gateway.record_of(&given);
    assert_eq!(
        (
            &record["event"],
            &record["reason"],
            &record["detail"]["family"]
        ),
        (&json!("oauth.token_issued"), &json!("device"), &family),
    );
    let given = given.json();
    let access = text(&given["access_token"]);
    assert_eq!(scene.works(access), 200);
    assert!(given.get("refresh_token").is_some(), "{given}");
    // The user sees it, as everything that was allowed.
    let account = browser.get(&scene.gateway, "/account");
    assert!(account.body.contains("a device"), "{}", account.body);
    // What was collected is collected: whoever comes again ends it.
    let again = ("oauth.code_replay", "again");
    scene.told(&scene.polls("cli", &device), "invalid_grant", again);
    wait_for("the end of the token", || {
        (scene.works(access) == 401).then_some(())
    });
    let stored = std::fs::read(scene.gateway.data().join("state.db")).unwrap();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    for secret in [text(&device["device_code"]), code, &code.replace('-', "")] {
        assert!(!stored.contains(secret), "a secret in the database");
    }
}

#[test]
fn cd_02_a_user_is_asked_about_each_device() {
    let scene = Scene::new();
    let mut browser = Surfer::default();
    for round in 0..2 {
        let device = scene.started();
        let page = scene.types(&mut browser, text(&device["user_code"]));
        assert_eq!(page.status, 200, "{page:?}");
        assert!(
            page.body.contains("value=\"allow\""),
            "{round} {}",
            page.body
        );
        let pending = ("oauth.device_pending", "pending");
        scene.told(
            &scene.polls("cli", &device),
            "authorization_pending",
            pending,
        );
        let allowed = scene.decides(&mut browser, &page, "allow");
        assert_eq!(allowed.status, 200, "{allowed:?}");
        assert_eq!(scene.polls("cli", &device).status, 200);
    }
    assert!(scene.gateway.records("consent.remembered", None).is_empty());
    // What a code flow could use, consent to a device is not.
    assert_eq!(scene.gateway.records("consent.required", None).len(), 2);
}

#[test]
fn cd_08_a_device_that_was_refused_gets_nothing() {
    let scene = Scene::new();
    let mut browser = Surfer::default();
    let device = scene.started();
    let code = text(&device["user_code"]).to_lowercase();
    let page = scene.types(&mut browser, &code);
    let denied = scene.decides(&mut browser, &page, "deny");
    assert!(denied.body.contains("gets no access"), "{denied:?}");
    let record = scene.gateway.record_of(&denied);
    assert_eq!(record["event"], "consent.denied", "{record}");
    let declined = ("oauth.token_refused", "declined");
    scene.told(&scene.polls("cli", &device), "access_denied", declined);
    assert_eq!(scene.login.visits(), 0);
    // Its code is used up, and so is the page.
    let again = scene.types(&mut browser, &code);
    assert_eq!(again.status, 400, "{again:?}");
    let record = scene.gateway.record_of(&again);
    assert_eq!(record["event"], "device.refused", "{record}");
    let twice = browser.submit(&scene.gateway, &page, &[("decision", "allow")]);
    assert_eq!(twice.status, 403, "{twice:?}");
    // The provider says no.
    let device = scene.started();
    let page = scene.types(&mut browser, text(&device["user_code"]));
    scene.login.user(None);
    let refused = scene.decides(&mut browser, &page, "allow");
    assert!(refused.body.contains("gets no access"), "{refused:?}");
    scene.told(&scene.polls("cli", &device), "access_denied", declined);
}

#[test]
fn cd_08_what_one_browser_was_shown_no_other_decides() {
    let scene = Scene::new();
    let (mut victim, mut other) = (Surfer::default(), Surfer::default());
    let device = scene.started();
    let page = scene.types(&mut victim, text(&device["user_code"]));
    let typed = victim.get(&scene.gateway, "/device");
    for (shown, field) in [
        (&page, ("decision", "allow")),
        (&typed, ("user_code", text(&device["user_code"]))),
    ] {
        other.get(&scene.gateway, "/device");
        let stolen = other.submit(&scene.gateway, shown, &[field]);
        assert_eq!(stolen.status, 403, "{stolen:?}");
        let record = scene.gateway.record_of(&stolen);
        assert_eq!(record["event"], "form.refused", "{record}");
    }
    let bare = victim.post(
        &scene.gateway,
        "/device",
        &[("user_code", text(&device["user_code"]))],
    );
    assert_eq!(bare.status, 403, "without what the page has: {bare:?}");
    let pending = ("oauth.device_pending", "pending");
    scene.told(
        &scene.polls("cli", &device),
        "authorization_pending",
        pending,
    );
}

#[test]
fn cd_12_only_who_may_be_a_device_is_one() {
    let scene = Scene::new();
    let refused = ("oauth.request_refused", "grant_type");
    scene.told(&scene.starts("web"), "unauthorized_client", refused);
    let nobody = scene.starts("nobody");
    assert_eq!(nobody.status, 401, "{nobody:?}");
    let device = scene.started();
    let refused = ("oauth.token_refused", "grant_type");
    scene.told(&scene.polls("web", &device), "unauthorized_client", refused);
    let guessed = json!({ "device_code": "guess" });
    let unknown = ("oauth.token_refused", "unknown");
    scene.told(&scene.polls("cli", &guessed), "invalid_grant", unknown);
    // It is no code of the other flow.
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "cli"),
        ("code", text(&device["device_code"])),
        (
            "redirect_uri",
            "urn:ietf:params:oauth:grant-type:device_code",
        ),
        ("code_verifier", &*"x".repeat(43)),
    ];
    let answer = form("/token", &fields).send(scene.gateway.address);
    scene.told(&answer, "invalid_grant", unknown);
    let metadata = "/.well-known/oauth-authorization-server";
    let said = Surfer::default().get(&scene.gateway, metadata).json();
    let own = format!("http://{}/device_authorization", scene.gateway.address);
    assert_eq!(said["device_authorization_endpoint"], own);
}

#[test]
fn cd_08_codes_are_not_guessed() {
    let scene = Scene::new();
    let mut browser = Surfer::default();
    let flooded = (0..100).find_map(|_| {
        let answer = scene.types(&mut browser, "BCDFG-HJKLM");
        (answer.status == 429).then_some(answer)
    });
    let flooded = flooded.expect("an end");
    assert!(flooded.header("retry-after").is_some(), "{flooded:?}");
    let refused = scene.gateway.records("device.refused", Some("unknown"));
    assert!((1..=20).contains(&refused.len()), "{}", refused.len());
    // Others are not held up by it.
    let device = scene.started();
    let mut elsewhere = Surfer::default();
    let page = elsewhere.get(&scene.gateway, "/device");
    let (_, token) = page.body.split_once("name=\"token\" value=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let fields = [("token", token), ("user_code", text(&device["user_code"]))];
    let (name, value) = elsewhere.cookies.iter().next().unwrap();
    let typed = form("/device", &fields)
        .set("origin", "null")
        .set("sec-fetch-site", "same-origin")
        .set("cookie", &format!("{name}={value}"));
    let page = typed.send_from([127, 0, 0, 9], scene.gateway.address);
    assert!(page.body.contains("value=\"allow\""), "{page:?}");
}

#[test]
fn cd_08_many_networks_guess_no_faster_together() {
    let scene = Scene::new();
    let guess = |from: u8| {
        let fields = [("token", "none"), ("user_code", "BCDFG-HJKLM")];
        let typed = form("/device", &fields)
            .set("origin", "null")
            .set("sec-fetch-site", "same-origin");
        typed.send_from([127, 0, 1, from], scene.gateway.address)
    };
    // Each stays below what one network may.
    let refused = (0..60).find_map(|from| {
        let answers = (0..18).map(|_| guess(from));
        let mut refused = answers.filter(|answer| answer.status != 403);
        refused.next()
    });
    let refused = refused.expect("an end");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["event"], "ratelimit.triggered", "{record}");
    // Devices that have their code already go on.
    scene.started();
}

#[test]
fn cd_12_one_network_begins_few_devices() {
    let scene = Scene::new();
    scene.started();
    let refused = (0..120).find_map(|_| {
        let answer = scene.starts("cli");
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.expect("an end");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["event"], "ratelimit.triggered", "{record}");
    let resource = scene.gateway.url("notes");
    let fields = [("client_id", "cli"), ("resource", &*resource)];
    let other = form("/device_authorization", &fields);
    let other = other.send_from([127, 0, 0, 9], scene.gateway.address);
    assert_eq!(other.status, 200, "{other:?}");
}

#[test]
fn cd_07_a_device_that_has_shown_a_key_collects_with_it() {
    let scene = Scene::new();
    let (key, other) = (Key::ec("own"), Key::ec("other"));
    let base = format!("http://{}", scene.gateway.address);
    let proof = |key: &Key, path: &str| {
        let url = format!("{base}{path}");
        Draft::proof(key, ("POST", &url), "").without("ath").sign()
    };
    let resource = scene.gateway.url("notes");
    let start = || {
        let fields = [("client_id", "cli"), ("resource", &*resource)];
        let request = form("/device_authorization", &fields);
        let request = request.set("dpop", &proof(&key, "/device_authorization"));
        let device = request.send(scene.gateway.address).json();
        let mut browser = Surfer::default();
        let page = scene.types(&mut browser, text(&device["user_code"]));
        let allowed = scene.decides(&mut browser, &page, "allow");
        assert_eq!(allowed.status, 200, "{allowed:?}");
        device
    };
    let collect = |device: &Value, key: &Key| {
        let fields = [
            ("grant_type", GRANT),
            ("client_id", "cli"),
            ("device_code", text(&device["device_code"])),
        ];
        let request = form("/token", &fields).set("dpop", &proof(key, "/token"));
        request.send(scene.gateway.address)
    };
    let refused = ("oauth.token_refused", "key");
    scene.told(&collect(&start(), &other), "invalid_grant", refused);
    scene.told(&scene.polls("cli", &start()), "invalid_grant", refused);
    let given = collect(&start(), &key);
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!(given.json()["token_type"], "DPoP");
}

#[test]
fn cd_11_a_crash_takes_no_device_its_turn() {
    let mut scene = Scene::new();
    let device = scene.started();
    scene.gateway.kill();
    scene.gateway.restart_plainly();
    let mut browser = Surfer::default();
    let page = scene.types(&mut browser, text(&device["user_code"]));
    let allowed = scene.decides(&mut browser, &page, "allow");
    assert_eq!(allowed.status, 200, "{allowed:?}");
    scene.gateway.kill();
    scene.gateway.restart_plainly();
    assert_eq!(scene.polls("cli", &device).status, 200);
    scene.gateway.kill();
    scene.gateway.restart_plainly();
    let again = ("oauth.code_replay", "again");
    scene.told(&scene.polls("cli", &device), "invalid_grant", again);
}

#[test]
fn cd_11_of_many_that_collect_at_once_one_does() {
    let scene = Scene::new();
    let device = scene.started();
    let mut browser = Surfer::default();
    let page = scene.types(&mut browser, text(&device["user_code"]));
    scene.decides(&mut browser, &page, "allow");
    let won = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| scene.polls("cli", &device)))
            .collect();
        let answers = racing.into_iter().map(|one| one.join().unwrap());
        answers.filter(|answer| answer.status == 200).count()
    });
    assert_eq!(won, 1);
    scene.gateway.expect("oauth.code_replay", Some("again"));
}
