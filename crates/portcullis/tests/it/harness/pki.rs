//! Authorities that certify whatever a test asks for, and a TLS server that stands before a plain one.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What lies between it and the root, nearest first; the root is not among them.
    between: Vec<CertificateDer<'static>>,
}

/// A certificate with its chain and key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    serial: SerialNumber,
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// For 127.0.0.1 and `localhost`, until 2099.
pub(crate) fn leaf() -> CertificateParams {
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(ca(name), KeyPair::generate().unwrap());
        Self {
            issuer: issuer.unwrap(),
            between: Vec::new(),
        }
    }

    /// One below it.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(ca(name), key, &self.issuer).unwrap();
        let mut between = vec![issuer.der().clone()];
        between.extend(self.between.iter().cloned());
        Self { issuer, between }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The pin of its key.
    pub(crate) fn pin(&self) -> String {
        pin(&self.issuer.key().subject_public_key_info())
    }

    pub(super) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A good certificate of a new key.
    pub(crate) fn certify(&self) -> Identity {
        self.certify_as(leaf(), KeyPair::generate().unwrap())
    }

    pub(crate) fn certify_as(&self, mut params: CertificateParams, key: KeyPair) -> Identity {
        let serial = SerialNumber::from(super::client::unique());
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.between.iter().cloned());
        Identity { chain, key, serial }
    }

    /// Its revocation list, which is out of date in this year.
    pub(crate) fn revokes(&self, revoked: &[&Identity], until: i32) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Identity {
    /// One that nobody but itself vouches for.
    pub(crate) fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            chain: vec![leaf().self_signed(&key).unwrap().der().clone()],
            key,
            serial: SerialNumber::from(1),
        }
    }

    /// The pin of its key.
    pub(crate) fn pin(&self) -> String {
        pin(&self.key.subject_public_key_info())
    }

    pub(super) const fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn chain_pem(&self) -> String {
        let block = |der: &CertificateDer<'_>| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        self.chain.iter().map(block).collect()
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// For a name that 127.0.0.1 does not have.
pub(crate) fn elsewhere() -> CertificateParams {
    let mut params = leaf();
    let name = Ia5String::try_from("elsewhere.example").unwrap();
    params.subject_alt_names = vec![SanType::DnsName(name)];
    params
}

/// `sha256/…` of a public key.
pub(crate) fn pin(key: &[u8]) -> String {
    format!("sha256/{}", STANDARD.encode(digest(&SHA256, key)))
}

/// Ends TLS 1.3 before a plain server.
pub(crate) struct Front {
    address: SocketAddr,
    shown: Arc<Mutex<(TlsAcceptor, CancellationToken)>>,
}

impl Front {
    /// Shows this certificate.
    pub(crate) fn start(identity: &Identity, to: SocketAddr) -> Self {
        Self::with(acceptor(identity.chain.clone(), identity.private()), to)
    }

    /// Shows this certificate, whoever has signed it.
    pub(crate) fn showing(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        to: SocketAddr,
    ) -> Self {
        Self::with(acceptor(chain, key), to)
    }

    /// Shows this certificate, and with it what its authority is said to say of it.
    pub(crate) fn stapling(identity: &Identity, response: Vec<u8>, to: SocketAddr) -> Self {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert_with_ocsp(identity.chain.clone(), identity.private(), response)
            .unwrap();
        Self::with(TlsAcceptor::from(Arc::new(config)), to)
    }

    /// Demands a certificate of this authority from clients.
    pub(crate) fn demanding(identity: &Identity, clients: &Authority, to: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(clients.certificate()).unwrap();
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(identity.chain.clone(), identity.private())
            .unwrap();
        Self::with(TlsAcceptor::from(Arc::new(config)), to)
    }

    fn with(acceptor: TlsAcceptor, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new((acceptor, CancellationToken::new())));
        let showing = Arc::clone(&shown);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, ended) = showing.lock().unwrap().clone();
                    runtime.spawn(async move {
                        let relay = async {
                            let mut inner = acceptor.accept(stream).await.ok()?;
                            let mut outer = TcpStream::connect(to).await.ok()?;
                            copy_bidirectional(&mut inner, &mut outer).await.ok()
                        };
                        tokio::select! { _ = relay => {}, () = ended.cancelled() => {} }
                    });
                }
            });
        });
        Self { address, shown }
    }

    /// Shows this one from now on, and ends all connections.
    pub(crate) fn show(&self, identity: &Identity) {
        let next = acceptor(identity.chain.clone(), identity.private());
        let mut shown = self.shown.lock().unwrap();
        let (_, ended) = std::mem::replace(&mut *shown, (next, CancellationToken::new()));
        ended.cancel();
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Somebody on the line: passes everything on, and keeps it.
pub(crate) struct Tap {
    address: SocketAddr,
    captured: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let captured: Arc<Mutex<Vec<u8>>> = Arc::default();
        let keeping = Arc::clone(&captured);
        std::thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                let outer = std::net::TcpStream::connect(to).unwrap();
                let ends = [
                    (inner.try_clone().unwrap(), outer.try_clone().unwrap()),
                    (outer, inner),
                ];
                for (from, into) in ends {
                    let keeping = Arc::clone(&keeping);
                    std::thread::spawn(move || pass(from, into, &keeping));
                }
            }
        });
        Self { address, captured }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that went by, in both directions.
    pub(crate) fn captured(&self) -> Vec<u8> {
        self.captured.lock().unwrap().clone()
    }
}

fn pass(mut from: std::net::TcpStream, mut into: std::net::TcpStream, keeping: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        keeping.lock().unwrap().extend_from_slice(&bytes[..length]);
        if into.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
    drop(into.shutdown(std::net::Shutdown::Write));
}

fn acceptor(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> TlsAcceptor {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
