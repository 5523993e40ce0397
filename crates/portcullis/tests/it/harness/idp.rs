//! An OAuth issuer: metadata (RFC 8414), keys, and whatever tokens a test asks for.

use super::http::{Answer, Host, Seen};
use super::jwt::{Draft, Key};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

struct State {
    published: Vec<Key>,
    /// Further members of the key set, which verify nothing.
    others: Vec<Value>,
    /// Where below its own URL the issuer is; its metadata is there only (OpenID Connect Discovery).
    path: &'static str,
    /// What the metadata says instead of the truth.
    named: Option<String>,
    /// Where the metadata says that the keys are, if not here.
    keys_at: Option<String>,
    manner: Manner,
}

/// How an issuer answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// As most do.
    Usual,
    /// It closes the connection after each answer, whose length it says.
    Closes,
    /// It closes the connection, and that is the answer's end (HTTP/1.0).
    Ends,
    /// It takes the request and never answers.
    Hangs,
}

pub(crate) struct Idp {
    host: Host,
    state: Arc<Mutex<State>>,
    signing: Key,
}

impl Idp {
    /// An issuer with one key of each kind; it signs with the Ed25519 one.
    pub(crate) fn start() -> Self {
        Self::start_at("")
    }

    /// The same as one of many at its URL, as those of large providers are.
    pub(crate) fn start_at(path: &'static str) -> Self {
        let signing = Key::ed("ed-1");
        let published = vec![signing.clone(), Self::rsa(), Key::ec("ec-1")];
        let state = Arc::new(Mutex::new(State {
            published,
            others: Vec::new(),
            path,
            named: None,
            keys_at: None,
            manner: Manner::Usual,
        }));
        let answering = Arc::clone(&state);
        let address: Arc<OnceLock<String>> = Arc::default();
        let own = Arc::clone(&address);
        let host =
            Host::start(move |seen| answer(seen, &answering.lock().unwrap(), own.get().unwrap()));
        address.set(host.url()).unwrap();
        Self {
            host,
            state,
            signing,
        }
    }

    /// The RSA key of every issuer here: it takes long to make, and no test changes it.
    pub(crate) fn rsa() -> Key {
        static RSA: OnceLock<Key> = OnceLock::new();
        RSA.get_or_init(|| Key::rsa("rsa-1")).clone()
    }

    pub(crate) fn issuer(&self) -> String {
        self.host.url() + self.state.lock().unwrap().path
    }

    /// The provider's own URL.
    pub(crate) fn authority(&self) -> String {
        self.host.url()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// The key of this id.
    pub(crate) fn key(&self, id: &str) -> Key {
        self.state
            .lock()
            .unwrap()
            .published
            .iter()
            .find(|key| key.id == id)
            .unwrap()
            .clone()
    }

    /// Replaces what is published.
    pub(crate) fn publish(&self, keys: &[Key]) {
        self.state.lock().unwrap().published = keys.to_vec();
    }

    /// Publishes this beside the keys.
    pub(crate) fn publish_also(&self, other: Value) {
        self.state.lock().unwrap().others.push(other);
    }

    /// Answers like that from now on.
    pub(crate) fn behave(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// Names another issuer in the metadata.
    pub(crate) fn lie(&self, issuer: &str) {
        self.state.lock().unwrap().named = Some(issuer.to_owned());
    }

    /// Says in the metadata that the keys are there.
    pub(crate) fn keys_are_at(&self, url: &str) {
        self.state.lock().unwrap().keys_at = Some(url.to_owned());
    }

    /// The keys as it publishes them.
    pub(crate) fn key_set(&self) -> String {
        let state = self.state.lock().unwrap();
        let keys: Vec<Value> = state.published.iter().map(Key::jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// How often it was asked for anything.
    pub(crate) fn requests(&self) -> usize {
        self.host.seen().len()
    }

    /// How often the keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        self.host
            .seen()
            .iter()
            .filter(|seen| seen.target == "/jwks")
            .count()
    }

    /// A token that is good unless it is changed.
    pub(crate) fn draft(&self, subject: &str, audience: &str) -> Draft {
        Draft::new(&self.issuer(), subject, audience, &self.signing)
    }
}

fn answer(seen: &Seen, state: &State, url: &str) -> Answer {
    let discovery = match state.path.trim_end_matches('/') {
        "" if state.path.is_empty() => "/.well-known/oauth-authorization-server".to_owned(),
        path => format!("{path}/.well-known/openid-configuration"),
    };
    match seen.target.as_str() {
        target if target == discovery => {
            let own = format!("{url}{}", state.path);
            let named = state.named.as_deref().unwrap_or(&own);
            let keys = format!("{url}/jwks");
            let jwks = state.keys_at.as_ref().unwrap_or(&keys);
            state
                .manner
                .says(&json!({ "issuer": named, "jwks_uri": jwks }))
        }
        "/jwks" => {
            let keys = state.published.iter().map(Key::jwk);
            let keys: Vec<Value> = state.others.iter().cloned().chain(keys).collect();
            state.manner.says(&json!({ "keys": keys }))
        }
        _ => Answer::status(404),
    }
}

impl Manner {
    fn says(self, document: &Value) -> Answer {
        let text = document.to_string();
        match self {
            Self::Usual => Answer::json(200, "", &text),
            Self::Closes => Answer::json(200, "connection: close\r\n", &text),
            Self::Ends => Answer::Bytes(
                format!("HTTP/1.0 200 x\r\nconnection: close\r\n\r\n{text}").into_bytes(),
            ),
            Self::Hangs => Answer::Open(Vec::new()),
        }
    }
}
