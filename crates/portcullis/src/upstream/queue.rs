//! A queue to a client who may read slowly: bounded in messages, and in the bytes of them.

use bytes::Bytes;
use portcullis_core::refusal::Unanswered;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What may wait in one queue, in bytes; one message that is longer waits alone.
const MOST_BYTES: usize = 1024 * 1024;

type Said = Result<Bytes, Unanswered>;

/// A message, and the room that it takes until it is read.
#[derive(Debug)]
struct Held(Said, Option<OwnedSemaphorePermit>);

/// The end that speaks.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    held: mpsc::Sender<Held>,
    room: Arc<Semaphore>,
}

/// The end that hears.
#[derive(Debug)]
pub(crate) struct Told(mpsc::Receiver<Held>);

/// Nobody hears any more.
#[derive(Debug)]
pub(crate) struct Gone;

/// A queue of so many messages.
pub(crate) fn queue(messages: usize) -> (Teller, Told) {
    let (held, told) = mpsc::channel(messages);
    let room = Arc::new(Semaphore::new(MOST_BYTES));
    (Teller { held, room }, Told(told))
}

impl Teller {
    /// Waits for room.
    pub(crate) async fn send(&self, said: Said) -> Result<(), Gone> {
        let size = said.as_ref().map_or(0, Bytes::len).min(MOST_BYTES);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        // Whoever stops hearing drops what waits, so there is room in the end.
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.ok();
        self.held.send(Held(said, room)).await.map_err(|_| Gone)
    }

    /// Returns when nobody hears any more.
    pub(crate) async fn closed(&self) {
        self.held.closed().await;
    }
}

impl Told {
    /// The next message; `None` if nobody speaks any more. If the future is dropped, nothing is lost.
    pub(crate) async fn recv(&mut self) -> Option<Said> {
        self.0.recv().await.map(|Held(said, _room)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn tok_01_a_queue_is_bounded_in_bytes_and_in_messages() {
        let (teller, mut told) = queue(4);
        let message = |size| Ok(Bytes::from(vec![b'x'; size]));
        teller.send(message(MOST_BYTES - 10)).await.unwrap();
        teller.send(message(10)).await.unwrap();
        let third = teller.send(message(1)).now_or_never();
        assert!(third.is_none(), "there was room for more bytes");
        assert_eq!(told.recv().await.unwrap().unwrap().len(), MOST_BYTES - 10);
        // One that is longer than the room waits until it is alone.
        let long = teller.send(message(3 * MOST_BYTES)).now_or_never();
        assert!(long.is_none());
        assert_eq!(told.recv().await.unwrap().unwrap().len(), 10);
        teller.send(message(3 * MOST_BYTES)).await.unwrap();
        assert_eq!(told.recv().await.unwrap().unwrap().len(), 3 * MOST_BYTES);
        for _ in 0..4 {
            teller.send(message(0)).await.unwrap();
        }
        let fifth = teller.send(message(0)).now_or_never();
        assert!(fifth.is_none(), "there was room for more messages");
        drop(told);
        assert!(teller.send(message(2 * MOST_BYTES)).await.is_err());
        teller.closed().await;
    }
}
