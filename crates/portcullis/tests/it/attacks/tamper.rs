//! ATK-089: somebody with all rights on the machine, and a log that says too much.

use crate::harness::{Gateway, Scene, call, hex, portcullis};
use aws_lc_rs::digest;
use std::path::{Path, PathBuf};

/// A checkpoint is copied to where the attacker of these tests does not reach.
const WITNESSED: &str = "[audit]\nwitness = [\"data/witness/checkpoint\"]\n";

fn verify(data: &Path) -> (Option<i32>, String) {
    let ended = portcullis(&["audit", "verify", "--data", data.to_str().unwrap()]);
    (
        ended.status.code(),
        String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned(),
    )
}

/// A log that was closed, and what each attack starts from.
struct Log {
    gateway: Gateway,
    file: PathBuf,
    lines: Vec<String>,
}

impl Log {
    fn new() -> Self {
        let mut scene = Scene::and(WITNESSED);
        let (alice, mallory) = (scene.token("alice"), scene.token("mallory"));
        for _ in 0..5 {
            scene.permits(&call("echo").token(&alice));
            scene.permits(&call("delete_all").token(&mallory));
        }
        scene.gateway.stop();
        let directory = scene.gateway.data().join("audit");
        let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        assert_eq!(files.len(), 1);
        let file = files.remove(0);
        let lines = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        Self {
            gateway: scene.gateway,
            file,
            lines,
        }
    }

    /// The place of a record that an attacker would rather not have.
    fn deed(&self) -> usize {
        self.lines
            .iter()
            .position(|line| line.contains("delete_all"))
            .unwrap()
    }

    /// Puts these lines in the place of the log's; tells what the verifier says.
    fn replaced(&self, lines: &[String]) -> (Option<i32>, String) {
        let whole: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect();
        std::fs::write(&self.file, whole).unwrap();
        verify(&self.gateway.data())
    }
}

/// Makes every line follow from the one before it again.
fn relinked(lines: &[String]) -> Vec<String> {
    let mut linked: Vec<String> = Vec::new();
    for line in lines {
        let (rest, _) = line.rsplit_once("\"prev\":\"").unwrap();
        let previous = linked.last().map_or_else(
            || "0".repeat(64),
            |line| hex(digest::digest(&digest::SHA256, line.as_bytes()).as_ref()),
        );
        linked.push(format!("{rest}\"prev\":\"{previous}\"}}"));
    }
    linked
}

/// Gives every line its number again.
fn renumbered(lines: &[String]) -> Vec<String> {
    let number = |(at, line): (usize, &String)| {
        let (_, rest) = line.split_once(",\"time\"").unwrap();
        format!("{{\"v\":1,\"seq\":{at},\"time\"{rest}")
    };
    let first: usize = serde_json::from_str::<serde_json::Value>(&lines[0]).unwrap()["seq"]
        .as_u64()
        .unwrap()
        .try_into()
        .unwrap();
    lines
        .iter()
        .enumerate()
        .map(|(at, line)| number((at + first, line)))
        .collect()
}

#[test]
fn for_01_finds_every_change_of_the_log() {
    let log = Log::new();
    let (own, deed) = (&log.lines, log.deed());
    assert_eq!(
        relinked(own),
        *own,
        "the attacker of this test knows how the log is linked"
    );
    let edited = |from: &str, to: &str| {
        let mut lines = own.clone();
        lines[deed] = lines[deed].replace(from, to);
        assert_ne!(lines, *own);
        lines
    };
    let mut swapped = own.clone();
    swapped.swap(deed, deed + 1);
    let mut without = own.clone();
    without.remove(deed);
    let mut twice = own.clone();
    twice.insert(deed, own[deed].clone());
    let mut more = own.clone();
    more.push(own[deed].clone());
    let year = own[deed].split_once("\"time\":\"").unwrap().1[..4].to_owned();
    for (what, lines) in [
        ("another name", edited("mallory", "charlie")),
        ("another tool", edited("delete_all", "read_notes")),
        (
            "another time",
            edited(&format!("\"time\":\"{year}"), "\"time\":\"2001"),
        ),
        ("a space more", edited(",\"server\"", ", \"server\"")),
        ("a record less", without.clone()),
        ("a record twice", twice.clone()),
        ("two records in another order", swapped.clone()),
        ("a record at the end", more.clone()),
        ("the end cut off", own[..own.len() - 3].to_vec()),
        ("the start cut off", own[3..].to_vec()),
        ("nothing left", Vec::new()),
        (
            "another name, and the chain mended",
            relinked(&edited("mallory", "charlie")),
        ),
        (
            "a record less, and the chain mended",
            relinked(&renumbered(&without)),
        ),
        (
            "another order, and the chain mended",
            relinked(&renumbered(&swapped)),
        ),
        (
            "a record twice, and the chain mended",
            relinked(&renumbered(&twice)),
        ),
    ] {
        let (code, said) = log.replaced(&lines);
        assert_eq!(code, Some(1), "{what}: {said}");
    }
    let (_, said) = log.replaced(&edited("mallory", "charlie"));
    assert!(
        said.contains(&(deed + 1).to_string()),
        "the verifier does not say where: {said}"
    );
    assert_eq!(log.replaced(own).0, Some(0), "the twin: the log as it was");
}

#[test]
fn for_01_finds_a_log_that_was_cut_back_with_its_checkpoints() {
    let mut scene = Scene::and(WITNESSED);
    let token = scene.token("alice");
    scene.permits(&call("echo").token(&token));
    scene.gateway.stop();
    let (data, kept) = (scene.gateway.data(), tempfile::tempdir().unwrap());
    copy(&data.join("audit"), kept.path());
    scene.gateway.restart();
    scene.permits(&call("delete_all").token(&token));
    scene.gateway.stop();
    assert_eq!(verify(&data).0, Some(0));

    // All of yesterday's files, signatures and all: only the witness knows that there was more.
    std::fs::remove_dir_all(data.join("audit")).unwrap();
    std::fs::create_dir(data.join("audit")).unwrap();
    copy(kept.path(), &data.join("audit"));
    let (code, said) = verify(&data);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn for_01_finds_a_log_that_was_replaced() {
    let (log, other) = (Log::new(), Log::new());
    let (data, own) = (log.gateway.data(), log.file.parent().unwrap().to_owned());
    std::fs::remove_dir_all(&own).unwrap();
    std::fs::create_dir(&own).unwrap();
    copy(other.file.parent().unwrap(), &own);
    assert_eq!(
        verify(&other.gateway.data()).0,
        Some(0),
        "a good log, but of another gateway"
    );
    let (code, said) = verify(&data);
    assert_eq!(code, Some(1), "{said}");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
