//! What shows misuse leaves the machine within seconds, signed, once, and to nobody but who should have it.

use super::misuse::watched;
use crate::harness::{
    Answer, Authority, Draft, Front, Host, Key, Scene, Seen, call, free_port, message, next_second,
    wait_for,
};
use aws_lc_rs::hmac::{HMAC_SHA256, Key as Mac, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 9, 1];
const KEY: &[u8] = b"a key of thirty-two bytes, no less";
/// In which an alert must have left.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Files that a configuration names.
struct Kept(TempDir);

impl Kept {
    fn new() -> Self {
        let kept = Self(tempfile::tempdir().unwrap());
        let key = format!("whsec_{}", STANDARD.encode(KEY));
        std::fs::write(kept.0.path().join("key"), key).unwrap();
        kept
    }

    fn webhook(&self, name: &str, url: &str, more: &str) -> String {
        let key = self.0.path().join("key").display().to_string();
        format!(
            "\n[alerts.{name}]\nwebhook = \"{url}/hook\"\nsecret = {{ file = \"{key}\" }}\n{more}\n"
        )
    }

    fn keep(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// Who takes alerts, and answers with a status that can be changed.
struct Receiver {
    host: Host,
    status: Arc<AtomicU16>,
}

impl Receiver {
    fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Self {
        let status = Arc::new(AtomicU16::new(204));
        let answered = Arc::clone(&status);
        let host = Host::start_at(address, move |_| {
            Answer::status(answered.load(Ordering::Relaxed))
        });
        Self { host, status }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The rules of what came, in order; each signed by the key.
    fn rules(&self) -> Vec<String> {
        let of = |seen: &Seen| {
            assert_signed(seen);
            let finding: Value = serde_json::from_str(&seen.body).unwrap();
            rule_of(&finding)
        };
        self.host.seen().iter().map(of).collect()
    }

    fn last(&self) -> Value {
        serde_json::from_str(&self.host.seen().last().unwrap().body).unwrap()
    }

    /// Waits for this rule as the next, which is all there is.
    fn expect(&self, since: Instant, rules: &mut Vec<&'static str>, rule: &'static str) -> Value {
        rules.push(rule);
        wait_for(rule, || {
            (self.host.seen().len() >= rules.len()).then_some(())
        });
        assert!(since.elapsed() < AT_ONCE, "{rule} {:?}", since.elapsed());
        assert_eq!(self.rules(), *rules);
        self.last()
    }
}

fn rule_of(finding: &Value) -> String {
    assert_eq!(finding["class_uid"], 2004, "{finding}");
    assert_eq!(finding["type_uid"], 200_401, "{finding}");
    let rule = &finding["finding_info"]["analytic"]["uid"];
    rule.as_str().unwrap().to_owned()
}

fn assert_signed(seen: &Seen) {
    let of = |name: &str| seen.header(name).unwrap().to_owned();
    let (id, time) = (of("webhook-id"), of("webhook-timestamp"));
    let tag = STANDARD
        .decode(of("webhook-signature").strip_prefix("v1,").unwrap())
        .unwrap();
    let check = |body: &str| {
        let signed = format!("{id}.{time}.{body}");
        verify(&Mac::new(HMAC_SHA256, KEY), signed.as_bytes(), &tag)
    };
    check(&seen.body).unwrap();
    check(&format!("{} ", seen.body)).unwrap_err();
    let finding: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(finding["metadata"]["uid"], id.as_str());
}

impl Scene {
    /// One token is used from two networks.
    fn is_robbed(&self, subject: &str) -> String {
        let token = self.token(subject);
        let request = call("echo").token(&token);
        for from in [HERE, ELSEWHERE] {
            assert_eq!(request.send_from(from, self.gateway.address).status, 200);
        }
        token
    }
}

#[test]
fn tok_19_each_misuse_is_one_signed_alert_within_seconds_and_usual_traffic_is_none() {
    let (kept, receiver) = (Kept::new(), Receiver::start());
    let scene = watched(&format!(
        "refusals = 20\n[quota]\nbytes_per_minute = \"64KiB\"\n{}",
        kept.webhook("siem", &receiver.host.url(), "per_minute = 1000")
    ));
    let mut rules = Vec::new();
    // What is usual.
    let (alice, victim) = (scene.token("alice"), scene.token("victim"));
    for _ in 0..5 {
        scene.permits(&call("echo").token(&alice));
        scene.unauthenticated(&call("echo"), "missing");
    }
    // A token in two places.
    let token = scene.is_robbed("robbed");
    let began = Instant::now();
    let finding = receiver.expect(began, &mut rules, "token_networks");
    let told = scene.gateway.expect("token.misuse", Some("token_networks"));
    assert_eq!(finding["metadata"]["correlation_uid"], told["trace"]);
    let evidence = &finding["evidences"][0];
    assert_eq!(evidence["actor"]["user"]["uid"], "robbed", "{finding}");
    assert_eq!(evidence["data"]["jti"], told["jti"], "{finding}");
    assert_eq!(evidence["src_endpoint"]["ip"], "127.0.9.1", "{finding}");
    assert_eq!(
        (&finding["severity_id"], &finding["count"]),
        (&json!(4), &json!(1))
    );
    // One that was revoked.
    scene.gateway.runs(
        "revoke",
        &[
            "--token-id",
            told["jti"].as_str().unwrap(),
            "--issuer",
            &scene.idp.issuer(),
        ],
    );
    wait_for("the revocation", || {
        (scene.send(&call("echo").token(&token)).status == 401).then_some(())
    });
    let began = Instant::now();
    wait_for("both", || (receiver.host.seen().len() >= 3).then_some(()));
    assert!(began.elapsed() < AT_ONCE);
    // Which of them is told of first is nobody's to say.
    let mut both = ["access.revoked", "used_after_revocation"];
    if receiver.rules()[rules.len()] != both[0] {
        both.reverse();
    }
    rules.extend(both);
    assert_eq!(receiver.rules(), rules);
    // Tokens that are guessed.
    let forged = scene.draft("victim").key(&Key::ed("ed-1")).sign();
    let forged = call("echo").token(&forged);
    for _ in 0..20 {
        scene.unauthenticated(&forged, "signature");
    }
    let finding = receiver.expect(Instant::now(), &mut rules, "invalid_burst");
    assert!(
        finding["evidences"][0]["actor"].is_null(),
        "nobody is accused: {finding}"
    );
    for network in 0..200 {
        forged.send_from([127, 1, network, 1], scene.gateway.address);
    }
    receiver.expect(Instant::now(), &mut rules, "issuer_burst");
    // One that is tried elsewhere.
    for server in ["files", "mail", "chat"] {
        let path = format!("/servers/{server}/mcp");
        scene.unauthenticated(&call("echo").token(&victim).to(&path), "audience");
    }
    receiver.expect(Instant::now(), &mut rules, "audience_probing");
    // A proof that is used again, and one `jti` with two keys.
    let (key, other) = (Key::ec("client"), Key::ec("other"));
    let url = scene.gateway.url("notes");
    let draft = scene.draft("alice").claim("jti", "twice");
    let bound = |key: &Key| {
        let cnf = json!({ "jkt": key.thumbprint() });
        let token = draft.clone().claim("cnf", cnf).sign();
        let proof = Draft::proof(key, ("POST", &url), &token).sign();
        call("echo").bound(&token, &proof)
    };
    let request = bound(&key);
    scene.permits(&request);
    assert_eq!(scene.send(&request).status, 401);
    receiver.expect(Instant::now(), &mut rules, "proof_replay");
    scene.permits(&bound(&other));
    receiver.expect(Instant::now(), &mut rules, "token_keys");
    // More than the budget.
    let text = "x".repeat(20_000);
    let params = json!({ "name": "echo", "arguments": { "text": text } });
    let pull = message("tools/call", params).set("mcp-name", "echo");
    let pull = pull.token(&scene.token("greedy"));
    wait_for("the budget to be used up", || {
        (scene.send(&pull).status == 429).then_some(())
    });
    receiver.expect(Instant::now(), &mut rules, "exfil.budget_exceeded");
    // Nothing of what was sent is in them.
    let sent: String = receiver.host.seen().iter().map(Seen::whole).collect();
    for secret in [&token, &victim, &alice, "xxxxxxxx", "a key of thirty-two"] {
        assert!(!sent.contains(secret), "{secret}");
    }
    let metrics = scene.gateway.ask_admin("/metrics").body;
    let metric = format!(
        "portcullis_alerts_total{{destination=\"siem\",outcome=\"sent\"}} {}",
        rules.len()
    );
    assert!(metrics.contains(&metric), "{metrics}");
}

#[test]
fn tok_19_nobody_is_at_two_places_at_once() {
    let (kept, receiver) = (Kept::new(), Receiver::start());
    let places = "revoke = [\"impossible_travel\"]\n\
        [[misuse.places]]\nnetworks = [\"127.0.0.0/24\"]\nat = \"52.52, 13.405\"\n\
        [[misuse.places]]\nnetworks = [\"127.0.8.0/24\"]\nat = \"52.39, 13.06\"\n\
        [[misuse.places]]\nnetworks = [\"127.0.9.0/24\"]\nat = \"40.71, -74.01\"\n";
    let hook = kept.webhook("siem", &receiver.host.url(), "");
    let scene = watched(&format!("{places}{hook}"));
    let calls = |subject: &str, from: [u8; 4]| {
        let request = call("echo").token(&scene.token(subject)); // a token of its own each time
        assert_eq!(request.send_from(from, scene.gateway.address).status, 200);
        request
    };
    // The next town, and another person far away.
    calls("alice", HERE);
    calls("alice", [127, 0, 8, 1]);
    calls("bob", ELSEWHERE);
    let request = calls("alice", ELSEWHERE);
    let finding = receiver.expect(Instant::now(), &mut Vec::new(), "impossible_travel");
    assert_eq!(finding["evidences"][0]["actor"]["user"]["uid"], "alice");
    let told = scene
        .gateway
        .expect("token.misuse", Some("impossible_travel"));
    assert_eq!(told["detail"]["response"], "revoked", "{told}");
    wait_for("her tokens to be refused", || {
        (scene.send(&request).status == 401).then_some(())
    });
    scene.unauthenticated(&request, "revoked");
    calls("bob", ELSEWHERE);
}

#[test]
fn tok_19_no_alert_is_lost_while_nobody_takes_them_or_the_gateway_is_killed() {
    let (kept, port) = (Kept::new(), free_port());
    let address = format!("127.0.0.1:{port}");
    let alerts = kept.webhook("siem", &format!("http://{address}"), "");
    let mut scene = watched(&alerts);
    scene.is_robbed("first");
    let failed = scene.gateway.expect("alert.failed", Some("unreachable"));
    assert_eq!(failed["detail"]["destination"], "siem", "{failed}");
    scene.is_robbed("second");
    scene.gateway.kill();
    // It is there now, but in no state to take anything.
    let receiver = Receiver::start_at(&address);
    receiver.answers(503);
    scene.gateway.restart();
    scene.gateway.expect("alert.failed", Some("status"));
    let refused = receiver.host.seen().len();
    scene.is_robbed("third");
    receiver.answers(200);
    wait_for("all of them", || {
        (scene.gateway.records("alert.recovered", None).len() == 1).then_some(())
    });
    wait_for("the last", || {
        let last = receiver.host.seen().pop()?;
        last.body.contains("\"uid\":\"third\"").then_some(())
    });
    let taken: Vec<Seen> = receiver.host.seen().into_iter().skip(refused).collect();
    let robbed = |name: &str| {
        let name = format!("\"uid\":\"{name}\"");
        let mut about: Vec<&str> = taken
            .iter()
            .filter(|seen| seen.body.contains(&name))
            .map(|seen| seen.header("webhook-id").unwrap())
            .collect();
        about.dedup(); // what was refused once more before the answer had changed
        about.len()
    };
    assert_eq!(["first", "second", "third"].map(robbed), [1, 1, 1]);
    // What has arrived is not told again.
    let before = receiver.host.seen().len();
    scene.gateway.restart();
    scene.is_robbed("fourth");
    wait_for("the fourth", || {
        (receiver.host.seen().len() > before).then_some(())
    });
    assert!(receiver.last().to_string().contains("\"uid\":\"fourth\""));
    assert_eq!(receiver.host.seen().len(), before + 1);
}

#[test]
fn tok_19_whoever_shows_a_wrong_certificate_is_told_nothing() {
    let (kept, receiver, lines) = (Kept::new(), Receiver::start(), Collecting::start());
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let hook = Front::start(&other.certify(), receiver.host.address());
    let syslog = Front::start(&other.certify(), lines.address);
    let ca = kept.keep("ca.pem", &known.pem());
    let config = format!(
        "{}[alerts.lines]\nsyslog = \"tls://{}\"\nca = \"{ca}\"\n",
        kept.webhook("siem", &hook.url(), &format!("ca = \"{ca}\"")),
        syslog.address()
    );
    let scene = watched(&config);
    scene.is_robbed("alice");
    for name in ["siem", "lines"] {
        wait_for("both to be refused", || {
            let failed = scene.gateway.records("alert.failed", Some("unreachable"));
            let mut failed = failed.iter();
            failed
                .any(|one| one["detail"]["destination"] == name)
                .then_some(())
        });
        wait_for("the reason", || {
            let refused = scene.gateway.records("tls.rejected", None);
            refused
                .iter()
                .any(|one| one["detail"]["alerts"] == name)
                .then_some(())
        });
    }
    assert!(receiver.host.seen().is_empty() && lines.taken().is_empty());
    // The benign twin: who should have them, has all.
    hook.show(&known.certify());
    syslog.show(&known.certify());
    wait_for("the alert by webhook", || {
        receiver
            .rules()
            .contains(&"token_networks".to_owned())
            .then_some(())
    });
    wait_for("the alert by syslog", || {
        lines
            .taken()
            .contains("portcullis - token_networks - {")
            .then_some(())
    });
    let text = lines.taken();
    let (length, rest) = text.split_once(' ').unwrap();
    let line = &rest[..length.parse().unwrap()];
    assert!(line.starts_with("<107>1 20"), "{line}");
    let finding: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    assert_eq!(rule_of(&finding), "token_networks");
}

#[test]
fn tok_19_alerts_are_lines_of_files_and_of_local_syslog_too() {
    let (kept, lines) = (Kept::new(), Collecting::start());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let file = kept.0.path().join("alerts.jsonl");
    let config = format!(
        "[alerts.tcp]\nsyslog = \"tcp://{}\"\n[alerts.udp]\nsyslog = \"udp://{}\"\n[alerts.file]\nfile = \"{}\"\n[alerts.out]\nstdout = true\n",
        lines.address,
        datagrams.local_addr().unwrap(),
        file.display()
    );
    let scene = watched(&config);
    scene.is_robbed("alice");
    let mut datagram = [0; 8192];
    let length = datagrams.recv(&mut datagram).unwrap();
    let datagram = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(datagram.starts_with("<107>1 "), "{datagram}");
    let line = wait_for("the line", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    });
    assert!(datagram.ends_with(&line), "{datagram} {line}");
    wait_for("the line by TCP", || {
        lines.taken().ends_with(&line).then_some(())
    });
    assert_eq!(
        rule_of(&serde_json::from_str(&line).unwrap()),
        "token_networks"
    );
}

#[test]
fn tok_19_what_is_named_is_told_too_and_what_goes_beyond_is_counted() {
    let (kept, receiver) = (Kept::new(), Receiver::start());
    let more = "events = [\"authn.reject/audience\"]\nseverity = \"critical\"\nper_minute = 2\n";
    let scene = watched(&kept.webhook("siem", &receiver.host.url(), more));
    let wrong = |subject: &str| {
        let draft = scene.idp.draft(subject, &scene.gateway.url("mail"));
        call("echo").token(&draft.sign())
    };
    // Not critical; and looked at before what is dropped.
    scene.is_robbed("carol");
    for _ in 0..3 {
        for from in 1..=4 {
            let refused = wrong("alice").send_from([127, 0, from, 1], scene.gateway.address);
            assert_eq!(refused.status, 401);
        }
        next_second();
    }
    let dropped = scene.gateway.expect("alert.dropped", Some("too_many"));
    assert_eq!(dropped["detail"]["destination"], "siem", "{dropped}");
    assert_eq!(receiver.rules(), ["authn.reject", "authn.reject"]);
    // Another configuration holds at once, and what was told stays told.
    scene
        .gateway
        .reload("\"critical\"\nper_minute = 2", "\"high\"");
    scene.is_robbed("bob");
    wait_for("the alert", || {
        (receiver.rules().last()? == "token_networks").then_some(())
    });
    let told = receiver.rules();
    let count = |rule: &str| told.iter().filter(|told| *told == rule).count();
    assert_eq!((count("authn.reject"), count("token_networks")), (2, 1));
}

/// Takes connections to their end, and keeps what came.
struct Collecting {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Collecting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let keeping = Arc::clone(&taken);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).is_ok() {
                    keeping.lock().unwrap().extend(bytes);
                }
            }
        });
        Self { address, taken }
    }

    fn taken(&self) -> String {
        String::from_utf8_lossy(&self.taken.lock().unwrap()).into_owned()
    }
}
