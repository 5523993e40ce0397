//! Stand-ins for those who keep secrets: Vault's HTTP API with its KV engine, and Azure Key Vault with Entra ID and the
//! instance metadata service. They answer as the real ones do, errors included, and remember who read what.

use super::http::{Answer, Host, Seen};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// What the application has to show in either place.
pub(crate) const SECRET_ID: &str = "canary-secret-id-5f1c";
/// The service account's token.
pub(crate) const ACCOUNT: &str = "canary.service.account";
/// A token that does not come from a sign-in.
pub(crate) const ROOT: &str = "hvs.canary-root-token";

#[derive(Default)]
struct State {
    is_sealed: bool,
    secrets: BTreeMap<String, Value>,
    tokens: BTreeSet<String>,
    issued: usize,
}

/// The server of `[vaults.NAME]`.
pub(crate) struct Vault {
    host: Host,
    state: Arc<Mutex<State>>,
}

impl Vault {
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        state.lock().unwrap().tokens.insert(ROOT.to_owned());
        let answering = Arc::clone(&state);
        let host = Host::start(move |seen| vault(seen, &mut answering.lock().unwrap()));
        Self { host, state }
    }

    pub(crate) fn url(&self) -> String {
        self.host.url()
    }

    /// Writes a secret; its path begins with the mount.
    pub(crate) fn write(&self, path: &str, fields: Value) {
        let (mount, path) = path.split_once('/').unwrap();
        let path = format!("{mount}/data/{path}");
        self.state.lock().unwrap().secrets.insert(path, fields);
    }

    pub(crate) fn seal(&self, is_sealed: bool) {
        self.state.lock().unwrap().is_sealed = is_sealed;
    }

    /// The tokens that are still good.
    pub(crate) fn tokens(&self) -> usize {
        self.state.lock().unwrap().tokens.len()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.host.seen()
    }
}

fn vault(seen: &Seen, state: &mut State) -> Answer {
    let errors =
        |status, errors: Value| Answer::json(status, "", &json!({ "errors": errors }).to_string());
    if state.is_sealed {
        return errors(503, json!(["Vault is sealed"]));
    }
    let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
    match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/v1/auth/approle/login") => {
            if body != json!({ "role_id": "gateway", "secret_id": SECRET_ID }) {
                return errors(400, json!(["invalid role or secret ID"]));
            }
            login(state)
        }
        ("POST", "/v1/auth/kubernetes/login") => {
            if body != json!({ "role": "gateway", "jwt": ACCOUNT }) {
                return errors(403, json!(["permission denied"]));
            }
            login(state)
        }
        (method, target) => {
            let token = seen.header("x-vault-token").unwrap_or_default();
            if !state.tokens.contains(token) {
                return errors(403, json!(["permission denied"]));
            }
            if (method, target) == ("POST", "/v1/auth/token/revoke-self") {
                state.tokens.remove(token);
                return Answer::status(204);
            }
            let found = target
                .strip_prefix("/v1/")
                .and_then(|path| state.secrets.get(path));
            match found {
                Some(Value::Null) => Answer::json(404, "", &kept(&Value::Null).to_string()),
                Some(fields) => Answer::json(200, "", &kept(fields).to_string()),
                None => errors(404, json!([])),
            }
        }
    }
}

fn login(state: &mut State) -> Answer {
    state.issued += 1;
    let token = format!("hvs.canary-token-{}", state.issued);
    state.tokens.insert(token.clone());
    let auth = json!({
        "client_token": token, "accessor": "a", "policies": ["default"], "token_policies": ["default"],
        "metadata": {}, "lease_duration": 1200, "renewable": true, "entity_id": "e", "token_type": "service",
        "orphan": true, "mfa_requirement": null, "num_uses": 0,
    });
    let answer = json!({
        "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null,
        "wrap_info": null, "warnings": null, "auth": auth,
    });
    Answer::json(200, "", &answer.to_string())
}

/// What the KV engine answers; a deleted version has no data.
fn kept(fields: &Value) -> Value {
    let deleted = if fields.is_null() {
        "2026-01-01T00:00:00Z"
    } else {
        ""
    };
    json!({
        "request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": { "data": fields, "metadata": {
            "created_time": "2025-01-01T00:00:00Z", "custom_metadata": null, "deletion_time": deleted,
            "destroyed": false, "version": 1,
        } },
        "wrap_info": null, "warnings": null, "auth": null, "mount_type": "kv",
    })
}

/// Azure Key Vault, Entra ID and the instance metadata service, in one.
pub(crate) struct Azure {
    host: Host,
}

impl Azure {
    /// With one secret, `notes`, of this value.
    pub(crate) fn start(value: &str) -> Self {
        let value = value.to_owned();
        Self {
            host: Host::start(move |seen| azure(seen, &value)),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.host.url()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.host.seen()
    }
}

fn azure(seen: &Seen, value: &str) -> Answer {
    let refused = |status, code: &str| {
        let error = json!({ "error": { "code": code, "message": "no" } });
        Answer::json(status, "", &error.to_string())
    };
    let token =
        json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "canary-entra-token" });
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    match (seen.method.as_str(), path) {
        ("POST", "/contoso/oauth2/v2.0/token") => {
            let good = format!(
                "grant_type=client_credentials&client_id=gateway&client_secret={SECRET_ID}&scope=https%3A%2F%2Fvault.azure.net%2F.default"
            );
            if seen.body != good {
                let error =
                    json!({ "error": "invalid_client", "error_description": "AADSTS7000215" });
                return Answer::json(401, "", &error.to_string());
            }
            Answer::json(200, "", &token.to_string())
        }
        ("GET", "/metadata/identity/oauth2/token") => {
            let good = "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
            if seen.header("metadata") != Some("true") || query != good {
                return refused(400, "invalid_request");
            }
            Answer::json(200, "", &token.to_string())
        }
        ("GET", _) if seen.header("authorization") != Some("Bearer canary-entra-token") => {
            refused(401, "Unauthorized")
        }
        ("GET", "/secrets/notes" | "/secrets/notes/0123") if query == "api-version=7.4" => {
            let answer = json!({ "value": value, "id": "https://a/secrets/notes/1", "attributes": { "enabled": true } });
            Answer::json(200, "", &answer.to_string())
        }
        ("GET", "/secrets/forbidden") => refused(403, "Forbidden"),
        _ => refused(404, "SecretNotFound"),
    }
}
