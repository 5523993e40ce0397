//! The floor: a relay that checks nothing or the token alone, in every shape that a gateway's own relay could take.

mod door;
mod pool;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::door::Door;
use self::pool::{Pool, Relayed};
use crate::upstream::announce;

/// How the relay's tasks are put on threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// One thread runs everything.
    Current,
    /// Workers that steal from each other.
    Multi,
    /// One single-threaded runtime and one pool a worker; a connection stays where it was put.
    Sharded,
}

/// How connections to the upstream are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keeping {
    /// The pool of `hyper-util`.
    Legacy,
    /// A stack of idle `SendRequest`, each connection driven by a task of its own.
    Own,
    /// A stack of idle connections, each driven by the task that uses it.
    Fused,
}

/// Whether bodies are passed on as they come or whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bodies {
    /// Frame by frame.
    Stream,
    /// Collected first, as a gateway that inspects them must.
    Buffer,
}

/// What the relay is.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// How tasks are put on threads.
    pub runtime: Runtime,
    /// Threads, unless the runtime is [`Runtime::Current`].
    pub workers: NonZeroUsize,
    /// How upstream connections are kept.
    pub keeping: Keeping,
    /// How bodies are passed on.
    pub bodies: Bodies,
}

/// Relays until the process ends; says its address on standard output in one line.
///
/// With `token`, only requests that bear the token are relayed which it leaves in that file.
///
/// # Errors
/// If the upstream is no `http://host:port/path`, the address cannot be listened on, or the file
/// cannot be written.
pub fn serve(
    listen: &str,
    upstream: &str,
    token: Option<&Path>,
    variant: Variant,
) -> anyhow::Result<()> {
    let upstream: Uri = upstream.parse().context("the upstream's URL")?;
    let authority = upstream.authority().context("the upstream has no host")?;
    let relay = Relay {
        host: HeaderValue::try_from(authority.as_str())?,
        address: authority.as_str().into(),
        upstream,
        door: token.map(Door::new).transpose()?.map(Arc::new),
        variant,
    };
    match variant.runtime {
        Runtime::Current => single()?.block_on(relay.accept(listen)),
        Runtime::Multi => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(variant.workers.get())
            .enable_all()
            .build()?
            .block_on(relay.accept_on_a_worker(listen)),
        Runtime::Sharded => relay.shard(listen),
    }
}

fn single() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// What all connections of the relay share.
#[derive(Clone, Debug)]
struct Relay {
    host: HeaderValue,
    address: Arc<str>,
    upstream: Uri,
    /// Present if a token is asked for.
    door: Option<Arc<Door>>,
    variant: Variant,
}

/// What may wait at a shard's door.
const MAX_WAITING: usize = 1024;

impl Relay {
    async fn accept(self, listen: &str) -> anyhow::Result<()> {
        let listener = TcpListener::bind(listen).await?;
        announce(&listener)?;
        let pool = Arc::new(Pool::new(self.variant.keeping, Arc::clone(&self.address)));
        let tasks = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            tasks.spawn(self.clone().converse(stream, Arc::clone(&pool)));
        }
    }

    /// The accept loop as a task: the thread that blocks on a runtime is none of its workers.
    async fn accept_on_a_worker(self, listen: &str) -> anyhow::Result<()> {
        let listen = listen.to_owned();
        let tasks = TaskTracker::new();
        tasks
            .spawn(async move { self.accept(&listen).await })
            .await?
    }

    fn shard(self, listen: &str) -> anyhow::Result<()> {
        let mut doors = Vec::new();
        for _ in 0..self.variant.workers.get() {
            let (door, waiting) = mpsc::channel(MAX_WAITING);
            let relay = self.clone();
            std::thread::spawn(move || relay.run_shard(waiting));
            doors.push(door);
        }
        single()?.block_on(async {
            let listener = TcpListener::bind(listen).await?;
            announce(&listener)?;
            for door in doors.iter().cycle() {
                let (stream, _) = listener.accept().await?;
                door.send(stream.into_std()?).await?;
            }
            Ok(())
        })
    }

    fn run_shard(self, mut waiting: mpsc::Receiver<std::net::TcpStream>) -> std::io::Result<()> {
        let pool = Arc::new(Pool::new(self.variant.keeping, Arc::clone(&self.address)));
        single()?.block_on(async {
            let tasks = TaskTracker::new();
            while let Some(stream) = waiting.recv().await {
                let stream = TcpStream::from_std(stream)?;
                tasks.spawn(self.clone().converse(stream, Arc::clone(&pool)));
            }
            Ok(())
        })
    }

    async fn converse(self, stream: TcpStream, pool: Arc<Pool>) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let relay = Arc::new(self);
        let service = service_fn(move |request| {
            let (relay, pool) = (Arc::clone(&relay), Arc::clone(&pool));
            async move {
                let response = relay.exchange(request, &pool).await;
                Ok::<_, Infallible>(response.unwrap_or_else(|_| refusal(StatusCode::BAD_GATEWAY)))
            }
        });
        // A caller that hangs up ends its connection and nothing else.
        drop(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await,
        );
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        pool: &Arc<Pool>,
    ) -> anyhow::Result<Response<Relayed>> {
        let (mut head, body) = request.into_parts();
        if let Some(door) = &self.door {
            if door.admit(&head.headers).is_err() {
                return Ok(refusal(StatusCode::UNAUTHORIZED));
            }
            head.headers.remove(header::AUTHORIZATION);
        }
        hop(&mut head.headers);
        head.headers.insert(header::HOST, self.host.clone());
        head.uri = match self.variant.keeping {
            Keeping::Legacy => self.upstream.clone(),
            Keeping::Own | Keeping::Fused => Uri::builder()
                .path_and_query(self.upstream.path())
                .build()?,
        };
        let body = match self.variant.bodies {
            Bodies::Stream => Either::Left(body),
            Bodies::Buffer => Either::Right(Full::new(body.collect().await?.to_bytes())),
        };
        let response = pool.send(Request::from_parts(head, body)).await?;
        let (mut head, body) = response.into_parts();
        hop(&mut head.headers);
        let body = match self.variant.bodies {
            Bodies::Stream => body,
            Bodies::Buffer => Relayed::whole(body.collect().await?.to_bytes()),
        };
        Ok(Response::from_parts(head, body))
    }
}

fn hop(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
}

fn refusal(status: StatusCode) -> Response<Relayed> {
    let mut response = Response::new(Relayed::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
