//! One message, one reading: everything that could have two is refused.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn parse(body: impl AsRef<[u8]>, headers: &Headers<'_>) -> Result<Call, Malformed> {
    let body = Bytes::copy_from_slice(body.as_ref());
    Call::parse(body, headers, Some(Revision::V2025_11_25))
}

fn word(outcome: &Result<Call, Malformed>) -> &'static str {
    match outcome.as_ref().map(Call::kind) {
        Ok(Kind::Request(_)) => "request",
        Ok(Kind::Notification) => "notification",
        Ok(Kind::Response(_)) => "response",
        Err(flaw) => flaw.reason(),
    }
}

/// The one place that asks the room: the kind of the message, or why it is none.
fn check(body: impl AsRef<[u8]>, expected: &str) {
    let outcome = parse(&body, &Headers::default());
    let shown = String::from_utf8_lossy(body.as_ref());
    let shown: String = shown.chars().take(200).collect();
    assert_eq!(word(&outcome), expected, "{shown}");
}

/// A call of the tool `read` with these members more in its params.
fn call(more: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"read"{more}}}}}"#)
}

/// The same with this id.
fn with_id(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

#[test]
fn inj_10_takes_the_three_kinds_of_messages() {
    check(call(""), "request");
    check(call(r#","arguments":{}"#), "request");
    check(
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "notification",
    );
    check(
        r#"{"jsonrpc":"2.0","method":"anything/else","params":{}}"#,
        "notification",
    );
    check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response");
    check(r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "response");
    check(
        r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":""}}"#,
        "response",
    );
    check(
        "\r\n\t {\"jsonrpc\" : \"2.0\", \"method\":\"ping\",\"id\":1} \n",
        "request",
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":[1]}"#,
        "request",
    );
}

#[test]
fn inj_10_refuses_what_is_no_message() {
    for (body, expected) in [
        (r#"{"id":1,"method":"ping"}"#, "envelope"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "envelope"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "envelope"),
        (
            r#"{"jsonrpc":"2.\u0030","id":1,"method":"ping"}"#,
            "envelope",
        ),
        (r#"{"jsonrpc":"2.0"}"#, "envelope"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "envelope"),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, "envelope"),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}"#,
            "envelope",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
            "envelope",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            "envelope",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#,
            "envelope",
        ),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "envelope"),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
            "envelope",
        ),
        ("null", "envelope"),
        ("7", "envelope"),
        (r#""ping""#, "envelope"),
        ("", "json"),
        (" ", "json"),
        ("{", "json"),
        ("{}", "envelope"),
        ("{} {}", "json"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}x"#, "json"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, "json"),
        (r"{'jsonrpc':'2.0'}", "json"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"/**/}"#, "json"),
    ] {
        check(body, expected);
    }
}

#[test]
fn inj_10_refuses_batches() {
    for body in ["[]", "[", " \n[1]", "\t[", "[[]]"] {
        check(body, "batch");
    }
    check(format!("[{}]", call("")), "batch");
    check("[".repeat(10_000), "batch");
}

#[test]
fn inj_10_refuses_duplicate_members() {
    for body in [
        call(r#","name":"write""#),
        call(r#","na\u006de":"write""#),
        call(r#","n\u0061\u006D\u0065":"write""#),
        call(r#","arguments":{"a":1,"b":2,"a":1}"#),
        call(r#","arguments":{"":1,"":2}"#),
        call(r#","arguments":{"x":{"y":[0,{"a":1,"\u0061":2}]}}"#),
        call(r#","arguments":{"x":[[[{"\n":1,"\u000a":2}]]]}"#),
        call(r#","arguments":{"\ud83d\ude00":1,"😀":2}"#),
        call(r#","_meta":{"progressToken":1,"progressToken":2}"#),
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":{"b":1,"b":1}}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":{"a":0,"a":0}}"#.to_owned(),
    ] {
        check(body, "duplicate");
    }
    // Beyond so many members that they are looked up by hash.
    let members: Vec<String> = (0..40).map(|n| format!("\"m{n}\":0")).collect();
    let all = members.join(",");
    check(call(&format!(r#","arguments":{{{all}}}"#)), "request");
    for again in ["m0", "m15", "m16", "m39"] {
        check(
            call(&format!(r#","arguments":{{{all},"{again}":1}}"#)),
            "duplicate",
        );
    }
    // The same name in two objects, and names that differ.
    check(
        call(r#","arguments":{"a":{"a":1},"b":{"a":1},"A":1,"a ":1}"#),
        "request",
    );
}

#[test]
fn inj_10_refuses_other_cases() {
    for member in [
        r#""Name":"write""#,
        r#""NAME":"write""#,
        r#""\u004eame":"write""#,
        r#""Arguments":{}"#,
        r#""argument\u017f":{}"#,
        r#""URI":"x""#,
        r#""tas\u212aId":"x""#,
        r#""taskid":"x""#,
        r#""requestID":1"#,
        r#""_Meta":{}"#,
        r#""protocolverſion":"x""#,
        r#""_meta":{"progresstoken":1}"#,
        r#""_meta":{"progre\u017fsToken":1}"#,
        r#""_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
        r#""ref":{"type":"ref/prompt","name":"a","Name":"b"}"#,
        r#""ref":{"type":"ref/prompt","Type":"ref/resource","name":"a"}"#,
    ] {
        check(call(&format!(",{member}")), "case");
    }
    for member in [
        r#""Method":"x""#,
        r#""ID":1"#,
        r#""JSONRPC":"1""#,
        r#""paramſ":{}"#,
        r#""Result":1"#,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping",{member}}}"#);
        check(body, "case");
    }
    // Arguments are the tool's own.
    check(
        call(r#","arguments":{"Name":1,"name":2,"ID":3}"#),
        "request",
    );
}

#[test]
fn inj_10_refuses_what_is_no_json_text() {
    check(b"\xff", "encoding");
    check(
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\xc0\xaf\",\"method\":\"ping\"}",
        "encoding",
    );
    check(
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\xed\xa0\x80\",\"method\":\"ping\"}",
        "encoding",
    );
    check(format!("\u{feff}{}", call("")), "json");
    let utf16: Vec<u8> = call("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(utf16, "json");
    for value in [
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud800\u0041""#,
        r#""\x41""#,
        r#""\u00g0""#,
        "\"a\nb\"",
        "\"\u{0}\"",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "01",
        "+1",
        ".5",
        "5.",
        "0x10",
        "1_000",
        "undefined",
        "True",
        "{\"a\":}",
        "{\"\\ud800\":1}",
        "[1,]",
        "[1 2]",
    ] {
        check(call(&format!(r#","arguments":{{"x":{value}}}"#)), "json");
    }
}

#[test]
fn inj_10_keeps_every_value_as_it_came() {
    let arguments = r#"{ "big": 12345678901234567890123456789, "exact":1.10, "e":1E+2, "s":"\u0041\/", "z":-0.0 }"#;
    let call = parse(
        call(&format!(r#","arguments":{arguments}"#)),
        &Headers::default(),
    )
    .unwrap();
    assert_eq!(call.arguments().unwrap().get(), arguments);
    assert_eq!(&*call.argument_bytes().unwrap(), arguments.as_bytes());
}

#[test]
fn ses_01_takes_ids_that_are_texts_or_integers() {
    let long = |length: usize| format!("\"{}\"", "a".repeat(length));
    for (id, expected) in [
        ("0", "request"),
        ("-1", "request"),
        ("9223372036854775807", "request"),
        ("-9223372036854775808", "request"),
        ("\"\"", "request"),
        ("\"\\u0061\"", "request"),
        ("9223372036854775808", "id"),
        ("18446744073709551615", "id"),
        ("123456789012345678901234567890", "id"),
        ("null", "id"),
        ("true", "id"),
        ("1.0", "id"),
        ("1.5", "id"),
        ("1e3", "id"),
        ("1E0", "id"),
        ("-0", "id"),
        ("-0.0", "id"),
        ("[]", "id"),
        ("{}", "id"),
        ("[1]", "id"),
    ] {
        check(with_id(id), expected);
    }
    check(with_id(&long(256)), "request");
    check(with_id(&long(257)), "id");
    check(with_id(&format!("\"{}\"", "é".repeat(129))), "id");
    check(
        with_id(&format!("\"{}\"", "\\u0061".repeat(256))),
        "request",
    );
}

/// A text whose arguments are nested so deep; the message and its params are two levels more.
fn nested(depth: usize, open: &str, close: &str) -> String {
    call(&format!(
        r#","arguments":{{"x":{}{}}}"#,
        open.repeat(depth),
        close.repeat(depth)
    ))
}

#[test]
fn inj_10_bounds_the_depth() {
    let inside = MAX_DEPTH - 3;
    check(nested(inside, "[", "]"), "request");
    check(nested(inside + 1, "[", "]"), "json");
    check(nested(inside, "{\"a\":", "").replace("}}}", "0}}}"), "json"); // unclosed
    let objects = format!("{}0{}", "{\"a\":".repeat(inside), "}".repeat(inside));
    check(
        call(&format!(r#","arguments":{{"x":{objects}}}"#)),
        "request",
    );
    check(
        call(&format!(r#","arguments":{{"x":[{objects}]}}"#)),
        "json",
    );
}

#[test]
fn inj_10_deep_nesting_costs_no_stack() {
    let small_stack = std::thread::Builder::new().stack_size(256 * 1024);
    let outcome = small_stack.spawn(|| {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("[", "")] {
            check(nested(10_000, open, close), "json");
        }
        check(format!("{{\"x\":{}", "[".repeat(1_000_000)), "json");
        check(nested(MAX_DEPTH - 3, "[", "]"), "request");
    });
    outcome.unwrap().join().unwrap();
}

const PARAMS: &[(&str, &str, &str)] = &[
    ("tools/call", r#"{"name":"a"}"#, "request"),
    (
        "tools/call",
        r#"{"name":"a","arguments":{"x":1}}"#,
        "request",
    ),
    ("tools/call", r#"{"name":"a","arguments":[1]}"#, "params"),
    ("tools/call", r#"{"name":"a","arguments":null}"#, "params"),
    ("tools/call", r#"{"name":"a","arguments":"{}"}"#, "params"),
    ("tools/call", r#"{"name":""}"#, "params"),
    ("tools/call", r#"{"name":7}"#, "params"),
    ("tools/call", r#"{"name":["a"]}"#, "params"),
    ("tools/call", r#"{"uri":"a"}"#, "params"),
    ("tools/call", "{}", "params"),
    ("tools/call", r#"["a",{}]"#, "params"),
    ("tools/call", "null", "params"),
    ("tools/call", r#""a""#, "params"),
    ("ping", "[]", "params"),
    ("anything/else", "[1]", "params"),
    ("prompts/get", r#"{"name":"a","arguments":[]}"#, "params"),
    ("prompts/get", r#"{"name":"a"}"#, "request"),
    ("resources/read", r#"{"uri":"file:///a"}"#, "request"),
    ("resources/read", r#"{"name":"a"}"#, "params"),
    ("resources/subscribe", "{}", "params"),
    ("resources/unsubscribe", r#"{"uri":1}"#, "params"),
    ("tasks/get", r#"{"taskId":"t"}"#, "request"),
    ("tasks/result", "{}", "params"),
    ("tasks/cancel", r#"{"taskId":1}"#, "params"),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/prompt","name":"a"}}"#,
        "request",
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","uri":"a"}}"#,
        "request",
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/resource","name":"a"}}"#,
        "params",
    ),
    (
        "completion/complete",
        r#"{"ref":{"type":"ref/tool","name":"a"}}"#,
        "params",
    ),
    ("completion/complete", r#"{"ref":"a"}"#, "params"),
    ("completion/complete", "{}", "params"),
    ("tools/list", r#"{"cursor":"x"}"#, "request"),
    ("tools/list", r#"{"_meta":7}"#, "params"),
    ("tools/list", r#"{"_meta":[]}"#, "params"),
    ("tools/list", r#"{"_meta":{"progressToken":1}}"#, "request"),
    (
        "tools/list",
        r#"{"_meta":{"progressToken":null}}"#,
        "params",
    ),
    ("tools/list", r#"{"_meta":{"progressToken":1.5}}"#, "params"),
    ("tools/list", r#"{"_meta":{"progressToken":{}}}"#, "params"),
];

#[test]
fn inj_10_params_fit_their_method() {
    let ask = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };

    for (method, params, expected) in PARAMS {
        check(ask(method, params), expected);
    }
    let long = |length: usize| {
        ask(
            "tools/call",
            &format!(r#"{{"name":"{}"}}"#, "a".repeat(length)),
        )
    };
    check(long(2048), "request");
    check(long(2049), "params");
    // The refusal knows whom to answer; a notification asks for no answer.
    let flaw = parse(ask("tools/call", "{}"), &Headers::default()).unwrap_err();
    assert_eq!(flaw.id(), Some(&Id::Number(1)));
    let flaw = parse(
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{}}"#,
        &Headers::default(),
    );
    assert_eq!(flaw.unwrap_err().id(), None);
}

#[test]
fn inj_10_reads_the_target_without_escapes() {
    let target = |method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        parse(body, &Headers::default()).unwrap().target().clone()
    };
    let tool = Target::Tool("read".into());
    assert_eq!(target("tools/call", r#"{"name":"re\u0061d"}"#), tool);
    assert_eq!(target("tools\\/call", r#"{"name":"read"}"#), tool);
    let resource = Target::Resource("file:///a".into());
    assert_eq!(
        target("resources/read", r#"{"uri":"file:\/\/\/a"}"#),
        resource
    );
    let prompt = r#"{"ref":{"type":"ref\/prompt","name":"read"}}"#;
    assert_eq!(
        target("completion/complete", prompt),
        Target::Prompt("read".into())
    );
    assert_eq!(target("tasks/get", r#"{"taskId":"t"}"#).name(), "t");
    assert_eq!(target("tools/Call", r#"{"name":"read"}"#), Target::Server);
    assert_eq!(Method::parse("tools/Call").name(), "tools/Call");
    assert!(matches!(Method::parse("tools/Call"), Method::Other(_)));
}

/// Headers in short: version, method, name.
fn mirrored<'a>(version: &'a str, method: &'a str, name: &'a str) -> Headers<'a> {
    let some = |text: &'a str| (!text.is_empty()).then_some(text);
    Headers {
        version: some(version),
        method: some(method),
        name: some(name),
        params: Vec::new(),
        is_absent: false,
        is_ambiguous: false,
    }
}

/// A message of 2026-07-28, with this `_meta`.
fn modern(method: &str, params: &str, meta: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}"_meta":{meta}}}}}"#)
}

const MODERN: &str = "2026-07-28";
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

#[test]
fn rs26_01_requires_its_meta() {
    let headers = mirrored(MODERN, "tools/list", "");
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities""#;
    let rows = [
        (META.to_owned(), "request"),
        ("{}".to_owned(), "meta"),
        (format!("{{{version}}}"), "meta"),
        (format!("{{{version},{capabilities}:null}}"), "meta"),
        (format!("{{{version},{capabilities}:[]}}"), "meta"),
        (format!("{{{capabilities}:{{}}}}"), "meta"),
        (
            format!(r#"{{"io.modelcontextprotocol/protocolVersion":1,{capabilities}:{{}}}}"#),
            "meta",
        ),
    ];
    for (meta, expected) in rows {
        let outcome = parse(modern("tools/list", "", &meta), &headers);
        assert_eq!(word(&outcome), expected, "{meta}");
        if let Err(flaw) = outcome {
            assert_eq!(flaw.id(), Some(&Id::Number(7)));
        }
    }
    let bare = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    assert_eq!(word(&parse(bare, &headers)), "meta");
}

#[test]
fn rs26_02_the_version_header_says_what_the_body_says() {
    let body = modern("tools/list", "", META);
    for (version, expected) in [
        (MODERN, "request"),
        ("", "header_mismatch"),
        ("2025-11-25", "header_mismatch"),
        ("2026-07-29", "header_mismatch"),
        (" 2026-07-28", "header_mismatch"),
    ] {
        let outcome = parse(&body, &mirrored(version, "tools/list", ""));
        assert_eq!(word(&outcome), expected, "{version}");
    }
    let headers = Headers {
        is_ambiguous: true,
        ..mirrored(MODERN, "tools/list", "")
    };
    assert_eq!(word(&parse(&body, &headers)), "header_mismatch");
    assert_eq!(
        word(&parse(
            with_id("1"),
            &Headers {
                is_ambiguous: true,
                ..Headers::default()
            }
        )),
        "header_mismatch"
    );
}

#[test]
fn rs26_07_refuses_unknown_versions() {
    for version in [
        "2024-11-05",
        "2026-07-27",
        "2027-01-01",
        "latest",
        "2025-11-25 ",
        "DRAFT-2026",
    ] {
        let flaw = parse(with_id("7"), &mirrored(version, "", "")).unwrap_err();
        let id = Some(Id::Number(7));
        assert_eq!(
            flaw,
            Malformed::Version {
                id,
                requested: version.to_owned(),
                is_stateless: false,
            }
        );
    }
    for revision in Revision::ALL {
        assert_eq!(Revision::parse(revision.name()), Some(revision));
    }
}

#[test]
fn rs26_03_the_method_and_name_headers_say_what_the_body_says() {
    let call = modern("tools/call", r#""name":"read","#, META);
    let rows = [
        ("tools/call", "read", "request"),
        ("tools/call", "=?base64?cmVhZA==?=", "request"),
        ("=?base64?dG9vbHMvY2FsbA==?=", "read", "request"),
        ("", "read", "header_mismatch"),
        ("tools/call", "", "header_mismatch"),
        ("tools/list", "read", "header_mismatch"),
        ("Tools/Call", "read", "header_mismatch"),
        ("tools/call", "Read", "header_mismatch"),
        ("tools/call", "write", "header_mismatch"),
        ("tools/call", "read ", "header_mismatch"),
        ("tools/call", "=?base64?d3JpdGU=?=", "header_mismatch"),
        ("tools/call", "=?base64?cmVhZA?=", "header_mismatch"),
        ("tools/call", "=?base64?cmVhZB==?=", "header_mismatch"),
        ("tools/call", "=?base64?/w==?=", "header_mismatch"),
        ("tools/call", "=?BASE64?cmVhZA==?=", "header_mismatch"),
        ("tools/call", "=?base64??=", "header_mismatch"),
    ];
    for (method, name, expected) in rows {
        let outcome = parse(&call, &mirrored(MODERN, method, name));
        assert_eq!(word(&outcome), expected, "{method} {name}");
    }
    // A name that looks like the sentinel is written with it.
    let odd = modern("tools/call", r#""name":"=?base64?YQ==?=","#, META);
    let twice = "=?base64?PT9iYXNlNjQ/WVE9PT89?=";
    assert_eq!(
        word(&parse(&odd, &mirrored(MODERN, "tools/call", twice))),
        "request"
    );
    let once = "=?base64?YQ==?=";
    assert_eq!(
        word(&parse(&odd, &mirrored(MODERN, "tools/call", once))),
        "header_mismatch"
    );
}

#[test]
fn rs26_03_every_named_method_is_mirrored() {
    for (method, params) in [
        ("resources/read", r#""uri":"read","#),
        ("prompts/get", r#""name":"read","#),
        ("tasks/get", r#""taskId":"read","#),
        ("tasks/update", r#""taskId":"read","#),
        ("tasks/cancel", r#""taskId":"read","#),
    ] {
        let body = modern(method, params, META);
        assert_eq!(
            word(&parse(&body, &mirrored(MODERN, method, "read"))),
            "request"
        );
        assert_eq!(
            word(&parse(&body, &mirrored(MODERN, method, "other"))),
            "header_mismatch"
        );
        assert_eq!(
            word(&parse(&body, &mirrored(MODERN, method, ""))),
            "header_mismatch"
        );
    }
}

#[test]
fn rs26_05_mirrors_are_nothing_in_the_old_era() {
    let headers = mirrored("2025-11-25", "tools/list", "write");
    let call = parse(call(""), &headers).unwrap();
    assert_eq!(call.target(), &Target::Tool("read".into()));
    assert_eq!(call.revision(), Revision::V2025_11_25);
}

#[test]
fn rs26_12_the_new_era_has_no_responses_from_clients() {
    let body = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    assert_eq!(word(&parse(body, &mirrored(MODERN, "", ""))), "not_allowed");
    assert_eq!(
        word(&parse(body, &mirrored("2025-11-25", "", ""))),
        "response"
    );
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    let headers = mirrored(MODERN, "notifications/cancelled", "");
    assert_eq!(word(&parse(cancelled, &headers)), "notification");
    assert_eq!(
        word(&parse(cancelled, &mirrored(MODERN, "", ""))),
        "header_mismatch"
    );
}

#[test]
fn rs_t12_a_missing_version_is_the_sessions_or_the_oldest() {
    let revision = |body: &str, settled| {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Call::parse(body, &Headers::default(), settled)
            .unwrap()
            .revision()
    };
    let ping = with_id("1");
    assert_eq!(revision(&ping, None), Revision::V2025_03_26);
    assert_eq!(
        revision(&ping, Some(Revision::V2025_06_18)),
        Revision::V2025_06_18
    );
    let initialize = ping.replace("ping", "initialize");
    assert_eq!(revision(&initialize, None), Revision::V2025_11_25);
}

#[test]
fn every_malformed_message_has_a_word_and_a_code() {
    use crate::refusal::Refusal;
    let rows = [
        (parse(b"\xff", &Headers::default()), "encoding", -32700),
        (parse("x", &Headers::default()), "json", -32700),
        (
            parse(call(r#","name":"b""#), &Headers::default()),
            "duplicate",
            -32700,
        ),
        (
            parse(call(r#","Name":"b""#), &Headers::default()),
            "case",
            -32700,
        ),
        (parse("[]", &Headers::default()), "batch", -32600),
        (parse("{}", &Headers::default()), "envelope", -32600),
        (parse(with_id("null"), &Headers::default()), "id", -32600),
        (
            parse(call(r#","arguments":[]"#), &Headers::default()),
            "params",
            -32602,
        ),
        (
            parse(modern("ping", "", "{}"), &mirrored(MODERN, "ping", "")),
            "meta",
            -32602,
        ),
        (
            parse(modern("ping", "", META), &Headers::default()),
            "header_mismatch",
            -32020,
        ),
        (
            parse(with_id("1"), &mirrored("1", "", "")),
            "version",
            -32022,
        ),
        (
            parse(
                r#"{"jsonrpc":"2.0","id":1,"result":1}"#,
                &mirrored(MODERN, "", ""),
            ),
            "not_allowed",
            -32600,
        ),
    ];
    for (outcome, expected, code) in rows {
        assert_eq!(word(&outcome), expected);
        let public = Refusal::Malformed(outcome.unwrap_err()).public(true);
        assert_eq!((public.status, public.code), (400, code), "{expected}");
    }
}

#[test]
fn places_are_where_the_values_stand() {
    let body = concat!(
        r#"{ "id" : "a\u0062" , "params":{ "arguments" : {"x":[1]} ,"name": "read","#,
        r#""_meta":{"progressToken": 17 }},"jsonrpc":"2.0","method":"tools/call"}"#,
    );
    let call = parse(body, &Headers::default()).unwrap();
    let places = call.places();
    let at = |range: &Option<std::ops::Range<usize>>| body.get(range.clone().unwrap()).unwrap();
    assert_eq!(at(&places.id), r#""a\u0062""#);
    assert_eq!(at(&places.arguments), r#"{"x":[1]}"#);
    assert_eq!(at(&places.progress_token), "17");
    assert_eq!(at(&places.target), r#""read""#);
    assert_eq!(places.cancelled, None);
    assert_eq!(call.id(), Some(&Id::Text("ab".into())));
    let body =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId": "x"}}"#;
    let call = parse(body, &Headers::default()).unwrap();
    assert_eq!(
        body.get(call.places().cancelled.clone().unwrap()),
        Some(r#""x""#)
    );
    assert_eq!(call.places().id, None);
    assert_eq!(call.id(), None);
}

#[test]
fn splice_replaces_and_nothing_else() {
    assert_eq!(&*splice(b"abcdef", &[]), b"abcdef");
    assert_eq!(
        &*splice(b"abcdef", &[(0..1, b"XY"), (3..3, b"-"), (5..6, b"")]),
        b"XYbc-de"
    );
    assert_eq!(&*replace(b"abc", 0..3, b""), b"");
}

/// A JSON text of a small value, with odd white space.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("null".to_owned()),
        Just("1.50".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let map = proptest::collection::btree_map("[a-z\"é\\\\]{0,3}", inner, 0..4);
        prop_oneof![
            list.prop_map(|items| format!("[{}]", items.join(" ,"))),
            map.prop_map(|members| {
                let members = members.into_iter();
                let written = members
                    .map(|(name, value)| format!("{}: {value}", serde_json::Value::from(name)));
                format!("{{{}}}", written.collect::<Vec<_>>().join("\n,"))
            }),
        ]
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "[ -~é]{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_splice_of_the_same_bytes_is_the_same_message(id in id(), x in json()) {
        let body = format!(
            r#"{{"x":{x},"params":{{"name":"a","arguments":{{"x":{x}}},"_meta":{{"progressToken":{id}}}}},"id" : {id} ,"method":"tools/call","jsonrpc":"2.0"}}"#
        );
        let call = parse(&body, &Headers::default()).unwrap();
        let places = call.places();
        let mut ranges: Vec<_> = [&places.id, &places.arguments, &places.progress_token, &places.target]
            .into_iter()
            .map(|range| range.clone().unwrap())
            .collect();
        ranges.sort_by_key(|range| range.start);
        let edits: Vec<_> = ranges.iter().map(|range| (range.clone(), &body.as_bytes()[range.clone()])).collect();
        let spliced = splice(body.as_bytes(), &edits);
        prop_assert_eq!(&*spliced, body.as_bytes());
        let text = std::str::from_utf8(&body.as_bytes()[places.id.clone().unwrap()]).unwrap();
        prop_assert_eq!(text, &id);
        prop_assert_eq!(&Id::read(serde_json::from_str::<&RawValue>(text).unwrap()).unwrap(), call.id().unwrap());
        // Another id goes there and back.
        let there = replace(body.as_bytes(), places.id.clone().unwrap(), b"\"other\"");
        let other = parse(&there, &Headers::default()).unwrap();
        prop_assert_eq!(other.id(), Some(&Id::Text("other".into())));
        let back = replace(&there, other.places().id.clone().unwrap(), id.as_bytes());
        prop_assert_eq!(&*back, body.as_bytes());
    }

    #[test]
    fn an_id_reads_what_it_writes(text in "\\PC{0,64}", number: i64) {
        for id in [Id::Text(text.into()), Id::Number(number)] {
            let json = id.json();
            prop_assert_eq!(Id::read(serde_json::from_str(&json).unwrap()).unwrap(), id);
        }
    }

    #[test]
    fn one_member_more_is_a_duplicate_wherever_it_stands(value in json(), name in "[a-z]{1,3}") {
        let text = format!(r#"{{"{name}":{value},"other":{value}}}"#);
        let fine = name != "other";
        prop_assert_eq!(check_strict(&text).is_ok(), fine);
        let twice = format!(r#"[{{"a":[{value},{{"{name}":1,"{name}":{value}}}]}}]"#);
        prop_assert_eq!(check_strict(&twice), Err(Malformed::Duplicate));
    }

    #[test]
    fn what_passes_is_what_the_library_takes(text in nearly_json()) {
        let slowly = walker::walk(&text, MAX_DEPTH).map_err(|flaw| match flaw {
            walker::Flaw::Json => Malformed::Json,
            walker::Flaw::Duplicate => Malformed::Duplicate,
        });
        prop_assert_eq!(check_strict(&text), slowly, "{}", text);
    }
}

/// Pieces of JSON in any order, most of which fit.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        json(),
        "[\\[\\]{},: \t\n\r\"]",
        "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,3})?",
        r#""(\\["\\/bfnrtux]|\\u[dD][89a-fA-F][0-9a-f]{2}|[a-zé\x00-\x20]){0,5}""#,
        Just("{\"a\":".to_owned()),
        Just("\"\\u0061\":1,".to_owned()),
        Just("9".repeat(310)),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        json().prop_map(|value| format!("[{value},{{\"x\":{value}}}] ")),
        "\\PC{0,80}",
    ]
}

#[test]
fn inj_10_what_passes_is_what_the_library_takes_at_every_edge() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let many = |names: &[usize]| {
        let members: Vec<_> = names.iter().map(|n| format!("\"{n}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let all: Vec<usize> = (0..40).collect();
    let made = [
        deep(MAX_DEPTH),
        deep(MAX_DEPTH + 1),
        many(&all),
        many(&[all.as_slice(), &[39]].concat()),
        many(&[all.as_slice(), &[3]].concat()),
        "9".repeat(308),
        "9".repeat(309),
        format!("-{}.5", "9".repeat(309)),
    ];
    let texts = made.iter().map(String::as_str).chain(EDGES.lines());
    let refused: Vec<_> = texts
        .filter(|text| {
            let slowly = walker::walk(text, MAX_DEPTH);
            let flaw = check_strict(text);
            assert_eq!(flaw.is_ok(), slowly.is_ok(), "{text}");
            let is_duplicate = slowly == Err(walker::Flaw::Duplicate);
            assert_eq!(flaw == Err(Malformed::Duplicate), is_duplicate, "{text}");
            flaw.is_err()
        })
        .collect();
    assert_eq!(refused.len(), 36, "{refused:#?}");
}

/// Texts at the edges of JSON, one a line, most of which are none.
const EDGES: &str = "\
{\"na\\u006de\":1,\"name\":2}
{\"a\":{\"b\":1},\"b\":{\"b\":2}}
1e308 \r
1e309
0e999999999999
1e-999999999999
-0
01
-
1.
.5
1e
+1
\"\\ud800\"
\"\\udc00\"
\"\\ud800\\u0061\"
\"\\ud83d\\ude00\"
\"\\ud83d\\ud83d\\ude00\"
\"a\tb\"
\"\u{7f}\u{85}\u{2028}\"
\"\\u00é\"
\"\\x41\"
\"\\
\"abc
\u{feff}1
\u{a0}1
1\u{c}
[1,]
[1 2]
{\"a\":1,}
{a:1}
{\"a\" 1}
tru
truee
nullnull
NaN

1 2";

const MOST: usize = 64;

/// The frames of a stream that comes in chunks of this size, up to the first that is bad.
fn frames(stream: &[u8], width: usize) -> (Vec<Frame>, Option<BadStream>) {
    let mut reader = Frames::new(MOST);
    let mut found = Vec::new();
    for chunk in stream.chunks(width.max(1)) {
        reader.push(chunk);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(bad) => return (found, Some(bad)),
            }
        }
    }
    (found, None)
}

/// The data of each frame of a stream, `-` where there is none; `!` where it is bad.
fn data(stream: impl AsRef<[u8]>) -> String {
    let (found, bad) = frames(stream.as_ref(), usize::MAX);
    let data = found.iter().map(|frame| {
        frame.data.as_ref().map_or("-".to_owned(), |data| {
            String::from_utf8(data.to_vec()).unwrap()
        })
    });
    let data: Vec<String> = data.chain(bad.map(|_| "!".to_owned())).collect();
    data.join("|")
}

#[test]
fn ses_03_reads_events_as_the_standard_says() {
    for (stream, expected) in [
        ("data: a\n\n", "a"),
        ("data:a\n\n", "a"),
        ("data:  a \n\n", " a "),
        ("data: a\r\n\r\n", "a"),
        ("data: a\r\r.", "a"),
        ("data: a\n\r\n", "a"),
        ("data: a\r\n\n", "a"),
        ("data: a\r\n\r.", "a"),
        ("data: a\ndata: b\n\n", "a\nb"),
        ("data\n\n", ""),
        ("data:\ndata:\n\n", "\n"),
        (": hello\n\n", "-"),
        (":\n\ndata: a\n\n", "-|a"),
        ("event: message\nid: 1\nretry: 5\ndata: {}\n\n", "{}"),
        ("Data: a\n\n", "-"),
        (" data: a\n\n", "-"),
        ("\n\n", "-"),
        ("data: a\n\ndata: b\n\n", "a|b"),
        ("data: a\n\ndata: b\n", "a"),
        ("data: a", ""),
        ("\u{feff}data: a\n\n", "a"),
        ("\u{feff}\u{feff}data: a\n\n", "-"),
        ("data: a\n\n\u{feff}data: b\n\n", "a|-"),
    ] {
        assert_eq!(data(stream), expected, "{stream:?}");
    }
}

#[test]
fn ses_03_reads_event_ids() {
    let ids = |stream: &str| -> Vec<Option<String>> {
        frames(stream.as_bytes(), 3)
            .0
            .into_iter()
            .map(|frame| frame.id)
            .collect()
    };
    assert_eq!(ids("id: 7\ndata: a\n\n"), [Some("7".to_owned())]);
    assert_eq!(ids("id\n\ndata: a\n\n"), [Some(String::new()), None]);
    assert_eq!(ids("id: 1\nid: 2\n\n"), [Some("2".to_owned())]);
    assert_eq!(ids("id: a:b\n\n"), [Some("a:b".to_owned())]);
    let bad = frames(b"id: a\0b\n\n", 1).1;
    assert_eq!(bad, Some(BadStream::Encoding));
    assert_eq!(frames(b"data: \xff\n\n", 1).1, Some(BadStream::Encoding));
}

#[test]
fn ses_03_bounds_an_event() {
    let event = |length: usize| format!("data:{}\n\n", "a".repeat(length - 7));
    for width in [1, 7, usize::MAX] {
        assert_eq!(frames(event(MOST).as_bytes(), width).1, None);
        assert_eq!(
            frames(event(MOST + 1).as_bytes(), width).1,
            Some(BadStream::TooLarge)
        );
        assert_eq!(frames(&[b'a'; MOST], width).1, None);
        assert_eq!(
            frames(&[b'a'; MOST + 1], width).1,
            Some(BadStream::TooLarge)
        );
        // Many small ones are no large one.
        let (found, bad) = frames(event(20).repeat(50).as_bytes(), width);
        assert_eq!((found.len(), bad), (50, None));
    }
}

/// A stream of pieces that matter, and of some that do not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec![
        &b"\n"[..],
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"data: x",
        b"data",
        b"id: 1",
        b":",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xbb\xbf",
        b" ",
        b"\0",
        "é".as_bytes(),
        b"data: 0123456789012345678901234567890123456789",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ses_03_any_chunks_give_the_same_frames(stream in stream(), cuts in proptest::collection::vec(0_usize..12, 0..40)) {
        let whole = frames(&stream, usize::MAX);
        prop_assert_eq!(&whole, &frames(&stream, 1));
        let mut reader = Frames::new(MOST);
        let mut found = (Vec::new(), None);
        let mut rest = &stream[..];
        let mut cuts = cuts.into_iter();
        while !rest.is_empty() && found.1.is_none() {
            let (chunk, later) = rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
            rest = later;
            reader.push(chunk);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => found.0.push(frame),
                    Ok(None) => break,
                    Err(bad) => {
                        found.1 = Some(bad);
                        break;
                    }
                }
            }
        }
        prop_assert_eq!(&whole, &found);
    }
}
