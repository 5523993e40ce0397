//! The launcher against real processes: what they get, how they end, and that none is left.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test plays the gateway that starts the launcher"
)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use portcullis_sandbox::{
    EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, Spec, launch_command,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_portcullis-launch");

/// Long enough that no test waits for it to pass.
const NEVER: Duration = Duration::from_hours(1);

/// Prints its own number, that of a child, and that of a daemon that left its session and its parents.
const FAMILY: &str = r"
    echo $$
    sleep 100 & echo $!
    (setsid sh -c 'echo $$; exec sleep 100' </dev/null &)
    exec sleep 100
";

fn spec(command: &str, args: &[&str]) -> Spec {
    let path = ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    Spec {
        command: command.into(),
        args: args.iter().map(OsString::from).collect(),
        cwd: None,
        env: vec![path],
        confinement: None,
    }
}

fn start(spec: &Spec, grace: Duration) -> Child {
    launch_command(Path::new(LAUNCHER), spec, grace)
        .unwrap()
        .spawn()
        .unwrap()
}

fn shell(script: &str, grace: Duration) -> Child {
    start(&spec("sh", &["-c", script]), grace)
}

/// Runs to the end with stdin open.
fn output(spec: &Spec) -> Output {
    let mut child = start(spec, NEVER);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A process that a script announced: the descriptor stays its own when its number is given away.
struct Watched {
    pid: i32,
    descriptor: OwnedFd,
}

impl Watched {
    fn of(pid: i32) -> Self {
        let descriptor = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        Self { pid, descriptor }
    }

    fn ends_within(&self, seconds: i64) -> bool {
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        poll(
            &mut descriptors,
            Some(&Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            }),
        )
        .unwrap()
            == 1
    }

    /// Not even as a zombie.
    fn is_reaped(&self) -> bool {
        !Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

fn family(stdout: &mut BufReader<ChildStdout>) -> Vec<Watched> {
    (0..3)
        .map(|_| Watched::of(line(stdout).parse().unwrap()))
        .collect()
}

fn line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn stdout(child: &mut Child) -> BufReader<ChildStdout> {
    BufReader::new(child.stdout.take().unwrap())
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn assert_all_reaped(processes: &[Watched]) {
    assert!(
        processes.iter().all(|process| process.ends_within(2)),
        "a process is still alive"
    );
    assert!(processes.iter().all(Watched::is_reaped), "a zombie is left");
}

#[test]
fn the_environment_is_built_from_nothing() {
    let mut spec = spec("/usr/bin/env", &[]);
    spec.env = vec![
        ("TOKEN".into(), "a b=c".into()),
        ("EMPTY".into(), "".into()),
    ];
    let output = output(&spec);
    let mut lines: Vec<&str> = text(&output.stdout).lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["EMPTY=", "TOKEN=a b=c"]);
}

#[test]
fn arguments_and_directory_arrive_as_they_are() {
    let mut spec = spec(
        "sh",
        &[
            "-c",
            r#"pwd; printf '%s\n' "$@""#,
            "--",
            "--stage",
            "a b",
            "",
            "ü",
        ],
    );
    spec.cwd = Some(PathBuf::from("/usr"));
    assert_eq!(text(&output(&spec).stdout), "/usr\n--stage\na b\n\nü\n");
}

#[test]
fn the_exit_code_is_the_servers() {
    let code = |script| output(&spec("sh", &["-c", script])).status.code();
    assert_eq!(code("exit 0"), Some(0));
    assert_eq!(code("exit 42"), Some(42));
    assert_eq!(code("kill -TERM $$"), Some(128 + 15));
    assert_eq!(code("kill -KILL $$"), Some(128 + 9));
}

#[test]
fn a_command_that_cannot_be_run_has_its_own_code_and_says_so() {
    let check = |command: &str, code: u8, message: &str| {
        let output = output(&spec(command, &[]));
        assert_eq!(output.status.code(), Some(code.into()), "{command}");
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with(message) && stderr.lines().count() == 1,
            "{stderr}"
        );
    };
    check(
        "no-such-command",
        EXIT_NOT_FOUND,
        "portcullis launch: command not found: no-such-command\n",
    );
    check(
        "/no/such",
        EXIT_NOT_FOUND,
        "portcullis launch: command not found: /no/such\n",
    );
    check(
        "/etc/passwd",
        EXIT_NOT_EXECUTABLE,
        "portcullis launch: cannot run /etc/passwd: Permission denied",
    );
    check(
        "/usr",
        EXIT_NOT_EXECUTABLE,
        "portcullis launch: cannot run /usr: Permission denied",
    );
}

#[test]
fn the_launcher_refuses_a_parent_that_is_not_its_own() {
    for stage in ["supervise 1 10", "exec 1"] {
        let stages = stage.split(' ');
        let output = Command::new(LAUNCHER)
            .arg("launch")
            .args(stages)
            .args(["--", "echo", "run"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(EXIT_LAUNCHER.into()), "{stage}");
        assert_eq!(text(&output.stdout), "", "{stage}");
    }
    assert_eq!(
        Command::new(LAUNCHER).output().unwrap().status.code(),
        Some(EXIT_LAUNCHER.into())
    );
}

#[test]
fn the_server_is_in_a_session_of_its_own_and_gains_no_privileges() {
    let output = output(&spec("cat", &["/proc/self/stat", "/proc/self/status"]));
    let (stat, status) = text(&output.stdout).split_once('\n').unwrap();
    let fields: Vec<&str> = stat.split(' ').collect();
    let [pid, group, session] = [fields[0], fields[4], fields[5]];
    assert_eq!((group, session), (pid, pid));
    assert!(status.contains("\nNoNewPrivs:\t1\n"));
}

#[test]
fn the_server_gets_no_descriptor_of_the_launcher() {
    let output = output(&spec("ls", &["-l", "/proc/self/fd"]));
    let listing = text(&output.stdout);
    assert!(
        listing.contains(" 0 -> pipe:") && !listing.contains("pidfd"),
        "{listing}"
    );
}

#[test]
fn the_end_of_stdout_is_the_servers() {
    let mut child = shell(
        "echo last; exec >&-; exec sleep 100",
        Duration::from_millis(1),
    );
    let mut all = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut all)
        .unwrap();
    assert_eq!(all, "last\n");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn a_server_that_ends_takes_what_it_started_with_it() {
    let script = FAMILY.replace("exec sleep 100\n", "read line; exit 3\n");
    let mut child = start(&spec("sh", &["-c", &script]), NEVER);
    let processes = family(&mut stdout(&mut child));
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_all_reaped(&processes);
}

#[test]
fn closing_stdin_asks_then_tells_then_kills() {
    // Ends at the end of its input.
    let mut child = shell("cat; exit 5", NEVER);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    // Ends when it is told to: every process is told, not only the first.
    let mut child = shell("trap 'exit 6' TERM; sleep 100", Duration::from_millis(50));
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(6));
    // Has to be killed.
    let script = format!("trap '' TERM; {FAMILY}");
    let mut child = shell(&script, Duration::from_millis(50));
    let processes = family(&mut stdout(&mut child));
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
    assert_all_reaped(&processes);
}

#[test]
fn hanging_up_stderr_kills_at_once() {
    let mut child = shell(&format!("trap '' TERM; {FAMILY}"), NEVER);
    let processes = family(&mut stdout(&mut child));
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
    assert_all_reaped(&processes);
}

#[test]
fn nothing_outlives_a_killed_gateway() {
    // The shell is the gateway; the pipes stay open here, so that only its death can be noticed.
    let script = r#""$0" launch supervise $$ 3600000 -- sh -c "$1"; exit"#;
    let mut gateway = Command::new("sh")
        .args(["-c", script, LAUNCHER, FAMILY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let processes = family(&mut stdout(&mut gateway));
    kill_process(pid(&gateway), Signal::KILL).unwrap();
    assert!(
        processes.iter().all(|process| process.ends_within(2)),
        "a process is still alive"
    );
    // The launcher is the last that holds stderr.
    let mut said = String::new();
    gateway
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
    assert_all_reaped(&processes);
    gateway.wait().unwrap();
}

#[test]
fn the_server_dies_with_a_killed_launcher() {
    let mut launcher = shell("echo $$; exec sleep 100", NEVER);
    let server = Watched::of(line(&mut stdout(&mut launcher)).parse().unwrap());
    kill_process(pid(&launcher), Signal::KILL).unwrap();
    assert!(server.ends_within(2));
    assert_eq!(launcher.wait().unwrap().signal(), Some(9));
}

#[test]
fn orphans_that_end_while_the_server_runs_are_reaped() {
    // `kill -0` succeeds for as long as the number is taken, even by a zombie.
    let script = r#"
        pid=$( (sh -c 'echo $$; exec >&-; exec sleep 0.1' &) )
        for i in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || { echo reaped; exit; }
            sleep 0.05
        done
    "#;
    assert_eq!(
        text(&output(&spec("sh", &["-c", script])).stdout),
        "reaped\n"
    );
}
