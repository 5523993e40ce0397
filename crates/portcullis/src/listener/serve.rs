//! Connections: bounded in number, each with a deadline for its headers, each drained at the end.

use super::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to read something of what it is sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long nobody is accepted after the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most header lines.
const MAX_HEADERS: usize = 100;

/// The bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The most connections at once; more wait in the system's queue.
    pub(crate) connections: usize,
    /// How long a request's head may take.
    pub(crate) head: Duration,
}

/// Accepts connections until `drain`; each request is put to `answer`.
pub(crate) async fn accept<F, R>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    bounds: Bounds,
    (tasks, drain): (TaskTracker, CancellationToken),
    answer: F,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, drain, answer) = (tls.clone(), drain.clone(), answer.clone());
        tasks.spawn(async move {
            let _place = place;
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let answer = move |request| answer(request, peer);
            let Some(tls) = tls else {
                return connection(stream, bounds, drain, answer).await;
            };
            let shaken = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
            if let Ok(Ok(stream)) = shaken {
                connection(stream, bounds, drain, answer).await;
            } else {
                tracing::debug!(%peer, "tls handshake failed");
            }
        });
    }
}

async fn connection<F, R>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bounds: Bounds,
    drain: CancellationToken,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_TIMEOUT));
    let serving = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = drain.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
