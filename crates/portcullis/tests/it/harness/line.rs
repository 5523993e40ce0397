//! A TLS connection of a client that shows a certificate, its own or another's.

use super::client::{Request, Response};
use super::jwt::encode;
use super::pki::{Authority, Identity};
use aws_lc_rs::digest;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned, crypto};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// One TLS connection, for one request after the other.
pub(crate) struct Line {
    reader: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    to: SocketAddr,
}

impl Line {
    /// Shows the certificate of the first, and signs with the key of the second.
    pub(crate) fn open(
        to: SocketAddr,
        authority: &Authority,
        shown: Option<(&Identity, &Identity)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate()).unwrap();
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let keys = provider.key_provider;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = keys.load_private_key(key.private()).unwrap();
                let certified = CertifiedKey::new(certificate.chain.clone(), key);
                config.with_client_cert_resolver(Arc::new(Shows(Arc::new(certified))))
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(to).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        Line {
            reader: BufReader::new(StreamOwned::new(connection, stream)),
            to,
        }
    }

    /// What `cnf` says of a token that is bound to this certificate.
    pub(crate) fn confirmed(identity: &Identity) -> Value {
        let thumbprint = digest::digest(&digest::SHA256, &identity.chain[0]);
        json!({ "x5t#S256": encode(thumbprint.as_ref()) })
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        self.try_ask(request).expect("an answer")
    }

    /// None if the gateway did not take the connection.
    pub(crate) fn try_ask(&mut self, request: &Request) -> Option<Response> {
        let (bytes, trace) = request.traced(self.to);
        self.reader.get_mut().write_all(&bytes).ok()?;
        let status = self.text()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        while let Some((name, value)) = self.text()?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
        let mut body = vec![0; length.parse().ok()?];
        self.reader.read_exact(&mut body).ok()?;
        Some(Response {
            status,
            headers,
            body: String::from_utf8(body).ok()?,
            trace,
        })
    }

    fn text(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

/// Shows a certificate, whether or not it is that of the key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
