//! What a record looks like, and that it stays within its bounds.

use super::*;
use crate::line::MAX_LINE_BYTES;
use serde_json::json;

/// A record with every field.
pub(crate) fn full() -> Record {
    let mut record = Record::new("call.completed");
    record.reason = Some("tool.error".into());
    record.principal = Some(Principal {
        iss: "https://idp.example".into(),
        sub: "alice".into(),
    });
    record.client = Some("desktop".into());
    record.jti = Some("j-1".into());
    record.server = Some("files".into());
    record.method = Some("tools/call".into());
    record.target = Some("read".into());
    record.arguments = Some(Arguments {
        digest: Digest::of(b"{}"),
        view: Some(View::from(&json!({"path": "/a\u{202e}b\n"}))),
    });
    record.decision = Some(Decision {
        effect: Effect::Allow,
        rule: "readers".into(),
        policy: "ab12".into(),
    });
    record.outcome = Some(Outcome {
        status: 200,
        code: Some(-32_000),
    });
    record.session = Some("5e55".into());
    record.peer = Some("[::1]:4000".parse().unwrap());
    record.duration_us = Some(1200);
    record.upstream_us = Some(900);
    record.bytes_in = Some(10);
    record.bytes_out = Some(20);
    record.trace = Some("0af7651916cd43dd8448eb211c80319c".into());
    record.detail.set("policy_us", "12");
    record
}

#[test]
fn authz_04_a_record_has_its_fields_in_order() {
    let text = serde_json::to_string(&full()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"event":"call.completed","reason":"tool.error","#,
            r#""principal":{"iss":"https://idp.example","sub":"alice"},"client":"desktop","jti":"j-1","#,
            r#""server":"files","method":"tools/call","target":"read","#,
            r#""arguments":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
            "\"view\":{\"path\":\"/a\u{202e}b\\n\"}},",
            r#""decision":{"effect":"allow","rule":"readers","policy":"ab12"},"#,
            r#""outcome":{"status":200,"code":-32000},"session":"5e55","peer":"[::1]:4000","#,
            r#""duration_us":1200,"upstream_us":900,"bytes_in":10,"bytes_out":20,"#,
            r#""trace":"0af7651916cd43dd8448eb211c80319c","detail":{"policy_us":"12"}}"#
        )
    );
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), full());
}

#[test]
fn a_text_is_cut_on_a_character() {
    let rows = [
        ("a".repeat(MAX_TEXT_BYTES), MAX_TEXT_BYTES, false),
        ("a".repeat(MAX_TEXT_BYTES + 1), MAX_TEXT_BYTES, true),
        (
            format!("a{}", "ä".repeat(MAX_TEXT_BYTES)),
            MAX_TEXT_BYTES,
            true,
        ),
        ("ä".repeat(MAX_TEXT_BYTES), MAX_TEXT_BYTES - 1, true),
    ];
    for (text, bytes, cut) in rows {
        assert_eq!(Text::from(text.as_str()), Text::from(text.clone()));
        let text = Text::from(text);
        assert_eq!(text.as_str().len(), bytes);
        assert_eq!(text.as_str().ends_with(ELLIPSIS_CHAR), cut);
    }
}

const ELLIPSIS_CHAR: char = '…';

#[test]
fn a_view_is_one_line_within_its_bound() {
    let raw = RawJson::from_string("{\r\n \"a\": [1,\n 2]\n}".into()).unwrap();
    assert_eq!(View::from(&*raw).as_str(), r#"{ "a": [1, 2]}"#);
    assert_eq!(
        View::from(&json!("x".repeat(MAX_VIEW_BYTES - 2)))
            .as_str()
            .len(),
        MAX_VIEW_BYTES
    );
    assert_eq!(
        View::from(&json!("x".repeat(MAX_VIEW_BYTES - 1))).as_str(),
        r#"{"omitted_bytes":16385}"#
    );
}

use serde_json::value::RawValue as RawJson;

#[test]
fn the_largest_record_fits_in_a_line() {
    let worst = || Text::from("\u{1}".repeat(2 * MAX_TEXT_BYTES));
    let mut record = full();
    record.principal = Some(Principal {
        iss: worst(),
        sub: worst(),
    });
    for field in [
        &mut record.client,
        &mut record.jti,
        &mut record.server,
        &mut record.method,
        &mut record.target,
        &mut record.session,
        &mut record.trace,
    ] {
        *field = Some(worst());
    }
    record.decision = Some(Decision {
        effect: Effect::Deny,
        rule: worst(),
        policy: worst(),
    });
    record.arguments = Some(Arguments {
        digest: Digest::of(b""),
        view: Some(View::from(&json!("x".repeat(MAX_VIEW_BYTES - 2)))),
    });
    for name in [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "a",
    ] {
        record.detail.set(name, worst());
    }
    assert_eq!(record.detail.iter().count(), MAX_FACTS);
    assert_eq!(record.detail.get("q"), None);
    let bytes = serde_json::to_vec(&record).unwrap().len();
    assert!(bytes < MAX_LINE_BYTES - 1024, "{bytes}");
}
