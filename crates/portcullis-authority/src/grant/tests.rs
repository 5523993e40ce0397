//! Codes and refresh tokens that are shown with something else than they are bound to.

use super::*;
use crate::client::{Authentication, GrantType, Kind, Metadata};
use crate::redirect::Policy;
use crate::request::{Terms, Wrong};
use crate::user::Person;
use portcullis_core::authenticate::{
    Claims, Introspection, Issuer, KeySet, Keys, Revoked, Vouching,
};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const ISSUER: &str = "https://gate.example";
const IDP: &str = "https://idp.example";
const TARGET: &str = "https://gate.example/servers/notes/mcp";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const MADE: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn client(id: &str, bound: bool) -> Client {
    let body =
        json!({ "redirect_uris": ["http://localhost/cb"], "dpop_bound_access_tokens": bound });
    let policy = Policy {
        hosts: None,
        schemes: BTreeSet::new(),
        loopback: true,
    };
    let read = Metadata::of_registration(body.to_string().as_bytes(), &policy).unwrap();
    read.client(id.to_owned(), Kind::Dynamic).unwrap()
}

fn granted() -> Granted {
    Granted {
        user: User::signed_in(Person {
            subject: "alice".to_owned(),
            issuer: IDP.to_owned(),
            groups: vec!["writers".to_owned()],
            roles: vec!["editor".to_owned()],
            acr: Some("gold".to_owned()),
            amr: vec!["pwd".to_owned()],
            auth_time: 1_799_999_000,
            claims: vec![
                ("oid".to_owned(), "0a".to_owned()),
                ("sub".to_owned(), "mallory".to_owned()),
                ("cnf".to_owned(), "x".to_owned()),
            ],
            ..Person::default()
        }),
        client: "app".to_owned(),
        server: "notes".to_owned(),
        audience: TARGET.to_owned(),
        scopes: vec!["notes:read".to_owned(), "notes:write".to_owned()],
        refreshes: true,
    }
}

fn bound() -> Bound {
    Bound {
        redirect: "http://localhost:4711/cb".to_owned(),
        challenge: CHALLENGE.to_owned(),
        key: None,
    }
}

fn resource() -> Resource {
    Resource {
        server: "notes".into(),
        audience: TARGET.to_owned(),
        url: TARGET.to_owned(),
        issuers: vec![ISSUER.to_owned()],
        scopes_supported: vec!["notes:read".to_owned(), "notes:write".to_owned()],
        dpop: Binding::Accepted,
        ..Resource::default()
    }
}

fn trust(revoked: Revoked) -> Trust {
    let own = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: Vec::new(),
        token_types: Vec::new(),
        max_lifetime: Duration::from_hours(1),
        skew: Duration::ZERO,
        claims: Claims {
            provider: Some(Vouching {
                claim: PROVIDER.to_owned(),
                by: [IDP.to_owned()].into(),
            }),
            ..Claims::default()
        },
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    let provider = Issuer {
        issuer: IDP.to_owned(),
        claims: Claims::default(),
        ..own.clone()
    };
    Trust {
        issuers: HashMap::from([(IDP.to_owned(), provider), (ISSUER.to_owned(), own)]),
        keys: Keys::default(),
        revoked: Arc::new(revoked),
        generation: 1,
    }
}

fn form(pairs: &[(&str, &str)]) -> Form {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    Form::read(text.finish().as_bytes()).unwrap()
}

fn redeem(
    (client, key): (&Client, Option<Thumbprint>),
    pairs: &[(&str, &str)],
    (bound, resource): (&Bound, Option<&Resource>),
    revoked: Revoked,
) -> Result<Given, NoGrant> {
    let (form, trust) = (form(pairs), trust(revoked));
    let request = Request {
        client,
        key,
        form: &form,
    };
    let against = Against {
        issuer: ISSUER,
        resource,
        trust: &trust,
        vouches: IDP,
        made: MADE,
    };
    granted().redeem(bound, &request, &against)
}

fn good() -> Vec<(&'static str, &'static str)> {
    vec![
        ("redirect_uri", "http://localhost:4711/cb"),
        ("code_verifier", VERIFIER),
    ]
}

fn plainly(pairs: &[(&str, &str)]) -> Result<Given, NoGrant> {
    let held = (&bound(), Some(&resource()));
    redeem(
        (&client("app", false), None),
        pairs,
        held,
        Revoked::default(),
    )
}

#[test]
fn cd_07_a_code_is_bound_to_all_that_was_asked() {
    let given = plainly(&good()).unwrap();
    assert_eq!(given.scopes, granted().scopes);
    let with = |name: &'static str, value: &'static str| {
        let mut pairs = good();
        pairs.retain(|(own, _)| *own != name);
        pairs.push((name, value));
        pairs
    };
    for (pairs, why) in [
        (
            with("redirect_uri", "http://localhost:4712/cb"),
            NoGrant::Redirect,
        ),
        (with("redirect_uri", ""), NoGrant::Redirect),
        (
            with("resource", "https://gate.example/servers/other/mcp"),
            NoGrant::Target,
        ),
    ] {
        assert_eq!(plainly(&pairs), Err(why), "{pairs:?}");
    }
    assert!(plainly(&with("resource", TARGET)).is_ok());
    let (own, other) = (client("app", false), client("other", false));
    let (bound, server) = (bound(), resource());
    let none = Revoked::default;
    let refused = redeem((&other, None), &good(), (&bound, Some(&server)), none());
    assert_eq!(refused, Err(NoGrant::Client));
    let gone = redeem((&own, None), &good(), (&bound, None), none());
    assert_eq!(gone, Err(NoGrant::Target));
    let strange = Resource {
        issuers: vec![IDP.to_owned()],
        ..resource()
    };
    let refused = redeem((&own, None), &good(), (&bound, Some(&strange)), none());
    assert_eq!(refused, Err(NoGrant::Target));
}

#[test]
fn cd_05_only_the_verifier_of_the_challenge_redeems() {
    for verifier in [
        "",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX",
        CHALLENGE,
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk=",
    ] {
        let pairs = [good().remove(0), ("code_verifier", verifier)];
        assert_eq!(plainly(&pairs), Err(NoGrant::Verifier), "{verifier}");
    }
    assert_eq!(plainly(&[good().remove(0)]), Err(NoGrant::Verifier));
    let long = "x".repeat(129);
    let pairs = [good().remove(0), ("code_verifier", long.as_str())];
    assert_eq!(plainly(&pairs), Err(NoGrant::Verifier));
}

#[test]
fn cd_07_a_key_that_was_said_has_to_be_proven() {
    let (key, other) = (Thumbprint::of(b"key"), Thumbprint::of(b"other"));
    let said = Bound {
        key: Some(key.to_string()),
        ..bound()
    };
    let (own, server) = (client("app", false), resource());
    let none = Revoked::default;
    let try_it = |proven| redeem((&own, proven), &good(), (&said, Some(&server)), none());
    assert_eq!(try_it(Some(key)).unwrap().key, Some(key));
    assert_eq!(try_it(Some(other)), Err(NoGrant::Key));
    assert_eq!(try_it(None), Err(NoGrant::Key));
    // Where no bound access tokens are taken, the refresh token is bound all the same.
    let taking_none = Resource {
        dpop: Binding::Off,
        ..resource()
    };
    let held = (&said, Some(&taking_none));
    let given = redeem((&own, Some(key)), &good(), held, none()).unwrap();
    assert_eq!((given.key, given.sealed), (None, Some(key)));
    let strict = client("app", true);
    let refused = redeem((&strict, None), &good(), (&bound(), Some(&server)), none());
    assert_eq!(refused, Err(NoGrant::NoKey));
    let needing = Resource {
        dpop: Binding::Required,
        ..resource()
    };
    let refused = redeem((&own, None), &good(), (&bound(), Some(&needing)), none());
    assert_eq!(refused, Err(NoGrant::NoKey));
}

#[test]
fn tok_11_a_refresh_token_is_sealed_to_client_and_key() {
    let (key, other) = (Thumbprint::of(b"key"), Thumbprint::of(b"other"));
    let (server, trust) = (resource(), trust(Revoked::default()));
    let against = Against {
        issuer: ISSUER,
        resource: Some(&server),
        trust: &trust,
        vouches: IDP,
        made: MADE,
    };
    let refresh = |id: &str, proven, bound: &str, scope: &str| {
        let (client, form) = (client(id, false), form(&[("scope", scope)]));
        let request = Request {
            client: &client,
            key: proven,
            form: &form,
        };
        granted().refresh(bound, &request, &against)
    };
    let text = key.to_string();
    assert_eq!(
        refresh("app", Some(key), &text, "").unwrap().scopes.len(),
        2
    );
    assert_eq!(refresh("app", Some(other), &text, ""), Err(NoGrant::Key));
    assert_eq!(refresh("app", None, &text, ""), Err(NoGrant::Key));
    assert_eq!(refresh("other", Some(key), &text, ""), Err(NoGrant::Client));
    let less = refresh("app", None, "", "notes:read offline_access").unwrap();
    assert_eq!(less.scopes, ["notes:read"]);
    assert_eq!(refresh("app", None, "", "notes:admin"), Err(NoGrant::Scope));
}

#[test]
fn auth_03_what_is_revoked_at_the_provider_is_revoked_here() {
    let mut by_us = Revoked::default();
    by_us.subject(ISSUER, "alice", (MADE, None));
    let mut by_them = Revoked::default();
    by_them.subject(IDP, "alice", (MADE, None));
    let mut by_claim = Revoked::default();
    by_claim.claim(IDP, ("oid", "0a"), (MADE, None));
    let mut by_client = Revoked::default();
    by_client.client(ISSUER, "app", (MADE, None));
    let (own, server, bound) = (client("app", false), resource(), bound());
    let held = (&bound, Some(&server));
    for revoked in [by_us, by_them, by_claim, by_client] {
        let refused = redeem((&own, None), &good(), held, revoked.clone());
        assert_eq!(refused, Err(NoGrant::Revoked), "{revoked:?}");
    }
    let mut others = Revoked::default();
    others.subject(IDP, "bob", (MADE, None));
    others.subject("https://other.example", "alice", (MADE, None));
    others.subject(
        IDP,
        "alice",
        (Timestamp::from_seconds(MADE.seconds() - 1), None),
    );
    assert!(redeem((&own, None), &good(), held, others).is_ok());
}

#[test]
fn auth_03_nobody_is_vouched_for_by_a_provider_that_was_removed() {
    let (own, server, bound) = (client("app", false), resource(), bound());
    let form = form(&good());
    let mut trust = trust(Revoked::default());
    let signs_in_here = Vouching {
        claim: PROVIDER.to_owned(),
        by: [ISSUER.to_owned()].into(),
    };
    let own_issuer = trust.issuers.get_mut(ISSUER).unwrap();
    own_issuer.claims.provider = Some(signs_in_here);
    let request = Request {
        client: &own,
        key: None,
        form: &form,
    };
    let against = Against {
        issuer: ISSUER,
        resource: Some(&server),
        trust: &trust,
        vouches: IDP,
        made: MADE,
    };
    let refused = granted().redeem(&bound, &request, &against);
    assert_eq!(refused, Err(NoGrant::Revoked));
}

#[test]
fn cd_12_who_has_no_keys_does_not_come_for_itself() {
    let (mut agent, server) = (client("agent", false), resource());
    agent.grants = [GrantType::Client].into();
    agent.scopes = ["notes:read".to_owned()].into();
    let redirects = Policy {
        hosts: None,
        schemes: BTreeSet::new(),
        loopback: true,
    };
    let terms = Terms {
        issuer: ISSUER,
        redirects: &redirects,
        resources: &[&server],
    };
    let comes = |agent: &Client| {
        let granted = Granted::itself(agent, &form(&[("resource", TARGET)]), &terms);
        granted.map(|granted| granted.scopes)
    };
    assert_eq!(comes(&agent), Err(Wrong::Grant));
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "alg": "EdDSA",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes());
    agent.authentication = Authentication::Keys(Arc::new(keys.unwrap()));
    assert_eq!(comes(&agent), Ok(vec!["notes:read".to_owned()]));
    agent.grants.clear();
    assert_eq!(comes(&agent), Err(Wrong::Grant));
}

#[test]
fn cd_07_a_token_says_who_for_what_and_how_they_signed_in() {
    let given = Given {
        scopes: vec!["notes:read".to_owned()],
        key: Some(Thumbprint::of(b"key")),
        sealed: Some(Thumbprint::of(b"key")),
        lifetime: None,
    };
    let said = Said {
        issuer: ISSUER,
        id: "jti",
        family: "family",
        times: (MADE, MADE.plus(Duration::from_mins(10))),
    };
    let expected: Value = json!({
        "iss": ISSUER, "sub": "alice", "aud": TARGET, "client_id": "app",
        "scope": "notes:read", "iat": 1_800_000_000, "exp": 1_800_000_600, "jti": "jti",
        "grant_id": "family", "idp": IDP, "auth_time": 1_799_999_000,
        "groups": ["writers"], "roles": ["editor"], "acr": "gold", "amr": ["pwd"],
        "oid": "0a", "cnf": { "jkt": Thumbprint::of(b"key").to_string() },
    });
    assert_eq!(claims(&granted(), &given, &said), expected);
}
