//! Who can read and change the files of an installation, and are the keys those that they should be?

use super::Findings;
use crate::clock;
use crate::config::Checked;
use crate::keys::{Overdue, Purpose, Ring, Turns, of_servers};
use crate::lifecycle::{Home, LOG_NAME};
use portcullis_audit::{SigningKey, VerifierKey, signer};
use portcullis_core::secret::Secret;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The most files of secrets that are looked at.
const MAX_SECRETS: usize = 4096;

pub(super) fn look(
    (data, checked): (&Path, Option<&Checked>),
    file: &Path,
    findings: &mut Findings,
) {
    findings.look("data");
    let Ok(metadata) = std::fs::metadata(data) else {
        let fix = "start the gateway once: it makes the directory and its keys";
        return findings.note(
            "data.missing",
            format!("there is no {} yet", data.display()),
            fix,
        );
    };
    if !metadata.is_dir() {
        let fix = "name another with --data or `gateway.data`";
        return findings.error(
            "data.not_directory",
            format!("{} is no directory", data.display()),
            fix,
        );
    }
    private(data, &metadata, "data.mode", "700", findings);
    owned(data, &metadata, findings);
    configuration(file, &metadata, findings);
    keys((&Home(data.to_owned()), checked), &metadata, findings);
    secrets(&data.join("secrets"), &metadata, findings);
    super::state::look(&Home(data.to_owned()), &metadata, findings);
}

fn configuration(file: &Path, data: &Metadata, findings: &mut Findings) {
    let Ok(metadata) = std::fs::metadata(file) else {
        return;
    };
    let mode = mode(&metadata);
    if mode & 0o022 != 0 {
        let what = format!(
            "{} can be changed by others (mode {mode:o})",
            file.display()
        );
        findings.error(
            "config.mode",
            what,
            format!("chmod go-w {}", file.display()),
        );
    }
    if ![0, data.uid()].contains(&metadata.uid()) {
        let what = format!(
            "{} belongs to user {}, the data to user {}",
            file.display(),
            metadata.uid(),
            data.uid()
        );
        findings.error(
            "config.owner",
            what,
            format!("chown {} {}", data.uid(), file.display()),
        );
    }
}

fn keys((home, checked): (&Home, Option<&Checked>), data: &Metadata, findings: &mut Findings) {
    findings.look("keys");
    let directory = home.0.join("keys");
    let Ok(metadata) = std::fs::metadata(&directory) else {
        let what = format!("there is no {} yet", directory.display());
        return findings.note(
            "keys.missing",
            what,
            "start the gateway once: it makes its keys",
        );
    };
    private(&directory, &metadata, "keys.mode", "700", findings);
    let is_here = |purpose: &Purpose| {
        let place = checked.and_then(|checked| checked.pkcs11.as_ref());
        place.and_then(|place| purpose.label(place)).is_none()
    };
    if let Some(checked) = checked {
        ages(checked, &directory, findings);
    }
    let needed = [Purpose::Issuer, Purpose::Audit];
    for purpose in needed.iter().filter(|purpose| is_here(purpose)) {
        let path = directory.join(purpose.file());
        match std::fs::metadata(&path) {
            Ok(metadata) => {
                private(&path, &metadata, "keys.mode", "600", findings);
                same_owner((&path, "keys.owner"), &metadata, data, findings);
            }
            Err(_) => findings.warning(
                "keys.missing",
                format!(
                    "there is no {}, though there are other keys",
                    path.display()
                ),
                "restore it from your backup: the gateway does not start without it",
            ),
        }
    }
    let is_told = |purpose: &Purpose| {
        let found = std::fs::metadata(directory.join(purpose.file()));
        needed.contains(purpose) && found.is_ok_and(|metadata| mode(&metadata) & 0o077 != 0)
    };
    let all = Purpose::ALL.into_iter().filter(is_here);
    let all = all.filter(|purpose| !is_told(purpose));
    let shared = all.map(|purpose| Ring::new(purpose, &directory));
    for ring in shared.chain(of_servers(&directory).unwrap_or_default()) {
        match ring.check() {
            Ok(()) if ring.purpose == Purpose::Audit => pair((home, checked), findings),
            Ok(()) => {}
            Err(error) => findings.error(
                "keys.mismatch",
                format!("{error:#}"),
                "restore the key and its ring from your backup",
            ),
        }
    }
}

/// Whatever replaces keys by their age has not.
fn ages(checked: &Checked, directory: &Path, findings: &mut Findings) {
    // What cannot be read is told elsewhere.
    let overdue = Turns::of(checked).overdue(directory, clock::now());
    for Overdue { key, every } in overdue.unwrap_or_default() {
        let days = every.as_secs() / 86_400;
        findings.warning(
            "keys.overdue",
            format!("the key {key:?} is older than the {days} days of keys.rotate_every"),
            "see that the gateway runs, and look for key.overdue in its log: it says what is in the way",
        );
    }
}

/// The key that is there must be the one whose turn it is to sign, in the log that auditors have the first key of.
fn pair((home, checked): (&Home, Option<&Checked>), findings: &mut Findings) {
    let (held, published) = (home.audit_key(), home.verifier_key());
    let Ok(document) = std::fs::read(&held).map(Secret::new) else {
        return;
    };
    let Ok(key) = SigningKey::from_pkcs8(LOG_NAME, document.expose()) else {
        let what = format!("{} is no Ed25519 key", held.display());
        return findings.error("keys.unusable", what, "restore it from your backup");
    };
    let Ok(text) = std::fs::read_to_string(&published) else {
        return findings.note(
            "keys.unpublished",
            format!("there is no {} yet", published.display()),
            "start the gateway once: it writes the key that auditors need",
        );
    };
    let log = checked.map_or_else(
        || home.0.join("audit"),
        |checked| checked.audit.directory.clone(),
    );
    let first: Option<VerifierKey> = text.trim().parse().ok();
    let due = first.map(|first| match signer(&log, std::slice::from_ref(&first)) {
        Ok(due) => due.unwrap_or(first),
        // What is wrong with the log is found elsewhere.
        Err(_) => key.verifier().clone(),
    });
    if due.as_ref() != Some(key.verifier()) {
        findings.error(
            "keys.mismatch",
            format!(
                "{} is not the key whose turn it is to sign the log that began with {}",
                held.display(),
                published.display()
            ),
            "one of the two was replaced: restore both from your backup",
        );
    }
}

fn secrets(directory: &Path, data: &Metadata, findings: &mut Findings) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    findings.look("secrets");
    for entry in entries.flatten().take(MAX_SECRETS) {
        if let Ok(metadata) = entry.metadata() {
            private(&entry.path(), &metadata, "secrets.mode", "600", findings);
            same_owner((&entry.path(), "keys.owner"), &metadata, data, findings);
        }
    }
}

pub(super) fn private(
    path: &Path,
    metadata: &Metadata,
    id: &'static str,
    wanted: &str,
    findings: &mut Findings,
) {
    let mode = mode(metadata);
    if mode & 0o077 != 0 {
        let what = format!("{} is open to others (mode {mode:o})", path.display());
        findings.error(id, what, format!("chmod {wanted} {}", path.display()));
    }
}

fn owned(path: &Path, metadata: &Metadata, findings: &mut Findings) {
    let us = rustix::process::geteuid();
    if !us.is_root() && metadata.uid() != us.as_raw() {
        let what = format!(
            "{} belongs to user {}, not to you",
            path.display(),
            metadata.uid()
        );
        findings.error(
            "data.owner",
            what,
            format!(
                "run this as user {}, or chown the directory",
                metadata.uid()
            ),
        );
    }
}

pub(super) fn same_owner(
    (path, id): (&Path, &'static str),
    metadata: &Metadata,
    data: &Metadata,
    findings: &mut Findings,
) {
    if metadata.uid() != data.uid() {
        let what = format!(
            "{} belongs to user {}, the data to user {}",
            path.display(),
            metadata.uid(),
            data.uid()
        );
        findings.error(id, what, format!("chown {} {}", data.uid(), path.display()));
    }
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o777
}
