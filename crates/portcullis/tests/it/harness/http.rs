//! A tiny HTTP/1.1 server on threads that remembers what it was sent.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request, as it came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body where it is no text.
    pub(crate) raw: Vec<u8>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (headers, body) = (&self.headers, &self.body);
        write!(f, "{} {} {headers:?} {body:?}", self.method, self.target)
    }
}

impl Seen {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Everything that was sent, as one text.
    pub(crate) fn whole(&self) -> String {
        format!("{self:?}")
    }
}

/// What is sent back.
pub(crate) enum Answer {
    /// These bytes, head and body; the connection stays, unless they say otherwise.
    Bytes(Vec<u8>),
    /// These bytes, and the connection is kept open for more.
    Open(Vec<u8>),
    /// These bytes, and then the others again and again, as long as they are taken.
    Flood(Vec<u8>, Vec<u8>),
}

/// How often a flood comes at most.
const WAVES: usize = 600;

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
        );
        Self::Bytes((head + body).into_bytes())
    }

    /// A status alone.
    pub(crate) fn status(status: u16) -> Self {
        Self::Bytes(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").into_bytes())
    }

    /// An event stream that stays open.
    pub(crate) fn events(first: &str) -> Self {
        let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        Self::Open(format!("{head}{first}").into_bytes())
    }
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A server on a free port of loopback; it ends with the test process.
#[derive(Clone)]
pub(crate) struct Host {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Host {
    pub(crate) fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", handler)
    }

    /// The same on another address of loopback.
    pub(crate) fn start_at(
        address: &str,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            open: Arc::default(),
        };
        let handler: Arc<Handler> = Arc::new(handler);
        let accepting = host.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (host, handler) = (accepting.clone(), Arc::clone(&handler));
                std::thread::spawn(move || host.converse(stream, &*handler));
            }
        });
        host
    }

    /// A host that knows nothing: whoever comes there was lured.
    pub(crate) fn lure() -> Self {
        Self::start(|_| Answer::json(200, "", "{}"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Writes to every connection that was left open; gives how many still take it.
    pub(crate) fn push(&self, text: &str) -> usize {
        let mut open = self.open.lock().unwrap();
        open.retain_mut(|stream| stream.write_all(text.as_bytes()).is_ok());
        open.len()
    }

    fn converse(&self, stream: TcpStream, handler: &Handler) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(seen) = read(&mut reader) {
            self.seen.lock().unwrap().push(seen.clone());
            match handler(&seen) {
                Answer::Bytes(bytes) => {
                    let is_last = String::from_utf8_lossy(&bytes).contains("connection: close");
                    if (&stream).write_all(&bytes).is_err() || is_last {
                        return;
                    }
                }
                Answer::Flood(first, wave) => {
                    let waves = std::iter::once(&first).chain(std::iter::repeat_n(&wave, WAVES));
                    let _taken = waves
                        .map_while(|wave| (&stream).write_all(wave).ok())
                        .count();
                    return;
                }
                Answer::Open(bytes) => {
                    let mut open = self.open.lock().unwrap();
                    if (&stream).write_all(&bytes).is_ok() {
                        open.push(stream);
                    }
                    return;
                }
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        method,
        target,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        raw: body,
    })
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
