//! A server that needs its user's consent, and the authorization server that asks for it.

use super::client::{Request, Response};
use super::gateway::Gateway;
use super::http::{Answer, Host, Seen};
use super::upstream::Upstream;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What an answer to the browser says as `iss`.
#[derive(Default)]
enum Iss {
    #[default]
    Truth,
    Nothing,
    Other(String),
}

/// What an authorization server remembers, and how it misbehaves.
#[derive(Default)]
struct State {
    /// Members of the metadata that are not as they should be.
    changed: Vec<(String, Value)>,
    /// What the answer to the browser says as `iss`, if not the truth.
    iss: Iss,
    codes: HashMap<String, HashMap<String, String>>,
    access: HashSet<String>,
    refresh: HashSet<String>,
    count: usize,
    lifetime: u64,
    /// How long its token endpoint takes.
    pause: Duration,
    is_broken: bool,
    /// What it answers to a registration, if not its usual.
    registration: Option<Value>,
    /// Clients that it does not know any more.
    disowned: HashSet<String>,
}

/// An authorization server (RFC 6749, 7636, 8414, 9207) that says yes for everybody.
#[derive(Clone)]
pub(crate) struct Granter {
    host: Host,
    state: Arc<Mutex<State>>,
}

impl Granter {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            lifetime: 3600,
            ..State::default()
        }));
        let (own, url): (_, Arc<OnceLock<String>>) = (Arc::clone(&state), Arc::default());
        let named = Arc::clone(&url);
        let host =
            Host::start(move |seen| answer(seen, &mut own.lock().unwrap(), named.get().unwrap()));
        url.set(host.url()).unwrap();
        Self { host, state }
    }

    /// How often it was asked for anything.
    pub(crate) fn requests(&self) -> usize {
        self.host.seen().len()
    }

    pub(crate) fn issuer(&self) -> String {
        self.host.url()
    }

    /// All that came.
    pub(crate) fn heard(&self) -> Vec<Seen> {
        self.host.seen()
    }

    /// Says this in its metadata.
    pub(crate) fn says(&self, name: &str, value: Value) {
        let mut state = self.state.lock().unwrap();
        state.changed.retain(|(own, _)| own != name);
        state.changed.push((name.to_owned(), value));
    }

    /// Says this as `iss` in its answers; nothing, if none.
    pub(crate) fn poses(&self, iss: Option<&str>) {
        let iss = iss.map_or(Iss::Nothing, |iss| Iss::Other(iss.to_owned()));
        self.state.lock().unwrap().iss = iss;
    }

    /// How long its tokens live, in seconds.
    pub(crate) fn lifetime(&self, seconds: u64) {
        self.state.lock().unwrap().lifetime = seconds;
    }

    /// How long its token endpoint takes.
    pub(crate) fn pauses(&self, pause: Duration) {
        self.state.lock().unwrap().pause = pause;
    }

    /// Whether its token endpoint works.
    pub(crate) fn is_broken(&self, is_broken: bool) {
        self.state.lock().unwrap().is_broken = is_broken;
    }

    /// Answers this to whoever registers.
    pub(crate) fn registers(&self, answer: Value) {
        self.state.lock().unwrap().registration = Some(answer);
    }

    /// Does not know this client any more.
    pub(crate) fn disowns(&self, client: &str) {
        self.state
            .lock()
            .unwrap()
            .disowned
            .insert(client.to_owned());
    }

    /// Ends all access tokens, and refresh tokens too.
    pub(crate) fn ends_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.access.clear();
        state.refresh.clear();
    }

    pub(crate) fn knows(&self, token: &str) -> bool {
        self.state.lock().unwrap().access.contains(token)
    }

    /// The forms and targets that came to this path.
    pub(crate) fn seen(&self, path: &str) -> Vec<HashMap<String, String>> {
        forms(&self.host.seen(), path)
    }
}

fn forms(seen: &[Seen], path: &str) -> Vec<HashMap<String, String>> {
    let seen = seen.iter();
    seen.filter(|seen| seen.target.split('?').next() == Some(path))
        .map(|seen| {
            let query = seen.target.split_once('?').map_or("", |(_, query)| query);
            pairs(if seen.body.is_empty() {
                query
            } else {
                &seen.body
            })
        })
        .collect()
}

fn pairs(text: &str) -> HashMap<String, String> {
    let all = text.split('&').filter_map(|pair| pair.split_once('='));
    all.map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

/// What a form has encoded.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn answer(seen: &Seen, state: &mut State, url: &str) -> Answer {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    match path {
        "/.well-known/oauth-authorization-server" => {
            let mut metadata = json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "registration_endpoint": format!("{url}/register"),
                "revocation_endpoint": format!("{url}/revoke"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
                "authorization_response_iss_parameter_supported": true,
            });
            for (name, value) in &state.changed {
                metadata[name] = value.clone();
            }
            Answer::json(200, "", &metadata.to_string())
        }
        "/register" => {
            let usual = || json!({ "client_id": "registered" });
            let answer = state.registration.clone().unwrap_or_else(usual);
            Answer::json(201, "", &answer.to_string())
        }
        "/authorize" => {
            let asked = pairs(query);
            state.count += 1;
            let code = format!("code-{}", state.count);
            let iss = match &state.iss {
                Iss::Truth => Some(url.to_owned()),
                Iss::Nothing => None,
                Iss::Other(iss) => Some(iss.clone()),
            };
            let iss =
                iss.map(|iss| format!("&iss={}", iss.replace(':', "%3A").replace('/', "%2F")));
            let back = format!(
                "location: {}?code={code}&state={}{}\r\n",
                asked["redirect_uri"],
                asked["state"],
                iss.unwrap_or_default()
            );
            state.codes.insert(code, asked);
            Answer::json(302, &back, "{}")
        }
        "/token" if state.is_broken => Answer::status(503),
        "/token" if state.disowned.iter().any(|client| shows(seen, client)) => {
            Answer::json(401, "", &json!({ "error": "invalid_client" }).to_string())
        }
        "/token" => {
            std::thread::sleep(state.pause);
            token(&pairs(&seen.body), state)
        }
        "/revoke" => Answer::status(200),
        _ => Answer::status(404),
    }
}

/// Whether a request comes from this client.
fn shows(seen: &Seen, client: &str) -> bool {
    let basic = seen
        .header("authorization")
        .and_then(|shown| shown.strip_prefix("Basic "));
    let basic = basic.map(|text| STANDARD.decode(text).unwrap());
    basic.is_some_and(|pair| pair.starts_with(format!("{client}:").as_bytes()))
        || pairs(&seen.body)
            .get("client_id")
            .is_some_and(|id| id == client)
}

fn token(form: &HashMap<String, String>, state: &mut State) -> Answer {
    let refused = || Answer::json(400, "", &json!({ "error": "invalid_grant" }).to_string());
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some(asked) = state.codes.remove(&form["code"]) else {
                return refused();
            };
            let challenge = digest(&SHA256, form["code_verifier"].as_bytes());
            if URL_SAFE_NO_PAD.encode(challenge.as_ref()) != asked["code_challenge"]
                || form["redirect_uri"] != asked["redirect_uri"]
                || form.get("resource") != asked.get("resource")
            {
                return refused();
            }
        }
        // A refresh token is good once; who shows it again loses all of them (OAuth 2.1, section 4.3.1).
        _ => {
            if !state.refresh.remove(&form["refresh_token"]) {
                state.refresh.clear();
                return refused();
            }
        }
    }
    state.count += 1;
    let (access, refresh) = (
        format!("access-{}", state.count),
        format!("refresh-{}", state.count),
    );
    state.access.insert(access.clone());
    state.refresh.insert(refresh.clone());
    let body = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": state.lifetime, "refresh_token": refresh,
    });
    Answer::json(200, "", &body.to_string())
}

/// A server, its authorization server, and what they say.
pub(crate) struct Consenting {
    pub(crate) upstream: Upstream,
    pub(crate) authority: Granter,
    /// What the challenge says as `resource_metadata`, if not the truth.
    pub(crate) metadata: Arc<Mutex<Option<String>>>,
    /// What the metadata names.
    pub(crate) authorities: Arc<Mutex<Vec<String>>>,
    /// A scope that is wanted with 403 of whoever has a token.
    pub(crate) step: Arc<Mutex<Option<String>>>,
}

impl Consenting {
    pub(crate) fn start() -> Self {
        let (upstream, authority) = (Upstream::start(), Granter::start());
        let metadata: Arc<Mutex<Option<String>>> = Arc::default();
        let step: Arc<Mutex<Option<String>>> = Arc::default();
        let authorities = Arc::new(Mutex::new(vec![authority.issuer()]));
        let own = upstream.url();
        let place = own.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
        let (said, named) = (Arc::clone(&metadata), Arc::clone(&authorities));
        let (trusted, wanted) = (authority.clone(), Arc::clone(&step));
        upstream.misbehave(move |seen| {
            if seen
                .target
                .starts_with("/.well-known/oauth-protected-resource")
            {
                let named = named.lock().unwrap().clone();
                let document = json!({ "resource": own, "authorization_servers": named });
                return Some(Answer::json(200, "", &document.to_string()));
            }
            let shown = seen
                .header("authorization")
                .and_then(|shown| shown.strip_prefix("Bearer "));
            if !shown.is_some_and(|shown| trusted.knows(shown)) {
                let said = said
                    .lock()
                    .unwrap()
                    .clone()
                    .unwrap_or_else(|| place.clone());
                let asks = format!(
                    "www-authenticate: Bearer resource_metadata=\"{said}\", scope=\"notes\"\r\n"
                );
                return Some(Answer::json(401, &asks, "{}"));
            }
            let step = wanted.lock().unwrap().clone()?;
            let asks = format!(
                "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"{step}\"\r\n"
            );
            Some(Answer::json(403, &asks, "{}"))
        });
        Self {
            upstream,
            authority,
            metadata,
            authorities,
            step,
        }
    }

    /// A server of 2025-03-26: it says nothing of itself, and is its own authorization server. What it answers at the two
    /// places where its metadata would be, and where its authorization server's would be (the truth, if none).
    pub(crate) fn silent([of_path, of_root]: [u16; 2], of_authority: Option<u16>) -> Self {
        let server = Self::start();
        let origin = server.upstream.url().replace("/mcp", "");
        let (own, said) = (server.authority.clone(), Arc::clone(&server.metadata));
        server.upstream.misbehave(move |seen| {
            let path = seen.target.split('?').next().unwrap_or_default();
            match path.strip_prefix("/.well-known/oauth-protected-resource") {
                Some("") => return Some(Answer::status(of_root)),
                Some(_) => return Some(Answer::status(of_path)),
                None => {}
            }
            if path.starts_with("/.well-known/")
                && let Some(status) = of_authority
            {
                return Some(Answer::status(status));
            }
            if path != "/mcp" {
                return Some(answer(seen, &mut own.state.lock().unwrap(), &origin));
            }
            let shown = seen.header("authorization");
            let shown = shown.and_then(|shown| shown.strip_prefix("Bearer "));
            if shown.is_some_and(|shown| own.knows(shown)) {
                return None;
            }
            let asks = said.lock().unwrap().as_ref().map_or_else(
                || "www-authenticate: Bearer\r\n".to_owned(),
                |said| format!("www-authenticate: Bearer resource_metadata=\"{said}\"\r\n"),
            );
            Some(Answer::json(401, &asks, "{}"))
        });
        server
    }

    /// The forms and targets that came to this path of the server itself.
    pub(crate) fn own(&self, path: &str) -> Vec<HashMap<String, String>> {
        forms(&self.upstream.requests(), path)
    }

    /// What the server was shown, request by request.
    pub(crate) fn shown(&self) -> Vec<Option<String>> {
        let seen = self.upstream.requests().into_iter();
        let calls = seen.filter(|seen| seen.target == "/mcp");
        calls
            .map(|seen| seen.header("authorization").map(str::to_owned))
            .collect()
    }
}

/// A browser with one cookie.
#[derive(Default)]
pub(crate) struct Browser {
    cookie: Option<String>,
}

impl Browser {
    /// Goes to a URL of the gateway.
    pub(crate) fn get(&mut self, gateway: &Gateway, url: &str) -> Response {
        let base = format!("http://{}", gateway.address);
        let path = url.strip_prefix(&base).unwrap_or(url);
        let mut request = Request::new("GET", path);
        if let Some(cookie) = &self.cookie {
            request = request.set("cookie", cookie);
        }
        let response = request.send(gateway.address);
        if let Some(set) = response.header("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        response
    }

    /// Follows a link up to the authorization server; gives where that sends the browser back to.
    pub(crate) fn consents(&mut self, gateway: &Gateway, url: &str) -> Result<String, Response> {
        let page = self.get(gateway, url);
        assert_eq!(page.status, 200, "{page:?}");
        let moved = self.get(gateway, &format!("{url}/go"));
        if moved.status != 303 {
            return Err(moved);
        }
        let there = moved.header("location").expect("a place to go").to_owned();
        let (origin, path) = there.split_at(there[8..].find('/').expect("a path") + 8);
        let address = origin.strip_prefix("http://").unwrap().parse().unwrap();
        let answer = Request::new("GET", path).send(address);
        Ok(answer.header("location").expect("a way back").to_owned())
    }

    /// All of it.
    pub(crate) fn connects(&mut self, gateway: &Gateway, url: &str) -> Response {
        match self.consents(gateway, url) {
            Ok(back) => self.get(gateway, &back),
            Err(refused) => refused,
        }
    }
}
