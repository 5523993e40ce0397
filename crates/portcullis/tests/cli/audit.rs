//! `portcullis audit`.

use super::log::{Home, RECORDS, key, write};
use super::{Ran, command, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

fn audit(home: &Home, arguments: &[&str]) -> Ran {
    let data = home.path().to_str().unwrap();
    let (task, rest) = arguments.split_first().unwrap();
    run(
        home.path(),
        &[&["audit", task, "--data", data], rest].concat(),
    )
}

#[test]
fn a_sound_log_is_told_with_what_it_was_compared_with() {
    let home = Home::new();
    let text = audit(&home, &["verify"]);
    assert_eq!(text.code, 0, "{text:?}");
    assert!(
        text.out.starts_with(&format!("sound: {RECORDS} records")),
        "{}",
        text.out
    );
    let json = audit(&home, &["verify", "--json"]).json();
    assert_eq!(json["verdict"], "sound");
    assert_eq!(json["records"], RECORDS);
    assert_eq!(json["checkpoint"]["size"], RECORDS);
    assert_eq!(json["root"], json["checkpoint"]["root"]);
    assert_eq!(json["witnesses"][0], home.witness().to_str().unwrap());
    // The same by its parts.
    let (log, witness) = (home.log(), home.witness());
    let verifier = key(1).verifier().to_string();
    let named = [
        "audit",
        "verify",
        "--log",
        log.to_str().unwrap(),
        "--key",
        &verifier,
        "--witness",
        witness.to_str().unwrap(),
    ];
    assert_eq!(run(home.path(), &named).code, 0);
    std::fs::remove_file(witness).unwrap();
    assert!(audit(&home, &["verify"]).out.contains("no witness"));
}

#[test]
fn the_configuration_says_where_the_log_is_without_the_secrets_of_the_gateway() {
    let home = Home::new();
    let config = "[gateway]\ndata = \".\"\n[audit]\ndirectory = \"elsewhere\"\nwitness = [\"witness/checkpoint\"]\n\
                  [issuers.local]\nembedded = true\n[servers.a]\nurl = \"https://a.example\"\nheaders = { A = \"${UNSET}\" }\n";
    std::fs::write(home.path().join("portcullis.toml"), config).unwrap();
    std::fs::rename(home.log(), home.path().join("elsewhere")).unwrap();
    assert_eq!(audit(&home, &["verify"]).code, 0);
    std::fs::remove_file(home.witness()).unwrap();
    assert_eq!(
        audit(&home, &["verify"]).code,
        2,
        "a witness that is configured is missed"
    );
    std::fs::write(
        home.path().join("portcullis.toml"),
        "[audit]\nwitness = 7\n",
    )
    .unwrap();
    assert_eq!(audit(&home, &["verify"]).code, 2);
}

type Attack = fn(&Home);

/// What is done to a log, what is said of it, and which record is named.
const ATTACKS: [(&str, Attack, &str, u64); 7] = [
    (
        "edit",
        |home| home.edit(0, |lines| lines[2] = lines[2].replace("alice", "carol")),
        "edited",
        2,
    ),
    (
        "delete",
        |home| home.edit(0, |lines| drop(lines.remove(3))),
        "displaced",
        3,
    ),
    (
        "reorder",
        |home| home.edit(0, |lines| lines.swap(3, 4)),
        "displaced",
        3,
    ),
    (
        "insert",
        |home| home.edit(0, |lines| lines.insert(3, lines[2].clone())),
        "inserted",
        3,
    ),
    ("cut", |home| home.cut(RECORDS - 1), "cut", RECORDS - 1),
    (
        "no record",
        |home| home.edit(0, |lines| "{}".clone_into(&mut lines[1])),
        "not_a_record",
        1,
    ),
    (
        "stranger",
        |home| std::fs::write(home.log().join("7.jsonl"), "").unwrap(),
        "strange_file",
        0,
    ),
];

#[test]
fn atk_089_what_was_touched_is_named() {
    for (name, attack, why, seq) in ATTACKS {
        let home = Home::new();
        attack(&home);
        let found = audit(&home, &["verify", "--json"]);
        assert_eq!(found.code, 1, "{name}: {found:?}");
        let json = found.json();
        assert_eq!(
            (&json["verdict"], &json["why"]),
            (&Value::from("broken"), &Value::from(why)),
            "{name}"
        );
        assert_eq!(
            (&json["seq"], &json["last_seq"]),
            (&Value::from(seq), &Value::from(seq)),
            "{name}"
        );
        for key in ["line", "byte", "bytes"] {
            assert!(json[key].is_u64(), "{name}: {key}");
        }
        let text = audit(&home, &["verify"]);
        assert_eq!(text.code, 1);
        assert!(
            text.out.contains(&format!("record  {seq}\n")),
            "{name}: {}",
            text.out
        );
        assert!(text.out.contains(json["file"].as_str().unwrap()));
    }
}

#[test]
fn atk_089_the_line_and_the_byte_are_those_of_the_file() {
    let home = Home::new();
    home.edit(1, |lines| lines[1] = lines[1].replace("search", "delete"));
    let json = audit(&home, &["verify", "--json"]).json();
    let segment = &home.segments()[1];
    let bytes = std::fs::read_to_string(segment)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .len()
        + 1;
    assert_eq!(json["file"], segment.file_name().unwrap().to_str().unwrap());
    assert_eq!(
        (json["line"].as_u64(), json["byte"].as_u64()),
        (Some(2), Some(bytes as u64))
    );
}

#[test]
fn atk_089_a_log_that_was_cut_back_is_found_by_its_witness() {
    let home = Home::new();
    let kept = home.keep_checkpoints(3);
    home.cut(kept);
    let found = audit(&home, &["verify", "--json"]);
    assert_eq!((found.code, &found.json()["why"]), (1, &Value::from("cut")));
    std::fs::remove_file(home.witness()).unwrap();
    let blind = audit(&home, &["verify"]);
    assert_eq!(blind.code, 0);
    assert!(
        blind.out.contains("no witness"),
        "what cannot be seen is said"
    );
}

#[test]
fn atk_089_a_log_in_the_place_of_another_is_found() {
    let (home, other) = (Home::new(), Home::signed_by(2));
    std::fs::remove_dir_all(home.log()).unwrap();
    std::fs::rename(other.log(), home.log()).unwrap();
    let found = audit(&home, &["verify", "--json"]);
    assert_eq!(
        (found.code, &found.json()["why"]),
        (1, &Value::from("checkpoint"))
    );

    // Written anew with the right key, it is not the one that the witness saw.
    let (home, other) = (Home::new(), Home::new());
    std::fs::remove_dir_all(home.log()).unwrap();
    std::fs::rename(other.log(), home.log()).unwrap();
    let found = audit(&home, &["verify", "--json"]);
    assert_eq!(
        (found.code, &found.json()["why"]),
        (1, &Value::from("forked"))
    );
}

#[test]
fn what_cannot_be_told_ends_with_2() {
    let home = Home::new();
    for (arguments, said) in [
        (&["verify", "--key", "nokey"][..], "nokey"),
        (&["verify", "--witness", "nowitness"], "cannot be read"),
        (&["verify", "--config", "noconfig"], "noconfig"),
        (&["tail", "--log", "nolog"], "nolog"),
        (&["search", "--log", "nolog"], "nolog"),
        (&["proof", "--seq", "0", "--log", "nolog"], "nolog"),
        (&["proof", "--check", "nofile"], "nofile"),
    ] {
        let ran = audit(&home, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    let log = home.log();
    assert_eq!(
        run(
            home.path(),
            &["audit", "verify", "--log", log.to_str().unwrap()]
        )
        .code,
        2,
        "no key"
    );
    let json = audit(&home, &["verify", "--json", "--log", "nolog"]);
    assert_eq!(
        (json.code, &json.json()["verdict"]),
        (2, &Value::from("unknown"))
    );
    std::fs::remove_dir_all(home.log()).unwrap();
    assert_eq!(audit(&home, &["verify"]).code, 2);
}

#[test]
fn a_log_that_is_written_to_is_sound_all_the_time() {
    let home = Home::new();
    let (recorder, writer) = home.start(1);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                write(&recorder, 1);
            }
        });
        for _ in 0..15 {
            let ran = audit(&home, &["verify"]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    writer.finish(Duration::from_secs(5)).unwrap();
    // A line that is not finished is none.
    let last = home.segments().pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap() + "{\"v\":1,\"se";
    std::fs::write(&last, text).unwrap();
    let json = audit(&home, &["verify", "--json"]).json();
    assert_eq!(
        (&json["verdict"], &json["torn_bytes"]),
        (&Value::from("sound"), &Value::from(10))
    );
}

#[test]
fn the_last_records_are_printed_and_those_that_come() {
    let home = Home::new();
    let json = audit(&home, &["tail", "-n", "3", "--json"]);
    let seqs: Vec<u64> = json
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, [RECORDS - 3, RECORDS - 2, RECORDS - 1]);
    let text = audit(&home, &["tail", "-n", "1"]);
    assert!(
        text.out.contains("call.completed")
            && text.out.contains("who=bob server=notes target=search"),
        "{}",
        text.out
    );
    assert_eq!(audit(&home, &["tail"]).out.lines().count(), 10);

    let data = home.path().to_str().unwrap();
    let mut following = command(
        home.path(),
        &[
            "audit", "tail", "--data", data, "-n", "1", "--follow", "--json",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains(&format!("\"seq\":{},", RECORDS - 1))
    );
    let (recorder, writer) = home.start(1);
    write(&recorder, 1);
    writer.finish(Duration::from_secs(5)).unwrap();
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains(&format!("\"seq\":{RECORDS},"))
    );
    // It ends with its reader.
    drop(lines);
    let (recorder, writer) = home.start(1);
    write(&recorder, 1);
    writer.finish(Duration::from_secs(5)).unwrap();
    assert_eq!(following.wait().unwrap().code(), Some(0));
}

#[test]
fn records_are_found_by_what_they_have() {
    let home = Home::new();
    let count = |arguments: &[&str]| {
        let ran = audit(&home, &[&["search", "--json"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out.lines().count()
    };
    assert_eq!(count(&[]), 40);
    assert_eq!(count(&["--event", "authz."]), 10);
    assert_eq!(count(&["--principal", "bob"]), 20);
    assert_eq!(count(&["--principal", "alice", "--effect", "allow"]), 10);
    assert_eq!(count(&["--effect", "deny", "--limit", "3"]), 3);
    assert_eq!(count(&["--server", "notes", "--target", "search"]), 40);
    assert_eq!(count(&["--server", "other"]), 0);
    assert_eq!(count(&["--trace", "0af7651916cd43dd8448eb211c80319c"]), 40);
    assert_eq!(count(&["--since", "2026-07-28"]), 40);
    assert_eq!(count(&["--until", "2026-07-28T09:00:00Z"]), 0);
    assert_eq!(count(&["--since", "2999-01-01"]), 0);
    let newest = audit(&home, &["search", "--json", "--limit", "2"]).out;
    let seqs: Vec<u64> = newest
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(
        seqs,
        [RECORDS - 2, RECORDS - 1],
        "the newest, the oldest of them first"
    );
    home.edit(0, |lines| "{}".clone_into(&mut lines[2]));
    let touched = audit(&home, &["search"]);
    assert_eq!(touched.code, 1);
    assert!(
        touched.err.contains("no record") && touched.err.contains("audit verify"),
        "{}",
        touched.err
    );
}

#[test]
fn a_proof_is_made_and_checked_with_nothing_but_the_key() {
    let home = Home::new();
    let size = sizes(&home)[2].to_string();
    for arguments in [
        &["proof", "--seq", "5"][..],
        &["proof", "--seq", "0", "--size", &size],
        &["proof", "--consistency", &size, &RECORDS.to_string()],
    ] {
        let made = audit(&home, arguments);
        assert_eq!(made.code, 0, "{made:?}");
        let checked = check(&made.out, 1);
        assert_eq!(checked.code, 0);
        assert_eq!(checked.json()["holds"], true);
        // Of another record, or signed by another, it holds nothing.
        let forged = made
            .out
            .replace("\\\"alice", "\\\"carol")
            .replace("\\\"bob", "\\\"bop");
        let forged = forged.replace("\"old\": \"", "\"old\": \"x");
        for checked in [check(&forged, 1), check(&made.out, 2)] {
            assert_eq!(checked.code, 1, "{arguments:?}");
            assert_eq!(checked.json()["holds"], false);
        }
    }
    assert_eq!(check("{}", 1).code, 2);
}

#[test]
fn what_cannot_be_proven_has_no_proof() {
    let home = Home::new();
    // A slow machine makes checkpoints in between.
    let known = sizes(&home);
    let unknown = (1..4000).find(|size| !known.contains(size)).unwrap();
    let unknown = unknown.to_string();
    for arguments in [
        &["proof", "--seq", "4000"][..],
        &["proof", "--seq", "0", "--size", &unknown],
        &["proof", "--consistency", &unknown, "4000"],
    ] {
        assert_eq!(audit(&home, arguments).code, 1, "{arguments:?}");
    }
    home.edit(0, |lines| lines[2] = lines[2].replace("alice", "carol"));
    let touched = audit(&home, &["proof", "--seq", "5"]);
    assert_eq!(touched.code, 1, "{touched:?}");
}

/// Checks a proof where there is neither a log nor a data directory.
fn check(proof: &str, seed: u8) -> Ran {
    let auditor = tempfile::tempdir().unwrap();
    std::fs::write(auditor.path().join("proof.json"), proof).unwrap();
    let verifier = key(seed).verifier().to_string();
    let arguments = [
        "audit",
        "proof",
        "--log",
        ".",
        "--check",
        "proof.json",
        "--key",
        &verifier,
        "--json",
    ];
    run(auditor.path(), &arguments)
}

/// The sizes of the checkpoints of a log.
fn sizes(home: &Home) -> Vec<u64> {
    let text = std::fs::read_to_string(home.log().join("checkpoints")).unwrap();
    let notes = text
        .split("\n\n")
        .filter(|part| !part.starts_with('\u{2014}'));
    notes
        .filter_map(|note| note.lines().nth(1)?.parse().ok())
        .collect()
}
