//! An ACME server that wants more than it is asked for.

use crate::harness::{Answer, Gateway, Host, Upstream};
use serde_json::json;

/// A gateway that asks this directory for its certificate.
fn asking(directory: &str) -> Gateway {
    let upstream = Upstream::start();
    Gateway::start(&format!(
        "public_url = \"https://gate.example.test\"\n[gateway.tls.acme]\ndirectory = \"{directory}\"\nterms_agreed = true\n\
         [issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ))
}

#[test]
fn cd_12_is_not_sent_inside_by_an_acme_server() {
    let lure = Host::lure();
    let inside = format!("{}/nonce", lure.url());
    let server = Host::start(move |_| {
        let urls =
            ["newNonce", "newAccount", "newOrder"].map(|name| (name.to_owned(), inside.clone()));
        Answer::json(
            200,
            "",
            &json!(std::collections::BTreeMap::from(urls)).to_string(),
        )
    });
    let gateway = asking(&format!("{}/directory", server.url()));
    let record = gateway.expect("egress.denied", Some("address"));
    assert_eq!(record["detail"]["by"], "127.0.0.1", "{record}");
    assert_eq!(record["detail"]["class"], "loopback", "{record}");
    let record = gateway.expect("tls.renewal_failed", Some("server"));
    assert_eq!(record["detail"]["names"], "gate.example.test", "{record}");
    assert!(lure.seen().is_empty());
    // The benign twin: what is at the server's own origin is asked.
    let server = Host::start(|seen| match seen.target.as_str() {
        "/directory" => {
            let urls = ["newNonce", "newAccount", "newOrder"];
            let at = |name: &str| {
                (
                    name.to_owned(),
                    format!("http://{}/{name}", seen.header("host").unwrap()),
                )
            };
            Answer::json(
                200,
                "",
                &json!(std::collections::BTreeMap::from(urls.map(at))).to_string(),
            )
        }
        _ => Answer::status(404),
    });
    let gateway = asking(&format!("{}/directory", server.url()));
    gateway.expect("tls.renewal_failed", Some("server"));
    assert!(server.seen().iter().any(|seen| seen.target == "/newNonce"));
    assert!(gateway.records("egress.denied", None).is_empty());
}
