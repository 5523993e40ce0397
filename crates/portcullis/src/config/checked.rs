//! The configuration after every check: types that cannot be wrong.

use super::borrowed::{Borrowing, Vault};
use super::credentials::Credentials;
pub(crate) use super::granted::{
    Admin, Appointed, Approval, Boundary, Grant, Review, Risky, Tenant, Tool, Who,
};
use super::provider::Provider;
use super::rotate::RotateEvery;
pub(crate) use super::server_name::ServerName;
use super::signing::{Algorithm, TokenType};
use super::trust::{Tls, Trust};
use super::url::HttpUrl;
use portcullis_core::authenticate::{Binding, Claims};
use portcullis_core::authorize::Strength;
use portcullis_core::authorize::policy::Zone;
use portcullis_core::catalog::Terms;
use portcullis_core::inspect::Contents;
use portcullis_core::misuse;
use portcullis_core::scim::Attribute;
use portcullis_core::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A configuration that passed every check. Only [`read`](super::read) makes one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Checked {
    /// Where clients are answered.
    pub(crate) gateway: Gateway,
    /// Bounds of requests and connections.
    pub(crate) limits: Limits,
    /// Bounds of sessions.
    pub(crate) sessions: Sessions,
    /// What each principal may ask for.
    pub(crate) quota: Quota,
    /// The audit log.
    pub(crate) audit: Audit,
    /// Whom connections to collectors trust; the further root is a variable of OpenTelemetry.
    pub(crate) collector: Box<Trust>,
    /// Where other parties may send us.
    pub(crate) egress: super::egress::Egress,
    /// What of tokens counts as misuse.
    pub(crate) misuse: misuse::Limits,
    /// The database that says where addresses are.
    pub(crate) places: Option<PathBuf>,
    /// Who is told of alerts.
    pub(crate) alerts: BTreeMap<String, super::alerts::Alerts>,
    /// How grants are reviewed, if they are.
    pub(crate) review: Option<Review>,
    /// The authorization server that clients see, if there is one.
    pub(crate) authority: Option<super::authority::Authority>,
    /// The admin API, if there is one.
    pub(crate) admin: Option<Admin>,
    /// Who signs tokens; never empty.
    pub(crate) issuers: BTreeMap<String, Issuer>,
    /// What is behind the gateway; never empty.
    pub(crate) servers: BTreeMap<ServerName, Server>,
    /// Cedar policies in the order of the file; not yet parsed.
    pub(crate) policies: Vec<TextFile>,
    /// Networks that policies know by a name.
    pub(crate) zones: Vec<Zone>,
    /// Grants in the order of the file; each `allow` of a server is one to [`Who::Anyone`].
    pub(crate) grants: Vec<Grant>,
    /// What nobody exceeds.
    pub(crate) boundaries: Vec<Boundary>,
    /// Who shares the gateway, by name.
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// What was read of elsewhere.
    pub(crate) borrowing: Borrowing,
    /// Where keys of our own are that are no files.
    pub(crate) pkcs11: Option<Pkcs11>,
    /// How often keys of our own are replaced.
    pub(crate) rotate_every: RotateEvery,
    /// The vaults that it may be read of.
    pub(crate) vaults: Vec<Arc<Vault>>,
    /// INVARIANT: made by `check::file` only, when there was no problem.
    pub(crate) _proof: Proof,
}

/// Keeps [`Checked`] from being made elsewhere.
#[derive(Debug)]
pub(crate) struct Proof(pub(super) ());

/// A token, and which keys of our own are in it, by their labels.
#[derive(Debug)]
pub(crate) struct Pkcs11 {
    pub(crate) module: PathBuf,
    pub(crate) token: String,
    pub(crate) pin: Secret<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) assertion: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) audit: Option<String>,
    pub(crate) catalog: Option<String>,
    pub(crate) wrapping: Option<String>,
}

/// Where clients are answered, and by which names.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// For clients; loopback, or with TLS. The port is never 0.
    pub(crate) listen: SocketAddr,
    /// For operators; always loopback.
    pub(crate) admin: SocketAddr,
    /// How clients know us; without query.
    pub(crate) public_url: HttpUrl,
    /// For keys, state and logs.
    pub(crate) data: PathBuf,
    /// Every `Host` to accept, in lower case, exactly as the header must read.
    pub(crate) hosts: BTreeSet<String>,
    /// Every `Origin` to accept, exactly as the header must read.
    pub(crate) origins: BTreeSet<String>,
    /// How long a stop waits for requests.
    pub(crate) drain: Duration,
    /// The audience of the endpoint for all servers; none if there is no such endpoint.
    pub(crate) aggregate: Option<String>,
    /// Certificate and key.
    pub(crate) tls: Option<Tls>,
}

/// A file and what it held when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) text: String,
}

/// Bounds of one request and of all connections.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Bytes of a request body.
    pub(crate) body_bytes: usize,
    /// Wait for a request's head.
    pub(crate) header_timeout: Duration,
    /// Wait for a request's body.
    pub(crate) body_timeout: Duration,
    /// Client connections at once.
    pub(crate) connections: usize,
}

/// Bounds of sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Time without use until the end; at most `absolute`.
    pub(crate) idle: Duration,
    /// Time until the end.
    pub(crate) absolute: Duration,
    /// Sessions at once.
    pub(crate) max: usize,
    /// Sessions of one principal at once; at most `max`.
    pub(crate) max_per_principal: usize,
}

/// What each principal may ask for.
#[derive(Debug)]
pub(crate) struct Quota {
    /// Requests a minute.
    pub(crate) requests_per_minute: u32,
    /// Requests before the rate counts.
    pub(crate) burst: u32,
    /// Requests at once.
    pub(crate) concurrency: u32,
    /// Bytes a minute.
    pub(crate) bytes_per_minute: u64,
    /// Calls a minute to one tool without a number of its own.
    pub(crate) tool_requests_per_minute: u32,
    /// Requests to one server at once, of all principals.
    pub(crate) upstream_concurrency: u32,
}

/// The audit log.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// When it reaches the disk.
    pub(crate) durability: Durability,
    /// How long a checkpoint may stay unsigned.
    pub(crate) sign_within: Duration,
    /// Bytes of one file.
    pub(crate) rotate_bytes: u64,
    /// How long a file stays at least.
    pub(crate) keep: Option<Duration>,
    /// What files may take.
    pub(crate) keep_bytes: Option<u64>,
    /// Where checkpoints are copied.
    pub(crate) witness: Vec<PathBuf>,
    /// What is kept of arguments.
    pub(crate) arguments: Arguments,
}

/// When a record reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before the answer leaves.
    Always,
    /// In groups, after at most this long.
    Within(Duration),
}

/// What the log keeps of the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// The arguments without secrets.
    Redacted,
    /// Their digest.
    Digest,
}

/// Who signs tokens.
#[derive(Debug)]
pub(crate) enum Issuer {
    /// The gateway itself.
    Embedded {
        /// Longest life of a token.
        max_lifetime: Duration,
    },
    /// Another.
    External(Box<External>),
}

/// An issuer other than the gateway.
#[derive(Debug)]
pub(crate) struct External {
    /// The value of `iss`, byte for byte; a URL without query.
    pub(crate) issuer: String,
    /// Where its keys are, unless its metadata says.
    pub(crate) jwks_uri: Option<HttpUrl>,
    /// Accepted signatures; never empty.
    pub(crate) algorithms: BTreeSet<Algorithm>,
    /// Accepted values of `typ`; never empty.
    pub(crate) token_types: BTreeSet<TokenType>,
    /// Longest time from `iat` to `exp`.
    pub(crate) max_lifetime: Duration,
    /// Tolerated difference of clocks; at most a minute.
    pub(crate) skew: Duration,
    /// What it calls things.
    pub(crate) claims: Claims,
    /// Which product it is.
    pub(crate) provider: Option<Provider>,
    /// Whom connections to it trust.
    pub(crate) trust: Box<Trust>,
    /// The security events that it pushes.
    pub(crate) signals: Option<Signals>,
    /// The users of whom its directory tells.
    pub(crate) scim: Option<Scim>,
    /// How it is asked about tokens.
    pub(crate) introspection: Option<Introspection>,
}

/// What an issuer tells of its subjects by itself.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The `aud` of its events; never empty.
    pub(crate) audience: String,
    /// What it sends besides its signature.
    pub(crate) bearer: Option<Secret<String>>,
    /// Where it keeps events for us.
    pub(crate) poll: Option<Poll>,
}

/// How events are fetched.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) url: HttpUrl,
    /// By what it knows us; fit for a header.
    pub(crate) bearer: Secret<String>,
    pub(crate) stale_after: Duration,
    /// Whether nobody has access while it is stale.
    pub(crate) denies: bool,
}

/// What a directory tells of an issuer's users.
#[derive(Debug)]
pub(crate) struct Scim {
    /// What it sends to show that it is the directory.
    pub(crate) bearer: Secret<String>,
    /// The attribute that tokens name; never `id`.
    pub(crate) attribute: Attribute,
    /// The claim in which they do, if not that of the subject; without `=`, never empty.
    pub(crate) claim: Option<String>,
}

/// How an issuer is asked about tokens.
#[derive(Debug)]
pub(crate) struct Introspection {
    /// Where, unless its metadata says.
    pub(crate) endpoint: Option<HttpUrl>,
    /// Our name there; never empty.
    pub(crate) client_id: String,
    /// What shows that it is us.
    pub(crate) client_secret: Secret<String>,
    /// How long a yes is believed.
    pub(crate) ttl: Duration,
    /// Whether it is asked about every token.
    pub(crate) always: bool,
    /// Whether only answers count that it has signed.
    pub(crate) signed: bool,
}

/// A server behind the gateway.
#[derive(Debug)]
pub(crate) struct Server {
    /// How it is reached.
    pub(crate) upstream: Upstream,
    /// How it is held to what was approved.
    pub(crate) terms: Terms,
    /// Who of its callers may approve what it defines, on a page.
    pub(crate) approvers: Vec<Who>,
    /// How the contents of its answers are dealt with.
    pub(crate) contents: Contents,
    /// Keys of [`Checked::issuers`]; never empty.
    pub(crate) issuers: BTreeSet<String>,
    /// The longest life of a token, where that of its issuer is not enough.
    pub(crate) max_token_lifetime: Option<Duration>,
    /// What tokens must be meant for; no other server has the same.
    pub(crate) audience: String,
    /// What every request needs.
    pub(crate) scopes: BTreeSet<String>,
    /// Whether tokens are bound to a key of the client.
    pub(crate) dpop: Binding,
    /// Whether a proof needs a nonce; never where no proof is taken.
    pub(crate) dpop_nonce: bool,
    /// Whether tokens are bound to a certificate of the client; never without TLS.
    pub(crate) mtls: Binding,
    /// How callers must have authenticated.
    pub(crate) step_up: Strength,
    /// What single tools need.
    pub(crate) tools: BTreeMap<String, Tool>,
    /// What calls of other tools need that are risky.
    pub(crate) risky: Option<Risky>,
    /// What it is shown of whoever calls; only with an upstream on the network.
    pub(crate) credentials: Option<Credentials>,
    /// How users consent; only with an upstream on the network.
    pub(crate) sign_in: Option<super::sign_in::SignIn>,
    /// Wait for the first byte of an answer.
    pub(crate) upstream_timeout: Duration,
    /// Wait for a client's answer to what the server asks during its call.
    pub(crate) question_timeout: Duration,
    /// Bytes of a JSON message or SSE event of an answer.
    pub(crate) response_bytes: usize,
}

/// How a server is reached.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// Over the network.
    Http(Http),
    /// As a child process.
    Stdio(Stdio),
}

/// A server on the network.
#[derive(Debug)]
pub(crate) struct Http {
    /// Its endpoint.
    pub(crate) url: HttpUrl,
    /// How it is spoken to.
    pub(crate) transport: Transport,
    /// What is sent with every request, by lower-case name; all values are treated as secrets.
    pub(crate) headers: BTreeMap<String, Secret<String>>,
    /// Whom connections to it trust.
    pub(crate) trust: Box<Trust>,
}

/// Transports of MCP over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Since 2025-03-26.
    StreamableHttp,
    /// HTTP with SSE, of 2024-11-05.
    Sse,
}

/// A server as a child process.
#[derive(Debug)]
pub(crate) struct Stdio {
    /// The program; a bare name is looked up on `PATH`.
    pub(crate) command: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its whole environment; all values are treated as secrets.
    pub(crate) env: BTreeMap<String, Secret<String>>,
    /// Its working directory.
    pub(crate) cwd: PathBuf,
    /// Processes at once.
    pub(crate) max_processes: u32,
    /// What it may do to the machine; whatever we may, if there is none.
    pub(crate) sandbox: Option<super::sandbox::Sandbox>,
}
