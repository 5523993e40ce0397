//! ATK-010: access that nobody needs any more stays, or is kept by whom it serves.

use crate::harness::{Answer, Idp, Request, Scene, call, now, portcullis, wait_for};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RULES: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["read_*"]

[servers.notes.tools.write_note]
scopes = ["notes:write"]

[servers.notes.tools.delete_all]
scopes = ["notes:delete"]

[boundary.clerks]
who = "role:clerk"
allow = ["notes__read_*"]

[[grants]]
who = "user:alice"
allow = ["notes__write_note", "notes__read_note"]

[[grants]]
who = "role:ghost"
allow = ["notes__delete_all"]
until = "2099-01-01"
"#;

/// Runs `access review` on the configuration of the scene; gives its exit code and its JSON.
fn told(scene: &Scene, arguments: &[&str]) -> (i32, Value) {
    let data = scene.gateway.data();
    let config = data.parent().unwrap().join("portcullis.toml");
    let config = config.to_str().unwrap();
    let asked = ["access", "review", "--config", config, "--json"];
    let ran = portcullis(&[&asked, arguments].concat());
    let json = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    (ran.status.code().unwrap(), json)
}

fn grant<'a>(told: &'a Value, rule: &str) -> &'a Value {
    let grants = told["grants"].as_array().unwrap();
    let found = grants.iter().find(|grant| grant["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule}: {told}"))
}

#[test]
fn authz_05_every_grant_is_listed_with_its_last_use_and_what_is_of_no_use() {
    let scene = Scene::with(RULES);
    let writer = scene.draft("alice").claim("scope", "notes:write").sign();
    scene.permits(&call("write_note").token(&writer));
    scene.permits(&call("write_note").token(&writer));
    scene.permits(&call("read_note").token(&scene.token("bob")));
    let (code, listed) = told(&scene, &[]);
    assert_eq!(code, 0, "{listed}");
    let written = grant(&listed, "grant:user:alice notes__write_note");
    assert_eq!(written["who"], "user:alice");
    assert_eq!(written["what"], json!(["notes__write_note"]));
    assert_eq!(written["hits"], 2);
    assert!(written["last"].is_string(), "{written}");
    assert!(
        written["file"]
            .as_str()
            .unwrap()
            .ends_with("portcullis.toml")
            && written["line"].is_u64()
    );
    assert_eq!(written["key"], "grants[0].allow[0]");
    assert_eq!(written["until"], Value::Null);
    let shadowed = grant(&listed, "grant:user:alice notes__read_note");
    let wider = "grant:anyone notes__read_* (line ";
    assert!(shadowed["shadowed"].as_str().unwrap().starts_with(wider));
    let ghost = grant(&listed, "grant:role:ghost notes__delete_all");
    assert_eq!((&ghost["hits"], &ghost["last"]), (&json!(0), &Value::Null));
    assert_eq!(ghost["until"], "2099-01-01T00:00:00.000000Z");
    assert_eq!(ghost["shadowed"], Value::Null, "only what is so is said");

    let needed = |by: &str| {
        let scopes = listed["scopes"].as_array().unwrap();
        let found = scopes.iter().find(|one| one["needed_by"] == by);
        found.unwrap()["hits"].clone()
    };
    assert_eq!(needed("notes__write_note"), 2);
    assert_eq!(needed("notes__delete_all"), 0);
    let rules = listed["rules"].as_array().unwrap();
    let clerks = rules.iter().find(|rule| rule["rule"] == "boundary:clerks");
    assert_eq!(clerks.unwrap()["place"], "boundary.clerks");

    // How far back the log reaches, and nothing of what was before `--since`.
    let begins = listed["log_begins"].as_str().unwrap();
    assert!(begins > listed["since"].as_str().unwrap(), "{listed}");
    let (_, later) = told(&scene, &["--since", "2100-01-01"]);
    let later = grant(&later, "grant:user:alice notes__write_note");
    assert_eq!((&later["hits"], &later["id"]), (&json!(0), &written["id"]));
    assert_eq!(told(&scene, &["--since", "soon"]).0, 2);

    // A grant that is changed is another one.
    scene
        .gateway
        .reload("until = \"2099-01-01\"", "until = \"2098-01-01\"");
    let (_, changed) = told(&scene, &[]);
    let other = grant(&changed, "grant:role:ghost notes__delete_all");
    assert_ne!(other["id"], ghost["id"]);
    let same = grant(&changed, "grant:user:alice notes__write_note");
    assert_eq!(same["id"], written["id"]);
}

const REVIEWED: &str = r#"
[issuers.idp]
issuer = "{idp}"
skew = "0s"

[servers.notes]
url = "{upstream}"

[review]
issuer = "idp"
reviewers = ["role:reviewer", "user:ann"]
scopes = ["review"]
within = "WITHIN"

[boundary.visitors]
who = "group:visitors"
allow = ["notes__read_note"]

[[grants]]
who = "user:alice"
allow = ["notes__write_note", "notes__echo", "notes__forever"]

[[grants]]
who = "user:bob"
allow = ["notes__write_note"]
"#;

/// What operators wait for at most until access has ended.
const BOUND: Duration = Duration::from_secs(2);

/// A gateway whose grants are reviewed.
struct Office(Scene);

impl Office {
    fn with(within: &str) -> Self {
        Self(Scene::with(&REVIEWED.replace("WITHIN", within)))
    }

    /// A new token of a reviewer.
    fn reviewer(&self, subject: &str) -> String {
        let draft = self.0.draft(subject).claim("scope", "review");
        draft.claim("roles", json!(["reviewer"])).sign()
    }

    /// Runs a step of a review with a token on stdin; gives its exit code, and all that it says.
    fn step(&self, token: &str, arguments: &[&str]) -> (i32, String) {
        let data = self.0.gateway.data();
        let config = data.parent().unwrap().join("portcullis.toml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["access", "review"])
            .args(arguments)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(token.as_bytes()).unwrap();
        drop(stdin);
        let ran = child.wait_with_output().unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (ran.status.code().unwrap(), said)
    }

    /// A step that must be done.
    fn done(&self, token: &str, arguments: &[&str]) {
        let (code, said) = self.step(token, arguments);
        assert_eq!(code, 0, "{arguments:?} {said}");
    }

    /// A step that must be refused, for a reason that the log tells.
    fn refused(&self, token: &str, arguments: &[&str], reason: &str) -> Value {
        let before = self.0.gateway.records("access.review_refused", None).len();
        let (code, said) = self.step(token, arguments);
        assert_eq!(code, 1, "{arguments:?} {said}");
        let records = wait_for("the record of a refusal", || {
            let records = self.0.gateway.records("access.review_refused", None);
            (records.len() > before).then_some(records)
        });
        let record = records.last().unwrap().clone();
        assert_eq!(record["reason"], reason, "{record}");
        record
    }

    fn id(&self, rule: &str) -> String {
        let (code, listed) = told(&self.0, &[]);
        assert_eq!(code, 0, "{listed}");
        grant(&listed, rule)["id"].as_str().unwrap().to_owned()
    }

    /// A call that a review must hold back, soon.
    fn is_held(&self, tool: &str, token: &str) {
        let began = Instant::now();
        let request = call(tool).token(token);
        wait_for("access to end", || {
            let status = self.0.send(&request).status;
            assert!(began.elapsed() < BOUND, "it went on");
            (status == 403).then_some(())
        });
        let refused = self
            .0
            .refuses(&request, (403, 403), ("authz.deny", "review"));
        let record = self.0.gateway.record_of(&refused);
        let rule = record["decision"]["rule"].as_str().unwrap();
        assert!(
            rule.starts_with("grant:user:") && rule.ends_with(tool),
            "{record}"
        );
        assert_eq!(record["decision"]["effect"], "deny");
        assert_eq!(record["detail"]["review"], "1", "{record}");
    }

    fn is_free(&self, tool: &str, token: &str) {
        let request = call(tool).token(token);
        wait_for("access", || {
            (self.0.send(&request).status == 200).then_some(())
        });
        self.0.permits(&request);
    }
}

const WRITE: &str = "grant:user:alice notes__write_note";
const ECHO: &str = "grant:user:alice notes__echo";

#[test]
fn authz_05_only_a_second_person_who_is_a_reviewer_decides() {
    let office = Office::with("1h");
    let scene = &office.0;
    let (write, echo) = (office.id(WRITE), office.id(ECHO));
    let keep = ["decide", "--keep", &write];

    // Who is no reviewer starts nothing either.
    let bob = scene.token("bob");
    let stranger = office.refused(&bob, &["start"], "not_reviewer");
    assert_eq!(stranger["principal"]["sub"], "bob");
    let first = office.reviewer("ann");
    office.done(&first, &["start"]);
    let started = scene.gateway.expect("access.review_started", None);
    assert_eq!(started["principal"]["sub"], "ann");
    assert_eq!(started["detail"]["items"], "5", "{started}");

    // Self-approval: by whom the grant serves, and by whoever started the review.
    let own = office.refused(&office.reviewer("alice"), &keep, "own_access");
    assert_eq!(own["principal"]["sub"], "alice");
    assert_eq!(own["detail"]["rule"], WRITE);
    office.refused(&office.reviewer("ann"), &keep, "starter");
    // Strangers, other issuers, tokens for others, ended, altered, with too little, or that were used before.
    office.refused(&bob, &keep, "not_reviewer");
    let role = json!(["reviewer"]);
    let without = scene.draft("bea").claim("roles", role.clone()).sign();
    office.refused(&without, &keep, "scope");
    let other = Idp::start();
    let foreign = other.draft("bea", &scene.gateway.url("notes"));
    let foreign = foreign.claim("scope", "review").claim("roles", role);
    let untrusted = office.refused(&foreign.sign(), &keep, "token");
    assert_eq!(untrusted["detail"]["token"], "issuer", "{untrusted}");
    assert_eq!(untrusted["principal"], Value::Null, "nobody has vouched");
    let ended = scene.draft("bea").claim("exp", now() - 100).sign();
    office.refused(&ended, &keep, "token");
    let elsewhere = scene.idp.draft("bea", "https://elsewhere.example");
    let elsewhere = office.refused(&elsewhere.sign(), &keep, "token");
    assert_eq!(elsewhere["detail"]["token"], "audience");
    office.refused("", &keep, "token");
    let revoked = office.reviewer("zoe");
    let issuer = scene.idp.issuer();
    scene
        .gateway
        .runs("revoke", &["--issuer", &issuer, "--subject", "zoe"]);
    let revoked = office.refused(&revoked, &keep, "token");
    assert_eq!(revoked["detail"]["token"], "revoked");
    let again = office.refused(&first, &["decide", "--keep", &write], "starter");
    assert_eq!(again["principal"]["sub"], "ann");
    let bea = office.reviewer("bea");
    office.done(&bea, &["decide", "--revoke", &write, "--reason", "unused"]);
    let alice = scene.token("alice");
    office.is_held("write_note", &alice);
    office.refused(&bea, &["decide", "--keep", &write], "replayed");
    office.refused(
        &office.reviewer("bea"),
        &["decide", "--keep", "0000000000000000"],
        "unknown",
    );
    office.is_held("write_note", &alice);

    let reviewed = scene.gateway.expect("access.reviewed", Some("revoke"));
    assert_eq!(reviewed["principal"]["sub"], "bea", "{reviewed}");
    assert_eq!(reviewed["detail"]["rule"], WRITE);
    assert_eq!(reviewed["detail"]["why"], "unused");
    assert_eq!(scene.gateway.records("access.reviewed", None).len(), 1);
    // What is not revoked goes on, for her and for others.
    scene.permits(&call("echo").token(&alice));
    scene.permits(&call("write_note").token(&bob));
    assert_eq!(scene.tools(&alice), ["echo"]);
    office.done(&office.reviewer("bea"), &["decide", "--keep", &echo]);
    office.done(&office.reviewer("bea"), &["decide", "--keep", &write]);
    office.is_free("write_note", &alice);
}

#[test]
fn authz_05_what_a_review_revokes_ends_streams_and_survives_restarts_and_reloads() {
    let mut office = Office::with("1h");
    let forever = office.id("grant:user:alice notes__forever");
    let (alice, bob) = (office.0.token("alice"), office.0.token("bob"));
    let is_asked = |seen: &crate::harness::Seen| seen.body.contains("\"forever\"");
    office
        .0
        .upstream
        .misbehave(move |seen| is_asked(seen).then(|| Answer::events(": open\n\n")));
    let stream = office.0.open(&call("forever").token(&alice));
    assert_eq!(stream.response.status, 200);
    let session = office.0.session(&bob);
    let mut kept = office
        .0
        .open(&Request::in_session("GET", &session).token(&bob));

    office.done(&office.reviewer("ann"), &["start"]);
    let began = Instant::now();
    office.done(&office.reviewer("bea"), &["decide", "--revoke", &forever]);
    let decided = Instant::now();
    stream.end();
    assert!(decided.elapsed() < BOUND, "{:?}", began.elapsed());
    office.0.gateway.expect("authz.deny", Some("review"));
    office.is_held("forever", &alice);
    office.0.upstream.notify("ev-1", "for-bob");
    kept.until("for-bob").expect("his stream stays");
    drop(kept);

    office.0.gateway.restart();
    office.is_held("forever", &alice);
    office
        .0
        .gateway
        .reload("within = \"1h\"", "within = \"2h\"");
    office.is_held("forever", &alice);
    // What reviews have said holds also where there are none any more.
    let stated = "[review]\nissuer = \"idp\"\nreviewers = [\"role:reviewer\", \"user:ann\"]\nscopes = [\"review\"]\nwithin = \"2h\"\n";
    let seen = office.0.gateway.records("config.reloaded", None).len();
    office.0.gateway.reload(stated, "");
    wait_for("the reload", || {
        (office.0.gateway.records("config.reloaded", None).len() > seen).then_some(())
    });
    office.is_held("forever", &alice);
    office.0.permits(&call("echo").token(&alice));
    office.0.permits(&call("write_note").token(&bob));
}

#[test]
fn authz_05_what_nobody_decides_lapses_also_while_no_gateway_runs() {
    let mut office = Office::with("3s");
    let echo = office.id(ECHO);
    let (alice, bob) = (office.0.token("alice"), office.0.token("bob"));
    office.done(&office.reviewer("ann"), &["start"]);
    office.done(&office.reviewer("bea"), &["decide", "--keep", &echo]);
    office.0.permits(&call("write_note").token(&alice));
    let lapsed = office.0.gateway.expect("access.lapsed", None);
    assert_eq!(lapsed["detail"]["review"], "1", "{lapsed}");
    assert_eq!(lapsed["principal"], Value::Null);
    office.is_held("write_note", &alice);
    office.is_held("write_note", &bob);
    office.0.permits(&call("echo").token(&alice));
    let closed = office.0.gateway.expect("access.review_closed", None);
    let counts = (&closed["detail"]["keep"], &closed["detail"]["lapse"]);
    assert_eq!(counts, (&json!("1"), &json!("4")), "{closed}");
    // A grant that is changed is another one.
    office.0.gateway.reload(
        "who = \"user:bob\"\n",
        "who = \"user:bob\"\nuntil = \"2099-01-01\"\n",
    );
    office.is_free("write_note", &bob);
    office.is_held("write_note", &alice);

    // The next one comes to its end while no gateway runs; the clock is past due at the start.
    office.done(&office.reviewer("ann"), &["start"]);
    office.0.gateway.stop();
    let past = now() + 4;
    wait_for("the due date", || (now() > past).then_some(()));
    office.0.gateway.restart();
    for (token, tool, review) in [
        (&bob, "write_note", "2"),
        (&alice, "echo", "2"),
        (&alice, "write_note", "1"),
    ] {
        let request = call(tool).token(token);
        let refused = office
            .0
            .refuses(&request, (403, 403), ("authz.deny", "review"));
        let record = office.0.gateway.record_of(&refused);
        assert_eq!(record["detail"]["review"], review, "{record}");
    }
    // Only somebody's keep brings it back; nothing reaches beyond a boundary by that.
    let write = office.id(WRITE);
    office.done(&office.reviewer("bea"), &["decide", "--keep", &write]);
    office.is_free("write_note", &alice);
    let visitor = office.0.draft("alice").claim("groups", json!(["visitors"]));
    office.0.refuses(
        &call("write_note").token(&visitor.sign()),
        (403, 403),
        ("authz.deny", "boundary"),
    );
}

#[test]
fn authz_05_the_record_of_a_review_is_signed_and_can_be_shown() {
    let office = Office::with("1h");
    let write = office.id(WRITE);
    office.done(&office.reviewer("ann"), &["start"]);
    office.done(&office.reviewer("bea"), &["decide", "--revoke", &write]);
    office.0.gateway.expect("access.reviewed", None);
    let shown = wait_for("the record to be signed", || {
        let (code, shown) = office.step("", &["show", "--json"]);
        (code == 0).then_some(shown)
    });
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["review"], &shown["signed"]),
        (&json!(1), &json!(true))
    );
    let records = shown["records"].as_array().unwrap();
    let events: Vec<&str> = records
        .iter()
        .map(|one| one["record"]["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["access.review_started", "access.reviewed"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof.json");
    let check = |proof: &str| {
        std::fs::write(&file, proof).unwrap();
        let data = office.0.gateway.data();
        let data = data.to_str().unwrap();
        portcullis(&[
            "audit",
            "proof",
            "--data",
            data,
            "--check",
            file.to_str().unwrap(),
        ])
    };
    let proof = records[1]["proof"].to_string();
    assert!(check(&proof).status.success());
    let forged = proof.replace("revoke", "keep").replace("bea", "eve");
    assert_eq!(check(&forged).status.code(), Some(1));
    let (code, text) = office.step("", &["show"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("by bea") && text.contains(WRITE), "{text}");
    assert_eq!(office.step("", &["show", "--review", "7"]).0, 1);
}

#[test]
fn authz_01_the_inventory_is_signed_off_and_an_overdue_review_is_told() {
    let office = Office::with("1h");
    let scene = &office.0;
    scene.gateway.expect("access.review_overdue", None);
    let findings = || {
        let data = scene.gateway.data();
        let config = data.parent().unwrap().join("portcullis.toml");
        let ran = portcullis(&["doctor", "--json", "--config", config.to_str().unwrap()]);
        String::from_utf8(ran.stdout).unwrap()
    };
    assert!(findings().contains("review.overdue"), "{}", findings());
    office.done(&office.reviewer("ann"), &["start"]);
    let (_, listed) = told(scene, &[]);
    let inventory = listed["inventory"]["id"].as_str().unwrap();
    assert_eq!(listed["inventory"]["verdict"], Value::Null);
    office.refused(
        &office.reviewer("ann"),
        &["decide", "--keep", inventory],
        "starter",
    );
    office.done(&office.reviewer("bea"), &["decide", "--keep", inventory]);
    let signed = scene.gateway.expect("access.reviewed", Some("keep"));
    assert_eq!(signed["detail"]["rule"], "inventory");
    assert_eq!(signed["detail"]["grant"], inventory);
    assert_eq!(signed["principal"]["sub"], "bea");
    let (_, listed) = told(scene, &[]);
    assert_eq!(listed["inventory"]["verdict"], "keep", "{listed}");
    assert_eq!(listed["review"]["overdue"], false, "{listed}");
    assert!(!findings().contains("review.overdue"), "{}", findings());
    // Other rules are another inventory.
    scene.gateway.reload("notes__echo", "notes__ech*");
    let (_, changed) = told(scene, &[]);
    assert_ne!(changed["inventory"]["id"], inventory);
    assert_eq!(changed["inventory"]["verdict"], Value::Null, "{changed}");
    office.refused(
        &office.reviewer("bea"),
        &["decide", "--keep", inventory],
        "unknown",
    );
}
