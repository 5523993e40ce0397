//! Connections: bounded in number, each with a deadline for its headers, each drained at the end.

use super::Body;
use crate::shards::Shards;
use crate::tls::{Door, Presented, is_validation, presented, refusal};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::authenticate::Thumbprint;
use portcullis_core::refusal::Unacceptable;
use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to read something of what it is sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long nobody is accepted after the system had no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client is told that did not send a whole head in time (RFC 9110 section 15.5.9), and how long it may take.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long clients remember that: two years, in seconds.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// The largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most header lines.
const MAX_HEADERS: usize = 100;

/// What never became a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unread {
    /// A head that cannot be read.
    Head(Unacceptable),
    /// A handshake that came to nothing, or a connection whose certificate is good no more, and why.
    Handshake(&'static str),
}

/// The bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The most connections at once; more wait in the system's queue.
    pub(crate) connections: usize,
    /// How long a request's head may take.
    pub(crate) head: Duration,
}

/// What connections run on, and how they end.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    /// Who waits for them.
    pub(crate) tasks: TaskTracker,
    /// The threads that they are given to.
    pub(crate) shards: Arc<Shards>,
    /// Says that no more may come.
    pub(crate) drain: CancellationToken,
}

/// Accepts connections until told to drain; each request is put to `answer`, and what never became one to `unread`.
pub(crate) async fn accept<F, R, U>(
    listener: TcpListener,
    door: Option<Arc<Door>>,
    bounds: Bounds,
    serving: Serving,
    (answer, unread): (F, U),
) where
    F: Fn(Request<Incoming>, SocketAddr) -> R + Clone + Send + Sync + Unpin + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
    U: Fn(Unread, SocketAddr) + Clone + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(bounds.connections));
    loop {
        // A place first, so that whoever finds none waits in the system's queue; the drain ends both waits.
        let coming = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = serving.drain.cancelled() => return,
            (Ok(place), accepted) = coming => (place, accepted),
            else => return,
        };
        // The socket leaves this runtime, to be served by one of the shards'.
        let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (door, drain) = (door.clone(), serving.drain.clone());
        let (answer, unread) = (answer.clone(), unread.clone());
        let served = async move {
            let _place = place;
            let Ok(stream) = TcpStream::from_std(stream) else {
                return;
            };
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let answer = move |request| answer(request, peer);
            let unread = move |why| unread(why, peer);
            let Some(door) = door else {
                return connection(stream, bounds, drain, (answer, unread)).await;
            };
            let why = match timeout(HANDSHAKE_TIMEOUT, door.acceptor().accept(stream)).await {
                Ok(Ok(stream)) if is_validation(stream.get_ref().1) => None,
                Ok(Ok(stream)) => {
                    let presented = presented(stream.get_ref().1);
                    let certificate = presented.as_ref().and_then(Presented::thumbprint);
                    let answer = move |request| strict(answer(bearing(request, certificate)));
                    let served = connection(stream, bounds, drain, (answer, &unread));
                    while_good(served, (&door, presented)).await
                }
                Ok(Err(error)) => refusal(&error),
                Err(_) => Some("slow"),
            };
            if let Some(why) = why {
                unread(Unread::Handshake(why));
            }
        };
        serving.tasks.spawn_on(served, &serving.shards.next());
    }
}

/// Serves a connection for as long as the certificate that its client has shown may be shown; gives why it may not any more.
async fn while_good(
    served: impl Future<Output = ()>,
    (door, presented): (&Door, Option<Presented>),
) -> Option<&'static str> {
    let Some(presented) = presented else {
        served.await;
        return None;
    };
    tokio::select! {
        () = served => None,
        why = door.until_refused(presented) => Some(why),
    }
}

/// A request with the client certificate of its connection, in a place where nothing stands that a client sends.
fn bearing(mut request: Request<Incoming>, certificate: Option<Thumbprint>) -> Request<Incoming> {
    certificate.and_then(|certificate| request.extensions_mut().insert(certificate));
    request
}

/// Over TLS, clients are told to come in no other way again (RFC 6797 section 7.1).
async fn strict(answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    let mut response = answer.await;
    let headers = response.headers_mut();
    headers.insert(STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    response
}

/// Serves a connection to its end, which may be a head that cannot be read.
async fn connection<F, R>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bounds: Bounds,
    drain: CancellationToken,
    (answer, unread): (F, impl Fn(Unread)),
) where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Unpin + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = Box::pin(answer(request)); // it is large, and would be moved about
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_TIMEOUT));
    let mut serving = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = drain.cancelled() => {
            Pin::new(&mut serving).graceful_shutdown();
            (&mut serving).await
        }
    };
    let Err(error) = ended else { return };
    tracing::debug!(%error, "connection ended");
    let left = serving.into_parts();
    if error.is_parse_too_large() {
        unread(Unread::Head(Unacceptable::TooLarge)); // and answered by hyper, as the next
    } else if error.is_parse() {
        unread(Unread::Head(Unacceptable::Broken));
    } else if is_of_head(&error) && !left.read_buf.is_empty() {
        // If nothing of a head had come, the connection would only have been idle.
        unread(Unread::Head(Unacceptable::Slow));
        farewell(left.io.into_inner()).await;
    }
}

/// A head that did not come in time; a client that did not read in time is a fault of the stream below.
fn is_of_head(error: &hyper::Error) -> bool {
    error.is_timeout() && error.source().is_none()
}

async fn farewell(mut stream: impl AsyncWrite + Unpin) {
    let told = timeout(FAREWELL_TIMEOUT, stream.write_all(TOO_SLOW)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::debug!("a slow client was gone before it was told");
    }
}
