//! What those who come to our listener meet: our certificate, and whether they are asked for theirs.

use super::refused::reason;
use super::{BadTls, Shown, VALIDATION, certificates, lists};
use crate::config::{Checked, Tls};
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
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How often the certificate of an open connection is looked at again: it ends, and so do revocation lists.
const LOOKED_AT: Duration = Duration::from_mins(1);

/// Whether clients are asked for a certificate. Nobody has to have one: it counts only for a token that is bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clients {
    /// They are not.
    Unasked,
    /// They may show any, whoever has signed it.
    Any,
    /// They may show one that these authorities (PEM) have signed and, where there are lists (PEM), not revoked; no other.
    Of {
        authorities: String,
        lists: Option<String>,
    },
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
    /// Who looks at the certificates of clients, where not anyone's will do.
    judge: Option<Arc<dyn ClientCertVerifier>>,
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
            (Some(authorities), true) => Clients::Of {
                authorities: authorities.text.clone(),
                lists: tls.client_crl.as_ref().map(|lists| lists.text.clone()),
            },
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
        let mut judge = None;
        let builder = match &clients {
            Clients::Unasked => builder.with_no_client_auth(),
            Clients::Any => {
                let holders = Holders(provider.signature_verification_algorithms);
                builder.with_client_cert_verifier(Arc::new(holders))
            }
            Clients::Of { authorities, lists } => {
                let verifier = signed_by(authorities, lists.as_deref(), provider)?;
                judge = Some(Arc::clone(&verifier));
                builder.with_client_cert_verifier(verifier)
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
            judge,
            config: Arc::new(config),
        })
    }

    /// What would be said of a client that came with this now; nothing if it may come.
    fn refusal(&self, presented: &Presented) -> Option<&'static str> {
        let judge = self.judge.as_ref()?;
        let (leaf, others) = presented.0.split_first()?;
        let judged = judge.verify_client_cert(leaf, others, UnixTime::now());
        judged.err().map(|error| reason(&error))
    }
}

/// What every new connection meets, until it is replaced.
#[derive(Debug)]
pub(crate) struct Door {
    meeting: watch::Sender<Meeting>,
    shown: Arc<Shown>,
}

impl Door {
    /// `shown` is what `facing` was made with.
    pub(crate) fn new(facing: Facing, shown: Arc<Shown>) -> Self {
        if let Some(certified) = &facing.certified {
            shown.replace(certified);
        }
        Self {
            meeting: watch::Sender::new(facing.meeting),
            shown,
        }
    }

    /// Puts this one in place; says whether our certificate is another one now.
    pub(crate) fn replace(&self, next: Facing) -> bool {
        self.meeting.send_if_modified(|meeting| {
            let is_other = meeting.clients != next.meeting.clients;
            if is_other {
                *meeting = next.meeting;
            }
            is_other
        });
        let certified = next.certified;
        certified.is_some_and(|certified| self.shown.replace(&certified))
    }

    /// What it shows.
    pub(crate) const fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.meeting.borrow().config))
    }

    /// Waits until a client with this certificate may not come any more, and says why.
    pub(crate) async fn until_refused(&self, presented: Presented) -> &'static str {
        let mut meeting = self.meeting.subscribe();
        loop {
            let refusal = meeting.borrow_and_update().refusal(&presented);
            if let Some(why) = refusal {
                return why;
            }
            if let Ok(Err(_)) = timeout(LOOKED_AT, meeting.changed()).await {
                // Nobody is left who could say anything.
                pending::<()>().await;
            }
        }
    }
}

/// Whether the client only wanted to see a certificate; nothing is said on such a connection (RFC 8737 section 4).
pub(crate) fn is_validation(connection: &ServerConnection) -> bool {
    connection.alpn_protocol() == Some(VALIDATION)
}

/// The certificate of a client, whose key the handshake has proven, and those beside it.
#[derive(Debug)]
pub(crate) struct Presented(Vec<CertificateDer<'static>>);

impl Presented {
    /// What tokens call it by.
    pub(crate) fn thumbprint(&self) -> Option<Thumbprint> {
        self.0.first().map(|leaf| Thumbprint::of(leaf))
    }
}

/// What the client has shown, if it has.
pub(crate) fn presented(connection: &ServerConnection) -> Option<Presented> {
    let chain = connection.peer_certificates()?.iter();
    let chain = chain.map(|certificate| certificate.clone().into_owned());
    Some(Presented(chain.collect()))
}

/// The usual validation, for clients that show a certificate.
fn signed_by(
    authorities: &str,
    revoked: Option<&str>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, BadTls> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities).map_err(|_| BadTls::Clients)? {
        roots.add(certificate).map_err(|_| BadTls::Clients)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated();
    let Some(revoked) = revoked else {
        return verifier.build().map_err(|_| BadTls::Clients);
    };
    // Every certificate of a chain needs a list that is not out of date: what is not known to be good is refused.
    let verifier = verifier
        .with_crls(lists(revoked)?)
        .enforce_revocation_expiration();
    verifier.build().map_err(|_| BadTls::Lists)
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
