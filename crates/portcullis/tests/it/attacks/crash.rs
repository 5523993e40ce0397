//! A gateway that is killed: nothing that was answered is forgotten, and nothing that it started lives on.

use crate::harness::{AMPLE, Kept, Request, Scene, Script, call, marked, wait_for};
use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROUNDS: usize = 20;
const CLIENTS: usize = 4;
/// How long the gateway is under load in each round; a little more each time, so that it is hit at another moment.
const LOAD: Duration = Duration::from_millis(40);

/// The beginning of a line that was never ended.
const TORN: &str = "{\"v\":1,\"seq\":99999,\"time\":\"20";

/// Calls until nobody answers; gives the trace ids of what was answered.
fn call_until_the_end(
    request: &Request,
    to: SocketAddr,
    (begun, over): (&AtomicBool, &AtomicBool),
) -> Vec<String> {
    let mut answered = Vec::new();
    let mut kept = Kept::open(to);
    while !over.load(Ordering::Relaxed) {
        let Some(response) = kept.ask(request) else {
            return answered;
        };
        assert_eq!(response.status, 200, "{response:?}");
        answered.push(response.trace);
        begun.store(true, Ordering::Relaxed);
    }
    answered
}

/// Writes the beginning of a line, as a kernel does that dies in the middle of a write.
fn tear(scene: &Scene) {
    let newest = scene.gateway.segments().pop().unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(newest)
        .unwrap();
    file.write_all(TORN.as_bytes()).unwrap();
}

#[test]
fn authz_04_loses_no_answered_call_in_twenty_crashes_under_load() {
    let mut scene = Scene::and(AMPLE);
    let mut answered = HashSet::new();
    for round in 0..ROUNDS {
        let request = call("echo").token(&scene.token("alice"));
        let to = scene.gateway.address;
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let gateway = &mut scene.gateway;
        let in_this_round = std::thread::scope(|scope| {
            let clients = [(); CLIENTS]
                .map(|()| scope.spawn(|| call_until_the_end(&request, to, (&begun, &over))));
            wait_for("the first answer", || {
                begun.load(Ordering::Relaxed).then_some(())
            });
            std::thread::sleep(LOAD + Duration::from_millis(round as u64 * 3));
            gateway.kill();
            over.store(true, Ordering::Relaxed);
            clients.map(|client| client.join().unwrap()).concat()
        });
        assert!(!in_this_round.is_empty(), "round {round} had no load");
        answered.extend(in_this_round);

        let records = scene.gateway.exchanges();
        let recorded: HashSet<&str> = records
            .iter()
            .filter(|record| record["event"] == "call.completed")
            .filter_map(|record| record["trace"].as_str())
            .collect();
        let lost = answered
            .iter()
            .filter(|trace| !recorded.contains(trace.as_str()));
        assert_eq!(lost.count(), 0, "round {round}: answered, and not recorded");

        let is_torn = round % 2 == 1;
        if is_torn {
            tear(&scene);
        }
        let verified = scene.gateway.verify();
        assert_eq!(
            verified.status.code(),
            Some(0),
            "round {round}: {verified:?}"
        );
        scene.gateway.restart();
        if is_torn {
            let record = scene
                .gateway
                .records("audit.torn_line", None)
                .pop()
                .unwrap();
            let aside = std::fs::read_to_string(record["detail"]["file"].as_str().unwrap());
            assert!(aside.unwrap().ends_with(TORN), "{record}");
        }
    }
    assert!(scene.gateway.records("audit.torn_line", None).len() >= ROUNDS / 2);
    println!("{} calls were answered in {ROUNDS} rounds", answered.len());
    scene.permits(&call("echo").token(&scene.token("alice")));
    assert!(scene.gateway.stop().success());
    let verified = scene.gateway.verify();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn leaves_no_process_of_a_server_behind_when_it_is_killed() {
    // A child, and a grandchild in a session of its own; both ignore what can be ignored.
    let script = Script::new(
        r#"*'"name":"family"'*)
             trap '' TERM HUP INT
             (sh -c "trap '' TERM HUP INT; sleep 600; : MARK" &)
             (setsid sh -c "trap '' TERM HUP INT; sleep 600; : MARK" </dev/null >/dev/null 2>&1 &)
             text done ;;"#,
    );
    let mut scene = Scene::with(&script.server());
    for name in ["alice", "bob"] {
        let response = scene.send(&call("family").token(&scene.token(name)));
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(
            scene.gateway.record_of(&response)["event"],
            "call.completed"
        );
    }
    wait_for("two servers with their families and launchers", || {
        (marked(script.mark()).len() >= 6).then_some(())
    });
    scene.gateway.kill();
    wait_for("the end of them all", || {
        marked(script.mark()).is_empty().then_some(())
    });
    scene.gateway.restart();
    let response = scene.send(&call("whoami").token(&scene.token("alice")));
    assert_eq!(response.status, 200, "{response:?}");
    // An orderly end leaves none either.
    assert!(!marked(script.mark()).is_empty());
    assert!(scene.gateway.stop().success());
    assert!(
        marked(script.mark()).is_empty(),
        "left behind by an orderly end"
    );
}
