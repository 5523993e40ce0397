//! The audit log of a gateway, as its configuration says.

use super::{Home, Running};
use crate::assemble::own_issuer;
use crate::config::{self, Checked};
use crate::keys::{LogKey, Purpose};
use crate::record::note;
use crate::{clock, keys};
use anyhow::Context as _;
use portcullis_audit::{Durability, Record, Recorder, Settings, VerifierKey, Writer};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// The origin line of our checkpoints, and the name of the keys that sign them.
pub(crate) const LOG_NAME: &str = "portcullis.local/audit";

pub(super) fn open_log(
    checked: &Checked,
    home: &Home,
) -> anyhow::Result<(Recorder, Writer, LogKey)> {
    let own = LogKey::new(home, checked)?;
    let (directory, published) = (&checked.audit.directory, published(&home.verifier_key())?);
    let key = own.due(directory, published.as_ref(), checked.pkcs11.as_ref());
    let key = key.context("the audit key cannot be used")?;
    let first = published.unwrap_or_else(|| key.verifier().clone());
    publish(&home.verifier_key(), &first)?;
    for witness in &checked.audit.witness {
        if let Some(directory) = witness.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
    }
    let settings = Settings {
        segment_bytes: checked.audit.rotate_bytes,
        durability: match checked.audit.durability {
            config::Durability::Always => Durability::Always,
            config::Durability::Within(span) => Durability::Grouped(span),
        },
        witnesses: checked.audit.witness.clone(),
        first_keys: vec![first],
        sign_within: checked.audit.sign_within,
        ..Settings::default()
    };
    let opened = portcullis_audit::open(directory, key, clock::micros, &settings)
        .with_context(|| format!("the audit log in {} cannot be opened", directory.display()))?;
    if let Some(torn) = &opened.recovery.torn {
        let mut record = Record::new("audit.torn_line");
        record
            .detail
            .set("file", torn.file.display().to_string().as_str());
        note(&opened.recorder, record);
    }
    let taken = own.take_place(&opened.recorder);
    taken.context("the audit key cannot be replaced")?;
    Ok((opened.recorder, opened.writer, own))
}

/// The key that began the log, as auditors have it.
fn published(path: &Path) -> anyhow::Result<Option<VerifierKey>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let key = text.trim().parse();
    key.map(Some)
        .with_context(|| format!("{} is no verifier key", path.display()))
}

/// Writes the verifier key where it is missing: auditors keep the one that began the log, whoever signs it now.
fn publish(path: &Path, first: &VerifierKey) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    Ok(keys::write_private(path, format!("{first}\n").as_bytes())?)
}

/// What the gateway starts with.
pub(super) fn started(checked: &Checked, running: &Running) -> Record {
    let mut record = Record::new("gateway.started");
    record.detail.set("version", env!("CARGO_PKG_VERSION"));
    let policy = Arc::clone(&running.gateway.live.load().policy);
    record.detail.set("policy", &*policy);
    let keys = running.signers.all();
    let keys = keys.iter().map(|key| {
        let server = key.server().map(|server| format!(" of {server}"));
        let word = key.purpose().word();
        format!("{word}{} {}", server.unwrap_or_default(), key.id())
    });
    let keys: Vec<String> = keys.collect();
    let log = running.gateway.recorder.signer().id();
    let keys = format!("{}, {} {log}", keys.join(", "), Purpose::Audit.word());
    record.detail.set("keys", keys.as_str());
    record.detail.set("issuer", own_issuer(checked).as_str());
    record
        .detail
        .set("servers", checked.servers.len().to_string().as_str());
    record
}
