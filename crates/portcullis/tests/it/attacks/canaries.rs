//! ATK-079, ATK-080: every secret that the gateway is given is a canary, and nothing that it writes or says holds one.

use super::tls::over_tls;
use crate::harness::keeper::{Azure, ROOT, SECRET_ID, Vault};
use crate::harness::{
    Answer, Authority, Collector, Consenting, Front, Gateway, Host, Idp, Login, Oracle, Request,
    Script, Seen, SoftHsm, TokenKey, Transmitter, Upstream, call, encode, form, hex, initialize,
    message, now, portcullis, wait_for,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read, read_dir, read_to_string, write};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

/// The places of a configuration for a secret, by the schema's paths. A new one fails this test until it has a canary.
const SLOTS: [&str; 19] = [
    "alerts.*.client_key",
    "alerts.*.secret",
    "authority.sign_in.client_secret",
    "azure_key_vault.client_secret",
    // Used where there is an ACME server: `peers/acme.rs` looks for it in what is written and said.
    "gateway.tls.acme.external_account.key",
    "issuers.*.introspection.client_secret",
    "issuers.*.scim.bearer",
    "issuers.*.signals.bearer",
    "issuers.*.signals.poll.bearer",
    "pkcs11.pin",
    "servers.*.client_key",
    "servers.*.credentials.client_secret",
    "servers.*.credentials.idp.client_secret",
    "servers.*.env.*",
    "servers.*.headers.*",
    "servers.*.sign_in.client_secret",
    "servers.*.url",
    "vaults.*.app_role.secret_id",
    "vaults.*.token",
];

/// Places that the schema does not show to be secret: they name a file, a variable of the gateway's, or OpenTelemetry does.
const BESIDE: [&str; 3] = [
    "gateway.tls.key",
    "servers.*.inherit_env",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

/// Secrets by where they are kept, each with the forms in which it could come to light.
#[derive(Default)]
struct Canaries(BTreeMap<String, Vec<Vec<u8>>>);

impl Canaries {
    /// A new one: visible, and with what URLs and Base64 write differently.
    fn plant(&mut self, slot: &str) -> String {
        let random: [u8; 12] = std::array::from_fn(|_| fresh());
        let text = format!("cnry+{}/%=", hex(&random));
        self.keep(slot, text.as_bytes());
        text
    }

    /// One that is there already, beside others of this place.
    fn keep(&mut self, slot: &str, secret: &[u8]) {
        let all = self.0.entry(slot.to_owned()).or_default();
        all.extend(forms(secret));
    }

    /// The names of those that are in there.
    fn in_(&self, bytes: &[u8]) -> Vec<&str> {
        let has = |forms: &&Vec<Vec<u8>>| forms.iter().any(|form| holds(bytes, form));
        let found = self.0.iter().filter(|(_, forms)| has(forms));
        found.map(|(slot, _)| slot.as_str()).collect()
    }
}

fn fresh() -> u8 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0).to_be_bytes()[0]
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// As it is, in hex, percent-encoded, as a JSON string, and in Base64 at each of the three alignments.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let percent = |letters: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || letters.contains(char::from(*byte));
        let one = |byte: &u8| {
            if plain(byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        secret.iter().map(one).collect()
    };
    let mut forms = vec![
        secret.to_vec(),
        hex(secret).into_bytes(),
        hex(secret).to_ascii_uppercase().into_bytes(),
        percent("-._~").into_bytes(),
        percent("-._~+/=").into_bytes(),
        percent("-._~").to_ascii_lowercase().into_bytes(),
    ];
    for before in 0..3 {
        let text = STANDARD.encode([vec![0; before], secret.to_vec()].concat());
        // What depends on the neighbours is left out at both ends.
        let inner = &text[(before * 4).div_ceil(3)..text.len() - 4];
        assert!(inner.len() >= 12, "too short to be sure of");
        forms.push(inner.replace('+', "-").replace('/', "_").into_bytes());
        forms.push(inner.as_bytes().to_vec());
    }
    forms
}

/// The paths of the schema at which a secret is referred to.
fn slots_of_schema() -> BTreeSet<String> {
    let printed = portcullis(&["check", "--schema"]);
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let mut found = BTreeSet::new();
    walk(&schema, &schema, "", &mut found);
    found
}

fn walk(schema: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
    let node = resolved(schema, node);
    let alternatives = node["anyOf"].as_array().into_iter().flatten();
    let mut all = alternatives.map(|one| resolved(schema, one)).chain([node]);
    // Whatever can be read from an environment variable is one.
    if all.any(|one| one["properties"]["env"]["type"] == "string") {
        found.insert(path.trim_start_matches('.').to_owned());
        return;
    }
    for (name, inner) in node["properties"].as_object().into_iter().flatten() {
        walk(schema, inner, &format!("{path}.{name}"), found);
    }
    for inner in [&node["additionalProperties"], &node["items"]] {
        if inner.is_object() {
            walk(schema, inner, &format!("{path}.*"), found);
        }
    }
}

fn resolved<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(name) => &schema["$defs"][name.trim_start_matches("#/$defs/")],
        None => node,
    }
}

/// What stands after `before` and up to `after`.
fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0.to_owned()
}

/// Everything in a directory, and below.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), read(&path).unwrap()));
        }
    }
}

/// A gateway in whose every slot there is a canary, and all that came out of it.
struct Cage {
    canaries: Canaries,
    planted: BTreeMap<&'static str, String>,
    gateway: Gateway,
    idp: Idp,
    oracle: Oracle,
    upstream: Upstream,
    collector: Collector,
    config: String,
    said: Vec<(String, Vec<u8>)>,
    vault: Vault,
    azure: Azure,
    minter: Host,
    transmitter: Transmitter,
    consenting: Consenting,
    login: Login,
    _front: Front,
    _hsm: SoftHsm,
    secrets: TempDir,
}

impl Cage {
    fn new() -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let keep = |name: &str, text: &str| {
            let path = secrets.path().join(name);
            write(&path, text).unwrap();
            path.display().to_string()
        };
        let mut canaries = Canaries::default();
        let mut planted = BTreeMap::new();
        for slot in SLOTS.into_iter().chain(BESIDE) {
            planted.insert(slot, canaries.plant(slot));
        }
        let of = |slot: &str| planted[slot].as_str();
        let (idp, oracle, upstream) = (Idp::start(), Oracle::start(), Upstream::start());
        let (authority, clients) = (Authority::new("known"), Authority::new("clients"));
        let own = clients.certify();
        let front = Front::demanding(&authority.certify(), &clients, upstream.address());
        let key = own.key_pem();
        for slot in ["servers.*.client_key", "alerts.*.client_key"] {
            canaries.keep(slot, key.lines().nth(1).unwrap().as_bytes());
        }
        let pem = read_to_string(format!("{DIRECTORY}/key.pem")).unwrap();
        canaries.keep("gateway.tls.key", pem.lines().nth(1).unwrap().as_bytes());
        let query = of("servers.*.url").replace('%', "%25");
        let url = keep("url", &format!("{}?key={query}", upstream.url()));
        let bearer = keep("bearer", of("issuers.*.signals.bearer"));
        let script = Script::new(
            r#"*'"name":"show"'*) case "$OWN$TAKEN" in cnry*cnry*) text both ;; *) text none ;; esac ;;
            *'"name":"loud"'*) echo "starting up" >&2; text done ;;
            *'"name":"die"'*) exit 3 ;;"#,
        );
        let [flag, text] = script.arguments();
        let (vault, azure) = (Vault::start(), Azure::start(&canaries.plant("in azure")));
        vault.write("kv/one", json!({ "key": canaries.plant("in a vault") }));
        for (slot, secret) in [
            ("vaults.*.token", ROOT),
            ("vaults.*.app_role.secret_id", SECRET_ID),
            ("azure_key_vault.client_secret", SECRET_ID),
            ("a token of a vault", "hvs.canary-token-1"),
            ("a token of azure", "canary-entra-token"),
        ] {
            canaries.keep(slot, secret.as_bytes());
        }
        let token = format!("minted-{}", hex(&[fresh(); 12]));
        canaries.keep("a minted token", token.as_bytes());
        let grant = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 });
        let minter = Host::start(move |_| Answer::json(200, "", &grant.to_string()));
        let credentials = format!(
            "[servers.minted]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.minted.credentials]\nkind = \"client-credentials\"\n\
             audience = \"https://minted.example\"\ntoken_endpoint = \"{}/token\"\nclient_id = \"gate\"\nclient_secret = {{ env = \"MINTING\" }}\n\
             [servers.vouched]\nurl = \"{0}\"\nallow = [\"*\"]\nissuers = [\"idp\"]\n[servers.vouched.credentials]\nkind = \"id-jag\"\n\
             audience = \"https://vouched.example\"\nresource = \"https://vouched.example\"\nissuer = \"{1}\"\n\
             token_endpoint = \"{1}/token\"\nclient_id = \"gate\"\n[servers.vouched.credentials.idp]\n\
             token_endpoint = \"{1}/token\"\nclient_id = \"gate\"\nclient_secret = {{ env = \"VOUCHING\" }}\n",
            upstream.url(),
            minter.url()
        );
        let transmitter = Transmitter::start(of("issuers.*.signals.poll.bearer"));
        let mut hsm = SoftHsm::start(of("pkcs11.pin"));
        let in_token = hsm.import("assertion", TokenKey::P256);
        canaries.keep("a key in a token", &in_token);
        let consenting = Consenting::start();
        let sign_in = format!(
            "[servers.consenting]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.consenting.sign_in]\nissuer = \"{}\"\n\
             client_id = \"gate\"\nclient_secret = {{ env = \"CONSENT\" }}\n[egress]\nallow = [\"127.0.0.1\"]\n",
            consenting.upstream.url(),
            consenting.authority.issuer()
        );
        let login = Login::start();
        let people = format!(
            "[issuers.corp]\nissuer = \"{}\"\n[issuers.own]\nembedded = true\n[authority.sign_in]\nprovider = \"corp\"\n\
             client_id = \"gateway\"\nclient_secret = {{ env = \"RELYING\" }}\n",
            login.issuer()
        );
        for token in ["idp-access-1", "idp-refresh-1", "idp-one-time-code-1"] {
            canaries.keep("what a provider issues", token.as_bytes());
        }
        let keepers = format!(
            "[vaults.one]\naddress = \"{0}\"\ntoken = {{ env = \"VAULT_TOKEN\" }}\n\
             [vaults.two]\naddress = \"{0}\"\napp_role = {{ role_id = \"gateway\", secret_id = {{ env = \"SECRET_ID\" }} }}\n\
             [azure_key_vault]\ntenant = \"contoso\"\nclient_id = \"gateway\"\nclient_secret = {{ env = \"SECRET_ID\" }}\nauthority = \"{1}\"\n",
            vault.url(),
            azure.url()
        );
        let config = format!(
            "[gateway.tls]\ncertificate = \"{DIRECTORY}/cert.pem\"\nkey = \"{DIRECTORY}/key.pem\"\n\
             [issuers.idp]\nissuer = \"{issuer}\"\n\
             introspection = {{ endpoint = \"{asked}\", client_id = \"gate\", client_secret = {{ env = \"CLIENT_SECRET\" }}, ttl = \"1s\" }}\n\
             signals = {{ audience = \"https://gateway.example/signals\", bearer = {{ file = \"{bearer}\" }}, \
             poll = {{ url = \"{polled}\", bearer = {{ env = \"POLLING\" }} }} }}\n\
             scim = {{ bearer = {{ env = \"SCIM_BEARER\" }} }}\n\
             [servers.far]\nurl = {{ file = \"{url}\" }}\nallow = [\"*\"]\n\
             headers.X-Api-Key = {{ env = \"API_KEY\" }}\nheaders.Authorization = \"Bearer ${{API_KEY}}\"\n\
             headers.X-One = {{ vault = \"one:kv/one#key\" }}\nheaders.X-Two = {{ vault = \"two:kv/one#key\" }}\n\
             headers.X-Azure = {{ azure_key_vault = \"{azure}/secrets/notes\" }}\n\
             [servers.local]\ncommand = \"/bin/sh\"\nargs = [\"{flag}\", '''{text}''']\n\
             env = {{ PATH = \"/usr/bin:/bin\", OWN = \"${{OWN_KEY}}\" }}\ninherit_env = [\"TAKEN\"]\nallow = [\"*\"]\n\
             [servers.mutual]\nurl = \"{mutual}/mcp\"\nca = \"{ca}\"\nallow = [\"*\"]\n\
             client_certificate = \"{certificate}\"\nclient_key = {{ file = \"{client_key}\" }}\n\
             [servers.gone]\nurl = \"https://127.0.0.1:9/mcp?key=${{API_KEY}}\"\nallow = [\"*\"]\n\
             headers.X-Api-Key = {{ env = \"API_KEY\" }}\n{credentials}{sign_in}{people}{keepers}{token}\
             [alerts.siem]\nwebhook = \"{mutual}/alerts\"\nsecret = {{ file = \"{alerting}\" }}\nca = \"{ca}\"\nevents = [\"authn.reject\"]\n\
             client_certificate = \"{certificate}\"\nclient_key = {{ file = \"{client_key}\" }}\n",
            token = hsm.table("assertion = \"assertion\""),
            alerting = keep("alerting", of("alerts.*.secret")),
            azure = azure.url(),
            issuer = idp.issuer(),
            asked = oracle.url(),
            polled = transmitter.url(),
            mutual = front.url(),
            ca = keep("ca.pem", &authority.pem()),
            certificate = keep("client.pem", &own.chain_pem()),
            client_key = keep("client.key", &key),
        );
        let collector = Collector::start();
        let otlp = of("OTEL_EXPORTER_OTLP_HEADERS")
            .replace('%', "%25")
            .replace('=', "%3D");
        let variables = [
            ("CLIENT_SECRET", of("issuers.*.introspection.client_secret")),
            ("POLLING", of("issuers.*.signals.poll.bearer")),
            ("SCIM_BEARER", of("issuers.*.scim.bearer")),
            ("MINTING", of("servers.*.credentials.client_secret")),
            ("VOUCHING", of("servers.*.credentials.idp.client_secret")),
            ("CONSENT", of("servers.*.sign_in.client_secret")),
            ("RELYING", of("authority.sign_in.client_secret")),
            ("VAULT_TOKEN", ROOT),
            ("SECRET_ID", SECRET_ID),
            ("API_KEY", of("servers.*.headers.*")),
            ("OWN_KEY", of("servers.*.env.*")),
            ("TAKEN", of("servers.*.inherit_env")),
            ("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-key={otlp}")),
            ("RUST_LOG", "trace"),
        ];
        let exports = variables.map(|(name, value)| format!("export {name}='{value}'"));
        let before = format!(
            "{}\n{}\n{}",
            exports.join("\n"),
            collector.variables(),
            hsm.export()
        );
        let gateway = Gateway::start_after(&before, &config);
        for key in ["issuer.ed25519", "audit.ed25519"] {
            let bytes = read(gateway.data().join("keys").join(key)).unwrap();
            canaries.keep(key, bytes.trim_ascii());
        }
        Self {
            canaries,
            planted,
            gateway,
            idp,
            oracle,
            upstream,
            collector,
            config,
            said: Vec::new(),
            vault,
            azure,
            minter,
            transmitter,
            consenting,
            login,
            _front: front,
            _hsm: hsm,
            secrets,
        }
    }

    fn token(&mut self, server: &str) -> String {
        let audience = format!("https://{}/servers/{server}/mcp", self.gateway.address);
        let token = self.idp.draft("alice", &audience).sign();
        self.canaries
            .keep(&format!("token for {server}"), token.as_bytes());
        let parts: Vec<&str> = token.split('.').collect();
        self.canaries
            .keep(&format!("signature for {server}"), parts[2].as_bytes());
        token
    }

    /// What is answered to this; the answer is looked through too.
    fn ask(&mut self, what: &str, request: &Request) -> String {
        let address = self.gateway.address;
        let answer = over_tls(
            address,
            &request.bytes(address, "0", "connection: close\r\n"),
        );
        self.said
            .push((format!("the answer to {what}"), answer.clone().into_bytes()));
        answer
    }

    /// Runs a command with the gateway's variables; what it says is looked through too.
    fn run(&mut self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let of = |slot: &str| self.planted[slot].as_str();
        let ran = command
            .args(arguments)
            .env("CLIENT_SECRET", of("issuers.*.introspection.client_secret"))
            .env("SCIM_BEARER", of("issuers.*.scim.bearer"))
            .env("MINTING", of("servers.*.credentials.client_secret"))
            .env("VOUCHING", of("servers.*.credentials.idp.client_secret"))
            .env("CONSENT", of("servers.*.sign_in.client_secret"))
            .env("VAULT_TOKEN", ROOT)
            .env("SECRET_ID", SECRET_ID)
            .env("API_KEY", of("servers.*.headers.*"))
            .env("OWN_KEY", of("servers.*.env.*"))
            .env("TAKEN", of("servers.*.inherit_env"))
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        let text = String::from_utf8_lossy(&said).into_owned();
        self.said.push((format!("{arguments:?}"), said));
        text
    }

    fn traffic(&mut self) {
        for server in ["far", "local", "mutual", "minted", "vouched", "gone"] {
            let token = self.token(server);
            let path = format!("/servers/{server}/mcp");
            let to = |request: Request| request.to(&path);
            let is_refused = ["vouched", "gone"].contains(&server);
            let expected = if is_refused { "502" } else { "200" };
            let tool = if server == "local" { "show" } else { "echo" };
            let answer = self.ask(server, &to(call(tool).token(&token)));
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {expected}")),
                "{server} {answer}"
            );
            assert!(server != "local" || answer.contains("both"), "{answer}");
            let list = message("tools/list", json!({})).token(&token);
            self.ask("a list", &to(list));
            let own = json!({ "name": "echo", "arguments": { "token": token, "authorization": format!("Bearer {token}") } });
            self.ask(
                "a token as argument",
                &to(message("tools/call", own)
                    .set("mcp-name", "echo")
                    .token(&token)),
            );
            for (what, request) in [
                (
                    "no JSON",
                    call("echo").token(&token).body(&format!("{{\"{token}")),
                ),
                (
                    "a query",
                    call("echo").to(&format!("{path}?access_token={token}")),
                ),
                ("a broken token", call("echo").token(&token[1..])),
                (
                    "another scheme",
                    call("echo").set("authorization", &format!("Basic {token}")),
                ),
                (
                    "a foreign header",
                    call("echo")
                        .token(&token)
                        .set("origin", &format!("https://{}.example", &token[..20])),
                ),
                (
                    "another server's",
                    call("echo").token(&token).to("/servers/nowhere/mcp"),
                ),
                ("a method", Request::new("PUT", &path).token(&token)),
                ("a name", call(&token).token(&token)),
            ] {
                let request = if what == "a query" || what == "another server's" {
                    request
                } else {
                    to(request)
                };
                self.ask(what, &request);
                if what == "a name" {
                    self.said.pop(); // the server repeats what it is called by
                }
            }
        }
        let token = self.token("local");
        for tool in ["loud", "die"] {
            self.ask(tool, &call(tool).to("/servers/local/mcp").token(&token));
        }
    }

    /// A user consents, all the way to the call.
    fn consent(&mut self) {
        let token = self.token("consenting");
        let ask = call("echo").to("/servers/consenting/mcp").token(&token);
        let refused = self.ask("a call without consent", &ask);
        let origin = format!("https://{}", self.gateway.address);
        let link = between(&refused, &format!("\"url\":\"{origin}"), "\"");
        let page = self.ask("the page", &Request::new("GET", &link));
        let cookie = between(&page, "set-cookie: ", ";");
        let go = Request::new("GET", &format!("{link}/go")).set("cookie", &cookie);
        let moved = self.ask("the way to consent", &go);
        let there = self.consenting.authority.issuer();
        let path = between(&moved, &format!("location: {there}"), "\r\n");
        let address = there.strip_prefix("http://").unwrap().parse().unwrap();
        let agreed = Request::new("GET", &path).send(address);
        let back = agreed.header("location").unwrap().replace(&origin, "");
        let back = Request::new("GET", &back).set("cookie", &cookie);
        self.ask("the way back", &back);
        let answer = self.ask("a call with consent", &ask);
        assert!(answer.contains("echo"), "{answer}");
    }

    fn login(&mut self) {
        let page = self.ask("the account", &Request::new("GET", "/account"));
        let cookie = between(&page, "set-cookie: ", ";");
        let token = between(&page, "name=\"token\" value=\"", "\"");
        let sent = form("/account/sign-in", &[("token", &token)]).set("cookie", &cookie);
        let moved = self.ask("the way to sign in", &sent);
        let there = self.login.issuer();
        let path = between(&moved, &format!("location: {there}"), "\r\n");
        let address = there.strip_prefix("http://").unwrap().parse().unwrap();
        let answer = Request::new("GET", &path).send(address);
        let origin = format!("https://{}", self.gateway.address);
        let back = answer.header("location").unwrap().replace(&origin, "");
        // It is the one place for the code.
        let back = Request::new("GET", &back).set("cookie", &cookie);
        let done = self.ask("the way back from the provider", &back);
        assert!(done.contains("__Host-portcullis-session="), "{done}");
        assert_eq!(self.login.redeemed().len(), 1);
    }

    fn sessions(&mut self) {
        let token = self.token("far");
        let request = initialize(&token).to("/servers/far/mcp");
        let answer = self.ask("initialize", &request);
        self.said.pop(); // it is the one place for the session's id
        let id = answer
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "));
        let id = id.expect("a session").trim().to_owned();
        self.canaries.keep("session", id.as_bytes());
        for method in ["GET", "DELETE"] {
            let request = Request::new(method, "/servers/far/mcp")
                .set("mcp-session-id", &id)
                .set("mcp-protocol-version", "2025-11-25")
                .set("accept", "application/json");
            self.ask(method, &request.clone());
            if method == "DELETE" {
                self.ask(method, &request.token(&token));
            }
        }
    }

    fn opaque(&mut self) {
        let token = format!("opaque-{}", encode(&[fresh(); 30]));
        self.canaries.keep("opaque token", token.as_bytes());
        let audience = format!("https://{}/servers/far/mcp", self.gateway.address);
        let issuer = self.idp.issuer();
        let ask = call("echo").to("/servers/far/mcp").token(&token);
        self.ask("an unknown token", &ask);
        self.oracle.says(500, "no");
        self.ask(
            "an oracle that fails",
            &call("echo")
                .to("/servers/far/mcp")
                .token(&format!("{token}x")),
        );
        self.oracle.says(0, "");
        let good = format!("{token}good");
        let known = json!({ "active": true, "iss": issuer, "aud": audience, "sub": "bob", "client_id": "agent",
            "iat": now(), "exp": now() + 600, "token_type": "Bearer", "jti": "id-1" });
        self.oracle.knows(&good, known);
        let answer = self.ask(
            "an opaque token",
            &call("echo").to("/servers/far/mcp").token(&good),
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn signals(&mut self) {
        let sub_id = json!({ "format": "iss_sub", "iss": self.idp.issuer(), "sub": "carol" });
        let kind = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
        let event = self.idp.draft("carol", "https://gateway.example/signals");
        let event = event
            .header("typ", "secevent+jwt")
            .without("sub")
            .without("exp")
            .without("client_id");
        let event = event
            .claim("sub_id", sub_id)
            .claim("events", json!({ kind: {} }))
            .sign();
        let push = |bearer: &str| {
            let push = Request::new("POST", "/signals/idp")
                .set("content-type", "application/secevent+jwt");
            push.set("authorization", &format!("Bearer {bearer}"))
                .body(&event)
        };
        let bearer = self.planted["issuers.*.signals.bearer"].clone();
        self.ask("a wrong bearer", &push(&bearer[1..]));
        self.transmitter.has("junk", "no.event.at-all");
        self.transmitter.until_refused("junk");
        let answer = self.ask("a signal", &push(&bearer));
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    fn directory(&mut self) {
        let bearer = self.planted["issuers.*.scim.bearer"].clone();
        let ask = Request::new("GET", "/scim/idp/v2/Users");
        let with = |bearer: &str| {
            ask.clone()
                .set("authorization", &format!("Bearer {bearer}"))
        };
        let answer = self.ask("a wrong directory", &with(&bearer[1..]));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        let answer = self.ask("a directory", &with(&bearer));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Upstreams that answer with an error, or with nothing that can be read.
    fn faults(&mut self) {
        let token = self.token("far");
        for status in [401, 403, 500, 302] {
            self.upstream
                .misbehave(move |_| Some(Answer::status(status)));
            self.ask(
                "a fault",
                &call("echo").to("/servers/far/mcp").token(&token),
            );
        }
        self.upstream
            .misbehave(|_| Some(Answer::Bytes(b"nonsense".to_vec())));
        self.ask(
            "nonsense",
            &call("echo").to("/servers/far/mcp").token(&token),
        );
        self.upstream.misbehave(|_| None);
    }

    fn commands(&mut self) {
        let api = self.planted["servers.*.headers.*"].clone();
        let data = self.gateway.data().display().to_string();
        let written = |name: &str, text: &str| {
            let path = self.secrets.path().join(name);
            write(&path, text).unwrap();
            path.display().to_string()
        };
        let good = format!("gateway.data = '{data}'\n{}", self.config);
        let good = written("good.toml", &good);
        let bad: Vec<String> = [
            ("bare.toml", format!("[servers.far]\nheaders.X-Api-Key = '{api}'\nheaders.Authorization = 'Bearer {api}'\n")),
            ("syntax.toml", format!("[servers.far]\nheaders.X-Api-Key = '{api}\n")),
            ("type.toml", format!("[servers.far.headers]\nX-Api-Key = ['{api}']\n")),
            ("user.toml", format!("[servers.far]\nurl = 'https://u:{api}@h.example/'\n")),
            ("more.toml", self.config.replace("allow = [\"*\"]", "allow = 7")),
        ]
        .iter()
        .map(|(name, text)| written(name, text))
        .collect();
        let client = json!({ "mcpServers": { "a": { "url": "https://a.example/mcp", "headers": { "X-Api-Key": api } },
            "b": { "command": "b", "args": ["--token", api], "env": { "B_TOKEN": api } } } });
        let client = written("client.json", &client.to_string());
        for arguments in [
            &["check"][..],
            &["check", "--print"],
            &["check", "--print", "--json"],
            &["doctor", "--config"],
            &["doctor", "--json", "--config"],
        ] {
            let said = self.run(&[arguments, &[good.as_str()]].concat());
            assert!(!said.is_empty(), "{arguments:?}");
        }
        for bad in &bad {
            // What is in the file itself is the operator's to see; what it refers to is not, nor is it in the log.
            self.run(&["check", bad]);
            self.run(&["check", "--json", bad]);
            self.run(&["doctor", "--config", bad]);
        }
        let imported = self.secrets.path().join("imported.toml");
        let imported = imported.display().to_string();
        self.run(&["import", &client, "--output", &imported]);
        self.run(&["import", "--dry-run", &client]);
        self.run(&["revoke", "--data", &data, "--subject", "mallory"]);
        self.run(&["revocations", "--data", &data]);
        self.run(&["audit", "search", "--log", &format!("{data}/audit")]);
        self.run(&["audit", "verify", "--data", &data]);
    }

    /// Everything that can be read of it while it runs.
    fn look(&mut self) {
        let metrics = self.gateway.ask_admin("/metrics");
        assert_eq!(metrics.status, 200);
        self.said
            .push(("metrics".to_owned(), format!("{metrics:?}").into_bytes()));
        let own = std::process::id().to_string();
        let mut seen = 0;
        for entry in read_dir("/proc").unwrap().flatten() {
            let arguments = read(entry.path().join("cmdline")).unwrap_or_default();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != own && !arguments.is_empty() {
                seen += usize::from(holds(&arguments, b"portcullis"));
                self.said
                    .push((format!("the arguments of {name}"), arguments));
            }
        }
        assert!(seen >= 2, "the gateway and its launcher");
    }

    /// All that it has left behind.
    fn left(&mut self) {
        files(&self.gateway.data(), &mut self.said);
        self.said.retain(|(name, _)| !name.ends_with(".ed25519"));
        assert!(self.said.iter().any(|(name, _)| name.ends_with("state.db")));
        assert!(self.said.iter().any(|(name, _)| name.contains("/audit/")));
        self.said
            .push(("stderr".to_owned(), self.gateway.stderr().into_bytes()));
        for seen in self.collector.requests() {
            self.said.push(("telemetry".to_owned(), seen.raw));
        }
    }
}

#[test]
fn tok_12_lp_11_no_secret_appears_in_anything_that_is_written_or_said() {
    let derived = slots_of_schema();
    let expected: BTreeSet<String> = SLOTS.iter().map(|slot| (*slot).to_owned()).collect();
    assert_eq!(
        derived, expected,
        "plant a canary in the new slot, and use it below"
    );
    let mut cage = Cage::new();
    cage.traffic();
    cage.consent();
    cage.login();
    cage.sessions();
    cage.opaque();
    cage.signals();
    cage.directory();
    cage.faults();
    cage.look();
    // A reload, and one that is refused with a secret in the very line.
    cage.gateway.reload("allow = [\"*\"]", "allow = [\"*\" ]");
    write(cage.secrets.path().join("bearer"), "").unwrap();
    cage.gateway.expect("config.rejected", None);
    let broken = format!("x\u{7f}\n{}", cage.planted["servers.*.url"]);
    write(cage.secrets.path().join("url"), broken).unwrap();
    wait_for("the second refusal", || {
        (cage.gateway.records("config.rejected", None).len() >= 2).then_some(())
    });
    cage.commands();
    wait_for("telemetry", || {
        (cage.collector.requests().len() > 2).then_some(())
    });
    assert!(cage.gateway.stop().success());
    cage.left();

    // Each canary was where it belongs, or its silence would mean nothing.
    let of = |slot: &str| cage.planted[slot].as_str();
    let requests = cage.upstream.requests();
    let has = |value: &str| requests.iter().any(|seen| seen.whole().contains(value));
    assert!(has(of("servers.*.headers.*")), "{:?}", requests.first());
    assert!(
        has(&of("servers.*.url").replace('%', "%25")),
        "{:?}",
        requests.first()
    );
    // It reached, over the connection that shows its certificate, whoever is told of alerts.
    let signed =
        |seen: &Seen| seen.target == "/alerts" && seen.header("webhook-signature").is_some();
    assert!(requests.iter().any(signed), "no alert was sent");
    let asked = cage.oracle.asked();
    let basic = asked.first().unwrap().header("authorization").unwrap();
    let basic = STANDARD
        .decode(basic.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert!(
        !cage.canaries.in_(&basic).is_empty(),
        "the oracle was not shown the secret"
    );
    assert!(
        requests
            .iter()
            .any(|seen| seen.header("x-one").is_some() && seen.header("x-azure").is_some())
    );
    let shown = |seen: &[Seen], secret: &str| seen.iter().any(|seen| seen.whole().contains(secret));
    assert!(shown(&cage.vault.seen(), ROOT) && shown(&cage.vault.seen(), SECRET_ID));
    assert!(shown(&cage.azure.seen(), SECRET_ID));
    assert!(shown(
        &cage.transmitter.seen(),
        of("issuers.*.signals.poll.bearer")
    ));
    for (issuer, seen) in [
        ("minter", cage.minter.seen()),
        ("authority", cage.consenting.authority.heard()),
    ] {
        let basic = seen.iter().find_map(|seen| seen.header("authorization"));
        let basic = basic.and_then(|basic| basic.strip_prefix("Basic "));
        let basic = STANDARD.decode(basic.unwrap()).unwrap();
        assert!(
            !cage.canaries.in_(&basic).is_empty(),
            "the {issuer} was not shown the secret"
        );
    }
    let exported = cage.collector.requests();
    let header = exported
        .first()
        .unwrap()
        .header("x-key")
        .unwrap()
        .to_owned();
    assert_eq!(header, of("OTEL_EXPORTER_OTLP_HEADERS"));

    let mut leaks = Vec::new();
    for (name, bytes) in &cage.said {
        let found = cage.canaries.in_(bytes);
        let text = String::from_utf8_lossy(bytes);
        let lines = text
            .lines()
            .filter(|line| !cage.canaries.in_(line.as_bytes()).is_empty());
        if !found.is_empty() {
            let lines: Vec<&str> = lines.take(2).collect();
            leaks.push(format!("{name} holds {found:?}: {lines:?}"));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn tok_12_a_canary_is_found_in_every_form() {
    let mut canaries = Canaries::default();
    let canary = canaries.plant("slot");
    let whole = |text: String| assert_eq!(canaries.in_(text.as_bytes()), ["slot"], "{text}");
    whole(format!("x{canary}y"));
    whole(hex(canary.as_bytes()));
    whole(hex(canary.as_bytes()).to_uppercase());
    for before in ["", "a", "ab", "abc", "user:"] {
        let text = format!("{before}{canary}{before}");
        whole(STANDARD.encode(&text));
        whole(URL_SAFE_NO_PAD.encode(&text));
    }
    let percent = canary
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    whole(percent.clone());
    whole(percent.to_lowercase());
    assert!(canaries.in_(b"cnry+").is_empty());
}
