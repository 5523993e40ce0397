//! An introspection endpoint (RFC 7662) that knows the tokens that a test has told it of.

use super::http::{Answer, Host, Seen};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub(crate) struct Oracle {
    host: Host,
    known: Arc<Mutex<HashMap<String, Value>>>,
    raw: Arc<Mutex<Option<(u16, String)>>>,
    hangs: Arc<AtomicBool>,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let known: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let raw: Arc<Mutex<Option<(u16, String)>>> = Arc::default();
        let hangs: Arc<AtomicBool> = Arc::default();
        let (tokens, instead, silent) = (known.clone(), raw.clone(), hangs.clone());
        let host = Host::start(move |seen| {
            let token = token_of(seen);
            let answer = tokens.lock().unwrap().get(&token).cloned();
            if silent.load(Ordering::Relaxed) && answer.is_none() {
                return Answer::Open(Vec::new());
            }
            if let Some((status, body)) = instead.lock().unwrap().clone() {
                return Answer::json(status, "", &body);
            }
            let answer = answer.unwrap_or_else(|| json!({ "active": false }));
            Answer::json(200, "", &answer.to_string())
        });
        Self {
            host,
            known,
            raw,
            hangs,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/introspect", self.host.url())
    }

    /// Says that of a token from now on.
    pub(crate) fn knows(&self, token: &str, answer: Value) {
        self.known.lock().unwrap().insert(token.to_owned(), answer);
    }

    /// Knows a token no more.
    pub(crate) fn forgets(&self, token: &str) {
        self.known.lock().unwrap().remove(token);
    }

    /// Says that of every token, or what it knows again.
    pub(crate) fn says(&self, status: u16, body: &str) {
        *self.raw.lock().unwrap() = (status > 0).then(|| (status, body.to_owned()));
    }

    /// Does not answer about tokens that it does not know.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    /// What it was asked.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        self.host.seen()
    }
}

/// Tokens of tests have no character that a form would write differently.
fn token_of(seen: &Seen) -> String {
    let mut fields = seen.body.split('&');
    let token = fields.find_map(|field| field.strip_prefix("token="));
    token.unwrap_or_default().to_owned()
}
