//! `portcullis check`.

use super::run;
use serde_json::Value;
use std::path::Path;

const GOOD: &str = r#"
[issuers.local]
embedded = true

[servers.notes]
command = "true"
args = ["--api-key", "hunter2", "--port=7", "ghp_0123456789abcdefghij"]
env = { API_TOKEN = { file = "secret" }, LEVEL = "info" }
allow = ["search"]

[servers.remote]
url = "https://remote.example/mcp?apiKey=hunter2"
headers = { Authorization = { file = "secret" } }

[[grants]]
who = "role:admin"
allow = ["remote__*"]
"#;

fn write(directory: &Path, text: &str) {
    std::fs::write(directory.join("portcullis.toml"), text).unwrap();
    std::fs::write(directory.join("secret"), "hunter2\n").unwrap();
}

#[test]
fn a_good_file_is_good_and_its_meaning_has_no_secret() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), GOOD);
    for arguments in [
        &["check"][..],
        &["check", "portcullis.toml"],
        &["check", "--config", "portcullis.toml"],
    ] {
        let ran = run(home.path(), arguments);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(
            (ran.code, lines[0]),
            (0, "portcullis.toml: good"),
            "{ran:?}"
        );
        // All that it says beside that.
        assert!(
            lines.len() == 2 && lines[1].contains("server notes is not confined"),
            "{ran:?}"
        );
    }
    let text = run(home.path(), &["check", "--print"]);
    let json = run(home.path(), &["check", "--print", "--json"]);
    for ran in [&text, &json] {
        assert_eq!(ran.code, 0);
        for hidden in ["hunter2", "ghp_"] {
            assert!(!ran.out.contains(hidden), "{}", ran.out);
        }
    }
    for shown in [
        "anyone may  tool search",
        "role:admin may  every tool",
        "API_TOKEN, LEVEL",
        "sends authorization",
        "--port=7",
    ] {
        assert!(text.out.contains(shown), "{shown}: {}", text.out);
    }
    let json = json.json();
    assert_eq!(
        (&json["sound"], &json["problems"]),
        (&Value::from(true), &Value::Array(Vec::new()))
    );
    let notes = &json["meaning"]["servers"]["notes"];
    assert_eq!(notes["grants"]["anyone"][0], "tool search");
    assert_eq!(notes["reached"]["transport"], "stdio");
    assert_eq!(json["meaning"]["policy"].as_str().map(str::len), Some(64));
}

#[test]
fn a_problem_is_shown_with_line_column_and_fix() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        &GOOD
            .replace("embedded = true", "embeded = true")
            .replace("\"remote__*\"", "\"remot__*\""),
    );
    let text = run(home.path(), &["check"]);
    assert_eq!(text.code, 1);
    assert!(
        text.out.contains("portcullis.toml:3:1\n")
            && text.out.contains("help: did you mean `embedded`?"),
        "{}",
        text.out
    );
    assert!(
        text.out.contains(" | embeded = true\n") && text.out.contains("^^^^^^^"),
        "{}",
        text.out
    );
    let json = run(home.path(), &["check", "--json"]);
    assert_eq!(json.code, 1);
    let json = json.json();
    assert_eq!(json["sound"], false);
    let first = &json["problems"][0];
    assert_eq!(
        (&first["line"], &first["column"], &first["key"]),
        (&3.into(), &1.into(), &"issuers.local.embeded".into())
    );
    assert!(first["reason"].is_string() && first["fix"].is_string() && first["file"].is_string());
    write(home.path(), "not toml");
    assert_eq!(
        run(home.path(), &["check", "--json"]).json()["problems"][0]["line"],
        1
    );
}

#[test]
fn a_problem_of_a_policy_is_shown_alike() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        &format!("{GOOD}\n[policy]\nfiles = [\"a.cedar\"]\n"),
    );
    let policy = "// mine\npermit (principal, action == Action::\"tools/call\", resource)\nwhen { principal.agee > 3 };\n";
    std::fs::write(home.path().join("a.cedar"), policy).unwrap();
    let text = run(home.path(), &["check"]);
    assert_eq!(text.code, 1, "{text:?}");
    assert!(
        text.out.contains("a.cedar:") && text.out.contains("\n  |") | text.out.contains(" |\n"),
        "{}",
        text.out
    );
    let json = run(home.path(), &["check", "--json"]).json();
    let first = &json["problems"][0];
    assert!(
        first["file"].as_str().unwrap().ends_with("a.cedar"),
        "{json}"
    );
    assert!(
        first["line"].as_u64().is_some_and(|line| line >= 2) && first["column"].is_u64(),
        "{json}"
    );
    std::fs::write(
        home.path().join("a.cedar"),
        policy.replace("principal.agee > 3", "true"),
    )
    .unwrap();
    assert_eq!(run(home.path(), &["check"]).code, 0);
}

#[test]
fn a_file_that_cannot_be_read_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), &["check", "none.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("none.toml"));
}

#[test]
fn the_schema_is_printed_without_a_file() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), &["check", "--schema"]);
    assert_eq!(ran.code, 0);
    assert!(ran.json()["properties"]["servers"].is_object());
}

#[test]
fn auth_02_a_preset_is_shown_as_the_keys_that_it_stands_for() {
    let home = tempfile::tempdir().unwrap();
    let preset = "[issuers.corp]\nprovider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n\
                  [servers.notes]\ncommand = \"true\"\naudience = \"6e74172b-be56-4843-9ff4-e66a39bb12e3\"\n";
    write(home.path(), preset);
    let text = run(home.path(), &["check", "--print"]);
    for shown in [
        "corp: https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0 (entra); Rs256",
        "token types JWT",
        "subject oid; client azp; scopes scp; roles roles; groups groups",
        "needs tid = 72f988bf-86f1-41af-91ab-2d7cd011db47",
        "needs ver = 2.0",
        "needs one of scp, roles",
        "refuses tokens with nonce, at_hash, c_hash",
    ] {
        assert!(text.out.contains(shown), "{shown}: {}", text.out);
    }
    let json = run(home.path(), &["check", "--print", "--json"]).json();
    let corp = &json["meaning"]["issuers"]["corp"];
    assert_eq!(corp["provider"], "entra");
    assert_eq!(corp["claims"]["subject_claim"], "oid", "{corp}");
    assert_eq!(corp["claims"]["required_claims"]["ver"][0], "2.0", "{corp}");
}

const WRONG: &[(&str, &str)] = &[
    (
        "[boundary.x]\nwho = \"anyone\"\n",
        "needs `who` and `allow`",
    ),
    (
        "[boundary.\"a b\"]\nwho = \"anyone\"\nallow = []\n",
        "64 letters",
    ),
    (
        "[boundary.x]\nwho = \"issuer:lokal\"\nallow = []\n",
        "did you mean `local`?",
    ),
    (
        "[boundary.x]\nwho = \"anyone\"\nallow = [\"note__x\"]\n",
        "no server has this name",
    ),
    (
        "[[grants]]\nwho = \"issuer:local\"\nallow = [\"notes__x\"]\n",
        "not a kind of principal",
    ),
    (
        "[[grants]]\nwho = \"anyone\"\nallow = [\"notes__x\"]\nuntil = \"7d\"\n",
        "not a moment",
    ),
];

#[test]
fn authz_03_a_grant_that_gives_less_than_it_says_is_told() {
    let home = tempfile::tempdir().unwrap();
    let more = r#"
[boundary.admins]
who = "role:admin"
allow = ["remote__read_*", "ask:remote__sampling"]

[boundary.local]
who = "issuer:local"
allow = ["notes__*"]

[[grants]]
who = "role:admin"
allow = ["remote__read_a*", "remote__read_x", "notes__x", "remote__write", "ask:remote__*"]

[[grants]]
who = "user:http://127.0.0.1:8848|eve"
allow = ["remote__x"]

[[grants]]
who = "role:guest"
allow = ["notes__*"]
until = "2026-01-01"
"#;
    write(home.path(), &format!("{GOOD}{more}"));
    let text = run(home.path(), &["check"]);
    let told = [
        "\"role:admin remote__*\" reaches beyond [boundary.admins]",
        "\"role:admin notes__x\" lies beyond [boundary.admins]",
        "\"role:admin remote__write\" lies beyond",
        "\"role:admin sampling:remote elicitation:remote roots:remote\" reaches beyond",
        "\"user:http://127.0.0.1:8848|eve remote__x\" lies beyond [boundary.local]",
        "\"role:guest notes__*\" is over since 2026-01-01T00:00:00",
        "the server notes is not confined",
    ];
    for told in told {
        assert!(text.out.contains(told), "{told} {text:?}");
    }
    let json = run(home.path(), &["check", "--json", "--print"]).json();
    assert_eq!(json["warnings"].as_array().unwrap().len(), told.len());
    assert_eq!(json["sound"], true);
    let within = &json["meaning"]["boundaries"]["admins"]["within"]["remote"];
    assert_eq!(within[0], "every tool read_*");
    for (wrong, says) in WRONG {
        write(home.path(), &format!("{GOOD}{wrong}"));
        let ran = run(home.path(), &["check"]);
        assert_eq!(
            (ran.code, ran.out.contains(says)),
            (1, true),
            "{wrong} {ran:?}"
        );
    }
}

/// Something of every table, none of it as it would be by default.
const WHOLE: &str = r#"
[gateway]
listen = "127.0.0.1:9001"
admin = "127.0.0.1:9002"
drain = "7s"
aggregate = false
allowed_origins = ["https://app.example"]

[limits]
body = 8192
header_timeout = "3s"
body_timeout = "4s"
connections = 77

[sessions]
idle = "11s"
absolute = "70s"
max = 12
max_per_principal = 3

[quota]
requests_per_minute = 11
burst = 12
concurrency = 13
bytes_per_minute = 70000
tool_requests_per_minute = 14
upstream_concurrency = 15

[audit]
durability = "always"
sign_within = "9s"
keep = "90d"
keep_bytes = 5000000
arguments = "digest"

[egress]
allow = ["10.1.0.0/16"]
resolver = "192.0.2.53:53"

[misuse]
window = "8s"
refusals = 6
audiences = 4
prefix_v4 = 16
prefix_v6 = 40
max_kmh = 900
revoke = ["volume"]
places = [{ networks = ["192.0.2.0/24"], at = "52.52, -13.405" }]

[telemetry.pins]
keys = ["sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "sha256/AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
expires = "2099-01-31"

[secrets]
ttl = "3m"

[alerts.soc]
webhook = "https://soc.example/hook"
secret = { file = "hook" }
ca = "CA"
ocsp = "required"
severity = "high"
events = ["authz.deny"]
per_minute = 5
repeat_after = "6s"
give_up_after = "2h"

[review]
issuer = "corp"
reviewers = ["role:reviewer"]
scopes = ["review"]
every = "30d"
within = "7d"

[issuers.local]
embedded = true
max_lifetime = "5m"

[issuers.corp]
issuer = "https://login.example"
jwks_uri = "https://login.example/keys"
algorithms = ["ES384"]
token_types = ["JWT"]
max_lifetime = "2h"
skew = "5s"
subject_claim = "oid"
client_claim = "azp"
one_of_claims = ["scp"]
forbidden_claims = ["nonce"]
scope_claim = "scp"
scope_implies = { "all" = ["some"] }
required_claims = { tid = ["t"] }
ca = "CA"
ocsp = "checked"
claims.device = { type = "bool", claim = ["device", "good"] }
signals = { audience = "events", bearer = { file = "secret" } }
scim = { bearer = { file = "directory" }, attribute = "userName" }
introspection = { endpoint = "https://login.example/ask", client_id = "gate", client_secret = { file = "secret" }, ttl = "10s", always = true, signed = true }

[authority]
access_tokens = "1m"
refresh_tokens = "2d"
sign_ins = "3d"
grouped_sign_ins = "1d"
consents = "4d"
redirect_hosts = ["app.example"]
redirect_schemes = ["com.example.app"]
loopback = false
document_hosts = ["app.example"]
ca = "CA"
scopes = { "notes:write" = "Change your notes" }
registration = { lifetime = "3h", per_network = 2 }

[authority.clients.app]
name = "App"
redirect_uris = ["https://app.example/back"]

[servers.notes]
url = "https://notes.example/mcp"
transport = "sse"
headers = { X-Key = { file = "secret" } }
ca = "CA"
ocsp = "required"
catalog = "learn"
approvals = 2
approvers = ["role:lead"]
issuers = ["corp"]
max_token_lifetime = "3m"
audience = "https://notes.example/aud"
scopes = ["notes:read"]
dpop = "required"
dpop_nonce = true
step_up = { acr = ["high"], amr = ["hwk"], max_age = "4m" }
risky_tools = { over = 40, by = ["role:lead"], expires = "2m", risk = "high" }
limits = { upstream_timeout = "5s", question_timeout = "6s", response = 9000 }

[servers.notes.tools.drop]
scopes = ["notes:write"]
upstream_scopes = ["w"]
elevation = "9m"
requests_per_minute = 2
approval = { by = ["role:lead"], expires = "3m", risk = "high" }

[servers.notes.inspect]
action = "redact"
score = 55
spotlight = "datamark"

[servers.notes.tools.drop.inspect]
action = "off"

[servers.notes.credentials]
kind = "exchange"
audience = "notes"
scopes = ["r"]
token_endpoint = "https://login.example/token"
issuer = "https://login.example"
ca = "CA"
client_id = "gate"
client_secret = { file = "secret" }
client_auth = "client_secret_post"
resource = "https://notes.example/mcp"
actor = true
dpop = true
max_age = "20s"

[servers.mail]
url = "https://mail.example/mcp"
sign_in = { issuer = "https://as.example", client_id = "gate", client_secret = { file = "secret" }, scopes = ["m"] }

[servers.own]
url = "https://own.example/mcp"
credentials = { kind = "assertion", audience = "own", lifetime = "7s", subject = "qualified", own_key = true }

[servers.files]
command = "true"
args = ["--quiet"]
env = { LEVEL = "info" }
limits = { max_processes = 3 }
sandbox = { profile = "node", ro = ["/srv"], rw = ["/var/tmp"], ports = [8443], memory = 1073741824, processes = 64, scratch = 1048576 }

[zones.office]
networks = ["192.0.2.0/24"]

[admin]
listen = "127.0.0.1:9003"
url = "http://127.0.0.1:9003"
audience = "https://admin.example"
issuers = ["corp"]
scopes = ["admin"]
max_token_lifetime = "6m"
dpop = "required"
dpop_nonce = true
requests_per_minute = 21
roles = [{ role = "admin", who = ["role:ops"] }]
"#;

/// Everything written stands there by its key, with its value or, of a secret, that it has one.
fn expect_shown(at: &str, written: &toml::Table, shown: &Value) {
    for (key, value) in written {
        let is_bare = key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let key = if is_bare {
            key.clone()
        } else {
            format!("{key:?}")
        };
        let key = format!("{at}{key}").replace("X-Key", "x-key");
        let found = &shown[&key];
        if let Some(table) = value.as_table() {
            if table.contains_key("file") {
                assert_eq!(found, "***", "{key}");
            } else {
                expect_shown(&format!("{key}."), table, shown);
            }
        } else if key.contains(".env.") {
            assert_eq!(found, "***", "{key}");
        } else if key.split('.').next_back() == Some("ca") {
            assert!(found.as_str().unwrap().ends_with("/ca.pem"), "{key}");
        } else if let Some(list) = value.as_array() {
            // What is added by itself, such as the names by which the gateway is known, is among them as well.
            let found = found.as_array().unwrap();
            for item in list {
                let item = serde_json::to_value(item).unwrap();
                assert!(found.contains(&item), "{key}: {item} {found:?}");
            }
        } else {
            assert_eq!(found, &serde_json::to_value(value).unwrap(), "{key}");
        }
    }
}

#[test]
fn auth_02_everything_in_effect_is_shown_by_its_key() {
    let home = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = ca.self_signed(&key).unwrap();
    std::fs::write(home.path().join("ca.pem"), ca.pem()).unwrap();
    let hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    std::fs::write(home.path().join("hook"), hook).unwrap();
    let directory = "0123456789abcdef0123456789abcdef";
    std::fs::write(home.path().join("directory"), directory).unwrap();
    let whole = WHOLE.replace("\"CA\"", "\"ca.pem\"");
    write(home.path(), &whole);
    let ran = run(home.path(), &["check", "--print", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for hidden in ["hunter2", hook, directory] {
        assert!(!ran.out.contains(hidden), "{}", ran.out);
    }
    let shown = &ran.json()["meaning"]["keys"];
    expect_shown("", &toml::from_str(&whole).unwrap(), shown);
    // What is not written is there as well.
    for (key, value) in [
        ("servers.own.dpop", Value::from("accepted")),
        ("servers.own.catalog", "pin".into()),
        ("servers.own.recheck", "call".into()),
        ("servers.own.approvals", 1.into()),
        ("servers.own.inspect.action", "observe".into()),
        ("servers.own.inspect.score", 70.into()),
        ("servers.own.inspect.spotlight", "off".into()),
        ("servers.own.limits.upstream_timeout", "2m".into()),
        ("servers.own.transport", "streamable-http".into()),
        ("servers.mail.sign_in.register", false.into()),
        ("audit.rotate", (64 << 20).into()),
        ("authority.documents", true.into()),
        ("issuers.corp.roles_claim", vec!["roles"].into()),
        ("admin.mtls", "off".into()),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }

    let text = run(home.path(), &["check", "--print"]);
    for line in [
        "  servers.notes.credentials.dpop = true\n",
        "  servers.notes.ocsp = \"required\"\n",
        "  issuers.corp.algorithms = [\"ES384\"]\n",
        "  servers.notes.credentials.client_secret = \"***\"\n",
    ] {
        assert!(text.out.contains(line), "{line}: {}", text.out);
    }
}

#[test]
fn auth_02_a_preset_is_shown_by_every_key_that_it_sets() {
    let home = tempfile::tempdir().unwrap();
    let preset = "[issuers.corp]\nprovider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n\
                  [servers.notes]\ncommand = \"true\"\naudience = \"6e74172b-be56-4843-9ff4-e66a39bb12e3\"\n";
    write(home.path(), preset);
    let ran = run(home.path(), &["check", "--print", "--json"]);
    let shown = &ran.json()["meaning"]["keys"];
    for (key, value) in [
        ("token_types", serde_json::json!(["JWT"])),
        ("subject_claim", "oid".into()),
        ("client_claim", "azp".into()),
        ("scope_claim", "scp".into()),
        ("one_of_claims", serde_json::json!(["scp", "roles"])),
        ("required_claims.ver", serde_json::json!(["2.0"])),
        ("algorithms", serde_json::json!(["RS256"])),
        ("skew", "30s".into()),
        ("max_lifetime", "1d".into()),
    ] {
        assert_eq!(shown[format!("issuers.corp.{key}")], value, "{key}");
    }
}

#[test]
fn tok_15_keys_and_their_ages_are_shown() {
    let home = tempfile::tempdir().unwrap();
    let own = "[keys.rotate_every]\nissuer = \"90d\"\nwrapping = \"365d\"\n\
               [issuers.local]\nembedded = true\n\
               [servers.notes]\nurl = \"https://notes.example/mcp\"\n\
               credentials = { kind = \"assertion\", audience = \"notes\", own_key = true }\n\
               [servers.mail]\nurl = \"https://mail.example/mcp\"\n\
               credentials = { kind = \"assertion\", audience = \"mail\" }\n";
    write(home.path(), own);
    let text = run(home.path(), &["check", "--print"]);
    for shown in [
        "Keys       issuer is replaced once older than 7776000 s\n",
        "Keys       wrapping is replaced once older than 31536000 s\n",
    ] {
        assert!(text.out.contains(shown), "{shown}: {text:?}");
    }
    let own = text.out.matches("signed with a key for this server alone");
    assert_eq!(own.count(), 1, "{text:?}");
    let json = run(home.path(), &["check", "--print", "--json"]).json();
    let meaning = &json["meaning"];
    assert_eq!(
        meaning["rotate_every_seconds"],
        serde_json::json!({ "issuer": 7_776_000, "wrapping": 31_536_000 })
    );
    for (server, is_own) in [("notes", true), ("mail", false)] {
        let shown = &meaning["servers"][server]["credentials"];
        assert_eq!(shown["own_key"], is_own, "{shown}");
    }
}
