//! Every refusal, with its place; every example; and what never happens.

mod doors;
mod issuers;
mod published;
mod secrets;
mod servers;
mod shape;
mod upkeep;

use super::*;
use portcullis_core::authenticate::Binding;
use proptest::prelude::*;
use std::time::Duration;

/// Text, line, column, key, words of the problem.
type Row = (&'static str, usize, usize, &'static str, &'static str);

const FILE: &str = "/etc/portcullis/portcullis.toml";

/// A tenant of Entra.
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// Enough for a whole file, to stand below what a row is about.
const REST: &str = "
[issuers.own]
embedded = true
[servers.rest]
url = \"https://rest.example/mcp\"
";

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("hunter2".to_owned()),
        "HOME" => Some("/home/alice".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    match name {
        "cert.pem" | "ca.pem" => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        "crl.pem" => Ok("-----BEGIN X509 CRL-----\n".to_owned()),
        "key.pem" => Ok("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        "policy.cedar" => Ok("permit(principal, action, resource);".to_owned()),
        "empty" => Ok("\n".to_owned()),
        "missing" => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(" hunter2\n".to_owned()),
    }
}

fn reads(text: &str) -> Result<Checked, Problems> {
    read(text, Path::new(FILE), &environment, &read_file)
}

/// Asserts the one problem of a text: line, column, key and a part of its reason or fix.
#[track_caller]
fn refuses(text: &str, line: usize, column: usize, key: &str, words: &str) {
    let problems = reads(&format!("{text}{REST}")).expect_err(text);
    let [problem] = problems.as_slice() else {
        panic!("{text}\n{problems}")
    };
    assert_eq!(
        (problem.line, problem.column, problem.key.as_str()),
        (line, column, key),
        "{problems}"
    );
    let said = format!(
        "{} {}",
        problem.reason,
        problem.fix.clone().unwrap_or_default()
    );
    assert!(said.contains(words), "{problems}");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

/// [`refuses`] for lines of one server, the first of which is line 2.
#[track_caller]
fn refuses_server(lines: &str, line: usize, column: usize, key: &str, words: &str) {
    let key = format!("servers.a{key}");
    refuses(
        &format!("[servers.a]\n{lines}\n"),
        line,
        column,
        &key,
        words,
    );
}

#[test]
fn the_least_file_has_every_default() {
    let checked = reads(REST).unwrap();
    let gateway = &checked.gateway;
    assert_eq!(gateway.listen.to_string(), "127.0.0.1:8848");
    assert_eq!(gateway.admin.to_string(), "127.0.0.1:8849");
    assert_eq!(gateway.public_url.to_string(), "http://127.0.0.1:8848");
    assert_eq!(gateway.data, Path::new("/etc/portcullis"));
    assert_eq!(gateway.drain, Duration::from_secs(10));
    let hosts: Vec<&str> = gateway.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts, ["127.0.0.1:8848", "[::1]:8848", "localhost:8848"]);
    let origins: Vec<&str> = gateway.origins.iter().map(String::as_str).collect();
    assert_eq!(
        origins,
        [
            "http://127.0.0.1:8848",
            "http://[::1]:8848",
            "http://localhost:8848"
        ]
    );
    assert!(gateway.tls.is_none());
    assert_eq!(checked.limits.body_bytes, 4 << 20);
    assert_eq!(
        (checked.sessions.max, checked.sessions.max_per_principal),
        (10_000, 256)
    );
    assert_eq!(
        (checked.quota.requests_per_minute, checked.quota.burst),
        (600, 100)
    );
    assert_eq!(checked.audit.directory, Path::new("/etc/portcullis/audit"));
    assert_eq!(
        checked.audit.durability,
        Durability::Within(Duration::from_millis(50))
    );
    assert_eq!(checked.audit.arguments, Arguments::Redacted);
    let (name, server) = checked.servers.first_key_value().unwrap();
    assert_eq!(name.as_str(), "rest");
    assert_eq!(server.audience, "http://127.0.0.1:8848/servers/rest/mcp");
    assert_eq!(server.issuers.iter().collect::<Vec<_>>(), ["own"]);
    assert_eq!((server.dpop, server.dpop_nonce), (Binding::Accepted, false));
    assert_eq!(server.upstream_timeout, Duration::from_mins(2));
    assert_eq!(server.response_bytes, 16 << 20);
    assert!(checked.grants.is_empty());
}

#[test]
fn a_full_file_is_read() {
    let text = include_str!("../../../../../docs/examples/company.toml");
    let checked = reads(text).unwrap();
    assert_eq!(
        checked.gateway.public_url.to_string(),
        "https://mcp.example.com"
    );
    assert!(checked.gateway.hosts.contains("mcp.example.com"));
    assert!(checked.gateway.tls.is_some());
    let Some(Issuer::External(corp)) = checked.issuers.get("corp") else {
        panic!()
    };
    assert_eq!(corp.issuer, "https://login.example.com");
    assert!(corp.algorithms.contains(&Algorithm::Es256));
    let tickets = &checked.servers[&ServerName::parse("tickets").unwrap()];
    let Upstream::Http(http) = &tickets.upstream else {
        panic!()
    };
    assert_eq!(http.headers["authorization"].expose(), "Bearer hunter2");
    assert_eq!(http.headers["x-api-key"].expose(), "hunter2");
    assert_eq!(tickets.tools["delete_ticket"].requests_per_minute, Some(5));
    assert!(!format!("{checked:?}").contains("hunter2"));
    assert!(
        checked
            .grants
            .iter()
            .any(|grant| grant.who == Who::Role("support".to_owned()))
    );
}

#[test]
fn the_examples_pass() {
    for (name, text) in [
        (
            "minimal.toml",
            include_str!("../../../../../docs/examples/minimal.toml"),
        ),
        (
            "desktop.toml",
            include_str!("../../../../../docs/examples/desktop.toml"),
        ),
        (
            "company.toml",
            include_str!("../../../../../docs/examples/company.toml"),
        ),
        (
            "entra.toml",
            include_str!("../../../../../docs/examples/entra.toml"),
        ),
        (
            "okta.toml",
            include_str!("../../../../../docs/examples/okta.toml"),
        ),
        (
            "auth0.toml",
            include_str!("../../../../../docs/examples/auth0.toml"),
        ),
        (
            "keycloak.toml",
            include_str!("../../../../../docs/examples/keycloak.toml"),
        ),
        (
            "google.toml",
            include_str!("../../../../../docs/examples/google.toml"),
        ),
        (
            "oidc.toml",
            include_str!("../../../../../docs/examples/oidc.toml"),
        ),
    ] {
        if let Err(problems) = reads(text) {
            panic!("{name}\n{problems}");
        }
    }
}

#[test]
fn every_problem_is_named_at_once() {
    let text = "[gateway]\nlissten = 1\ndrain = 10\nadmin = \"0.0.0.0:1\"\n[servers.a]\nurl = \"http://a.example\"\n";
    let problems = reads(&format!("{text}{REST}")).unwrap_err();
    let lines: Vec<usize> = problems
        .as_slice()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [2, 3, 4, 6], "{problems}");
}

#[test]
fn problems_read_like_those_of_a_compiler() {
    let problems = reads(&format!("[gateway]\nadmin = \"0.0.0.0:1\"{REST}")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "error: the admin address must be loopback: it answers without authentication
 --> /etc/portcullis/portcullis.toml:2:9
  |
2 | admin = \"0.0.0.0:1\"
  |         ^^^^^^^^^^^
  = key: gateway.admin
  = help: write \"127.0.0.1:8849\"

1 problem"
    );
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!({"problems": [{
            "file": FILE, "line": 2, "column": 9, "key": "gateway.admin",
            "reason": "the admin address must be loopback: it answers without authentication",
            "fix": "write \"127.0.0.1:8849\"",
        }]})
    );
}

proptest! {
    #[test]
    fn read_never_panics(text in "\\PC{0,80}|[\\[\\]{}=\"'.,#a0\n é$_-]{0,60}") {
        prop_assert!(reads(&text).is_err());
    }

    #[test]
    fn read_never_panics_on_values(
        key in prop::sample::select(vec![
            "gateway.listen", "gateway.public_url", "gateway.allowed_hosts", "gateway.drain", "limits.body",
            "issuers.a.issuer", "issuers.a.algorithms", "servers.a.url", "servers.a.command", "servers.a.headers.A",
            "servers.a.env", "servers.a.allow", "servers.a.audience", "grants", "policy.files",
        ]),
        value in "\"[^\"\\\\\\p{C}]{0,30}\"|-?[0-9]{1,25}|\\[(\"[a-z_*:]{0,9}\",){0,3}\\]|\\{[a-z]{1,3} = \"[$\\{\\}a-z]{0,9}\"\\}",
    ) {
        let text = format!("{key} = {value}\n{REST}");
        if let Err(problems) = reads(&text) {
            let lines = text.lines().count();
            prop_assert!(problems.as_slice().iter().all(|problem| (1..=lines).contains(&problem.line)));
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn a_secret_is_never_repeated(secret in "[a-zA-Z0-9]{12,40}", quote in prop::sample::select(vec!["\"", "", "'"])) {
        let secret = format!("sk-{secret}");
        let text = format!("[servers.a]\nurl = \"https://a.example\"\nheaders.X-Api-Key = {quote}{secret}{quote}\nx = 1");
        let problems = reads(&text).unwrap_err();
        prop_assert!(!problems.to_string().contains(&secret));
        prop_assert!(!serde_json::to_string(&problems).unwrap().contains(&secret));
    }
}
