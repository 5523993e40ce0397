//! An identity provider at which people sign in (OpenID Connect), and a browser with cookies.

use super::client::{Request, Response};
use super::gateway::Gateway;
use super::http::{Answer, Host, Seen};
use super::jwt::{Draft, Key, encode};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

/// What the gateway is there.
pub(crate) const RELYING_SECRET: &str = "relying-secret-0123456789";

type Change = Arc<dyn Fn(Draft) -> Draft + Send + Sync>;

/// What answers say as `iss`.
enum Posed {
    Truth,
    Nothing,
    As(String),
}

struct State {
    /// Who signs in next; nobody, if the provider says no.
    user: Option<String>,
    /// What is done to ID tokens.
    change: Change,
    iss: Posed,
    codes: HashMap<String, HashMap<String, String>>,
    count: u64,
}

/// The provider. It asks nothing: whoever comes is the user that the test has named.
pub(crate) struct Login {
    host: Host,
    key: Key,
    state: Arc<Mutex<State>>,
    secrets: TempDir,
}

impl Login {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            user: Some("alice".to_owned()),
            change: Arc::new(|draft| draft),
            iss: Posed::Truth,
            codes: HashMap::new(),
            count: 0,
        }));
        let (key, url): (_, Arc<OnceLock<String>>) = (Key::ed("ed-1"), Arc::default());
        let (own, signing, named) = (Arc::clone(&state), key.clone(), Arc::clone(&url));
        let host = Host::start(move |seen| {
            answer(
                seen,
                &mut own.lock().unwrap(),
                (&signing, named.get().unwrap()),
            )
        });
        url.set(host.url()).unwrap();
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("secret"), RELYING_SECRET).unwrap();
        Self {
            host,
            key,
            state,
            secrets,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        self.host.url()
    }

    /// `[issuers.corp]`, and the gateway as its client.
    pub(crate) fn config(&self) -> String {
        format!(
            "[issuers.corp]\nissuer = \"{}\"\n[issuers.local]\nembedded = true\n[authority]\n[authority.sign_in]\n\
provider = \"corp\"\nclient_id = \"gateway\"\nclient_secret = {{ file = '{}' }}\n",
            self.issuer(),
            self.secrets.path().join("secret").display()
        )
    }

    /// This user signs in from now on; nobody, if none.
    pub(crate) fn user(&self, user: Option<&str>) {
        self.state.lock().unwrap().user = user.map(str::to_owned);
    }

    /// Does this to its ID tokens.
    pub(crate) fn change(&self, change: impl Fn(Draft) -> Draft + Send + Sync + 'static) {
        self.state.lock().unwrap().change = Arc::new(change);
    }

    /// Says this as `iss` in its answers; nothing, if none.
    pub(crate) fn poses(&self, iss: Option<&str>) {
        self.state.lock().unwrap().iss =
            iss.map_or(Posed::Nothing, |iss| Posed::As(iss.to_owned()));
    }

    /// A token of its own with these claims, for the gateway.
    pub(crate) fn draft(&self, subject: &str) -> Draft {
        Draft::new(&self.issuer(), subject, "gateway", &self.key)
    }

    /// The forms that came to its token endpoint, with what showed who sent them.
    pub(crate) fn redeemed(&self) -> Vec<Seen> {
        let seen = self.host.seen().into_iter();
        seen.filter(|seen| seen.target == "/token").collect()
    }

    /// How often browsers were there.
    pub(crate) fn visits(&self) -> usize {
        let seen = self.host.seen().into_iter();
        seen.filter(|seen| seen.target.starts_with("/authorize"))
            .count()
    }
}

/// The pairs of a query or a form.
pub(crate) fn pairs(text: &str) -> HashMap<String, String> {
    let all = text.split('&').filter_map(|pair| pair.split_once('='));
    all.map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

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

/// The same the other way.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}

fn answer(seen: &Seen, state: &mut State, (key, url): (&Key, &str)) -> Answer {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    match path {
        "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
            let metadata = json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
                "authorization_response_iss_parameter_supported": true,
            });
            Answer::json(200, "", &metadata.to_string())
        }
        "/jwks" => Answer::json(200, "", &json!({ "keys": [key.jwk()] }).to_string()),
        "/authorize" => {
            let mut asked = pairs(query);
            let iss = match &state.iss {
                Posed::Truth => Some(url.to_owned()),
                Posed::Nothing => None,
                Posed::As(said) => Some(said.clone()),
            };
            let iss = iss
                .map(|iss| format!("&iss={}", encoded(&iss)))
                .unwrap_or_default();
            let (redirect, given) = (asked["redirect_uri"].clone(), asked["state"].clone());
            let answer = match &state.user {
                None => "error=access_denied".to_owned(),
                Some(user) => {
                    state.count += 1;
                    let code = format!("idp-one-time-code-{}", state.count);
                    asked.insert("user".to_owned(), user.clone());
                    state.codes.insert(code.clone(), asked);
                    format!("code={code}")
                }
            };
            let back = format!("location: {redirect}?{answer}&state={given}{iss}\r\n");
            Answer::json(302, &back, "{}")
        }
        "/token" => token(seen, state, (key, url)),
        _ => Answer::status(404),
    }
}

fn token(seen: &Seen, state: &mut State, (key, url): (&Key, &str)) -> Answer {
    let form = pairs(&seen.body);
    let Some(asked) = state.codes.remove(&form["code"]) else {
        return Answer::json(400, "", "{\"error\":\"invalid_grant\"}");
    };
    let challenge = encode(digest(&SHA256, form["code_verifier"].as_bytes()).as_ref());
    if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
        return Answer::json(400, "", "{\"error\":\"invalid_grant\"}");
    }
    let access = format!("idp-access-{}", state.count);
    let hash = digest(&SHA512, access.as_bytes());
    let draft = Draft::new(url, &asked["user"], "gateway", key)
        .header("typ", "JWT")
        .claim("nonce", asked["nonce"].as_str())
        .claim("at_hash", encode(&hash.as_ref()[..32]))
        .claim("sid", format!("sid-{}", asked["user"]))
        .claim("name", format!("The name of {}", asked["user"]))
        .claim("groups", json!(["ops"]));
    let id_token = (state.change)(draft).sign();
    let body = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
        "refresh_token": format!("idp-refresh-{}", state.count),
    });
    Answer::json(200, "", &body.to_string())
}

/// A browser: it keeps the cookies of the gateway, sends its forms, and stops before it goes elsewhere.
#[derive(Default, Clone)]
pub(crate) struct Surfer {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Surfer {
    pub(crate) fn get(&mut self, gateway: &Gateway, url: &str) -> Response {
        self.send(gateway, Request::new("GET", path(gateway, url)))
    }

    /// Sends a form as a browser does from a page of the gateway's.
    pub(crate) fn post(
        &mut self,
        gateway: &Gateway,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let request = form(path(gateway, url), fields);
        let request = request
            .set("origin", "null")
            .set("sec-fetch-site", "same-origin");
        self.send(gateway, request)
    }

    /// Sends the form of this page; `more` are the fields that the user adds.
    pub(crate) fn submit(
        &mut self,
        gateway: &Gateway,
        page: &Response,
        more: &[(&str, &str)],
    ) -> Response {
        let (action, mut fields) = form_of(&page.body, "");
        fields.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        self.post(gateway, &action, &fields)
    }

    pub(crate) fn send(&mut self, gateway: &Gateway, request: Request) -> Response {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.set("cookie", &cookies.join("; "))
        };
        let response = request.send(gateway.address);
        for (_, set) in response
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    /// Signs in for the account page; gives the answer to what came back from the provider.
    pub(crate) fn signs_in(&mut self, gateway: &Gateway) -> Response {
        let back = self.goes_to_sign_in(gateway);
        self.get(gateway, &back)
    }

    /// The same up to what the provider sends back.
    pub(crate) fn goes_to_sign_in(&mut self, gateway: &Gateway) -> String {
        let page = self.get(gateway, "/account");
        let there = self.submit(gateway, &page, &[]);
        assert_eq!(there.status, 303, "{there:?}");
        elsewhere(there.header("location").unwrap())
    }

    /// Who the account page says is signed in.
    pub(crate) fn is_signed_in(&mut self, gateway: &Gateway) -> bool {
        let page = self.get(gateway, "/account");
        assert_eq!(page.status, 200, "{page:?}");
        page.body.contains("You are signed in as")
    }
}

/// A form that is sent to a path.
pub(crate) fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    Request::new("POST", path)
        .set("content-type", "application/x-www-form-urlencoded")
        .body(&pairs.join("&"))
}

/// Where the form behind this text goes, and its hidden fields.
pub(crate) fn form_of(html: &str, after: &str) -> (String, Vec<(String, String)>) {
    let (_, html) = html.split_once(after).expect("the text before the form");
    let (_, form) = html.split_once("<form ").expect("a form");
    let (form, _) = form.split_once("</form>").unwrap();
    let between = |text: &str, start: &str| {
        let (_, rest) = text.split_once(start).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let hidden = form.split("<input type=\"hidden\" ").skip(1);
    let fields = hidden.map(|field| (between(field, "name=\""), between(field, "value=\"")));
    (between(form, "action=\""), fields.collect())
}

fn path<'u>(gateway: &Gateway, url: &'u str) -> &'u str {
    url.strip_prefix(&format!("http://{}", gateway.address))
        .unwrap_or(url)
}

/// Follows a link to another host on loopback; gives where that sends the browser.
pub(crate) fn elsewhere(url: &str) -> String {
    let (origin, path) = url.split_at(url[8..].find('/').expect("a path") + 8);
    let address: SocketAddr = origin.strip_prefix("http://").unwrap().parse().unwrap();
    let answer = Request::new("GET", path).send(address);
    answer.header("location").expect("a way back").to_owned()
}

/// A logout token's claim.
pub(crate) fn logout_event() -> Value {
    json!({ "http://schemas.openid.net/event/backchannel-logout": {} })
}
