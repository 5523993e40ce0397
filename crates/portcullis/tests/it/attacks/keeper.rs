//! Secrets that are kept elsewhere: in a vault, in Azure Key Vault, behind a program. Who has the configuration, the
//! environment or the log has none of them, and without them the gateway does not go on.

use crate::harness::keeper::{ACCOUNT, Azure, ROOT, SECRET_ID, Vault};
use crate::harness::{AMPLE, Oracle, Request, Scene, call, now, portcullis, wait_for};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an issuer's peers and the gateway share.
const SHARED: &str = "canary-0123456789abcdef0123456789";
const CANARY: &str = "canary-api-key-93ab";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

/// The usual server with a key from elsewhere.
fn header(reference: &str) -> String {
    format!("headers = {{ X-Key = {{ {reference} }} }}\n")
}

/// A gateway that did not start, or a file that is not good: what was said of it.
fn refused(command: &str, config: &str) -> String {
    let files = Files::new();
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n[issuers.own]\nembedded = true\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n{config}"
    );
    let file = files.with("portcullis.toml", &text, 0o600);
    let ran = portcullis(&[command, "--config", file.to_str().unwrap()]);
    assert!(!ran.status.success(), "{ran:?}");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("canary"), "{said}");
    said
}

fn sent(scene: &Scene) -> String {
    let token = scene.token("alice");
    scene.permits(&call("echo").token(&token));
    let seen = scene.upstream.requests().pop().unwrap();
    seen.header("x-key").unwrap_or_default().to_owned()
}

fn reads(scene: &Scene, key: &str) -> usize {
    let reads = scene.gateway.records("secret.read", None);
    let reads = reads.iter();
    reads
        .filter(|read| read["detail"]["key"].as_str().unwrap().starts_with(key))
        .count()
}

/// Nothing secret in the log, on stderr, in the environment or in the arguments.
fn shows_nothing(scene: &Scene) {
    assert!(!scene.gateway.traces().contains("canary"));
    let process = Path::new("/proc").join(scene.gateway.process().0.to_string());
    for name in ["cmdline", "environ"] {
        let shown = std::fs::read(process.join(name)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&shown).contains("canary"),
            "{name}"
        );
    }
}

#[test]
fn tok_12_reads_a_secret_from_a_vault_by_each_way_to_sign_in() {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let secret = files.with("secret-id", SECRET_ID, 0o600);
    let account = files.with("account", ACCOUNT, 0o600);
    let ways = [
        format!("token = {{ file = '{}' }}", token.display()),
        format!(
            "app_role = {{ role_id = \"gateway\", secret_id = {{ file = '{}' }} }}",
            secret.display()
        ),
        format!(
            "kubernetes = {{ role = \"gateway\", jwt = '{}' }}",
            account.display()
        ),
    ];
    for way in ways {
        let vault = Vault::start();
        vault.write(
            "kv/team/notes",
            json!({ "key": CANARY, "other": "canary-other" }),
        );
        let scene = Scene::and(&format!(
            "{}[vaults.prod]\naddress = \"{}\"\nnamespace = \"team\"\n{way}\n",
            header("vault = \"kv/team/notes#key\""),
            vault.url()
        ));
        assert_eq!(sent(&scene), CANARY);
        let read = scene.gateway.expect("secret.read", None);
        assert_eq!(read["detail"]["reference"], "vault:prod:kv/team/notes#key");
        assert_eq!(read["detail"]["key"], "servers.notes.headers.X-Key.vault");
        shows_nothing(&scene);
        let seen = vault.seen();
        assert!(
            seen.iter()
                .all(|seen| seen.header("x-vault-namespace") == Some("team"))
        );
        assert_eq!(vault.tokens(), 1, "a token of ours is given back");
    }
}

#[test]
fn tok_12_does_not_start_without_a_secret() {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let other = files.with("other", "hvs.canary-forged", 0o600);
    let vault = Vault::start();
    vault.write(
        "kv/notes",
        json!({ "key": CANARY, "number": 7, "empty": " " }),
    );
    vault.write("kv/deleted", json!(null));
    let at = |url: &str, token: &Path| {
        format!(
            "[vaults.prod]\naddress = \"{url}\"\ntoken = {{ file = '{}' }}\n",
            token.display()
        )
    };
    let nobody = "http://127.0.0.1:9";
    for (reference, address, token, says) in [
        ("kv/notes#nothing", &*vault.url(), &token, "no such secret"),
        ("kv/nothing#key", &vault.url(), &token, "no such secret"),
        ("kv/deleted#key", &vault.url(), &token, "no such secret"),
        ("kv/notes#number", &vault.url(), &token, "not a text"),
        ("kv/notes#empty", &vault.url(), &token, "empty"),
        ("kv/notes#key", &vault.url(), &other, "access was denied"),
        ("kv/notes#key", nobody, &token, "cannot be reached"),
        (
            "kv/../sys#key",
            &vault.url(),
            &token,
            "not the place of a secret",
        ),
        ("other:kv/notes#key", &vault.url(), &token, "which vault"),
    ] {
        let config = header(&format!("vault = \"{reference}\"")) + &at(address, token);
        for command in ["serve", "check"] {
            let said = refused(command, &config);
            assert!(said.contains(says), "{reference} {said}");
        }
    }
    vault.seal(true);
    let config = header("vault = \"kv/notes#key\"") + &at(&vault.url(), &token);
    let said = refused("serve", &config);
    assert!(said.contains("sealed"), "{said}");
    assert!(said.contains("servers.notes.headers.X-Key.vault"), "{said}");
    // What opens a vault is not in one.
    let config = "[vaults.prod]\naddress = \"https://a.example\"\ntoken = { exec = [\"/bin/echo\", \"x\"] }\n";
    assert!(refused("check", config).contains("cannot be in one"));
}

#[test]
fn tok_12_a_vault_that_is_sealed_for_too_long_denies_until_it_is_not() {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let vault = Vault::start();
    vault.write("kv/notes", json!({ "key": CANARY }));
    let scene = Scene::and(&format!(
        "{}[servers.free]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n[secrets]\nttl = \"3s\"\n[vaults.prod]\naddress = \"{}\"\ntoken = {{ file = '{}' }}\n",
        header("vault = \"kv/notes#key\""),
        vault.url(),
        token.display()
    ));
    let alice = scene.token("alice");
    let request = call("echo").token(&alice);
    scene.permits(&request);
    wait_for("the secret to be read again", || {
        (reads(&scene, "servers.notes") > 1).then_some(())
    });
    assert!(
        scene.gateway.records("config.reloaded", None).is_empty(),
        "nothing has changed"
    );
    vault.seal(true);
    scene.gateway.expect("secret.unavailable", Some("sealed"));
    scene.permits(&request); // believed still
    let expired = scene.gateway.expect("secret.expired", None);
    assert_eq!(expired["detail"]["owner"], "servers.notes");
    scene.refuses(&request, (503, -32603), ("upstream.failed", "secret"));
    // A server that needs no secret goes on.
    let free = scene.idp.draft("alice", &scene.gateway.url("free")).sign();
    scene.permits(&call("echo").to("/servers/free/mcp").token(&free));
    // A reload is refused, and the old rules stay: also those of the secret.
    let before = scene.gateway.records("config.rejected", None).len();
    scene.gateway.hang_up();
    wait_for("the refusal", || {
        (scene.gateway.records("config.rejected", None).len() > before).then_some(())
    });
    scene.refuses(&request, (503, -32603), ("upstream.failed", "secret"));
    vault.seal(false);
    scene.gateway.expect("secret.recovered", None);
    scene.permits(&request);
    assert_eq!(scene.gateway.records("secret.expired", None).len(), 1);
    shows_nothing(&scene);
}

#[test]
fn tok_12_commands_that_need_no_secret_read_none() {
    let directory = Files::new();
    let token = directory.with("token", ROOT, 0o600);
    let vault = Vault::start();
    vault.write("kv/notes", json!({ "url": "https://canary.example/mcp" }));
    let config = format!(
        "[gateway]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n[issuers.own]\nembedded = true\n[servers.notes]\nurl = {{ vault = \"kv/notes#url\" }}\n[vaults.prod]\naddress = \"{}\"\ntoken = {{ file = '{}' }}\n",
        vault.url(),
        token.display()
    );
    let file = directory.with("portcullis.toml", &config, 0o600);
    std::fs::create_dir(directory.0.path().join("keys")).unwrap();
    let file = file.to_str().unwrap();
    let minted = portcullis(&["token", "--config", file, "--server", "notes"]);
    assert!(minted.status.success(), "{minted:?}");
    assert!(vault.seen().is_empty());
    assert!(portcullis(&["check", "--config", file]).status.success());
    assert_eq!(vault.seen().len(), 1);
    vault.write("kv/notes", json!({ "url": "no url" }));
    assert!(!portcullis(&["check", "--config", file]).status.success());
}

#[test]
fn tok_15_takes_up_a_secret_that_was_rotated_in_its_vault() {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let vault = Vault::start();
    vault.write("kv/notes", json!({ "key": CANARY }));
    let scene = Scene::and(&format!(
        "{}[secrets]\nttl = \"2s\"\n[vaults.prod]\naddress = \"{}\"\ntoken = {{ file = '{}' }}\n",
        header("vault = \"kv/notes#key\""),
        vault.url(),
        token.display()
    ));
    assert_eq!(sent(&scene), CANARY);
    vault.write("kv/notes", json!({ "key": "canary-the-next" }));
    scene.gateway.expect("config.reloaded", None);
    assert_eq!(sent(&scene), "canary-the-next");
    shows_nothing(&scene);
}

#[test]
fn tok_12_reads_a_secret_from_azure_key_vault() {
    let files = Files::new();
    let secret = files.with("secret", SECRET_ID, 0o600);
    let wrong = files.with("wrong", "canary-wrong", 0o600);
    let azure = Azure::start(CANARY);
    let application = |secret: &Path| {
        format!(
            "[azure_key_vault]\ntenant = \"contoso\"\nclient_id = \"gateway\"\nclient_secret = {{ file = '{}' }}\nauthority = \"{}\"\n",
            secret.display(),
            azure.url()
        )
    };
    let managed = format!(
        "[azure_key_vault]\nmanaged_identity = true\nidentity_endpoint = \"{}/metadata/identity/oauth2/token\"\n",
        azure.url()
    );
    let at = |name: &str| {
        header(&format!(
            "azure_key_vault = \"{}/secrets/{name}\"",
            azure.url()
        ))
    };
    for (name, sign_in) in [("notes", application(&secret)), ("notes/0123", managed)] {
        let scene = Scene::and(&format!("{}{sign_in}", at(name)));
        assert_eq!(sent(&scene), CANARY);
        let read = scene.gateway.expect("secret.read", None);
        let reference = format!("azure_key_vault:{}/secrets/{name}", azure.url());
        assert_eq!(read["detail"]["reference"], reference.as_str());
        shows_nothing(&scene);
    }
    for (config, says) in [
        (at("nothing") + &application(&secret), "no such secret"),
        (at("forbidden") + &application(&secret), "access was denied"),
        (at("notes") + &application(&wrong), "access was denied"),
        (at("notes"), "how to sign in"),
        (
            header("azure_key_vault = \"https://evil.example/secrets/notes\"")
                + &application(&secret),
            "not the address",
        ),
    ] {
        let said = refused("serve", &config);
        assert!(said.contains(says), "{said}");
    }
    assert!(
        azure
            .seen()
            .iter()
            .all(|seen| !seen.target.contains("canary"))
    );
}

#[test]
fn tok_12_reads_a_secret_from_a_program_that_gets_nothing_to_read() {
    let files = Files::new();
    let program = |name: &str, body: &str, mode: u32| {
        let path = files.with(name, &format!("#!/bin/sh\n{body}\n"), mode);
        header(&format!(
            "exec = [\"{}\", \"$HOME;id\", \"*\"]",
            path.display()
        ))
    };
    // It says what it was given: no variable but those that a shell sets itself, its arguments as they are.
    let told = "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= >&2; printf 'canary|%s|%s|%s\\n' \"$1\" \"$2\" \"$(env | grep -c -i -e portcullis -e cargo -e home -e path)\"";
    let scene = Scene::and(&program("good", told, 0o700));
    assert_eq!(sent(&scene), "canary|$HOME;id|*|0");
    let read = scene.gateway.expect("secret.read", None);
    let reference = read["detail"]["reference"].as_str().unwrap();
    assert!(reference.ends_with("/good"), "no arguments: {reference}");
    shows_nothing(&scene);
    for (name, body, mode, says) in [
        (
            "fails",
            "echo canary; echo canary >&2; exit 3",
            0o700,
            "exit code 3",
        ),
        ("says-nothing", "true", 0o700, "empty"),
        (
            "long",
            "head -c 65537 /dev/zero | tr '\\0' x",
            0o700,
            "printed too much",
        ),
        ("binary", "printf '\\377'", 0o700, "not a text"),
        (
            "open",
            "echo canary",
            0o777,
            "others than its owner can write it",
        ),
        ("hangs", "sleep 600", 0o700, "no answer in time"),
        ("reads", "cat; echo canary", 0o700, "no answer in time"),
    ] {
        let said = refused("check", &program(name, body, mode));
        assert!(said.contains(says), "{name} {said}");
    }
    let longest = program("longest", "head -c 65536 /dev/zero | tr '\\0' x", 0o700);
    let said = refused("check", &(longest + "nothing = 1\n"));
    assert!(!said.contains("printed too much"), "{said}");
    for words in ["[]", "[\"true\"]", "[\"./true\"]", "[\"\"]"] {
        let said = refused("check", &header(&format!("exec = {words}")));
        assert!(said.contains("absolute path"), "{said}");
    }
    let both = header("exec = [\"/bin/true\"], env = \"HOME\"");
    assert!(refused("check", &both).contains("both `env` and `exec`"));
}

#[test]
fn tok_15_a_secret_that_cannot_be_taken_up_denies_nobody_else() {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let rules = files.with("rules.cedar", "// nothing\n", 0o600);
    let vault = Vault::start();
    vault.write("kv/notes", json!({ "key": CANARY }));
    vault.write("kv/other", json!({ "key": "canary-other" }));
    let scene = Scene::and(&format!(
        "{}[servers.other]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n{}[policy]\nfiles = ['{}']\n[secrets]\nttl = \"2s\"\n[vaults.prod]\naddress = \"{}\"\ntoken = {{ file = '{}' }}\n",
        header("vault = \"kv/notes#key\""),
        header("vault = \"kv/other#key\""),
        rules.display(),
        vault.url(),
        token.display()
    ));
    let notes = call("echo").token(&scene.token("alice"));
    let other = scene.idp.draft("alice", &scene.gateway.url("other")).sign();
    let other = call("echo").to("/servers/other/mcp").token(&other);
    scene.permits(&notes);
    std::fs::write(&rules, "permit(").unwrap();
    scene.gateway.expect("config.rejected", None);
    vault.write("kv/notes", json!({ "key": "canary-the-next" }));
    let expired = scene.gateway.expect("secret.expired", None);
    assert_eq!(expired["detail"]["owner"], "servers.notes");
    scene.refuses(&notes, (503, -32603), ("upstream.failed", "secret"));
    let before = reads(&scene, "servers.other");
    wait_for(
        "the other secret to be read for longer than it is believed",
        || (reads(&scene, "servers.other") > before + 3).then_some(()),
    );
    scene.permits(&other);
    std::fs::write(&rules, "// nothing again\n").unwrap();
    scene.gateway.expect("secret.recovered", None);
    assert_eq!(sent(&scene), "canary-the-next");
    assert_eq!(scene.gateway.records("secret.expired", None).len(), 1);
}

/// What an issuer's part of the file needs is in a vault that is lost, and found again.
fn lost_and_found(reference: &str, tries: impl Fn(&Scene) -> Request, reason: &str) {
    let files = Files::new();
    let token = files.with("token", ROOT, 0o600);
    let vault = Vault::start();
    vault.write("kv/issuer", json!({ "key": SHARED }));
    let oracle = Oracle::start();
    let scene = Scene::with(&format!(
        "{AMPLE}[issuers.idp]\nissuer = \"{{idp}}\"\n{}\n\
         [servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n[secrets]\nttl = \"3s\"\n\
         [vaults.prod]\naddress = \"{}\"\ntoken = {{ file = '{}' }}\n",
        reference
            .replace("{oracle}", &oracle.url())
            .replace("{secret}", "{ vault = \"kv/issuer#key\" }"),
        vault.url(),
        token.display()
    ));
    for number in 0..8 {
        let answer = json!({
            "active": true, "iss": scene.idp.issuer(), "aud": scene.gateway.url("notes"),
            "sub": "alice", "client_id": "agent", "iat": now(), "exp": now() + 600,
        });
        oracle.knows(&format!("opaque-{number}"), answer);
    }
    let good = scene.send(&tries(&scene));
    assert!((200..300).contains(&good.status), "{good:?}");
    vault.seal(true);
    let expired = scene.gateway.expect("secret.expired", None);
    assert_eq!(expired["detail"]["owner"], "issuers.idp");
    let refused = scene.send(&tries(&scene));
    assert_eq!(refused.status, 503, "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["reason"], reason, "{record}");
    vault.seal(false);
    scene.gateway.expect("secret.recovered", None);
    let good = scene.send(&tries(&scene));
    assert!((200..300).contains(&good.status), "{good:?}");
    shows_nothing(&scene);
}

#[test]
fn tok_12_introspection_whose_secret_is_in_a_lost_vault_denies() {
    let asked = AtomicUsize::new(0);
    // Each token is asked about for the first time.
    let tries = |_: &Scene| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        call("echo").token(&format!("opaque-{number}"))
    };
    lost_and_found(
        "introspection = { endpoint = \"{oracle}\", client_id = \"gate\", client_secret = {secret} }",
        tries,
        "introspection",
    );
}

#[test]
fn tok_12_events_and_directories_whose_secret_is_in_a_lost_vault_deny() {
    let event = |scene: &Scene| {
        let kind = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
        Request::new("POST", "/signals/idp")
            .set("content-type", "application/secevent+jwt")
            .set("accept", "application/json")
            .token(SHARED)
            .body(&scene.event("mallory", kind).sign())
    };
    lost_and_found(
        "signals = { audience = \"https://gateway.example/signals/idp\", bearer = {secret} }",
        event,
        "secret",
    );
    let users = |_: &Scene| {
        Request::new("GET", "/scim/idp/v2/Users")
            .set("content-type", "application/scim+json")
            .token(SHARED)
    };
    lost_and_found("scim = { bearer = {secret} }", users, "secret");
}
