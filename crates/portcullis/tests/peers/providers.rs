//! Tokens of a second identity provider, by itself and beside the first: npm `oauth2-mock-server`.

use crate::harness::{Gateway, Request, initialize};
use crate::identity::{accepted, header, refused};
use crate::issuer::{self, Issuer};
use crate::peer::{Served, round};
use crate::speakers::{client, server};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What it says of itself on its first line.
#[derive(Deserialize)]
struct Told {
    issuer: String,
    token_endpoint: String,
    admin: String,
}

struct Mock {
    told: Told,
    _served: Served,
}

/// What one grant gives.
struct Granted {
    access: String,
    id: String,
}

impl Mock {
    fn start() -> Self {
        let served = Served::start("mock.mjs", &[]);
        Self {
            told: serde_json::from_str(&served.first).unwrap(),
            _served: served,
        }
    }

    fn grant(&self, subject: &str, resource: &str) -> Granted {
        let form = format!(
            "grant_type=password&username={subject}&password=x&client_id=cli&scope=notes&resource={}",
            issuer::encode(resource)
        );
        let request = Request::new("POST", "")
            .set("content-type", "application/x-www-form-urlencoded")
            .body(&form);
        let answer = issuer::ask(&self.told.token_endpoint, &request);
        let token = |name: &str| answer[name].as_str().unwrap().to_owned();
        Granted {
            access: token("access_token"),
            id: token("id_token"),
        }
    }

    fn rotate(&self, query: &str) -> Value {
        let url = format!("{}/rotate{query}", self.told.admin);
        issuer::ask(&url, &Request::new("POST", ""))
    }

    fn table(&self) -> String {
        format!(
            "[issuers.mock]\nprovider = \"oidc\"\nissuer = \"{}\"\n",
            self.told.issuer
        )
    }
}

fn notes(upstream: &Served, more: &str) -> String {
    format!(
        "url = \"http://127.0.0.1:{}/mcp\"\nallow = [\"*\", \"resource:*\", \"prompt:*\"]\n{more}\n",
        upstream.port()
    )
}

#[test]
fn auth_02_takes_access_tokens_of_a_second_provider_and_no_id_tokens() {
    let (mock, upstream) = (Mock::start(), Served::http(server("sdk-v2").file));
    let by_url = format!("[servers.notes]\n{}", notes(&upstream, ""));
    let by_client = format!(
        "[servers.notes]\n{}",
        notes(&upstream, "audience = \"cli\"")
    );
    let (by_url, by_client) = (
        Gateway::start(&format!("{}{by_url}", mock.table())),
        Gateway::start(&format!("{}{by_client}", mock.table())),
    );
    let own = by_url.url("notes");
    let granted = mock.grant("alice", &own);
    assert_eq!(header(&granted.access)["typ"], header(&granted.id)["typ"]);
    accepted(&by_url, "alice", &granted.access);
    refused(&by_url, &granted.id, "audience");
    refused(
        &by_url,
        &mock.grant("alice", &by_url.url("other")).access,
        "audience",
    );
    // AUTH-08: even where the audience is the client, which every ID token has.
    refused(&by_client, &granted.id, "claim");
    accepted(&by_client, "alice", &mock.grant("alice", "cli").access);
    let came = round(client("sdk-v2").file, &[&own, &granted.access]);
    assert_eq!(came.text(), Some("hello"), "{came:?}");
    let came = round(
        client("sdk-v2").file,
        &["--era", "legacy", &own, &granted.id],
    );
    assert_eq!(came.code, Some(401), "{came:?}");
}

#[test]
fn tok_08_follows_a_second_provider_that_changes_its_keys() {
    let (mock, upstream) = (Mock::start(), Served::http(server("sdk-v2").file));
    let config = format!("{}[servers.notes]\n{}", mock.table(), notes(&upstream, ""));
    let (overlapping, sudden) = (Gateway::start(&config), Gateway::start(&config));
    let (url, other) = (overlapping.url("notes"), sudden.url("notes"));
    let first = mock.grant("alice", &url).access;
    let late = mock.grant("alice", &other).access;
    accepted(&overlapping, "alice", &first);
    let keys = mock.rotate("");
    assert_eq!(
        keys["published"].as_array().map(Vec::len),
        Some(3),
        "{keys}"
    );
    // They sign by turns.
    let tokens: BTreeMap<String, String> = (0..6)
        .map(|_| mock.grant("alice", &url).access)
        .map(|token| (header(&token)["kid"].to_string(), token))
        .collect();
    assert_eq!(tokens.len(), 3, "{:?}", tokens.keys());
    for token in tokens.values().chain([&first]) {
        accepted(&overlapping, "alice", token);
    }
    assert_eq!(overlapping.records("authn.reject", None).len(), 0);

    mock.rotate("?withdraw=true");
    accepted(&sudden, "alice", &mock.grant("alice", &other).access);
    refused(&sudden, &late, "kid");
}

#[test]
fn auth_07_takes_two_providers_on_one_server_and_one_on_another() {
    let (mock, idp) = (Mock::start(), Issuer::start(&["alice"]));
    let upstream = Served::http(server("sdk-v2").file);
    let config = format!(
        "{}[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\n{}[servers.mocked]\n{}[servers.strict]\n{}",
        mock.table(),
        idp.name(),
        notes(&upstream, ""),
        notes(&upstream, "issuers = [\"mock\"]"),
        notes(&upstream, "issuers = [\"idp\"]"),
    );
    let gateway = Gateway::start(&config);
    let url = |name: &str| gateway.url(name);
    accepted(
        &gateway,
        "alice",
        &mock.grant("alice", &url("notes")).access,
    );
    accepted(&gateway, "alice", &idp.token("alice", &url("notes")));
    let at = |name: &str, token: &str| {
        let request = initialize(token).to(&format!("/servers/{name}/mcp"));
        let response = request.send(gateway.address);
        let record = gateway.record_of(&response);
        (response.status, record["reason"].clone())
    };
    let (mocked, strict) = (url("mocked"), url("strict"));
    assert_eq!(at("mocked", &mock.grant("alice", &mocked).access).0, 200);
    assert_eq!(at("strict", &idp.token("alice", &strict)).0, 200);
    let wrong = (401, json!("issuer"));
    assert_eq!(at("mocked", &idp.token("alice", &mocked)), wrong);
    assert_eq!(at("strict", &mock.grant("alice", &strict).access), wrong);
    // Neither signs for the other: both are alice, and two people.
    let records = gateway.records("call.completed", None);
    let issuers: BTreeSet<String> = records
        .iter()
        .map(|record| record["principal"]["iss"].to_string())
        .collect();
    assert_eq!(issuers.len(), 2, "{issuers:?}");
}
