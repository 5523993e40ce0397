//! What is no key, no value or no quantity of ours.

use super::*;

#[rustfmt::skip]
const UNKNOWN_OF_SERVER: &[Row] = &[
    ("comand = \"x\"", 2, 1, ".comand", "did you mean `command`?"),
    ("url = \"https://a.example\"\nlimits = { respons = 1 }", 3, 12, ".limits.respons", "did you mean `response`?"),
    ("url = \"https://a.example\"\nheaders.A = { fil = \"x\" }", 3, 15, ".headers.A.fil", "did you mean `file`?"),
];

#[rustfmt::skip]
const UNKNOWN: &[Row] = &[
    ("colour = 1\n", 1, 1, "colour", "unknown key"),
    ("[gateway]\nlissten = \"x\"\n", 2, 1, "gateway.lissten", "did you mean `listen`?"),
    ("[gatway]\n", 1, 2, "gatway", "did you mean `gateway`?"),
    ("[gateway.tls]\ncert = \"x\"\n", 2, 1, "gateway.tls.cert", "certificate"),
    ("[[grants]]\nwho = \"anyone\"\nallow = [\"rest__x\"]\nserver = \"x\"\n", 4, 1, "grants[0].server", "unknown key"),
];

#[test]
fn conf_refuses_what_it_does_not_know() {
    for (text, line, column, key, words) in UNKNOWN {
        refuses(text, *line, *column, key, words);
    }
    for (lines, line, column, key, words) in UNKNOWN_OF_SERVER {
        refuses_server(lines, *line, *column, key, words);
    }
}

#[rustfmt::skip]
const TYPES: &[Row] = &[
    ("[gateway]\nlisten = 8848\n", 2, 10, "gateway.listen", "expected a string, found an integer"),
    ("[gateway]\ndrain = 10\n", 2, 9, "gateway.drain", "write the unit"),
    ("[limits]\nbody = 1.5\n", 2, 8, "limits.body", "expected a size, found a float"),
    ("gateway = 1\n", 1, 11, "gateway", "expected a table"),
    ("[policy]\nfiles = [\"a\", 1]\n", 2, 15, "policy.files[1]", "expected a string"),
    ("[gateway]\nlisten = \n", 2, 10, "", ""),
    ("[gateway]\n[gateway]\n", 2, 2, "", "duplicate key"),
];

#[test]
fn conf_refuses_wrong_types_and_syntax() {
    for (text, line, column, key, words) in TYPES {
        refuses(text, *line, *column, key, words);
    }
    let large = format!("#{}", " ".repeat(bounds::MAX_FILE_BYTES));
    assert!(
        reads(&large)
            .unwrap_err()
            .to_string()
            .contains("more than 1048576 bytes")
    );
    let many = format!(
        "[policy]\nfiles = [{}]\n",
        "\"a\",".repeat(bounds::MAX_ENTRIES + 1)
    );
    assert!(
        reads(&many)
            .unwrap_err()
            .to_string()
            .contains("too many entries")
    );
    let wrong = format!("[policy]\nfiles = [{}]\n", "1,".repeat(bounds::MAX_ENTRIES));
    assert_eq!(
        reads(&wrong).unwrap_err().as_slice().len(),
        bounds::MAX_PROBLEMS
    );
}

#[rustfmt::skip]
const QUANTITIES: &[Row] = &[
    ("[gateway]\ndrain = \"11m\"\n", 2, 9, "gateway.drain", "0s to 10m"),
    ("[gateway]\ndrain = \"ten\"\n", 2, 9, "gateway.drain", "not a duration"),
    ("[limits]\nbody = \"4MB\"\n", 2, 8, "limits.body", "not a size"),
    ("[limits]\nbody = -1\n", 2, 8, "limits.body", "not a size"),
    ("[limits]\nbody = 1\n", 2, 8, "limits.body", "1KiB to 64MiB"),
    ("[limits]\nconnections = 0\n", 2, 15, "limits.connections", "out of range"),
    ("[quota]\nburst = -5\n", 2, 9, "quota.burst", "out of range"),
    ("[quota]\nburst = 9223372036854775807\n", 2, 9, "quota.burst", "out of range"),
    ("[sessions]\nidle = \"2h\"\nabsolute = \"1h\"\n", 2, 8, "sessions.idle", "longer than `absolute`, 1h"),
    ("[sessions]\nmax = 5\nmax_per_principal = 6\n", 3, 21, "sessions.max_per_principal", "more than `max`, 5"),
    ("[audit]\ndurability = \"2s\"\n", 2, 14, "audit.durability", "1ms to 1s"),
    ("[audit]\ndurability = \"never\"\n", 2, 14, "audit.durability", "not a duration"),
    ("[audit]\narguments = \"digests\"\n", 2, 13, "audit.arguments", "did you mean `digest`?"),
    ("[issuers.a]\nissuer = \"https://a.example\"\nskew = \"61s\"\n", 3, 8, "issuers.a.skew", "0s to 1m"),
];

#[test]
fn conf_refuses_quantities_out_of_range() {
    for (text, line, column, key, words) in QUANTITIES {
        refuses(text, *line, *column, key, words);
    }
    let sessions = reads(&format!("[sessions]\nmax = 5\nabsolute = \"10m\"{REST}"))
        .unwrap()
        .sessions;
    assert_eq!(
        (sessions.max_per_principal, sessions.idle),
        (5, Duration::from_mins(10))
    );
}
