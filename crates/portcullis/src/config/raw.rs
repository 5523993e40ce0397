//! The file as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw_approval::{Approval, RiskyTools};
use super::raw_credentials::Credentials;
use super::raw_inspect::Inspect;
use super::raw_issuer::Issuer;
use super::raw_keys::Keys;
use super::raw_pkcs11::Pkcs11;
pub(super) use super::raw_quota::Quota;
pub(super) use super::raw_secrets::{
    AppRole, AzureKeyVault, Kubernetes, Reference, Secrets, Text, Vault,
};
use super::raw_step_up::StepUp;
use super::raw_trust::{Pins, Telemetry};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration of Portcullis, a security gateway for the Model Context Protocol.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "portcullis.toml")]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) gateway: Gateway,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) sessions: Sessions,
    #[serde(default)]
    pub(super) quota: Quota,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) telemetry: Telemetry,
    #[serde(default)]
    pub(super) egress: super::egress::Raw,
    #[serde(default)]
    pub(super) catalog: super::raw_catalog::Catalog,
    #[serde(default)]
    pub(super) misuse: super::raw_misuse::Misuse,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) alerts: BTreeMap<String, super::raw_alerts::Alerts>,
    #[serde(default)]
    pub(super) secrets: Secrets,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) vaults: BTreeMap<String, Vault>,
    pub(super) azure_key_vault: Option<AzureKeyVault>,
    pub(super) pkcs11: Option<Pkcs11>,
    #[serde(default)]
    pub(super) keys: Keys,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) issuers: BTreeMap<String, Issuer>,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) servers: BTreeMap<String, Server>,
    #[serde(default)]
    pub(super) policy: Policy,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) zones: BTreeMap<String, Zone>,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) boundary: BTreeMap<String, Boundary>,
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) tenants: BTreeMap<String, super::raw_tenant::Tenant>,
    #[serde(default)]
    pub(super) grants: Vec<Grant>,
    pub(super) review: Option<super::raw_review::Review>,
    pub(super) authority: Option<super::raw_authority::Authority>,
    pub(super) admin: Option<super::raw_admin::Admin>,
}

/// Where the gateway listens and what it is called.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    /// Address and port for clients, such as `127.0.0.1:8848` or `[::1]:8848`. Any address but loopback
    /// needs `[gateway.tls]` and an issuer on every server.
    #[schemars(extend("default" = bounds::LISTEN))]
    pub(super) listen: Option<String>,
    /// Loopback address and port for `/healthz`, `/readyz` and `/metrics`.
    #[schemars(extend("default" = bounds::ADMIN))]
    pub(super) admin: Option<String>,
    /// The URL by which clients know the gateway; audiences and metadata derive from it, never from the
    /// `Host` header. `https`, or `http` on loopback; without query. Default: `http://` or, with TLS,
    /// `https://`, and `listen`.
    pub(super) public_url: Option<String>,
    /// Directory for keys, state and the audit log. Default: the directory of this file.
    pub(super) data: Option<String>,
    /// Further values of the `Host` header to accept, `name` or `name:port`. The names of `listen`
    /// (`localhost`, `127.0.0.1`, `[::1]` with its port) and the host of `public_url` are always accepted.
    #[serde(default)]
    pub(super) allowed_hosts: Vec<String>,
    /// Further browser origins to accept, such as `https://app.example`. The origin of `public_url` and the
    /// loopback origins of our own port are always accepted; requests without `Origin` are not concerned.
    #[serde(default)]
    pub(super) allowed_origins: Vec<String>,
    /// How long a stop waits for requests that are under way.
    #[schemars(extend("default" = bounds::DRAIN.default_text(), "x-range" = bounds::DRAIN.words()))]
    pub(super) drain: Option<Span>,
    /// Whether there is an endpoint `/mcp` for all servers that a caller may use, with tools called
    /// `server__tool`. Its tokens have the audience `PUBLIC_URL/mcp`.
    #[schemars(extend("default" = true))]
    pub(super) aggregate: Option<bool>,
    pub(super) tls: Option<Tls>,
}

/// The certificate that clients see. TLS 1.3 only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file with the certificate chain, leaf first.
    pub(super) certificate: Option<String>,
    /// PEM file with the private key.
    pub(super) key: Option<String>,
    /// PEM file with the authorities that sign clients' certificates: no other certificate is taken then. Default: any
    /// is, from whoever has its key. Only where `mtls` of a server asks for certificates.
    pub(super) client_ca: Option<String>,
    /// PEM file with the revocation lists of the authorities of `client_ca`, and of those between them and clients: of each
    /// certificate that is shown, a list must say that it is not revoked. One that is past its next update says nothing.
    /// Default: nobody looks whether a certificate was revoked.
    pub(super) client_crl: Option<String>,
    pub(super) acme: Option<super::raw_trust::Acme>,
}

/// Bounds of one request and of all connections.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Largest request body.
    #[schemars(extend("default" = bounds::BODY.default_text(), "x-range" = bounds::BODY.words()))]
    pub(super) body: Option<Size>,
    /// Longest wait for the head of a request.
    #[schemars(extend("default" = bounds::HEADER_TIMEOUT.default_text(), "x-range" = bounds::HEADER_TIMEOUT.words()))]
    pub(super) header_timeout: Option<Span>,
    /// Longest wait for the whole body of a request.
    #[schemars(extend("default" = bounds::BODY_TIMEOUT.default_text(), "x-range" = bounds::BODY_TIMEOUT.words()))]
    pub(super) body_timeout: Option<Span>,
    /// Most client connections at once.
    #[schemars(extend("default" = bounds::CONNECTIONS.default.0, "minimum" = bounds::CONNECTIONS.least.0, "maximum" = bounds::CONNECTIONS.most.0))]
    pub(super) connections: Option<i64>,
    /// Longest wait for the first byte of a server's answer.
    #[schemars(extend("default" = bounds::UPSTREAM_TIMEOUT.default_text(), "x-range" = bounds::UPSTREAM_TIMEOUT.words()))]
    pub(super) upstream_timeout: Option<Span>,
    /// Largest JSON message or SSE event of a server's answer.
    #[schemars(extend("default" = bounds::RESPONSE.default_text(), "x-range" = bounds::RESPONSE.words()))]
    pub(super) response: Option<Size>,
}

/// Sessions of clients.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sessions {
    /// A session that is not used for this long ends. At most `absolute`.
    #[schemars(extend("default" = bounds::IDLE.default_text(), "x-range" = bounds::IDLE.words()))]
    pub(super) idle: Option<Span>,
    /// A session ends after this long, used or not.
    #[schemars(extend("default" = bounds::ABSOLUTE.default_text(), "x-range" = bounds::ABSOLUTE.words()))]
    pub(super) absolute: Option<Span>,
    /// Most sessions at once.
    #[schemars(extend("default" = bounds::MAX_SESSIONS.default.0, "minimum" = bounds::MAX_SESSIONS.least.0, "maximum" = bounds::MAX_SESSIONS.most.0))]
    pub(super) max: Option<i64>,
    /// Most sessions of one principal at once. At most `max`.
    #[schemars(extend("default" = bounds::MAX_PER_PRINCIPAL.default.0, "minimum" = bounds::MAX_PER_PRINCIPAL.least.0, "maximum" = bounds::MAX_PER_PRINCIPAL.most.0))]
    pub(super) max_per_principal: Option<i64>,
}

/// The audit log.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    /// Directory of the log. Default: `audit` in the data directory.
    pub(super) directory: Option<String>,
    /// How long a record may wait for the disk (`fsync`), 1ms to 1s, or `always` to wait for it before each answer.
    #[schemars(extend("default" = bounds::DURABILITY.default_text()))]
    pub(super) durability: Option<String>,
    /// How long a checkpoint that is due may stay unsigned, where the key is in a token that does not answer. After that
    /// nothing is recorded, and hence nothing done, until one is signed.
    #[schemars(extend("default" = bounds::SIGN_WITHIN.default_text(), "x-range" = bounds::SIGN_WITHIN.words()))]
    pub(super) sign_within: Option<Span>,
    /// A log file that grows beyond this is closed and the next one begun.
    #[schemars(extend("default" = bounds::ROTATE.default_text(), "x-range" = bounds::ROTATE.words()))]
    pub(super) rotate: Option<Size>,
    /// How long log files are kept at least. Older ones are removed as a whole, once a signed record tells so; each only
    /// if all of it is that old and signed. Default: nothing is removed.
    #[schemars(extend("x-range" = bounds::KEEP.words()))]
    pub(super) keep: Option<Span>,
    /// The room that log files may take before the oldest are removed likewise, however young. Default: as much as
    /// they need.
    #[schemars(extend("x-range" = bounds::KEEP_BYTES.words()))]
    pub(super) keep_bytes: Option<Size>,
    /// Files to which every signed checkpoint is copied; best on another disk or another machine.
    #[serde(default)]
    pub(super) witness: Vec<String>,
    /// Whether a record holds the arguments of a call with secrets removed, or only their digest.
    #[schemars(extend("default" = "redacted", "enum" = ["redacted", "digest"]))]
    pub(super) arguments: Option<String>,
}

/// A server behind the gateway: either `url` or `command`. NAME is up to 32 lower-case letters, digits and
/// hyphens, and begins with a letter or digit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// The server's MCP endpoint. `https`, or `http` on loopback; without user name and fragment. Text, or as in
    /// `headers`, if there is a key in its path or query.
    pub(super) url: Option<Text>,
    /// The transport of `url`.
    #[schemars(extend("default" = "streamable-http", "enum" = ["streamable-http", "sse"]))]
    pub(super) transport: Option<String>,
    /// PEM file with a further root to trust for `url`.
    pub(super) ca: Option<String>,
    /// PEM file with the revocation lists of the authorities that issue its certificates, of each in the chain. What they
    /// do not show to be good, or no longer, is refused. It is read again when it changes.
    pub(super) crl: Option<String>,
    /// Whether what `url` shows in the handshake of what its authority says of its certificate (OCSP stapling) has to be good:
    /// `checked` if it shows anything, or if its certificate says that it must; `required`: it must in any case.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    /// PEM file with the certificate that the gateway shows to `url`, leaf first. Needs `client_key`.
    pub(super) client_certificate: Option<String>,
    /// The private key of `client_certificate`, as PEM: a secret reference.
    pub(super) client_key: Option<Reference>,
    /// Headers to send to `url`: a secret reference, or text in which `${VAR}` is replaced by an
    /// environment variable (`$${` is a plain `${`). Secrets are never written here as text.
    #[serde(default)]
    #[schemars(extend("x-name" = "HEADER"))]
    pub(super) headers: BTreeMap<String, Text>,
    /// The program to run, a name on `PATH` or a path.
    pub(super) command: Option<String>,
    /// Its arguments, passed as they are. Other users of the machine can see them: no secrets.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// Its environment variables; values as in `headers`. Nothing else is set, but see `inherit_env`.
    #[serde(default)]
    #[schemars(extend("x-name" = "VARIABLE"))]
    pub(super) env: BTreeMap<String, Text>,
    /// Variables to pass on from the gateway's own environment, if they are set.
    #[serde(default)]
    pub(super) inherit_env: Vec<String>,
    /// Its working directory. Default: the directory of this file.
    pub(super) cwd: Option<String>,
    pub(super) sandbox: Option<super::raw_sandbox::Sandbox>,
    /// What becomes of what this server defines and nobody has approved. Default: `catalog.mode`.
    #[schemars(extend("enum" = ["pin", "learn", "observe"]))]
    pub(super) catalog: Option<String>,
    /// How many persons have to approve it. Default: `catalog.approvals`.
    #[schemars(extend("minimum" = bounds::APPROVALS.least.0, "maximum" = bounds::APPROVALS.most.0))]
    pub(super) approvals: Option<i64>,
    /// Who of its callers is sent to the gateway's own page (`[authority]`) to approve or reject what they have called and
    /// nobody has approved: `user:alice`, `role:lead`, `group:finance`.
    #[serde(default)]
    pub(super) approvers: Vec<String>,
    pub(super) inspect: Option<Inspect>,
    /// Names of the issuers whose tokens it accepts. Default: all.
    pub(super) issuers: Option<Vec<String>>,
    /// Longest time from `iat` to `exp` of a token, where the `max_lifetime` of its issuer is too long for this server.
    #[schemars(extend("x-range" = bounds::MAX_LIFETIME.words()))]
    pub(super) max_token_lifetime: Option<Span>,
    /// The `aud` that a token must have; two servers never share one. Default: `public_url` and `/servers/NAME/mcp`.
    pub(super) audience: Option<String>,
    /// Scopes that every request needs.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// Whether access tokens are bound to a key of the client (`DPoP`, RFC 9449): `accepted` takes bound tokens
    /// beside plain ones, `required` only bound ones, `off` no bound ones. None takes a bound token without its proof.
    #[schemars(extend("default" = bounds::DPOP, "enum" = ["off", "accepted", "required"]))]
    pub(super) dpop: Option<String>,
    /// Whether access tokens are bound to a certificate of the client (mutual TLS, RFC 8705): as `dpop`. All clients are
    /// asked for a certificate unless this is `off` for every server; it needs `gateway.tls`. `required` turns `dpop` off.
    #[schemars(extend("default" = bounds::MTLS, "enum" = ["off", "accepted", "required"]))]
    pub(super) mtls: Option<String>,
    /// Whether a proof also needs a nonce of the gateway's, which makes it good for a few minutes at this process only.
    #[schemars(extend("default" = false))]
    pub(super) dpop_nonce: Option<bool>,
    pub(super) step_up: Option<StepUp>,
    /// What every authenticated principal may use here: tools `search` or `notes_*`, `resource:…`, `prompt:…`.
    /// An asterisk stands at the end only. Nothing is allowed that no grant, policy or this list allows.
    #[serde(default)]
    pub(super) allow: Vec<String>,
    #[serde(default)]
    #[schemars(extend("x-name" = "TOOL"))]
    pub(super) tools: BTreeMap<String, Tool>,
    pub(super) risky_tools: Option<RiskyTools>,
    pub(super) credentials: Option<Credentials>,
    pub(super) sign_in: Option<super::sign_in::Raw>,
    #[serde(default)]
    pub(super) limits: ServerLimits,
}

/// What holds for one tool of a server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    /// Scopes that a call needs besides those of the server.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// Scopes that the server's own token has for a call, where there are `credentials`. Default: `scopes`.
    pub(super) upstream_scopes: Option<Vec<String>>,
    pub(super) step_up: Option<StepUp>,
    /// That a call needs an elevation besides all rules, and how long one lasts at most: asked for through the admin API by
    /// whoever needs it, and approved there by somebody else. Default: none is needed.
    #[schemars(extend("x-range" = bounds::ELEVATION.words()))]
    pub(super) elevation: Option<Span>,
    pub(super) approval: Option<Approval>,
    pub(super) inspect: Option<Inspect>,
    /// Calls a minute of one principal. Default: `quota.tool_requests_per_minute`.
    #[schemars(extend("minimum" = bounds::TOOL_REQUESTS.least.0, "maximum" = bounds::TOOL_REQUESTS.most.0))]
    pub(super) requests_per_minute: Option<i64>,
}

/// Bounds of one server.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerLimits {
    /// As `limits.upstream_timeout`, which is the default.
    #[schemars(extend("x-range" = bounds::UPSTREAM_TIMEOUT.words()))]
    pub(super) upstream_timeout: Option<Span>,
    /// As `limits.response`, which is the default.
    #[schemars(extend("x-range" = bounds::RESPONSE.words()))]
    pub(super) response: Option<Size>,
    /// Longest wait for a client of 2026-07-28 to answer what a server with sessions asks during its call.
    #[schemars(extend("default" = bounds::QUESTION_TIMEOUT.default_text(), "x-range" = bounds::QUESTION_TIMEOUT.words()))]
    pub(super) question_timeout: Option<Span>,
    /// Most processes of `command` at once. One caller has at most half of them, rounded up.
    #[schemars(extend("default" = bounds::MAX_PROCESSES.default.0, "minimum" = bounds::MAX_PROCESSES.least.0, "maximum" = bounds::MAX_PROCESSES.most.0))]
    pub(super) max_processes: Option<i64>,
}

/// Rules in the Cedar language.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// Files with Cedar policies. All of them count; a `forbid` always wins.
    #[serde(default)]
    pub(super) files: Vec<String>,
}

/// Networks that policies know by a name (`context.zones`). NAME is up to 64 letters, digits, `-`, `_` and `.`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    /// Addresses and ranges, such as `10.0.0.0/8` and `2001:db8::/32`; a client is held against them as its connection
    /// shows it. Required.
    #[serde(default)]
    pub(super) networks: Vec<String>,
}

/// Who may use what.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// `anyone` (who is authenticated), `user:…`, `role:…`, `group:…` or `client:…`. Required.
    pub(super) who: Option<String>,
    /// Tools `SERVER__TOOL` or `SERVER__*`, `resource:SERVER__…`, `prompt:SERVER__…`, `ask:SERVER__…`. An asterisk stands at the
    /// end only. Required.
    pub(super) allow: Option<Vec<String>>,
    /// The moment from which on it grants nothing, with no reload: RFC 3339, or a day, which means its beginning in UTC.
    pub(super) until: Option<String>,
}

/// What some callers can never exceed, whatever `allow`, grants and policies say. NAME is up to 64 letters, digits, `-`,
/// `_` and `.`; audit records call it `boundary:NAME`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Boundary {
    /// For whom it holds: as in a grant, or `issuer:NAME` for everyone with a token of that issuer. Required.
    pub(super) who: Option<String>,
    /// What lies within, as in a grant; nothing does if the list is empty. Required.
    pub(super) allow: Option<Vec<String>>,
}

/// A duration such as `50ms`, `10s`, `5m`, `24h` or `7d`.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline, extend("pattern" = "^[0-9]+(ms|s|m|h|d)$", "x-type" = "duration"))]
pub(super) struct Span(pub(super) String);

/// A number of bytes: an integer, or such as `512B`, `64KiB`, `4MiB`, `1GiB`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, extend("x-type" = "size"))]
pub(super) enum Size {
    Bytes(i64),
    Text(#[schemars(extend("pattern" = "^[0-9]+(B|KiB|MiB|GiB)$"))] String),
}
