//! Ten thousand sessions that are opened and never used: by one, and by many together.

use crate::harness::{AMPLE, Kept, Process, Scene, call, call_in, initialize, wait_for};
use std::time::Duration;

const SESSIONS: usize = 10_000;
/// Who open them together; each as many as one may have.
const PRINCIPALS: usize = 40;
/// What an idle session may cost.
const MOST_KIB: u64 = 10;
/// What else may come and go meanwhile: buffers, connections, the allocator's reserve.
const SLACK_KIB: u64 = 24 * 1024;

/// Debug lines about every request would take longer than the requests; and few descriptors must do.
const QUIET: &str = "export RUST_LOG=info; ulimit -n 200";

/// Opens sessions one after the other, from two connections.
fn open(scene: &Scene, tokens: &[String], each: usize) {
    let one = |half: usize| {
        let mut kept = Kept::open(scene.gateway.address);
        for token in tokens {
            let request = initialize(token);
            for _ in (half..each).step_by(2) {
                let response = kept.ask(&request).unwrap();
                assert_eq!(response.status, 200, "{response:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| one(1));
        one(0);
    });
}

fn grown_kib(process: Process, before: u64) -> u64 {
    process.resident_kib().saturating_sub(before)
}

#[test]
fn ses_14_bounds_what_one_principal_can_leave_behind() {
    let scene = Scene::after(QUIET, AMPLE);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let other = scene.session(&bob);
    open(&scene, std::slice::from_ref(&alice), 300); // caches and connections are warm
    let process = scene.gateway.process();
    let before = process.resident_kib();
    open(&scene, std::slice::from_ref(&alice), SESSIONS);
    let grown = grown_kib(process, before);
    println!("{SESSIONS} sessions of one principal: {grown} KiB more");
    assert!(
        grown < SLACK_KIB,
        "{grown} KiB for {SESSIONS} sessions that ended"
    );
    // Each one more ended the oldest, with its record, and nobody else's.
    wait_for("the end of all but the newest", || {
        let ended = scene.gateway.records("session.terminated", Some("evicted"));
        (ended.len() == SESSIONS + 300 - 256).then_some(())
    });
    wait_for("all of them told to the server", || {
        let requests = scene.upstream.requests();
        let told = requests.iter().filter(|seen| seen.method == "DELETE");
        (told.count() == SESSIONS + 300 - 256).then_some(())
    });
    scene.permits(&call_in(&other, &bob));
    let newest = scene.session(&alice); // which ends another, whose end is told meanwhile
    assert_eq!(scene.send(&call_in(&newest, &alice)).status, 200);
}

#[test]
fn ses_14_bounds_what_many_principals_can_leave_behind() {
    let scene = Scene::after(
        QUIET,
        &format!("[sessions]\nidle = \"30m\"\nmax_per_principal = 250\n{AMPLE}"),
    );
    let bob = scene.token("bob");
    let own = scene.session(&bob);
    let tokens: Vec<String> = (0..PRINCIPALS)
        .map(|number| scene.token(&format!("mallory-{number}")))
        .collect();
    let process = scene.gateway.process();
    for token in &tokens {
        scene.permits(&call("echo").token(token));
    }
    let before = process.resident_kib();
    let each = SESSIONS / PRINCIPALS;
    open(&scene, &tokens[1..], each);
    // One place is bob's: the last of the crowd gets all but that one.
    open(&scene, &tokens[..1], each - 1);
    let grown = grown_kib(process, before);
    println!(
        "{} idle sessions: {grown} KiB, {} bytes each",
        SESSIONS - 1,
        grown * 1024 / (SESSIONS as u64 - 1)
    );
    assert!(
        grown < MOST_KIB * SESSIONS as u64,
        "{grown} KiB for {SESSIONS} idle sessions"
    );

    // The table is full. Who has a session keeps it, who needs none is served, who wants one more is told.
    for _ in 0..3 {
        let refused = scene.send(&initialize(&scene.token("carol")));
        assert_eq!(
            (refused.status, refused.header("mcp-session-id")),
            (503, None)
        );
        let record = scene.gateway.record_of(&refused);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&"session.reject".into(), &"full".into())
        );
    }
    scene.permits(&call_in(&own, &bob));
    scene.permits(&call("echo").token(&scene.token("carol")));

    // They are cleared away when their time is over, each with its record, and their places are free again.
    scene.gateway.reload("idle = \"30m\"", "idle = \"10s\"");
    wait_for("the end of all that nobody uses", || {
        assert_eq!(
            scene.send(&call_in(&own, &bob)).status,
            200,
            "bob is not served: {}",
            scene.gateway.stderr()
        );
        std::thread::sleep(Duration::from_millis(200));
        let ended = scene.gateway.records("session.terminated", Some("idle"));
        (ended.len() == SESSIONS - 1).then_some(())
    });
    wait_for("all of them told to the server", || {
        assert_eq!(
            scene.send(&call_in(&own, &bob)).status,
            200,
            "bob is not served: {}",
            scene.gateway.stderr()
        );
        std::thread::sleep(Duration::from_millis(200));
        let requests = scene.upstream.requests();
        let told = requests.iter().filter(|seen| seen.method == "DELETE");
        // Three more were refused only after the server had opened them.
        (told.count() == SESSIONS - 1 + 3).then_some(())
    });
    scene.session(&scene.token("carol"));
    scene.permits(&call_in(&own, &bob));
    let again = process.resident_kib();
    open(&scene, &tokens[1..11], each);
    let more = grown_kib(process, again);
    assert!(
        more < SLACK_KIB,
        "{more} KiB more where {grown} KiB were freed"
    );
}

#[test]
fn authz_04_goes_on_recording_when_clients_hold_all_descriptors() {
    let scene = Scene::after(QUIET, &format!("[audit]\nrotate = \"1MiB\"\n{AMPLE}"));
    let token = scene.token("alice");
    let mut kept = Kept::open(scene.gateway.address);
    let request = call("echo").token(&token);
    assert_eq!(kept.ask(&request).unwrap().status, 200);
    // No further descriptor, as if others had them all.
    let process = scene.gateway.process();
    let few = (0..50).map(|_| {
        std::thread::sleep(Duration::from_millis(10)); // a checkpoint holds some for a moment
        process.descriptors() as u64
    });
    process.limit_descriptors(few.min().unwrap_or_default());
    // Longer than a checkpoint and a segment take.
    for _ in 0..2500 {
        assert_eq!(kept.ask(&request).unwrap().status, 200);
    }
    assert_eq!(
        scene.gateway.segments().len(),
        1,
        "no other file could be opened"
    );
    process.limit_descriptors(200);
    for _ in 0..500 {
        assert_eq!(kept.ask(&request).unwrap().status, 200);
    }
    assert_eq!(
        scene.gateway.segments().len(),
        2,
        "the next segment was begun"
    );
    scene.permits(&request);
    let verified = scene.gateway.verify();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}
