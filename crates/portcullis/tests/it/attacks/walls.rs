//! Servers that are processes of ours and turn on the machine: what walls keep from them, and what they may still do.

use crate::harness::{Request, Response, Scene, Script, call, wait_for};
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Somebody without a name, a home or a right.
const ORDINARY: u32 = 61_777;

fn text(response: &Response) -> String {
    let text = response.json()["result"]["content"][0]["text"].clone();
    text.as_str().unwrap_or_default().to_owned()
}

/// A directory that everybody may use, so that what keeps a server out of it is no permission.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    directory
}

fn answers(scene: &Scene, token: &str, tool: &str) -> String {
    let response = scene.send(&call(tool).token(token));
    assert_eq!(response.status, 200, "{tool} {response:?}");
    text(&response)
}

/// The same server, once behind walls with these keys and once without.
fn both(script: &Script, keys: &str) -> (Scene, Scene) {
    let walls = format!("{}[servers.notes.sandbox]\n{keys}\n", script.server());
    (Scene::with(&walls), Scene::with(&script.server()))
}

/// What the tests of paths have: `SECRET` is not named, `SHOWN` is to be read, `WORK` is to be worked on.
struct Paths {
    secret: TempDir,
    shown: TempDir,
    work: TempDir,
    walls: Scene,
    none: Scene,
}

impl Paths {
    fn of(deeds: &str) -> Self {
        let [secret, shown, work] = [(); 3].map(|()| open_directory());
        fs::write(secret.path().join("key"), "hush").unwrap();
        fs::write(shown.path().join("note"), "read").unwrap();
        std::os::unix::fs::symlink(secret.path(), work.path().join("link")).unwrap();
        let place = |directory: &TempDir| directory.path().display().to_string();
        let deeds = deeds
            .replace("SECRET", &place(&secret))
            .replace("SHOWN", &place(&shown))
            .replace("WORK", &place(&work));
        let keys = format!(
            "profile = \"files\"\nro = ['{}']\nrw = ['{}']",
            place(&shown),
            place(&work)
        );
        let (walls, none) = both(&Script::new(&deeds), &keys);
        Self {
            secret,
            shown,
            work,
            walls,
            none,
        }
    }

    fn inside(&self, tool: &str) -> String {
        answers(&self.walls, &self.walls.token("alice"), tool)
    }

    fn outside(&self, tool: &str) -> String {
        answers(&self.none, &self.none.token("alice"), tool)
    }
}

#[test]
fn lp_01_a_confined_server_sees_what_is_named_and_nothing_else() {
    let paths = Paths::of(
        r#"*'"name":"peek"'*) text "$(cat SECRET/key 2>/dev/null || echo nothing)" ;;
    *'"name":"follow"'*) text "$(cat WORK/link/key 2>/dev/null || echo nothing)" ;;
    *'"name":"climb"'*) text "$(cd WORK; cat ../../SECRET/key /proc/self/root/SECRET/key /proc/self/cwd/../../SECRET/key 2>/dev/null || echo nothing)" ;;
    *'"name":"read"'*) text "$(cat SHOWN/note)" ;;"#,
    );
    for tool in ["peek", "follow", "climb"] {
        assert_eq!(paths.inside(tool), "nothing", "{tool}");
    }
    assert_eq!(paths.inside("read"), "read");
    let record = paths
        .walls
        .gateway
        .expect("sandbox.started", Some("confined"));
    assert_eq!(record["server"], "notes", "{record}");
    assert_eq!(record["detail"]["ports"], "none", "{record}");
    let work = paths.work.path().to_str().unwrap();
    assert_eq!(record["detail"]["write"], json!(work), "{record}");
    let owner = record["detail"]["owner"].as_str().unwrap();
    assert!(owner.ends_with("|alice"), "{record}");

    // It is the walls: the same server without them sees it.
    for tool in ["peek", "follow"] {
        assert_eq!(paths.outside(tool), "hush", "{tool}");
    }
    assert_eq!(paths.none.gateway.records("sandbox.started", None).len(), 0);
}

#[test]
fn lp_02_a_confined_server_writes_where_it_may() {
    let paths = Paths::of(
        r#"*'"name":"plant"'*) for d in SECRET SHOWN; do (echo x > $d/planted) 2>/dev/null; done; text done ;;
    *'"name":"write"'*) echo written > WORK/result; text "$(cat WORK/result)" ;;"#,
    );
    assert_eq!(paths.inside("plant"), "done");
    assert_eq!(paths.inside("write"), "written");
    for directory in [&paths.secret, &paths.shown] {
        assert!(!directory.path().join("planted").exists());
    }
    let result = fs::read_to_string(paths.work.path().join("result"));
    assert_eq!(result.unwrap(), "written\n");
    paths
        .walls
        .gateway
        .expect("sandbox.started", Some("confined"));
    paths.outside("plant");
    for directory in [&paths.secret, &paths.shown] {
        assert!(directory.path().join("planted").exists());
    }
}

#[test]
fn sbx_09_a_confined_server_changes_no_program_and_runs_none_of_its_own() {
    let paths = Paths::of(
        r#"*'"name":"change"'*) text "$(for d in / /usr /usr/bin /etc /dev; do echo x 2>/dev/null > $d/planted && echo $d; done)" ;;
    *'"name":"run"'*) printf '#!/bin/sh\necho ran\n' > WORK/tool; chmod +x WORK/tool; text "$(WORK/tool 2>/dev/null || echo refused)" ;;
    *'"name":"scratch"'*) cp /bin/echo /tmp/tool-MARK; text "$(/tmp/tool-MARK ran 2>/dev/null || echo refused)"; rm -f /tmp/tool-MARK ;;
    *'"name":"load"'*) cp /bin/echo WORK/copy; text "$(/lib64/ld-linux-x86-64.so.2 WORK/copy ran 2>/dev/null || echo refused)" ;;"#,
    );
    assert_eq!(paths.inside("change"), "");
    for tool in ["run", "scratch", "load"] {
        assert_eq!(paths.inside(tool), "refused", "{tool}");
        assert_eq!(paths.outside(tool), "ran", "{tool}");
    }
    paths
        .walls
        .gateway
        .expect("sandbox.started", Some("confined"));
}

#[test]
fn sbx_07_a_confined_server_has_no_capability_and_gets_none() {
    let deeds = r#"*'"name":"status"'*) text "$(grep -E '^(Uid|Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -s '\t\n' '  ')" ;;
    *'"name":"device"'*) text "$(mknod /tmp/d-MARK c 1 3 2>/dev/null && echo made || echo refused)"; rm -f /tmp/d-MARK ;;
    *'"name":"owner"'*) touch /tmp/o-MARK; text "$(chown 0:0 /tmp/o-MARK 2>/dev/null && echo given || echo refused)"; rm -f /tmp/o-MARK ;;"#;
    let (walls, none) = both(&Script::new(deeds), "profile = \"pure\"");
    let (inside, outside) = (walls.token("alice"), none.token("alice"));
    let status = answers(&walls, &inside, "status");
    let nothing = "0000000000000000";
    assert_eq!(
        status.trim(),
        format!(
            "Uid: 1000 1000 1000 1000 CapInh: {nothing} CapPrm: {nothing} CapEff: {nothing} CapBnd: {nothing} CapAmb: {nothing} \
             NoNewPrivs: 1 Seccomp: 2"
        )
    );
    for tool in ["device", "owner"] {
        assert_eq!(answers(&walls, &inside, tool), "refused", "{tool}");
    }
    walls.gateway.expect("sandbox.started", Some("confined"));
    let status = answers(&none, &outside, "status");
    assert!(!status.contains("Seccomp: 2"), "{status}");
}

#[test]
fn lp_08_a_confined_server_makes_no_namespace_and_mounts_nothing() {
    let deeds = r#"*'"name":"spaces"'*) text "$(unshare -U true 2>/dev/null && echo open || echo refused)" ;;
    *'"name":"mount"'*) text "$(unshare -Urm mount -t tmpfs x /mnt 2>/dev/null || mount -t tmpfs x /tmp 2>/dev/null && echo open || echo refused)" ;;
    *'"name":"seen"'*) text "$(ls /proc | grep -c '^[0-9]')" ;;
    *'"name":"host"'*) text "$(hostname)" ;;
    *'"name":"variables"'*) text "$(tr '\0' '\n' < /proc/$$/environ | cut -d= -f1 | tr '\n' ' ')$(cat /proc/1/environ /proc/2/root/etc/shadow 2>/dev/null)" ;;"#;
    let (walls, none) = both(&Script::new(deeds), "profile = \"pure\"");
    let (inside, outside) = (walls.token("alice"), none.token("alice"));
    for tool in ["spaces", "mount"] {
        assert_eq!(answers(&walls, &inside, tool), "refused", "{tool}");
    }
    assert_eq!(answers(&none, &outside, "spaces"), "open");
    assert_eq!(answers(&walls, &inside, "variables").trim(), "PATH");
    assert_eq!(answers(&walls, &inside, "host"), "sandbox");
    // The shell and what it starts, and nobody else.
    let seen: u32 = answers(&walls, &inside, "seen").parse().unwrap();
    assert!(seen < 6, "{seen}");
    let seen: u32 = answers(&none, &outside, "seen").parse().unwrap();
    assert!(seen > 6, "{seen}");
    walls.gateway.expect("sandbox.started", Some("confined"));
}

#[test]
fn lp_10_a_confined_server_has_five_devices_that_are_none() {
    let deeds = r#"*'"name":"devices"'*) text "$(echo /dev/*)" ;;"#;
    let (walls, none) = both(&Script::new(deeds), "profile = \"pure\"");
    assert_eq!(
        answers(&walls, &walls.token("alice"), "devices"),
        "/dev/fd /dev/full /dev/null /dev/random /dev/shm /dev/stderr /dev/stdin /dev/stdout /dev/urandom /dev/zero"
    );
    walls.gateway.expect("sandbox.started", Some("confined"));
    let all = answers(&none, &none.token("alice"), "devices");
    assert!(all.contains("/dev/tty"), "{all}");
}

/// Connects to a port of this machine, one that is named and one that is not.
fn connecting(keys: &str) -> (Scene, [TcpListener; 2]) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [named, other] = listeners.each_ref().map(|listener| {
        listener.set_nonblocking(true).unwrap();
        listener.local_addr().unwrap().port()
    });
    let deeds = format!(
        r#"*'"name":"named"'*) text "$(bash -c 'echo x > /dev/tcp/127.0.0.1/{named}' 2>/dev/null && echo reached || echo refused)" ;;
    *'"name":"other"'*) text "$(bash -c 'echo x > /dev/tcp/127.0.0.1/{other}' 2>/dev/null && echo reached || echo refused)" ;;
    *'"name":"listen"'*) text "$(/usr/bin/python3 -Sc 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))' 2>/dev/null && echo bound || echo refused)" ;;"#
    );
    let keys = keys.replace("NAMED", &named.to_string());
    let server = Script::new(&deeds).server();
    (Scene::with(&format!("{server}{keys}\n")), listeners)
}

/// Calls, and looks who has come.
fn reaches((scene, listeners): &(Scene, [TcpListener; 2]), expected: [&str; 2]) {
    for ((tool, listener), expected) in ["named", "other"].iter().zip(listeners).zip(expected) {
        assert_eq!(
            answers(scene, &scene.token("alice"), tool),
            expected,
            "{tool}"
        );
        let has_come = match listener.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        };
        assert_eq!(has_come, expected == "reached", "{tool}");
    }
}

#[test]
fn sbx_05_a_confined_server_has_no_network() {
    let none = connecting("[servers.notes.sandbox]\nprofile = \"pure\"");
    reaches(&none, ["refused", "refused"]);
    let record = none.0.gateway.expect("sandbox.started", Some("confined"));
    assert_eq!(record["detail"]["ports"], "none", "{record}");
    reaches(&connecting(""), ["reached", "reached"]);
}

#[test]
fn lp_06_a_confined_server_reaches_no_port_but_those_named() {
    let some = connecting("[servers.notes.sandbox]\nprofile = \"network\"\nports = [NAMED]");
    reaches(&some, ["reached", "refused"]);
    let scene = &some.0;
    assert_eq!(answers(scene, &scene.token("alice"), "listen"), "refused");
    let record = scene.gateway.expect("sandbox.started", Some("confined"));
    assert_ne!(record["detail"]["ports"], "none", "{record}");
    let open = connecting("");
    assert_eq!(answers(&open.0, &open.0.token("alice"), "listen"), "bound");
}

fn fails(scene: &Scene, request: &Request) {
    let response = scene.send(request);
    assert_eq!(
        (response.status, response.code()),
        (502, -32603),
        "{response:?}"
    );
    assert_eq!(
        scene.gateway.record_of(&response)["event"],
        "upstream.failed"
    );
}

#[test]
fn sbx_01_no_server_starts_without_its_walls() {
    let work = open_directory();
    let place = work.path().join("work");
    let open = || {
        fs::create_dir(&place).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o777)).unwrap();
    };
    open();
    let script = Script::new(r#"*'"name":"hello"'*) text hello ;;"#);
    let scene = Scene::with(&format!(
        "{}[servers.notes.sandbox]\nprofile = \"files\"\nrw = ['{}']\n",
        script.server(),
        place.display()
    ));
    let alice = scene.token("alice");
    assert_eq!(answers(&scene, &alice, "hello"), "hello");

    // What was there at start is not there for the next process, so there is no next process.
    fs::remove_dir(&place).unwrap();
    fails(&scene, &call("hello").token(&scene.token("bob")));
    let record = scene.gateway.expect("sandbox.failed", Some("unbuildable"));
    assert_eq!(record["server"], "notes", "{record}");
    let said = scene.gateway.stderr();
    assert!(said.contains("the sandbox cannot be built"), "{said}");

    // A configuration with walls that cannot be built takes the place of none.
    scene.gateway.hang_up();
    let record = scene.gateway.expect("config.rejected", None);
    let problem = record["detail"]["problem"].as_str().unwrap();
    assert!(
        problem.contains("server notes cannot be confined"),
        "{record}"
    );

    open();
    wait_for("the server's next start", || {
        (scene.send(&call("hello").token(&alice)).status == 200).then_some(())
    });
}

fn sandboxed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["sandbox", "run"])
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn ran(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn sbx_06_an_ordinary_user_has_the_same_walls() {
    let work = open_directory();
    let script = r"id -u; grep -E '^(CapBnd|Seccomp:|NoNewPrivs)' /proc/self/status | tr -s '\t\n' '  '; echo; cat /etc/shadow 2>/dev/null || echo none; echo x > $0/x; echo $?";
    let place = work.path().to_str().unwrap();
    let expected = "1000\nCapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 \nnone\n0\n";
    let mut command = sandboxed(&["--rw", place, "--", "/bin/sh", "-c", script, place]);
    assert_eq!(
        ran(&mut command),
        (Some(0), expected.to_owned(), String::new())
    );
    let first = fs::metadata(work.path().join("x")).unwrap();
    if !rustix::process::geteuid().is_root() {
        return println!("only as this user: who is not root cannot be somebody else");
    }
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(first.uid(), 200_000, "root's servers are not root");
    fs::remove_file(work.path().join("x")).unwrap();
    command.uid(ORDINARY).gid(ORDINARY);
    assert_eq!(
        ran(&mut command),
        (Some(0), expected.to_owned(), String::new())
    );
    assert_eq!(fs::metadata(work.path().join("x")).unwrap().uid(), ORDINARY);

    // Where it may make no user namespace, it says so and runs nothing.
    let mut command = Command::new("unshare");
    let nested =
        r#"echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" sandbox run -- /bin/echo ran"#;
    command.args([
        "-Ur",
        "/bin/sh",
        "-c",
        nested,
        env!("CARGO_BIN_EXE_portcullis"),
    ]);
    command.uid(ORDINARY).gid(ORDINARY);
    let (code, out, err) = ran(&mut command);
    assert_eq!((code, out.as_str()), (Some(125), ""), "{err}");
    assert!(err.contains("the sandbox cannot be built"), "{err}");
}

#[test]
fn sbx_01_run_passes_input_output_and_exit_code_through() {
    let mut child = sandboxed(&["--", "/bin/sh", "-c", "cat; echo said >&2; exit 42"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"in and out")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(
        (&*output.stdout, &*output.stderr),
        (&b"in and out"[..], &b"said\n"[..])
    );
    let code = |arguments: &[&str]| ran(&mut sandboxed(arguments)).0;
    assert_eq!(code(&["--", "/bin/sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(code(&["--", "no-such-command"]), Some(127));
    assert_eq!(code(&["--ro", "/nowhere", "--", "true"]), Some(125));
    // What goes with no profile is wrong usage, not a wall that is left out.
    for wrong in [
        ["--profile", "pure", "--ro", "/srv"],
        ["--profile", "files", "--port", "80"],
        ["--ro", "/proc", "--rw", "/srv"],
    ] {
        let all = [&wrong[..], &["--", "echo", "ran"]].concat();
        let (code, out, err) = ran(&mut sandboxed(&all));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{wrong:?} {err}");
    }
}

#[test]
fn lp_09_tells_what_a_server_can_do_and_what_the_machine_offers() {
    let directory = open_directory();
    let file = directory.path().join("portcullis.toml");
    fs::write(
        &file,
        "[issuers.local]\nembedded = true\n[servers.notes]\ncommand = \"cat\"\n[servers.notes.sandbox]\nprofile = \"files\"\nro = [\"/srv\"]\n\
         [servers.loose]\ncommand = \"cat\"\n",
    )
    .unwrap();
    let told = |arguments: &[&str]| {
        let output =
            crate::harness::portcullis(&[arguments, &["-c", file.to_str().unwrap()]].concat());
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, words) = told(&["sandbox", "explain", "notes"]);
    assert_eq!(code, Some(0), "{words}");
    for word in [
        "It can read, and run what is in, /srv.",
        "reaches no network",
        "no capability",
    ] {
        assert!(words.contains(word), "{word}: {words}");
    }
    let (code, words) = told(&["sandbox", "explain", "loose"]);
    assert!(code == Some(1) && words.contains("NOT confined"), "{words}");
    let (code, words) = told(&["check"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(
        words.contains("the server loose is not confined") && !words.contains("server notes"),
        "{words}"
    );
    let doctor = crate::harness::portcullis(&["sandbox", "doctor"]);
    let words = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(0), "{words}");
    assert!(words.contains("Servers can be confined here."), "{words}");
}
