//! What is otherwise than it was: against another look, and against the lock file.

use super::finding::{Finding, Outcome, Scanned, Severity};
use portcullis_core::catalog::lock::{Lock, Pinned};
use portcullis_core::catalog::{self, Definition, Kind, Piece, diff, visible};
use serde_json::Value;
use std::collections::BTreeSet;

/// What to do about a change of what is locked.
const REVIEW: &str = "read the change; if it is wanted, run `portcullis scan --lock` again and have the lock file reviewed";

/// The most changes of a definition that are told.
const MAX_TOLD: usize = 12;
/// The most characters of the words of a change.
const MAX_WORDS: usize = 600;

/// How two definitions of one name differ, for people: a line for each change, with the words that are `[-gone-]` and `{+new+}`.
pub(super) fn difference(old: &Definition, new: &Definition) -> String {
    let value =
        |own: &Definition| serde_json::from_str::<Value>(own.canonical()).unwrap_or_default();
    let changes = diff(&value(old), &value(new));
    let mut lines: Vec<String> = changes.iter().take(MAX_TOLD).map(told).collect();
    if let Some(left) = changes.len().checked_sub(MAX_TOLD).filter(|left| *left > 0) {
        lines.push(format!("and {left} more changes"));
    }
    lines.join("\n")
}

fn told(change: &catalog::Change) -> String {
    let words = change.words.iter().map(|piece| match piece {
        Piece::Same(text) => text.clone(),
        Piece::Gone(text) => format!("[-{text}-]"),
        Piece::New(text) => format!("{{+{text}+}}"),
    });
    let words: String = words.collect();
    let words: String = words.chars().take(MAX_WORDS).collect();
    format!("{} {}: {}", change.pointer, change.said, visible(&words))
}

/// What is pinned of these servers, as they are now.
pub(super) fn locked(servers: &[Scanned]) -> Lock {
    let mut lock = Lock::default();
    for server in servers {
        for definition in server.definitions() {
            lock.pin(&server.name, definition);
        }
    }
    lock
}

/// A change against the lock file, and of which server.
pub(super) type Change = (String, Finding);

/// Everything that is not as it was locked, in order. Of a server that could not be looked at, nobody can tell.
pub(super) fn against(lock: &Lock, servers: &[Scanned]) -> Vec<Change> {
    let now = &locked(servers);
    let is_failed = |name: &str| {
        let failed = |own: &Scanned| own.name == name && matches!(own.outcome, Outcome::Failed(_));
        servers.iter().any(failed)
    };
    let names: BTreeSet<&Pinned> = [lock, now]
        .into_iter()
        .flat_map(|lock| lock.pinned().map(|(pinned, _)| pinned))
        .filter(|pinned| !is_failed(&pinned.server))
        .collect();
    let changed = names.into_iter().filter_map(|pinned| {
        let (rule, reason, excerpt) = match (lock.of(pinned), now.of(pinned)) {
            (Some(old), Some(new)) if old.digest() == new.digest() => return None,
            (Some(old), Some(new)) => (
                "lock-changed",
                "it is not what was locked",
                difference(old, new),
            ),
            (Some(_), None) => ("lock-gone", "it was locked and is not there", String::new()),
            (None, Some(_) | None) => ("lock-new", "it is there and was not locked", String::new()),
        };
        let about: (Kind, String) = (pinned.kind, pinned.name.clone());
        let finding = Finding::of_server(
            (rule, Severity::High),
            Some(about),
            (reason.to_owned(), excerpt),
            REVIEW,
        );
        Some((pinned.server.clone(), finding))
    });
    changed.collect()
}

/// Puts each change beside the server that it is about; servers that are gone get a place of their own.
pub(super) fn tell(changes: Vec<Change>, servers: &mut Vec<Scanned>) {
    for (name, finding) in changes {
        match servers.iter_mut().find(|server| server.name == name) {
            Some(server) => server.findings.push(finding),
            None => servers.push(Scanned {
                name,
                source: None,
                how: "only in the lock file".to_owned(),
                findings: vec![finding],
                outcome: Outcome::Seen(Vec::new()),
            }),
        }
    }
}
