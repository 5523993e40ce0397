//! Rules that go by how unusual what a caller does is: a stolen token is asked for a fresh login, its owner at home is not.

use crate::harness::{Draft, Key, Request, Response, Scene, call, now};
use serde_json::Value;
use tempfile::TempDir;

const RULES: &str = r#"
@id("unusual")
@step_up("max_age=60")
forbid (principal, action in Action::"call", resource == Tool::"notes__write_note")
when { context.anomaly >= 40 }
unless { context has auth_age && context.auth_age <= 60 };

@id("far-too-unusual")
forbid (principal, action in Action::"call", resource == Tool::"notes__delete_all")
when { context.anomaly >= 20 };
"#;

const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["echo", "write_note", "delete_all"]

[misuse]
refusals = 20
"#;

const HOME: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 9, 1];

struct Watched {
    scene: Scene,
    _files: TempDir,
}

impl Watched {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("anomaly.cedar");
        std::fs::write(&file, RULES).unwrap();
        let config = CONFIG.replace(
            "[misuse]",
            &format!("[policy]\nfiles = ['{}']\n[misuse]", file.display()),
        );
        Self {
            scene: Scene::with(&config),
            _files: files,
        }
    }

    fn asks(&self, from: [u8; 4], request: &Request) -> Response {
        request.send_from(from, self.scene.gateway.address)
    }

    fn permits(&self, from: [u8; 4], request: &Request) {
        let answer = self.asks(from, request);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Must be refused so by a rule that has seen this score; gives the record.
    fn refuses(
        &self,
        from: [u8; 4],
        request: &Request,
        (status, event, rule): (u16, &str, &str),
    ) -> Value {
        let upstream = self.scene.upstream.requests().len();
        let answer = self.asks(from, request);
        assert_eq!(answer.status, status, "{answer:?}");
        let record = self.scene.gateway.record_of(&answer);
        assert_eq!(record["event"], event, "{record}");
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        assert_eq!(self.scene.upstream.requests().len(), upstream);
        record
    }
}

fn old(scene: &Scene, subject: &str) -> Draft {
    scene.draft(subject).claim("auth_time", now() - 3000)
}

#[test]
fn auth_05_a_token_that_turns_up_elsewhere_needs_a_fresh_login() {
    let watched = Watched::new();
    let scene = &watched.scene;
    let alice = old(scene, "alice").sign();
    let write = call("write_note").token(&alice);
    for _ in 0..3 {
        watched.permits(HOME, &write);
    }
    let asked = (401, "authn.step_up_required", "unusual");
    let record = watched.refuses(ELSEWHERE, &write, asked);
    assert_eq!(record["detail"]["anomaly"], "55", "{record}");
    let of = "token_networks 40; new_network 15";
    assert_eq!(record["detail"]["anomaly_of"], of, "{record}");
    // A fresh login is what it takes, from wherever; nothing else of hers was ever held up, and nobody else is.
    let fresh = scene.draft("alice").claim("auth_time", now()).sign();
    watched.permits(ELSEWHERE, &call("write_note").token(&fresh));
    watched.permits(ELSEWHERE, &call("echo").token(&alice));
    let bob = old(scene, "bob").sign();
    for tool in ["write_note", "delete_all"] {
        watched.permits(HOME, &call(tool).token(&bob));
    }
    // Where rules only say no, they do.
    let delete = call("delete_all").token(&fresh);
    let record = watched.refuses(HOME, &delete, (403, "authz.deny", "far-too-unusual"));
    assert_eq!(record["reason"], "forbidden", "{record}");
}

#[test]
fn auth_05_who_tries_what_they_may_not_becomes_unusual_and_forgers_accuse_nobody() {
    let watched = Watched::new();
    let scene = &watched.scene;
    let (alice, mallory) = (old(scene, "alice").sign(), old(scene, "mallory").sign());
    watched.permits(HOME, &call("delete_all").token(&mallory));
    for number in 0..10 {
        let tried = call(&format!("secret_{number}")).token(&mallory);
        assert_eq!(watched.asks(HOME, &tried).status, 403);
    }
    let delete = call("delete_all").token(&mallory);
    let record = watched.refuses(HOME, &delete, (403, "authz.deny", "far-too-unusual"));
    assert_eq!(record["detail"]["anomaly_of"], "denials 25", "{record}");
    // Tokens that somebody forges in her name are not hers, wherever they come from.
    let forged = call("echo").token(&scene.draft("alice").key(&Key::ed("ed-1")).sign());
    for _ in 0..30 {
        assert_eq!(watched.asks(ELSEWHERE, &forged).status, 401);
    }
    watched.permits(HOME, &call("delete_all").token(&alice));
    // Who is known and comes from there is looked at more closely.
    let bob = old(scene, "bob").sign();
    let delete = call("delete_all").token(&bob);
    let record = watched.refuses(ELSEWHERE, &delete, (403, "authz.deny", "far-too-unusual"));
    assert_eq!(
        record["detail"]["anomaly_of"], "suspect_network 20",
        "{record}"
    );
    watched.permits(ELSEWHERE, &call("echo").token(&bob));
}
