//! Servers that ask the client back: in either era only if a rule permits this very kind of asking.

use crate::crowd;
use crate::harness::Gateway;
use crate::issuer::Issuer;
use crate::peer::{Round, Served, round};
use crate::speakers::{Era, Speaker, client, server};
use crate::tap::{Tap, Wire, stdio};
use serde_json::json;

/// A client, the era, the server that asks, and whether it is reached over stdio.
const ROWS: &[(&str, Era, &str, bool)] = &[
    ("sdk-v1", Era::Legacy, "sdk-v1", false),
    ("sdk-v2", Era::Legacy, "mcp", true),
    ("mcp", Era::Legacy, "sdk-v2", false),
    ("fastmcp", Era::Legacy, "rmcp", false),
    ("rmcp", Era::Legacy, "fastmcp", true),
    ("sdk-v2", Era::Modern, "mcp", false),
    ("mcp", Era::Modern, "rmcp", true),
    ("rmcp", Era::Modern, "sdk-v2", false),
    ("fastmcp", Era::Modern, "sdk-v2", true),
    ("sdk-v2", Era::Modern, "sdk-v1", false),
    ("mcp", Era::Modern, "sdk-v1", true),
    ("rmcp", Era::Modern, "sdk-v1", false),
    ("sdk-v1", Era::Legacy, "sdk-v2-modern", false),
];

/// What each kind asks for, and what `ask` says once it is answered.
const ELICITATION: (&str, &str, &str) =
    ("elicitation", "elicitation/create", "elicited accept Ada");
const SAMPLING: (&str, &str, &str) = ("sampling", "sampling/createMessage", "sampled Ada");

/// What `ask` says where nobody was asked: a form dismissed, or a client that our session does not offer.
const NOBODY: [&str; 2] = ["elicited cancel", "nobody to ask"];

/// One row: its server behind the gateway under a name of its own.
struct Row {
    name: String,
    client: &'static Speaker,
    era: Era,
    /// What the server is spoken to in.
    spoken: Era,
    tap: Tap,
    _served: Option<Served>,
}

impl Row {
    /// Whether the server hears in our handshake what it may not ask, and so does not try.
    fn is_told_before(&self) -> bool {
        self.era == Era::Modern && self.spoken == Era::Legacy
    }

    /// Calls `ask` as `user` with a client that can do `kind` and nothing else.
    fn ask(&self, gateway: &Gateway, issuer: &Issuer, user: &str, kind: &str) -> Round {
        let url = gateway.url(&self.name);
        let token = issuer.token(user, &url);
        let era = self.era.name();
        let arguments = ["--era", era, "--tool", "ask", "--can", kind, &url, &token];
        round(self.client.file, &arguments)
    }
}

#[test]
fn authz_02_lets_a_server_ask_only_what_a_rule_permits() {
    // Alice may be elicited from, Bob's model may be asked; each of them can do both.
    let issuer = Issuer::start(&["alice", "bob"]);
    let directory = tempfile::tempdir().unwrap();
    let mut config = format!("[issuers.idp]\nissuer = \"{}\"\n", issuer.name());
    let mut rows = Vec::new();
    for (index, &(speaker, era, asking, is_stdio)) in ROWS.iter().enumerate() {
        let (name, file) = (
            format!("row-{index}"),
            directory.path().join(index.to_string()),
        );
        let (how, tap, served) = if is_stdio {
            let how = stdio(server(asking).file, &[], file.to_str().unwrap());
            (how, Tap::File(file), None)
        } else {
            let served = Served::http(server(asking).file);
            let wire = Wire::before(served.port());
            let how = format!("url = \"http://127.0.0.1:{}/mcp\"\n", wire.port);
            (how, Tap::Wire(wire), Some(served))
        };
        config.push_str(&format!(
            "[servers.{name}]\n{how}allow = [\"ask\", \"resource:*\", \"prompt:*\"]\n"
        ));
        for (user, kind) in [("alice", "elicitation"), ("bob", "sampling")] {
            config.push_str(&format!(
                "[[grants]]\nwho = \"user:{user}\"\nallow = [\"ask:{name}__{kind}\"]\n"
            ));
        }
        let client = client(speaker);
        rows.push(Row {
            name,
            client,
            era,
            spoken: match server(asking).eras {
                [only] => *only,
                _ => era,
            },
            tap,
            _served: served,
        });
    }
    let gateway = Gateway::start(&config);
    let faults = crowd::faults(&rows, |row| judge(row, &gateway, &issuer));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with a row.
fn judge(row: &Row, gateway: &Gateway, issuer: &Issuer) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |is_so: bool, what: &str, came: &Round| {
        if !is_so {
            let (client, era) = (row.client.name, row.era.name());
            faults.push(format!("{} {client} ({era}): {what}: {came:?}", row.name));
        }
    };
    for (user, (kind, method, said)) in [("alice", ELICITATION), ("bob", SAMPLING)] {
        let came = row.ask(gateway, issuer, user, kind);
        expect(came.text() == Some(said), "was not answered", &came);
        expect(came.asked == [method], "was not asked", &came);
        expect(refusals(gateway, &row.name, user) == 0, "refused", &came);
    }
    for (user, (kind, ..)) in [("alice", SAMPLING), ("bob", ELICITATION)] {
        let came = row.ask(gateway, issuer, user, kind);
        let is_answered = came.text().is_some_and(|text| !NOBODY.contains(&text));
        expect(!is_answered, "was answered", &came);
        expect(came.asked.is_empty(), "was asked", &came);
        let recorded = refusals(gateway, &row.name, user);
        expect(
            recorded == usize::from(!row.is_told_before()),
            &format!("recorded {recorded} times"),
            &came,
        );
    }
    // A request of the old eras is declined in the client's place; the new one has none to decline.
    let told = row.tap.heard().matches("\"code\":-32601").count();
    let expected = if row.era == Era::Legacy && row.spoken == Era::Legacy {
        2
    } else {
        0
    };
    expect(
        told == expected,
        &format!("the server was told no {told} times"),
        &Round::default(),
    );
    faults
}

/// How often a server was kept from asking this user.
fn refusals(gateway: &Gateway, server: &str, user: &str) -> usize {
    let records = gateway.records("upstream.refused", Some("reverse_request"));
    let theirs = records
        .iter()
        .filter(|record| record["server"] == server && record["principal"]["sub"] == json!(user));
    theirs.count()
}
