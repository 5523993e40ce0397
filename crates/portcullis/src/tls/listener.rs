//! What those who come to our listener meet: our certificate, and whether they are asked for theirs.

use super::{BadTls, Shown, VALIDATION, certificates};
use crate::config::{Checked, Tls};
use arc_swap::ArcSwap;
use portcullis_core::authenticate::{Binding, Thumbprint};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme, client::danger::HandshakeSignatureValid, version,
};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Whether clients are asked for a certificate. Nobody has to have one: it counts only for a token that is bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clients {
    /// They are not.
    Unasked,
    /// They may show any, whoever has signed it.
    Any,
    /// They may show one that these authorities (PEM) have signed, and no other.
    Of(String),
}

/// What the configuration says of new connections.
#[derive(Debug)]
pub(crate) struct Facing {
    /// Our certificate; none while there is none yet.
    certified: Option<Arc<CertifiedKey>>,
    meeting: Meeting,
}

/// What a new connection meets.
#[derive(Debug)]
struct Meeting {
    clients: Clients,
    config: Arc<ServerConfig>,
}

impl Facing {
    /// What the configuration says; nothing without TLS. Clients are asked if any server takes tokens that are bound to
    /// certificates.
    ///
    /// # Errors
    /// [`BadTls`]: the authorities of clients cannot be used.
    pub(crate) fn of(
        checked: &Checked,
        certified: Option<Arc<CertifiedKey>>,
        shown: &Arc<Shown>,
    ) -> Result<Option<Self>, BadTls> {
        let mut servers = checked.servers.values();
        let is_asked = servers.any(|server| server.mtls != Binding::Off);
        let tls = checked.gateway.tls.as_ref();
        let facing = tls.map(|tls| Self::to(tls, is_asked, certified, shown));
        facing.transpose()
    }

    /// The same for operators.
    ///
    /// # Errors
    /// [`BadTls`].
    pub(crate) fn of_admin(
        checked: &Checked,
        certified: Option<Arc<CertifiedKey>>,
        shown: &Arc<Shown>,
    ) -> Result<Option<Self>, BadTls> {
        let admin = checked.admin.as_ref();
        let facing = admin.and_then(|admin| {
            let is_asked = admin.mtls != Binding::Off;
            let tls = admin.tls.as_ref()?;
            Some(Self::to(tls, is_asked, certified, shown))
        });
        facing.transpose()
    }

    fn to(
        tls: &Tls,
        is_asked: bool,
        certified: Option<Arc<CertifiedKey>>,
        shown: &Arc<Shown>,
    ) -> Result<Self, BadTls> {
        let clients = match (&tls.client_ca, is_asked) {
            (_, false) => Clients::Unasked,
            (None, true) => Clients::Any,
            (Some(authorities), true) => Clients::Of(authorities.text.clone()),
        };
        Ok(Self {
            certified,
            meeting: Meeting::new(clients, shown)?,
        })
    }
}

impl Meeting {
    fn new(clients: Clients, shown: &Arc<Shown>) -> Result<Self, BadTls> {
        let builder = ServerConfig::builder_with_protocol_versions(&[&version::TLS13]);
        let provider = Arc::clone(builder.crypto_provider());
        let builder = match &clients {
            Clients::Unasked => builder.with_no_client_auth(),
            Clients::Any => {
                let holders = Holders(provider.signature_verification_algorithms);
                builder.with_client_cert_verifier(Arc::new(holders))
            }
            Clients::Of(authorities) => {
                builder.with_client_cert_verifier(signed_by(authorities, provider)?)
            }
        };
        let resolver: Arc<Shown> = Arc::clone(shown);
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec(), VALIDATION.to_vec()];
        if clients != Clients::Unasked {
            // Nothing is resumed, so that each connection proves whose certificate it has.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self {
            clients,
            config: Arc::new(config),
        })
    }
}

/// What every new connection meets, until it is replaced.
#[derive(Debug)]
pub(crate) struct Door {
    meeting: ArcSwap<Meeting>,
    shown: Arc<Shown>,
}

impl Door {
    /// `shown` is what `facing` was made with.
    pub(crate) fn new(facing: Facing, shown: Arc<Shown>) -> Self {
        if let Some(certified) = &facing.certified {
            shown.replace(certified);
        }
        Self {
            meeting: ArcSwap::from_pointee(facing.meeting),
            shown,
        }
    }

    /// Puts this one in place; says whether our certificate is another one now.
    pub(crate) fn replace(&self, next: Facing) -> bool {
        if self.meeting.load().clients != next.meeting.clients {
            self.meeting.store(Arc::new(next.meeting));
        }
        let certified = next.certified;
        certified.is_some_and(|certified| self.shown.replace(&certified))
    }

    /// What it shows.
    pub(crate) const fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.meeting.load().config))
    }
}

/// Whether the client only wanted to see a certificate; nothing is said on such a connection (RFC 8737 section 4).
pub(crate) fn is_validation(connection: &ServerConnection) -> bool {
    connection.alpn_protocol() == Some(VALIDATION)
}

/// The certificate of the client, whose key the handshake has proven.
pub(crate) fn shown(connection: &ServerConnection) -> Option<Thumbprint> {
    let leaf = connection.peer_certificates()?.first()?;
    Some(Thumbprint::of(leaf))
}

/// The usual validation, for clients that show a certificate.
fn signed_by(
    authorities: &str,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, BadTls> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities).map_err(|_| BadTls::Clients)? {
        roots.add(certificate).map_err(|_| BadTls::Clients)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|_| BadTls::Clients)
}

/// Takes any certificate from whoever has its key (RFC 8705 section 2.2): what it is good for, a token says that names it.
///
/// INVARIANT: the signature of the handshake is verified by the library, as for any other certificate.
#[derive(Debug)]
struct Holders(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Holders {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
