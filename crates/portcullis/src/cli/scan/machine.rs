//! The report for programs: JSON that stays the same from version to version, and SARIF 2.1.0.

use super::finding::{Finding, Outcome, Scanned, Severity};
use super::risks::Risks;
use aws_lc_rs::digest::{SHA256, digest};
use portcullis_core::catalog::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The version of the JSON report.
const FORMAT: u32 = 1;
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The JSON report.
pub(super) fn json(servers: &[Scanned]) -> Value {
    let servers: Vec<Value> = servers.iter().map(of_server).collect();
    json!({ "format": FORMAT, "servers": servers })
}

fn of_server(server: &Scanned) -> Value {
    let (outcome, reason) = match &server.outcome {
        Outcome::NotAsked => ("not_started", None),
        Outcome::Off => ("off", None),
        Outcome::Failed(why) => ("failed", Some(why)),
        Outcome::Seen(_) => ("seen", None),
    };
    let risks = Risks::of(server);
    let defined = risks.iter().flat_map(|risks| &risks.defined);
    let definitions = defined.map(|(own, risk)| {
        json!({
            "kind": own.kind().name(),
            "name": &**own.name(),
            "digest": own.digest().to_string(),
            "risk": risk,
        })
    });
    let findings = server.findings.iter().map(|finding| {
        let (kind, name) = about(finding);
        json!({
            "rule": finding.rule,
            "severity": finding.severity.name(),
            "technique": given(finding.technique),
            "kind": kind,
            "name": name,
            "pointer": finding.pointer,
            "excerpt": given(&finding.excerpt),
            "reason": finding.reason,
            "fix": finding.fix,
        })
    });
    json!({
        "server": server.name,
        "client": server.source.as_ref().map(|(client, _)| client),
        "file": server.source.as_ref().map(|(_, file)| file.display().to_string()),
        "how": server.how,
        "outcome": outcome,
        "reason": reason,
        "risk": risks.as_ref().map(|risks| &risks.server),
        "definitions": definitions.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn about(finding: &Finding) -> (Option<&'static str>, Option<&str>) {
    finding
        .about
        .as_ref()
        .map(|(kind, name)| (kind.name(), name.as_str()))
        .unzip()
}

/// The report as SARIF 2.1.0, in which files of the working folder are named relative to it.
pub(super) fn sarif(servers: &[Scanned], folder: &Path) -> Value {
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in servers.iter().flat_map(|server| &server.findings) {
        let known = rules.entry(finding.rule).or_insert(finding);
        if known.severity < finding.severity {
            *known = finding;
        }
    }
    let order: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = servers
        .iter()
        .flat_map(|server| server.findings.iter().map(move |finding| (server, finding)))
        .map(|of| result(of, &order, folder))
        .collect();
    let risks = servers.iter().filter_map(risk);
    let failures: Vec<Value> = servers.iter().filter_map(failure).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": failures.is_empty(),
                "toolExecutionNotifications": failures,
            }],
            "results": results,
            "properties": { "servers": risks.collect::<Vec<_>>() },
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    let mut properties = Map::new();
    properties.insert(
        "security-severity".to_owned(),
        security_severity(finding.severity).into(),
    );
    if !finding.technique.is_empty() {
        properties.insert("tags".to_owned(), json!([finding.technique]));
    }
    json!({
        "id": finding.rule,
        "shortDescription": { "text": finding.rule.replace('-', " ") },
        "help": { "text": finding.fix },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": properties,
    })
}

fn result((server, finding): (&Scanned, &Finding), order: &[&str], folder: &Path) -> Value {
    let (kind, name) = about(finding);
    let place = [Some(server.name.as_str()), kind, name]
        .into_iter()
        .flatten();
    let place: Vec<&str> = place.filter(|part| !part.is_empty()).collect();
    let logical = json!({
        "name": name.filter(|name| !name.is_empty()).unwrap_or(&server.name),
        "fullyQualifiedName": format!("{}#{}", place.join("/"), finding.pointer),
        "kind": kind.unwrap_or("entry"),
    });
    let mut location = json!({ "logicalLocations": [logical] });
    if let (Some((_, file)), Some(location)) = (&server.source, location.as_object_mut()) {
        let physical = json!({ "artifactLocation": { "uri": uri(file, folder) } });
        location.insert("physicalLocation".to_owned(), physical);
    }
    let text = match finding.excerpt.as_str() {
        "" => format!("{}: {}", finding.place(), finding.reason),
        excerpt => format!("{}: {} ({excerpt})", finding.place(), finding.reason),
    };
    json!({
        "ruleId": finding.rule,
        "ruleIndex": order.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [location],
        "partialFingerprints": { "portcullis/v1": fingerprint(server, finding) },
        "properties": {
            "severity": finding.severity.name(),
            "pointer": finding.pointer,
            "technique": given(finding.technique),
        },
    })
}

/// What SARIF has no place for: the risk of a server, and of each of its tools.
fn risk(server: &Scanned) -> Option<Value> {
    let risks = Risks::of(server)?;
    let tools = risks.defined.iter();
    let tools = tools.filter(|(own, _)| own.kind() == Kind::Tool);
    let tools = tools.map(|(own, risk)| json!({ "name": &**own.name(), "risk": risk }));
    Some(json!({
        "server": server.name,
        "risk": risks.server,
        "tools": tools.collect::<Vec<_>>(),
    }))
}

fn failure(server: &Scanned) -> Option<Value> {
    let Outcome::Failed(why) = &server.outcome else {
        return None;
    };
    let text = format!("{} was not scanned: {why}", server.name);
    Some(json!({ "level": "error", "message": { "text": text } }))
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// What code scanning of GitHub sorts by.
const fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "1.0",
    }
}

/// The same for the same finding at the same place, whatever its words are.
fn fingerprint(server: &Scanned, finding: &Finding) -> String {
    let kind = finding.about.as_ref().map(|(kind, _)| *kind);
    let kind = kind.map_or("", Kind::name);
    let name = finding.about.as_ref().map_or("", |(_, name)| name);
    let parts = [&server.name, kind, name, finding.rule, &finding.pointer];
    let mut text = String::new();
    for byte in digest(&SHA256, parts.join("\n").as_bytes()).as_ref() {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

/// A file as a URI: relative inside the folder, else whole.
fn uri(file: &Path, folder: &Path) -> String {
    let (start, path) = match file.strip_prefix(folder) {
        Ok(inside) => ("", inside),
        Err(_) => ("file://", file),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let text = path.display().to_string();
    let coded = text.bytes().map(|byte| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    start.to_owned() + &coded.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_uris() {
        let folder = Path::new("/srv/work");
        assert_eq!(uri(Path::new("/srv/work/.mcp.json"), folder), ".mcp.json");
        assert_eq!(
            uri(Path::new("/home/a b/x.json"), folder),
            "file:///home/a%20b/x.json"
        );
    }
}
