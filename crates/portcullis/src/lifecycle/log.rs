//! The audit log of a gateway, as its configuration says.

use super::Home;
use crate::config::{self, Checked};
use crate::record::note;
use crate::{clock, keys};
use anyhow::Context as _;
use portcullis_audit::{Durability, Record, Recorder, Settings, SigningKey, Writer};
use portcullis_core::secret::Secret;
use std::path::Path;

/// The origin line of our checkpoints, and the name of the key that signs them.
pub(crate) const LOG_NAME: &str = "portcullis.local/audit";

pub(super) fn open_log(
    checked: &Checked,
    home: &Home,
    key: &Secret<Vec<u8>>,
) -> anyhow::Result<(Recorder, Writer)> {
    let key =
        SigningKey::from_pkcs8(LOG_NAME, key.expose()).context("the audit key cannot be used")?;
    publish(&home.verifier_key(), &key.verifier().to_string())?;
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
        ..Settings::default()
    };
    let directory = &checked.audit.directory;
    let opened = portcullis_audit::open(directory, key, clock::micros, &settings)
        .with_context(|| format!("the audit log in {} cannot be opened", directory.display()))?;
    if let Some(torn) = &opened.recovery.torn {
        let mut record = Record::new("audit.torn_line");
        record
            .detail
            .set("file", torn.file.display().to_string().as_str());
        note(&opened.recorder, record);
    }
    Ok((opened.recorder, opened.writer))
}

/// Writes the verifier key where it is missing; another one there is not replaced.
fn publish(path: &Path, verifier: &str) -> anyhow::Result<()> {
    match std::fs::read_to_string(path) {
        Ok(there) if there.trim() == verifier => Ok(()),
        Ok(_) => anyhow::bail!(
            "{} holds another key than keys/audit.ed25519: one of them was replaced",
            path.display()
        ),
        Err(_) => Ok(keys::write_private(
            path,
            format!("{verifier}\n").as_bytes(),
        )?),
    }
}
