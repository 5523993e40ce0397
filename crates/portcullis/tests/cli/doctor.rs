//! `portcullis doctor`.

use super::log::Home;
use super::{Ran, command, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// An installation: a data directory, a configuration on free ports, and keys and a log of a gateway that ran.
struct Installation {
    home: tempfile::TempDir,
}

impl Installation {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (listen, admin) = (free_port(), free_port());
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let config = format!(
            "[gateway]\nlisten = \"127.0.0.1:{listen}\"\nadmin = \"127.0.0.1:{admin}\"\n[limits]\nconnections = 100\n\
             [audit]\nwitness = [\"witness/checkpoint\"]\n[issuers.local]\nembedded = true\n\
             [servers.notes]\ncommand = \"true\"\ninherit_env = [\"PATH\"]\n"
        );
        std::fs::write(home.path().join("portcullis.toml"), config).unwrap();
        let made = Self { home };
        let mut gateway = made.start();
        made.stop(&mut gateway);
        made
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn start(&self) -> Child {
        let mut gateway = command(self.path(), &["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..400 {
            if self.path().join("running.json").exists() {
                return gateway;
            }
            assert!(
                gateway.try_wait().unwrap().is_none(),
                "the gateway has ended"
            );
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the gateway does not start");
    }

    fn stop(&self, gateway: &mut Child) {
        let id = rustix::process::Pid::from_child(gateway);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(gateway.wait().unwrap().success());
        assert!(!self.path().join("running.json").exists());
    }

    fn doctor(&self) -> Ran {
        run(
            self.path(),
            &["doctor", "--data", self.path().to_str().unwrap(), "--json"],
        )
    }

    fn edit(&self, from: &str, to: &str) {
        let file = self.path().join("portcullis.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        std::fs::write(file, text.replace(from, to)).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// What is wrong, by its ids; notes are left out.
fn wrong(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let findings = json["findings"].as_array().unwrap().iter();
    for finding in findings.clone() {
        assert!(
            finding["what"].is_string() && finding["fix"].is_string(),
            "{finding}"
        );
    }
    let wrong = findings.filter(|finding| finding["severity"] != "note");
    wrong
        .map(|finding| finding["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_good_installation_is_good_whether_or_not_it_runs() {
    let installation = Installation::new();
    let ran = installation.doctor();
    assert_eq!((ran.code, wrong(&ran)), (0, Vec::new()), "{ran:?}");
    let looked: Vec<Value> = ran.json()["checked"].as_array().unwrap().clone();
    for what in [
        "config", "data", "keys", "state", "gateway", "ports", "limits", "servers", "issuers",
        "witness", "disk", "clock", "audit",
    ] {
        assert!(looked.contains(&what.into()), "{what}");
    }
    let mut gateway = installation.start();
    let ran = installation.doctor();
    assert_eq!((ran.code, wrong(&ran)), (0, Vec::new()), "{ran:?}");
    let config = installation.path().join("portcullis.toml");
    let text = run(
        installation.path(),
        &["doctor", "--config", config.to_str().unwrap()],
    );
    assert_eq!(text.code, 0);
    assert!(text.out.ends_with("nothing is wrong\n"), "{}", text.out);
    installation.stop(&mut gateway);
}

type Harm = fn(&Installation);

/// What is done to an installation, and what is found.
const HARMS: [(Harm, &[&str]); 15] = [
    (
        |it| it.edit("connections = 100", "conections = 100"),
        &["config.problem"],
    ),
    (
        |it| std::fs::remove_file(it.path().join("portcullis.toml")).unwrap(),
        &["config.missing"],
    ),
    (
        |it| chmod(&it.path().join("portcullis.toml"), 0o666),
        &["config.mode"],
    ),
    (|it| chmod(it.path(), 0o755), &["data.mode"]),
    (
        |it| chmod(&it.path().join("keys/audit.ed25519"), 0o640),
        &["keys.mode"],
    ),
    (
        |it| std::fs::remove_file(it.path().join("keys/issuer.ed25519")).unwrap(),
        &["keys.missing"],
    ),
    (
        |it| {
            let keys = it.path().join("keys");
            std::fs::copy(keys.join("issuer.ed25519"), keys.join("audit.ed25519")).unwrap();
        },
        &["keys.mismatch"],
    ),
    (
        |it| {
            let keys = it.path().join("keys");
            std::fs::copy(keys.join("audit.ed25519"), keys.join("issuer.ed25519")).unwrap();
        },
        &["keys.mismatch"],
    ),
    (
        |it| it.edit("\"true\"", "\"no-such-program\""),
        &["servers.command"],
    ),
    (
        |it| it.edit("\"true\"", "\"./portcullis.toml\""),
        &["servers.command"],
    ),
    (
        |it| {
            std::fs::create_dir(it.path().join("secrets")).unwrap();
            std::fs::write(it.path().join("secrets/a"), "x").unwrap();
            chmod(&it.path().join("secrets/a"), 0o644);
        },
        &["secrets.mode"],
    ),
    (
        |it| it.edit("witness/checkpoint", "audit/checkpoint"),
        &["witness.beside"],
    ),
    (
        |it| {
            std::fs::write(
                it.path().join("running.json"),
                r#"{"pid":-1,"public_url":"x"}"#,
            )
            .unwrap();
        },
        &["gateway.ended"],
    ),
    (
        |it| {
            let other = Home::new();
            std::fs::copy(other.witness(), it.path().join("witness/checkpoint")).unwrap();
        },
        &["audit.witness"],
    ),
    (
        |it| {
            let first = it.path().join("audit").join(format!("{:020}.jsonl", 0));
            std::fs::write(first, "").unwrap();
        },
        &["audit.cut", "audit.cut"],
    ),
];

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_wrong_is_found_and_how_to_mend_it() {
    for (number, (harm, expected)) in HARMS.iter().enumerate() {
        let installation = Installation::new();
        harm(&installation);
        let ran = installation.doctor();
        assert_eq!(
            (ran.code, wrong(&ran)),
            (1, expected.iter().map(ToString::to_string).collect()),
            "{number}: {ran:?}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_found() {
    let installation = Installation::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = std::fs::read_to_string(installation.path().join("portcullis.toml")).unwrap();
    let listen = text
        .lines()
        .find_map(|line| line.strip_prefix("listen = "))
        .unwrap();
    installation.edit(listen, &format!("\"{}\"", taken.local_addr().unwrap()));
    let ran = installation.doctor();
    assert_eq!(
        (ran.code, wrong(&ran)),
        (1, vec!["ports.listen".to_owned()]),
        "{ran:?}"
    );
    let text = run(installation.path(), &["doctor", "--data", "."]);
    assert!(
        text.out.contains("error[ports.listen]: ") && text.out.contains("\n  fix: "),
        "{}",
        text.out
    );
}

#[test]
fn where_there_is_nothing_nothing_can_be_told() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["doctor", "--data", "none"][..],
        &["doctor"],
        &["doctor", "--config", "none.toml"],
    ] {
        let ran = run(home.path(), arguments);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("nothing to look at"));
    }
    let json = run(home.path(), &["doctor", "--data", "none", "--json"]);
    assert_eq!(
        (json.code, json.json()["findings"].as_array().map(Vec::len)),
        (2, Some(0))
    );
}

/// An issuer that answers every path with what is written for it, and 404 otherwise.
fn issuer(documents: impl Fn(&str, &str) -> Option<String> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let own = url.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut head).unwrap() > 2 {}
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match documents(&own, path) {
                Some(body) => (200, body),
                None => (404, String::new()),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Metadata that names the issuer with `more` at its end, and these keys.
fn with(more: &'static str, keys: &'static str) -> String {
    issuer(move |url, path| match path {
        "/.well-known/oauth-authorization-server" => Some(format!(
            "{{\"issuer\":\"{url}{more}\",\"jwks_uri\":\"{url}/jwks\"}}"
        )),
        "/jwks" if !keys.is_empty() => Some(keys.to_owned()),
        _ => None,
    })
}

/// What an issuer is like, and what is found about it: the id, and a part of the fix.
type Found = Option<(&'static str, &'static str)>;

fn looks() -> Vec<(String, &'static str, Found)> {
    let gone = format!("http://127.0.0.1:{}", free_port());
    let silent = Some(("issuers.unreachable", "look at the name"));
    let other = "algorithms = [\"RS256\", \"ES256\"]";
    let none = r#"{"keys":[]}"#;
    let metadata = |fix| Some(("issuers.metadata", fix));
    vec![
        (with("", KEY), "", None),
        (with("/", KEY), "", metadata("slash at the end")),
        (with("/{tenantid}/v2.0", KEY), "", metadata("many tenants")),
        (
            with(".evil.example", KEY),
            "",
            metadata("if its tokens have that"),
        ),
        (issuer(|_, _| None), "", silent),
        (
            issuer(|_, _| Some("{}".to_owned())),
            "",
            metadata("jwks_uri"),
        ),
        (
            with("", none),
            "",
            Some(("issuers.keys", "not with a shared secret")),
        ),
        (with("", ""), "", silent),
        (
            with("", KEY),
            other,
            Some(("issuers.algorithms", "issuers.idp.algorithms")),
        ),
        (gone, "", silent),
    ]
}

#[test]
fn auth_07_doctor_says_why_tokens_of_an_issuer_cannot_be_verified() {
    let installation = Installation::new();
    let mut before = "embedded = true".to_owned();
    for (url, more, expected) in looks() {
        let now = format!("embedded = true\n[issuers.idp]\nissuer = \"{url}\"\n{more}");
        installation.edit(&before, &now);
        before = now;
        let ran = installation.doctor();
        let json = ran.json();
        let findings = json["findings"].as_array().unwrap().iter();
        let is_about_it =
            |finding: &&Value| finding["id"].as_str().unwrap().starts_with("issuers.");
        let found: Vec<&Value> = findings.filter(is_about_it).collect();
        match (expected, found.as_slice()) {
            (None, []) => assert_eq!(ran.code, 0, "{ran:?}"),
            (Some((id, fix)), [one]) => {
                assert_eq!(one["id"], id, "{one}");
                assert!(one["fix"].as_str().unwrap().contains(fix), "{one}");
                assert!(one["what"].as_str().unwrap().contains(&url), "{one}");
                assert_eq!(ran.code, 1);
            }
            _ => panic!("{url} {more}: {found:?}"),
        }
    }
}
