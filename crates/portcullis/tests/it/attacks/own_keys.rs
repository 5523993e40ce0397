//! Servers that share nothing: who has what the gateway has told one of them, or the key by which it did, has nothing for another.

use crate::harness::{
    AMPLE, Gateway, Idp, Relying, Request, SoftHsm, TokenKey, call, now, portcullis, verified,
    verified_by, wait_for,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header};
use serde_json::{Value, json};
use std::path::PathBuf;

const NOTES: &str = "https://notes.example";
const MAIL: &str = "https://mail.example";
const OLD: &str = "https://old.example";

struct Scene {
    gateway: Gateway,
    idp: Idp,
    notes: Relying,
    mail: Relying,
    old: Relying,
}

fn server(name: &str, server: &Relying, credentials: &str) -> String {
    let url = server.upstream.url();
    format!(
        "[servers.{name}]\nurl = \"{url}\"\nallow = [\"*\"]\n\
         credentials = {{ kind = \"assertion\", {credentials} }}\n"
    )
}

impl Scene {
    fn start() -> Self {
        let idp = Idp::start();
        let notes = Relying::alone("notes", NOTES);
        let mail = Relying::alone("mail", MAIL);
        let old = Relying::start(OLD);
        let all = [
            server(
                "notes",
                &notes,
                &format!("audience = \"{NOTES}\", own_key = true"),
            ),
            server(
                "mail",
                &mail,
                &format!("audience = \"{MAIL}\", own_key = true"),
            ),
            server("old", &old, &format!("audience = \"{OLD}\"")),
        ]
        .concat();
        let gateway = Gateway::start(&format!(
            "{AMPLE}[keys.rotate_every]\nassertion = \"1d\"\n[issuers.idp]\nissuer = \"{}\"\n{all}",
            idp.issuer()
        ));
        for server in [&notes, &mail, &old] {
            server.trust(gateway.address);
        }
        Self {
            gateway,
            idp,
            notes,
            mail,
            old,
        }
    }

    /// What the server of this name is shown when somebody calls it.
    fn shown(&self, name: &str, server: &Relying) -> String {
        let token = self.idp.draft("alice", &self.gateway.url(name)).sign();
        let answer = call("echo")
            .to(&format!("/servers/{name}/mcp"))
            .token(&token)
            .send(self.gateway.address);
        assert_eq!(answer.status, 200, "{name} {answer:?}");
        let seen = server.upstream.requests().pop().unwrap();
        let shown = seen.header("authorization").unwrap();
        shown.trim_start_matches("Bearer ").to_owned()
    }

    fn keys(&self, arguments: &[&str]) -> std::process::Output {
        let data = self.gateway.data();
        let config = data.parent().unwrap().join("portcullis.toml");
        let place = ["--config", config.to_str().unwrap()];
        portcullis(&[&["keys"], arguments, &place].concat())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.gateway.data().join("keys").join(name)
    }

    fn change(&self, name: &str, change: impl Fn(&mut Value)) {
        let alone = std::fs::File::open(self.file("lock")).unwrap();
        alone.lock().unwrap();
        let file = self.file(name);
        let mut ring: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut ring);
        let new = file.with_extension("test");
        std::fs::write(&new, ring.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }
}

#[test]
fn tok_04_what_one_server_hears_is_signed_by_a_key_that_says_nothing_to_another() {
    let scene = Scene::start();
    let address = scene.gateway.address;
    let to_notes = scene.shown("notes", &scene.notes);
    let to_mail = scene.shown("mail", &scene.mail);
    let to_old = scene.shown("old", &scene.old);
    verified_by(&to_notes, address, (Some("notes"), NOTES)).unwrap();
    verified_by(&to_mail, address, (Some("mail"), MAIL)).unwrap();
    verified(&to_old, address, OLD).unwrap();
    // Even whoever does not look for whom it is: its keys do not know the signature.
    for (token, audience, others) in [
        (&to_notes, NOTES, [Some("mail"), None]),
        (&to_mail, MAIL, [Some("notes"), None]),
        (&to_old, OLD, [Some("notes"), Some("mail")]),
    ] {
        for other in others {
            let refused = verified_by(token, address, (other, audience));
            assert_eq!(refused.unwrap_err(), "no such key", "{other:?}");
        }
    }
    // Nor does who has stolen one server's key sign for another, whatever name he gives the key.
    let stolen = std::fs::read(scene.file("assertion-mail.es256")).unwrap();
    let claims = verified_by(&to_notes, address, (Some("notes"), NOTES)).unwrap();
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("at+jwt".to_owned());
    for kid in [&to_notes, &to_mail] {
        header.kid = decode_header(kid).unwrap().kid;
        let key = EncodingKey::from_ec_der(&stolen);
        let forged = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        verified_by(&forged, address, (Some("notes"), NOTES)).unwrap_err();
    }
    // Only servers that have a key have one here, and that somebody looked is recorded.
    for path in ["/credentials/old/jwks.json", "/credentials/none/jwks.json"] {
        let refused = Request::new("GET", path).send(address);
        assert_eq!(refused.status, 404, "{path}");
    }
    wait_for("what was refused", || {
        let refused = scene.gateway.records("http.rejected", Some("path"));
        (refused.len() == 2).then_some(())
    });
    let served = Request::new("GET", "/credentials/notes/jwks.json").send(address);
    assert_eq!(served.status, 200);
    assert!(!served.body.contains("\"d\""));
    scene.gateway.expect("metadata.served", None);
    let started = scene.gateway.expect("gateway.started", None);
    let keys = started["detail"]["keys"].as_str().unwrap();
    assert!(keys.contains("assertion of notes "), "{keys}");
}

#[test]
fn tok_04_the_key_of_one_server_is_replaced_and_no_other() {
    let scene = Scene::start();
    let kid = |token: &str| json!(decode_header(token).unwrap().kid);
    let notes = kid(&scene.shown("notes", &scene.notes));
    let mail = kid(&scene.shown("mail", &scene.mail));
    let done = scene.keys(&["rotate", "assertion", "--server", "notes", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&told["old"], &told["server"]), (&notes, &json!("notes")));
    let record = scene.gateway.expect("key.published", None);
    assert_eq!(record["server"], "notes", "{record}");
    assert_eq!(record["detail"]["new"], told["new"]);
    assert_eq!(kid(&scene.shown("notes", &scene.notes)), notes, "not yet");
    scene.change("assertion-notes.es256.ring", |ring| {
        ring["next"]["from"] = json!(now());
    });
    let record = scene.gateway.expect("key.rotated", None);
    assert_eq!(record["server"], "notes", "{record}");
    assert_eq!(kid(&scene.shown("notes", &scene.notes)), told["new"]);
    assert_eq!(kid(&scene.shown("mail", &scene.mail)), mail);
    // By its age, too.
    scene.change("assertion-mail.es256.ring", |ring| {
        ring["made"] = json!(now() - 2 * 86_400);
    });
    let record = wait_for("the new key", || {
        let mut all = scene.gateway.records("key.published", None).into_iter();
        all.find(|record| record["server"] == "mail")
    });
    assert_eq!(record["detail"]["by"], "schedule", "{record}");
    assert_eq!(record["detail"]["key"], "assertion");
    let listed = scene.keys(&["list", "--json"]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    for name in ["notes", "mail"] {
        let of = listed.iter().filter(|key| key["server"] == name);
        assert_eq!(of.count(), 2, "{name} {listed:?}");
    }
    // What names no such key makes none.
    for arguments in [
        ["rotate", "assertion", "--server", "old"],
        ["rotate", "assertion", "--server", "../notes"],
        ["rotate", "client", "--server", "notes"],
    ] {
        let refused = scene.keys(&arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
}

#[test]
fn tok_04_a_server_that_comes_with_a_reload_has_its_key_at_once() {
    let scene = Scene::start();
    let newer = Relying::alone("newer", "https://newer.example");
    newer.trust(scene.gateway.address);
    let own = "audience = \"https://newer.example\", own_key = true";
    let table = format!("{}[servers.old]", server("newer", &newer, own));
    scene.gateway.reload("[servers.old]", &table);
    let shown = scene.shown("newer", &newer);
    let done = scene.keys(&["rotate", "assertion", "--server", "newer", "--at-once"]);
    assert!(done.status.success(), "{done:?}");
    wait_for("the new key", || {
        let mut all = scene.gateway.records("key.rotated", None).into_iter();
        all.find(|record| record["server"] == "newer")
    });
    let other = scene.shown("newer", &newer);
    assert_ne!(
        decode_header(shown).unwrap().kid,
        decode_header(other).unwrap().kid
    );
}

#[test]
fn tok_04_a_key_of_one_server_is_no_weaker_than_that_of_all() {
    let mut hsm = SoftHsm::start("gateway-pin-1234");
    hsm.import("first", TokenKey::P256);
    let scene = Scene::start();
    let directory = scene.gateway.data().parent().unwrap().to_owned();
    let text = std::fs::read_to_string(directory.join("portcullis.toml")).unwrap();
    let text = text.replace("[keys.rotate_every]\nassertion = \"1d\"\n", "");
    let table = hsm.table("assertion = \"first\"");
    let refused = directory.join("refused.toml");
    std::fs::write(&refused, format!("{text}{table}")).unwrap();
    let done = hsm.portcullis(&["check", refused.to_str().unwrap()]);
    assert!(!done.status.success());
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(
        said.contains("servers.notes.credentials.own_key") && said.contains("would be a file"),
        "{said}"
    );
}
