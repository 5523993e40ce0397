//! A log of any bytes is judged, never believed and never the end of the process.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_audit::{
    CHECKPOINTS, Filter, SigningKey, Verdict, newest_first, oldest_first, segment_name, tail,
    verify,
};
use std::path::PathBuf;
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("log.example", &[7; 32]).expect("a key"));
/// One directory a process; the files in it are overwritten.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("portcullis-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
});

fuzz_target!(|input: &[u8]| {
    // The checkpoints, a line that divides, the records.
    let divider = b"\n====\n";
    let at = input
        .windows(divider.len())
        .position(|window| window == divider);
    let (notes, lines) = match at {
        Some(at) => (&input[..at], &input[at + divider.len()..]),
        None => (&input[..0], input),
    };
    std::fs::write(DIR.join(CHECKPOINTS), notes).expect("written");
    std::fs::write(DIR.join(segment_name(0)), lines).expect("written");
    let keys = [KEY.verifier().clone()];
    if let Verdict::Sound(sound) = verify(&DIR, &keys, &[]) {
        assert_eq!(
            sound.checkpoint.tree().size + sound.unanchored,
            sound.records
        );
    }
    // Both directions read the same records.
    let read = |search: std::io::Result<portcullis_audit::Search>| -> Option<Vec<String>> {
        let found = search.ok()?;
        found
            .map(|record| record.ok().map(|record| format!("{record:?}")))
            .collect()
    };
    let oldest = read(oldest_first(&DIR, Filter::default()));
    let newest = read(newest_first(&DIR, Filter::default()));
    if let (Some(oldest), Some(mut newest)) = (oldest, newest) {
        newest.reverse();
        assert_eq!(oldest, newest);
    }
    if let Ok((lines, _)) = tail(&DIR, 3) {
        assert!(lines.len() <= 3);
    }
});
