//! One reader for a session's own stream, and what we tell it ourselves: that a page of ours is finished.

use super::Gateway;
use super::frame;
use crate::authority::mark;
use bytes::Bytes;
use portcullis_core::refusal::{Refusal, Unacceptable};
use portcullis_core::session::SessionId;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many pages may be open, each for a session that was sent there; the oldest goes.
const MAX_OPEN: usize = 4096;
/// What one reader may have to hear at once.
const MAX_TOLD: usize = 8;

/// Who reads, and who was sent to which page.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Table>);

#[derive(Default)]
struct Table {
    reading: HashMap<SessionId, Sender<Bytes>>,
    /// By the digest of what the page is called: whoever knows that may open it.
    open: VecDeque<(String, SessionId)>,
}

/// The one reader of a session's own stream.
pub(super) struct Listening {
    gateway: Arc<Gateway>,
    id: SessionId,
    told: Receiver<Bytes>,
}

impl Readers {
    /// The client of this session was sent to this page (`elicitationId`).
    pub(super) fn sent_to(&self, page: &str, session: SessionId) {
        let (mut table, entry) = (self.table(), (mark(page), session));
        if table.open.contains(&entry) {
            return;
        }
        if table.open.len() >= MAX_OPEN {
            table.open.pop_front();
        }
        table.open.push_back(entry);
    }

    /// Its user is done with this page: tells the clients that were sent there, and nobody else, as far as they listen
    /// (2025-11-25 client/elicitation, completion notifications).
    pub(super) fn finished(&self, page: &str) {
        let (mut table, asked) = (self.table(), mark(page));
        let message = json!({
            "jsonrpc": "2.0", "method": "notifications/elicitation/complete",
            "params": { "elicitationId": page },
        });
        let event = frame::event(message.to_string().as_bytes());
        let Table { reading, open } = &mut *table;
        open.retain(|(page, session)| {
            let is_meant = *page == asked;
            if is_meant && let Some(reader) = reading.get(session) {
                // Whoever reads so slowly asks again by itself, as whoever does not listen.
                drop(reader.try_send(event.clone()));
            }
            !is_meant
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    pub(super) fn claim(gateway: &Arc<Gateway>, id: SessionId) -> Result<Self, Refusal> {
        let mut table = gateway.listening.table();
        if table.reading.contains_key(&id) {
            return Err(Unacceptable::StreamTaken.into());
        }
        let (tell, told) = channel(MAX_TOLD);
        table.reading.insert(id, tell);
        drop(table);
        Ok(Self {
            gateway: Arc::clone(gateway),
            id,
            told,
        })
    }

    /// What we tell it; where nobody listens, that never comes.
    pub(super) async fn hear(listening: &mut Option<Self>) -> Bytes {
        let heard = match listening {
            Some(listening) => listening.told.recv().await,
            None => None,
        };
        match heard {
            Some(event) => event,
            None => pending().await,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.gateway.listening.table().reading.remove(&self.id);
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_e07_who_was_sent_to_a_page_hears_once_that_it_is_finished() {
        let readers = Readers::default();
        let [mine, other] = [1, 2].map(|byte| SessionId::from_entropy([byte; 32]));
        let [mut heard, mut unheard] = [mine, other].map(|session| {
            let (tell, told) = channel(MAX_TOLD);
            readers.table().reading.insert(session, tell);
            told
        });
        readers.sent_to("page", mine);
        readers.sent_to("page", mine);
        readers.sent_to("another", other);
        readers.finished("page");
        readers.finished("page");
        let event = heard.try_recv().unwrap();
        let text = String::from_utf8(event.to_vec()).unwrap();
        assert!(text.contains(r#""elicitationId":"page""#), "{text}");
        assert!(heard.try_recv().is_err() && unheard.try_recv().is_err());
        for number in 0..=MAX_OPEN {
            readers.sent_to(&number.to_string(), mine);
        }
        assert_eq!(readers.table().open.len(), MAX_OPEN);
        // A reader that does not read holds nobody up.
        for number in 1..=MAX_OPEN {
            readers.finished(&number.to_string());
        }
        assert!(readers.table().open.is_empty());
    }
}
