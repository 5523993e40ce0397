//! A transmitter of security events that are fetched from it (RFC 8936): it keeps each until it is acknowledged.

use super::gateway::wait_for;
use super::http::{Answer, Host, Seen};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long it lets wait who has patience.
const WAIT: Duration = Duration::from_secs(5);

/// What it does.
#[derive(Debug, Clone, Default)]
pub(crate) enum Doing {
    /// What it should.
    #[default]
    Duty,
    /// It answers with this alone.
    Says(u16, &'static str, String),
    /// It does not answer who acknowledges anything, and takes no notice of it.
    Deaf,
    /// It sends again what was acknowledged.
    Forgetful,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<String, String>,
    taken: Vec<String>,
    refused: BTreeMap<String, Value>,
    doing: Doing,
}

#[derive(Clone)]
pub(crate) struct Transmitter {
    host: Host,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Transmitter {
    /// One that knows who asks by this bearer token.
    pub(crate) fn start(bearer: &str) -> Self {
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let (own, expected) = (Arc::clone(&state), format!("Bearer {bearer}"));
        let host = Host::start(move |seen| {
            if seen.header("authorization") != Some(expected.as_str()) {
                return Answer::status(401);
            }
            answer(seen, &own)
        });
        Self { host, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/poll", self.host.url())
    }

    /// Has an event for whoever asks.
    pub(crate) fn has(&self, id: &str, token: &str) {
        let (state, told) = &*self.state;
        let mut state = state.lock().unwrap();
        state.waiting.insert(id.to_owned(), token.to_owned());
        told.notify_all();
    }

    pub(crate) fn does(&self, doing: Doing) {
        let (state, told) = &*self.state;
        state.lock().unwrap().doing = doing;
        told.notify_all();
    }

    /// Waits until an event is acknowledged.
    pub(crate) fn until_taken(&self, id: &str) {
        wait_for("the event to be acknowledged", || {
            let taken = &self.state.0.lock().unwrap().taken;
            taken.iter().any(|own| own == id).then_some(())
        });
    }

    /// Waits until an event is refused; gives the code.
    pub(crate) fn until_refused(&self, id: &str) -> String {
        wait_for("the event to be refused", || {
            let said = self.state.0.lock().unwrap().refused.get(id).cloned();
            Some(said?["err"].as_str().unwrap().to_owned())
        })
    }

    /// Whether an event was acknowledged.
    pub(crate) fn is_taken(&self, id: &str) -> bool {
        self.state
            .0
            .lock()
            .unwrap()
            .taken
            .iter()
            .any(|own| own == id)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.host.seen()
    }
}

fn answer(seen: &Seen, shared: &(Mutex<State>, Condvar)) -> Answer {
    let (state, told) = shared;
    let asked: Value = serde_json::from_str(&seen.body).unwrap();
    let mut state = state.lock().unwrap();
    let acknowledged: Vec<String> = serde_json::from_value(asked["ack"].clone()).unwrap();
    match state.doing.clone() {
        Doing::Says(status, headers, body) => return Answer::json(status, headers, &body),
        Doing::Deaf if !acknowledged.is_empty() => return Answer::Open(Vec::new()),
        Doing::Forgetful => {}
        Doing::Duty | Doing::Deaf => {
            state.waiting.retain(|id, _| !acknowledged.contains(id));
        }
    }
    state.taken.extend(acknowledged);
    let refused: Map<String, Value> =
        serde_json::from_value(asked.get("setErrs").cloned().unwrap_or(json!({}))).unwrap();
    for (id, why) in refused {
        state.waiting.remove(&id);
        state.refused.insert(id, why);
    }
    if asked["returnImmediately"] == false {
        let is_idle = |state: &mut State| {
            state.waiting.is_empty() && matches!(state.doing, Doing::Duty | Doing::Deaf)
        };
        state = told.wait_timeout_while(state, WAIT, is_idle).unwrap().0;
    }
    let most = usize::try_from(asked["maxEvents"].as_u64().unwrap()).unwrap();
    let sets: Map<String, Value> = state
        .waiting
        .iter()
        .take(most)
        .map(|(id, token)| (id.clone(), json!(token)))
        .collect();
    let more = state.waiting.len() > sets.len();
    let answer = json!({ "sets": sets, "moreAvailable": more });
    Answer::json(200, "", &answer.to_string())
}
