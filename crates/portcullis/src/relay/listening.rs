//! Who listens to what is said unasked, and what we tell them ourselves: that a page of ours is finished, and that a list
//! is another one since somebody has decided.

use super::{Gateway, Live};
use crate::authority::mark;
use crate::upstream::{Content, Reply, Teller, queue, told};
use bytes::Bytes;
use portcullis_core::catalog::{Kind, change};
use portcullis_core::protocol::{Call, Filter, Id, Method};
use portcullis_core::refusal::{Refusal, Unacceptable};
use portcullis_core::route::Ticket;
use portcullis_core::route::aggregate::AGGREGATE;
use portcullis_core::route::bridge::error_code;
use portcullis_core::session::SessionId;
use serde_json::json;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many pages may be open, each for a session that was sent there; the oldest goes.
const MAX_OPEN: usize = 4096;
/// What one reader may have to hear at once.
const MAX_TOLD: usize = 8;
const UNKNOWN_METHOD: i64 = -32601;

/// Who reads, and who was sent to which page.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Table>);

#[derive(Default)]
struct Table {
    reading: HashMap<Seat, Reader>,
    /// How many have subscribed, or read on.
    last: u64,
    /// By the digest of what the page is called: whoever knows that may open it.
    open: VecDeque<(String, SessionId)>,
}

/// As whom somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Seat {
    /// The one reader of a session's own stream.
    Session(SessionId),
    /// One who reads on where that broke, by its number.
    Rest(SessionId, u64),
    /// A subscription (2026-07-28), by its number.
    Subscription(u64),
}

impl Seat {
    /// Whether it is one of this session.
    fn is_of(self, session: SessionId) -> bool {
        match self {
            Self::Session(own) | Self::Rest(own, _) => own == session,
            Self::Subscription(_) => false,
        }
    }
}

/// Somebody who listens.
struct Reader {
    server: Arc<str>,
    /// What of it a subscription wants, and its id.
    wants: Option<(Filter, Id)>,
    tell: Sender<Bytes>,
}

impl Reader {
    /// Whoever reads so slowly asks again by itself, as whoever does not listen.
    fn hears(&self, message: &Bytes) {
        let said = match &self.wants {
            Some((filter, id)) => filter.tagged(message, id),
            None => Some(message.clone()),
        };
        if let Some(said) = said {
            drop(self.tell.try_send(said));
        }
    }
}

/// A place among those who listen, until it is dropped.
pub(super) struct Listening {
    gateway: Arc<Gateway>,
    seat: Seat,
    told: Receiver<Bytes>,
    /// Keeps a stream open on which its server says nothing.
    silent: Option<Teller>,
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
        let message = Bytes::from(message.to_string());
        let Table { reading, open, .. } = &mut *table;
        open.retain(|(page, session)| {
            let is_meant = *page == asked;
            let own = |(seat, _): &(&Seat, &Reader)| is_meant && seat.is_of(*session);
            // A client that hears it twice leaves the second one aside (2025-11-25 client/elicitation).
            for (_, reader) in reading.iter().filter(own) {
                reader.hears(&message);
            }
            !is_meant
        });
    }

    /// Lists of a server are others than before: tells whoever listens to it, by itself or with all the others.
    pub(crate) fn lists_changed(&self, server: &str, kinds: &[Kind]) {
        let names: BTreeSet<&str> = kinds.iter().filter_map(|kind| change(*kind)).collect();
        let messages = names.into_iter().map(|name| {
            let message = json!({ "jsonrpc": "2.0", "method": name });
            Bytes::from(message.to_string())
        });
        let (messages, table): (Vec<Bytes>, _) = (messages.collect(), self.table());
        let is_meant = |reader: &&Reader| *reader.server == *server || &*reader.server == AGGREGATE;
        for reader in table.reading.values().filter(is_meant) {
            for message in &messages {
                reader.hears(message);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// The session's own stream, which has one reader.
    pub(super) fn claim(
        gateway: &Arc<Gateway>,
        server: &Arc<str>,
        id: SessionId,
    ) -> Result<Self, Refusal> {
        let seat = Seat::Session(id);
        if gateway.listening.table().reading.contains_key(&seat) {
            return Err(Unacceptable::StreamTaken.into());
        }
        Ok(Self::take(gateway, seat, (server, None)))
    }

    /// The rest of the session's own stream, which broke.
    pub(super) fn goes_on(gateway: &Arc<Gateway>, server: &Arc<str>, id: SessionId) -> Self {
        let mut table = gateway.listening.table();
        table.last += 1;
        let seat = Seat::Rest(id, table.last);
        drop(table);
        Self::take(gateway, seat, (server, None))
    }

    /// A subscription, if that is what is asked for.
    pub(super) fn subscribed(
        gateway: &Arc<Gateway>,
        server: &Arc<str>,
        call: &Call,
    ) -> Option<Self> {
        let is_asked = *call.method() == Method::Listen;
        let wants = is_asked.then(|| Filter::of(call).zip(call.id().cloned()))??;
        let mut table = gateway.listening.table();
        table.last += 1;
        let seat = Seat::Subscription(table.last);
        drop(table);
        Some(Self::take(gateway, seat, (server, Some(wants))))
    }

    fn take(
        gateway: &Arc<Gateway>,
        seat: Seat,
        (server, wants): (&Arc<str>, Option<(Filter, Id)>),
    ) -> Self {
        let (tell, told) = channel(MAX_TOLD);
        let server = Arc::clone(server);
        let reader = Reader {
            server,
            wants,
            tell,
        };
        gateway.listening.table().reading.insert(seat, reader);
        Self {
            gateway: Arc::clone(gateway),
            seat,
            told,
            silent: None,
        }
    }

    /// The stream of a server that has none: what we tell ourselves comes on it, after what a subscription begins with.
    pub(super) async fn instead(&mut self) -> Reply {
        let (tell, said) = queue(1);
        let first = {
            let table = self.gateway.listening.table();
            let wants = table.reading.get(&self.seat);
            let wants = wants.and_then(|reader| reader.wants.as_ref());
            wants.map(|(filter, id)| filter.acknowledgement(id))
        };
        if let Some(first) = first {
            tell.send(Ok(first)).await.ok();
        }
        self.silent = Some(tell);
        told(said)
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

/// Whether a server is held to what was approved, so that a decision makes its lists other ones.
pub(super) fn is_held(live: &Live, server: &str) -> bool {
    let server = live.rules.servers.get(server);
    server.is_some_and(|server| server.terms.is_binding())
}

/// The reply to a subscription; of our own, where a server that is held to what was approved knows none.
pub(super) async fn heard(
    live: &Live,
    ticket: &Ticket,
    (reply, listening): (Reply, &mut Option<Listening>),
) -> Reply {
    let is_unknown = match &reply.content {
        Content::Message(answer) => error_code(answer) == Some(UNKNOWN_METHOD),
        Content::Events(_) | Content::Empty => false,
    };
    match listening {
        Some(own) if is_unknown && is_held(live, ticket.server()) => own.instead().await,
        Some(_) | None => reply,
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.gateway.listening.table().reading.remove(&self.seat);
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

    fn reads(
        readers: &Readers,
        seat: Seat,
        (server, wants): (&str, Option<(Filter, Id)>),
    ) -> Receiver<Bytes> {
        let (tell, told) = channel(MAX_TOLD);
        let server = server.into();
        let reader = Reader {
            server,
            wants,
            tell,
        };
        readers.table().reading.insert(seat, reader);
        told
    }

    #[test]
    fn dyn_03_who_listens_to_a_server_hears_that_its_list_is_another_one() {
        let readers = Readers::default();
        let session = |byte| Seat::Session(SessionId::from_entropy([byte; 32]));
        let wants = |is_wanted| Filter {
            tools_list_changed: is_wanted,
            ..Filter::default()
        };
        let id = || Id::read(&serde_json::value::RawValue::from_string("7".to_owned()).unwrap());
        let (wanted, unwanted) = (wants(true), wants(false));
        let mut own = reads(&readers, session(1), ("notes", None));
        let mut all = reads(&readers, session(2), (AGGREGATE, None));
        let mut other = reads(&readers, session(3), ("calc", None));
        let subscribed = Some((wanted, id().unwrap()));
        let mut subscribed = reads(&readers, Seat::Subscription(1), ("notes", subscribed));
        let silent = Some((unwanted, id().unwrap()));
        let mut silent = reads(&readers, Seat::Subscription(2), ("notes", silent));
        readers.lists_changed("notes", &[Kind::Tool, Kind::Server]);
        for heard in [&mut own, &mut all, &mut subscribed] {
            let said: serde_json::Value =
                serde_json::from_slice(&heard.try_recv().unwrap()).unwrap();
            assert_eq!(said["method"], "notifications/tools/list_changed");
            assert!(heard.try_recv().is_err(), "one message for one change");
        }
        assert!(other.try_recv().is_err() && silent.try_recv().is_err());
        readers.lists_changed("notes", &[Kind::Resource, Kind::Template]);
        assert!(own.try_recv().is_ok() && own.try_recv().is_err());
        // Nobody is held up by who does not read.
        for _ in 0..=MAX_TOLD {
            readers.lists_changed("calc", &[Kind::Prompt]);
        }
    }

    #[test]
    fn rs_e07_who_was_sent_to_a_page_hears_once_that_it_is_finished() {
        let readers = Readers::default();
        let [mine, other] = [1, 2].map(|byte| SessionId::from_entropy([byte; 32]));
        let [mut heard, mut unheard] =
            [mine, other].map(|session| reads(&readers, Seat::Session(session), ("notes", None)));
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
