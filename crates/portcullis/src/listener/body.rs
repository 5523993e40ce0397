//! The body of an answer: one message, or a stream of them.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Events that may wait for a client that does not read.
const QUEUE: usize = 16;

/// What is sent to a client.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it, until it was sent.
    Whole(Option<Bytes>),
    /// Event by event.
    Stream(mpsc::Receiver<Bytes>),
}

/// The other end of a streamed body.
pub(crate) type Outlet = mpsc::Sender<Bytes>;

impl Body {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self::Whole(None)
    }

    /// One piece.
    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }

    /// A stream, and where to put its events.
    pub(crate) fn stream() -> (Outlet, Self) {
        let (outlet, queue) = mpsc::channel(QUEUE);
        (outlet, Self::Stream(queue))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(queue) => queue
                .poll_recv(cx)
                .map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
