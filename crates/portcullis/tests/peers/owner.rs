//! The owner of a machine signs in without an identity provider: by a link from the terminal, then by a passkey.

use crate::chromium::{Chromium, Profile, Sight};
use crate::clients::link;
use crate::harness::{Gateway, Upstream, free_port};
use serde_json::{Value, json};

/// A gateway without an identity provider, which browsers find by this host.
fn gateway(host: &str, upstream: &Upstream) -> (Gateway, String) {
    let port = free_port();
    let origin = format!("http://{host}:{port}");
    let config = format!(
        "public_url = \"{origin}\"\n[issuers.local]\nembedded = true\n[authority]\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    );
    (Gateway::start_at(port, &config), origin)
}

/// Signs in with a new link; gives it.
fn signs_in(gateway: &Gateway, page: &Profile<'_>) -> String {
    let link = link(gateway);
    assert_eq!(page.goto(&link)["status"], 200);
    page.tabs_to("Sign in here");
    page.presses("Enter");
    page.arrives_at("/account/passkeys");
    link
}

fn says(page: &Profile<'_>, text: &str) {
    let said = page.text();
    assert!(said.contains(text), "{text:?} is not in {said:?}");
}

fn counts(gateway: &Gateway, event: &str, reason: Option<&str>, count: usize) {
    gateway.expect(event, reason);
    let found: Vec<Value> = gateway.records(event, reason);
    assert_eq!(found.len(), count, "{event} {reason:?} {found:?}");
}

#[test]
fn cd_03_the_owner_signs_in_with_a_link_and_then_with_a_passkey() {
    let upstream = Upstream::start();
    let (gateway, origin) = gateway("localhost", &upstream);
    let chromium = Chromium::start();
    let page = chromium.profile(Sight::LIGHT);
    page.does("passkey", json!({}));
    let link = signs_in(&gateway, &page);
    let record = gateway.expect("login.succeeded", None);
    assert_eq!(record["principal"]["sub"], "local", "{record}");
    page.is_accessible();
    page.click("text=Add a passkey");
    page.arrives("text=not used yet");
    page.shot("passkeys");
    page.is_accessible();
    counts(&gateway, "passkey.added", None, 1);
    // An authenticator that has one makes no second one.
    page.click("text=Add a passkey");
    page.arrives("text=has no passkey for this");
    counts(&gateway, "passkey.added", None, 1);

    // Out, and in again with nothing but the passkey.
    page.goto(&format!("{origin}/account"));
    page.click("text=Sign out");
    page.goto(&format!("{origin}/account"));
    page.click("button");
    says(&page, "With a link");
    page.is_accessible();
    page.shot("sign-in-as-the-owner");
    page.click("text=Use a passkey");
    page.arrives("text=You are signed in as");
    counts(&gateway, "login.succeeded", None, 2);
    assert_eq!(page.complaints(), json!([]));

    // The link was used, and in no other browser is anything known of all this.
    let other = chromium.profile(Sight::LIGHT);
    assert_eq!(other.goto(&link)["status"], 403);
    counts(&gateway, "login.refused", Some("unknown"), 1);
    let kept = std::fs::read(gateway.data().join("state.db")).unwrap();
    let word = link.rsplit('/').next().unwrap();
    let is_there = kept.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(
        !is_there && !gateway.traces().contains(word),
        "the link is kept"
    );

    // Removed, it signs nobody in.
    page.goto(&format!("{origin}/account/passkeys"));
    page.click("text=Remove");
    counts(&gateway, "passkey.removed", None, 1);
    page.goto(&format!("{origin}/account"));
    page.click("text=Sign out");
    page.goto(&format!("{origin}/account"));
    page.click("button");
    assert!(!page.text().contains("Use a passkey"), "{}", page.text());
}

#[test]
fn cd_03_a_link_is_for_the_browser_that_opened_it_first() {
    let upstream = Upstream::start();
    let (gateway, _) = gateway("localhost", &upstream);
    let chromium = Chromium::start();
    let (mine, other) = (
        chromium.profile(Sight::LIGHT),
        chromium.profile(Sight::LIGHT),
    );
    let first = link(&gateway);
    assert_eq!(mine.goto(&first)["status"], 200);
    assert_eq!(other.goto(&first)["status"], 403);
    counts(&gateway, "login.refused", Some("other_browser"), 1);
    // A form from one browser is worth nothing in another.
    let token = "document.querySelector('[name=token]').value";
    let token = mine.does("evaluate", json!({ "expression": token }));
    let second = link(&gateway);
    assert_eq!(other.goto(&second)["status"], 200);
    let forge = format!("document.querySelector('[name=token]').value = {token}");
    other.does("evaluate", json!({ "expression": forge }));
    other.click("button");
    says(&other, "another browser");
    counts(&gateway, "form.refused", Some("browser"), 1);
    assert_eq!(
        gateway.records("login.succeeded", None),
        Vec::<Value>::new()
    );
    // And the newer link has ended the one before it.
    mine.goto(&first);
    counts(&gateway, "login.refused", Some("unknown"), 1);
}

#[test]
fn cd_03_a_forged_passkey_signs_nobody_in() {
    let upstream = Upstream::start();
    let (gateway, origin) = gateway("localhost", &upstream);
    let chromium = Chromium::start();
    let page = chromium.profile(Sight::LIGHT);
    page.does("passkey", json!({}));
    signs_in(&gateway, &page);
    page.click("text=Add a passkey");
    page.arrives("text=not used yet");
    page.goto(&format!("{origin}/account"));
    page.click("text=Sign out");
    // The browser's own answer, with one letter of its signature changed.
    page.goto(&format!("{origin}/account"));
    page.click("button");
    // A copy of the form has no listener, so our script is not asked again.
    let forge = "HTMLFormElement.prototype.submit = function () {
        const answer = JSON.parse(this.elements.answer.value);
        const at = answer.signature.length - 9;
        const letter = answer.signature[at] === 'A' ? 'B' : 'A';
        answer.signature = answer.signature.slice(0, at) + letter + answer.signature.slice(at + 1);
        this.elements.answer.value = JSON.stringify(answer);
        const copy = this.cloneNode(true);
        document.body.append(copy);
        copy.requestSubmit();
    }";
    page.does("evaluate", json!({ "expression": forge }));
    page.click("text=Use a passkey");
    page.arrives("text=did not prove");
    counts(&gateway, "login.refused", Some("signature"), 1);
    counts(&gateway, "login.succeeded", None, 1);
}

#[test]
fn cd_03_without_scripts_and_at_an_address_the_link_works() {
    let upstream = Upstream::start();
    let chromium = Chromium::start();
    for (host, sight) in [("localhost", Sight::NO_SCRIPT), ("127.0.0.1", Sight::LIGHT)] {
        let (gateway, origin) = gateway(host, &upstream);
        let page = chromium.profile(sight);
        signs_in(&gateway, &page);
        page.goto(&format!("{origin}/account"));
        says(&page, "You are signed in as");
    }
}
