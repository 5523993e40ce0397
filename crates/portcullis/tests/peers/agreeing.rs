//! The page on which a client asks, in a browser: agreeing, refusing, and what others try with it.

use crate::chromium::{Chromium, Profile, Sight};
use crate::clients::{link, owner};
use crate::harness::{Answer, Gateway, Host, Upstream, free_port, wait_for};
use serde_json::{Value, json};

/// A challenge: nobody redeems the codes here.
const CHALLENGE: &str = "E9Melhoa2OwvFrEGMTguCHaoeK1t8URWbuGJSstw-cM";

struct Scene {
    gateway: Gateway,
    origin: String,
    /// Where the client waits for its answer.
    client: Host,
    _upstream: Upstream,
}

impl Scene {
    fn new() -> Self {
        let (port, upstream) = (free_port(), Upstream::start());
        let client = Host::start(|_| Answer::json(200, "", "\"back at the client\""));
        let origin = format!("http://localhost:{port}");
        let config = format!(
            "public_url = \"{origin}\"\n[issuers.local]\nembedded = true\n[authority]\n[authority.clients.app]\n\
             name = \"Notes <b>App</b>\"\nredirect_uris = [\"http://127.0.0.1/callback\"]\n[authority.scopes]\n\
             \"notes:read\" = \"Read your notes\"\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nscopes = [\"notes:read\"]\n\
             [servers.notes.tools.shout]\nscopes = [\"notes:write\"]\n",
            upstream.url()
        );
        Self {
            gateway: Gateway::start_at(port, &config),
            origin,
            client,
            _upstream: upstream,
        }
    }

    fn asks(&self) -> String {
        let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        format!(
            "{origin}/authorize?response_type=code&client_id=app&redirect_uri={}&code_challenge={CHALLENGE}\
             &code_challenge_method=S256&state=of-the-client&scope=notes%3Aread+notes%3Awrite&prompt=consent&resource={}",
            encoded(&format!("{}/callback", self.client.url())),
            encoded(&format!("{}/servers/notes/mcp", self.origin)),
            origin = self.origin,
        )
    }

    /// What came back to the client.
    fn answers(&self) -> Vec<String> {
        let seen = self.client.seen().into_iter().map(|seen| seen.target);
        seen.filter(|target| target.starts_with("/callback?"))
            .collect()
    }

    /// The last answer, which is the `count`th, has this.
    fn answered(&self, count: usize, text: &str) {
        let answers = wait_for("an answer", || {
            Some(self.answers()).filter(|answers| answers.len() >= count)
        });
        let last = answers.last().map(String::as_str).unwrap_or_default();
        assert_eq!(answers.len(), count, "{answers:?}");
        assert!(
            last.contains("state=of-the-client") && last.contains("iss="),
            "{last}"
        );
        assert!(last.contains(text), "{text}: {last}");
    }
}

fn token(page: &Profile<'_>) -> Value {
    let token = "document.querySelector('[name=token]').value";
    page.does("evaluate", json!({ "expression": token }))
}

#[test]
fn cd_01_everybody_can_read_who_asks_and_say_yes_or_no() {
    let scene = Scene::new();
    let chromium = Chromium::start();
    let eyes = [
        ("light", Sight::LIGHT),
        ("dark", Sight::DARK),
        ("phone", Sight::PHONE),
        ("without-script", Sight::NO_SCRIPT),
    ];
    for (index, (eye, sight)) in eyes.into_iter().enumerate() {
        let page = owner(&scene.gateway, &chromium, sight);
        page.goto(&scene.asks());
        let text = page.text();
        for told in [
            "Notes <b>App</b>",
            "127.0.0.1",
            "Read your notes",
            "notes:write",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        page.shot(&format!("consent-{eye}"));
        if sight.has_script {
            page.is_accessible();
        }
        // With the keyboard alone: no, and then yes.
        page.tabs_to("Cancel");
        page.presses("Enter");
        page.arrives_at("/callback");
        scene.answered(2 * index + 1, "error=access_denied");
        page.goto(&scene.asks());
        page.tabs_to("Allow");
        page.presses("Enter");
        page.arrives_at("/callback");
        scene.answered(2 * index + 2, "code=");
        assert_eq!(page.complaints(), json!([]));
    }
    assert_eq!(
        scene.gateway.records("consent.denied", None).len(),
        eyes.len()
    );
}

#[test]
fn man_4_the_owner_agrees_first_and_signs_in_then() {
    let scene = Scene::new();
    let chromium = Chromium::start();
    let page = chromium.profile(Sight::LIGHT);
    page.goto(&scene.asks());
    page.click("role=button[name='Allow']");
    assert!(page.text().contains("With a link"), "{}", page.text());
    page.click("role=button[name=/go on/]");
    assert!(
        page.text().contains("Nobody has signed in"),
        "{}",
        page.text()
    );
    // In another tab of the same browser, as the page says.
    let beside = page.beside();
    beside.goto(&link(&scene.gateway));
    beside.click("text=Sign in here");
    beside.arrives_at("/account/passkeys");
    assert_eq!(scene.answers(), Vec::<String>::new());
    page.click("role=button[name=/go on/]");
    scene.answered(1, "code=");
    assert_eq!(page.complaints(), json!([]));
}

#[test]
fn atk_034_a_form_is_worth_nothing_in_another_browser_and_nothing_twice() {
    let scene = Scene::new();
    let chromium = Chromium::start();
    let mine = owner(&scene.gateway, &chromium, Sight::LIGHT);
    let other = chromium.profile(Sight::LIGHT);
    mine.goto(&scene.asks());
    let stolen = token(&mine);
    other.goto(&scene.asks());
    let forge = format!("document.querySelector('[name=token]').value = {stolen}");
    other.does("evaluate", json!({ "expression": forge }));
    other.click("role=button[name='Allow']");
    scene.gateway.expect("form.refused", Some("browser"));
    // Whoever tried has used it up.
    mine.click("role=button[name='Allow']");
    scene.gateway.expect("form.refused", Some("token"));
    assert_eq!(scene.answers(), Vec::<String>::new());
}

#[test]
fn atk_034_no_other_site_frames_the_page_or_sends_its_form() {
    let scene = Scene::new();
    let chromium = Chromium::start();
    let page = owner(&scene.gateway, &chromium, Sight::LIGHT);
    page.goto(&scene.asks());
    let stolen = token(&page);
    // A page of somebody else, in the browser of the user.
    let lure = Host::start(|_| Answer::json(200, "", "\"a lure\""));
    let elsewhere = lure.url();
    page.goto(&elsewhere);
    let frame = format!(
        "new Promise((done) => {{ const frame = document.createElement('iframe'); frame.onload = done; \
         frame.src = {}; document.body.append(frame); }}).then(() => undefined)",
        json!(scene.asks())
    );
    page.does("evaluate", json!({ "expression": frame }));
    let said = page.complaints().to_string();
    assert!(said.contains("frame"), "{said}");
    let send = format!(
        "const form = document.createElement('form'); form.method = 'POST'; form.action = {}; \
         form.innerHTML = '<input name=token><input name=decision value=allow>'; \
         form.elements.token.value = {stolen}; document.body.append(form); form.submit();",
        json!(format!("{}/account/consent", scene.origin))
    );
    page.does("evaluate", json!({ "expression": send }));
    page.arrives_at("/account/consent");
    assert_eq!(scene.answers(), Vec::<String>::new());
    assert_eq!(
        scene.gateway.records("consent.granted", None),
        Vec::<Value>::new()
    );
}
