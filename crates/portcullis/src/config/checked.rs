//! The configuration after every check: types that cannot be wrong.

use super::pattern::Pattern;
use super::secret::Secret;
use super::url::HttpUrl;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A configuration that passed every check. Only [`read`](super::read) makes one.
#[derive(Debug)]
#[must_use]
pub struct Checked {
    /// Where clients are answered.
    pub gateway: Gateway,
    /// Bounds of requests and connections.
    pub limits: Limits,
    /// Bounds of sessions.
    pub sessions: Sessions,
    /// What each principal may ask for.
    pub quota: Quota,
    /// The audit log.
    pub audit: Audit,
    /// Who signs tokens; never empty.
    pub issuers: BTreeMap<String, Issuer>,
    /// What is behind the gateway; never empty.
    pub servers: BTreeMap<ServerName, Server>,
    /// Cedar policies in the order of the file; not yet parsed.
    pub policies: Vec<TextFile>,
    /// Grants in the order of the file; each `allow` of a server is one to [`Who::Anyone`].
    pub grants: Vec<Grant>,
    /// The endpoint for all servers, unless it is switched off.
    pub aggregate: Option<Aggregate>,
    /// INVARIANT: made by `check::file` only, when there was no problem.
    pub(super) _proof: Proof,
}

/// Keeps [`Checked`] from being made elsewhere.
#[derive(Debug)]
pub(super) struct Proof;

/// Where clients are answered, and by which names.
#[derive(Debug)]
pub struct Gateway {
    /// For clients; loopback, or with TLS. The port is never 0.
    pub listen: SocketAddr,
    /// For operators; always loopback.
    pub admin: SocketAddr,
    /// How clients know us; without query.
    pub public_url: HttpUrl,
    /// For keys, state and logs.
    pub data: PathBuf,
    /// Every `Host` to accept, in lower case, exactly as the header must read.
    pub hosts: BTreeSet<String>,
    /// Every `Origin` to accept, exactly as the header must read.
    pub origins: BTreeSet<String>,
    /// How long a stop waits for requests.
    pub drain: Duration,
    /// Certificate and key.
    pub tls: Option<Tls>,
}

/// The gateway's certificate, as PEM.
#[derive(Debug)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate: TextFile,
    /// The private key.
    pub key: Secret<String>,
}

/// A file and what it held when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// Bounds of one request and of all connections.
#[derive(Debug)]
pub struct Limits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Nesting of a JSON message.
    pub depth: usize,
    /// Wait for a request's head.
    pub header_timeout: Duration,
    /// Wait for a request's body.
    pub body_timeout: Duration,
    /// Client connections at once.
    pub connections: usize,
}

/// Bounds of sessions.
#[derive(Debug)]
pub struct Sessions {
    /// Time without use until the end; at most `absolute`.
    pub idle: Duration,
    /// Time until the end.
    pub absolute: Duration,
    /// Sessions at once.
    pub max: usize,
    /// Sessions of one principal at once; at most `max`.
    pub max_per_principal: usize,
}

/// What each principal may ask for.
#[derive(Debug)]
pub struct Quota {
    /// Requests a minute.
    pub requests_per_minute: u32,
    /// Requests before the rate counts.
    pub burst: u32,
    /// Requests at once.
    pub concurrency: u32,
    /// Bytes a minute.
    pub bytes_per_minute: u64,
    /// Calls a minute to one tool without a number of its own.
    pub tool_requests_per_minute: u32,
    /// Requests to one server at once, of all principals.
    pub upstream_concurrency: u32,
}

/// The audit log.
#[derive(Debug)]
pub struct Audit {
    /// Where it is.
    pub directory: PathBuf,
    /// When it reaches the disk.
    pub durability: Durability,
    /// Bytes of one file.
    pub rotate_bytes: u64,
    /// Where checkpoints are copied.
    pub witness: Vec<PathBuf>,
    /// What is kept of arguments.
    pub arguments: Arguments,
}

/// When a record reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the answer leaves.
    Always,
    /// In groups, after at most this long.
    Within(Duration),
}

/// What the log keeps of the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// The arguments without secrets.
    Redacted,
    /// Their digest.
    Digest,
}

/// Who signs tokens.
#[derive(Debug)]
pub enum Issuer {
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
pub struct External {
    /// The value of `iss`, byte for byte; a URL without query.
    pub issuer: String,
    /// Where its keys are, unless its metadata says.
    pub jwks_uri: Option<HttpUrl>,
    /// Accepted signatures; never empty.
    pub algorithms: BTreeSet<Algorithm>,
    /// Accepted values of `typ`; never empty.
    pub token_types: BTreeSet<TokenType>,
    /// Longest time from `iat` to `exp`.
    pub max_lifetime: Duration,
    /// Tolerated difference of clocks; at most a minute.
    pub skew: Duration,
    /// The claim with roles.
    pub roles_claim: String,
    /// The claim with groups.
    pub groups_claim: String,
    /// The claim with scopes.
    pub scope_claim: String,
    /// A further trust root, as PEM.
    pub ca: Option<TextFile>,
}

/// Asymmetric signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Values of the `typ` header of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 section 2.1).
    AtJwt,
    /// `JWT`, which says nothing about the token's purpose.
    Jwt,
}

/// The name of a server: `^[a-z0-9][a-z0-9-]{0,31}$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerName(String);

impl ServerName {
    /// Longest name.
    pub const MAX_CHARS: usize = 32;

    /// Parses a name; `None` if it does not have the form.
    pub fn parse(text: &str) -> Option<Self> {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let holds = (1..=Self::MAX_CHARS).contains(&text.len())
            && text.bytes().all(inside)
            && !text.starts_with('-');
        holds.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A server behind the gateway.
#[derive(Debug)]
pub struct Server {
    /// How it is reached.
    pub upstream: Upstream,
    /// Keys of [`Checked::issuers`]; never empty.
    pub issuers: BTreeSet<String>,
    /// What tokens must be meant for; no other server has the same.
    pub audience: String,
    /// What every request needs.
    pub scopes: BTreeSet<String>,
    /// What single tools need.
    pub tools: BTreeMap<String, Tool>,
    /// Wait for the first byte of an answer.
    pub upstream_timeout: Duration,
    /// Bytes of a JSON message or SSE event of an answer.
    pub response_bytes: usize,
}

/// How a server is reached.
#[derive(Debug)]
pub enum Upstream {
    /// Over the network.
    Http(Http),
    /// As a child process.
    Stdio(Stdio),
}

/// A server on the network.
#[derive(Debug)]
pub struct Http {
    /// Its endpoint.
    pub url: HttpUrl,
    /// How it is spoken to.
    pub transport: Transport,
    /// What is sent with every request, by lower-case name; all values are treated as secrets.
    pub headers: BTreeMap<String, Secret<String>>,
    /// A further trust root, as PEM.
    pub ca: Option<TextFile>,
}

/// Transports of MCP over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Since 2025-03-26.
    StreamableHttp,
    /// HTTP with SSE, of 2024-11-05.
    Sse,
}

/// A server as a child process.
#[derive(Debug)]
pub struct Stdio {
    /// The program; a bare name is looked up on `PATH`.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment; all values are treated as secrets.
    pub env: BTreeMap<String, Secret<String>>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Processes at once.
    pub max_processes: u32,
}

/// What holds for one tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// What a call needs besides the server's scopes.
    pub scopes: BTreeSet<String>,
    /// Calls a minute of one principal, if not the general number.
    pub requests_per_minute: Option<u32>,
}

/// A permission.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who has it.
    pub who: Who,
    /// Where.
    pub server: ServerName,
    /// For what.
    pub pattern: Pattern,
}

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everyone who is authenticated.
    Anyone,
    /// The subject of a token.
    User(String),
    /// Everyone with this role.
    Role(String),
    /// Everyone in this group.
    Group(String),
    /// Everyone through this OAuth client.
    Client(String),
}

/// The endpoint for all servers, `/mcp`.
#[derive(Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// What its tokens must be meant for: `public_url` and `/mcp`.
    pub audience: String,
}
