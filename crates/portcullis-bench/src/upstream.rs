//! The fast upstream: just enough of an MCP server, in both eras, to be called through anything.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::wire::{Era, Shape};

const MAX_BODY_BYTES: usize = 4 << 20;

/// Counts what was asked of the upstream.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    sessions: AtomicU64,
    connections: AtomicU64,
}

/// Serves until the process ends; says its address on standard output in one line.
///
/// `GET /count` answers how many tools were called, `GET /connections` how many connections there
/// ever were, as a decimal number.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve(listen: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    announce(&listener)?;
    accept(listener).await
}

/// Says where a server listens, for whoever started it.
pub(crate) fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "http://{}/mcp", listener.local_addr()?)?;
    Ok(out.flush()?)
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    let counters = Arc::new(Counters::default());
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        counters.connections.fetch_add(1, Relaxed);
        let counters = Arc::clone(&counters);
        tasks.spawn(converse(stream, counters));
    }
}

async fn converse(stream: TcpStream, counters: Arc<Counters>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| {
        let counters = Arc::clone(&counters);
        async move { Ok::<_, Infallible>(answer(request, &counters).await) }
    });
    // A caller that hangs up ends its connection and nothing else.
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn answer(request: Request<Incoming>, counters: &Counters) -> Response<Answer> {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/count") => json(counters.calls.load(Relaxed).to_string()),
        (&Method::GET, "/connections") => json(counters.connections.load(Relaxed).to_string()),
        (&Method::POST, "/mcp") => match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => reply(&head.headers, &body.to_bytes(), counters),
            Err(_) => plain(StatusCode::PAYLOAD_TOO_LARGE),
        },
        (_, "/mcp") => plain(StatusCode::METHOD_NOT_ALLOWED),
        _ => plain(StatusCode::NOT_FOUND),
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: Option<&'a str>,
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

fn reply(headers: &HeaderMap, body: &[u8], counters: &Counters) -> Response<Answer> {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let Some(id) = message.id.map(RawValue::get) else {
        return plain(StatusCode::ACCEPTED);
    };
    let modern = headers
        .get("mcp-protocol-version")
        .is_some_and(|revision| revision == Era::Stateless.revision());
    let tail = if modern {
        r#","resultType":"complete"}}"#
    } else {
        "}}"
    };
    match message.method {
        "tools/call" => call(id, &message, tail, counters),
        "tools/list" if modern => result(
            id,
            &format!(r#"{LISTED},"ttlMs":60000,"cacheScope":"public""#),
            tail,
        ),
        "tools/list" => result(id, LISTED, tail),
        "server/discover" => result(id, DISCOVERED, tail),
        "ping" => result(id, "", tail),
        "initialize" => {
            let mut response = result(id, INITIALIZED, tail);
            let session = counters.sessions.fetch_add(1, Relaxed);
            if let Ok(session) = HeaderValue::try_from(format!("bench-{session}")) {
                response.headers_mut().insert("mcp-session-id", session);
            }
            response
        }
        _ => {
            let mut response = json(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"method not found"}}}}"#
            ));
            *response.status_mut() = if modern {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::OK
            };
            response
        }
    }
}

const LISTED: &str = r#""tools":[{"name":"echo","description":"Repeats a text","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},{"name":"echo_sse","description":"Repeats a text as an event","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}]"#;
const DISCOVERED: &str = r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"portcullis-bench","version":"1"},"ttlMs":60000,"cacheScope":"public""#;
const INITIALIZED: &str = r#""protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"portcullis-bench","version":"1"}"#;

fn result(id: &str, fields: &str, tail: &str) -> Response<Answer> {
    // The tail begins with a comma, which an empty result must not have before it.
    let tail = if fields.is_empty() {
        tail.trim_start_matches(',')
    } else {
        tail
    };
    json(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{{fields}{tail}"#
    ))
}

fn call(id: &str, message: &Message<'_>, tail: &str, counters: &Counters) -> Response<Answer> {
    let params = message.params.as_ref();
    let text = params
        .and_then(|params| params.arguments.as_ref()?.text)
        .map_or("\"\"", RawValue::get);
    let event = match params.and_then(|params| params.name) {
        Some(name) if name == Shape::Json.tool() => false,
        Some(name) if name == Shape::Sse.tool() => true,
        _ => return plain(StatusCode::BAD_REQUEST),
    };
    counters.calls.fetch_add(1, Relaxed);
    let mut body = String::with_capacity(text.len() + id.len() + 160);
    if event {
        body.push_str("event: message\ndata: ");
    }
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        r#","result":{"content":[{"type":"text","text":"#,
        text,
        r#"}],"isError":false"#,
        tail,
    ] {
        body.push_str(part);
    }
    if event {
        body.push_str("\n\n");
        return typed(Shape::Sse, Answer::Event(Some(body.into())));
    }
    json(body)
}

fn json(body: String) -> Response<Answer> {
    typed(Shape::Json, Answer::Whole(body.into()))
}

fn typed(shape: Shape, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(shape.media_type()),
    );
    response
}

fn plain(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Full::default()));
    *response.status_mut() = status;
    response
}

/// A body whose length is known, or one event of a stream whose length is not.
#[derive(Debug)]
enum Answer {
    Whole(Full<Bytes>),
    Event(Option<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Event(event) => Poll::Ready(event.take().map(|data| Ok(Frame::data(data)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Event(event) => event.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Event(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(era: Era, body: &str) -> (StatusCode, String) {
        let mut headers = HeaderMap::new();
        let revision = HeaderValue::from_static(era.revision());
        headers.insert("mcp-protocol-version", revision);
        let response = reply(&headers, body.as_bytes(), &Counters::default());
        let status = response.status();
        let body = match response.into_body() {
            Answer::Whole(body) => {
                let mut body = std::pin::pin!(body);
                let mut cx = Context::from_waker(std::task::Waker::noop());
                match body.as_mut().poll_frame(&mut cx) {
                    Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
                    Poll::Ready(_) | Poll::Pending => Bytes::new(),
                }
            }
            Answer::Event(event) => event.unwrap(),
        };
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn every_answer_is_json_with_the_id_of_its_question() {
        for era in [Era::Handshake, Era::Stateless] {
            for (method, params) in [
                ("initialize", ""),
                ("ping", ""),
                ("tools/list", ""),
                ("server/discover", ""),
                ("no/such", ""),
                (
                    "tools/call",
                    r#","params":{"name":"echo","arguments":{"text":"a\"b"}}"#,
                ),
            ] {
                let question =
                    format!(r#"{{"jsonrpc":"2.0","id":"q","method":"{method}"{params}}}"#);
                let (_, answer) = ask(era, &question);
                let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["id"], "q", "{method}");
                let complete = answer["result"]["resultType"] == "complete";
                assert_eq!(complete, era == Era::Stateless && method != "no/such");
            }
        }
    }

    #[test]
    fn an_event_is_one_message_and_what_is_no_call_is_refused() {
        let call = |name| {
            format!(
                r#"{{"id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{"text":"a"}}}}}}"#
            )
        };
        let (status, event) = ask(Era::Stateless, &call("echo_sse"));
        assert_eq!(status, StatusCode::OK);
        let data = event.strip_prefix("event: message\ndata: ").unwrap();
        let message: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(message["result"]["content"][0]["text"], "a");
        for (question, status) in [
            (call("other").as_str(), StatusCode::BAD_REQUEST),
            ("{", StatusCode::BAD_REQUEST),
            (
                r#"{"method":"notifications/initialized"}"#,
                StatusCode::ACCEPTED,
            ),
        ] {
            assert_eq!(ask(Era::Handshake, question).0, status, "{question}");
        }
    }
}
