//! What reaches a server, kept byte for byte: on a wire between gateway and server, or on its standard input.

use crate::peer::command_line;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Something that a server was sent.
pub(crate) enum Tap {
    Wire(Wire),
    File(PathBuf),
}

impl Tap {
    /// All that went to the server so far.
    pub(crate) fn heard(&self) -> String {
        match self {
            Self::Wire(wire) => String::from_utf8_lossy(&wire.heard.lock().unwrap()).into_owned(),
            Self::File(path) => String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
        }
    }
}

/// A port of loopback that passes everything on to another; it ends with the test process.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    /// Puts one before the server on `port`.
    pub(crate) fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
        };
        let accepting = wire.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let wire = accepting.clone();
                std::thread::spawn(move || wire.join(&stream, port));
            }
        });
        wire
    }

    /// Passes bytes on both ways until both have ended.
    fn join(&self, near: &TcpStream, port: u16) {
        let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))) else {
            return;
        };
        drop((near.set_nodelay(true), far.set_nodelay(true)));
        std::thread::scope(|scope| {
            scope.spawn(|| pass_on(&far, near, |_| {}));
            pass_on(near, &far, |bytes| {
                self.heard.lock().unwrap().extend_from_slice(bytes);
            });
        });
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, mut see: impl FnMut(&[u8])) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        see(&chunk[..length]);
        if to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    // The other end may be gone already.
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
}

/// The configuration of a server over stdio that copies its environment and its input to `file`.
pub(crate) fn stdio(peer: &str, arguments: &[&str], file: &str) -> String {
    let mut args = vec![
        "-c".to_owned(),
        r#"env >>"$0"; tee -a "$0" | exec "$@""#.to_owned(),
        file.to_owned(),
    ];
    args.extend(command_line(peer, arguments));
    format!("command = \"sh\"\nargs = {args:?}\ninherit_env = [\"PATH\"]\n")
}
