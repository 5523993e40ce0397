//! Connections to one upstream that nobody uses, kept for whoever comes next on the same runtime.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

/// Idle connections that are kept for one upstream, by each runtime.
const MAX_IDLE: usize = 64;
/// A connection that nobody used for so long is not trusted any more: what stands between may have forgotten it.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Connections that nobody uses, by the runtime that drives them: another would have to wake its thread.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<HashMap<Id, Vec<(Sender, Instant)>>>);

impl Idle {
    /// The connection that was used last, if there is one that may still be good.
    pub(super) fn take(&self) -> Option<Sender> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest(idle.get_mut(&Handle::current().id())?, Instant::now())
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.entry(Handle::current().id()).or_default();
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push((sender, Instant::now()));
        }
    }
}

/// A connection in use: given back when its answer was read to the end, else closed.
pub(super) struct Lease {
    sender: Option<Sender>,
    idle: Arc<Idle>,
}

impl Lease {
    pub(super) fn new(sender: Sender, idle: &Arc<Idle>) -> Self {
        Self {
            sender: Some(sender),
            idle: Arc::clone(idle),
        }
    }

    pub(super) fn give_back(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.idle.keep(sender);
        }
    }
}

/// The one that was used last, unless that is too long ago; then none is any good.
fn newest<T>(idle: &mut Vec<(T, Instant)>, now: Instant) -> Option<T> {
    let (newest, since) = idle.pop()?;
    if now.duration_since(since) < MAX_IDLE_TIME {
        return Some(newest);
    }
    idle.clear();
    None
}

#[cfg(test)]
mod tests {
    use super::{MAX_IDLE_TIME, newest};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn a_connection_that_was_idle_for_long_is_not_used() {
        let begin = Instant::now();
        let mut idle = vec![("old", begin), ("new", begin + Duration::from_secs(2))];
        let soon = begin + MAX_IDLE_TIME + Duration::from_secs(1);
        assert_eq!(newest(&mut idle, soon), Some("new"));
        assert_eq!(newest(&mut idle, soon), None);
        let mut idle = vec![("old", begin), ("older", begin)];
        assert_eq!(newest(&mut idle, soon), None);
        assert!(idle.is_empty(), "they were idle for as long");
    }
}
