//! Before something is called: does the server still define it as it was approved? It is asked, where what it
//! listed is too old.

use super::Gateway;
use crate::clock;
use crate::upstream::{Carried, Content, Events, Reply, Upstream, beside};
use bytes::Bytes;
use portcullis_core::catalog::{Kind, Page, Terms, Unapproved, lists};
use portcullis_core::inspect::whole_list;
use portcullis_core::pipeline::{self, Rules, Trail};
use portcullis_core::protocol::Method;
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::route::{Dispatch, Part, Ticket, listed};
use portcullis_core::session::NoSession;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a server may take for its whole list.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a call waits for the list that another call has asked for, before it asks itself.
const TURN: Duration = Duration::from_secs(2);
/// The most pages of a list.
const MAX_PAGES: usize = 64;
/// The most entries of a list, and the most bytes of them.
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// What a server may say before it answers.
const MAX_BEFORE: usize = 64;

type Turn = Arc<Semaphore>;

/// Who is asking servers for their lists. INVARIANT: as many as there are servers and kinds of lists.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    turns: Mutex<HashMap<(Arc<str>, Kind), Turn>>,
    number: AtomicU64,
}

impl Asking {
    fn turn(&self, server: &Arc<str>, kind: Kind) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry((Arc::clone(server), kind));
        Arc::clone(turn.or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

impl Gateway {
    /// Lets a call go up that was permitted, if what it calls is what was approved.
    ///
    /// # Errors
    /// [`Refusal`]: it is not, or nobody knows.
    pub(super) async fn expect_approved(
        &self,
        rules: &Rules,
        upstream: &Arc<Upstream>,
        (asked, ticket, carried): (&Dispatch, &mut Ticket, &Carried),
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        let Some((terms, kind, name)) = pipeline::needs_approval(rules, asked) else {
            return Ok(());
        };
        let lists = lists_of(kind).iter().map(|(kind, method)| List {
            gateway: self,
            upstream,
            asked,
            carried,
            kind: *kind,
            method,
        });
        let mut is_shared = false;
        for list in lists.clone() {
            is_shared |= Box::pin(list.refresh(terms)).await? == Asked::Shared;
        }
        let found = pipeline::expect_approved(&self.state, (asked, ticket), (kind, name), trail);
        let is_removed = matches!(found, Err(Refusal::Unapproved(Unapproved::Removed)));
        if !(is_removed && is_shared) {
            return found;
        }
        // It was somebody else who was not shown it.
        for list in lists {
            Box::pin(list.ask(terms)).await?;
        }
        pipeline::expect_approved(&self.state, (asked, ticket), (kind, name), trail)
    }
}

/// The lists in which something of a kind may stand.
const fn lists_of(kind: Kind) -> &'static [(Kind, Method)] {
    match kind {
        Kind::Tool => &[(Kind::Tool, Method::ToolsList)],
        Kind::Prompt => &[(Kind::Prompt, Method::PromptsList)],
        Kind::Resource | Kind::Template => &[
            (Kind::Resource, Method::ResourcesList),
            (Kind::Template, Method::ResourceTemplatesList),
        ],
        Kind::Server => &[],
    }
}

/// For whom the list was asked for that a call is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// For this call.
    Now,
    /// For another one, maybe of somebody else.
    Shared,
}

/// A list that a call depends on.
struct List<'a> {
    gateway: &'a Gateway,
    upstream: &'a Arc<Upstream>,
    asked: &'a Dispatch,
    carried: &'a Carried,
    kind: Kind,
    method: &'static Method,
}

impl List<'_> {
    /// Asks for it, unless that was done since the call came, or not too long before. Calls that come meanwhile share
    /// the next answer.
    async fn refresh(&self, terms: Terms) -> Result<Asked, Refusal> {
        let came = clock::now();
        let server = self.asked.server();
        let is_stale = || {
            let pinned = &self.gateway.state.pinned;
            pinned.is_stale(server, self.kind, terms, came)
        };
        if !is_stale() {
            return Ok(Asked::Shared);
        }
        let turn = self.gateway.asking.turn(server, self.kind);
        // Who does not get its turn asks all the same: nobody's slow server holds up the others.
        let _turn = timeout(TURN, turn.acquire()).await;
        if !is_stale() {
            return Ok(Asked::Shared);
        }
        self.ask(terms).await?;
        Ok(Asked::Now)
    }

    async fn ask(&self, terms: Terms) -> Result<(), Refusal> {
        let began = clock::now();
        let read = timeout(PATIENCE, self.read()).await;
        let entries = read.map_err(|_| Unanswered::Timeout)??;
        let page = Page {
            server: self.asked.server(),
            terms,
            kind: self.kind,
            whole: Some(began),
        };
        whole_list(&self.gateway.state.pinned, &page, &entries);
        Ok(())
    }

    /// All pages.
    async fn read(&self) -> Result<Vec<Box<serde_json::value::RawValue>>, Refusal> {
        let (mut all, mut bytes, mut cursor) = (Vec::new(), 0, None::<String>);
        for _ in 0..MAX_PAGES {
            let part = self.page(cursor.as_deref()).await?;
            bytes += part
                .entries
                .iter()
                .map(|one| one.get().len())
                .sum::<usize>();
            all.extend(part.entries);
            if all.len() > MAX_ENTRIES || bytes > MAX_BYTES {
                return Err(Unanswered::TooLarge.into());
            }
            cursor = part.next;
            if cursor.is_none() {
                return Ok(all);
            }
        }
        Err(Unanswered::TooLarge.into())
    }

    async fn page(&self, cursor: Option<&str>) -> Result<Part, Refusal> {
        let number = self.gateway.asking.number.fetch_add(1, Ordering::Relaxed);
        let page = self.asked.listing(self.method, cursor, number);
        let page = page.ok_or(Unanswered::Foreign)?;
        // It is a message of its own, by which `page` is known when it has gone up.
        let held = page.listing(self.method, cursor, number);
        let held = held.ok_or(Unanswered::Foreign)?;
        let carried = beside(&page, self.carried);
        let reply: Reply = self.upstream.call(page, &carried).await?;
        if reply.status == 404 && !held.call().revision().is_stateless() {
            return Err(NoSession::Unknown.into());
        }
        let answer = match reply.content {
            Content::Message(message) => self.answer(&held, &message),
            Content::Events(events) => self.answer_among(&held, events).await?,
            Content::Empty => None,
        };
        let part = answer.ok_or(Unanswered::Foreign)?;
        part.map_err(|_| Unanswered::Foreign.into())
    }

    fn answer(&self, asked: &Dispatch, message: &Bytes) -> Option<Listed> {
        let (_, member) = lists(self.method)?;
        listed(asked, member, message)
    }

    async fn answer_among(
        &self,
        asked: &Dispatch,
        mut events: Events,
    ) -> Result<Option<Listed>, Refusal> {
        for _ in 0..MAX_BEFORE {
            let Some(frame) = events.next().await? else {
                return Err(Unanswered::Ended.into());
            };
            let message = frame.data.filter(|data| !data.is_empty());
            let answer = message.and_then(|message| self.answer(asked, &message));
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}

type Listed = Result<Part, portcullis_core::route::NoList>;
