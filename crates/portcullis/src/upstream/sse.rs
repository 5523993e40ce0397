//! A server over HTTP with SSE, the transport of 2024-11-05: messages go up by POST, and all that it says comes on one
//! stream. To the rest of the gateway it is a process whose pipes are long.

use super::http::Http;
use super::stdio::Unsent;
use super::{Carried, Content, Events};
use crate::credentials::Shown;
use bytes::Bytes;
use hyper::http::uri::PathAndQuery;
use portcullis_core::authenticate::Principal;
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::bridge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages that may wait, in each direction.
const QUEUE: usize = 8;
/// How long a message may wait to be sent.
const SEND: Duration = Duration::from_secs(10);

/// Where such a server is.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its stream.
    pub(crate) http: Http,
    /// Scheme, host and port of the stream, which messages must not leave.
    pub(crate) origin: String,
    /// The path of the stream, to which the other one may be relative.
    pub(crate) path: String,
}

/// What a message shows of who calls.
#[derive(Debug)]
pub(crate) enum Showing {
    /// What was issued for it, where anything is.
    Own(Option<Shown>),
    /// What is issued, once its turn comes, for whoever opened the connection.
    Opener,
}

type Message = (Bytes, Showing);

/// A connection to such a server; dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Link {
    messages: mpsc::Sender<Message>,
    over: CancellationToken,
}

impl Link {
    /// Opens a connection; what the server says comes out of the queue until it is over.
    pub(crate) fn open(
        target: &Arc<Target>,
        whose: Principal,
        tasks: &TaskTracker,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (messages, queue) = mpsc::channel(QUEUE);
        let (tell, told) = mpsc::channel(QUEUE);
        let over = CancellationToken::new();
        let (target, ended) = (Arc::clone(target), over.clone());
        tasks.spawn(async move {
            let run = Box::pin(target.run(&whose, queue, tell));
            let ran = ended.run_until_cancelled(run).await;
            if let Some(Err(error)) = ran {
                tracing::warn!(upstream = ?target.http, %error, "connection with a server over SSE ended");
            }
        });
        (Self { messages, over }, told)
    }

    /// Puts a message in the queue to the server.
    pub(crate) async fn send(&self, message: Bytes, showing: Showing) -> Result<(), Unsent> {
        match timeout(SEND, self.messages.send((message, showing))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Stuck),
        }
    }

    pub(crate) fn close(&self) {
        self.over.cancel();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl Target {
    async fn run(
        &self,
        whose: &Principal,
        mut queue: mpsc::Receiver<Message>,
        tell: mpsc::Sender<Bytes>,
    ) -> Result<(), Unanswered> {
        let shown = self.http.shown_by(whose, &Carried::default()).await?;
        let Content::Events(mut events) = self.http.stream(shown).await?.content else {
            return Err(Unanswered::Foreign);
        };
        let endpoint = timeout(self.http.timeout(), first(&mut events));
        let endpoint = endpoint.await.map_err(|_| Unanswered::Timeout)??;
        let path = self.path_of(&endpoint).ok_or(Unanswered::Foreign)?;
        tokio::select! {
            ended = self.post_all(&path, whose, &mut queue) => ended,
            ended = pass_all(&mut events, &tell) => ended,
        }
    }

    async fn post_all(
        &self,
        path: &str,
        whose: &Principal,
        queue: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Unanswered> {
        while let Some((message, showing)) = queue.recv().await {
            let shown = match showing {
                Showing::Own(shown) => shown,
                Showing::Opener => match self.http.shown_by(whose, &Carried::default()).await {
                    Ok(shown) => shown,
                    // Nothing but a cancellation goes without.
                    Err(_) => continue,
                },
            };
            let status = self.http.post(path, (message, shown)).await?;
            if !(200..300).contains(&status) {
                return Err(Unanswered::Foreign);
            }
        }
        Ok(())
    }

    /// Where messages go, which the server says first: a path on its own origin, and on no other.
    fn path_of(&self, endpoint: &[u8]) -> Option<String> {
        let endpoint = std::str::from_utf8(endpoint).ok()?.trim();
        let own = endpoint.strip_prefix(&*self.origin);
        let path = match own {
            Some(path) => path.to_owned(),
            None if endpoint.contains("://") || endpoint.starts_with("//") => return None,
            None if endpoint.starts_with('/') => endpoint.to_owned(),
            None => {
                let (folder, _) = self.path.rsplit_once('/')?;
                format!("{folder}/{endpoint}")
            }
        };
        let path: PathAndQuery = path
            .parse()
            .ok()
            .filter(|path: &PathAndQuery| path.as_str().starts_with('/'))?;
        Some(path.as_str().to_owned())
    }
}

async fn pass_all(events: &mut Events, tell: &mpsc::Sender<Bytes>) -> Result<(), Unanswered> {
    while let Some(frame) = events.next().await? {
        let Some(message) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        let message = bridge::raised(&message).unwrap_or(message);
        if tell.send(message).await.is_err() {
            return Ok(());
        }
    }
    Err(Unanswered::Ended)
}

/// The first event, which is no message.
async fn first(events: &mut Events) -> Result<Bytes, Unanswered> {
    while let Some(frame) = Box::pin(events.next()).await? {
        if let Some(data) = frame.data {
            return Ok(data);
        }
    }
    Err(Unanswered::Ended)
}
