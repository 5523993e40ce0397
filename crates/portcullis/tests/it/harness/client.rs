//! A client that sends exactly what it is told, also what no library would send.

use super::{STATELESS, WITH_SESSIONS};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The endpoint that most tests attack.
const ENDPOINT: &str = "/servers/notes/mcp";

/// A number that this process has not given before.
pub(crate) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A request that is still being written.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A `tools/call` of the stateless revision.
pub(crate) fn call(tool: &str) -> Request {
    message(
        "tools/call",
        json!({ "name": tool, "arguments": { "text": "hello" } }),
    )
    .set("mcp-name", tool)
}

/// Any request of the stateless revision.
pub(crate) fn message(method: &str, mut params: Value) -> Request {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "attacker", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    post(&json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string())
        .set("mcp-protocol-version", STATELESS)
        .set("mcp-method", method)
}

/// A `POST` of this body with the headers that every client sends.
pub(crate) fn post(body: &str) -> Request {
    let request = Request::new("POST", ENDPOINT).body(body);
    request
        .set("content-type", "application/json")
        .set("accept", "application/json, text/event-stream")
}

/// `initialize` of the revision that has sessions.
pub(crate) fn initialize(token: &str) -> Request {
    let params = json!({
        "protocolVersion": WITH_SESSIONS,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    post(&body.to_string()).token(token)
}

/// A tool call in a session.
pub(crate) fn call_in(session: &str, token: &str) -> Request {
    let params = json!({ "name": "echo", "arguments": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    post(&body.to_string())
        .token(token)
        .set("mcp-session-id", session)
        .set("mcp-protocol-version", WITH_SESSIONS)
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A request under an open session.
    pub(crate) fn in_session(method: &str, session: &str) -> Self {
        Self::new(method, ENDPOINT)
            .set("mcp-session-id", session)
            .set("accept", "text/event-stream")
    }

    pub(crate) fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    pub(crate) fn bytes_of_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// Sets a header in place of one of the same name.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.unset(name).add(name, value)
    }

    /// Adds a header, also a second one of the same name.
    pub(crate) fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.headers
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.set("authorization", &format!("Bearer {token}"))
    }

    /// A token that is bound, and the proof for it.
    pub(crate) fn bound(self, token: &str, proof: &str) -> Self {
        self.set("authorization", &format!("DPoP {token}"))
            .set("dpop", proof)
    }

    pub(crate) fn send(&self, to: SocketAddr) -> Response {
        let trace = trace();
        let mut response = raw(to, &self.bytes(to, &trace, "connection: close\r\n"));
        response.trace = trace;
        response
    }

    /// Sends it from another address of this machine.
    pub(crate) fn send_from(&self, from: [u8; 4], to: SocketAddr) -> Response {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(to).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        let mut kept = super::kept::Kept::over(stream, to);
        kept.ask(self).unwrap()
    }

    /// Sends it, and is gone.
    pub(crate) fn send_and_leave(&self, to: SocketAddr) {
        let mut stream = connect(to);
        stream.write_all(&self.bytes(to, &trace(), "")).unwrap();
        std::thread::sleep(Duration::from_millis(300)); // so that the request is on its way up
    }

    /// Sends it and leaves the answer's body to be read event by event.
    pub(crate) fn open(&self, to: SocketAddr) -> Stream {
        let trace = trace();
        let mut stream = connect(to);
        stream.write_all(&self.bytes(to, &trace, "")).unwrap();
        let mut reader = BufReader::new(stream);
        let (status, headers) = head(&mut reader);
        Stream {
            response: Response {
                status,
                headers,
                body: String::new(),
                trace,
            },
            reader,
            began: Instant::now(),
        }
    }

    /// The request as it goes over the wire, and the trace that its record will bear.
    pub(crate) fn traced(&self, to: SocketAddr) -> (Vec<u8>, String) {
        let trace = trace();
        (self.bytes(to, &trace, ""), trace)
    }

    /// The request as it goes over the wire, with `more` header lines.
    pub(crate) fn bytes(&self, to: SocketAddr, trace: &str, more: &str) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            text.push_str(&format!("host: {to}\r\n"));
        }
        text.push_str(&format!(
            "traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n{more}"
        ));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [text.into_bytes(), self.body.clone()].concat()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The trace id of the request, which its record bears.
    pub(crate) trace: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// All challenges.
    pub(crate) fn challenges(&self) -> Vec<&str> {
        let own = self.headers.iter();
        own.filter(|(name, _)| name == "www-authenticate")
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn challenge(&self) -> &str {
        self.header("www-authenticate").unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC error code; 0 if there is none.
    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_default()
    }

    /// All that a client can tell this refusal from another by; only the correlation id is its own.
    pub(crate) fn shape(&self) -> (u16, Vec<(String, String)>, String) {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != "date");
        (self.status, headers, self.body.replace(&self.trace, ""))
    }
}

/// Sends bytes as they are and reads one answer.
pub(crate) fn raw(to: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(to);
    // A server that has seen enough may close before it was sent all.
    match stream.write_all(bytes) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) =>
        {
            panic!("{error}")
        }
        Ok(()) | Err(_) => {}
    }
    let mut reader = BufReader::new(stream);
    let (status, headers) = head(&mut reader);
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    match length {
        Some(_) if bytes.starts_with(b"HEAD ") => {}
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body).unwrap();
        }
        None if status == 204 || status == 202 => {}
        None => read_to_end(&mut reader, &mut body),
    }
    Response {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
        trace: String::new(),
    }
}

/// Reads on while anything comes, but not for ever: a stream that should have been refused would never end.
fn read_to_end(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) {
    let began = Instant::now();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = reader.read(&mut chunk) {
        body.extend_from_slice(&chunk[..length]);
        assert!(
            began.elapsed() < PATIENCE,
            "an answer without an end: {}",
            String::from_utf8_lossy(body)
        );
    }
}

pub(super) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Status and headers; status 0 if the connection was closed without an answer.
fn head(reader: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(2..) if line != "\r\n" => lines.push(line.trim_end().to_owned()),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let mut lines = lines.into_iter();
    let status = lines
        .next()
        .and_then(|first| first.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0);
    let split = |line: String| {
        line.split_once(':')
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    (status, lines.filter_map(split).collect())
}

pub(super) fn trace() -> String {
    format!(
        "{:016x}{:016x}",
        u64::from(std::process::id()) + 1,
        unique()
    )
}

/// An answer that comes event by event.
pub(crate) struct Stream {
    pub(crate) response: Response,
    reader: BufReader<TcpStream>,
    began: Instant,
}

impl Stream {
    /// Reads up to a text; gives the line that has it, or nothing if the stream ended before.
    pub(crate) fn until(&mut self, text: &str) -> Option<String> {
        self.until_collecting(text, &mut String::new())
    }

    /// The same; what came before goes into `before`.
    pub(crate) fn until_collecting(&mut self, text: &str, before: &mut String) -> Option<String> {
        loop {
            let line = self.line()?;
            if line.contains(text) {
                return Some(line);
            }
            before.push_str(&line);
        }
    }

    /// The next event id.
    pub(crate) fn next_id(&mut self) -> String {
        self.until("id: ")
            .expect("an event with an id")
            .replace("id: ", "")
    }

    /// Reads to the end; gives what still came, and after how long it was over.
    pub(crate) fn end(mut self) -> (String, Duration) {
        let mut rest = String::new();
        while let Some(line) = self.line() {
            rest.push_str(&line);
            rest.push('\n');
        }
        (rest, self.began.elapsed())
    }

    /// A line of the body without its chunks' framing, which never looks like a field of an event.
    fn line(&mut self) -> Option<String> {
        assert!(self.began.elapsed() < PATIENCE, "a stream without an end");
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) if line == "0\r\n" => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the stream says nothing and does not end: {error}"),
        }
    }
}
