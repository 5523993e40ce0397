//! By syslog: RFC 5424 over TLS (RFC 5425), and on loopback over TCP or UDP.
//!
//! Nobody acknowledges a line. Over a connection each has one of its own, and counts as taken when the other side has
//! closed it after us, without an error.

use super::Undelivered;
use super::finding::Due;
use crate::tls::Client;
use portcullis_audit::time_text;
use portcullis_core::alert::Severity;
use rustls::pki_types::ServerName;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one attempt may take, and how long the other side may take to close.
const WITHIN: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(2);
/// What the other side says is of no interest, but it has to be read to see the end of it.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Facility 13, log audit.
const FACILITY: u8 = 13;
/// The longest `MSGID` of RFC 5424.
const MAX_ID_BYTES: usize = 32;

pub(super) struct Syslog {
    pub(super) by: Carrier,
    pub(super) host: String,
    pub(super) port: u16,
    /// The name of this machine in each line.
    pub(super) own: String,
}

pub(super) enum Carrier {
    Tls(Client),
    Tcp,
    Udp,
}

impl Syslog {
    pub(super) async fn send(&self, due: &Due) -> Result<(), Undelivered> {
        let message = message(due, &self.own);
        let sent = timeout(WITHIN, self.deliver(&message)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Undelivered::Unreachable),
        }
    }

    async fn deliver(&self, message: &str) -> io::Result<()> {
        let place = (self.host.as_str(), self.port);
        match &self.by {
            Carrier::Udp => {
                let is_v6 = self.host.contains(':');
                let any = if is_v6 { "[::]:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(place).await?;
                socket.send(message.as_bytes()).await.map(drop)
            }
            Carrier::Tcp => write(TcpStream::connect(place).await?, message).await,
            Carrier::Tls(client) => {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                let stream = TcpStream::connect(place).await?;
                write(client.connect(name, stream).await?, message).await
            }
        }
    }
}

/// Writes one line with its length before it, and waits for the other side to have it.
async fn write(mut stream: impl AsyncRead + AsyncWrite + Unpin, message: &str) -> io::Result<()> {
    let framed = format!("{} {message}", message.len());
    stream.write_all(framed.as_bytes()).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = Vec::new();
    let mut stream = stream.take(MAX_ANSWER_BYTES);
    match timeout(CLOSING, stream.read_to_end(&mut rest)).await {
        // Many close without the alert of TLS that says so.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

fn message(due: &Due, own: &str) -> String {
    let priority = FACILITY * 8
        + match due.severity {
            Severity::Critical => 2,
            Severity::High => 3,
            Severity::Medium => 4,
            Severity::Low => 5,
        };
    let time = time_text(due.at.micros());
    let id: String = due.rule.chars().take(MAX_ID_BYTES).collect();
    format!(
        "<{priority}>1 {time} {own} portcullis - {id} - {}",
        due.body
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::time::Timestamp;

    #[test]
    fn tok_19_a_line_has_the_form_of_rfc_5424() {
        let due = Due {
            seq: 1,
            id: "1-0".to_owned(),
            rule: "token_networks".to_owned(),
            severity: Severity::High,
            at: Timestamp::from_seconds(0),
            body: "{}".to_owned(),
        };
        assert_eq!(
            message(&due, "gate.example"),
            "<107>1 1970-01-01T00:00:00.000000Z gate.example portcullis - token_networks - {}"
        );
    }
}
