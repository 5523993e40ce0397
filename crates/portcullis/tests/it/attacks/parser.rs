//! ATK-028: messages that two parsers would read in two ways.

use crate::harness::{Scene, call, post};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A good call, in which `arguments` stands as it is.
fn with_arguments(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},{META}}}}}"#
    )
}

/// A good call, in which `params` begin so.
fn with_params(start: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{start},{META}}}}}"#)
}

/// A good call, with these members around it.
fn with_members(members: &str) -> String {
    format!(r#"{{{members},"params":{{"name":"echo",{META}}}}}"#)
}

const OWN: &str = r#""jsonrpc":"2.0","id":7,"method":"tools/call""#;

fn rows() -> Vec<(String, i64, &'static str)> {
    let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    vec![
        (
            with_params(r#""name":"echo","name":"delete_all""#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"delete_all","name":"echo""#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"echo","n\u0061me":"delete_all""#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"echo","\u006e\u0061\u006d\u0065":"delete_all""#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"echo","name":"echo""#),
            -32700,
            "duplicate",
        ),
        (with_arguments(r#"{"a":1,"a":2}"#), -32700, "duplicate"),
        (
            with_arguments(r#"{"x":[{"y":{"a":1,"\u0061":2}}]}"#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"echo","_meta":{}"#),
            -32700,
            "duplicate",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":7,"id":8,"method":"tools/call""#),
            -32700,
            "duplicate",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call""#),
            -32700,
            "duplicate",
        ),
        (
            with_members(r#""jsonrpc":"2.0","jsonrpc":"2.0","id":7,"method":"tools/call""#),
            -32700,
            "duplicate",
        ),
        (
            with_params(r#""name":"echo","Name":"delete_all""#),
            -32700,
            "case",
        ),
        (
            with_params(r#""name":"echo","NAME":"delete_all""#),
            -32700,
            "case",
        ),
        (
            with_params(r#""name":"echo","argument\u017f":{}"#),
            -32700,
            "case",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":7,"method":"tools/call","Method":"x""#),
            -32700,
            "case",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":7,"method":"tools/call","ID":8"#),
            -32700,
            "case",
        ),
        (with_arguments("{}") + "x", -32700, "json"),
        (with_arguments("{}") + &with_arguments("{}"), -32700, "json"),
        (with_arguments("{}") + "\u{0}", -32700, "json"),
        (
            "\u{feff}".to_owned() + &with_arguments("{}"),
            -32700,
            "json",
        ),
        (with_arguments(&deep(120)), -32700, "json"),
        (with_arguments(&deep(100_000)), -32700, "json"),
        (with_arguments(&"[".repeat(100_000)), -32700, "json"),
        (with_arguments(r#"{"a":NaN}"#), -32700, "json"),
        (with_arguments(r#"{"a":Infinity}"#), -32700, "json"),
        (with_arguments(r#"{"a":1e999}"#), -32700, "json"),
        (with_arguments(r#"{"a":01}"#), -32700, "json"),
        (with_arguments(r#"{"a":+1}"#), -32700, "json"),
        (with_arguments(r#"{"a":0x1}"#), -32700, "json"),
        (with_arguments(r#"{"a":1,}"#), -32700, "json"),
        (with_arguments(r"{'a':1}"), -32700, "json"),
        (with_arguments("{a:1}"), -32700, "json"),
        (with_arguments("{/**/}"), -32700, "json"),
        (with_arguments("{\"a\":\"\n\"}"), -32700, "json"),
        (with_arguments(r#"{"a":"\x41"}"#), -32700, "json"),
        (with_arguments(r#"{"\ud800":1}"#), -32700, "json"),
        (with_arguments(r#"{"a":"\ud800"}"#), -32700, "json"),
        (String::new(), -32700, "json"),
        ("null".to_owned(), -32600, "envelope"),
        ("{}".to_owned(), -32600, "envelope"),
        (format!("[{}]", with_arguments("{}")), -32600, "batch"),
        (format!(" \n[{}]", with_arguments("{}")), -32600, "batch"),
        ("[]".to_owned(), -32600, "batch"),
        (
            with_members(r#""id":7,"method":"tools/call""#),
            -32600,
            "envelope",
        ),
        (
            with_members(r#""jsonrpc":"1.0","id":7,"method":"tools/call""#),
            -32600,
            "envelope",
        ),
        (
            with_members(r#""jsonrpc":2.0,"id":7,"method":"tools/call""#),
            -32600,
            "envelope",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":7,"method":["tools/call"]"#),
            -32600,
            "envelope",
        ),
        (
            with_members(&format!(r#"{OWN},"result":{{}}"#)),
            -32600,
            "envelope",
        ),
        (
            with_members(&format!(r#"{OWN},"error":{{}}"#)),
            -32600,
            "envelope",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":null,"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":1.5,"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":1e3,"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":9223372036854775808,"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":[7],"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(r#""jsonrpc":"2.0","id":true,"method":"tools/call""#),
            -32600,
            "id",
        ),
        (
            with_members(&format!(
                r#""jsonrpc":"2.0","id":"{}","method":"tools/call""#,
                "x".repeat(300)
            )),
            -32600,
            "id",
        ),
        (with_arguments("[]"), -32602, "params"),
        (with_arguments("\"x\""), -32602, "params"),
        (with_arguments("null"), -32602, "params"),
        (with_params(r#""name":["echo"]"#), -32602, "params"),
        (with_params(r#""name":"""#), -32602, "params"),
        (with_params(r#""name":null"#), -32602, "params"),
        (
            with_params(&format!(r#""name":"{}""#, "x".repeat(3000))),
            -32602,
            "params",
        ),
    ]
}

#[test]
fn authz_02_refuses_messages_with_two_readings() {
    let scene = Scene::new();
    let honest = call("echo").token(&scene.token("alice"));
    for (body, code, reason) in rows() {
        println!("{reason}: {}", body.chars().take(200).collect::<String>());
        scene.refuses(
            &honest.clone().body(&body),
            (400, code),
            ("request.malformed", reason),
        );
    }
    for bytes in [
        b"{\"a\":\"\xff\"}".to_vec(),
        b"\xc0\x80".to_vec(),
        encoded(&with_arguments("{}")),
    ] {
        scene.refuses(
            &honest.clone().bytes_of_body(&bytes),
            (400, -32700),
            ("request.malformed", "encoding"),
        );
    }
    assert_eq!(scene.upstream.requests().len(), 0);

    // What has one reading goes on byte for byte, so that nobody reads anything else.
    for arguments in [
        r#"{ "a" : [1, 2.50, 1E2, -0, 9007199254740993], "b":"\u00e9\ud83d\ude00" }"#,
        "{}",
        r#"{"__proto__":{"a":1}}"#,
    ] {
        let body = format!("\t{}\r\n", with_arguments(arguments));
        scene.permits(&honest.clone().body(&body));
        assert_eq!(scene.upstream.requests().pop().unwrap().body, body);
    }
}

/// UTF-16, which some readers guess.
fn encoded(text: &str) -> Vec<u8> {
    [0xfe_ff]
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect()
}

#[test]
fn authz_02_refuses_bodies_that_are_no_message() {
    let scene = Scene::and("[limits]\nbody = \"2KiB\"\n");
    let honest = call("echo").token(&scene.token("alice"));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "application/vnd.api+json",
        "",
    ] {
        let request = honest.clone().set("content-type", kind);
        scene.refuses(&request, (415, -32600), ("http.rejected", "media_type"));
    }
    scene.refuses(
        &honest.clone().unset("content-type"),
        (415, -32600),
        ("http.rejected", "media_type"),
    );
    let large = with_arguments(&format!("{{\"a\":\"{}\"}}", "x".repeat(3000)));
    scene.refuses(
        &honest.clone().body(&large),
        (413, -32600),
        ("http.rejected", "too_large"),
    );
    scene.permits(
        &honest
            .clone()
            .set("content-type", "application/JSON; charset=utf-8"),
    );
    scene.permits(&honest);
    let unknown = post(&large);
    scene.unauthenticated(&unknown, "missing");
}
