//! Users of npm `oidc-provider` sign in for real clients, in a browser.

use crate::chromium::{Chromium, Profile, Sight};
use crate::clients::Client;
use crate::harness::{Gateway, free_port, wait_for};
use crate::peer::Served;
use serde_json::{Value, json};

const SECRET: &str = "of-the-gateway-at-the-provider-0123456789";

struct Scene {
    gateway: Gateway,
    origin: String,
    /// The name of the provider.
    issuer: String,
    /// Where the client waits for its answers.
    client: u16,
    _others: [Served; 2],
}

impl Scene {
    /// The gateway shows the provider a secret.
    fn with_secret() -> Self {
        Self::of(free_port(), &["--secret", SECRET])
    }

    /// It signs what it says there; the provider takes the keys at the URL for its own.
    fn with_keys(port: u16, keys: &str) -> Self {
        Self::of(port, &["--keys", keys])
    }

    fn of(port: u16, shown: &[&str]) -> Self {
        let origin = format!("http://localhost:{port}");
        let back = format!("{origin}/account/callback");
        let provider = Served::start("login.mjs", &[&["--redirect", &back], shown].concat());
        let told: Value = serde_json::from_str(&provider.first).unwrap();
        let issuer = told["issuer"].as_str().unwrap().to_owned();
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        let secret = match shown[0] {
            "--secret" => format!("client_secret = {{ file = '{}' }}\n", file.display()),
            _ => String::new(),
        };
        let server = Served::http("servers/sdk-v2.mjs");
        let config = format!(
            "public_url = \"{origin}\"\n[issuers.corp]\nissuer = \"{issuer}\"\n[issuers.local]\nembedded = true\n\
             [authority]\n[authority.clients.app]\nname = \"Notes App\"\nredirect_uris = [\"http://127.0.0.1/callback\"]\n\
             [authority.sign_in]\nprovider = \"corp\"\nclient_id = \"gateway\"\n{secret}\
             [servers.notes]\nurl = \"http://127.0.0.1:{}/mcp\"\nissuers = [\"local\"]\n\
             allow = [\"*\", \"resource:*\", \"prompt:*\"]\n",
            server.port()
        );
        Self {
            gateway: Gateway::start_at(port, &config),
            origin,
            issuer,
            client: free_port(),
            _others: [provider, server],
        }
    }

    /// A client that knows its id and the URL of the server.
    fn client(&self) -> Client {
        let url = format!("{}/servers/notes/mcp", self.origin);
        let port = self.client.to_string();
        Client::start("clients/sdk-v2.mjs", &[&url, "--sign-in", "app", &port])
    }

    /// What the client wanted has worked, as this user.
    fn called(&self, client: Client, user: &str) {
        let round = client.ends();
        assert_eq!(round.text(), Some("hello"), "{round:?}");
        wait_for("the record of the call", || {
            let calls = self.gateway.records("call.completed", None).into_iter();
            calls
                .map(|record| record["principal"].clone())
                .find(|who| who["iss"] == self.issuer.as_str() && who["sub"] == user)
        });
    }

    /// So often users have agreed.
    fn granted(&self, count: usize) {
        let granted = self.gateway.records("consent.granted", None);
        assert_eq!(granted.len(), count, "{granted:?}");
    }
}

/// At the provider: says who it is.
fn types(page: &Profile<'_>, user: &str) {
    page.arrives("[name=login]");
    page.does("fill", json!({ "selector": "[name=login]", "value": user }));
    page.does(
        "fill",
        json!({ "selector": "[name=password]", "value": "any" }),
    );
    page.click("role=button[name='Sign-in']");
    page.arrives("text=Continue");
}

/// The same, and goes back.
fn signs_in(page: &Profile<'_>, user: &str) {
    types(page, user);
    page.click("role=button[name='Continue']");
}

fn allows(page: &Profile<'_>) {
    page.click("role=button[name='Allow']");
}

/// Signs in on the user's own page.
fn visits(scene: &Scene, page: &Profile<'_>, user: &str) {
    page.goto(&format!("{}/account", scene.origin));
    page.click("button");
    signs_in(page, user);
}

#[test]
fn cd_03_each_user_of_a_provider_agrees_for_themselves() {
    let scene = Scene::with_secret();
    let chromium = Chromium::start();
    let alice = chromium.profile(Sight::LIGHT);
    let first = scene.client();
    alice.goto(&first.link());
    let asked = alice.text();
    assert!(
        asked.contains("Notes App") && asked.contains("127.0.0.1"),
        "{asked}"
    );
    // Nothing goes to the provider before.
    assert_eq!(
        scene.gateway.records("login.started", None),
        Vec::<Value>::new()
    );
    assert_eq!(alice.complaints(), json!([]));
    allows(&alice);
    signs_in(&alice, "alice");
    scene.called(first, "alice");
    scene.granted(1);
    // It is remembered of her,
    let again = scene.client();
    alice.goto(&again.link());
    scene.called(again, "alice");
    scene.granted(1);
    // and of nobody else: not in another browser,
    let bob = chromium.profile(Sight::LIGHT);
    visits(&scene, &bob, "bob");
    bob.arrives("text=The name of bob");
    let his = scene.client();
    bob.goto(&his.link());
    assert!(bob.text().contains("The name of bob"), "{}", bob.text());
    allows(&bob);
    scene.called(his, "bob");
    scene.granted(2);
    // and not in hers.
    alice.goto(&format!("{}/account", scene.origin));
    alice.click("text=Sign out");
    alice.does("forget", json!({}));
    visits(&scene, &alice, "carol");
    alice.arrives("text=The name of carol");
    let hers = scene.client();
    alice.goto(&hers.link());
    allows(&alice);
    scene.called(hers, "carol");
    scene.granted(3);
}

#[test]
fn cd_01_whoever_says_no_here_or_at_the_provider_gives_the_client_nothing() {
    let scene = Scene::with_secret();
    let chromium = Chromium::start();
    let page = chromium.profile(Sight::LIGHT);
    let refused = scene.client();
    page.goto(&refused.link());
    page.click("role=button[name='Cancel']");
    refused.gives_up();
    scene.gateway.expect("consent.denied", None);
    assert_eq!(
        scene.gateway.records("login.started", None),
        Vec::<Value>::new()
    );
    let refused = scene.client();
    page.goto(&refused.link());
    allows(&page);
    page.arrives("[name=login]");
    page.click("text=[ Cancel ]");
    scene.gateway.expect("login.refused", Some("refused"));
    scene.granted(0);
    // Another time they agree.
    let good = scene.client();
    page.goto(&good.link());
    allows(&page);
    signs_in(&page, "alice");
    scene.called(good, "alice");
    scene.granted(1);
}

#[test]
fn cd_06_what_a_provider_answers_is_worth_nothing_in_another_profile() {
    let scene = Scene::with_secret();
    let chromium = Chromium::start();
    let [alice, mallory] = [(); 2].map(|()| chromium.profile(Sight::LIGHT));
    let client = scene.client();
    alice.goto(&client.link());
    allows(&alice);
    types(&alice, "alice");
    alice.does("catch", json!({ "path": "/account/callback" }));
    alice.click("role=button[name='Continue']");
    let caught = alice.does("caught", json!({}));
    let caught = caught.as_str().unwrap();
    assert!(caught.contains("code="), "{caught}");
    assert_eq!(mallory.goto(caught)["status"], 403);
    scene
        .gateway
        .expect("oauth.state_mismatch", Some("browser"));
    // Whoever tried has used it up.
    assert_eq!(alice.goto(caught)["status"], 400);
    assert_eq!(
        scene.gateway.records("login.succeeded", None),
        Vec::<Value>::new()
    );
    scene.granted(0);
    drop(client);
    let good = scene.client();
    alice.goto(&good.link());
    allows(&alice);
    scene.called(good, "alice");
}

#[test]
fn man_4_a_provider_believes_the_key_of_this_gateway_and_of_no_other() {
    let keys = |port: u16| format!("http://localhost:{port}/.well-known/client-jwks.json");
    let chromium = Chromium::start();
    let port = free_port();
    let scene = Scene::with_keys(port, &keys(port));
    let page = chromium.profile(Sight::LIGHT);
    let client = scene.client();
    page.goto(&client.link());
    allows(&page);
    signs_in(&page, "alice");
    scene.called(client, "alice");
    // A provider that expects another gateway gives this one nothing.
    let other = Scene::with_keys(free_port(), &keys(port));
    let page = chromium.profile(Sight::LIGHT);
    visits(&other, &page, "alice");
    other.gateway.expect("login.refused", Some("status"));
    assert_eq!(
        other.gateway.records("login.succeeded", None),
        Vec::<Value>::new()
    );
}
