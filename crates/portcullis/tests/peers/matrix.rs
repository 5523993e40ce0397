//! Every client, in each of its eras, with every server, over HTTP and over stdio, with authentication on.

use crate::crowd;
use crate::harness::Gateway;
use crate::issuer::Issuer;
use crate::peer::Served;
use crate::speakers::{CLIENTS, Era, SERVERS, Speaker, is_good, walk};
use crate::tap::{Tap, Wire, stdio};
use serde_json::json;
use std::fmt;
use std::sync::Mutex;

/// How the gateway reaches a server.
#[derive(Clone, Copy, Debug)]
enum Reach {
    Http,
    Stdio,
}

/// One round: a client in one of its eras, and a server.
#[derive(Clone, Copy)]
struct Pair {
    client: &'static Speaker,
    era: Era,
    server: &'static Speaker,
    reach: Reach,
}

impl Pair {
    /// All there are. Where a server lacks the era of the client, the gateway speaks to it in its own.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for reach in [Reach::Http, Reach::Stdio] {
            for server in SERVERS {
                for client in CLIENTS {
                    all.extend(client.eras.iter().map(|&era| Self {
                        client,
                        era,
                        server,
                        reach,
                    }));
                }
            }
        }
        all
    }

    /// Who the client is to the issuer: in each era somebody else, so that records tell them apart.
    fn user(&self) -> String {
        user(self.client, self.era)
    }

    /// What the gateway calls the server.
    fn behind(&self) -> String {
        behind(self.server, self.reach)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, era) = (self.client.name, self.era.name());
        write!(f, "{client} ({era}) to {}", self.behind())
    }
}

fn user(client: &Speaker, era: Era) -> String {
    format!("{}-{}", client.name, era.name())
}

fn behind(server: &Speaker, reach: Reach) -> String {
    let reach = match reach {
        Reach::Http => "http",
        Reach::Stdio => "stdio",
    };
    format!("{}-{reach}", server.name)
}

#[test]
fn every_client_goes_its_round_with_every_server() {
    let users: Vec<String> = CLIENTS
        .iter()
        .flat_map(|client| client.eras.iter().map(|&era| user(client, era)))
        .collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let issuer = Issuer::start(&users);
    let directory = tempfile::tempdir().unwrap();
    let mut config = format!(
        "[quota]\nburst = 1000\n[issuers.idp]\nissuer = \"{}\"\n",
        issuer.name()
    );
    let (mut running, mut taps) = (Vec::new(), Vec::new());
    for server in SERVERS {
        let one = Served::http(server.file);
        let wire = Wire::before(one.port());
        let file = directory.path().join(server.name);
        let over_http = format!("url = \"http://127.0.0.1:{}/mcp\"\n", wire.port);
        let over_stdio = stdio(server.file, &[], file.to_str().unwrap());
        for (reach, how) in [(Reach::Http, over_http), (Reach::Stdio, over_stdio)] {
            let name = behind(server, reach);
            config.push_str(&format!(
                "[servers.{name}]\n{how}allow = [\"*\", \"resource:*\", \"prompt:*\"]\n"
            ));
        }
        taps.push((behind(server, Reach::Http), server, Tap::Wire(wire)));
        taps.push((behind(server, Reach::Stdio), server, Tap::File(file)));
        running.push(one);
    }
    let gateway = Gateway::start(&config);

    let pairs = Pair::all();
    let tokens = Mutex::new(Vec::new());
    let mut faults = crowd::faults(&pairs, |pair| {
        let url = gateway.url(&pair.behind());
        let token = issuer.token(&pair.user(), &url);
        let got = walk(pair.client, pair.era, &[&url, &token]);
        tokens.lock().unwrap().push(token);
        let is_good = is_good(&got, pair.client, pair.era, pair.server);
        Vec::from_iter((!is_good).then(|| format!("{pair}: {got:?}")))
    });
    let calls = gateway.records("call.completed", None);
    for pair in &pairs {
        let (who, server) = (
            json!({ "iss": issuer.name(), "sub": pair.user() }),
            pair.behind(),
        );
        let records = calls.iter().filter(|record| {
            record["method"] == "tools/call"
                && record["principal"] == who
                && record["server"] == server.as_str()
        });
        let records: Vec<_> = records.collect();
        let is_right = records.len() == 1
            && records[0]["target"] == "progress"
            && records[0]["decision"]["effect"] == "allow"
            && records[0]["detail"]["revision"] == pair.era.revision();
        if !is_right {
            faults.push(format!("{pair}: recorded as {records:?}"));
        }
    }
    let written = gateway.traces();
    let tokens = tokens.into_inner().unwrap();
    for (name, server, tap) in &taps {
        let heard = tap.heard();
        assert!(heard.contains("tools/call"), "{name} heard of no call");
        for era in server
            .eras
            .iter()
            .filter(|era| !heard.contains(era.revision()))
        {
            faults.push(format!("{name} was not spoken to in {}", era.name()));
        }
        let leaks = |text: &str| tokens.iter().any(|token| text.contains(token));
        if leaks(&heard) || heard.to_ascii_lowercase().contains("authorization:") {
            faults.push(format!("{name} was sent a client's credentials"));
        }
    }
    if tokens.iter().any(|token| written.contains(token)) {
        faults.push("the gateway wrote a token down".to_owned());
    }
    assert_eq!(tokens.len(), pairs.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
