//! A gateway that is an authorization server, and a client of it. A grant that a user has approved is laid into its
//! database as the gateway does it after the consent page.

use super::client::{Request, Response};
use super::gateway::{Gateway, now};
use super::jwt::encode;
use super::upstream::Upstream;
use aws_lc_rs::digest::{SHA256, digest};
use portcullis_core::time::Timestamp;
use portcullis_state::{Durable, Family, NewCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A secret of a client, and where its answers go.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const CALLBACK: &str = "http://localhost:4711/callback";

/// The gateway and a server behind it.
pub(crate) struct Granting {
    pub(crate) gateway: Gateway,
}

impl Granting {
    /// One with a public client `app`; `more` are further keys and tables of `[authority]`.
    pub(crate) fn start(more: &str) -> Self {
        Self::beside("", more)
    }

    /// The same with other tables before `[authority]`.
    pub(crate) fn beside(tables: &str, more: &str) -> Self {
        let upstream = Upstream::start();
        let config = format!(
            "{tables}[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\"]\nscopes = [\"notes:read\"]\n\
[servers.other]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\"]\n[authority]\n{more}\n[authority.clients.app]\n\
redirect_uris = [\"https://app.example/oauth/callback\", \"http://localhost/callback\"]\n",
            upstream.url(),
            upstream.url()
        );
        Self {
            gateway: Gateway::start(&config),
        }
    }

    /// The server for which tokens are asked.
    pub(crate) fn resource(&self) -> String {
        self.gateway.url("notes")
    }

    /// What the gateway calls itself in tokens.
    pub(crate) fn issuer(&self) -> String {
        let path = "/.well-known/oauth-authorization-server";
        let document = Request::new("GET", path).send(self.gateway.address).json();
        document["issuer"].as_str().unwrap().to_owned()
    }

    /// What a client asks for; `changes` replace parameters, and empty ones are left out.
    pub(crate) fn authorize(&self, changes: &[(&str, &str)]) -> Response {
        let resource = self.resource();
        let query = form(&changed(&asked(&resource), changes));
        Request::new("GET", &format!("/authorize?{query}")).send(self.gateway.address)
    }

    /// Sends a form to an endpoint.
    pub(crate) fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Response {
        posted(path, pairs).send(self.gateway.address)
    }

    /// Lays down a code for alice; `granted` and `bound` change what is granted, and what the code is bound to.
    pub(crate) fn approve(&self, code: &str, granted: Value, bound: Value) {
        self.approve_all(&[code.to_owned()], [granted, bound]);
    }

    /// The same for many.
    pub(crate) fn approve_all(&self, codes: &[String], [granted, bound]: [Value; 2]) {
        let mut grant = json!({
            "user": {
                "subject": "alice", "issuer": self.issuer(), "name": null,
                "groups": ["writers"], "roles": ["editor"], "acr": "gold", "amr": ["pwd"],
                "auth_time": now(), "claims": [],
            },
            "client": "app", "server": "notes", "audience": self.resource(),
            "scopes": ["notes:read"], "refreshes": true,
        });
        let mut binding = json!({ "redirect": CALLBACK, "challenge": CHALLENGE, "key": null });
        for (whole, part) in [(&mut grant, granted), (&mut binding, bound)] {
            let Value::Object(members) = part else {
                panic!("not an object")
            };
            for (name, value) in members {
                whole[name] = value;
            }
        }
        let made = Timestamp::from_seconds(now());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let file = self.gateway.data().join("state.db");
            let durable = Durable::open(&file).await.unwrap();
            for code in codes {
                let family = Family {
                    id: format!("family-{code}"),
                    issuer: grant["user"]["issuer"].as_str().unwrap().to_owned(),
                    subject: grant["user"]["subject"].as_str().unwrap().to_owned(),
                    client: grant["client"].as_str().unwrap().to_owned(),
                    granted: grant.to_string(),
                    made,
                    until: made.plus(Duration::from_hours(24)),
                };
                let new = NewCode {
                    digest: encode(digest(&SHA256, code.as_bytes()).as_ref()),
                    bound: binding.to_string(),
                    until: made.plus(Duration::from_mins(1)),
                    family,
                };
                durable.keep_code(new).await.unwrap();
            }
        });
    }

    /// Shows a code; `changes` replace parameters.
    pub(crate) fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Response {
        self.post("/token", &changed(&redeeming(code), changes))
    }

    /// Shows a refresh token.
    pub(crate) fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Response {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", "app"),
            ("refresh_token", token),
        ];
        self.post("/token", &changed(&pairs, changes))
    }

    /// The OAuth error of this answer, after its event was seen.
    #[track_caller]
    pub(crate) fn refused(&self, answer: &Response, (event, reason): (&str, &str)) -> String {
        let record = self.gateway.record_of(answer);
        assert_eq!(record["event"], event, "{record} {answer:?}");
        assert_eq!(record["reason"], reason, "{record} {answer:?}");
        answer.json()["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// How a code is shown.
pub(crate) fn redeeming(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

fn asked(resource: &str) -> [(&str, &str); 8] {
    [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("state", "the-state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "notes:read"),
        ("resource", resource),
    ]
}

/// A form for an endpoint.
pub(crate) fn posted(path: &str, pairs: &[(&str, &str)]) -> Request {
    Request::new("POST", path)
        .set("content-type", "application/x-www-form-urlencoded")
        .body(&form(pairs))
}

fn changed<'a>(
    pairs: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut pairs = pairs.to_vec();
    for (name, value) in changes {
        pairs.retain(|(own, _)| own != name);
        pairs.push((name, value));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    pairs
}

fn form(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let one = |byte: u8| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        text.bytes().map(one).collect()
    };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}
