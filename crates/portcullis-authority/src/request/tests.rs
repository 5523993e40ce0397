//! Requests that are wrong, and whom that is told.

use super::*;
use crate::client::{Kind, Metadata};
use serde_json::json;

const ISSUER: &str = "https://gate.example";
const TARGET: &str = "https://gate.example/servers/notes/mcp";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn policy() -> Policy {
    Policy {
        hosts: None,
        schemes: BTreeSet::new(),
        loopback: true,
    }
}

fn client() -> Arc<Client> {
    let body = json!({ "redirect_uris": ["https://app.example/cb?x=y", "http://localhost/cb"] });
    let read = Metadata::of_registration(body.to_string().as_bytes(), &policy()).unwrap();
    Arc::new(read.client("app".to_owned(), Kind::Dynamic).unwrap())
}

fn resource() -> Resource {
    Resource {
        server: "notes".into(),
        audience: TARGET.to_owned(),
        url: TARGET.to_owned(),
        issuers: vec![ISSUER.to_owned()],
        scopes_supported: vec!["notes:read".to_owned(), "notes:write".to_owned()],
        ..Resource::default()
    }
}

fn good() -> Vec<(&'static str, &'static str)> {
    vec![
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", "http://localhost:4711/cb"),
        ("state", "s&t"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", TARGET),
        ("scope", "notes:read openid offline_access"),
    ]
}

fn ask(changes: &[(&'static str, &'static str)], server: &Resource) -> Result<Asked, NotAsked> {
    let mut parameters = good();
    for (name, value) in changes {
        parameters.retain(|(own, _)| own != name);
        parameters.push((name, value));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let form = Form::read(query.finish().as_bytes()).unwrap();
    let policy = policy();
    let terms = Terms {
        issuer: ISSUER,
        redirects: &policy,
        resources: &[server],
    };
    Asked::admit(&form, &client(), &terms, None)
}

#[test]
fn cd_07_what_is_asked_for_is_what_was_written() {
    let asked = ask(&[], &resource()).unwrap();
    assert_eq!(asked.audience(), TARGET);
    assert_eq!(&**asked.server(), "notes");
    assert_eq!(asked.scopes(), ["notes:read"]);
    let Way::Back(_, challenge) = asked.way() else {
        panic!("{asked:?}")
    };
    assert_eq!(challenge.as_str(), CHALLENGE);
    assert!(asked.refreshes() && asked.is_local());
    assert_eq!(asked.host(), "localhost");
    let all = ask(&[("scope", "")], &resource()).unwrap();
    assert_eq!(all.scopes(), ["notes:read", "notes:write"]);
    assert!(!all.refreshes());
    let strong = ask(
        &[
            ("acr_values", "gold silver"),
            ("max_age", "60"),
            ("prompt", "login consent"),
        ],
        &resource(),
    );
    let strong = strong.unwrap();
    assert_eq!(strong.classes(), ["gold", "silver"]);
    assert_eq!(strong.max_age(), Some(Duration::from_mins(1)));
    assert!(strong.prompt().login && strong.prompt().consent && !strong.prompt().none);
}

#[test]
fn cd_05_refuses_what_has_no_challenge_or_a_weak_one() {
    for (change, why) in [
        (("code_challenge", ""), Wrong::NoChallenge),
        (("code_challenge_method", "plain"), Wrong::Method),
        (("code_challenge_method", ""), Wrong::Method),
        (("code_challenge_method", "s256"), Wrong::Method),
        (("code_challenge", "short"), Wrong::Challenge),
        (
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
            ),
            Wrong::Challenge,
        ),
        (
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
            ),
            Wrong::Challenge,
        ),
    ] {
        let Err(NotAsked::Back(back, wrong)) = ask(&[change], &resource()) else {
            panic!("{change:?}");
        };
        assert!(wrong == why && wrong.is_pkce(), "{change:?}");
        assert_eq!(wrong.code(), "invalid_request");
        assert_eq!(back.redirect, "http://localhost:4711/cb");
    }
}

#[test]
fn cd_07_refuses_what_it_cannot_decide() {
    let long: &'static str = "x".repeat(MAX_STATE_BYTES + 1).leak();
    let many: &'static str = (0..=MAX_SCOPES)
        .map(|index| format!("s{index}"))
        .collect::<Vec<_>>()
        .join(" ")
        .leak();
    for (change, why) in [
        (("response_type", "token"), Wrong::ResponseType),
        (("response_type", ""), Wrong::ResponseType),
        (("response_type", "code id_token"), Wrong::ResponseType),
        (("response_mode", "fragment"), Wrong::ResponseMode),
        (("response_mode", "form_post"), Wrong::ResponseMode),
        (("request", "eyJ"), Wrong::Object),
        (("state", long), Wrong::State),
        (("resource", ""), Wrong::NoTarget),
        (
            ("resource", "https://gate.example/servers/other/mcp"),
            Wrong::Target,
        ),
        (
            ("resource", "https://gate.example/servers/notes/mcp/"),
            Wrong::Target,
        ),
        (("scope", "other"), Wrong::Scope),
        (("scope", many), Wrong::Scope),
        (("dpop_jkt", "x"), Wrong::Key),
        (("prompt", "none login"), Wrong::Prompt),
        (("prompt", "create"), Wrong::Prompt),
        (("max_age", "-1"), Wrong::MaxAge),
    ] {
        match ask(&[change], &resource()) {
            Err(NotAsked::Back(_, wrong)) => assert_eq!(wrong, why, "{change:?}"),
            other => panic!("{change:?} {other:?}"),
        }
    }
    let stranger = Resource {
        issuers: vec!["https://idp.example".to_owned()],
        ..resource()
    };
    let bound = Resource {
        mtls: Binding::Required,
        ..resource()
    };
    for server in [stranger, bound] {
        let asked = ask(&[], &server);
        assert!(matches!(asked, Err(NotAsked::Back(_, Wrong::Target))));
    }
}

#[test]
fn cd_04_a_wrong_redirect_is_told_to_nobody_but_the_user() {
    for (redirect, why) in [
        ("", BadRedirect::Missing),
        ("https://evil.example/cb", BadRedirect::Unregistered),
        ("http://localhost:4711/cb/../x", BadRedirect::Path),
    ] {
        // Whatever else is wrong.
        let asked = ask(
            &[("redirect_uri", redirect), ("response_type", "x")],
            &resource(),
        );
        assert!(
            matches!(asked, Err(NotAsked::Page(found)) if found == why),
            "{redirect}"
        );
    }
}

#[test]
fn cd_06_an_answer_says_whose_it_is() {
    let back = Return {
        redirect: "https://app.example/cb?x=y".to_owned(),
        state: Some("s&t=#".to_owned()),
    };
    assert_eq!(
        back.refused(Wrong::Declined, ISSUER),
        "https://app.example/cb?x=y&error=access_denied&error_description=the+request+was+declined\
         &state=s%26t%3D%23&iss=https%3A%2F%2Fgate.example"
    );
    let bare = Return {
        redirect: "com.example.app:/cb".to_owned(),
        state: None,
    };
    assert_eq!(
        location(&bare, &[("code", "c")], ISSUER),
        "com.example.app:/cb?code=c&iss=https%3A%2F%2Fgate.example"
    );
}

#[test]
fn cd_07_one_key_not_two() {
    let proven = Thumbprint::of(b"proven");
    let said = |text: &str| Form::read(format!("dpop_jkt={text}").as_bytes()).unwrap();
    let own = said(&proven.to_string());
    assert_eq!(key(&own, Some(proven)), Ok(Some(proven)));
    assert_eq!(key(&own, None), Ok(Some(proven)));
    assert_eq!(key(&Form::default(), Some(proven)), Ok(Some(proven)));
    let other = said(&Thumbprint::of(b"other").to_string());
    assert_eq!(key(&other, Some(proven)), Err(Wrong::Key));
}
