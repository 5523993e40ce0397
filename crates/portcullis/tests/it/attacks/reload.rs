//! Rules that are tightened in a file beside the configuration: they hold, without anybody telling the gateway.

use crate::harness::{Scene, call, wait_for};
use std::os::unix::fs::symlink;
use std::path::Path;

struct Beside {
    scene: Scene,
    directory: tempfile::TempDir,
}

impl Beside {
    /// A gateway whose policy and whose secret are in files of their own.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("rules.cedar"), "// nothing yet\n").unwrap();
        std::fs::create_dir(path.join("first")).unwrap();
        std::fs::write(path.join("first/key"), "hunter1\n").unwrap();
        symlink("first", path.join("current")).unwrap();
        let scene = Scene::and(&format!(
            "headers = {{ X-Key = {{ file = \"{0}/current/key\" }} }}\n[policy]\nfiles = [\"{0}/rules.cedar\"]\n",
            path.display()
        ));
        Self { scene, directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn waits_for(&self, event: &str, count: usize) {
        wait_for(event, || {
            (self.scene.gateway.records(event, None).len() == count).then_some(())
        });
    }
}

#[test]
fn authz_02_takes_up_a_policy_that_has_changed() {
    let beside = Beside::start();
    let scene = &beside.scene;
    let token = scene.token("alice");
    let request = call("echo").token(&token);
    scene.permits(&request);
    let rules = beside.path().join("rules.cedar");
    std::fs::write(&rules, "forbid(principal, action, resource);").unwrap();
    beside.waits_for("config.reloaded", 1);
    scene.refuses(&request, (403, 403), ("authz.deny", "forbidden"));

    // What cannot be read changes nothing, and is taken up once it can.
    std::fs::write(&rules, "permit(").unwrap();
    beside.waits_for("config.rejected", 1);
    scene.refuses(&request, (403, 403), ("authz.deny", "forbidden"));
    std::fs::remove_file(&rules).unwrap();
    beside.waits_for("config.rejected", 2);
    scene.refuses(&request, (403, 403), ("authz.deny", "forbidden"));
    std::fs::write(&rules, "// nothing any more\n").unwrap();
    beside.waits_for("config.reloaded", 2);
    scene.permits(&request);
}

#[test]
fn siem_03_takes_up_a_secret_that_was_rotated() {
    let beside = Beside::start();
    let scene = &beside.scene;
    let token = scene.token("alice");
    let sent = || {
        scene.permits(&call("echo").token(&token));
        let seen = scene.upstream.requests().pop().unwrap();
        seen.header("x-key").unwrap_or_default().to_owned()
    };
    assert_eq!(sent(), "hunter1");
    // As an orchestrator does: a directory beside the old one, and a link that is turned to it.
    std::fs::create_dir(beside.path().join("second")).unwrap();
    std::fs::write(beside.path().join("second/key"), "hunter2\n").unwrap();
    symlink("second", beside.path().join("next")).unwrap();
    std::fs::rename(beside.path().join("next"), beside.path().join("current")).unwrap();
    beside.waits_for("config.reloaded", 1);
    assert_eq!(sent(), "hunter2");
    assert!(!scene.gateway.traces().contains("hunter"));
}
