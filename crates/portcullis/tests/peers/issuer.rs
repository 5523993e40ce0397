//! The identity provider: npm `oidc-provider`, started and asked as its users ask it.

use crate::harness::{Draft, Key, Request};
use crate::peer::Served;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;

/// What the provider says of itself on its first line.
#[derive(Deserialize)]
struct Told {
    issuer: String,
    token_endpoint: String,
    admin: String,
    clients: HashMap<String, Client>,
    introspection: Client,
}

#[derive(Deserialize)]
struct Client {
    client_secret: String,
}

/// A running provider.
pub(crate) struct Issuer {
    told: Told,
    _served: Served,
}

impl Issuer {
    /// Starts one that knows these users beside `rs`, `es` and `ed`.
    pub(crate) fn start(users: &[&str]) -> Self {
        let served = Served::start("idp.mjs", &["--users", &users.join(",")]);
        Self {
            told: serde_json::from_str(&served.first).unwrap(),
            _served: served,
        }
    }

    /// What `iss` says.
    pub(crate) fn name(&self) -> &str {
        &self.told.issuer
    }

    /// An access token of `user` for `resource`, by the client credentials grant (RFC 8707 section 2).
    pub(crate) fn token(&self, user: &str, resource: &str) -> String {
        self.token_with(user, &format!("resource={}", encode(resource)))
    }

    /// The same, bound to a key (RFC 9449 section 5).
    pub(crate) fn bound_token(&self, user: &str, resource: &str, key: &Key) -> String {
        let endpoint = ("POST", self.told.token_endpoint.as_str());
        let proof = Draft::proof(key, endpoint, "").without("ath").sign();
        let parameters = format!("resource={}", encode(resource));
        self.granted(
            user,
            &parameters,
            Request::new("POST", "").set("dpop", &proof),
        )
    }

    /// A token of the client `mutual`, bound to a certificate in DER (RFC 8705 section 3).
    pub(crate) fn token_of_certificate(&self, resource: &str, certificate: &[u8]) -> String {
        let shown = STANDARD.encode(certificate);
        let request = Request::new("POST", "").set("x-client-certificate", &shown);
        self.granted("mutual", &format!("resource={}", encode(resource)), request)
    }

    /// What the grant gives for any other parameters.
    pub(crate) fn token_with(&self, user: &str, parameters: &str) -> String {
        self.granted(user, parameters, Request::new("POST", ""))
    }

    fn granted(&self, user: &str, parameters: &str, request: Request) -> String {
        let secret = encode(&self.told.clients[user].client_secret);
        let form = format!(
            "grant_type=client_credentials&client_id={user}&client_secret={secret}&{parameters}"
        );
        let answer = ask(
            &self.told.token_endpoint,
            &request
                .set("content-type", "application/x-www-form-urlencoded")
                .body(&form),
        );
        let token = answer["access_token"].as_str();
        token
            .unwrap_or_else(|| panic!("no token: {answer}"))
            .to_owned()
    }

    /// What a gateway authenticates with where it asks about tokens.
    pub(crate) fn secret(&self) -> &str {
        &self.told.introspection.client_secret
    }

    /// Ends a token (RFC 7009).
    pub(crate) fn revoke(&self, user: &str, token: &str) {
        let secret = encode(&self.told.clients[user].client_secret);
        let form = format!(
            "client_id={user}&client_secret={secret}&token={}",
            encode(token)
        );
        let answer = Request::new("POST", "/token/revocation")
            .set("content-type", "application/x-www-form-urlencoded")
            .body(&form)
            .send(self.address());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn address(&self) -> SocketAddr {
        let address = self.told.issuer.strip_prefix("http://").unwrap();
        address.parse().unwrap()
    }

    /// Uses one of the controls that stand at the head of `idp.mjs`.
    pub(crate) fn control(&self, method: &str, path: &str) -> Value {
        ask(
            &format!("{}{path}", self.told.admin),
            &Request::new(method, ""),
        )
    }
}

/// Sends a request to a URL of loopback and reads the JSON that comes, in chunks or not.
pub(crate) fn ask(url: &str, request: &Request) -> Value {
    let (address, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let body = request.clone().to(&format!("/{path}")).send(address).body;
    let json = body.find('{').zip(body.rfind('}'));
    let (from, to) = json.unwrap_or_else(|| panic!("{url} answered {body:?}"));
    serde_json::from_str(&body[from..=to]).unwrap()
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            encoded + &format!("%{byte:02X}")
        }
    })
}
