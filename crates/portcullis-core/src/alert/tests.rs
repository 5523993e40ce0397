//! Each alert has its id, and none is told too often.

use super::*;
use crate::misuse::Rule;

fn wanted() -> Wanted {
    Wanted {
        least: Severity::Medium,
        events: vec!["authz.deny".to_owned(), "authn.reject/signature".to_owned()],
        per_minute: 3,
        repeat_after: Duration::from_mins(5),
    }
}

fn seen<'a>(
    event: &'a str,
    reason: Option<&'a str>,
    (about, seconds): (u64, u64),
) -> Occurrence<'a> {
    Occurrence {
        event,
        reason,
        by: None,
        about,
        time: Timestamp::from_seconds(1_000_000 + seconds),
    }
}

fn rule(verdict: Verdict) -> Option<(String, u32)> {
    match verdict {
        Verdict::Alert(alert) => Some((alert.rule, alert.count)),
        Verdict::Usual | Verdict::Repeated | Verdict::TooMany => None,
    }
}

#[test]
fn tok_19_each_rule_is_an_alert_of_its_own_id_and_what_is_named_is_one_too() {
    let check = |event: &str, reason: Option<&str>, expected: Option<&str>| {
        let verdict = Told::default().judge(&seen(event, reason, (1, 0)), &wanted());
        assert_eq!(
            rule(verdict),
            expected.map(|id| (id.to_owned(), 1)),
            "{event} {reason:?}"
        );
    };
    for one in Rule::ALL {
        check("token.misuse", Some(one.name()), Some(one.name()));
    }
    check("token.misuse", Some("unknown"), None);
    check(
        "exfil.budget_exceeded",
        Some("volume"),
        Some("exfil.budget_exceeded"),
    );
    check("oauth.refresh_reuse", None, Some("oauth.refresh_reuse"));
    check("authz.deny", Some("no_rule"), Some("authz.deny"));
    check("authn.reject", Some("signature"), Some("authn.reject"));
    check("authn.reject", Some("expired"), None);
    check("call.completed", None, None);
    check("flood.summarised", None, None); // not grave enough here
    let revoked = |by| Occurrence {
        by: Some(by),
        ..seen("access.revoked", Some("token"), (1, 0))
    };
    let by = |by| rule(Told::default().judge(&revoked(by), &wanted()));
    assert_eq!(by("misuse:token_keys"), None);
    assert_eq!(
        by("https://idp.example"),
        Some(("access.revoked".to_owned(), 1))
    );
    for (event, ..) in KNOWN {
        assert!(is_event(event));
    }
    assert!(is_event("token.misuse") && !is_event("call.completed"));
}

#[test]
fn tok_19_the_same_is_told_once_in_its_time_and_counted_after() {
    let (mut told, wanted) = (Told::default(), wanted());
    let mut at = |about, seconds| {
        told.judge(
            &seen("token.misuse", Some("token_keys"), (about, seconds)),
            &wanted,
        )
    };
    assert_eq!(rule(at(1, 0)), Some(("token_keys".to_owned(), 1)));
    assert_eq!(at(1, 1), Verdict::Repeated);
    assert_eq!(at(1, 299), Verdict::Repeated);
    assert_eq!(rule(at(2, 299)), Some(("token_keys".to_owned(), 1)));
    assert_eq!(rule(at(1, 300)), Some(("token_keys".to_owned(), 3)));
}

#[test]
fn tok_19_there_are_no_more_in_a_minute_than_wanted_and_no_more_is_held_than_fits() {
    let (mut told, wanted) = (Told::default(), wanted());
    let verdicts: Vec<Verdict> = (0..5)
        .map(|about| told.judge(&seen("key.rejected", None, (about, about)), &wanted))
        .collect();
    let count = |what: &Verdict| verdicts.iter().filter(|one| *one == what).count();
    assert_eq!(count(&Verdict::TooMany), 2);
    assert!(rule(told.judge(&seen("key.rejected", None, (9, 61)), &wanted)).is_some());
    for about in 0..10_000 {
        told.judge(&seen("key.rejected", None, (about, about * 60)), &wanted);
        assert!(told.held.len() <= MAX_HELD);
    }
}

#[test]
fn tok_19_an_hour_of_usual_records_is_no_alert() {
    let (mut told, mut wanted) = (Told::default(), wanted());
    wanted.events.clear();
    wanted.least = Severity::Low;
    let usual = [
        ("call.completed", None),
        ("message.accepted", None),
        ("session.created", None),
        ("session.terminated", Some("idle")),
        ("authn.reject", Some("expired")),
        ("authn.reject", Some("missing")),
        ("authz.deny", Some("no_rule")),
        ("stream.opened", None),
        ("stream.closed", Some("client")),
        ("token.issued", None),
        ("jwks.refreshed", None),
        ("key.rotated", None),
        ("config.reloaded", None),
        ("access.reviewed", None),
        ("tls.certificate_renewed", None),
    ];
    for second in 0..3600 {
        for (event, reason) in usual {
            let verdict = told.judge(&seen(event, reason, (second, second)), &wanted);
            assert_eq!(verdict, Verdict::Usual, "{event}");
        }
    }
}

#[test]
fn tok_19_that_alerts_were_left_out_does_not_make_alerts_for_ever() {
    let wanted = Wanted {
        per_minute: 1,
        repeat_after: Duration::ZERO,
        ..wanted()
    };
    let mut told = Told::default();
    let mut left_out = 0;
    for about in 0..3 {
        let verdict = told.judge(&seen("oauth.refresh_reuse", None, (about, 0)), &wanted);
        left_out += u32::from(verdict == Verdict::TooMany);
    }
    // Every ten seconds it is recorded that some were left out, which is judged as any record is.
    let mut records = 0;
    for tens in 1..60 {
        if left_out > 0 {
            (left_out, records) = (0, records + 1);
            let dropped = seen("alert.dropped", Some("too_many"), (9, tens * 10));
            let verdict = told.judge(&dropped, &wanted);
            left_out += u32::from(verdict == Verdict::TooMany);
        }
    }
    assert_eq!(records, 1);
}
