//! Does one of the servers pretend to be another, or one tool to be another server's?

use super::finding::{Finding, Outcome, Scanned};
use portcullis_core::catalog::shadow::{Known, shadows};
use portcullis_core::catalog::{Definition, Kind};
use serde_json::Value;

const APART: &str = "find out which of the two is meant; use one of them only, or rename the servers so that people can tell";

/// Puts beside each server what it has that is like what another one has. The same command or URL twice is one server.
pub(super) fn tell(servers: &mut [Scanned]) {
    let own: Vec<(String, Vec<(Kind, &str)>)> = servers.iter().map(own).collect();
    let known = servers
        .iter()
        .zip(&own)
        .filter_map(|(server, (title, names))| {
            let known = Known {
                server: &server.name,
                title,
                names,
            };
            matches!(server.outcome, Outcome::Seen(_)).then_some((server, known))
        });
    let known: Vec<(&Scanned, Known<'_>)> = known.collect();
    let found: Vec<(String, Vec<Finding>)> = known
        .iter()
        .map(|(server, new)| {
            let others = known.iter().filter(|(other, _)| other.how != server.how);
            let others: Vec<Known<'_>> = others.map(|(_, known)| *known).collect();
            let found = shadows(new, &others).into_iter();
            let found =
                found.map(|shadow| Finding::of_analysis(shadow.about, shadow.finding, APART));
            (server.name.clone(), found.collect())
        })
        .collect();
    for (name, findings) in found {
        if let Some(server) = servers.iter_mut().find(|server| server.name == name) {
            server.findings.extend(findings);
        }
    }
}

/// What a server calls itself, and the names by which models call what it defines.
fn own(server: &Scanned) -> (String, Vec<(Kind, &str)>) {
    let is_called = |own: &&Definition| matches!(own.kind(), Kind::Tool | Kind::Prompt);
    let called = server.definitions().iter().filter(is_called);
    let mut itself = server.definitions().iter();
    let title = itself
        .find(|own| own.kind() == Kind::Server)
        .and_then(|own| {
            let value: Value = serde_json::from_str(own.canonical()).ok()?;
            let info = value.get("serverInfo")?;
            let title = info.get("title").or_else(|| info.get("name"))?;
            title.as_str().map(ToOwned::to_owned)
        });
    (
        title.unwrap_or_default(),
        called.map(|own| (own.kind(), &**own.name())).collect(),
    )
}
