//! Every refusal, with its place; every example; and what never happens.

use super::*;
use portcullis_core::authenticate::Binding;
use proptest::prelude::*;
use std::time::Duration;

/// Text, line, column, key, words of the problem.
type Row = (&'static str, usize, usize, &'static str, &'static str);

const FILE: &str = "/etc/portcullis/portcullis.toml";

/// Enough for a whole file, to stand below what a row is about.
const REST: &str = "
[issuers.own]
embedded = true
[servers.rest]
url = \"https://rest.example/mcp\"
";

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("hunter2".to_owned()),
        "HOME" => Some("/home/alice".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    match name {
        "cert.pem" | "ca.pem" => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        "key.pem" => Ok("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        "policy.cedar" => Ok("permit(principal, action, resource);".to_owned()),
        "empty" => Ok("\n".to_owned()),
        "missing" => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(" hunter2\n".to_owned()),
    }
}

fn reads(text: &str) -> Result<Checked, Problems> {
    read(text, Path::new(FILE), &environment, &read_file)
}

/// Asserts the one problem of a text: line, column, key and a part of its reason or fix.
#[track_caller]
fn refuses(text: &str, line: usize, column: usize, key: &str, words: &str) {
    let problems = reads(&format!("{text}{REST}")).expect_err(text);
    let [problem] = problems.as_slice() else {
        panic!("{text}\n{problems}")
    };
    assert_eq!(
        (problem.line, problem.column, problem.key.as_str()),
        (line, column, key),
        "{problems}"
    );
    let said = format!(
        "{} {}",
        problem.reason,
        problem.fix.clone().unwrap_or_default()
    );
    assert!(said.contains(words), "{problems}");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

/// [`refuses`] for lines of one server, the first of which is line 2.
#[track_caller]
fn refuses_server(lines: &str, line: usize, column: usize, key: &str, words: &str) {
    let key = format!("servers.a{key}");
    refuses(
        &format!("[servers.a]\n{lines}\n"),
        line,
        column,
        &key,
        words,
    );
}

#[test]
fn the_least_file_has_every_default() {
    let checked = reads(REST).unwrap();
    let gateway = &checked.gateway;
    assert_eq!(gateway.listen.to_string(), "127.0.0.1:8848");
    assert_eq!(gateway.admin.to_string(), "127.0.0.1:8849");
    assert_eq!(gateway.public_url.to_string(), "http://127.0.0.1:8848");
    assert_eq!(gateway.data, Path::new("/etc/portcullis"));
    assert_eq!(gateway.drain, Duration::from_secs(10));
    let hosts: Vec<&str> = gateway.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts, ["127.0.0.1:8848", "[::1]:8848", "localhost:8848"]);
    let origins: Vec<&str> = gateway.origins.iter().map(String::as_str).collect();
    assert_eq!(
        origins,
        [
            "http://127.0.0.1:8848",
            "http://[::1]:8848",
            "http://localhost:8848"
        ]
    );
    assert!(gateway.tls.is_none());
    assert_eq!(checked.limits.body_bytes, 4 << 20);
    assert_eq!(
        (checked.sessions.max, checked.sessions.max_per_principal),
        (10_000, 256)
    );
    assert_eq!(
        (checked.quota.requests_per_minute, checked.quota.burst),
        (600, 100)
    );
    assert_eq!(checked.audit.directory, Path::new("/etc/portcullis/audit"));
    assert_eq!(
        checked.audit.durability,
        Durability::Within(Duration::from_millis(50))
    );
    assert_eq!(checked.audit.arguments, Arguments::Redacted);
    let (name, server) = checked.servers.first_key_value().unwrap();
    assert_eq!(name.as_str(), "rest");
    assert_eq!(server.audience, "http://127.0.0.1:8848/servers/rest/mcp");
    assert_eq!(server.issuers.iter().collect::<Vec<_>>(), ["own"]);
    assert_eq!((server.dpop, server.dpop_nonce), (Binding::Accepted, false));
    assert_eq!(server.upstream_timeout, Duration::from_mins(2));
    assert_eq!(server.response_bytes, 16 << 20);
    assert!(checked.grants.is_empty());
}

#[test]
fn a_full_file_is_read() {
    let text = include_str!("../../../../docs/examples/company.toml");
    let checked = reads(text).unwrap();
    assert_eq!(
        checked.gateway.public_url.to_string(),
        "https://mcp.example.com"
    );
    assert!(checked.gateway.hosts.contains("mcp.example.com"));
    assert!(checked.gateway.tls.is_some());
    let Some(Issuer::External(corp)) = checked.issuers.get("corp") else {
        panic!()
    };
    assert_eq!(corp.issuer, "https://login.example.com");
    assert!(corp.algorithms.contains(&Algorithm::Es256));
    let tickets = &checked.servers[&ServerName::parse("tickets").unwrap()];
    let Upstream::Http(http) = &tickets.upstream else {
        panic!()
    };
    assert_eq!(http.headers["authorization"].expose(), "Bearer hunter2");
    assert_eq!(http.headers["x-api-key"].expose(), "hunter2");
    assert_eq!(tickets.tools["delete_ticket"].requests_per_minute, Some(5));
    assert!(!format!("{checked:?}").contains("hunter2"));
    assert!(
        checked
            .grants
            .iter()
            .any(|grant| grant.who == Who::Role("support".to_owned()))
    );
}

#[test]
fn the_examples_pass() {
    for (name, text) in [
        (
            "minimal.toml",
            include_str!("../../../../docs/examples/minimal.toml"),
        ),
        (
            "desktop.toml",
            include_str!("../../../../docs/examples/desktop.toml"),
        ),
        (
            "company.toml",
            include_str!("../../../../docs/examples/company.toml"),
        ),
        (
            "entra.toml",
            include_str!("../../../../docs/examples/entra.toml"),
        ),
        (
            "okta.toml",
            include_str!("../../../../docs/examples/okta.toml"),
        ),
        (
            "auth0.toml",
            include_str!("../../../../docs/examples/auth0.toml"),
        ),
        (
            "keycloak.toml",
            include_str!("../../../../docs/examples/keycloak.toml"),
        ),
        (
            "google.toml",
            include_str!("../../../../docs/examples/google.toml"),
        ),
        (
            "oidc.toml",
            include_str!("../../../../docs/examples/oidc.toml"),
        ),
    ] {
        if let Err(problems) = reads(text) {
            panic!("{name}\n{problems}");
        }
    }
}

#[rustfmt::skip]
const UNKNOWN_OF_SERVER: &[Row] = &[
    ("comand = \"x\"", 2, 1, ".comand", "did you mean `command`?"),
    ("url = \"https://a.example\"\nlimits = { respons = 1 }", 3, 12, ".limits.respons", "did you mean `response`?"),
    ("url = \"https://a.example\"\nheaders.A = { fil = \"x\" }", 3, 15, ".headers.A.fil", "did you mean `file`?"),
];

#[rustfmt::skip]
const UNKNOWN: &[Row] = &[
    ("colour = 1\n", 1, 1, "colour", "unknown key"),
    ("[gateway]\nlissten = \"x\"\n", 2, 1, "gateway.lissten", "did you mean `listen`?"),
    ("[gatway]\n", 1, 2, "gatway", "did you mean `gateway`?"),
    ("[gateway.tls]\ncert = \"x\"\n", 2, 1, "gateway.tls.cert", "certificate"),
    ("[[grants]]\nwho = \"anyone\"\nallow = [\"rest__x\"]\nserver = \"x\"\n", 4, 1, "grants[0].server", "unknown key"),
];

#[test]
fn conf_refuses_what_it_does_not_know() {
    for (text, line, column, key, words) in UNKNOWN {
        refuses(text, *line, *column, key, words);
    }
    for (lines, line, column, key, words) in UNKNOWN_OF_SERVER {
        refuses_server(lines, *line, *column, key, words);
    }
}

#[rustfmt::skip]
const TYPES: &[Row] = &[
    ("[gateway]\nlisten = 8848\n", 2, 10, "gateway.listen", "expected a string, found an integer"),
    ("[gateway]\ndrain = 10\n", 2, 9, "gateway.drain", "write the unit"),
    ("[limits]\nbody = 1.5\n", 2, 8, "limits.body", "expected a size, found a float"),
    ("gateway = 1\n", 1, 11, "gateway", "expected a table"),
    ("[policy]\nfiles = [\"a\", 1]\n", 2, 15, "policy.files[1]", "expected a string"),
    ("[gateway]\nlisten = \n", 2, 10, "", ""),
    ("[gateway]\n[gateway]\n", 2, 2, "", "duplicate key"),
];

#[test]
fn conf_refuses_wrong_types_and_syntax() {
    for (text, line, column, key, words) in TYPES {
        refuses(text, *line, *column, key, words);
    }
    let large = format!("#{}", " ".repeat(bounds::MAX_FILE_BYTES));
    assert!(
        reads(&large)
            .unwrap_err()
            .to_string()
            .contains("more than 1048576 bytes")
    );
    let many = format!(
        "[policy]\nfiles = [{}]\n",
        "\"a\",".repeat(bounds::MAX_ENTRIES + 1)
    );
    assert!(
        reads(&many)
            .unwrap_err()
            .to_string()
            .contains("too many entries")
    );
    let wrong = format!("[policy]\nfiles = [{}]\n", "1,".repeat(bounds::MAX_ENTRIES));
    assert_eq!(
        reads(&wrong).unwrap_err().as_slice().len(),
        bounds::MAX_PROBLEMS
    );
}

#[rustfmt::skip]
const QUANTITIES: &[Row] = &[
    ("[gateway]\ndrain = \"11m\"\n", 2, 9, "gateway.drain", "0s to 10m"),
    ("[gateway]\ndrain = \"ten\"\n", 2, 9, "gateway.drain", "not a duration"),
    ("[limits]\nbody = \"4MB\"\n", 2, 8, "limits.body", "not a size"),
    ("[limits]\nbody = -1\n", 2, 8, "limits.body", "not a size"),
    ("[limits]\nbody = 1\n", 2, 8, "limits.body", "1KiB to 64MiB"),
    ("[limits]\nconnections = 0\n", 2, 15, "limits.connections", "out of range"),
    ("[quota]\nburst = -5\n", 2, 9, "quota.burst", "out of range"),
    ("[quota]\nburst = 9223372036854775807\n", 2, 9, "quota.burst", "out of range"),
    ("[sessions]\nidle = \"2h\"\nabsolute = \"1h\"\n", 2, 8, "sessions.idle", "longer than `absolute`, 1h"),
    ("[sessions]\nmax = 5\nmax_per_principal = 6\n", 3, 21, "sessions.max_per_principal", "more than `max`, 5"),
    ("[audit]\ndurability = \"2s\"\n", 2, 14, "audit.durability", "1ms to 1s"),
    ("[audit]\ndurability = \"never\"\n", 2, 14, "audit.durability", "not a duration"),
    ("[audit]\narguments = \"digests\"\n", 2, 13, "audit.arguments", "did you mean `digest`?"),
    ("[issuers.a]\nissuer = \"https://a.example\"\nskew = \"61s\"\n", 3, 8, "issuers.a.skew", "0s to 1m"),
];

#[test]
fn conf_refuses_quantities_out_of_range() {
    for (text, line, column, key, words) in QUANTITIES {
        refuses(text, *line, *column, key, words);
    }
    let sessions = reads(&format!("[sessions]\nmax = 5\nabsolute = \"10m\"{REST}"))
        .unwrap()
        .sessions;
    assert_eq!(
        (sessions.max_per_principal, sessions.idle),
        (5, Duration::from_mins(10))
    );
}

#[rustfmt::skip]
const DOORS: &[Row] = &[
    ("[gateway]\nlisten = \"192.0.2.1:8848\"\npublic_url = \"https://a.example\"\n", 2, 10, "gateway.listen", "needs TLS"),
    ("[gateway]\nlisten = \"[2001:db8::1]:8848\"\npublic_url = \"https://a.example\"\n", 2, 10, "gateway.listen", "needs TLS"),
    ("[gateway]\nadmin = \"192.0.2.1:8849\"\n", 2, 9, "gateway.admin", "must be loopback"),
    ("[gateway]\nadmin = \"127.0.0.1:8848\"\n", 2, 9, "gateway.admin", "the same address as `listen`"),
    ("[gateway]\nlisten = \"localhost:8848\"\n", 2, 10, "gateway.listen", "not an IP address and port"),
    ("[gateway]\nlisten = \"127.0.0.1:0\"\n", 2, 10, "gateway.listen", "known beforehand"),
    ("[gateway]\npublic_url = \"http://a.example\"\n", 2, 14, "gateway.public_url", "only allowed on loopback"),
    ("[gateway]\npublic_url = \"https://a.example?x\"\n", 2, 14, "gateway.public_url", "no query"),
    ("[gateway]\npublic_url = \"https://u@a.example\"\n", 2, 14, "gateway.public_url", "user name"),
    ("[gateway]\ntls = { certificate = \"missing\", key = \"key.pem\" }\n", 2, 23, "gateway.tls.certificate", "cannot read the file: entity not found"),
    ("[gateway]\ntls = { certificate = \"cert.pem\", key = \"cert.pem\" }\n", 2, 41, "gateway.tls.key", "not PEM with a PRIVATE KEY"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"missing\"\n", 4, 13, "gateway.tls.client_ca", "cannot read the file"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"ca.pem\"\n", 4, 13, "gateway.tls.client_ca", "nobody is asked for one"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n[servers.a]\nurl = \"https://a.example\"\nmtls = \"required\"\ndpop = \"accepted\"\n", 6, 8, "servers.a.mtls", "never to both"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n[servers.a]\nurl = \"https://a.example\"\nmtls = \"accepted\"\ndpop = \"required\"\n", 6, 8, "servers.a.mtls", "never to both"),
    ("[gateway.tls]\nkey = \"key.pem\"\n", 1, 10, "gateway.tls", "needs `certificate` and `key`"),
    ("[gateway.tls.acme]\ndirectory = \"https://acme.example/\"\nnames = [\"a.example\"]\n", 1, 14, "gateway.tls.acme.terms_agreed", "agree to its terms"),
    ("[gateway.tls.acme]\nterms_agreed = true\nnames = [\"a.example\"]\n", 1, 14, "gateway.tls.acme", "no `directory`"),
    ("[gateway.tls.acme]\nterms_agreed = true\nnames = [\"a.example\"]\ndirectory = \"http://acme.example/\"\n", 4, 13, "gateway.tls.acme.directory", "https"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\n", 1, 14, "gateway.tls.acme.names", "no name that can be certified"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\nnames = [\"*.example\"]\n", 4, 10, "gateway.tls.acme.names[0]", "not a host name"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\nnames = [\"a.example\"]\ncontact = [\"mailto:a@b.c\"]\n", 5, 12, "gateway.tls.acme.contact[0]", "not a mail address"),
    ("[gateway.tls]\nkey = \"key.pem\"\nacme = {}\n", 3, 1, "gateway.tls.acme", "either an ACME server"),
    ("[gateway]\nallowed_hosts = [\"a\", \"https://a.example\"]\n", 2, 23, "gateway.allowed_hosts[1]", "not a host name"),
    ("[gateway]\nallowed_hosts = [\"*\"]\n", 2, 18, "gateway.allowed_hosts[0]", "not a host name"),
    ("[gateway]\nallowed_hosts = [\"a:0\"]\n", 2, 18, "gateway.allowed_hosts[0]", "not a host name"),
    ("[gateway]\nallowed_origins = [\"*\"]\n", 2, 20, "gateway.allowed_origins[0]", "must be named"),
    ("[gateway]\nallowed_origins = [\"null\"]\n", 2, 20, "gateway.allowed_origins[0]", "must be named"),
    ("[gateway]\nallowed_origins = [\"https://a.example/x\"]\n", 2, 20, "gateway.allowed_origins[0]", "no path"),
    ("[gateway]\ndata = \"\"\n", 2, 8, "gateway.data", "not a path"),
];

#[test]
fn conf_refuses_an_open_door() {
    for (text, line, column, key, words) in DOORS {
        refuses(text, *line, *column, key, words);
    }
    let tls = "[gateway]\nlisten = \"0.0.0.0:443\"\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
    refuses(tls, 1, 2, "gateway.public_url", "`public_url` is needed");
}

#[test]
fn conf_refuses_a_file_without_servers_or_issuers() {
    let none = reads("").unwrap_err();
    assert_eq!(none.as_slice().len(), 1, "{none}");
    assert!(none.as_slice()[0].reason.contains("no server"));
    let open = reads("[servers.a]\nurl = \"https://a.example\"\n").unwrap_err();
    assert_eq!(open.as_slice().len(), 1, "{open}");
    assert!(
        open.as_slice()[0]
            .reason
            .contains("every client must be authenticated")
    );
    refuses_server(
        "url = \"https://a.example\"\nissuers = []",
        3,
        1,
        ".issuers",
        "every client must be authenticated",
    );
}

#[rustfmt::skip]
const OPERATORS: &[Row] = &[
    ("[admin]\n", 1, 2, "admin", "every operator must be authenticated"),
    ("[admin]\nissuers = [\"own\"]\n", 2, 12, "admin.issuers[0]", "for anybody"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"b\"]\n", 4, 12, "admin.issuers[0]", "no issuer has this name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nlisten = \"192.0.2.1:8850\"\nurl = \"https://a.example\"\n", 5, 10, "admin.listen", "needs TLS"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nlisten = \"127.0.0.1:8849\"\n", 5, 10, "admin.listen", "the same address"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nurl = \"https://a.example/x\"\n", 5, 7, "admin.url", "no path"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\naudience = \"http://127.0.0.1:8848/servers/rest/mcp\"\n", 5, 12, "admin.audience", "is its own"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\naudience = \"http://127.0.0.1:8848/mcp\"\n", 5, 12, "admin.audience", "is its own"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nmtls = \"accepted\"\n", 5, 8, "admin.mtls", "[admin.tls]"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\" }]\n", 5, 10, "admin.roles[0]", "`role` and `who`"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewr\", who = [\"user:a\"] }]\n", 5, 19, "admin.roles[0].role", "viewer"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\", who = [\"anyone\"] }]\n", 5, 36, "admin.roles[0].who[0]", "those who are named"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\", who = [\"user:a\"], tenant = \"x\" }]\n", 5, 56, "admin.roles[0].tenant", "no tenant has this name"),
];

#[test]
fn authz_03_conf_refuses_an_admin_api_that_is_open() {
    for (text, line, column, key, words) in OPERATORS {
        refuses(text, *line, *column, key, words);
    }
}

#[rustfmt::skip]
const TENANTS: &[Row] = &[
    ("[tenants.A]\nissuers = [\"own\"]\n", 1, 10, "tenants.A", "not a name of a tenant"),
    ("[tenants.a]\nservers = [\"rest\"]\n", 1, 10, "tenants.a", "nobody belongs"),
    ("[tenants.a]\nissuers = [\"own\"]\nservers = [\"reset\"]\n", 3, 12, "tenants.a.servers[0]", "did you mean `rest`?"),
    ("[tenants.a]\nissuers = [\"onw\"]\n", 2, 12, "tenants.a.issuers[0]", "did you mean `own`?"),
    ("[tenants.a]\nmembers = { onw = \"a=b\" }\n", 2, 19, "tenants.a.members.onw", "did you mean `own`?"),
    ("[tenants.a]\nmembers = { own = \"a\" }\n", 2, 19, "tenants.a.members.own", "not a claim and its text"),
    ("[tenants.a]\nissuers = [\"own\"]\n[tenants.b]\nissuers = [\"own\"]\n", 4, 12, "tenants.b.issuers[0]", "belong to `a`"),
    ("[tenants.a]\nissuers = [\"own\"]\n[tenants.b]\nmembers = { own = \"a=b\" }\n", 4, 19, "tenants.b.members.own", "belong to `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nissuers = [\"own\"]\n", 4, 12, "tenants.b.issuers[0]", "its claim `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nmembers = { own = \"a=b\" }\n", 4, 19, "tenants.b.members.own", "belong to `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nmembers = { own = \"c=b\" }\n", 4, 19, "tenants.b.members.own", "its claim `a`"),
];

#[test]
fn authz_03_conf_refuses_tenants_that_are_unclear() {
    for (text, line, column, key, words) in TENANTS {
        refuses(text, *line, *column, key, words);
    }
}

#[rustfmt::skip]
const ISSUERS: &[Row] = &[
    ("", 1, 10, "", "neither `provider`, `issuer` nor `embedded`"),
    ("embedded = false", 1, 10, "", "neither `provider`, `issuer` nor `embedded`"),
    ("issuer = \"http://a.example\"", 2, 10, ".issuer", "only allowed on loopback"),
    ("issuer = \"https://a.example?x\"", 2, 10, ".issuer", "no query"),
    ("issuer = \"https://a.example#x\"", 2, 10, ".issuer", "fragment"),
    ("issuer = \"a.example\"", 2, 10, ".issuer", "not an absolute URL"),
    ("issuer = \"https://a.example\"\njwks_uri = \"http://a.example\"", 3, 12, ".jwks_uri", "only allowed on loopback"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"RS256\", \"HS256\"]", 3, 24, ".algorithms[1]", "HMAC key is shared"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"none\"]", 3, 15, ".algorithms[0]", "no signature"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"NONE\"]", 3, 15, ".algorithms[0]", "no signature"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"RS265\"]", 3, 15, ".algorithms[0]", "did you mean `RS256`?"),
    ("issuer = \"https://a.example\"\nalgorithms = []", 3, 1, ".algorithms", "at least one"),
    ("issuer = \"https://a.example\"\ntoken_types = [\"at+jwt\", \"id+jwt\"]", 3, 26, ".token_types[1]", "not one of the values"),
    ("issuer = \"https://a.example\"\ntoken_types = []", 3, 1, ".token_types", "at least one"),
    ("issuer = \"https://a.example\"\nroles_claim = \"\"", 3, 15, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nmax_lifetime = \"8d\"", 3, 16, ".max_lifetime", "1m to 7d"),
    ("issuer = \"https://a.example\"\nca = \"key.pem\"", 3, 6, ".ca", "not PEM with a CERTIFICATE"),
    ("issuer = \"https://a.example\"\nsignals = {}", 3, 1, ".signals", "no `audience`"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { url = \"https://a.example\" } }", 3, 29, ".signals.poll", "no `bearer`"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { url = \"http://a.example\" } }", 3, 44, ".signals.poll.url", "http"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { on_stale = \"maybe\" } }", 3, 49, ".signals.poll.on_stale", "not one of the values"),
    ("issuer = \"https://a.example\"\nscim = {}", 3, 1, ".scim", "no `bearer`"),
    ("issuer = \"https://a.example\"\nscim = { attribute = \"id\" }", 3, 22, ".scim.attribute", "not one of the values"),
    ("issuer = \"https://a.example\"\nscim = { claim = \"a=b\" }", 3, 18, ".scim.claim", "without `=`"),
    ("issuer = \"https://a.example\"\nintrospection = { client_id = \"x\" }", 3, 1, ".introspection", "no `client_secret`"),
];

#[test]
fn conf_refuses_weak_issuers() {
    for (lines, line, column, key, words) in ISSUERS {
        let key = format!("issuers.a{key}");
        refuses(
            &format!("[issuers.a]\n{lines}\n"),
            *line,
            *column,
            &key,
            words,
        );
    }
}

#[test]
fn conf_refuses_two_issuers_of_one_name() {
    let twice = "[issuers.a]\nissuer = \"https://a.example\"\n[issuers.b]\nissuer = \"https://a.example\"\n";
    refuses(twice, 4, 10, "issuers.b.issuer", "the same issuer as `a`");
    refuses(
        "[issuers.a]\nembedded = true\n",
        4,
        10,
        "issuers.own",
        "`a` is the embedded issuer already",
    );
    refuses(
        "[issuers.\"a b\"]\nissuer = \"https://a.example\"\n",
        1,
        10,
        "issuers.a b",
        "no spaces",
    );
    let many: Vec<String> = (0..=bounds::MAX_ISSUERS)
        .map(|n| format!("[issuers.a{n}]\nissuer = \"https://a{n}.example\"\n"))
        .collect();
    let many = many.concat();
    assert!(
        reads(&format!("{many}{REST}"))
            .unwrap_err()
            .to_string()
            .contains("too many issuers: at most 64")
    );
    let own =
        reads(&REST.replace("embedded = true", "embedded = true\nskew = \"1s\"")).unwrap_err();
    assert!(
        own.as_slice()[0]
            .reason
            .contains("the embedded issuer needs no such key"),
        "{own}"
    );
}

#[rustfmt::skip]
const SERVERS: &[Row] = &[
    ("", 1, 10, "", "neither `url` nor `command`"),
    ("url = \"https://a.example\"\ncommand = \"x\"", 3, 11, ".command", "both `url` and `command`"),
    ("url = \"http://a.example/mcp\"", 2, 7, ".url", "only allowed on loopback"),
    ("url = \"https://u:hunter2@a.example/mcp\"", 2, 7, ".url", "user name or password"),
    ("url = \"https://a.example/#x\"", 2, 7, ".url", "fragment"),
    ("url = \"https://a.example\"\ntransport = \"websocket\"", 3, 13, ".transport", "`streamable-http`, `sse`"),
    ("url = \"https://a.example\"\nargs = [\"x\"]", 3, 1, ".args", "only for a server with `command`"),
    ("url = \"https://a.example\"\ncwd = \"x\"", 3, 7, ".cwd", "only for a server with `command`"),
    ("url = \"https://a.example\"\nlimits.max_processes = 1", 3, 24, ".limits.max_processes", "only for a server with `command`"),
    ("url = \"http://127.0.0.1:1\"\nca = \"ca.pem\"", 3, 6, ".ca", "only for an `https` URL"),
    ("command = \"x\"\ntransport = \"sse\"", 3, 13, ".transport", "only for a server with `url`"),
    ("command = \"x\"\nheaders.A = \"b\"", 3, 1, ".headers", "only for a server with `url`"),
    ("command = \" \"", 2, 11, ".command", "not a program"),
    ("command = \"x\"\nenv = { \"A B\" = \"c\" }", 3, 17, ".env.A B", "not a name of an environment variable"),
    ("command = \"x\"\ninherit_env = [\"A=B\"]", 3, 16, ".inherit_env[0]", "not a name of an environment variable"),
    ("command = \"x\"\nenv.A = \"b\"\ninherit_env = [\"A\"]", 4, 16, ".inherit_env[0]", "also in `env`"),
    ("command = \"x\"\nargs = [\"a\\u0000\"]", 3, 9, ".args[0]", "zero byte"),
];

#[test]
fn conf_refuses_servers_that_cannot_be_reached_safely() {
    for (lines, line, column, key, words) in SERVERS {
        refuses_server(lines, *line, *column, key, words);
    }
    refuses(
        "[servers.\"a__b\"]\ncommand = \"x\"\n",
        1,
        10,
        "servers.a__b",
        "not a name of a server",
    );
    refuses(
        "[servers.A]\ncommand = \"x\"\n",
        1,
        10,
        "servers.A",
        "lower-case letters",
    );
    refuses(
        "[servers.-a]\ncommand = \"x\"\n",
        1,
        10,
        "servers.-a",
        "not a name of a server",
    );
    let long = format!("[servers.{}]\ncommand = \"x\"\n", "a".repeat(33));
    refuses(
        &long,
        1,
        10,
        &format!("servers.{}", "a".repeat(33)),
        "up to 32",
    );
}

#[rustfmt::skip]
const SECRETS: &[(&str, usize, &str, &str)] = &[
    ("headers.Authorization = \"Bearer hunter2\"", 25, ".headers.Authorization", "must not stand in this file"),
    ("headers.X-Api-Key = \"hunter2\"", 21, ".headers.X-Api-Key", "{ env = \"X_API_KEY\" }"),
    ("headers.X-Note = \"ghp_hunter2hunter2\"", 18, ".headers.X-Note", "must not stand in this file"),
    ("headers.A = { env = \"NOPE\" }", 21, ".headers.A.env", "`NOPE` is not set"),
    ("headers.A = { env = \"EMPTY\" }", 21, ".headers.A.env", "it is empty"),
    ("headers.A = { file = \"missing\" }", 22, ".headers.A.file", "cannot read the file"),
    ("headers.A = { file = \"empty\" }", 22, ".headers.A.file", "it is empty"),
    ("headers.A = { file = \"x\", env = \"TOKEN\" }", 9, ".headers.A", "both `file` and `env`"),
    ("headers.A = {}", 9, ".headers.A", "neither `file` nor `env`"),
    ("headers.A = \"x ${NOPE}\"", 13, ".headers.A", "`NOPE` is not set"),
    ("headers.A = \"x ${TOKEN\"", 13, ".headers.A", "`${` without `}`"),
    ("headers.A = \"${a b}\"", 13, ".headers.A", "not a name of an environment variable"),
    ("headers.\"A B\" = \"c\"", 17, ".headers.A B", "not a name of a header"),
    ("headers.A = \"a\\nb\"", 13, ".headers.A", "one line of visible ASCII"),
    ("headers.Host = \"b\"", 16, ".headers.Host", "writes this header itself"),
    ("headers.Mcp-Session-Id = \"b\"", 26, ".headers.Mcp-Session-Id", "writes this header itself"),
    ("headers = { A = \"b\", a = \"c\" }", 26, ".headers.a", "written twice"),
];

#[test]
fn conf_refuses_secrets_in_the_file() {
    for (line, column, key, words) in SECRETS {
        refuses_server(
            &format!("url = \"https://a.example\"\n{line}"),
            3,
            *column,
            key,
            words,
        );
    }
    refuses_server(
        "command = \"x\"\nenv.MY_TOKEN = \"hunter2\"",
        3,
        16,
        ".env.MY_TOKEN",
        "must not stand in this file",
    );
    refuses_server(
        "command = \"x\"\nenv.A = \"sk-hunter2\"",
        3,
        9,
        ".env.A",
        "must not stand in this file",
    );
}

#[test]
fn conf_resolves_references() {
    let text = format!(
        "[servers.a]\ncommand = \"./bin/x\"\ncwd = \"w\"\ninherit_env = [\"HOME\", \"NOPE\"]\n\
         env = {{ A = \"x${{TOKEN}}$${{y}}\", MY_TOKEN = {{ file = \"s\" }}, B = {{ env = \"TOKEN\" }}, TOKEN_LIMIT = \"5\" }}{REST}"
    );
    let checked = reads(&text).unwrap();
    let Upstream::Stdio(stdio) = &checked.servers.first_key_value().unwrap().1.upstream else {
        panic!()
    };
    assert_eq!(stdio.command, Path::new("/etc/portcullis/./bin/x"));
    assert_eq!(stdio.cwd, Path::new("/etc/portcullis/w"));
    let env: Vec<(&str, &str)> = stdio
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    let expected = [
        ("A", "xhunter2${y}"),
        ("B", "hunter2"),
        ("HOME", "/home/alice"),
        ("MY_TOKEN", "hunter2"),
        ("TOKEN_LIMIT", "5"),
    ];
    assert_eq!(env, expected);
}

#[rustfmt::skip]
const CREDENTIALS: &[(&str, usize, &str, &str)] = &[
    ("credentials = {}", 1, ".credentials", "no `kind`"),
    ("credentials = { kind = \"none\", audience = \"x\" }", 24, ".credentials.kind", "not one of the values"),
    ("credentials = { kind = \"assertion\" }", 1, ".credentials", "no `audience`"),
    ("credentials = { kind = \"assertion\", audience = \"\" }", 1, ".credentials", "no `audience`"),
    ("credentials = { kind = \"assertion\", audience = \"*\" }", 48, ".credentials.audience", "without asterisk"),
    ("credentials = { kind = \"client-credentials\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", own_key = true }", 127, ".credentials.own_key", "only for kind"),
    ("credentials = { kind = \"assertion\", audience = \"x\", lifetime = \"1h\" }", 64, ".credentials.lifetime", "5s to 5m"),
    ("credentials = { kind = \"assertion\", audience = \"x\", scopes = [\"a b\"] }", 63, ".credentials.scopes[0]", "not a scope"),
    ("credentials = { kind = \"assertion\", audience = \"http://127.0.0.1:8848/mcp\" }", 48, ".credentials.audience", "the endpoint for all servers here"),
    ("credentials = { kind = \"assertion\", audience = \"http://127.0.0.1:8848/servers/a/mcp\" }", 48, ".credentials.audience", "server `a` here"),
    ("credentials = { kind = \"assertion\", audience = \"x\", client_id = \"x\" }", 65, ".credentials.client_id", "only for tokens that are fetched"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\" }", 1, ".credentials", "no `token_endpoint`"),
    ("credentials = { kind = \"exchange\", audience = \"x\", token_endpoint = \"https://i.example\" }", 1, ".credentials", "no `client_id`"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"http://i.example\" }", 86, ".credentials.token_endpoint", "only allowed on loopback"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", subject = \"plain\" }", 117, ".credentials.subject", "only for kind"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", max_age = \"2h\" }", 117, ".credentials.max_age", "2s to 1h"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", client_auth = \"client_secret_post\" }", 121, ".credentials.client_auth", "only for a client with `client_secret`"),
    ("credentials = { kind = \"on-behalf-of\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", actor = true }", 119, ".credentials.actor", "only for kind"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", resource = \"r\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 1, ".credentials", "no `issuer`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"i\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 1, ".credentials", "no `resource`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\" }", 1, ".credentials", "no `idp`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\", idp = { client_id = \"y\" } }", 167, ".credentials.idp", "no `token_endpoint`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\", subject_token = \"saml\" } }", 246, ".credentials.idp.subject_token", "not one of the values"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 107, ".credentials.idp", "only for kind"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"a b\" }", 116, ".credentials.issuer", "not an issuer identifier"),
    ("tools.x = { upstream_scopes = [] }", 13, ".tools.x.upstream_scopes", "no tokens of its own"),
];

#[test]
fn tok_05_refuses_credentials_that_open_more_than_one_door() {
    let two =
        "[issuers.a]\nissuer = \"https://a.example\"\n[servers.a]\nurl = \"https://a.example\"\n";
    let shown = "credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\" }";
    refuses(
        &format!("{two}{shown}\n"),
        5,
        24,
        "servers.a.credentials.kind",
        "a token of one would be shown to the other",
    );
    for (line, column, key, words) in CREDENTIALS {
        let lines = format!("url = \"https://a.example\"\n{line}");
        refuses_server(&lines, 3, *column, key, words);
    }
    let own = "credentials = { kind = \"assertion\", audience = \"x\" }";
    let header = "url = \"https://a.example\"\nheaders.Authorization = { env = \"TOKEN\" }";
    refuses_server(
        &format!("{header}\n{own}"),
        4,
        1,
        ".credentials",
        "already has an `Authorization`",
    );
    refuses_server(
        &format!("command = \"x\"\n{own}"),
        3,
        1,
        ".credentials",
        "only for a server with `url`",
    );
    let two = "[servers.b]\nurl = \"https://b.example\"\n";
    let both = format!("url = \"https://a.example\"\n{own}\n{two}{own}");
    refuses(
        &format!("[servers.a]\n{both}\n"),
        6,
        48,
        "servers.b.credentials.audience",
        "the same audience as server `a`",
    );
    let issuers =
        "[issuers.a]\nissuer = \"https://a.example\"\n[servers.a]\nurl = \"https://a.example\"\n";
    refuses(
        &format!("{issuers}{own}\n"),
        5,
        1,
        "servers.a.credentials.subject",
        "two issuers",
    );
}

#[rustfmt::skip]
const AUDIENCES: &[(&str, usize, &str, &str)] = &[
    ("audience = \"\"", 12, ".audience", "an empty audience"),
    ("audience = \"*\"", 12, ".audience", "without asterisk"),
    ("audience = \"a b\"", 12, ".audience", "without asterisk and spaces"),
    ("issuers = [\"onw\"]", 12, ".issuers[0]", "did you mean `own`?"),
    ("scopes = [\"a b\"]", 11, ".scopes[0]", "not a scope"),
    ("max_token_lifetime = \"30s\"", 22, ".max_token_lifetime", "1m to 7d"),
    ("dpop = \"on\"", 8, ".dpop", "not one of the values"),
    ("mtls = \"on\"", 8, ".mtls", "not one of the values"),
    ("mtls = \"accepted\"", 8, ".mtls", "the listener has none"),
    ("dpop_nonce = true\ndpop = \"off\"", 14, ".dpop_nonce", "this server takes none"),
    ("step_up = {}", 1, ".step_up", "asks for nothing"),
    ("step_up.acr = [\"a b\"]", 16, ".step_up.acr[0]", "not a value of this claim"),
    ("step_up.amr = [\"\"]", 16, ".step_up.amr[0]", "not a value of this claim"),
    ("step_up.max_age = \"0s\"", 19, ".step_up.max_age", "out of range"),
    ("allow = [\"a*b\"]", 10, ".allow[0]", "at the end"),
    ("allow = [\"resources:x\"]", 10, ".allow[0]", "`resource:`"),
    ("tools.\"a*\" = { scopes = [] }", 7, ".tools.a*", "not a name of a tool"),
    ("tools.x = { requests_per_minute = 0 }", 35, ".tools.x.requests_per_minute", "out of range"),
    ("limits.response = \"1GiB\"", 19, ".limits.response", "1KiB to 256MiB"),
];

#[test]
fn auth_04_a_tool_asks_for_no_less_than_its_server() {
    let text = format!(
        "[servers.a]\nurl = \"https://a.example\"\nstep_up = {{ acr = [\"gold\", \"tin\"], amr = [\"pwd\"], max_age = \"1h\" }}\n\
         [servers.a.tools]\nx.step_up = {{ acr = [\"tin\", \"silver\"], amr = [\"otp\"], max_age = \"2h\" }}\n\
         y.step_up = {{ max_age = \"5m\" }}\nz.scopes = [\"s\"]\n{REST}"
    );
    let checked = reads(&text).unwrap();
    let server = checked.servers.first_key_value().unwrap().1;
    let needs = |tool: &str| server.tools[tool].step_up.as_ref().map(ToString::to_string);
    let all = [
        Some(server.step_up.to_string()),
        needs("x"),
        needs("y"),
        needs("z"),
    ];
    let expected = [
        Some("acr=gold tin; amr=pwd; max_age=3600".to_owned()),
        Some("acr=tin; amr=otp pwd; max_age=3600".to_owned()),
        Some("acr=gold tin; amr=pwd; max_age=300".to_owned()),
        None,
    ];
    assert_eq!(all, expected);
    let disjoint = "url = \"https://a.example\"\nstep_up.acr = [\"gold\"]\ntools.x.step_up = { acr = [\"tin\"] }";
    refuses_server(
        disjoint,
        4,
        21,
        ".tools.x.step_up.acr",
        "no token could satisfy both",
    );
}

#[test]
fn conf_refuses_confused_audiences() {
    for (line, column, key, words) in AUDIENCES {
        refuses_server(
            &format!("url = \"https://a.example\"\n{line}"),
            3,
            *column,
            key,
            words,
        );
    }
    // The default of `rest` is taken by `a`, which is judged first.
    let taken = "[servers.a]\nurl = \"https://a.example\"\naudience = \"http://127.0.0.1:8848/servers/rest/mcp\"\n";
    refuses(
        taken,
        7,
        10,
        "servers.rest.audience",
        "the same audience as server `a`",
    );
}

#[rustfmt::skip]
const GRANTS: &[(&str, &str, usize, usize, &str, &str)] = &[
    ("\"anyone\"", "[\"rset__x\"]", 3, 10, "grants[0].allow[0]", "did you mean `rest`?"),
    ("\"anyone\"", "[\"rest__x\", \"search\"]", 3, 21, "grants[0].allow[1]", "names its server"),
    ("\"anyone\"", "[\"*\"]", 3, 10, "grants[0].allow[0]", "names its server"),
    ("\"anyone\"", "[\"rest__\"]", 3, 10, "grants[0].allow[0]", "must not be empty"),
    ("\"anyone\"", "[]", 3, 1, "grants[0].allow", "a grant of nothing"),
    ("\"rol:x\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "did you mean `role`?"),
    ("\"user:\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "no name after the colon"),
    ("\"user:*\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "no name after the colon"),
];

#[test]
fn conf_refuses_grants_that_miss() {
    for (who, allow, line, column, key, words) in GRANTS {
        refuses(
            &format!("[[grants]]\nwho = {who}\nallow = {allow}\n"),
            *line,
            *column,
            key,
            words,
        );
    }
    refuses(
        "[[grants]]\nwho = \"anyone\"\n",
        1,
        1,
        "grants[0]",
        "needs `who` and `allow`",
    );
    refuses(
        "[policy]\nfiles = [\"missing\"]\n",
        2,
        10,
        "policy.files[0]",
        "cannot read the file",
    );
    refuses(
        "[policy]\nfiles = [\"a\", \"a\"]\n",
        2,
        15,
        "policy.files[1]",
        "the same file twice",
    );
}

#[test]
fn every_problem_is_named_at_once() {
    let text = "[gateway]\nlissten = 1\ndrain = 10\nadmin = \"0.0.0.0:1\"\n[servers.a]\nurl = \"http://a.example\"\n";
    let problems = reads(&format!("{text}{REST}")).unwrap_err();
    let lines: Vec<usize> = problems
        .as_slice()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [2, 3, 4, 6], "{problems}");
}

#[test]
fn lp_04_places_inside_are_named_or_refused() {
    let open = "[egress]\nallow = [\"10.1.0.0/16\", \"fd00::/8\", \"Login.internal:8443\"]\nresolver = \"192.0.2.53:53\"\n";
    let checked = reads(&format!("{open}{REST}")).unwrap();
    assert!(!checked.egress.allow.is_empty());
    assert_eq!(checked.egress.resolver, "192.0.2.53:53".parse().ok());
    let closed = reads(REST).unwrap();
    assert!(closed.egress.allow.is_empty() && closed.egress.resolver.is_none());
    for (entry, column) in [("*", 10), ("10.1.0.0/8", 10), ("https://a.example", 10)] {
        let text = format!("[egress]\nallow = [\"{entry}\"]\n");
        refuses(&text, 2, column, "egress.allow[0]", "range of addresses");
    }
    for server in ["dns.example:53", "192.0.2.53", "192.0.2.53:0"] {
        let text = format!("[egress]\nresolver = \"{server}\"\n");
        refuses(&text, 2, 12, "egress.resolver", "address and port");
    }
    let many = vec!["\"a.example\""; 257].join(", ");
    refuses(
        &format!("[egress]\nallow = [{many}]\n"),
        2,
        1,
        "egress.allow",
        "at most 256",
    );
}

#[test]
fn man_4_of_google_only_an_organization_signs_in_and_no_token_opens_a_server() {
    let sign_in = |more: &str| {
        format!(
            "[issuers.google]\nprovider = \"google\"\n[authority]\n[authority.sign_in]\nprovider = \"google\"\n\
client_id = \"c\"\n{more}{REST}"
        )
    };
    let secret = "client_secret = { env = \"TOKEN\" }\n";
    let domains = "hosted_domains = [\"corp.example\"]\n";
    let good = sign_in(&format!("{secret}{domains}"));
    let checked = reads(&good).unwrap();
    let mut servers = checked.servers.values();
    assert!(servers.all(|server| !server.issuers.contains("google")));
    for (text, why) in [
        (sign_in(secret), "anybody with an account at Google"),
        (sign_in(domains), "private_key_jwt"),
        (
            sign_in(&format!("{secret}hosted_domains = [\"Corp.example\"]\n")),
            "small letters",
        ),
        (
            good.replace("[servers.rest]", "[servers.rest]\nissuers = [\"google\"]"),
            "no issuer has this name",
        ),
        (
            good.replace(
                "provider = \"google\"\n[authority]",
                "issuer = \"https://idp.example\"\n[authority]",
            ),
            "only Google says",
        ),
    ] {
        let problems = reads(&text).unwrap_err().to_string();
        assert!(problems.contains(why), "{text}\n{problems}");
    }
}

#[test]
fn tok_15_sign_in_is_whole_or_refused() {
    let url = "[servers.a]\nurl = \"https://a.example\"\n";
    let whole = format!(
        "{url}[servers.a.sign_in]\nissuer = \"https://as.example\"\nclient_id = \"x\"\nclient_secret = {{ env = \"TOKEN\" }}\n"
    );
    let checked = reads(&format!("{whole}{REST}")).unwrap();
    let server = &checked.servers[&ServerName::parse("a").unwrap()];
    let sign_in = server.sign_in.as_ref().unwrap();
    let client = sign_in.client.as_ref().unwrap();
    assert_eq!(
        (client.issuer.1.as_str(), client.id.as_str()),
        ("https://as.example", "x")
    );
    assert!(!sign_in.may_register && !format!("{checked:?}").contains("hunter2"));
    let least = reads(&format!("{url}[servers.a.sign_in]\n{REST}")).unwrap();
    let server = &least.servers[&ServerName::parse("a").unwrap()];
    assert!(
        server
            .sign_in
            .as_ref()
            .is_some_and(|own| own.client.is_none())
    );
    for part in [
        "client_id = \"x\"",
        "issuer = \"https://as.example\"",
        "client_secret = { env = \"TOKEN\" }",
    ] {
        let text = format!("{url}[servers.a.sign_in]\n{part}\n");
        refuses(&text, 3, 12, "servers.a.sign_in", "belong together");
    }
    for (document, words) in [
        ("http://localhost/client.json", "`https`, with a path"),
        ("http://a.example/client.json", "only allowed on loopback"),
        ("https://a.example", "`https`, with a path"),
        ("https://a.example/a?b", "`https`, with a path"),
        ("https://a.example/../a", "`https`, with a path"),
        ("a.example", "https://host.example/path"),
    ] {
        let text = format!("{url}[servers.a.sign_in]\nclient_document = \"{document}\"\n");
        refuses(&text, 4, 19, "servers.a.sign_in.client_document", words);
    }
    let named = format!("{whole}client_document = \"https://a.example/client.json\"\n");
    refuses(
        &named,
        7,
        19,
        "servers.a.sign_in.client_document",
        "keep one of them",
    );
}

#[test]
fn tok_15_sign_in_is_for_servers_and_browsers_that_can() {
    let url = "[servers.a]\nurl = \"https://a.example\"\n";
    let other = "[servers.a]\ncommand = \"x\"\n[servers.a.sign_in]\n";
    refuses(
        other,
        3,
        12,
        "servers.a.sign_in",
        "only for a server with `url`",
    );
    let sse = format!("{url}transport = \"sse\"\n[servers.a.sign_in]\n");
    refuses(&sse, 4, 12, "servers.a.sign_in", "only with the transport");
    let twice = format!("{url}headers.Authorization = \"${{TOKEN}}\"\n[servers.a.sign_in]\n");
    refuses(&twice, 4, 12, "servers.a.sign_in", "keep one of them");
    // Where a link leads to this gateway from anywhere, nobody knows who follows it.
    let public = "[gateway]\npublic_url = \"https://gate.example\"\n";
    let open = format!("{public}{url}[servers.a.sign_in]\n");
    refuses(
        &open,
        5,
        12,
        "servers.a.sign_in",
        "unproven_browsers = true",
    );
    assert!(reads(&format!("{open}unproven_browsers = true\n{REST}")).is_ok());
}

#[test]
fn problems_read_like_those_of_a_compiler() {
    let problems = reads(&format!("[gateway]\nadmin = \"0.0.0.0:1\"{REST}")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "error: the admin address must be loopback: it answers without authentication
 --> /etc/portcullis/portcullis.toml:2:9
  |
2 | admin = \"0.0.0.0:1\"
  |         ^^^^^^^^^^^
  = key: gateway.admin
  = help: write \"127.0.0.1:8849\"

1 problem"
    );
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!({"problems": [{
            "file": FILE, "line": 2, "column": 9, "key": "gateway.admin",
            "reason": "the admin address must be loopback: it answers without authentication",
            "fix": "write \"127.0.0.1:8849\"",
        }]})
    );
}

#[test]
fn tok_19_rules_about_misuse_are_checked() {
    let text = "[misuse]\nexempt = [\"192.0.2.0/24\", \"2001:db8::1\"]\nrevoke = [\"volume\"]\n";
    let checked = reads(&format!("{text}{REST}")).unwrap();
    assert_eq!(
        (checked.misuse.exempt.len(), checked.misuse.revoke.len()),
        (2, 1)
    );
    assert!(
        reads(REST).unwrap().misuse.revoke.is_empty(),
        "the default records"
    );
    for (lines, column, key, words) in [
        (
            "exempt = [\"192.0.2.0/33\"]",
            11,
            "exempt[0]",
            "192.0.2.0/24",
        ),
        (
            "revoke = [\"invalid_burst\"]",
            11,
            "revoke[0]",
            "could be a victim",
        ),
        (
            "revoke = [\"volumes\"]",
            11,
            "revoke[0]",
            "did you mean `volume`?",
        ),
        ("prefix_v4 = 33", 13, "prefix_v4", "8 to 32"),
        ("window = \"0s\"", 10, "window", "1s to 1h"),
        ("audiences = 1", 13, "audiences", "2 to 64"),
    ] {
        let text = format!("[misuse]\n{lines}\n");
        refuses(&text, 2, column, &format!("misuse.{key}"), words);
    }
}

#[test]
fn authz_05_who_reviews_is_checked() {
    let idp = "[issuers.idp]\nissuer = \"https://idp.example\"\n";
    let good = "[review]\nissuer = \"idp\"\nreviewers = [\"role:reviewer\"]\n";
    let checked = reads(&format!("{good}{idp}{REST}")).unwrap();
    let review = checked.review.unwrap();
    assert_eq!(
        (review.every.as_secs(), review.within.as_secs()),
        (90 * 86_400, 14 * 86_400)
    );
    assert!(reads(REST).unwrap().review.is_none());
    let reviewers = "reviewers = [\"role:reviewer\"]";
    for (lines, line, column, key, words) in [
        (
            format!("issuer = \"own\"\n{reviewers}"),
            2,
            10,
            ".issuer",
            "embedded",
        ),
        (
            format!("issuer = \"idq\"\n{reviewers}"),
            2,
            10,
            ".issuer",
            "did you mean `idp`?",
        ),
        (reviewers.to_owned(), 1, 2, "", "needs `issuer`"),
        (
            "issuer = \"idp\"".to_owned(),
            1,
            2,
            ".reviewers",
            "decides nothing in it",
        ),
        (
            "issuer = \"idp\"\nreviewers = [\"user:ann\"]".to_owned(),
            3,
            1,
            ".reviewers",
            "decides nothing in it",
        ),
        (
            "issuer = \"idp\"\nreviewers = [\"anyone\"]".to_owned(),
            3,
            14,
            ".reviewers[0]",
            "names no person",
        ),
        (
            format!("issuer = \"idp\"\n{reviewers}\nwithin = \"0s\""),
            4,
            10,
            ".within",
            "1s to 90d",
        ),
    ] {
        let text = format!("[review]\n{lines}\n{idp}");
        refuses(&text, line, column, &format!("review{key}"), words);
    }
}

#[test]
fn the_committed_schema_is_ours() {
    let committed = include_str!("../../../../docs/portcullis.schema.json");
    let ours = serde_json::to_string_pretty(&schema()).unwrap();
    assert!(
        committed.trim() == ours,
        "write into docs/portcullis.schema.json:\n{ours}"
    );
}

#[test]
fn the_reference_in_the_documentation_is_ours() {
    let page = include_str!("../../../../docs/configuration.md");
    let (_, rest) = page.split_once("<!-- reference: begin -->\n").unwrap();
    let (committed, _) = rest.split_once("<!-- reference: end -->").unwrap();
    assert!(
        committed == reference(),
        "write between the markers:\n{}",
        reference()
    );
}

#[test]
fn the_reference_names_every_section() {
    let sections = schema();
    let mut names: Vec<&str> = sections["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut ordered = reference::ORDER.to_vec();
    names.sort_unstable();
    ordered.sort_unstable();
    assert_eq!(names, ordered);
    assert!(reference().contains("### `[servers.NAME.tools.TOOL]`"));
}

proptest! {
    #[test]
    fn read_never_panics(text in "\\PC{0,80}|[\\[\\]{}=\"'.,#a0\n é$_-]{0,60}") {
        prop_assert!(reads(&text).is_err());
    }

    #[test]
    fn read_never_panics_on_values(
        key in prop::sample::select(vec![
            "gateway.listen", "gateway.public_url", "gateway.allowed_hosts", "gateway.drain", "limits.body",
            "issuers.a.issuer", "issuers.a.algorithms", "servers.a.url", "servers.a.command", "servers.a.headers.A",
            "servers.a.env", "servers.a.allow", "servers.a.audience", "grants", "policy.files",
        ]),
        value in "\"[^\"\\\\\\p{C}]{0,30}\"|-?[0-9]{1,25}|\\[(\"[a-z_*:]{0,9}\",){0,3}\\]|\\{[a-z]{1,3} = \"[$\\{\\}a-z]{0,9}\"\\}",
    ) {
        let text = format!("{key} = {value}\n{REST}");
        if let Err(problems) = reads(&text) {
            let lines = text.lines().count();
            prop_assert!(problems.as_slice().iter().all(|problem| (1..=lines).contains(&problem.line)));
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn a_secret_is_never_repeated(secret in "[a-zA-Z0-9]{12,40}", quote in prop::sample::select(vec!["\"", "", "'"])) {
        let secret = format!("sk-{secret}");
        let text = format!("[servers.a]\nurl = \"https://a.example\"\nheaders.X-Api-Key = {quote}{secret}{quote}\nx = 1");
        let problems = reads(&text).unwrap_err();
        prop_assert!(!problems.to_string().contains(&secret));
        prop_assert!(!serde_json::to_string(&problems).unwrap().contains(&secret));
    }
}

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// A preset, and the plain keys that it stands for.
const PRESETS: &[(&str, &str)] = &[
    (
        "provider = \"entra\"\ntenant = \"72F988BF-86F1-41af-91ab-2d7cd011db47\"",
        "issuer = \"https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"
algorithms = [\"RS256\"]
token_types = [\"JWT\"]
scope_claim = \"scp\"
subject_claim = \"oid\"
client_claim = \"azp\"
one_of_claims = [\"scp\", \"roles\"]
required_claims = { tid = \"72f988bf-86f1-41af-91ab-2d7cd011db47\", ver = \"2.0\" }",
    ),
    (
        "provider = \"okta\"\nauthority = \"https://acme.okta.com/\"\nauthorization_server = \"aus1\"",
        "issuer = \"https://acme.okta.com/oauth2/aus1\"
algorithms = [\"RS256\"]
token_types = [\"JWT\", \"at+jwt\"]
scope_claim = \"scp\"
subject_claim = \"uid\"
client_subject = true
client_claim = \"cid\"
one_of_claims = [\"scp\"]",
    ),
    (
        "provider = \"auth0\"\nauthority = \"https://acme.eu.auth0.com\"",
        "issuer = \"https://acme.eu.auth0.com/\"
algorithms = [\"RS256\", \"PS256\"]
token_types = [\"JWT\", \"at+jwt\"]
roles_claim = \"permissions\"
one_of_claims = [\"scope\", \"permissions\", \"gty\"]",
    ),
    (
        "provider = \"keycloak\"\nauthority = \"https://sso.example.com/auth\"\nrealm = \"corp\"",
        "issuer = \"https://sso.example.com/auth/realms/corp\"
token_types = [\"JWT\", \"at+jwt\"]
roles_claim = \"realm_access.roles\"
client_claim = \"azp\"
required_claims = { typ = [\"Bearer\", \"DPoP\"] }
forbidden_claims = [\"at_hash\", \"c_hash\"]",
    ),
    (
        "provider = \"oidc\"\nissuer = \"https://a.example\"",
        "issuer = \"https://a.example\"\ntoken_types = [\"JWT\", \"at+jwt\"]\none_of_claims = [\"scope\", \"scp\"]",
    ),
    // What the file says otherwise counts, but for what tells access tokens from others.
    (
        "provider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\nauthority = \"https://login.microsoftonline.us\"
groups_claim = \"g\"\nforbidden_claims = [\"x\"]\nrequired_claims = { idtyp = \"app\" }\nmax_lifetime = \"2h\"",
        "issuer = \"https://login.microsoftonline.us/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"
algorithms = [\"RS256\"]
token_types = [\"JWT\"]
scope_claim = \"scp\"
groups_claim = [\"g\"]
subject_claim = \"oid\"
client_claim = \"azp\"
one_of_claims = [\"scp\", \"roles\"]
required_claims = { idtyp = \"app\", tid = \"72f988bf-86f1-41af-91ab-2d7cd011db47\", ver = [\"2.0\"] }
forbidden_claims = [\"x\", \"nonce\", \"at_hash\", \"c_hash\"]
max_lifetime = \"2h\"",
    ),
];

#[test]
fn auth_02_a_preset_is_what_its_plain_keys_are() {
    let shown = |keys: &str| {
        let rest = REST.replace("[servers.rest]", "[servers.rest]\naudience = \"a\"");
        let checked = reads(&format!("[issuers.a]\n{keys}\n{rest}")).unwrap();
        let Some(Issuer::External(external)) = checked.issuers.get("a") else {
            panic!("{keys}")
        };
        let provider = format!("provider: {:?},", external.provider);
        format!("{external:?}").replace(&provider, "")
    };
    for (preset, plain) in PRESETS {
        assert_eq!(shown(preset), shown(plain), "{preset}");
    }
}

#[rustfmt::skip]
const BAD_PRESETS: &[Row] = &[
    ("provider = \"entraid\"", 2, 12, ".provider", "did you mean `entra`?"),
    ("issuer = \"https://accounts.google.com\"", 2, 10, ".issuer", "docs/identity/google.md"),
    ("provider = \"entra\"", 1, 10, "", "no `tenant`"),
    ("provider = \"entra\"\ntenant = \"common\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"Organizations\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"consumers\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"9188040D-6c67-4c5b-b112-36a304b66dad\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"acme.onmicrosoft.com\"", 3, 10, ".tenant", "Tenant ID"),
    ("provider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db4/\"", 3, 10, ".tenant", "Tenant ID"),
    ("provider = \"entra\"\ntenant = \"common\"\nauthority = \"https://sts.windows.net\"", 4, 13, ".authority", "version 1"),
    ("provider = \"entra\"\ntenant = \"common\"\nissuer = \"https://a.example\"", 4, 10, ".issuer", "follows from `provider`"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"", 1, 10, "", "org server"),
    ("provider = \"okta\"\nauthorization_server = \"default\"", 1, 10, "", "no `authority`"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"\nauthorization_server = \"a/b\"", 4, 24, ".authorization_server", "not a name"),
    ("provider = \"okta\"\nauthority = \"http://acme.okta.com\"\nauthorization_server = \"a\"", 3, 13, ".authority", "only allowed on loopback"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com?x\"\nauthorization_server = \"a\"", 3, 13, ".authority", "no query"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"\nauthorization_server = \"a\"\none_of_claims = [\"sub\"]", 5, 1, ".one_of_claims", "remove `provider`"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"", 1, 10, "", "no `realm`"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"\nrealm = \"..\"", 4, 9, ".realm", "not a name"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"\nrealm = \"a\"\nrequired_claims.typ = \"ID\"", 5, 23, ".required_claims.typ", "says what it must be"),
    ("provider = \"auth0\"\nauthority = \"https://a.auth0.com\"\nrealm = \"a\"", 4, 9, ".realm", "provider = \"keycloak\""),
    ("provider = \"oidc\"\nissuer = \"https://a.example\"\nauthority = \"https://a.example\"", 4, 13, ".authority", "another provider"),
    ("provider = \"oidc\"", 1, 10, "", "neither `provider`"),
    ("issuer = \"https://a.example\"\ntenant = \"a\"", 3, 10, ".tenant", "provider = \"entra\""),
    ("issuer = \"https://a.example\"\nsubject_claim = \"email\"", 3, 17, ".subject_claim", "given to somebody else"),
    ("issuer = \"https://a.example\"\nclient_claim = \"\"", 3, 16, ".client_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nroles_claim = []", 3, 1, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nroles_claim = \"a..b\"", 3, 15, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nrequired_claims.a = []", 3, 17, ".required_claims.a", "no token would be accepted"),
    ("issuer = \"https://a.example\"\nforbidden_claims = [\"\"]", 3, 21, ".forbidden_claims[0]", "a claim has a name"),
];

#[rustfmt::skip]
const BAD_FACTS: &[(&str, usize, usize, &str, &str)] = &[
    ("[zones.a]", 1, 8, "zones.a", "no `networks`"),
    ("[zones.\"a b\"]\nnetworks = [\"10.0.0.0/8\"]", 1, 8, "zones.a b", "letters, digits"),
    ("[zones.a]\nnetworks = [\"10.1.0.0/8\"]", 2, 13, "zones.a.networks[0]", "write \"10.0.0.0/8\""),
    ("[zones.a]\nnetworks = [\"::ffff:10.0.0.0/104\"]", 2, 13, "zones.a.networks[0]", "an address within a network"),
    ("[zones.a]\nnetworks = [\"10.0.0.0/33\"]", 2, 13, "zones.a.networks[0]", "not an address"),
    ("[zones.a]\nnetworks = [\"office.example\"]", 2, 13, "zones.a.networks[0]", "not an address"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nRisk = { type = \"bool\" }", 4, 1, "issuers.a.claims.Risk", "lower-case letters"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nzones = { type = \"bool\" }", 4, 1, "issuers.a.claims.zones", "something else by this name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { type = \"text\" }", 4, 17, "issuers.a.claims.risk.type", "not one of the values"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { }", 4, 1, "issuers.a.claims.risk", "no `type`"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { type = \"bool\", claim = \"a..b\" }", 4, 33, "issuers.a.claims.risk.claim", "a claim has a name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\nclaims.risk.type = \"bool\"\n[issuers.b]\nissuer = \"https://b.example\"\nclaims.risk.type = \"string\"", 6, 20, "issuers.b.claims.risk.type", "write type = \"bool\""),
];

#[test]
fn auth_05_refuses_facts_that_mean_nothing_or_two_things() {
    for (text, line, column, key, words) in BAD_FACTS {
        refuses(&format!("{text}\n"), *line, *column, key, words);
    }
}

#[rustfmt::skip]
const BAD_TREES: &[(&str, usize, usize, &str, &str)] = &[
    ("a = [\"a\"]", 4, 1, "a", "implies itself: a > a"),
    ("a = [\"b\"]\nb = [\"c\"]\nc = [\"x\", \"a\"]", 4, 1, "a", "implies itself: a > b > c > a"),
    ("d = [\"a\"]\na = [\"b\"]\nb = [\"a\"]", 5, 1, "a", "the wider scope imply the narrower"),
    ("a = []", 4, 1, "a", "implies nothing"),
    ("a = [\"b c\"]", 4, 6, "a[0]", "not a scope"),
];

#[test]
fn auth_10_refuses_scopes_that_imply_each_other() {
    for (lines, line, column, key, words) in BAD_TREES {
        let key = format!("issuers.a.scope_implies.{key}");
        let issuer = "[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.scope_implies]\n";
        refuses(&format!("{issuer}{lines}\n"), *line, *column, &key, words);
    }
    let said = |text: &str| reads(text).unwrap_err().to_string();
    let own = "[issuers.a]\nembedded = true\n[issuers.a.scope_implies]\na = [\"b\"]\n";
    assert!(said(own).contains("the embedded issuer needs no such key"));
    let many: Vec<String> = (0..256).map(|n| format!("\"s{n}\"")).collect();
    let many = many.join(", ");
    let wide = format!(
        "[issuers.a]\nissuer = \"https://a.example\"\nscope_implies = {{ a = [{many}] }}\n"
    );
    assert!(said(&wide).contains("too many scopes: at most 256"));
}

#[test]
fn auth_02_refuses_presets_that_would_let_others_in() {
    for (lines, line, column, key, words) in BAD_PRESETS {
        let key = format!("issuers.a{key}");
        let text = format!("[issuers.a]\n{lines}\n");
        refuses(&text, *line, *column, &key, words);
    }
}

#[test]
fn tok_15_ages_of_keys_are_checked() {
    let line = |text: &str| format!("[keys.rotate_every]\n{text}\n");
    for (text, column, words) in [
        ("issuer = \"23h\"", 10, "1d to 3650d"),
        ("audit = \"9999d\"", 9, "out of range"),
        ("wrapping = \"soon\"", 12, "not a duration"),
    ] {
        let key = text.split(' ').next().unwrap();
        let key = format!("keys.rotate_every.{key}");
        refuses(&line(text), 2, column, &key, words);
    }
    let checked = reads(&format!("{}{REST}", line("client = \"30d\""))).unwrap();
    assert_eq!(checked.rotate_every.signing.len(), 1);
    assert!(checked.rotate_every.wrapping.is_none());
}

#[test]
fn tok_06_each_server_of_entra_has_an_audience_of_its_own() {
    let entra = format!("[issuers.a]\nprovider = \"entra\"\ntenant = \"{TENANT}\"\n");
    let rest = "[servers.rest]\nurl = \"https://rest.example/mcp\"\n";
    let said = |servers: &str| match reads(&format!("{entra}{servers}")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    assert!(said(rest).contains("Entra's tokens never have the server's URL"));
    let both = format!("{rest}audience = \"x\"\n[servers.b]\ncommand = \"b\"\n");
    assert!(said(&format!("{both}audience = \"x\"\n")).contains("the same audience"));
    assert!(said(&both).contains("Entra's tokens never have"));
    assert_eq!(said(&format!("{both}audience = \"y\"\n")), "");
}

#[test]
fn tok_19_destinations_of_alerts_are_checked() {
    let hook = "webhook = \"https://siem.example/hook\"";
    let good = [
        "syslog = \"tls://siem.example:6514\"".to_owned(),
        "syslog = \"udp://127.0.0.1:514\"".to_owned(),
        "file = \"alerts.jsonl\"".to_owned(),
        "stdout = true\nevents = [\"authz.deny\", \"authn.reject/signature\"]".to_owned(),
    ];
    for lines in good {
        let checked = reads(&format!("[alerts.siem]\n{lines}\n{REST}")).unwrap();
        assert_eq!(checked.alerts.len(), 1);
    }
    for (lines, key, words) in [
        ("severity = \"low\"", "alerts.siem", "one of `webhook`"),
        (
            "file = \"a\"\nstdout = true",
            "alerts.siem",
            "one of `webhook`",
        ),
        (hook, "alerts.siem", "without `secret`"),
        (
            "file = \"a\"\nsecret = { file = \"short\" }",
            "alerts.siem.secret",
            "only for a `webhook`",
        ),
        (
            "syslog = \"tcp://siem.example:514\"",
            "alerts.siem.syslog",
            "only on loopback",
        ),
        (
            "syslog = \"tls://siem.example\"",
            "alerts.siem.syslog",
            "not a syslog server",
        ),
        (
            "syslog = \"tls://siem.example:6514/x\"",
            "alerts.siem.syslog",
            "not a syslog server",
        ),
        (
            "stdout = true\nevents = [\"denied\"]",
            "alerts.siem.events[0]",
            "not an event",
        ),
    ] {
        let text = format!("[alerts.siem]\n{lines}\n");
        let problems = reads(&format!("{text}{REST}")).expect_err(&text);
        let found = problems
            .as_slice()
            .iter()
            .any(|problem| problem.key == key && problem.to_string().contains(words));
        assert!(found, "{text}\n{problems}");
    }
    let short = format!("[alerts.siem]\n{hook}\nsecret = {{ file = \"short\" }}\n");
    let problems = reads(&format!("{short}{REST}")).expect_err(&short);
    assert!(problems.to_string().contains("too short"), "{problems}");
}

#[test]
fn auth_05_what_is_pushed_has_a_type_and_somebody_who_pushes_it() {
    let issuer = |more: &str, claim: &str| {
        format!(
            "[issuers.idp]\nissuer = \"https://idp.example\"\n{more}\n[issuers.idp.claims]\nx = {{ {claim} }}\n{REST}"
        )
    };
    let signals = "signals = { audience = \"https://gate.example/signals\" }";
    for (kind, topic) in [
        ("bool", "device-compliance"),
        ("string", "risk-level"),
        ("string", "assurance-level"),
    ] {
        let claim = format!("type = \"{kind}\", pushed = \"{topic}\"");
        drop(reads(&issuer(signals, &claim)).unwrap());
        let problems = reads(&issuer("", &claim)).expect_err("no signals");
        assert!(
            problems.to_string().contains("nothing is pushed"),
            "{problems}"
        );
        let claim = format!("type = \"long\", pushed = \"{topic}\"");
        let problems = reads(&issuer(signals, &claim)).expect_err("another type");
        assert!(problems.to_string().contains("another type"), "{problems}");
    }
    let problems =
        reads(&issuer(signals, "type = \"bool\", pushed = \"weather\"")).expect_err("weather");
    assert!(
        problems.to_string().contains("device-compliance"),
        "{problems}"
    );
}
