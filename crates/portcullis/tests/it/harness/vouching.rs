//! An identity provider that vouches for its users (ID-JAG), and the authorization server of a service that takes its word.
//! Both look at everything that they are given.

use super::gateway::now;
use super::http::{Answer, Host, Seen};
use super::issuing::{form, published, read, rules};
use super::jwt::{Draft, Key};
use jsonwebtoken::{Algorithm, decode_header};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

/// The URI of the service.
pub(crate) const RESOURCE: &str = "https://notes.example/mcp";
/// The gateway's name and secret at the identity provider, and its name at the authorization server.
pub(crate) const AT_IDP: (&str, &str) = ("gate-at-idp", "idp-secret-5d");
pub(crate) const AT_AUTHORITY: &str = "gate-at-authority";

type Form = BTreeMap<String, String>;

/// What they know, and how they misbehave.
#[derive(Default)]
struct State {
    gateway: Option<SocketAddr>,
    issuer: Option<(String, Key)>,
    /// What is said instead: by the identity provider, in its grant (`typ` is its header's), by the authorization server.
    said: Option<(u16, Value)>,
    granted: Value,
    issued: Option<(u16, Value)>,
    used: BTreeSet<String>,
}

/// Both of them.
#[derive(Clone)]
pub(crate) struct Vouching {
    idp: Host,
    authority: Host,
    state: Arc<Mutex<State>>,
    signing: Key,
}

impl Vouching {
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (granting, signing) = (Key::ec("idp-1"), Key::ec("as-1"));
        let urls: Arc<OnceLock<(String, String)>> = Arc::default();
        let (known, named, key) = (Arc::clone(&state), Arc::clone(&urls), granting.clone());
        let idp = Host::start(move |seen| {
            let (mut state, urls) = (known.lock().unwrap(), named.get().unwrap());
            answer(grant(seen, &mut state, urls, &key), state.said.as_ref())
        });
        let (known, named, key) = (Arc::clone(&state), Arc::clone(&urls), signing.clone());
        let authority = Host::start(move |seen| {
            let (mut state, urls) = (known.lock().unwrap(), named.get().unwrap());
            let issued = issue(seen, &mut state, urls, (&granting, &key));
            answer(issued, state.issued.as_ref())
        });
        urls.set((idp.url(), authority.url())).unwrap();
        Self {
            idp,
            authority,
            state,
            signing,
        }
    }

    /// The table `credentials` for the service; its audience is its URI.
    pub(crate) fn table(&self, server: &str) -> String {
        format!(
            "[servers.{server}.credentials]\nkind = \"id-jag\"\naudience = \"{RESOURCE}\"\nscopes = [\"mcp\"]\n\
             resource = \"{RESOURCE}\"\nissuer = \"{}\"\ntoken_endpoint = \"{0}/token\"\nclient_id = \"{AT_AUTHORITY}\"\n\
             [servers.{server}.credentials.idp]\ntoken_endpoint = \"{}/token\"\nclient_id = \"{}\"\n\
             client_secret = {{ env = \"AT_IDP\" }}\n",
            self.authority.url(),
            self.idp.url(),
            AT_IDP.0
        )
    }

    /// Trusts this gateway, and what this issuer has signed for it.
    pub(crate) fn trust(&self, gateway: SocketAddr, issuer: &str, key: Key) {
        let mut state = self.state.lock().unwrap();
        state.gateway = Some(gateway);
        state.issuer = Some((issuer.to_owned(), key));
    }

    /// The identity provider answers with this status, and with these members instead.
    pub(crate) fn says(&self, status: u16, change: Value) {
        self.state.lock().unwrap().said = Some((status, change));
    }

    /// Its grants have these claims instead.
    pub(crate) fn grants(&self, change: Value) {
        self.state.lock().unwrap().granted = change;
    }

    /// The authorization server answers with this status, and with these members instead.
    pub(crate) fn issues(&self, status: u16, change: Value) {
        self.state.lock().unwrap().issued = Some((status, change));
    }

    /// Both behave again.
    pub(crate) fn recovers(&self) {
        let mut state = self.state.lock().unwrap();
        (state.said, state.granted, state.issued) = (None, Value::Null, None);
    }

    /// What the identity provider and the authorization server were sent.
    pub(crate) fn seen(&self) -> [Vec<Seen>; 2] {
        [self.idp.seen(), self.authority.seen()]
    }

    /// What a token of the authorization server says, if it is for the service.
    pub(crate) fn verified(&self, token: &str) -> Result<Value, String> {
        let rules = rules(Algorithm::ES256, &self.authority.url(), RESOURCE);
        read(token, &json!({ "keys": [self.signing.jwk()] }), &rules)
    }
}

fn answer(made: Result<Value, String>, instead: Option<&(u16, Value)>) -> Answer {
    let mut made = match made {
        Ok(made) => made,
        Err(why) => {
            let body = json!({ "error": "invalid_request", "error_description": why });
            return Answer::json(400, "", &body.to_string());
        }
    };
    let Some((status, change)) = instead else {
        return Answer::json(200, "", &made.to_string());
    };
    for (name, value) in change.as_object().unwrap() {
        made[name] = value.clone();
    }
    Answer::json(*status, "", &made.to_string())
}

/// Exactly these fields, with these values where they are known.
fn expect(form: &Form, fields: &[(&str, Option<&str>)]) -> Result<(), String> {
    let wanted: BTreeSet<&str> = fields.iter().map(|(name, _)| *name).collect();
    let came: BTreeSet<&str> = form.keys().map(String::as_str).collect();
    if wanted != came {
        return Err(format!("{came:?}"));
    }
    for (name, value) in fields {
        if value.is_some_and(|value| form[*name] != value) {
            return Err((*name).to_owned());
        }
    }
    Ok(())
}

fn posted(seen: &Seen) -> Result<Form, String> {
    let is_form = seen.header("content-type") == Some("application/x-www-form-urlencoded");
    if seen.method != "POST" || seen.target != "/token" || !is_form {
        return Err(seen.target.clone());
    }
    Ok(form(&seen.body))
}

/// The identity provider (draft-ietf-oauth-identity-assertion-authz-grant, section 4.3).
fn grant(
    seen: &Seen,
    state: &mut State,
    (idp, authority): &(String, String),
    key: &Key,
) -> Result<Value, String> {
    let form = posted(seen)?;
    // `gate-at-idp:idp-secret-5d`
    if seen.header("authorization") != Some("Basic Z2F0ZS1hdC1pZHA6aWRwLXNlY3JldC01ZA==") {
        return Err("invalid_client".to_owned());
    }
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let jag = "urn:ietf:params:oauth:token-type:id-jag";
    let access = "urn:ietf:params:oauth:token-type:access_token";
    expect(
        &form,
        &[
            ("grant_type", Some(exchange)),
            ("requested_token_type", Some(jag)),
            ("audience", Some(authority)),
            ("resource", Some(RESOURCE)),
            ("subject_token", None),
            ("subject_token_type", Some(access)),
            ("scope", None),
        ],
    )?;
    let (issuer, own) = state.issuer.as_ref().ok_or("no issuer")?;
    let here = format!("http://{}/servers/notes/mcp", state.gateway.unwrap());
    let rules = rules(Algorithm::EdDSA, issuer, &here);
    let keys = json!({ "keys": [own.jwk()] });
    let claims = read(&form["subject_token"], &keys, &rules)?;
    let mut draft = Draft::new(idp, claims["sub"].as_str().unwrap(), authority, key)
        .header("typ", "oauth-id-jag+jwt")
        .claim("client_id", AT_AUTHORITY)
        .claim("resource", RESOURCE)
        .claim("scope", form["scope"].as_str())
        .claim("exp", now() + 300);
    for (name, value) in state.granted.as_object().into_iter().flatten() {
        draft = match name.as_str() {
            "typ" => draft.header("typ", value.clone()),
            name if value.is_null() => draft.without(name),
            name => draft.claim(name, value.clone()),
        };
    }
    Ok(json!({
        "access_token": draft.sign(), "token_type": "N_A", "issued_token_type": jag, "expires_in": 300,
        "scope": form["scope"],
    }))
}

/// The authorization server (RFC 7523 section 2.1): the grant is of that identity provider, for us, and comes once.
fn issue(
    seen: &Seen,
    state: &mut State,
    (idp, own): &(String, String),
    (theirs, key): (&Key, &Key),
) -> Result<Value, String> {
    let form = posted(seen)?;
    let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    expect(
        &form,
        &[
            ("grant_type", Some(bearer)),
            ("assertion", None),
            ("resource", Some(RESOURCE)),
            ("scope", None),
            ("client_id", Some(AT_AUTHORITY)),
            ("client_assertion_type", Some(kind)),
            ("client_assertion", None),
        ],
    )?;
    let keys = published(state.gateway.unwrap(), "/.well-known/client-jwks.json")?;
    let whose = rules(Algorithm::ES256, AT_AUTHORITY, own);
    let client = read(&form["client_assertion"], &keys, &whose)?;
    let grant = &form["assertion"];
    let header = decode_header(grant).map_err(|error| error.to_string())?;
    let rules = rules(Algorithm::ES256, idp, own);
    let claims = read(grant, &json!({ "keys": [theirs.jwk()] }), &rules)?;
    let is_ours = client["sub"] == AT_AUTHORITY
        && header.typ.as_deref() == Some("oauth-id-jag+jwt")
        && claims["client_id"] == AT_AUTHORITY
        && claims["resource"] == RESOURCE
        && state.used.insert(claims["jti"].to_string())
        && state.used.insert(client["jti"].to_string());
    if !is_ours {
        return Err("assertion".to_owned());
    }
    let token = Draft::new(own, claims["sub"].as_str().unwrap(), RESOURCE, key)
        .claim("client_id", AT_AUTHORITY)
        .claim("scope", form["scope"].as_str())
        .claim("exp", now() + 60);
    Ok(json!({
        "access_token": token.sign(), "token_type": "Bearer", "expires_in": 60, "scope": form["scope"],
    }))
}
