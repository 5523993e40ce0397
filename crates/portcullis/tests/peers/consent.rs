//! The pages that users see, in a real browser.

use crate::chromium::{Chromium, Sight};
use crate::harness::{Consenting, Gateway, Idp, Scene, Upstream, call};
use serde_json::json;

/// A gateway before a server that needs its user's consent.
fn scene(server: &Consenting) -> Scene {
    let idp = Idp::start();
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.notes.sign_in]\n\
         register = true\n[egress]\nallow = [\"127.0.0.1\"]\n",
        idp.issuer(),
        server.upstream.url()
    );
    Scene {
        gateway: Gateway::start(&config),
        upstream: Upstream::start(),
        idp,
    }
}

/// The link that this caller gets.
fn link(scene: &Scene, subject: &str) -> String {
    let refused = scene.send(&call("echo").token(&scene.token(subject)));
    let url = refused.json()["error"]["data"]["url"].clone();
    url.as_str().expect("a link").to_owned()
}

#[test]
fn tok_15_consent_to_a_server_in_a_browser_with_a_keyboard_and_without_scripts() {
    let server = Consenting::start();
    let scene = scene(&server);
    let chromium = Chromium::start();
    for (subject, sight) in [("ali<b>ce", Sight::LIGHT), ("bob", Sight::NO_SCRIPT)] {
        let page = chromium.profile(sight);
        page.goto(&link(&scene, subject));
        page.tabs_to("continue");
        page.presses("Enter");
        assert!(page.text().contains("can be used now"), "{}", page.text());
        let answer = scene.send(&call("echo").token(&scene.token(subject)));
        assert_eq!((answer.status, answer.code()), (200, 0), "{answer:?}");
    }
}

#[test]
fn tok_15_everybody_can_read_who_asks_for_consent_to_a_server() {
    let server = Consenting::start();
    let scene = scene(&server);
    let chromium = Chromium::start();
    let eyes = [
        ("light", Sight::LIGHT),
        ("dark", Sight::DARK),
        ("phone", Sight::PHONE),
    ];
    for (eye, sight) in eyes {
        let subject = format!("<script>document.title = 'taken'</script> {eye}");
        let page = chromium.profile(sight);
        assert_eq!(page.goto(&link(&scene, &subject))["status"], 200);
        page.is_accessible();
        page.shot(&format!("consent-to-a-server-{eye}"));
        assert!(page.text().contains(&subject), "{}", page.text());
        assert_eq!(page.complaints(), json!([]));
        page.click("a");
        assert!(page.text().contains("can be used now"), "{}", page.text());
    }
}
