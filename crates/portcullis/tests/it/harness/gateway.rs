//! The real binary: started, asked, watched, ended.

use super::client::{Request, Response};
use super::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// How long anything is waited for before the test has failed.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ports below those that the system gives to outgoing connections.
const PORTS: u16 = 12_000;
const FIRST_PORT: u16 = 20_000;

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Asks until there is an answer; the pause keeps the machine free for the one who is to give it.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until tokens say that they were issued later than what has happened so far.
pub(crate) fn next_second() {
    let second = now();
    wait_for("the next second", || (now() > second).then_some(()));
}

/// Runs the binary to its end.
pub(crate) fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .output()
        .unwrap()
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    wait_for("a free port", || {
        let port = FIRST_PORT + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}

/// A running gateway with a directory of its own.
pub(crate) struct Gateway {
    child: Child,
    directory: TempDir,
    before: String,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    /// Starts one; `config` follows the addresses, so it may begin with more keys of `[gateway]`.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_at(free_port(), config)
    }

    /// Starts one whose port is known before.
    pub(crate) fn start_at(port: u16, config: &str) -> Self {
        let mut gateway = Self::spawn_at(port, "", config);
        gateway.wait("/readyz");
        gateway
    }

    /// Starts one in a process in which a shell ran `before` first: limits, variables and signals are inherited.
    pub(crate) fn start_after(before: &str, config: &str) -> Self {
        let mut gateway = Self::spawn(before, config);
        gateway.wait("/readyz");
        gateway
    }

    /// Starts one that has no reason to become ready.
    pub(crate) fn start_unready(config: &str) -> Self {
        let mut gateway = Self::spawn("", config);
        gateway.wait("/healthz");
        gateway
    }

    /// Starts one with a configuration to which nothing is added but the addresses.
    pub(crate) fn start_as_written(config: &str) -> Self {
        let mut gateway = Self::spawn_as_written(free_port(), "", config);
        gateway.wait("/readyz");
        gateway
    }

    fn spawn(before: &str, config: &str) -> Self {
        Self::spawn_at(free_port(), before, config)
    }

    /// Tests are about something else than what servers define, unless they say so.
    fn spawn_at(port: u16, before: &str, config: &str) -> Self {
        let watched = format!("{config}\n[catalog]\nmode = \"observe\"\n");
        let is_said = config.contains("[catalog]");
        Self::spawn_as_written(port, before, if is_said { config } else { &watched })
    }

    fn spawn_as_written(port: u16, before: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let admin = free_port();
        let data = directory.path().join("data").display().to_string();
        let file = format!(
            "[gateway]\nlisten = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\ndata = '{data}'\ndrain = \"2s\"\n{config}"
        );
        std::fs::write(directory.path().join("portcullis.toml"), file).unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let child = launch(&directory, before);
        Self {
            child,
            directory,
            before: before.to_owned(),
            address: local(port),
            admin: local(admin),
        }
    }

    fn wait(&mut self, path: &str) {
        let admin = self.admin;
        wait_for("the gateway", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}: {}", self.stderr());
            }
            std::net::TcpStream::connect(admin).ok()?;
            (Request::new("GET", path).send(admin).status == 200).then_some(())
        });
    }

    /// Ends it as an operator does; gives how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }

    /// Tells it to end, and does not wait.
    pub(crate) fn drain(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.stop();
        }
        self.child = launch(&self.directory, &self.before);
        self.wait("/readyz");
    }

    /// Starts it again without what was done before its first start.
    pub(crate) fn restart_plainly(&mut self) {
        self.before.clear();
        self.restart();
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Runs a command on its data that must end well.
    pub(crate) fn runs(&self, command: &str, arguments: &[&str]) -> Output {
        let data = self.data().display().to_string();
        let ran = portcullis(&[&[command, "--data", &data], arguments].concat());
        assert!(ran.status.success(), "{command} {arguments:?} {ran:?}");
        ran
    }

    /// The same by its configuration, hence with the issuers that it knows.
    pub(crate) fn asked(&self, command: &str, arguments: &[&str]) -> Output {
        let config = self.directory.path().join("portcullis.toml");
        let config = config.display().to_string();
        let data = self.data().display().to_string();
        let place = [command, "--config", &config, "--data", &data];
        portcullis(&[&place, arguments].concat())
    }

    /// What `audit verify` says of its log.
    pub(crate) fn verify(&self) -> Output {
        portcullis(&["audit", "verify", "--data", self.data().to_str().unwrap()])
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("portcullis.toml")
    }

    /// Sends a request to the operators' listener.
    pub(crate) fn ask_admin(&self, path: &str) -> Response {
        Request::new("GET", path).send(self.admin)
    }

    /// Replaces a text in the configuration and has it read again.
    pub(crate) fn reload(&self, old: &str, new: &str) {
        let path = self.directory.path().join("portcullis.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old:?} is not in the configuration");
        std::fs::write(path, text.replace(old, new)).unwrap();
        self.signal(Signal::HUP);
        self.expect("config.reloaded", None);
    }

    /// Has the configuration read again, as it is.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// How many processes it has started that still run: launchers, one for each stdio server.
    pub(crate) fn children(&self) -> usize {
        let parent = self.child.id().to_string();
        let is_child = |entry: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (_, after) = stat.rsplit_once(") ")?;
            (after.split(' ').nth(1)? == parent && !after.starts_with('Z')).then_some(())
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        entries.filter_map(|entry| is_child(entry.ok()?)).count()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The URL of a server, which is the audience of its tokens.
    pub(crate) fn url(&self, server: &str) -> String {
        format!("http://{}/servers/{server}/mcp", self.address)
    }

    /// A token of the embedded issuer.
    pub(crate) fn token(&self, server: &str) -> String {
        let printed = self.mint(server, &[]);
        assert!(printed.status.success(), "{printed:?}");
        String::from_utf8(printed.stdout).unwrap().trim().to_owned()
    }

    /// What comes of asking for one.
    pub(crate) fn mint(&self, server: &str, more: &[&str]) -> Output {
        let config = self.directory.path().join("portcullis.toml");
        let config = config.to_str().unwrap();
        let asked = ["token", "--config", config, "--server", server];
        portcullis(&[&asked, more].concat())
    }

    /// What `portcullis explain` says of a token.
    pub(crate) fn explain(&self, server: &str, token: &str) -> Output {
        let config = self.directory.path().join("portcullis.toml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["explain", "--server", server, "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, token.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// What it said on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap()
    }

    /// The files of its log, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.data().join("audit")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        files.sort();
        files
    }

    /// Every record so far, in order.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text: String = self
            .segments()
            .iter()
            // Retention may have removed one meanwhile.
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The records of exchanges, which alone say how long they took.
    pub(crate) fn exchanges(&self) -> Vec<Value> {
        self.audit()
            .into_iter()
            .filter(|record| record["duration_us"].is_u64())
            .collect()
    }

    /// Every record of that event and reason so far.
    pub(crate) fn records(&self, event: &str, reason: Option<&str>) -> Vec<Value> {
        let mut records = self.audit();
        records.retain(|record| {
            record["event"] == event && reason.is_none_or(|reason| record["reason"] == reason)
        });
        records
    }

    /// How often strangers did that: recorded one by one, or in sums.
    pub(crate) fn counted(&self, event: &str, reason: &str) -> u64 {
        let mut count = 0;
        for record in self.audit() {
            count += u64::from(record["event"] == event && record["reason"] == reason);
            let summed = record["detail"]["reasons"].as_str().unwrap_or_default();
            let start = format!("{event}/{reason} ");
            let found = summed.split(", ").find_map(|one| one.strip_prefix(&start));
            count += found.map_or(0, |count| count.parse::<u64>().unwrap());
        }
        count
    }

    /// Waits for a record of that event and reason.
    pub(crate) fn expect(&self, event: &str, reason: Option<&str>) -> Value {
        wait_for(&format!("the record {event} {reason:?}"), || {
            self.records(event, reason).pop()
        })
    }

    /// The record of the exchange that had this answer.
    pub(crate) fn record_of(&self, response: &Response) -> Value {
        wait_for("the record of an exchange", || {
            self.exchanges()
                .into_iter()
                .find(|record| record["trace"] == response.trace.as_str())
        })
    }

    /// Everything that the gateway has written anywhere, keys apart.
    pub(crate) fn traces(&self) -> String {
        let mut text = self.stderr();
        for entry in std::fs::read_dir(self.data().join("audit")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
            }
        }
        text
    }
}

fn launch(directory: &TempDir, before: &str) -> Child {
    let stderr = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.path().join("stderr"))
        .unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("{before}\nexec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(["serve", "--config"])
        .arg(directory.path().join("portcullis.toml"))
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    command.spawn().unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
