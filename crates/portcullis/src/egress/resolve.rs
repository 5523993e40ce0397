//! What a name means: as this machine says, or as a DNS server says that the configuration names.

use super::NoAnswer;
use crate::random;
use portcullis_core::egress::{addresses, question};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long a name may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who is asked.
#[derive(Debug)]
pub(super) enum Resolver {
    /// This machine: its `hosts` file, its own DNS servers.
    System,
    /// This server, over TCP (RFC 7766): whoever is not on the way cannot answer in its place, and nothing is cut off.
    Server(SocketAddr),
}

impl Resolver {
    /// All addresses of a name, each of its kinds asked for once; none if it has none.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        let looking = async {
            match self {
                // A port is asked for with a name, and means nothing here.
                Self::System => {
                    let found = lookup_host((name, 0)).await;
                    let found = found.map_err(|_| NoAnswer::Unreachable)?;
                    Ok(found.map(|address| address.ip()).collect())
                }
                Self::Server(server) => ask(*server, name).await,
            }
        };
        timeout(TIMEOUT, looking)
            .await
            .map_err(|_| NoAnswer::Timeout)?
    }
}

async fn ask(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
    let [a, b, c, d] = random::bytes().map_err(|_| NoAnswer::Unreachable)?;
    let ids = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let questions = question(name, ids).map_err(|_| NoAnswer::Broken)?;
    let mut stream = TcpStream::connect(server)
        .await
        .map_err(|_| NoAnswer::Unreachable)?;
    let mut found = Vec::new();
    for asked in &questions {
        let answer = exchange(&mut stream, asked).await;
        let answer = answer.map_err(|_| NoAnswer::Unreachable)?;
        found.extend(addresses(asked, &answer).map_err(|_| NoAnswer::Broken)?);
    }
    Ok(found)
}

/// One message each way, with its length before it (RFC 1035 section 4.2.2).
async fn exchange(stream: &mut TcpStream, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(asked.len()).map_err(std::io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), asked].concat())
        .await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
