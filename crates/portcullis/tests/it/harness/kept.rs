//! A connection that is kept for one request after the other, and may break at any moment.

use super::client::{Request, Response, connect, trace};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) struct Kept {
    to: SocketAddr,
    reader: BufReader<TcpStream>,
}

impl Kept {
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self {
            to,
            reader: BufReader::new(connect(to)),
        }
    }

    /// One over a connection that there is.
    pub(super) fn over(stream: TcpStream, to: SocketAddr) -> Self {
        Self {
            to,
            reader: BufReader::new(stream),
        }
    }

    /// Sends a request and reads its answer; none if the whole of it did not come.
    pub(crate) fn ask(&mut self, request: &Request) -> Option<Response> {
        let trace = trace();
        let bytes = request.bytes(self.to, &trace, "");
        self.reader.get_mut().write_all(&bytes).ok()?;
        self.answer(trace)
    }

    /// Sends this, and then the same bytes again and again while they are taken, and reads the answer meanwhile.
    pub(crate) fn pour(&mut self, first: &[u8], wave: &[u8], waves: usize) -> Option<Response> {
        let mut pouring = self.reader.get_ref().try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let waves = std::iter::once(first).chain(std::iter::repeat_n(wave, waves));
                waves.map_while(|wave| pouring.write_all(wave).ok()).count()
            });
            self.answer(String::new())
        })
    }

    /// Sends this, and then the same bytes with a pause before each, until there is an answer.
    pub(crate) fn drip(&mut self, first: &[u8], drop: &[u8], pause: Duration) -> Option<Response> {
        let mut dripping = self.reader.get_ref().try_clone().unwrap();
        let is_over = AtomicBool::new(false);
        dripping.write_all(first).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(pause);
                    if dripping.write_all(drop).is_err() {
                        return;
                    }
                }
            });
            let answer = self.answer(String::new());
            is_over.store(true, Ordering::Relaxed);
            answer
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// What comes next.
    pub(crate) fn answer(&mut self, trace: String) -> Option<Response> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
        let mut body = vec![0; length.parse().ok()?];
        self.reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).ok()?;
        Some(Response {
            status,
            headers,
            body,
            trace,
        })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}
