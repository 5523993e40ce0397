//! What a configuration means, in plain words and without secrets.

use super::effective::Effective;
use super::trust::Trust;
use crate::config::{
    Admin, Arguments, Boundary, Checked, Credentials, Durability, Kind, Names, Pattern, Server,
    ServerName, Tenant, Transport, Upstream, veil,
};
use portcullis_audit::time_text;
use portcullis_core::authenticate::Binding;
use portcullis_core::authorize::policy::Zone;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The effective configuration.
#[derive(Debug, Serialize)]
pub(super) struct Meaning {
    pub(super) public_url: String,
    pub(super) listen: String,
    pub(super) tls: bool,
    pub(super) admin: String,
    pub(super) hosts: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) data: PathBuf,
    pub(super) audit: AuditLog,
    /// How old keys of our own become before they are replaced, by what they are for.
    pub(super) rotate_every_seconds: BTreeMap<&'static str, u64>,
    /// Where peers may send the gateway besides the Internet.
    pub(super) egress: Vec<String>,
    /// Who is asked about names that peers use, if not the machine.
    pub(super) resolver: Option<String>,
    pub(super) bounds: Bounds,
    pub(super) issuers: BTreeMap<String, Trust>,
    /// SHA-256 of all policies and grants, as audit records name it.
    pub(super) policy: String,
    pub(super) policy_files: Vec<PathBuf>,
    /// Networks that policies know by a name.
    pub(super) zones: BTreeMap<String, Vec<String>>,
    /// What nobody exceeds.
    pub(super) boundaries: BTreeMap<String, Cap>,
    /// The admin API, if there is one.
    pub(super) operators: Option<Operated>,
    /// Who shares the gateway.
    pub(super) tenants: BTreeMap<String, Shares>,
    pub(super) servers: BTreeMap<String, Behind>,
    /// The same by the keys of the file, each with its value.
    pub(super) keys: Effective,
}

#[derive(Debug, Serialize)]
pub(super) struct AuditLog {
    pub(super) directory: PathBuf,
    pub(super) durability: String,
    pub(super) arguments: &'static str,
    pub(super) rotate_bytes: u64,
    pub(super) keep_seconds: Option<u64>,
    pub(super) keep_bytes: Option<u64>,
    pub(super) witnesses: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(super) struct Bounds {
    pub(super) body_bytes: usize,
    pub(super) connections: usize,
    pub(super) sessions: usize,
    pub(super) sessions_per_principal: usize,
    pub(super) session_idle_seconds: u64,
    pub(super) session_absolute_seconds: u64,
    pub(super) requests_per_minute: u32,
    pub(super) burst: u32,
    pub(super) concurrency: u32,
    pub(super) bytes_per_minute: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Behind {
    pub(super) url: String,
    pub(super) reached: Reached,
    /// Whose tokens it accepts: names of `issuers`.
    pub(super) issuers: Vec<String>,
    /// Where that of the issuer is too long.
    pub(super) max_token_lifetime_seconds: Option<u64>,
    pub(super) audience: String,
    /// Whether tokens are bound to a key of the client.
    pub(super) dpop: &'static str,
    pub(super) dpop_nonce: bool,
    /// Whether tokens are bound to a certificate of the client.
    pub(super) mtls: &'static str,
    pub(super) scopes: Vec<String>,
    /// What it is shown of whoever calls, if anything.
    pub(super) credentials: Option<Shows>,
    /// What is needed of the authentication behind a token.
    pub(super) step_up: Option<String>,
    pub(super) tools: BTreeMap<String, Rules>,
    /// Who may do what by the grants of the file.
    pub(super) grants: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Shows {
    pub(super) kind: &'static str,
    /// Whether a key signs for this server alone.
    pub(super) own_key: bool,
    /// Where an authorization server gives it.
    pub(super) from: Option<String>,
    pub(super) audience: String,
    pub(super) scopes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cap {
    pub(super) who: String,
    /// What lies within, by server.
    pub(super) within: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Operated {
    pub(super) url: String,
    pub(super) audience: String,
    pub(super) issuers: Vec<String>,
    /// Who has which role, and over what.
    pub(super) roles: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Shares {
    pub(super) servers: Vec<String>,
    /// By what its callers are known.
    pub(super) callers: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Rules {
    pub(super) scopes: Vec<String>,
    /// Scopes of the server's own token, where it gets one.
    pub(super) upstream_scopes: Vec<String>,
    pub(super) step_up: Option<String>,
    /// That a call needs an elevation, of so many seconds at most.
    pub(super) elevation_seconds: Option<u64>,
    /// Who has to approve each call, if somebody has to.
    pub(super) approval: Option<Vec<String>>,
    pub(super) requests_per_minute: Option<u32>,
}

/// How a server is reached; the names of headers and variables, never their values.
#[derive(Debug, Serialize)]
#[serde(tag = "transport", rename_all = "kebab-case")]
pub(super) enum Reached {
    StreamableHttp {
        url: String,
        headers: Vec<String>,
    },
    Sse {
        url: String,
        headers: Vec<String>,
    },
    Stdio {
        command: PathBuf,
        args: Vec<String>,
        cwd: PathBuf,
        env: Vec<String>,
        max_processes: u32,
    },
}

impl Meaning {
    pub(super) fn of(checked: &Checked, policy: &str) -> Self {
        let gateway = &checked.gateway;
        Self {
            public_url: gateway.public_url.to_string(),
            listen: gateway.listen.to_string(),
            tls: gateway.tls.is_some(),
            admin: gateway.admin.to_string(),
            hosts: gateway.hosts.iter().cloned().collect(),
            origins: gateway.origins.iter().cloned().collect(),
            data: gateway.data.clone(),
            audit: audit(checked),
            rotate_every_seconds: rotates(checked),
            egress: checked.egress.written.clone(),
            resolver: checked.egress.resolver.map(|server| server.to_string()),
            bounds: bounds(checked),
            issuers: checked
                .issuers
                .iter()
                .map(|(name, issuer)| (name.clone(), Trust::of(checked, issuer)))
                .collect(),
            policy: policy.to_owned(),
            policy_files: checked
                .policies
                .iter()
                .map(|file| file.path.clone())
                .collect(),
            zones: checked.zones.iter().map(zone).collect(),
            boundaries: checked.boundaries.iter().map(cap).collect(),
            operators: checked.admin.as_ref().map(operated),
            tenants: checked.tenants.iter().map(shares).collect(),
            servers: checked
                .servers
                .iter()
                .map(|(name, server)| (name.to_string(), behind(checked, name, server)))
                .collect(),
            keys: Effective::of(checked),
        }
    }
}

fn audit(checked: &Checked) -> AuditLog {
    let audit = &checked.audit;
    AuditLog {
        directory: audit.directory.clone(),
        durability: match audit.durability {
            Durability::Always => "always".to_owned(),
            Durability::Within(span) => format!("within {span:?}"),
        },
        arguments: match audit.arguments {
            Arguments::Redacted => "redacted",
            Arguments::Digest => "digest",
        },
        rotate_bytes: audit.rotate_bytes,
        keep_seconds: audit.keep.map(|keep| keep.as_secs()),
        keep_bytes: audit.keep_bytes,
        witnesses: audit.witness.clone(),
    }
}

fn rotates(checked: &Checked) -> BTreeMap<&'static str, u64> {
    let every = &checked.rotate_every;
    let signing = every.signing.iter();
    let signing = signing.map(|(purpose, every)| (purpose.word(), every.as_secs()));
    let wrapping = every.wrapping.map(|every| ("wrapping", every.as_secs()));
    signing.chain(wrapping).collect()
}

fn bounds(checked: &Checked) -> Bounds {
    let (limits, sessions, quota) = (&checked.limits, &checked.sessions, &checked.quota);
    Bounds {
        body_bytes: limits.body_bytes,
        connections: limits.connections,
        sessions: sessions.max,
        sessions_per_principal: sessions.max_per_principal,
        session_idle_seconds: sessions.idle.as_secs(),
        session_absolute_seconds: sessions.absolute.as_secs(),
        requests_per_minute: quota.requests_per_minute,
        burst: quota.burst,
        concurrency: quota.concurrency,
        bytes_per_minute: quota.bytes_per_minute,
    }
}

fn behind(checked: &Checked, name: &ServerName, server: &Server) -> Behind {
    let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for grant in checked.grants.iter().filter(|grant| grant.server == *name) {
        let until = grant
            .until
            .map(|until| format!(" until {}", time_text(until.micros())));
        let what = what(&grant.pattern) + &until.unwrap_or_default();
        grants.entry(grant.who.to_string()).or_default().push(what);
    }
    let rules = |tool: &crate::config::Tool| Rules {
        scopes: tool.scopes.iter().cloned().collect(),
        upstream_scopes: match &server.credentials {
            None => Vec::new(),
            Some(_) => tool.upstream_scopes.iter().cloned().collect(),
        },
        step_up: tool.step_up.as_ref().map(ToString::to_string),
        elevation_seconds: tool.elevation.map(|longest| longest.as_secs()),
        approval: tool.approval.as_ref().map(approvers),
        requests_per_minute: tool.requests_per_minute,
    };
    Behind {
        url: checked
            .gateway
            .public_url
            .below(&format!("/servers/{name}/mcp")),
        reached: reached(&server.upstream),
        issuers: server.issuers.iter().cloned().collect(),
        max_token_lifetime_seconds: server.max_token_lifetime.map(|longest| longest.as_secs()),
        audience: server.audience.clone(),
        dpop: named(server.dpop),
        dpop_nonce: server.dpop_nonce,
        mtls: named(server.mtls),
        scopes: server.scopes.iter().cloned().collect(),
        credentials: server.credentials.as_ref().map(shows),
        step_up: Some(server.step_up.to_string()).filter(|needed| !needed.is_empty()),
        tools: server
            .tools
            .iter()
            .map(|(name, tool)| (name.clone(), rules(tool)))
            .collect(),
        grants,
    }
}

pub(super) const fn named(binding: Binding) -> &'static str {
    match binding {
        Binding::Off => "off",
        Binding::Accepted => "accepted",
        Binding::Required => "required",
    }
}

fn shows(credentials: &Credentials) -> Shows {
    Shows {
        kind: credentials.kind.name(),
        own_key: credentials.kind.has_own_key(),
        from: credentials.kind.endpoint().map(ToString::to_string),
        audience: credentials.audience.clone(),
        scopes: credentials.scopes.iter().cloned().collect(),
    }
}

fn zone(zone: &Zone) -> (String, Vec<String>) {
    let networks = zone.networks.iter().map(ToString::to_string);
    (zone.name.clone(), networks.collect())
}

fn cap(boundary: &Boundary) -> (String, Cap) {
    let mut within: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (server, pattern) in &boundary.allow {
        let own = within.entry(server.to_string()).or_default();
        own.push(what(pattern));
    }
    let who = boundary.who.to_string();
    (boundary.name.clone(), Cap { who, within })
}

fn operated(admin: &Admin) -> Operated {
    let roles = admin.roles.iter().map(|row| {
        let (role, who) = (row.role, &row.who);
        let tenant = row.tenant.as_ref();
        let over = tenant.map_or_else(
            || "everything".to_owned(),
            |tenant| format!("tenant {tenant}"),
        );
        format!("{who} is {role} over {over}")
    });
    Operated {
        url: admin.url.origin(),
        audience: admin.audience.clone(),
        issuers: admin.issuers.clone(),
        roles: roles.collect(),
    }
}

fn shares((name, tenant): (&String, &Tenant)) -> (String, Shares) {
    let all = tenant.issuers.iter();
    let all = all.map(|issuer| format!("everyone of {issuer}"));
    let some = tenant.members.iter();
    let some = some.map(|(issuer, (claim, text))| format!("those of {issuer} with {claim}={text}"));
    let shares = Shares {
        servers: tenant.servers.iter().cloned().collect(),
        callers: all.chain(some).collect(),
    };
    (name.clone(), shares)
}

fn reached(upstream: &Upstream) -> Reached {
    match upstream {
        Upstream::Http(http) => {
            let url = veil::url(&http.url.to_string());
            let headers = http.headers.keys().cloned().collect();
            match http.transport {
                Transport::StreamableHttp => Reached::StreamableHttp { url, headers },
                Transport::Sse => Reached::Sse { url, headers },
            }
        }
        Upstream::Stdio(stdio) => Reached::Stdio {
            command: stdio.command.clone(),
            args: veil::arguments(&stdio.args),
            cwd: stdio.cwd.clone(),
            env: stdio.env.keys().cloned().collect(),
            max_processes: stdio.max_processes,
        },
    }
}

fn what(pattern: &Pattern) -> String {
    let kind = match pattern.kind {
        Kind::Tool => "tool",
        Kind::Resource => "resource",
        Kind::Prompt => "prompt",
        Kind::Ask => "question of the server",
    };
    match &pattern.names {
        Names::All => format!("every {kind}"),
        Names::Prefix(prefix) => format!("every {kind} {prefix}*"),
        Names::Exact(name) => format!("{kind} {name}"),
    }
}

/// Who approves.
fn approvers(approval: &crate::config::Approval) -> Vec<String> {
    if approval.by.is_empty() {
        return vec!["caller".to_owned()];
    }
    approval.by.iter().map(ToString::to_string).collect()
}
