//! What pages say of what others say.

use super::*;

fn consent<'a>(name: &'a str, origin: Origin<'a>, scopes: &'a [Scope]) -> Consent<'a> {
    Consent {
        client: Client {
            name: Some(name),
            id: "https://client.example/meta.json",
            origin,
        },
        redirect: "https://client.example/cb",
        redirect_host: "client.example",
        is_local: false,
        device: None,
        server: "notes",
        scopes,
        is_more: false,
        user: None,
        provider: "idp.example",
        days: Some(30),
        action: "/account/consent",
        token: "t",
        targets: &[],
    }
}

#[test]
fn cd_01_a_name_is_a_text_and_nothing_else() {
    for (name, expected) in [
        ("Notes", "Notes"),
        ("<script>x</script>", "&lt;script&gt;x&lt;&#x2F;script&gt;"),
        (
            "<img src=https://evil.example/logo>",
            "&lt;img src=https:&#x2F;&#x2F;evil.example&#x2F;logo&gt;",
        ),
        ("knaB ruo\u{202e}Y", "knaB ruoY"),
        (
            "a\u{200b}b\u{ad}c\u{2066}d\u{e0041}e\u{7}f\u{3164}",
            "abcdef",
        ),
        ("\u{202e}\u{2066} \u{200f}", "<i>without a name</i>"),
        ("line\nbreak", "linebreak"),
    ] {
        let html = consent(name, Origin::Unverified, &[]).page().html;
        assert!(html.contains(expected), "{name:?}: {html}");
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
        assert!(!html.chars().any(is_hidden), "{html}");
    }
    let long = "n".repeat(4000);
    let html = consent(&long, Origin::Unverified, &[]).page().html;
    assert!(!html.contains(&"n".repeat(MAX_LETTERS + 1)), "{html}");
}

#[test]
fn cd_01_says_who_is_verified_and_who_is_not() {
    let says = |origin| consent("Notes", origin, &[]).page().html;
    assert!(
        says(Origin::Document("client.example"))
            .contains("verified: published by <strong><bdi>client.example")
    );
    assert!(says(Origin::Unverified).contains(">unverified<"));
    assert!(says(Origin::Registered).contains("registered by your organisation"));
}

#[test]
fn cd_09_only_what_is_new_is_marked() {
    let scope = |name: &str, is_new| Scope {
        name: name.to_owned(),
        words: None,
        tools: vec!["echo".to_owned()],
        is_new,
    };
    let scopes = [scope("read", false), scope("write", true)];
    let mut page = consent("Notes", Origin::Registered, &scopes);
    page.is_more = true;
    let html = page.page().html;
    assert_eq!(html.matches(">new<").count(), 1, "{html}");
    let (before, after) = html.split_once(">new<").unwrap();
    assert!(before.contains("read") && before.contains("write") && !after.contains("<bdi>read"));
}

#[test]
fn cd_01_pages_load_nothing_and_stand_in_no_frame() {
    let mut page = consent("Notes", Origin::Registered, &[]);
    page.targets = &[
        "https:",
        "http://127.0.0.1:7",
        "x; script-src *",
        "'unsafe-inline'",
    ];
    let page = page.page();
    let expected = "frame-ancestors 'none'; form-action 'self' https: http://127.0.0.1:7";
    assert!(page.policy.ends_with(expected), "{}", page.policy);
    assert!(
        page.policy
            .starts_with("default-src 'none'; style-src 'sha256-"),
        "{}",
        page.policy
    );
    for none in ["<script", "src=", "<img", "<link", "@import", "url("] {
        assert!(!page.html.contains(none), "{none}");
    }
    for one in [
        "lang=\"en\"",
        "<h1>",
        "<main>",
        "name=\"viewport\"",
        "method=\"post\"",
    ] {
        assert!(page.html.contains(one), "{one}");
    }
}

#[test]
fn cd_01_says_that_somebody_else_may_have_started_it() {
    let page = Consent {
        device: Some("BCDFG-HJKLM"),
        ..consent("Notes", Origin::Registered, &[])
    };
    let html = page.page().html;
    assert!(
        html.contains("Somebody else may have started this"),
        "{html}"
    );
    assert!(
        html.contains("the device that shows <strong><bdi>BCDFG-HJKLM"),
        "{html}"
    );
    let typed = DevicePage {
        token: "t",
        code: "\"><script>x</script>",
        said: None,
        targets: &[],
    };
    let html = typed.page().html;
    assert!(!html.contains("<script"), "{html}");
}
