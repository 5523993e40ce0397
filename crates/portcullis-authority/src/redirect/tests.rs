//! The tricks by which an answer has been sent elsewhere, and the few differences that are none.

use super::*;
use BadRedirect::{
    Address, Fragment, Host as OtherHost, Loopback, Malformed, Missing, Path, Scheme, Unregistered,
    User,
};

const WEB: &str = "https://app.example/oauth/callback";
const QUERY: &str = "https://app.example/cb?tenant=a";
const LOCAL: &str = "http://localhost/callback";
const FOUR: &str = "http://127.0.0.1:8080/cb";
const SIX: &str = "http://[::1]/cb";
const NATIVE: &str = "com.example.app:/oauth";

fn policy() -> Policy {
    Policy {
        hosts: None,
        schemes: ["com.example.app".to_owned()].into(),
        loopback: true,
    }
}

fn registered() -> Vec<Redirect> {
    [WEB, QUERY, LOCAL, FOUR, SIX, NATIVE]
        .into_iter()
        .map(|text| Redirect::register(text, &policy()).unwrap())
        .collect()
}

#[test]
fn cd_04_goes_where_the_client_has_said_and_nowhere_else() {
    let registered = registered();
    for good in [
        WEB,
        QUERY,
        LOCAL,
        FOUR,
        SIX,
        NATIVE,
        "http://localhost:33418/callback",
        "http://localhost:1/callback",
        "http://localhost:65535/callback",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:9999/cb",
        "http://[::1]:4711/cb",
    ] {
        let asked = admit(Some(good), &registered, &policy());
        assert_eq!(asked.as_deref(), Ok(good), "{good}");
    }
    assert_eq!(admit(None, &registered, &policy()), Err(Missing));
    for (bad, why) in TRICKS {
        let asked = admit(Some(bad), &registered, &policy());
        assert_eq!(asked, Err(*why), "{bad}");
    }
}

const TRICKS: &[(&str, BadRedirect)] = &[
    // The path.
    ("https://app.example/oauth/callback/", Unregistered),
    ("https://app.example/oauth/callback/evil", Unregistered),
    ("https://app.example/oauth/callbackevil", Unregistered),
    ("https://app.example/oauth/callback.evil", Unregistered),
    ("https://app.example//oauth/callback", Unregistered),
    ("https://app.example/oauth//callback", Unregistered),
    ("https://app.example/OAuth/callback", Unregistered),
    ("https://app.example/oauth/callback?", Unregistered),
    ("https://app.example/oauth/callback?x=y", Unregistered),
    (
        "https://app.example/redirect?to=https://evil.example",
        Unregistered,
    ),
    ("https://app.example/oauth/../oauth/callback", Path),
    ("https://app.example/oauth/./callback", Path),
    ("https://app.example/oauth/callback/..", Path),
    ("https://app.example/oauth/%2e%2e/oauth/callback", Path),
    ("https://app.example/oauth%2fcallback", Path),
    ("https://app.example/oauth%5ccallback", Path),
    ("https://app.example/oauth%252fcallback", Path),
    ("https://app.example/oauth/callback%00", Path),
    ("https://app.example/oauth/callback%0d%0aSet-Cookie", Path),
    ("https://app.example/oauth/callback%23", Path),
    ("https://app.example/oauth/callback%3fx", Path),
    ("https://app.example/oauth/callback;x=y", Path),
    ("https://app.example/oauth/%63allback", Unregistered),
    ("https://app.example/oauth/callback%", Malformed),
    ("https://app.example/oauth/callback%zz", Malformed),
    ("https://app.example/oauth/*", Path),
    ("https://app.example", Unregistered),
    ("https://app.example/", Unregistered),
    ("https://app.example/cb", Unregistered),
    ("https://app.example/cb?tenant=b", Unregistered),
    ("https://app.example/cb?tenant=a&x=y", Unregistered),
    ("https://app.example/cb?x=y&tenant=a", Unregistered),
    // The host.
    ("https://evil.example/oauth/callback", Unregistered),
    (
        "https://app.example.evil.example/oauth/callback",
        Unregistered,
    ),
    ("https://evil-app.example/oauth/callback", Unregistered),
    ("https://evil.app.example/oauth/callback", Unregistered),
    ("https://*.app.example/oauth/callback", Path),
    ("https://app.example./oauth/callback", Malformed),
    ("https://APP.example/oauth/callback", Malformed),
    ("https://app.example:443/oauth/callback", Unregistered),
    ("https://app.example:8443/oauth/callback", Unregistered),
    ("https://app.example:/oauth/callback", Malformed),
    ("https://app.example:0/oauth/callback", Malformed),
    ("https://app.example:443@evil.example/oauth/callback", User),
    ("https://app.example@evil.example/oauth/callback", User),
    ("https://evil@app.example/oauth/callback", User),
    ("https://app.example%40evil.example/oauth/callback", Path),
    (
        "https://evil.example\\@app.example/oauth/callback",
        Malformed,
    ),
    (
        "https://app.example\\.evil.example/oauth/callback",
        Malformed,
    ),
    ("https://evil.example#app.example/oauth/callback", Fragment),
    (
        "https://evil.example?app.example/oauth/callback",
        Unregistered,
    ),
    ("https://\u{430}pp.example/oauth/callback", Malformed),
    ("https://xn--pp-6kc.example/oauth/callback", Unregistered),
    ("https://app\u{ff0e}example/oauth/callback", Malformed),
    ("https://app\u{3002}example/oauth/callback", Malformed),
    ("https://93.184.216.34/oauth/callback", Address),
    ("https://0x5d.0xb8.0xd8.0x22/oauth/callback", Malformed),
    ("https://1572395042/oauth/callback", Malformed),
    ("https://[fe80::1%25eth0]/oauth/callback", Path),
    ("https:///app.example/oauth/callback", Malformed),
    ("https:/app.example/oauth/callback", Malformed),
    ("https:app.example/oauth/callback", Malformed),
    ("//app.example/oauth/callback", Malformed),
    ("/oauth/callback", Malformed),
    // The fragment, and what cannot be seen.
    ("https://app.example/oauth/callback#", Fragment),
    ("https://app.example/oauth/callback#x", Fragment),
    (" https://app.example/oauth/callback", Malformed),
    ("https://app.example/oauth/callback ", Malformed),
    ("https://app.example/oauth/callback\t", Malformed),
    ("https://app.example/oauth/\ncallback", Malformed),
    ("https://app.example/oauth/callback\u{202e}", Malformed),
    // The scheme.
    ("http://app.example/oauth/callback", Scheme),
    ("HTTPS://app.example/oauth/callback", Malformed),
    ("ftp://app.example/oauth/callback", Scheme),
    ("javascript://app.example/oauth/callback%0aalert(1)", Path),
    ("javascript:alert(1)", Scheme),
    ("JavaScript:alert(1)", Malformed),
    ("data:text/html,<script>alert(1)</script>", Malformed),
    ("data:text/html,x", Scheme),
    ("vbscript:x", Scheme),
    ("file:///etc/passwd", Scheme),
    ("blob:https://app.example/oauth/callback", Scheme),
    ("view-source:https://app.example/oauth/callback", Scheme),
    ("urn:ietf:wg:oauth:2.0:oob", Scheme),
    ("com.example.app:/other", Unregistered),
    ("com.example.app://oauth", Unregistered),
    ("com.example.app:oauth", Malformed),
    ("com.example.apps:/oauth", Unregistered),
    ("com.evil.app:/oauth", Unregistered),
    // Loopback: the port alone may differ.
    ("http://localhost:33418/callback/", Unregistered),
    ("http://localhost:33418/other", Unregistered),
    ("http://localhost:33418/callback?x=y", Unregistered),
    ("http://localhost:0/callback", Malformed),
    ("http://localhost:65536/callback", Malformed),
    ("http://localhost:080/callback", Malformed),
    ("http://localhost:/callback", Malformed),
    ("http://localhost.evil.example/callback", Scheme),
    ("http://localhost@evil.example/callback", User),
    ("http://localhost:80@evil.example/callback", User),
    ("http://LOCALHOST/callback", Malformed),
    ("http://127.0.0.1/callback", Unregistered),
    ("http://localhost/cb", Unregistered),
    ("http://127.0.0.2/cb", Scheme),
    ("http://127.1/cb", Malformed),
    ("http://2130706433/cb", Malformed),
    ("http://0177.0.0.1/cb", Malformed),
    ("http://0.0.0.0/cb", Scheme),
    ("http://[::]/cb", Scheme),
    ("http://[::ffff:127.0.0.1]/cb", Scheme),
    ("http://[0:0:0:0:0:0:0:1]/cb", Malformed),
    ("https://localhost/callback", Unregistered),
];

#[test]
fn cd_10_the_organisation_limits_what_is_registered_at_all() {
    let listed = Policy {
        hosts: Some(["app.example".to_owned()].into()),
        schemes: BTreeSet::new(),
        loopback: false,
    };
    for (text, expected) in [
        (WEB, Ok(())),
        ("https://evil.example/oauth/callback", Err(OtherHost)),
        ("https://sub.app.example/oauth/callback", Err(OtherHost)),
        (LOCAL, Err(Loopback)),
        (SIX, Err(Loopback)),
        (NATIVE, Err(Scheme)),
    ] {
        let taken = Redirect::register(text, &listed).map(drop);
        assert_eq!(taken, expected, "{text}");
        // What was registered before the list is held against it all the same.
        let before = registered();
        if before.iter().any(|one| one.as_str() == text) {
            assert_eq!(admit(Some(text), &before, &listed).map(drop), expected);
        }
    }
}

#[test]
fn cd_04_says_to_people_where_an_answer_goes() {
    for (redirect, host, is_local) in [
        (WEB, "app.example", false),
        ("https://app.example:8443/cb", "app.example", false),
        (LOCAL, "localhost", true),
        (SIX, "[::1]", true),
        (NATIVE, "com.example.app:", false),
    ] {
        assert_eq!(shown_host(redirect), host);
        assert_eq!(is_loopback(redirect), is_local, "{redirect}");
    }
}
