//! Whatever a query asks for: it has one reading, and no answer goes where the client has not said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, Kind, Metadata};
use portcullis_authority::redirect::Policy;
use portcullis_authority::request::{Asked, NotAsked, Terms, Way};
use portcullis_core::authenticate::Resource;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

const ISSUER: &str = "https://gate.example";
const CALLBACK: &str = "https://app.example/cb";
const LOCAL: &str = "http://localhost";

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    hosts: None,
    schemes: BTreeSet::new(),
    loopback: true,
});
static CLIENT: LazyLock<Arc<Client>> = LazyLock::new(|| {
    let body = format!(r#"{{"redirect_uris":["{CALLBACK}","{LOCAL}/cb"]}}"#);
    let read = Metadata::of_registration(body.as_bytes(), &POLICY).expect("a client");
    Arc::new(
        read.client("app".to_owned(), Kind::Dynamic)
            .expect("a client"),
    )
});
static RESOURCE: LazyLock<Resource> = LazyLock::new(|| Resource {
    server: "notes".into(),
    audience: "https://gate.example/servers/notes/mcp".to_owned(),
    issuers: vec![ISSUER.to_owned()],
    scopes_supported: vec!["read".to_owned(), "write".to_owned()],
    ..Resource::default()
});

fn is_its_own(redirect: &str) -> bool {
    let port = redirect
        .strip_prefix(LOCAL)
        .and_then(|rest| rest.strip_suffix("/cb"));
    let is_port = |port: &str| {
        port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok())
    };
    redirect == CALLBACK || port.is_some_and(is_port)
}

fuzz_target!(|query: &[u8]| {
    let Ok(form) = Form::read(query) else { return };
    let terms = Terms {
        issuer: ISSUER,
        redirects: &POLICY,
        resources: &[&RESOURCE],
    };
    match Asked::admit(&form, &CLIENT, &terms, None) {
        Err(NotAsked::Page(_)) => {}
        Err(NotAsked::Back(back, wrong)) => {
            assert!(is_its_own(&back.redirect), "{back:?}");
            let location = back.refused(wrong, ISSUER);
            assert!(
                location.starts_with(&back.redirect) && location.is_ascii(),
                "{location}"
            );
            assert!(!location.contains(['\r', '\n', ' ', '#']), "{location}");
        }
        Ok(asked) => {
            assert!(is_its_own(asked.redirect()));
            let Way::Back(_, challenge) = asked.way() else {
                panic!("no device has asked")
            };
            assert_eq!(form.value("code_challenge_method"), Some("S256"));
            assert_eq!(form.value("code_challenge"), Some(challenge.as_str()));
            assert_eq!(form.value("resource"), Some(asked.audience()));
            assert!(!asked.scopes().is_empty());
        }
    }
});
