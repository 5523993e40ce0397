//! What is believed of another party's word, and what is said back.

use super::*;
use crate::egress::Target;
use crate::secret::Secret;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

#[track_caller]
fn asks(header: &str, metadata: Option<&str>, scopes: &[&str], is_insufficient: bool) {
    let expected = Challenge {
        metadata: metadata.map(str::to_owned),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        is_insufficient,
    };
    assert_eq!(challenge([header]), expected, "{header}");
}

#[test]
fn tok_15_reads_what_a_server_asks_for() {
    let url = "https://u.example/.well-known/oauth-protected-resource";
    asks(
        &format!("Bearer resource_metadata=\"{url}\""),
        Some(url),
        &[],
        false,
    );
    asks(
        &format!(
            "Basic realm=\"x, Bearer y\", bearer realm=\"a\\\"b\", scope=\"b a b\", error=insufficient_scope, Resource_Metadata=\"{url}\""
        ),
        Some(url),
        &["a", "b"],
        true,
    );
    asks("Bearer", None, &[], false);
    asks("Bearer error=\"invalid_token\"", None, &[], false);
    asks("Basic realm=\"x\"", None, &[], false);
    asks("Bearer scope=\"a\", scope=\"b\"", None, &[], false);
    asks("Bearer scope=\"a\\\\b c\"", None, &["c"], false);
    asks("Bearer resource_metadata=\"", None, &[], false);
    asks("", None, &[], false);
    asks(
        &format!("Bearer scope=\"{}\"", "a".repeat(9000)),
        None,
        &[],
        false,
    );
    let two = challenge(["Basic realm=\"x\"", "Bearer scope=\"a\""]);
    assert_eq!(two.scopes, ["a"]);
}

fn target(url: &str) -> Target {
    Target::parse(url).unwrap()
}

#[test]
fn tok_15_looks_for_metadata_in_the_order_of_the_specification() {
    let server = target("https://u.example/a/mcp?x=y");
    assert_eq!(
        resource_urls(&server),
        [
            "https://u.example/.well-known/oauth-protected-resource/a/mcp",
            "https://u.example/.well-known/oauth-protected-resource"
        ]
    );
    assert_eq!(resource_urls(&target("https://u.example/")).len(), 1);
    assert_eq!(
        authority_urls("https://as.example/t").unwrap(),
        [
            "https://as.example/.well-known/oauth-authorization-server/t",
            "https://as.example/.well-known/openid-configuration/t",
            "https://as.example/t/.well-known/openid-configuration"
        ]
    );
    assert_eq!(authority_urls("https://as.example").unwrap().len(), 2);
    assert_eq!(
        authority_urls("https://as.example/?x"),
        Err(Disbelieved::Issuer)
    );
    for issuer in [
        "file:///etc/passwd",
        "as.example",
        "https://a@as.example",
        "javascript:alert(1)",
    ] {
        assert!(authority_urls(issuer).is_err(), "{issuer}");
    }
}

#[test]
fn cd_12_believes_a_resource_about_itself_only() {
    let server = target("https://u.example/a/mcp");
    let check = |resource: &str, expected: Result<(), Disbelieved>| {
        let document =
            json!({ "resource": resource, "authorization_servers": ["https://as.example"] });
        let read = ProtectedResource::parse(document.to_string().as_bytes(), &server);
        assert_eq!(read.map(drop), expected, "{resource}");
    };
    check("https://u.example/a/mcp", Ok(()));
    check("https://u.example/a", Ok(()));
    check("https://u.example", Ok(()));
    check("https://U.example:443/a/mcp/", Ok(()));
    for other in [
        "https://u.example/a/mc",
        "https://u.example/a/mcp/b",
        "https://u.example/b",
        "http://u.example/a/mcp",
        "https://u.example:444/a/mcp",
        "https://evil.example/a/mcp",
        "https://u.example@evil.example/",
        "u.example",
        "",
        "https://u.example/?x",
    ] {
        check(other, Err(Disbelieved::Resource));
    }
    let parse =
        |document: Value| ProtectedResource::parse(document.to_string().as_bytes(), &server);
    let own = "https://u.example/a/mcp";
    assert_eq!(
        parse(json!({ "resource": own })),
        Err(Disbelieved::NoAuthority)
    );
    assert_eq!(parse(json!({ "resource": 1 })), Err(Disbelieved::Malformed));
    assert_eq!(parse(json!([])), Err(Disbelieved::Malformed));
    let many = vec!["https://as.example"; 257];
    assert_eq!(
        parse(json!({ "resource": own, "authorization_servers": many })),
        Err(Disbelieved::Malformed)
    );
    let twice = format!(
        "{{\"resource\":\"{own}\",\"resource\":\"{own}\",\"authorization_servers\":[\"https://a\"]}}"
    );
    assert_eq!(
        ProtectedResource::parse(twice.as_bytes(), &server),
        Err(Disbelieved::Malformed)
    );
}

const ISSUER: &str = "https://as.example";

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://as.example/authorize?tenant=1",
        "token_endpoint": "https://as.example/token",
        "registration_endpoint": "https://as.example/register",
        "revocation_endpoint": "https://as.example/revoke",
        "code_challenge_methods_supported": ["plain", "S256"],
    })
}

fn believed(change: impl FnOnce(&mut Value)) -> Result<Authority, Disbelieved> {
    let mut document = metadata();
    change(&mut document);
    Authority::parse(document.to_string().as_bytes(), ISSUER)
}

#[test]
fn cd_12_believes_an_authorization_server_about_itself_only() {
    let good = believed(|_| ()).unwrap();
    assert_eq!((good.way(true), good.way(false)), (Way::Basic, Way::Open));
    assert!(!good.names_itself && !good.takes_documents);
    for other in [
        "https://as.example/",
        "https://AS.example",
        "https://evil.example",
        "",
    ] {
        assert_eq!(
            believed(|own| own["issuer"] = json!(other)),
            Err(Disbelieved::Issuer),
            "{other}"
        );
    }
    for methods in [json!(null), json!([]), json!(["plain"]), json!(["s256"])] {
        let refused = believed(|own| own["code_challenge_methods_supported"] = methods.clone());
        assert_eq!(refused, Err(Disbelieved::Pkce), "{methods}");
    }
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
    ] {
        for url in [
            "javascript:alert(1)",
            "file:/c:/windows/system32/calc.exe",
            "file:///etc/passwd",
            "data:text/html,x",
            "http://x/$(calc)`id`",
            "--flag",
            "https://as.example/\"><script>",
            "https://a b/",
            "vbscript:x",
            "",
        ] {
            let refused = believed(|own| own[name] = json!(url));
            assert!(
                matches!(refused, Err(Disbelieved::Url(_))),
                "{name} {url} {refused:?}"
            );
        }
    }
    let post = believed(|own| {
        own["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    });
    assert_eq!(post.unwrap().way(true), Way::Post);
}

const ASKED: Asked<'_> = Asked {
    redirect: "https://gw.example/connect/callback",
    resource: "https://u.example/mcp",
    scope: "a b",
    state: "s",
    verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
};

#[test]
fn tok_15_of_a_silent_server_its_own_origin_is_assumed_and_nothing_else() {
    let server = target("https://u.example:8443/a/mcp?x=1");
    let assumed = ProtectedResource::assumed(&server);
    assert!(assumed.is_assumed && assumed.scopes.is_empty());
    assert_eq!(assumed.resource, server.to_string());
    assert_eq!(assumed.authorities, ["https://u.example:8443"]);
    let authority = Authority::assumed(&assumed.authorities[0]).unwrap();
    assert_eq!(authority.issuer, "https://u.example:8443");
    assert_eq!(
        authority.authorization.to_string(),
        "https://u.example:8443/authorize"
    );
    assert_eq!(authority.token, "https://u.example:8443/token");
    assert_eq!(
        authority.registration.as_deref(),
        Some("https://u.example:8443/register")
    );
    assert_eq!(authority.revocation, None);
    assert!(!authority.takes_documents && !authority.names_itself);
    for wrong in ["", "u.example", "ftp://u.example", "https://a@u.example"] {
        assert!(Authority::assumed(wrong).is_err(), "{wrong}");
    }
}

fn client(secret: Option<&str>, way: Way) -> Client {
    Client {
        id: "c:1".to_owned(),
        secret: secret.map(|secret| Secret::new(secret.to_owned())),
        way,
    }
}

#[test]
fn tok_15_asks_as_the_specifications_say() {
    // RFC 7636 appendix B.
    assert_eq!(
        challenge_of(ASKED.verifier),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    let url = authorization_url(&believed(|_| ()).unwrap(), &client(None, Way::Open), &ASKED);
    assert_eq!(
        url,
        "https://as.example/authorize?tenant=1&response_type=code&client_id=c%3A1&redirect_uri=https%3A%2F%2Fgw.example%2Fconnect%2Fcallback&state=s&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&resource=https%3A%2F%2Fu.example%2Fmcp&scope=a+b"
    );
    let open = client(None, Way::Open).redeem("x&y", &ASKED);
    assert!(
        open.form.expose().contains("code=x%26y&"),
        "{:?}",
        open.form.expose()
    );
    assert!(
        open.form
            .expose()
            .contains("resource=https%3A%2F%2Fu.example%2Fmcp")
    );
    assert!(open.form.expose().ends_with("&client_id=c%3A1") && open.authorization.is_none());
    let basic =
        client(Some("p w"), Way::Basic).refresh(&Secret::new("r".to_owned()), ASKED.resource);
    assert_eq!(
        basic.authorization.unwrap().expose(),
        "Basic YyUzQTE6cCUyMHc="
    );
    assert!(
        !basic.form.expose().contains("client_id") && basic.form.expose().contains("resource=")
    );
    let post = client(Some("p"), Way::Post).revoke(&Secret::new("r".to_owned()), "refresh_token");
    assert_eq!(
        post.form.expose(),
        "token=r&token_type_hint=refresh_token&client_id=c%3A1&client_secret=p"
    );
    let document: Value =
        serde_json::from_str(&client_document("https://gw.example/c", ASKED.redirect)).unwrap();
    assert_eq!(document["client_id"], "https://gw.example/c");
    assert_eq!(document["redirect_uris"], json!([ASKED.redirect]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
}

#[test]
fn tok_15_takes_a_code_from_the_issuer_that_was_asked() {
    let code = |query: &str, names_itself| {
        let code = Callback::read(query).code(ISSUER, names_itself);
        code.map(|code| code.expose().clone())
    };
    let own = "code=c&state=s&iss=https%3A%2F%2Fas.example";
    assert_eq!(code(own, true).as_deref(), Ok("c"));
    assert_eq!(code(own, false).as_deref(), Ok("c"));
    assert_eq!(code("code=c&state=s", false).as_deref(), Ok("c"));
    assert_eq!(code("code=c&state=s", true), Err(Disbelieved::Mixed));
    for other in [
        "https%3A%2F%2Fevil.example",
        "https%3A%2F%2Fas.example%2F",
        "https%3A%2F%2FAS.example",
        "",
    ] {
        assert_eq!(
            code(&format!("code=c&iss={other}"), false),
            Err(Disbelieved::Mixed),
            "{other}"
        );
        assert_eq!(
            code(&format!("error=x&iss={other}"), false),
            Err(Disbelieved::Mixed),
            "{other}"
        );
    }
    assert_eq!(
        code("error=access_denied", false),
        Err(Disbelieved::Refused)
    );
    assert_eq!(code("error=x&code=c", false), Err(Disbelieved::Refused));
    assert_eq!(code("code=c&code=d", false), Err(Disbelieved::Refused));
    assert_eq!(code("code=", false), Err(Disbelieved::Refused));
    assert!(Callback::read("state=a&state=b").state.is_none());
}

#[test]
fn tok_15_takes_bearer_tokens_of_a_bounded_life() {
    let parse = |answer: Value| Tokens::parse(answer.to_string().as_bytes());
    let tokens = parse(json!({ "access_token": "a", "token_type": "bearer", "expires_in": 60, "refresh_token": "r", "scope": "x y" })).unwrap();
    assert_eq!(tokens.lifetime, Duration::from_mins(1));
    assert_eq!(
        tokens.scopes.as_deref(),
        Some(["x".to_owned(), "y".to_owned()].as_slice())
    );
    assert!(!format!("{tokens:?}").contains("\"a\""));
    let unsaid = parse(json!({ "access_token": "a", "token_type": "Bearer" })).unwrap();
    assert_eq!(unsaid.lifetime, Duration::from_hours(1));
    let long =
        parse(json!({ "access_token": "a", "token_type": "Bearer", "expires_in": u64::MAX }))
            .unwrap();
    assert_eq!(long.lifetime, Duration::from_hours(24));
    for (access, kind) in [
        ("a", "DPoP"),
        ("", "Bearer"),
        ("a b", "Bearer"),
        ("a\r\nx: y", "Bearer"),
        ("ä", "Bearer"),
    ] {
        let refused = parse(json!({ "access_token": access, "token_type": kind }));
        assert_eq!(
            refused.map(drop),
            Err(Disbelieved::Token),
            "{access} {kind}"
        );
    }
    for (answer, said) in [
        (r#"{"error":"invalid_grant"}"#, Some(Fault::Spent)),
        (r#"{"error":"invalid_client"}"#, Some(Fault::Client)),
        (r#"{"error":"server_error"}"#, None),
        ("", None),
    ] {
        assert_eq!(fault(answer.as_bytes()), said, "{answer}");
    }
    for (ends, until) in [
        (json!(null), None),
        (json!(0), None),
        (json!(7), Some(Timestamp::from_seconds(7))),
    ] {
        let answer =
            json!({ "client_id": "x", "client_secret": "y", "client_secret_expires_at": ends });
        let registered =
            Client::parse(answer.to_string().as_bytes(), &believed(|_| ()).unwrap()).unwrap();
        let own = Client {
            id: "x".to_owned(),
            ..client(Some("y"), Way::Basic)
        };
        assert_eq!(registered, (own, until));
    }
}

proptest! {
    #[test]
    fn cd_12_nothing_that_a_server_says_ends_the_process(text in "\\PC{0,80}|Bearer [a-z_=\", \\\\]{0,60}", bytes: Vec<u8>) {
        let read = challenge([text.as_str()]);
        prop_assert!(read.scopes.iter().all(|scope| scope.bytes().all(|byte| byte.is_ascii_graphic())));
        let server = target("https://u.example/");
        prop_assert!(ProtectedResource::parse(&bytes, &server).is_err());
        prop_assert!(Authority::parse(&bytes, ISSUER).is_err());
        prop_assert!(Tokens::parse(&bytes).is_err());
        let _callback = Callback::read(&text);
    }
}
