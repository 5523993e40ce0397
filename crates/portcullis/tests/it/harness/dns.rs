//! A DNS server over TCP that answers as a test wants, also differently each time.

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, ResourceRecord, TYPE};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Script = dyn Fn(&str, usize) -> Vec<IpAddr> + Send + Sync;

/// It ends with the test process.
pub(crate) struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// `script` is given a name, and how often its IPv4 addresses were asked for before.
    pub(crate) fn start(
        script: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || converse(stream, &*script, &seen));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every question so far: `A name` or `AAAA name`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn converse(mut stream: TcpStream, script: &Script, seen: &Mutex<Vec<String>>) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).ok()?;
        let asked = Packet::parse(&message).unwrap();
        let reply = answer(asked, script, seen);
        let length = u16::try_from(reply.len()).unwrap();
        stream
            .write_all(&[&length.to_be_bytes(), &reply[..]].concat())
            .ok()?;
    }
}

fn answer(asked: Packet<'_>, script: &Script, seen: &Mutex<Vec<String>>) -> Vec<u8> {
    let question = asked.questions[0].clone();
    let name = question.qname.to_string();
    let is_four = question.qtype == TYPE::A.into();
    let line = format!("{} {name}", if is_four { "A" } else { "AAAA" });
    let before = {
        let mut seen = seen.lock().unwrap();
        let four = format!("A {name}");
        let before = seen.iter().filter(|one| **one == four).count();
        seen.push(line);
        before - usize::from(!is_four && before > 0)
    };
    let mut reply = asked.into_reply();
    for address in script(&name, before) {
        let data = match address {
            IpAddr::V4(address) if is_four => RData::A(A {
                address: address.to_bits(),
            }),
            IpAddr::V6(address) if !is_four => RData::AAAA(AAAA {
                address: address.to_bits(),
            }),
            IpAddr::V4(_) | IpAddr::V6(_) => continue,
        };
        let owner = Name::new_unchecked(&name).into_owned();
        reply
            .answers
            .push(ResourceRecord::new(owner, CLASS::IN, 0, data));
    }
    reply.build_bytes_vec().unwrap()
}
