//! Three ways to keep connections to an upstream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::Keeping;

/// A request's body on its way up.
pub(super) type Outgoing = Either<Incoming, Full<Bytes>>;

type Driver = Pin<Box<Connection<TokioIo<TcpStream>, Outgoing>>>;

/// A connection that waits for a request.
struct Idle {
    sender: SendRequest<Outgoing>,
    /// Present if whoever uses the connection drives it.
    driver: Option<Driver>,
}

/// Connections to one upstream.
pub(super) struct Pool {
    address: Arc<str>,
    keeping: Keeping,
    client: Client<HttpConnector, Outgoing>,
    idle: Mutex<Vec<Idle>>,
    drivers: TaskTracker,
}

/// The most connections that wait for a request; more are closed.
const MAX_IDLE: usize = 256;

impl Pool {
    pub(super) fn new(keeping: Keeping, address: Arc<str>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            address,
            keeping,
            client: Client::builder(TokioExecutor::new()).build(connector),
            idle: Mutex::new(Vec::new()),
            drivers: TaskTracker::new(),
        }
    }

    /// Sends a request on a waiting connection, or on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Outgoing>,
    ) -> anyhow::Result<Response<Relayed>> {
        if self.keeping == Keeping::Legacy {
            let response = self.client.request(request).await?;
            return Ok(response.map(Relayed::Incoming));
        }
        let mut line = self.take().await?;
        let response = match &mut line.driver {
            None => line.sender.send_request(request).await?,
            Some(driver) => {
                let mut response = std::pin::pin!(line.sender.send_request(request));
                poll_fn(|cx| {
                    // The driver first: it is what fills the response.
                    let ended = driver.as_mut().poll(cx).is_ready();
                    match response.as_mut().poll(cx) {
                        Poll::Pending if ended => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(response) => Poll::Ready(Some(response)),
                    }
                })
                .await
                .context("the upstream hung up")??
            }
        };
        let (head, body) = response.into_parts();
        let mut lent = Lent {
            body,
            line: Some(line),
            pool: Arc::clone(self),
        };
        // A body that is empty is never polled.
        if lent.body.is_end_stream() {
            lent.give_back();
        }
        Ok(Response::from_parts(head, Relayed::Lent(lent)))
    }

    async fn take(&self) -> anyhow::Result<Idle> {
        while let Some(mut idle) = self.pop() {
            if idle.is_ready().await {
                return Ok(idle);
            }
        }
        let stream = TcpStream::connect(&*self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = match self.keeping {
            Keeping::Fused => Some(Box::pin(driver)),
            Keeping::Own | Keeping::Legacy => {
                self.drivers.spawn(driver);
                None
            }
        };
        Ok(Idle { sender, driver })
    }

    fn pop(&self) -> Option<Idle> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn push(&self, line: Idle) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(line);
        }
    }
}

impl Idle {
    async fn is_ready(&mut self) -> bool {
        let Self { sender, driver } = self;
        poll_fn(|cx| {
            if let Some(driver) = driver
                && driver.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(false);
            }
            sender.poll_ready(cx).map(|ready| ready.is_ok())
        })
        .await
    }
}

/// A response's body that holds its connection until it was read to the end.
pub(super) struct Lent {
    body: Incoming,
    line: Option<Idle>,
    pool: Arc<Pool>,
}

impl Lent {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if let Some(Idle {
            driver: Some(driver),
            sender: _,
        }) = &mut self.line
            && driver.as_mut().poll(cx).is_ready()
        {
            self.line = None;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // A chunked body does not know its end before it is read.
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.give_back();
        }
        frame
    }

    fn give_back(&mut self) {
        if let Some(line) = self.line.take() {
            self.pool.push(line);
        }
    }
}

/// A response's body on its way down.
pub(super) enum Relayed {
    Whole(Full<Bytes>),
    Incoming(Incoming),
    Lent(Lent),
}

impl Relayed {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::Whole(Full::new(body))
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Incoming(body) => Pin::new(body).poll_frame(cx),
            Self::Lent(lent) => lent.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Incoming(body) => body.is_end_stream(),
            Self::Lent(lent) => lent.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Incoming(body) => body.size_hint(),
            Self::Lent(lent) => lent.body.size_hint(),
        }
    }
}
