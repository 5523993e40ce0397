//! The sessions that clients have with us where the server has none.

use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use portcullis_core::protocol::{Id, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge::{self, Introduced};
use portcullis_core::session::Open;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The most resources that one session may watch.
const MAX_WATCHED: usize = 1024;

/// What a question is answered with: nothing, if the client gave an error.
type Waiting = oneshot::Sender<Option<Box<RawValue>>>;

/// The sessions that clients have with us, by the id that stands for the server's own.
#[derive(Debug, Default)]
pub(in crate::upstream::bridge) struct Guests(Mutex<HashMap<Arc<str>, Arc<Guest>>>);

/// A client with a session.
#[derive(Debug)]
pub(in crate::upstream::bridge) struct Guest {
    owner: Arc<str>,
    introduced: Mutex<Introduced>,
    pub(super) last_question: AtomicU64,
    questions: Mutex<HashMap<Id, Waiting>>,
    under_way: Mutex<HashMap<Id, CancellationToken>>,
    pub(super) watched: watch::Sender<BTreeSet<String>>,
    pub(super) over: CancellationToken,
}

impl Guests {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of that session, if the session is one of these.
    pub(in crate::upstream::bridge) fn of(
        &self,
        open: Option<&Open>,
        owner: &Arc<str>,
    ) -> Option<Arc<Guest>> {
        let guest = self.table().get(open?.upstream.as_ref()?).cloned()?;
        (guest.owner == *owner).then_some(guest)
    }

    pub(super) fn admit(&self, guest: Guest) -> Result<Arc<str>, Unanswered> {
        let entropy: [u8; 32] = random::bytes().map_err(|_| Unanswered::NotRunning)?;
        let id: Arc<str> = format!("bridged:{}", URL_SAFE_NO_PAD.encode(entropy)).into();
        self.table().insert(Arc::clone(&id), Arc::new(guest));
        Ok(id)
    }

    /// Ends that session; `false` if it is none of these.
    pub(in crate::upstream::bridge) fn end(&self, session: &str) -> bool {
        let guest = self.table().remove(session);
        guest.as_ref().inspect(|guest| guest.over.cancel());
        guest.is_some()
    }
}

impl Guest {
    pub(super) fn new(owner: &Arc<str>, introduced: Introduced) -> Self {
        Self {
            owner: Arc::clone(owner),
            introduced: Mutex::new(introduced),
            last_question: AtomicU64::new(0),
            questions: Mutex::default(),
            under_way: Mutex::default(),
            watched: watch::Sender::default(),
            over: CancellationToken::new(),
        }
    }

    pub(super) fn introduced(&self) -> Introduced {
        self.introduced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Log messages from this level on are wanted.
    pub(super) fn wants(&self, level: String) {
        self.introduced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .level = Some(level);
    }

    /// Watches one resource more; `false` if that were too many.
    pub(super) fn watches(&self, uri: &str) -> bool {
        let is_full = self.watched.borrow().len() >= MAX_WATCHED;
        if !is_full {
            self.watched
                .send_if_modified(|all| all.insert(uri.to_owned()));
        }
        !is_full
    }

    pub(super) fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<Id, CancellationToken>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn questions(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Waiting>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of a client's under way; ends with it.
pub(super) struct Asking {
    pub(super) guest: Arc<Guest>,
    id: Id,
    pub(super) cancelled: CancellationToken,
}

impl Asking {
    pub(super) fn begin(guest: &Arc<Guest>, id: &Id) -> Self {
        let cancelled = guest.over.child_token();
        guest.under_way().insert(id.clone(), cancelled.clone());
        Self {
            guest: Arc::clone(guest),
            id: id.clone(),
            cancelled,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.guest.under_way().remove(&self.id);
    }
}

/// What a server without sessions does not know is answered here; `None` for what it does know.
pub(super) fn answer_here(guest: &Guest, asked: &Dispatch) -> Option<Result<Bytes, Unanswered>> {
    let method = asked.call().method();
    let done = || bridge::answered(asked, "{}");
    let failed = |code, text| bridge::failed(asked, code, text);
    let answer = if *method == Method::Ping {
        done()
    } else if *method == Method::SetLevel {
        match bridge::text_param(asked.call(), "level") {
            Some(level) => {
                guest.wants(level);
                done()
            }
            None => failed(-32602, "`level` must be a text"),
        }
    } else if *method == Method::ResourcesSubscribe {
        match bridge::text_param(asked.call(), "uri") {
            Some(uri) if guest.watches(&uri) => done(),
            Some(_) => failed(-32603, "too many subscriptions"),
            None => failed(-32602, "`uri` must be a text"),
        }
    } else if *method == Method::ResourcesUnsubscribe {
        let uri = bridge::text_param(asked.call(), "uri").unwrap_or_default();
        guest.watched.send_if_modified(|all| all.remove(&uri));
        done()
    } else if *method == Method::Initialize {
        failed(-32600, "already initialized")
    } else if method.is_of_tasks() {
        failed(-32601, "method not found")
    } else {
        return None;
    };
    Some(answer.ok_or(Unanswered::Foreign))
}
