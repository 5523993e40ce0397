//! The room against real processes, under the launcher that `cargo test` of the workspace built beside the tests.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;

/// A wait that takes so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const LIMITS: Limits = Limits {
    line_bytes: 64 * 1024,
    stderr_bytes_per_second: 64 * 1024,
    grace: Duration::from_millis(100),
    send: Duration::from_millis(100),
};

/// Prints its own number and that of a daemon that left its session and its parents.
const FAMILY: &str =
    "trap '' TERM; echo $$; (setsid sh -c 'echo $$; exec sleep 100' </dev/null &) ; sleep 100";

struct Server {
    process: Option<Process>,
    events: Events,
    said: Arc<Mutex<Vec<String>>>,
    tasks: TaskTracker,
}

impl Server {
    fn start(script: &str, limits: Limits) -> Self {
        Self::run(&["sh", "-c", script], limits)
    }

    fn run(argv: &[&str], limits: Limits) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let (tasks, heard) = (TaskTracker::new(), Arc::clone(&said));
        let hear = move |what: Heard<'_>| {
            if let Heard::Line(line) = what {
                heard.lock().unwrap().push(line.to_owned());
            }
        };
        let (process, events) = Process::start(&launch(argv, limits), hear, &tasks).unwrap();
        Self {
            process: Some(process),
            events,
            said,
            tasks,
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.events.next())
            .await
            .unwrap()
            .unwrap()
    }

    async fn line(&mut self) -> String {
        match self.next().await {
            Event::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
            Event::Ended(ended) => panic!("{ended:?}"),
        }
    }

    async fn stop(&self) {
        timeout(PATIENCE, self.process().stop()).await.unwrap();
    }

    /// The last event is this, and no task is left.
    async fn ends(&mut self, reason: ExitReason, noise: u64) {
        assert_eq!(self.next().await, Event::Ended(Ended { reason, noise }));
        assert_eq!(self.events.next().await, None);
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.unwrap();
    }
}

fn launch(argv: &[&str], limits: Limits) -> Launch {
    let test = std::env::current_exe().unwrap();
    let launcher = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("portcullis-launch");
    assert!(
        launcher.exists(),
        "build the launcher first: cargo build -p portcullis-sandbox"
    );
    let spec = Spec {
        confinement: None,
        command: argv[0].into(),
        args: argv[1..].iter().map(Into::into).collect(),
        cwd: None,
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
    };
    Launch {
        launcher,
        spec,
        limits,
    }
}

fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[tokio::test]
async fn lines_go_in_and_come_out_until_it_is_stopped() {
    let mut server = Server::run(&["cat"], LIMITS);
    let long = "x".repeat(64 * 1024);
    for line in ["{}", "ü", &long] {
        server
            .process()
            .send(Bytes::copy_from_slice(line.as_bytes()))
            .await
            .unwrap();
        assert_eq!(server.line().await, line);
    }
    server.stop().await;
    server.stop().await;
    assert_eq!(
        server.process().send(Bytes::from_static(b"{}")).await,
        Err(Unsent::Gone)
    );
    server.ends(ExitReason::Stopped, 0).await;
}

#[tokio::test]
async fn only_single_lines_are_sent() {
    let server = Server::run(&["cat"], LIMITS);
    for (line, expected) in [
        (Vec::new(), Unsent::NotALine),
        (b"{}\n{}".to_vec(), Unsent::NotALine),
        (b"{}\r".to_vec(), Unsent::NotALine),
        (vec![b'x'; 64 * 1024 + 1], Unsent::TooLong),
    ] {
        assert_eq!(server.process().send(line.into()).await, Err(expected));
    }
}

#[tokio::test]
async fn what_is_no_message_is_counted() {
    let mut server = Server::start("printf 'a\\n\\n\\377\\nb\\r\\nc'; exit 3", LIMITS);
    assert_eq!(
        (server.line().await, server.line().await),
        ("a".into(), "b".into())
    );
    server.ends(ExitReason::Exited(3), 3).await;
    assert_eq!(server.process().noise(), 3);
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_server() {
    let mut server = Server::start("echo a; yes | tr -d '\\n'", LIMITS);
    assert_eq!(server.line().await, "a");
    server.ends(ExitReason::LineTooLong, 0).await;
}

#[tokio::test]
async fn a_server_that_does_not_read_does_not_hold_its_sender() {
    let mut server = Server::run(&["sleep", "100"], LIMITS);
    let line = Bytes::from(vec![b'x'; 32 * 1024]);
    let mut sent = Ok(());
    // The pipe, what is being written, and the room for what waits.
    for _ in 0..8 {
        sent = server.process().send(line.clone()).await;
    }
    assert_eq!(sent, Err(Unsent::Stuck));
    server.process = None;
    server.ends(ExitReason::Stopped, 0).await;
}

#[tokio::test]
async fn a_reader_that_does_not_take_lines_does_not_hold_the_stop() {
    let mut server = Server::start("yes", LIMITS);
    assert_eq!(server.line().await, "y");
    server.stop().await;
    server.tasks.close();
    timeout(PATIENCE, server.tasks.wait()).await.unwrap();
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let mut server = Server::run(&["/no/such"], LIMITS);
    server.ends(ExitReason::Exited(127), 0).await;
    assert_eq!(
        *server.said.lock().unwrap(),
        ["portcullis launch: command not found: /no/such"]
    );

    let mut launch = launch(&["cat"], LIMITS);
    launch.launcher = "/no/such".into();
    let started = Process::start(&launch, log("cat".into()), &TaskTracker::new());
    assert!(matches!(started, Err(StartError::Spawn(_))));
}

#[tokio::test]
async fn stderr_is_heard_escaped_and_to_its_end() {
    let mut server = Server::start("printf 'a\\033[2Jb\\nlast' >&2; exit 0", LIMITS);
    server.ends(ExitReason::Exited(0), 0).await;
    assert_eq!(*server.said.lock().unwrap(), ["a\\u{1b}[2Jb", "last"]);
}

#[tokio::test]
async fn no_process_is_left_after_a_stop() {
    let mut server = Server::start(FAMILY, LIMITS);
    let pids = [server.line().await, server.line().await];
    assert!(pids.iter().all(|pid| exists(pid)));
    server.stop().await;
    assert!(!pids.iter().any(|pid| exists(pid)));
    server.ends(ExitReason::Stopped, 0).await;
}

#[tokio::test]
async fn no_process_is_left_after_the_handle_was_dropped() {
    let patient = Limits {
        grace: Duration::from_hours(1),
        ..LIMITS
    };
    let mut server = Server::start(FAMILY, patient);
    let pids = [server.line().await, server.line().await];
    server.process = None;
    server.ends(ExitReason::Stopped, 0).await;
    assert!(!pids.iter().any(|pid| exists(pid)));
}

#[tokio::test]
async fn no_process_is_left_when_the_stop_is_not_waited_for() {
    let mut server = Server::start(FAMILY, LIMITS);
    let pids = [server.line().await, server.line().await];
    assert!(
        timeout(Duration::ZERO, server.process().stop())
            .await
            .is_err()
    );
    server.ends(ExitReason::Stopped, 0).await;
    assert!(!pids.iter().any(|pid| exists(pid)));
}

#[tokio::test]
async fn a_killed_launcher_is_noticed() {
    let mut server = Server::start("kill -KILL $PPID; exec sleep 100", LIMITS);
    server.ends(ExitReason::Lost, 0).await;
}

#[tokio::test]
async fn a_server_that_closes_its_stdout_is_stopped() {
    let mut server = Server::start("exec >&-; cat; exit 4", LIMITS);
    server.ends(ExitReason::Exited(4), 0).await;
}
