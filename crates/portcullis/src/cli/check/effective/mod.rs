//! What is in effect, by the keys of the file: as written, by a preset, or by default.
//!
//! INVARIANT: each type of the configuration is taken apart without `..`, so that a new key is told here or does not compile.

mod gateway;
mod peers;
mod issuers;
mod authority;
mod servers;

use crate::config::{Approval, Checked, veil, written};
use portcullis_core::authenticate::Binding;
use portcullis_core::authorize::{Risk, Strength};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Every key that has a value, with the value.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Effective(BTreeMap<String, Value>);

impl Effective {
    pub(super) fn of(checked: &Checked) -> Self {
        let mut found = Self::default();
        let mut top = Table::new(&mut found);
        let Checked {
            gateway,
            limits,
            sessions,
            quota,
            audit,
            egress,
            misuse,
            places,
            review,
            authority,
            admin,
            pkcs11,
            rotate_every,
            // Several of a kind, and what has no table of its own.
            issuers: _,
            servers: _,
            policies: _,
            zones: _,
            collector: _,
            alerts: _,
            borrowing: _,
            vaults: _,
            // Shown elsewhere as what they mean.
            grants: _,
            boundaries: _,
            tenants: _,
            _proof: _,
        } = checked;
        gateway::gateway(&mut top.below("gateway"), gateway);
        gateway::limits(&mut top.below("limits"), limits);
        gateway::sessions(&mut top.below("sessions"), sessions);
        gateway::quota(&mut top.below("quota"), quota);
        gateway::audit(&mut top.below("audit"), audit);
        gateway::egress(&mut top.below("egress"), egress);
        gateway::misuse(&mut top.below("misuse"), misuse, places.as_deref());
        gateway::keys(&mut top, pkcs11.as_ref(), rotate_every);
        if let Some(review) = review {
            gateway::review(&mut top.below("review"), review);
        }
        if let Some(authority) = authority {
            authority::authority(&mut top.below("authority"), authority);
        }
        if let Some(admin) = admin {
            gateway::admin(&mut top.below("admin"), admin);
        }
        several(&mut top, checked);
        found
    }
}

/// What there may be several of.
fn several(top: &mut Table<'_>, checked: &Checked) {
    for (name, issuer) in &checked.issuers {
        issuers::issuer(&mut top.below("issuers").below(name), issuer);
    }
    for (name, server) in &checked.servers {
        servers::server(&mut top.below("servers").below(name.as_str()), server);
    }
    let files = checked.policies.iter().map(|file| shown(&file.path));
    top.below("policy").list("files", files);
    for zone in &checked.zones {
        let networks = zone.networks.iter().map(ToString::to_string);
        let mut zones = top.below("zones");
        zones.below(&zone.name).list("networks", networks);
    }
    peers::trust(&mut top.below("telemetry"), &checked.collector);
    for (name, alerts) in &checked.alerts {
        peers::alerts(&mut top.below("alerts").below(name), alerts);
    }
    peers::borrowing(top, &checked.borrowing);
    for vault in &checked.vaults {
        peers::vault(&mut top.below("vaults").below(&vault.name), vault);
    }
}

/// One table of the file.
struct Table<'a> {
    all: &'a mut Effective,
    /// Its name with a dot after it; nothing for the file itself.
    at: String,
}

impl<'a> Table<'a> {
    const fn new(all: &'a mut Effective) -> Self {
        Self {
            all,
            at: String::new(),
        }
    }

    /// The table of this name in it.
    fn below(&mut self, key: &str) -> Table<'_> {
        Table {
            at: format!("{}{}.", self.at, bare(key)),
            all: self.all,
        }
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        let key = format!("{}{}", self.at, bare(key));
        self.all.0.insert(key, value.into());
    }

    /// A key that may have no value.
    fn maybe(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn list<T: Into<String>>(&mut self, key: &str, texts: impl IntoIterator<Item = T>) {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        self.put(key, texts);
    }

    fn span(&mut self, key: &str, span: Duration) {
        self.put(key, written(span));
    }

    fn maybe_span(&mut self, key: &str, span: Option<Duration>) {
        self.maybe(key, span.map(written));
    }

    /// That it has a value, and nothing of the value.
    fn secret(&mut self, key: &str, _secret: &impl fmt::Debug) {
        self.put(key, veil::VEIL);
    }

    fn binding(&mut self, key: &str, binding: Binding) {
        self.put(key, super::meaning::named(binding));
    }

    fn step_up(&mut self, needed: &Strength) {
        let Strength {
            classes,
            methods,
            max_age,
        } = needed;
        let mut table = self.below("step_up");
        table.list("acr", classes);
        table.list("amr", methods);
        table.maybe_span("max_age", *max_age);
    }

    fn approval(&mut self, approval: &Approval) {
        let Approval { by, expires, risk } = approval;
        let by: Vec<String> = by.iter().map(ToString::to_string).collect();
        let caller = by.is_empty().then(|| "caller".to_owned());
        self.list("by", by.into_iter().chain(caller));
        self.span("expires", *expires);
        let risk = match risk {
            Risk::Low => "low",
            Risk::High => "high",
        };
        self.put("risk", risk);
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A key as TOML has it.
fn bare(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !key.is_empty() && key.bytes().all(is_plain) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\nIn effect, by the keys of the file:")?;
        for (key, value) in &self.0 {
            writeln!(out, "  {key} = {value}")?;
        }
        Ok(())
    }
}
