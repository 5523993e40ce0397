//! What is accepted as a call has one reading, for us and for every other reader of JSON.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis_core::protocol::{
    Call, Headers, Kind, Places, Revision, Target, check_strict, splice,
};
use serde_json::Value;
use std::ops::Range;

fuzz_target!(|input: &[u8]| {
    let Some((headers, body)) = read(input) else {
        return;
    };
    let body = Bytes::copy_from_slice(body);
    for settled in [None, Some(Revision::V2025_11_25)] {
        if let Ok(call) = Call::parse(body.clone(), &headers, settled) {
            judge(&call, &body, &headers, settled);
        }
    }
});

/// Three lines of headers (empty: not sent), then the body.
fn read(input: &[u8]) -> Option<(Headers<'_>, &[u8])> {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut header = || -> Option<Option<&str>> {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        Some((!text.is_empty()).then_some(text))
    };
    let headers = Headers {
        version: header()?,
        method: header()?,
        name: header()?,
        params: Vec::new(),
        is_absent: false,
        is_ambiguous: false,
    };
    Some((headers, parts.next()?))
}

fn judge(call: &Call, body: &Bytes, headers: &Headers<'_>, settled: Option<Revision>) {
    assert_eq!(call.body(), body, "what is passed on is what came");
    let text = std::str::from_utf8(body).expect("UTF-8");
    assert_eq!(check_strict(text), Ok(()));
    let value: Value = serde_json::from_str(text).expect("JSON");
    let written = value.to_string();
    assert!(!text.starts_with('\u{feff}'));

    // The last of two members would be another; there are no two.
    match call.kind() {
        Kind::Request(id) => assert_eq!(value["id"].to_string(), id.json()),
        Kind::Notification => assert!(value.get("id").is_none()),
        Kind::Response(id) => {
            assert_eq!(value["id"].to_string(), id.json());
            assert!(value.get("method").is_none());
        }
    }
    if let Some(method) = value.get("method") {
        assert_eq!(method.as_str(), Some(call.method().name()));
    }
    let named = |name: &str| value["params"][name].as_str().map(str::to_owned);
    let reference = |name: &str| value["params"]["ref"][name].as_str().map(str::to_owned);
    let target = Some(call.target().name().to_owned());
    match call.target() {
        Target::Tool(_) => assert_eq!(named("name"), target),
        Target::Prompt(_) => assert!(named("name") == target || reference("name") == target),
        Target::Resource(_) => assert!(named("uri") == target || reference("uri") == target),
        Target::Task(_) => assert_eq!(named("taskId"), target),
        Target::Server => {}
    }
    if let Some(arguments) = call.arguments() {
        let read: Value = serde_json::from_str(arguments.get()).expect("JSON");
        assert!(read.is_object());
        assert_eq!(read, value["params"]["arguments"]);
    }
    check_places(body, call.places());

    // Read again from what another writer makes of it, it is the same call.
    if let Ok(again) = Call::parse(Bytes::from(written), headers, settled) {
        assert_eq!((again.kind(), again.target()), (call.kind(), call.target()));
        assert_eq!(
            (again.method(), again.revision()),
            (call.method(), call.revision())
        );
    }
    let again = Call::parse(body.clone(), headers, settled).expect("accepted once");
    assert_eq!(again.places(), call.places());
}

/// A splice of the same bytes is the same message.
fn check_places(body: &Bytes, places: &Places) {
    let all = [
        &places.id,
        &places.arguments,
        &places.progress_token,
        &places.target,
        &places.cancelled,
    ];
    let mut ranges: Vec<Range<usize>> = all.into_iter().flatten().cloned().collect();
    ranges.sort_by_key(|range| range.start);
    assert!(
        ranges.windows(2).all(|pair| pair[0].end <= pair[1].start),
        "they do not overlap"
    );
    let edits: Vec<(Range<usize>, &[u8])> = ranges
        .into_iter()
        .map(|range| (range.clone(), &body[range]))
        .collect();
    for (_, bytes) in &edits {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        serde_json::from_str::<Value>(text).expect("one JSON value");
    }
    assert_eq!(splice(body, &edits), *body);
}
