//! Whatever a directory asks for: it is refused, or it says of one user what strict JSON says there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::scim::{
    Asked, Attribute, Draft, Effect, MAX_LISTED, MAX_TEXT_BYTES, Request, Search, Step, User, read,
};

fuzz_target!(|input: &[u8]| {
    let (line, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &b""[..]),
    };
    let Ok(line) = std::str::from_utf8(line) else {
        return;
    };
    let (method, target) = line.split_once(' ').unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let request = Request {
        method,
        path,
        query,
        body,
    };
    match read(&request) {
        Err(_) | Ok(Asked::Document(_) | Asked::Search(Search::One(_))) => {}
        Ok(Asked::Search(Search::Where(_, value))) => {
            assert!(!value.is_empty() && value.len() <= MAX_TEXT_BYTES);
            assert!(query.is_some_and(|query| query.contains("filter")));
        }
        Ok(Asked::Search(Search::All(_, most))) => assert!(most <= MAX_LISTED),
        Ok(Asked::Step(step)) => change(step, body),
    }
});

fn change(step: Step, body: &[u8]) {
    if let Step::Create(draft) | Step::Merge(_, draft) = &step {
        let read: serde_json::Value = serde_json::from_slice(body).expect("strict JSON");
        assert!(read.is_object());
        kept(draft, &read.to_string());
    }
    let before = User {
        id: "0a".to_owned(),
        user_name: "a".to_owned(),
        external_id: Some("x".to_owned()),
        active: true,
    };
    let wanted = match &step {
        Step::Create(draft) | Step::Merge(_, draft) => draft.active,
        Step::Delete(_) => Some(false),
    };
    let by = Attribute::ExternalId;
    let Ok(applied) = step.apply(Some(before), "0a", by) else {
        return;
    };
    // Who is to have no access loses it under the name of now.
    if wanted == Some(false) {
        let last = applied.effects.last().expect("an effect");
        assert!(matches!(last, Effect::Disable(_)));
    }
}

/// Nothing is kept that was not sent.
fn kept(draft: &Draft, sent: &str) {
    for text in [&draft.user_name, &draft.external_id].into_iter().flatten() {
        assert!(!text.is_empty() && text.len() <= MAX_TEXT_BYTES);
        assert!(sent.contains(&serde_json::Value::from(text.as_str()).to_string()));
    }
}
