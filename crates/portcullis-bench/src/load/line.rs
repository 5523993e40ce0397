//! One connection, with the session that its era asks for.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};

use super::Endpoint;
use crate::wire::{self, Call, Era, Shape};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const DPOP: HeaderName = HeaderName::from_static("dpop");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A connection to an endpoint, ready for calls of one tool.
#[derive(Debug)]
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    endpoint: Endpoint,
    era: Era,
    headers: HeaderMap,
    inbox: Vec<u8>,
}

impl Line {
    /// Connects; opens a session in the era that has them.
    ///
    /// # Errors
    /// If the endpoint does not answer as the protocol says.
    pub async fn open(endpoint: &Endpoint, era: Era) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(endpoint.address)
            .await
            .with_context(|| format!("connect to {}", endpoint.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = spawn_local(async move {
            // A connection that breaks is seen by the call that is on it.
            drop(connection.await);
        });
        let mut line = Self {
            sender,
            driver,
            endpoint: endpoint.clone(),
            era,
            headers: HeaderMap::new(),
            inbox: Vec::new(),
        };
        line.dress();
        if era == Era::Handshake {
            line.open_session().await?;
        }
        Ok(line)
    }

    fn dress(&mut self) {
        let headers = &mut self.headers;
        headers.insert(header::HOST, self.endpoint.host.clone());
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::ACCEPT, BOTH);
        if let Some(authorization) = &self.endpoint.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        headers.insert(REVISION, HeaderValue::from_static(self.era.revision()));
    }

    /// Begins another session on the same connection.
    ///
    /// # Errors
    /// If the endpoint does not answer as the protocol says.
    pub async fn open_session(&mut self) -> anyhow::Result<()> {
        self.headers.remove(SESSION);
        self.headers.remove(REVISION);
        let response = self
            .send(Bytes::from_static(wire::INITIALIZE.as_bytes()))
            .await?;
        let (head, _) = self.receive(response).await.context("initialize")?;
        if let Some(session) = head.headers.get(SESSION) {
            self.headers.insert(SESSION, session.clone());
        }
        let revision = HeaderValue::from_static(Era::Handshake.revision());
        self.headers.insert(REVISION, revision);
        let response = self
            .send(Bytes::from_static(wire::INITIALIZED.as_bytes()))
            .await?;
        let status = response.status();
        ensure!(status.is_success(), "notifications/initialized: {status}");
        response.into_body().collect().await?;
        Ok(())
    }

    /// Asks for the list of tools.
    ///
    /// # Errors
    /// If the answer does not name the upstream's tool.
    pub async fn list(&mut self) -> anyhow::Result<()> {
        let body = match self.era {
            Era::Handshake => wire::LIST,
            Era::Stateless => {
                self.headers
                    .insert(METHOD, HeaderValue::from_static("tools/list"));
                self.headers.remove(NAME);
                wire::LIST_STATELESS
            }
        };
        let response = self.send(Bytes::from_static(body.as_bytes())).await?;
        self.receive(response).await.context("tools/list")?;
        let name = self.tool(Shape::Json);
        let named = memchr::memmem::find(&self.inbox, format!("\"{name}\"").as_bytes()).is_some();
        ensure!(named, "no {name} in {}", wire::excerpt(&self.inbox));
        Ok(())
    }

    /// Makes the line ready to call the tool that answers in `shape`, and gives its name.
    ///
    /// # Errors
    /// If the name cannot be a header.
    pub fn aim(&mut self, shape: Shape) -> anyhow::Result<String> {
        let name = self.tool(shape);
        if self.era == Era::Stateless {
            self.headers
                .insert(METHOD, HeaderValue::from_static("tools/call"));
            self.headers.insert(NAME, HeaderValue::try_from(&name)?);
        }
        Ok(name)
    }

    fn tool(&self, shape: Shape) -> String {
        format!("{}{}", self.endpoint.tool_prefix, shape.tool())
    }

    /// Makes a call, waits for all of its answer, compares it, and says in which shape it came.
    ///
    /// # Errors
    /// If the answer is not exactly this call's.
    pub async fn call(&mut self, call: &Call) -> anyhow::Result<Shape> {
        let response = self.send(call.body()).await?;
        let (_, shape) = self.receive(response).await?;
        call.check(&self.inbox)?;
        Ok(shape)
    }

    async fn send(&mut self, body: Bytes) -> anyhow::Result<Response<Incoming>> {
        self.sender.ready().await?;
        if let Some(proofs) = &self.endpoint.proofs {
            self.headers.insert(DPOP, proofs.take()?);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.path.clone();
        *request.headers_mut() = self.headers.clone();
        Ok(self.sender.send_request(request).await?)
    }

    async fn receive(
        &mut self,
        response: Response<Incoming>,
    ) -> anyhow::Result<(http::response::Parts, Shape)> {
        let (head, mut body) = response.into_parts();
        self.inbox.clear();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                self.inbox.extend_from_slice(data);
            }
        }
        if head.status != StatusCode::OK {
            bail!("{}: {}", head.status, wire::excerpt(&self.inbox));
        }
        let media_type = head.headers.get(header::CONTENT_TYPE);
        let media_type = media_type.map_or(&b""[..], |value| value.as_bytes());
        let shape = [Shape::Json, Shape::Sse]
            .into_iter()
            .find(|shape| media_type.starts_with(shape.media_type().as_bytes()));
        Ok((head, shape.context("an answer of no known media type")?))
    }

    /// The answer to the last request, for messages.
    pub fn inbox(&self) -> &[u8] {
        &self.inbox
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Reads from the upstream how many tools were called.
///
/// # Errors
/// If the server does not answer with a number.
pub(crate) async fn count(endpoint: &Endpoint) -> anyhow::Result<u64> {
    let mut line = Line::open(endpoint, Era::Stateless).await?;
    let request = Request::get("/count")
        .header(header::HOST, endpoint.host.clone())
        .body(Full::default())?;
    let response = line.sender.send_request(request).await?;
    line.receive(response).await.context("/count")?;
    Ok(std::str::from_utf8(&line.inbox)?.trim().parse()?)
}
