//! An upstream over Streamable HTTP: our own headers, our own session, a small pool of connections.

use super::body::{EventStream, collect, media_type};
use super::pool::{Idle, Lease, Sender};
use super::site::Site;
use super::{Begun, Carried, Content, Events, Reply};
use crate::credentials::{Prover, Shown, To};
use crate::sign_in::SignIn;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_core::authenticate::Principal;
use portcullis_core::credentials::NoCredential;
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::session::Open;
use portcullis_core::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nobody waits for an answer to `DELETE`.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many sessions are told to have ended at once: thousands may end in the same moment.
const MAX_GOODBYES: usize = 8;
/// How long a session waits for its turn; then the upstream has to find out by itself.
const GOODBYE_WAIT: Duration = Duration::from_mins(1);

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const ACCEPT_BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const ACCEPT_EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));

/// The beginning of an answer, and the connection that it comes over.
type Answered = (Sender, Response<Incoming>);

/// One upstream.
pub(crate) struct Http {
    site: Site,
    idle: Arc<Idle>,
    goodbyes: Semaphore,
    tasks: TaskTracker,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({:?})", self.site.address)
    }
}

impl Http {
    pub(crate) fn new(site: Site, tasks: TaskTracker) -> Self {
        Self {
            site,
            idle: Arc::default(),
            goodbyes: Semaphore::new(MAX_GOODBYES),
            tasks,
        }
    }

    /// Where it is, without a query, which may have a secret.
    pub(super) fn place(&self) -> String {
        self.site.place()
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.site.timeout
    }

    pub(super) async fn call(
        &self,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        let shown = self.shown(dispatch, carried).await?;
        let asking = (dispatch.principal(), shown.clone());
        let open = dispatch.session();
        let mut request = self.request(
            Method::POST,
            dispatch.session(),
            (carried, shown),
            dispatch.call().body().clone(),
        );
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        request.headers_mut().insert(header::ACCEPT, ACCEPT_BOTH);
        let answered = self.exchange_as(request, asking).await;
        let answered = answered.map(|reply| reply.within(open, StatusCode::BAD_REQUEST));
        if let (Err(Unanswered::Credentials), Some(own)) = (&answered, &self.site.credentials) {
            own.rejected(dispatch);
        }
        answered
    }

    pub(super) fn reap(&self, now: Timestamp) {
        self.site.credentials.iter().for_each(|own| own.reap(now));
    }

    pub(super) fn dismiss(&self, owners: &[Arc<str>]) {
        self.site
            .credentials
            .iter()
            .for_each(|own| own.dismiss(owners));
    }

    pub(super) fn reloaded(&self) {
        self.site.credentials.iter().for_each(|own| own.clear());
    }

    pub(super) async fn listen(
        &self,
        (open, whose): (&Open, &Principal),
        last: Option<&str>,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        let shown = self.shown_by(whose, carried).await?;
        let asking = (whose, shown.clone());
        let mut request = self.request(Method::GET, Some(open), (carried, shown), Bytes::new());
        request.headers_mut().insert(header::ACCEPT, ACCEPT_EVENTS);
        if let Some(last) = last {
            let last = HeaderValue::from_str(last).map_err(|_| Unanswered::Foreign)?;
            request.headers_mut().insert(LAST_EVENT, last);
        }
        let reply = self.exchange_as(request, asking).await?;
        Ok(reply.within(Some(open), StatusCode::METHOD_NOT_ALLOWED))
    }

    /// What a message shows, for a transport on which it has to wait.
    pub(super) async fn shown(
        &self,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Option<Shown>, Unanswered> {
        match (&self.site.credentials, &self.site.sign_in) {
            (None, None) => Ok(None),
            (Some(own), _) => Ok(Some(own.for_message(dispatch, carried).await?)),
            (None, Some(sign_in)) => sign_in.shown(dispatch.principal(), carried).await,
        }
    }

    /// What is shown with what is no message of its own.
    pub(super) async fn shown_by(
        &self,
        whose: &Principal,
        carried: &Carried,
    ) -> Result<Option<Shown>, Unanswered> {
        match (&self.site.credentials, &self.site.sign_in) {
            (None, None) => Ok(None),
            (Some(own), _) => Ok(Some(own.for_other(whose, carried).await?)),
            (None, Some(sign_in)) => sign_in.shown(whose, carried).await,
        }
    }

    /// Opens the one stream of a server over SSE (2024-11-05).
    pub(super) async fn stream(&self, shown: Option<Shown>) -> Result<Reply, Unanswered> {
        let carried = Carried::default();
        let mut request = self.request(Method::GET, None, (&carried, shown), Bytes::new());
        request.headers_mut().insert(header::ACCEPT, ACCEPT_EVENTS);
        self.exchange(request).await
    }

    /// Sends a message to another path of the same server; gives the status of the answer.
    pub(super) async fn post(
        &self,
        path: &str,
        (message, shown): (Bytes, Option<Shown>),
    ) -> Result<u16, Unanswered> {
        let mut request = self.request(Method::POST, None, (&Carried::default(), shown), message);
        *request.uri_mut() = path.parse().map_err(|_| Unanswered::Foreign)?;
        request.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Ok(self.exchange(request).await?.status)
    }

    pub(super) async fn end(&self, session: &str, whose: Option<&Principal>) {
        let Ok(id) = HeaderValue::from_str(session) else {
            return;
        };
        let Ok(Ok(_turn)) = timeout(GOODBYE_WAIT, self.goodbyes.acquire()).await else {
            tracing::debug!(upstream = ?self, "upstream was not told the end of a session");
            return;
        };
        let carried = Carried::default();
        let shown = match whose {
            Some(whose) => self.shown_by(whose, &carried).await,
            None if self.site.credentials.is_some() => Err(NoCredential::Expired.into()),
            None => Ok(None),
        };
        let Ok(shown) = shown else {
            return tracing::debug!(upstream = ?self, "nobody may tell upstream the end of a session");
        };
        let mut request = self.request(Method::DELETE, None, (&carried, shown), Bytes::new());
        request.headers_mut().insert(SESSION, id);
        let goodbye = timeout(GOODBYE_TIMEOUT, self.exchange(request)).await;
        if !matches!(goodbye, Ok(Ok(_))) {
            tracing::debug!(upstream = ?self, "upstream did not confirm the end of a session");
        }
    }

    /// A request with our headers and none of the client's.
    fn request(
        &self,
        method: Method,
        open: Option<&Open>,
        (carried, shown): (&Carried, Option<Shown>),
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        if let Ok(path) = self.site.path.parse() {
            *request.uri_mut() = path;
        }
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.site.host.clone());
        headers.insert(header::USER_AGENT, AGENT);
        let text = |text: &str| HeaderValue::from_str(text).ok();
        if let Some(trace) = text(&carried.traceparent).filter(|trace| !trace.is_empty()) {
            headers.insert(TRACEPARENT, trace);
        }
        if let Some(version) = carried.version.as_deref().and_then(text) {
            headers.insert(VERSION, version);
        }
        if let Some(id) = open
            .and_then(|open| open.upstream.as_deref())
            .and_then(text)
        {
            headers.insert(SESSION, id);
        }
        for (name, value) in &carried.mirrored {
            headers.append(name.clone(), value.clone());
        }
        for (name, value) in &self.site.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(shown) = shown {
            headers.insert(header::AUTHORIZATION, shown);
        }
        request
    }

    /// The same, where the answer may be that whoever calls must agree first.
    async fn exchange_as(
        &self,
        request: Request<Full<Bytes>>,
        (whose, shown): (&Principal, Option<Shown>),
    ) -> Result<Reply, Unanswered> {
        let Some(sign_in) = &self.site.sign_in else {
            return self.exchange(request).await;
        };
        let (sender, response) = timeout(self.site.timeout, self.send(request))
            .await
            .map_err(|_| Unanswered::Timeout)??;
        let Some(challenge) = SignIn::asked(response.status(), response.headers()) else {
            return self.read(sender, response).await;
        };
        drop((sender, response));
        let asked = (challenge, shown.as_ref());
        Err(Box::pin(sign_in.needed(whose, asked)).await)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Unanswered> {
        let (sender, response) = timeout(self.site.timeout, self.send(request))
            .await
            .map_err(|_| Unanswered::Timeout)??;
        self.read(sender, response).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answered, Unanswered> {
        match self.site.credentials.as_ref().and_then(|own| own.prover()) {
            None => self.send_once(request).await,
            Some(prover) => Box::pin(self.send_bound(request, prover)).await,
        }
    }

    /// Sends with the proof that a bound token needs, and once more with the nonce that is wanted in it (RFC 9449 section 9).
    async fn send_bound(
        &self,
        mut request: Request<Full<Bytes>>,
        prover: &Prover,
    ) -> Result<Answered, Unanswered> {
        let place = self.site.url_of(request.uri().path());
        let mut again = request.clone();
        prover.prove(To::Server, &place, &mut request)?;
        let (sender, response) = self.send_once(request).await?;
        if !prover.heard(To::Server, (response.status(), response.headers()), &[]) {
            return Ok((sender, response));
        }
        prover.prove(To::Server, &place, &mut again)?;
        self.send_once(again).await
    }

    /// Sends over an idle connection if one still works, else over a new one.
    async fn send_once(&self, mut request: Request<Full<Bytes>>) -> Result<Answered, Unanswered> {
        while let Some(mut sender) = self.idle.take() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                // Never left: the connection had just been closed. Anything else may have arrived and is not repeated.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Unanswered::Unreachable),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|_| Unanswered::Unreachable)?;
        Ok((sender, response))
    }

    async fn connect(&self) -> Result<Sender, Unanswered> {
        let address = (self.site.address.0.as_str(), self.site.address.1);
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| Unanswered::Timeout)?;
        let stream = stream.map_err(|_| Unanswered::Unreachable)?;
        stream
            .set_nodelay(true)
            .map_err(|_| Unanswered::Unreachable)?;
        let Some((client, name)) = &self.site.tls else {
            return self.shake(stream).await;
        };
        let stream = timeout(CONNECT_TIMEOUT, client.connect(name.clone(), stream)).await;
        let stream = stream
            .map_err(|_| Unanswered::Timeout)?
            .map_err(|_| Unanswered::Unreachable)?;
        self.shake(stream).await
    }

    async fn shake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Sender, Unanswered> {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Unanswered::Unreachable)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    async fn read(
        &self,
        sender: Sender,
        response: Response<Incoming>,
    ) -> Result<Reply, Unanswered> {
        let (head, body) = response.into_parts();
        let session = head
            .headers
            .get(SESSION)
            .and_then(|id| id.to_str().ok())
            .map(Begun::from);
        let lease = Lease::new(sender, &self.idle);
        match head.status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                return Err(Unanswered::Credentials);
            }
            status if status.is_redirection() || status.is_informational() => {
                return Err(Unanswered::Foreign);
            }
            _ => {}
        }
        let content = match media_type(&head.headers) {
            Some("text/event-stream") => {
                Content::Events(Events::Http(EventStream::new(body, self.site.most, lease)))
            }
            kind => {
                let bytes = timeout(self.site.timeout, collect(body, self.site.most, lease)).await;
                match (bytes.map_err(|_| Unanswered::Timeout)??, kind) {
                    (bytes, _) if bytes.is_empty() => Content::Empty,
                    (bytes, Some("application/json")) => Content::Message(bytes),
                    (_, Some(_) | None) => Content::Empty,
                }
            }
        };
        Ok(Reply::new(head.status.as_u16(), session, content))
    }
}
