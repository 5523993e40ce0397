//! What the gateway does by itself: keys replaced, misuse and alerts told of.

use super::*;

#[test]
fn tok_19_rules_about_misuse_are_checked() {
    let text = "[misuse]\nexempt = [\"192.0.2.0/24\", \"2001:db8::1\"]\nrevoke = [\"volume\"]\n";
    let checked = reads(&format!("{text}{REST}")).unwrap();
    assert_eq!(
        (checked.misuse.exempt.len(), checked.misuse.revoke.len()),
        (2, 1)
    );
    assert!(
        reads(REST).unwrap().misuse.revoke.is_empty(),
        "the default records"
    );
    for (lines, column, key, words) in [
        (
            "exempt = [\"192.0.2.0/33\"]",
            11,
            "exempt[0]",
            "192.0.2.0/24",
        ),
        (
            "revoke = [\"invalid_burst\"]",
            11,
            "revoke[0]",
            "could be a victim",
        ),
        (
            "revoke = [\"volumes\"]",
            11,
            "revoke[0]",
            "did you mean `volume`?",
        ),
        ("prefix_v4 = 33", 13, "prefix_v4", "8 to 32"),
        ("window = \"0s\"", 10, "window", "1s to 1h"),
        ("audiences = 1", 13, "audiences", "2 to 64"),
    ] {
        let text = format!("[misuse]\n{lines}\n");
        refuses(&text, 2, column, &format!("misuse.{key}"), words);
    }
}

#[test]
fn tok_15_ages_of_keys_are_checked() {
    let line = |text: &str| format!("[keys.rotate_every]\n{text}\n");
    for (text, column, words) in [
        ("issuer = \"23h\"", 10, "1d to 3650d"),
        ("audit = \"9999d\"", 9, "out of range"),
        ("wrapping = \"soon\"", 12, "not a duration"),
    ] {
        let key = text.split(' ').next().unwrap();
        let key = format!("keys.rotate_every.{key}");
        refuses(&line(text), 2, column, &key, words);
    }
    let checked = reads(&format!("{}{REST}", line("client = \"30d\""))).unwrap();
    assert_eq!(checked.rotate_every.signing.len(), 1);
    assert!(checked.rotate_every.wrapping.is_none());
}

#[test]
fn tok_19_destinations_of_alerts_are_checked() {
    let hook = "webhook = \"https://siem.example/hook\"";
    let good = [
        "syslog = \"tls://siem.example:6514\"".to_owned(),
        "syslog = \"udp://127.0.0.1:514\"".to_owned(),
        "file = \"alerts.jsonl\"".to_owned(),
        "stdout = true\nevents = [\"authz.deny\", \"authn.reject/signature\"]".to_owned(),
    ];
    for lines in good {
        let checked = reads(&format!("[alerts.siem]\n{lines}\n{REST}")).unwrap();
        assert_eq!(checked.alerts.len(), 1);
    }
    for (lines, key, words) in [
        ("severity = \"low\"", "alerts.siem", "one of `webhook`"),
        (
            "file = \"a\"\nstdout = true",
            "alerts.siem",
            "one of `webhook`",
        ),
        (hook, "alerts.siem", "without `secret`"),
        (
            "file = \"a\"\nsecret = { file = \"short\" }",
            "alerts.siem.secret",
            "only for a `webhook`",
        ),
        (
            "syslog = \"tcp://siem.example:514\"",
            "alerts.siem.syslog",
            "only on loopback",
        ),
        (
            "syslog = \"tls://siem.example\"",
            "alerts.siem.syslog",
            "not a syslog server",
        ),
        (
            "syslog = \"tls://siem.example:6514/x\"",
            "alerts.siem.syslog",
            "not a syslog server",
        ),
        (
            "stdout = true\nevents = [\"denied\"]",
            "alerts.siem.events[0]",
            "not an event",
        ),
    ] {
        let text = format!("[alerts.siem]\n{lines}\n");
        let problems = reads(&format!("{text}{REST}")).expect_err(&text);
        let found = problems
            .as_slice()
            .iter()
            .any(|problem| problem.key == key && problem.to_string().contains(words));
        assert!(found, "{text}\n{problems}");
    }
    let short = format!("[alerts.siem]\n{hook}\nsecret = {{ file = \"short\" }}\n");
    let problems = reads(&format!("{short}{REST}")).expect_err(&short);
    assert!(problems.to_string().contains("too short"), "{problems}");
}
