//! What a configuration means, as people read it.

use super::meaning::{AuditLog, Behind, Bounds, Meaning, Reached};
use std::fmt;

impl fmt::Display for Meaning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls {
            "with TLS"
        } else {
            "without TLS, on loopback"
        };
        writeln!(
            out,
            "Clients    {} (listens on {}, {tls})",
            self.public_url, self.listen
        )?;
        writeln!(out, "           as Host {}", listed(&self.hosts))?;
        writeln!(out, "           as Origin {}", listed(&self.origins))?;
        writeln!(out, "Operators  http://{}", self.admin)?;
        writeln!(out, "Data       {}", self.data.display())?;
        write!(out, "{}", self.audit)?;
        for (key, seconds) in &self.rotate_every_seconds {
            writeln!(
                out,
                "Keys       {key} is replaced once older than {seconds} s"
            )?;
        }
        write!(out, "{}", self.bounds)?;
        if !self.egress.is_empty() {
            writeln!(out, "Peers      may send us to {}", listed(&self.egress))?;
        }
        if let Some(server) = &self.resolver {
            writeln!(out, "           to names as {server} knows them")?;
        }
        for (name, trust) in &self.issuers {
            write!(out, "Issuer     {name}: {trust}")?;
        }
        for (name, server) in &self.servers {
            write!(out, "\nServer {name}: {}\n{server}", server.url)?;
        }
        for (name, cap) in &self.boundaries {
            writeln!(out, "\nBoundary {name}: {} may never exceed", cap.who)?;
            for (server, within) in &cap.within {
                writeln!(out, "  {server}  {}", within.join(", "))?;
            }
        }
        if let Some(operators) = &self.operators {
            writeln!(out, "\nAdmin API {}", operators.url)?;
            for row in &operators.roles {
                writeln!(out, "  {row}")?;
            }
        }
        for (name, tenant) in &self.tenants {
            writeln!(out, "\nTenant {name}: {}", tenant.callers.join(", "))?;
            writeln!(out, "  may reach {}", listed(&tenant.servers))?;
        }
        for (name, networks) in &self.zones {
            writeln!(out, "\nZone {name}: {}", networks.join(", "))?;
        }
        writeln!(out, "\nPolicy {}", self.policy)?;
        for file in &self.policy_files {
            writeln!(out, "  {} may permit or forbid more", file.display())?;
        }
        write!(out, "{}", self.keys)
    }
}

impl fmt::Display for AuditLog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            directory,
            durability,
            arguments,
            rotate_bytes,
            keep_seconds,
            keep_bytes,
            witnesses,
        } = self;
        writeln!(out, "Audit log  {}", directory.display())?;
        writeln!(
            out,
            "           on disk {durability}; arguments {arguments}; files of {rotate_bytes} bytes"
        )?;
        if let Some(seconds) = keep_seconds {
            writeln!(
                out,
                "           files that are older than {seconds} s are removed"
            )?;
        }
        if let Some(bytes) = keep_bytes {
            writeln!(
                out,
                "           the oldest files beyond {bytes} bytes are removed"
            )?;
        }
        for witness in witnesses {
            writeln!(out, "           witness {}", witness.display())?;
        }
        Ok(())
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, burst) = (self.requests_per_minute, self.burst);
        let (concurrency, sessions) = (self.concurrency, self.sessions_per_principal);
        writeln!(
            out,
            "Each may   {rate} requests a minute (burst {burst}), {concurrency} at once, {sessions} sessions"
        )
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.reached)?;
        let (issuers, audience) = (listed(&self.issuers), &self.audience);
        let longest = self
            .max_token_lifetime_seconds
            .map(|seconds| format!(", {seconds} s long at most"))
            .unwrap_or_default();
        writeln!(
            out,
            "  accepts    tokens of {issuers} for {audience}{longest}"
        )?;
        let nonce = if self.dpop_nonce { " with a nonce" } else { "" };
        writeln!(
            out,
            "  bound      dpop {}{nonce}, mtls {}",
            self.dpop, self.mtls
        )?;
        let (scopes, needed) = (listed(&self.scopes), login(self.step_up.as_deref()));
        writeln!(out, "  needs      scopes {scopes}{needed}")?;
        if let Some(shows) = &self.credentials {
            let (kind, audience) = (shows.kind, &shows.audience);
            let scopes = listed(&shows.scopes);
            writeln!(out, "  shows      {kind} for {audience}, scopes {scopes}")?;
            if let Some(from) = &shows.from {
                writeln!(out, "             from {from}")?;
            }
            if shows.own_key {
                writeln!(out, "             signed with a key for this server alone")?;
            }
        }
        for (name, rules) in &self.tools {
            let rate = rules.requests_per_minute;
            let rate = rate
                .map(|rate| format!(", {rate} calls a minute"))
                .unwrap_or_default();
            let (scopes, needed) = (listed(&rules.scopes), login(rules.step_up.as_deref()));
            writeln!(out, "  tool {name}  scopes {scopes}{needed}{rate}")?;
            if let Some(longest) = rules.elevation_seconds {
                writeln!(
                    out,
                    "             needs an elevation, of {longest} s at most"
                )?;
            }
            if let Some(by) = &rules.approval {
                writeln!(
                    out,
                    "             each call is approved by {}",
                    by.join(", ")
                )?;
            }
            if !rules.upstream_scopes.is_empty() {
                writeln!(out, "             shows {}", listed(&rules.upstream_scopes))?;
            }
        }
        if self.grants.is_empty() {
            writeln!(out, "  grants     (none)")?;
        }
        for (who, what) in &self.grants {
            writeln!(out, "  {who} may  {}", what.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamableHttp { url, headers } => {
                writeln!(
                    out,
                    "  speaks to  {url} (Streamable HTTP), sends {}",
                    listed(headers)
                )
            }
            Self::Sse { url, headers } => {
                writeln!(
                    out,
                    "  speaks to  {url} (HTTP with SSE), sends {}",
                    listed(headers)
                )
            }
            Self::Stdio {
                command,
                args,
                cwd,
                env,
                max_processes,
            } => {
                writeln!(out, "  runs       {} {}", command.display(), args.join(" "))?;
                writeln!(
                    out,
                    "             in {}, at most {max_processes} at once",
                    cwd.display()
                )?;
                writeln!(out, "             with the variables {}", listed(env))
            }
        }
    }
}

fn login(needed: Option<&str>) -> String {
    needed
        .map(|needed| format!(", a login with {needed}"))
        .unwrap_or_default()
}

pub(super) fn listed(words: &[String]) -> String {
    if words.is_empty() {
        "(none)".to_owned()
    } else {
        words.join(", ")
    }
}
