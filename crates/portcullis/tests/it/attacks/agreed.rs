//! ATK-033, ATK-034, ATK-043: what clients get from users, and what they get from them by a trick.

use crate::harness::{
    Gateway, Login, Request, Response, Surfer, Upstream, call, encode, encoded, form, goes_to,
    next_second, pairs, wait_for,
};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

const VERIFIER: &str = "a-verifier-that-only-the-client-knows-0123456789";
const APP: &str = "https://app.example/cb";

struct Scene {
    gateway: Gateway,
    login: Login,
    upstream: Upstream,
}

/// What a client asks for, still to be changed.
#[derive(Clone)]
struct Ask(Vec<(String, String)>);

impl Scene {
    fn new() -> Self {
        let (login, upstream) = (Login::start(), Upstream::start());
        let config = format!(
            "{}[authority.scopes]\n\"notes:read\" = \"Read your <notes>\"\n\
[authority.clients.app]\nname = \"Notes App\"\nredirect_uris = [\"{APP}\", \"https://app.example/other\"]\n\
[authority.clients.desk]\nname = \"Desk\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\n\
[authority.registration]\n\
[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\", \"corp\"]\nscopes = [\"notes:read\"]\n\
[servers.notes.tools.shout]\nscopes = [\"notes:write\"]\n",
            login.config(),
            upstream.url()
        );
        Self {
            gateway: Gateway::start(&config),
            login,
            upstream,
        }
    }

    fn ask(&self, client: &str, redirect: &str, scope: &str) -> Ask {
        let challenge = encode(digest(&SHA256, VERIFIER.as_bytes()).as_ref());
        let pairs = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &self.gateway.url("notes")),
            ("scope", scope),
            ("state", "of-the-client"),
        ];
        Ask(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec())
    }

    /// The usual client asks for what it usually does.
    fn usual(&self) -> Ask {
        self.ask("app", APP, "notes:read")
    }

    fn open(&self, browser: &mut Surfer, ask: &Ask) -> Response {
        browser.get(&self.gateway, &ask.path())
    }

    /// The page is shown, and nothing goes anywhere.
    fn asks(&self, browser: &mut Surfer, ask: &Ask) -> Response {
        let (visits, before) = (self.login.visits(), self.count("consent.required"));
        let page = self.open(browser, ask);
        assert_eq!(
            (page.status, page.header("location")),
            (200, None),
            "{page:?}"
        );
        assert!(page.body.contains("value=\"allow\""), "{}", page.body);
        assert_eq!(self.login.visits(), visits, "nothing went to the provider");
        assert_eq!(self.count("consent.required"), before + 1);
        page
    }

    fn count(&self, event: &str) -> usize {
        self.gateway.records(event, None).len()
    }

    /// The user agrees and signs in, where that is needed; gives where the browser goes then.
    fn agrees(&self, browser: &mut Surfer, ask: &Ask) -> String {
        let page = self.asks(browser, ask);
        self.allows(browser, &page)
    }

    fn allows(&self, browser: &mut Surfer, page: &Response) -> String {
        let moved = browser.submit(&self.gateway, page, &[("decision", "allow")]);
        assert_eq!(moved.status, 303, "{moved:?}");
        let there = moved.header("location").unwrap().to_owned();
        if !there.starts_with(&self.login.issuer()) {
            return there;
        }
        let done = browser.get(&self.gateway, &goes_to(&there));
        assert_eq!(done.status, 303, "{done:?}");
        done.header("location").unwrap().to_owned()
    }

    /// The tokens for what came back to this client.
    fn tokens(&self, ask: &Ask, back: &str) -> Value {
        let answer = pairs(back.split_once('?').unwrap().1);
        assert_eq!(answer["state"], "of-the-client", "{back}");
        let told = self.token(&[
            ("grant_type", "authorization_code"),
            ("code", &answer["code"]),
            ("client_id", ask.value("client_id")),
            ("redirect_uri", ask.value("redirect_uri")),
            ("code_verifier", VERIFIER),
        ]);
        assert_eq!(told.status, 200, "{told:?}");
        told.json()
    }

    fn token(&self, fields: &[(&str, &str)]) -> Response {
        form("/token", fields).send(self.gateway.address)
    }

    fn is_recorded(&self, event: &str, reason: Option<&str>, status: u16) -> Value {
        let found = wait_for(&format!("{event} {reason:?}"), || {
            self.gateway.records(event, reason).pop()
        });
        assert_eq!(found["outcome"]["status"], status, "{found}");
        found
    }

    /// A client that has registered itself.
    fn registers(&self, name: &str, redirect: &str) -> String {
        let body = json!({ "client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none" });
        let request = Request::new("POST", "/register").set("content-type", "application/json");
        let told = request.body(&body.to_string()).send(self.gateway.address);
        assert_eq!(told.status, 201, "{told:?}");
        told.json()["client_id"].as_str().unwrap().to_owned()
    }
}

impl Ask {
    fn path(&self) -> String {
        let pairs = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("/authorize?{}", pairs.collect::<Vec<_>>().join("&"))
    }

    fn value(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        &found.unwrap().1
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let mut asked = self.clone();
        asked.0.retain(|(own, _)| own != name);
        asked.0.push((name.to_owned(), value.to_owned()));
        asked
    }
}

/// The claims of a token, of which the server has verified the rest.
fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn trn_02_a_new_sign_in_ends_the_one_before_it() {
    let scene = Scene::new();
    let mut alice = Surfer::default();
    alice.signs_in(&scene.gateway);
    let mut copied = alice.clone();
    assert!(copied.is_signed_in(&scene.gateway));
    scene.agrees(&mut alice, &scene.usual().with("prompt", "login"));
    assert!(alice.is_signed_in(&scene.gateway));
    assert!(!copied.is_signed_in(&scene.gateway));
    assert_eq!(scene.count("login.succeeded"), 2);
}

#[test]
fn man_4_a_user_agrees_signs_in_and_the_client_gets_its_token() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    let page = scene.asks(&mut alice, &ask);
    for text in [
        "Notes App",
        "app.example",
        "Read your &lt;notes&gt;",
        "notes:read",
        "Nobody is signed in",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let record = scene.is_recorded("consent.required", None, 200);
    for (fact, expected) in [
        ("client", "app"),
        ("redirect_host", "app.example"),
        ("scopes", "notes:read"),
    ] {
        assert_eq!(record["detail"][fact], expected, "{record}");
    }
    let back = scene.allows(&mut alice, &page);
    assert!(back.starts_with(&format!("{APP}?")), "{back}");
    let granted = scene.is_recorded("consent.granted", None, 303);
    assert!(
        granted["detail"]["for"]
            .as_str()
            .unwrap()
            .ends_with("|alice"),
        "{granted}"
    );
    let tokens = scene.tokens(&ask, &back);
    let said = claims(&tokens["access_token"]);
    assert_eq!(
        (&said["sub"], &said["groups"]),
        (&json!("alice"), &json!(["ops"])),
        "{said}"
    );
    let token = tokens["access_token"].as_str().unwrap();
    let called = call("echo").token(token).send(scene.gateway.address);
    assert_eq!((called.status, called.code()), (200, 0), "{called:?}");
    assert_eq!(scene.upstream.requests().len(), 1);
    // The next time nothing has to be asked.
    let again = scene.open(&mut alice, &ask);
    assert_eq!(again.status, 303, "{again:?}");
    assert!(again.header("location").unwrap().starts_with(APP));
    scene.is_recorded("consent.remembered", None, 303);
    // ATK-033: what the provider remembers of alice lets no other client in, and neither does what we remember.
    for origin in ["http://127.0.0.1:7777/steal", "http://localhost:7777/steal"] {
        let thief = scene.registers("Notes App", origin);
        let lured = scene.ask(&thief, origin, "notes:read");
        let page = scene.asks(&mut alice, &lured);
        assert!(
            page.body.contains(">unverified<") && page.body.contains("The name of alice"),
            "{}",
            page.body
        );
        // Whoever has registered itself is asked about each time.
        let back = scene.allows(&mut alice, &page);
        assert!(back.starts_with(origin), "{back}");
        scene.asks(&mut alice, &lured);
    }
    // Nor does another user's.
    scene.login.user(Some("bob"));
    let mut bob = Surfer::default();
    bob.signs_in(&scene.gateway);
    scene.asks(&mut bob, &ask);
}

#[test]
fn cd_01_only_the_form_of_the_page_says_yes() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    alice.signs_in(&scene.gateway);
    let visits = scene.login.visits();
    let page = scene.asks(&mut alice, &ask);
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'"),
        "{policy}"
    );
    for none in ["<script", "<img", "src=", "<link"] {
        assert!(!page.body.contains(none), "{none}");
    }
    let (action, fields) = crate::harness::form_of(&page.body, "");
    let token = fields
        .iter()
        .find(|(name, _)| name == "token")
        .unwrap()
        .1
        .clone();
    let allow = [("token", token.as_str()), ("decision", "allow")];
    // A link cannot agree, and neither can a form of another site, or of another browser.
    let linked = alice.get(
        &scene.gateway,
        &format!("{action}?token={token}&decision=allow"),
    );
    assert!(linked.status == 404 || linked.status == 405, "{linked:?}");
    let foreign = form(&action, &allow).set("origin", "https://evil.example");
    assert_eq!(alice.send(&scene.gateway, foreign).status, 403);
    let sandboxed = form(&action, &allow)
        .set("origin", "null")
        .set("sec-fetch-site", "cross-site");
    assert_eq!(alice.send(&scene.gateway, sandboxed).status, 403);
    let missing = alice.post(&scene.gateway, &action, &[("decision", "allow")]);
    assert_eq!(missing.status, 403, "{missing:?}");
    scene.is_recorded("form.refused", Some("token"), 403);
    let mut mallory = Surfer::default();
    mallory.get(&scene.gateway, "/account");
    assert_eq!(mallory.post(&scene.gateway, &action, &allow).status, 403);
    scene.is_recorded("form.refused", Some("browser"), 403);
    // What was tried elsewhere is used up; a new page works, and once.
    assert_eq!(alice.post(&scene.gateway, &action, &allow).status, 403);
    let page = scene.asks(&mut alice, &ask);
    let done = alice.submit(&scene.gateway, &page, &[("decision", "allow")]);
    assert!(
        done.header("location").unwrap().starts_with(APP),
        "{done:?}"
    );
    let again = alice.submit(&scene.gateway, &page, &[("decision", "allow")]);
    assert_eq!(again.status, 403, "{again:?}");
    assert_eq!(scene.login.visits(), visits);
    // No is no, and the client hears it.
    let other = ask.with("redirect_uri", "https://app.example/other");
    let page = scene.asks(&mut alice, &other);
    let denied = alice.submit(&scene.gateway, &page, &[("decision", "deny")]);
    let told = pairs(
        denied
            .header("location")
            .unwrap()
            .split_once('?')
            .unwrap()
            .1,
    );
    assert_eq!(
        (told["error"].as_str(), told["state"].as_str()),
        ("access_denied", "of-the-client")
    );
    scene.is_recorded("consent.denied", None, 303);
    scene.asks(&mut alice, &other);
    // Whoever has signed out meanwhile decides nothing.
    let page = scene.asks(&mut alice, &other);
    let account = alice.get(&scene.gateway, "/account");
    alice.submit(&scene.gateway, &account, &[]);
    assert_eq!(
        alice
            .submit(&scene.gateway, &page, &[("decision", "allow")])
            .status,
        403
    );
    scene.is_recorded("form.refused", Some("session"), 403);
}

#[test]
fn cd_10_a_client_on_the_users_own_machine_is_warned_of() {
    let scene = Scene::new();
    let mut alice = Surfer::default();
    // ATK-043: any program can listen on a port of loopback and use the id of a client that is known.
    let page = scene.asks(
        &mut alice,
        &scene.ask("desk", "http://127.0.0.1:6666/cb", "notes:read"),
    );
    assert!(
        page.body
            .contains("A program on this computer gets the access"),
        "{}",
        page.body
    );
    let warned = scene.gateway.expect("consent.localhost_warning", None);
    assert_eq!(
        (&warned["client"], &warned["detail"]["redirect_host"]),
        (&json!("desk"), &json!("127.0.0.1")),
        "{warned}"
    );
    let page = scene.asks(&mut alice, &scene.usual());
    assert!(
        !page.body.contains("A program on this computer"),
        "{}",
        page.body
    );
    assert_eq!(scene.count("consent.localhost_warning"), 1);
}

#[test]
fn cd_02_whatever_is_other_than_before_is_asked_again() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    scene.agrees(&mut alice, &ask);
    assert_eq!(scene.open(&mut alice, &ask).status, 303);
    for other in [
        ask.with("redirect_uri", "https://app.example/other"),
        ask.with("prompt", "none"),
        ask.with("prompt", "consent"),
        ask.with("prompt", "login"),
        ask.with("max_age", "0"),
    ] {
        scene.asks(&mut alice, &other);
    }
    let wider = ask.with("scope", "notes:read notes:write");
    let page = scene.asks(&mut alice, &wider);
    assert_eq!(page.body.matches(">new<").count(), 1, "{}", page.body);
    let (before, _) = page.body.split_once(">new<").unwrap();
    assert!(
        before.ends_with("</code><span class=\"tag new\"") && before.contains("notes:write"),
        "{before}"
    );
    assert!(
        page.body.contains("shout"),
        "the tools that it opens: {}",
        page.body
    );
    // The client says something else of itself.
    scene
        .gateway
        .reload("name = \"Notes App\"", "name = \"Your Bank\"");
    scene.asks(&mut alice, &ask);
    scene
        .gateway
        .reload("name = \"Your Bank\"", "name = \"Notes App\"");
    wait_for("the name of before", || {
        (scene.open(&mut alice, &ask).status == 303).then_some(())
    });
    // A link on another site brings no cookie: the browser comes once more, and is known then.
    let linked = Request::new("GET", &ask.path()).set("sec-fetch-site", "cross-site");
    let bounced = linked.send(scene.gateway.address);
    assert_eq!(bounced.status, 200, "{bounced:?}");
    let here = bounced
        .header("refresh")
        .unwrap()
        .strip_prefix("0; url=")
        .unwrap();
    assert_eq!(alice.get(&scene.gateway, here).status, 303);
}

#[test]
fn cd_02_what_one_browser_began_no_other_ends() {
    let scene = Scene::new();
    let (ask, mut attacker, mut victim) = (scene.usual(), Surfer::default(), Surfer::default());
    victim.signs_in(&scene.gateway);
    assert_eq!(scene.count("login.started"), 1);
    // ATK-034: the attacker agrees in its own browser, and has the victim follow the link to the provider.
    let page = scene.asks(&mut attacker, &ask);
    assert_eq!(
        scene.count("login.started"),
        1,
        "no state before the user has agreed"
    );
    let moved = attacker.submit(&scene.gateway, &page, &[("decision", "allow")]);
    let back = goes_to(moved.header("location").unwrap());
    let redeemed = scene.login.redeemed().len();
    let refused = victim.get(&scene.gateway, &back);
    assert_eq!(
        (refused.status, refused.header("location")),
        (403, None),
        "{refused:?}"
    );
    let record = scene.is_recorded("oauth.state_mismatch", Some("browser"), 403);
    assert!(record["detail"]["transaction"].is_string(), "{record}");
    assert_eq!(scene.login.redeemed().len(), redeemed);
    // Not even the attacker can use it now.
    assert_eq!(attacker.get(&scene.gateway, &back).status, 400);
    // The benign twin.
    let back = scene.agrees(&mut victim, &ask);
    scene.tokens(&ask, &back);
}

#[test]
fn cd_03_a_cookie_is_no_consent() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    scene.agrees(&mut alice, &ask);
    scene.login.user(Some("bob"));
    let mut bob = Surfer::default();
    bob.signs_in(&scene.gateway);
    // Alice's cookie of the browser in bob's, without her session, and both edited.
    let stolen = alice.cookies["portcullis-browser"].clone();
    bob.cookies.insert("portcullis-browser".to_owned(), stolen);
    scene.asks(&mut bob, &ask);
    let mut edited = alice.clone();
    for value in edited.cookies.values_mut() {
        value.replace_range(..1, if value.starts_with('A') { "B" } else { "A" });
    }
    scene.asks(&mut edited, &ask);
    let names: Vec<&String> = alice.cookies.keys().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // Replayed after it was taken back, it is worth nothing.
    let replayed = alice.clone();
    let account = alice.get(&scene.gateway, "/account");
    let (action, fields) = crate::harness::form_of(&account.body, "id=\"allowed\"");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(alice.post(&scene.gateway, &action, &fields).status, 200);
    scene.asks(&mut replayed.clone(), &ask);
}

#[test]
fn cd_09_what_is_taken_back_ends_at_once() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    let back = scene.agrees(&mut alice, &ask);
    let tokens = scene.tokens(&ask, &back);
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    let renew = |refresh: &str| {
        scene.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", "app"),
        ])
    };
    let renewed = renew(refresh);
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let refresh = renewed.json()["refresh_token"].as_str().unwrap().to_owned();
    let account = alice.get(&scene.gateway, "/account");
    for text in ["Notes App", "notes:read", "app.example", "Take back"] {
        assert!(account.body.contains(text), "{text}: {}", account.body);
    }
    let (action, fields) = crate::harness::form_of(&account.body, "id=\"allowed\"");
    assert_eq!(action, "/account/revoke");
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    // Nobody else takes it back.
    scene.login.user(Some("bob"));
    let mut bob = Surfer::default();
    bob.signs_in(&scene.gateway);
    assert_eq!(bob.post(&scene.gateway, &action, &fields).status, 403);
    next_second();
    let done = alice.post(&scene.gateway, &action, &fields);
    assert_eq!(done.status, 200, "{done:?}");
    let record = scene.is_recorded("consent.revoked", None, 200);
    assert_eq!(record["detail"]["client"], "app", "{record}");
    scene
        .gateway
        .expect("oauth.family_revoked", Some("consent_revoked"));
    let dead = renew(&refresh);
    assert_eq!(
        (dead.status, dead.json()["error"].as_str()),
        (400, Some("invalid_grant")),
        "{dead:?}"
    );
    wait_for("the end of the access token", || {
        let refused = call("echo").token(access).send(scene.gateway.address);
        (refused.status == 401).then_some(())
    });
    scene.asks(&mut alice, &ask);
}

#[test]
fn trn_02_every_cookie_is_ours_alone() {
    let scene = Scene::new();
    let mut alice = Surfer::default();
    let page = scene.open(&mut alice, &scene.usual());
    let moved = alice.submit(&scene.gateway, &page, &[("decision", "allow")]);
    let done = alice.get(&scene.gateway, &goes_to(moved.header("location").unwrap()));
    let mut seen = 0;
    for answer in [page, moved, done] {
        for (_, set) in answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let strict = if set.starts_with("portcullis-session=") {
                "SameSite=Strict"
            } else {
                "SameSite=Lax"
            };
            assert!(
                set.contains("; Path=/;") && set.contains("; HttpOnly") && set.contains(strict),
                "{set}"
            );
            assert!(!set.to_ascii_lowercase().contains("domain"), "{set}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn man_4_a_logout_at_the_provider_ends_what_clients_have() {
    let scene = Scene::new();
    let (ask, mut alice) = (scene.usual(), Surfer::default());
    let back = scene.agrees(&mut alice, &ask);
    let tokens = scene.tokens(&ask, &back);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let token = scene.login.draft("alice").header("typ", "logout+jwt");
    let token = token.claim("events", crate::harness::logout_event()).sign();
    let told = form("/account/backchannel-logout", &[("logout_token", &token)])
        .send(scene.gateway.address);
    assert_eq!(told.status, 200, "{told:?}");
    scene
        .gateway
        .expect("oauth.family_revoked", Some("provider_logout"));
    let dead = scene.token(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", "app"),
    ]);
    assert_eq!(dead.status, 400, "{dead:?}");
    assert!(!alice.is_signed_in(&scene.gateway));
}

#[test]
fn man_4_a_frame_of_the_provider_ends_what_clients_have_of_the_user_it_names() {
    let scene = Scene::new();
    let ask = scene.usual();
    let signs_in = |user: &str| {
        scene.login.user(Some(user));
        let back = scene.agrees(&mut Surfer::default(), &ask);
        scene.tokens(&ask, &back)
    };
    let (alice, bob) = (signs_in("alice"), signs_in("bob"));
    let iss = encoded(&scene.login.issuer());
    let path = format!("/account/frontchannel-logout?iss={iss}&sid=sid-alice");
    let told = Request::new("GET", &path).send(scene.gateway.address);
    assert_eq!(told.status, 200, "{told:?}");
    let record = scene
        .gateway
        .expect("oauth.family_revoked", Some("provider_logout"));
    assert!(
        record["detail"]["for"]
            .as_str()
            .unwrap()
            .ends_with("|alice")
    );
    let renews = |tokens: &Value| {
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let renewed = scene.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", "app"),
        ]);
        renewed.status
    };
    assert_eq!(renews(&alice), 400);
    let works = || {
        let token = alice["access_token"].as_str().unwrap();
        call("echo").token(token).send(scene.gateway.address).status
    };
    wait_for("the end of the token", || (works() == 401).then_some(()));
    assert_eq!(renews(&bob), 200);
}

#[test]
fn tok_11_groups_are_asked_for_again_sooner_than_anything_else() {
    let scene = Scene::new();
    scene
        .gateway
        .reload("[authority]\n", "[authority]\ngrouped_sign_ins = \"60s\"\n");
    let lives = |user: &str, browser: &mut Surfer| {
        scene.login.user(Some(user));
        let ask = scene.usual();
        let back = scene.agrees(browser, &ask);
        scene.tokens(&ask, &back)["expires_in"].as_u64().unwrap()
    };
    // No token of a family lives longer than the family does.
    assert!(lives("alice", &mut Surfer::default()) <= 60);
    scene.login.change(|draft| draft.without("groups"));
    assert_eq!(lives("bob", &mut Surfer::default()), 600);
    scene
        .login
        .change(|draft| draft.without("groups").claim("hasgroups", "true"));
    assert!(lives("carol", &mut Surfer::default()) <= 60);
}

#[test]
fn cd_12_what_a_removed_client_had_is_worth_nothing() {
    let scene = Scene::new();
    let body = json!({ "client_name": "Gone", "redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"] });
    let request = Request::new("POST", "/register").set("content-type", "application/json");
    let told = request
        .body(&body.to_string())
        .send(scene.gateway.address)
        .json();
    let client = told["client_id"].as_str().unwrap();
    let ask = scene.ask(client, "http://127.0.0.1/cb", "notes:read");
    let back = scene.agrees(&mut Surfer::default(), &ask);
    let tokens = scene.tokens(&ask, &back);
    let token = tokens["access_token"].as_str().unwrap();
    let usual = scene.usual();
    let back = scene.agrees(&mut Surfer::default(), &usual);
    let others = scene.tokens(&usual, &back);
    let works = |token: &str| call("echo").token(token).send(scene.gateway.address).status;
    assert_eq!(works(token), 200);
    let manage = told["registration_access_token"].as_str().unwrap();
    let gone = Request::new("DELETE", &format!("/register/{client}"));
    assert_eq!(gone.token(manage).send(scene.gateway.address).status, 204);
    let record = scene
        .gateway
        .expect("oauth.family_revoked", Some("client_removed"));
    assert!(
        record["detail"]["for"]
            .as_str()
            .unwrap()
            .ends_with("|alice")
    );
    wait_for("the end of its tokens", || {
        (works(token) == 401).then_some(())
    });
    assert_eq!(works(others["access_token"].as_str().unwrap()), 200);
}
