//! What collectors get: the tree of an exchange, bounded names, and never what anybody said. A collector harms nobody.

use crate::harness::{
    Answer, Collector, Gateway, Idp, Response, STATELESS, Scene, Upstream, call, call_in,
    free_port, message, post,
};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// The span that every client of these tests says it is in.
const PARENT: &str = "00f067aa0ba902b7";
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// One server, of which one tool may be used.
const ONE_TOOL: &str = "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\", \"fail\", \"prompt:greet\"]\n";

fn scene(collector: &Collector, more: &str) -> Scene {
    Scene::started(&format!("{}\n{more}", collector.variables()), ONE_TOOL)
}

fn traceparent(scene: &Scene) -> String {
    let seen = scene.upstream.requests().pop().expect("a request");
    seen.header("traceparent").unwrap_or_default().to_owned()
}

#[test]
fn siem_05_exports_each_exchange_as_a_tree_of_spans_under_the_trace_of_its_record() {
    let collector = Collector::start();
    let scene = scene(
        &collector,
        "export OTEL_SERVICE_NAME=gate OTEL_RESOURCE_ATTRIBUTES=deployment=a%2Cb",
    );
    let token = scene.token("alice");
    let done = scene.permits(&call("echo").token(&token));
    let [server, client] = collector
        .trace(&done.trace, 2)
        .try_into()
        .expect("two spans");
    let record = scene.gateway.record_of(&done);
    assert_eq!(record["trace"], server.trace().as_str());
    assert_eq!(record["trace"], client.trace().as_str());
    assert_eq!((server.kind, server.parent().as_str()), (SERVER, PARENT));
    assert_eq!((client.kind, client.parent()), (CLIENT, server.id()));
    assert_eq!(
        traceparent(&scene),
        format!("00-{}-{}-01", done.trace, client.id()),
        "the server's parent is the wait for it"
    );
    assert!(server.start <= client.start && client.start <= client.end);
    assert!(client.end <= server.end);
    for (span, more) in [
        (
            &server,
            vec![
                ("http.response.status_code", "200"),
                ("portcullis.event", "call.completed"),
            ],
        ),
        (&client, vec![]),
    ] {
        assert_eq!(span.name, "tools/call echo");
        assert!(span.status.is_none(), "{span:?}");
        assert_eq!(span.flags & 0x1ff, 0x101, "sampled");
        let mut expected = vec![
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", "echo"),
            ("jsonrpc.request.id", "7"),
            ("mcp.method.name", "tools/call"),
            ("mcp.protocol.version", STATELESS),
            ("network.protocol.name", "http"),
            ("network.transport", "tcp"),
            ("portcullis.server", "notes"),
        ];
        expected.extend(more);
        expected.sort_unstable();
        let said = span.said();
        let said: Vec<_> = said.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(said, expected);
    }
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "gate");
    assert_eq!(resource["deployment"], "a,b");
    let list = scene.permits(&message("tools/list", json!({})).token(&token));
    let spans = collector.trace(&list.trace, 2);
    assert_eq!(spans[0].name, "tools/list");
    assert!(!spans[0].said().contains_key("gen_ai.operation.name"));
}

#[test]
fn siem_05_tells_failures_by_their_kind_and_names_only_what_has_worked() {
    let collector = Collector::start();
    let scene = scene(&collector, "");
    let token = scene.token("alice");
    let check = |response: &Response, count: usize, expected: &[(&str, &str)], name: &str| {
        let spans = collector.trace(&response.trace, count);
        let span = spans.first().expect("a span");
        assert_eq!((span.name.as_str(), span.kind), (name, SERVER));
        let said = span.said();
        for (key, value) in expected {
            assert_eq!(
                said.get(*key).map(String::as_str),
                Some(*value),
                "{key} {said:?}"
            );
        }
        let status = span.status.clone().expect("a status");
        assert_eq!(
            (status.code, Some(&status.message)),
            (2, said.get("portcullis.reason"))
        );
        spans
    };
    let denied = scene.send(&call("delete_all").token(&token));
    assert_eq!(denied.status, 403);
    let spans = check(
        &denied,
        1,
        &[
            ("error.type", "403"),
            ("rpc.response.status_code", "403"),
            ("http.response.status_code", "403"),
            ("gen_ai.tool.name", "_OTHER"),
            ("portcullis.event", "authz.deny"),
            ("portcullis.reason", "no_rule"),
        ],
        "tools/call",
    );
    assert_eq!(
        spans.len(),
        1,
        "nothing was asked, so nothing was waited for"
    );
    let unknown = scene.send(&message("secret/CANARY", json!({})).token(&token));
    let expected = [("mcp.method.name", "_OTHER"), ("error.type", "-32601")];
    check(&unknown, 1, &expected, "_OTHER");
    let nobody = scene.send(&call("echo"));
    let expected = [("portcullis.reason", "missing"), ("error.type", "401")];
    check(&nobody, 1, &expected, "authn.reject");

    scene.upstream.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let error = json!({ "code": -31_999, "message": "CANARY" });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "error": error });
        Some(Answer::json(200, "", &answer.to_string()))
    });
    let failed = scene.send(&call("fail").token(&token));
    let expected = [("error.type", "-31999"), ("gen_ai.tool.name", "_OTHER")];
    let spans = check(&failed, 2, &expected, "tools/call");
    assert_eq!(spans[1].kind, CLIENT);
    assert_eq!(spans[1].said()["error.type"], "-31999");
    scene
        .upstream
        .misbehave(|_| Some(Answer::json(200, "", "CANARY")));
    let broken = scene.send(&call("echo").token(&token));
    assert_eq!(broken.status, 502);
    let expected = [
        ("portcullis.event", "upstream.refused"),
        ("error.type", "-32603"),
    ];
    let spans = check(&broken, 2, &expected, "tools/call");
    assert_eq!(spans[1].said()["error.type"], "malformed_answer");

    // Once a call of it has worked, a tool has its name, for whoever is denied it too.
    scene.upstream.misbehave(|_| None);
    let done = scene.permits(&call("echo").token(&token));
    assert_eq!(collector.trace(&done.trace, 2)[0].name, "tools/call echo");
    scene
        .upstream
        .misbehave(|_| Some(Answer::json(200, "", "CANARY")));
    let broken = scene.send(&call("echo").token(&token));
    check(
        &broken,
        2,
        &[("gen_ai.tool.name", "echo")],
        "tools/call echo",
    );

    let server = "mcp.server.operation.duration";
    let (metric, point) = collector.point(server, &[("error.type", "_OTHER")]);
    assert_eq!(metric.unit, "s");
    assert!(metric.is_cumulative());
    assert_eq!(point.count, 1);
    assert_eq!(point.said()["rpc.response.status_code"], "_OTHER");
    let denied = [("error.type", "403"), ("gen_ai.tool.name", "_OTHER")];
    collector.point(server, &denied);
    assert!(!collector.whole().contains("CANARY"));
}

#[test]
fn siem_05_measures_with_the_buckets_of_the_conventions() {
    let collector = Collector::start();
    let scene = scene(&collector, "");
    let token = scene.token("alice");
    for _ in 0..3 {
        scene.permits(&call("echo").token(&token));
    }
    for metric in [
        "mcp.server.operation.duration",
        "mcp.client.operation.duration",
    ] {
        let series = [("gen_ai.tool.name", "echo"), ("portcullis.server", "notes")];
        let (_, point) = crate::harness::wait_for("three calls", || {
            collector
                .find(metric, &series)
                .filter(|(_, point)| point.count == 3)
        });
        assert_eq!(
            point.bounds,
            [
                0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0
            ]
        );
        assert_eq!(point.counts.iter().sum::<u64>(), 3);
        assert_eq!(point.counts.len(), point.bounds.len() + 1);
        assert!(point.sum.is_some_and(|sum| sum > 0.0 && sum < 60.0));
        assert!(0 < point.since && point.since < point.time);
        assert!(!point.said().contains_key("error.type"));
        assert!(
            !point.said().contains_key("jsonrpc.request.id"),
            "no series for each call"
        );
    }
}

#[test]
fn siem_07_exports_nothing_that_anybody_said() {
    let collector = Collector::start();
    let scene = scene(&collector, "");
    let token = scene.token("subject-canary");
    scene.upstream.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let result = json!({
            "resultType": "complete", "content": [{ "type": "text", "text": "result-canary" }],
        });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": result });
        (body["method"] == "tools/call").then(|| Answer::json(200, "", &answer.to_string()))
    });
    let session = scene.session(&token);
    let canaries = json!({
        "jsonrpc": "2.0", "id": "an id with a canary in it", "method": "tools/call",
        "params": { "name": "echo", "arguments": { "password": "argument-canary" } },
    });
    let done = scene.send(&call_in(&session, &token).body(&canaries.to_string()));
    assert!(done.body.contains("result-canary"), "{done:?}");
    let spans = collector.trace(&done.trace, 2);
    let said = spans[0].said();
    let record = scene.gateway.record_of(&done);
    assert_eq!(
        record["session"],
        said["mcp.session.id"].as_str(),
        "by its fingerprint"
    );
    assert!(!said.contains_key("jsonrpc.request.id"), "{said:?}");
    for tool in ["tool-canary", "echo?canary=1"] {
        assert_eq!(scene.send(&call(tool).token(&token)).status, 403);
    }
    let read = message("resources/read", json!({ "uri": "file:///canary" }));
    let read = scene.send(&read.set("mcp-name", "file:///canary").token(&token));
    assert_eq!(read.status, 403);
    let broken = scene.send(&post("{\"canary").token(&token));
    collector.trace(&read.trace, 1);
    collector.trace(&broken.trace, 1);
    collector.point(
        "mcp.server.operation.duration",
        &[("mcp.method.name", "resources/read")],
    );
    let whole = collector.whole();
    for secret in [
        "canary",
        token.as_str(),
        session.as_str(),
        scene.idp.issuer().as_str(),
    ] {
        assert!(!whole.contains(secret), "{secret} was exported");
    }
}

#[test]
fn siem_05_shows_each_server_of_an_exchange_with_all() {
    let (collector, idp) = (Collector::start(), Idp::start());
    let (notes, files) = (Upstream::start(), Upstream::start());
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"echo\"]\n[servers.files]\nurl = \"{}\"\nallow = [\"read_note\"]\n",
        idp.issuer(),
        notes.url(),
        files.url(),
    );
    let gateway = Gateway::start_after(&collector.variables(), &config);
    let audience = format!("http://{}/mcp", gateway.address);
    let token = idp.draft("alice", &audience).sign();
    let send =
        |request: crate::harness::Request| request.to("/mcp").token(&token).send(gateway.address);
    let done = send(call("notes__echo"));
    assert_eq!(done.status, 200);
    let [all, part, wait] = collector.trace(&done.trace, 3).try_into().expect("three");
    assert_eq!((all.kind, part.kind, wait.kind), (SERVER, INTERNAL, CLIENT));
    assert_eq!(all.parent(), PARENT);
    assert_eq!((part.parent(), wait.parent()), (all.id(), part.id()));
    assert_eq!(all.name, "tools/call notes__echo");
    assert_eq!(
        (part.name.as_str(), wait.name.as_str()),
        ("tools/call echo", "tools/call echo")
    );
    assert_eq!(part.said()["portcullis.server"], "notes");
    let heard = notes.requests().pop().expect("a request");
    let expected = format!("00-{}-{}-01", done.trace, wait.id());
    assert_eq!(heard.header("traceparent"), Some(expected.as_str()));

    let listed = send(message("tools/list", json!({})));
    assert_eq!(listed.status, 200);
    let spans = collector.trace(&listed.trace, 5);
    let parts: Vec<_> = spans.iter().filter(|span| span.kind == INTERNAL).collect();
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| part.parent() == spans[0].id()));
    let denied = send(call("files__delete_all"));
    assert_eq!(denied.status, 403);
    let [all, part] = collector.trace(&denied.trace, 2).try_into().expect("two");
    assert_eq!(part.said()["portcullis.event"], "authz.deny");
    assert_eq!(part.parent(), all.id());
}

#[test]
fn siem_05_samples_as_it_is_told_and_tells_the_server_so() {
    let collector = Collector::start();
    let off = scene(&collector, "export OTEL_TRACES_SAMPLER=always_off");
    let token = off.token("alice");
    let done = off.permits(&call("echo").token(&token));
    assert!(traceparent(&off).ends_with("-00"), "{}", traceparent(&off));
    collector.point(
        "mcp.server.operation.duration",
        &[("gen_ai.tool.name", "echo")],
    );
    assert!(collector.spans().is_empty());
    let disabled = scene(
        &collector,
        "export OTEL_SDK_DISABLED=true OTEL_TRACES_SAMPLER=what",
    );
    let before = collector.requests().len();
    let own = disabled.permits(&call("echo").token(&disabled.token("alice")));
    assert!(traceparent(&disabled).starts_with(&format!("00-{}-", own.trace)));
    let text = disabled.gateway.ask_admin("/metrics").body;
    assert!(!text.contains("telemetry_spans_total{"), "{text}");
    drop((off, done));
    let _ended = disabled;
    assert!(
        collector
            .requests()
            .iter()
            .skip(before)
            .all(|seen| seen.target == "/v1/metrics"),
        "nothing but the first one's series"
    );
}

#[test]
fn siem_05_sends_what_is_left_before_it_ends_with_its_headers_kept_secret() {
    let collector = Collector::start();
    let more = "export OTEL_BSP_SCHEDULE_DELAY=3600000 OTEL_METRIC_EXPORT_INTERVAL=3600000 OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20key-canary";
    let mut scene = scene(&collector, more);
    let token = scene.token("alice");
    let done = scene.permits(&call("echo").token(&token));
    assert!(collector.requests().is_empty());
    assert!(scene.gateway.stop().success());
    assert_eq!(collector.trace(&done.trace, 2).len(), 2);
    collector.point(
        "mcp.server.operation.duration",
        &[("gen_ai.tool.name", "echo")],
    );
    for seen in collector.requests() {
        assert_eq!(seen.header("authorization"), Some("Bearer key-canary"));
        assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
    }
    assert!(!scene.gateway.traces().contains("key-canary"));
}

#[test]
fn siem_05_a_collector_that_is_dead_or_hangs_holds_nothing_up() {
    let hanging = Collector::answering(|_| Answer::Open(Vec::new()));
    let dead = format!(
        "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{}",
        free_port()
    );
    let small = "export OTEL_BSP_MAX_QUEUE_SIZE=4 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2 OTEL_EXPORTER_OTLP_TIMEOUT=60000";
    for variables in [hanging.variables(), dead] {
        let mut scene = Scene::started(&format!("{variables}\n{small}"), ONE_TOOL);
        let token = scene.token("alice");
        scene.permits(&call("echo").token(&token));
        let began = Instant::now();
        for _ in 0..20 {
            assert_eq!(scene.send(&call("echo").token(&token)).status, 200);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{variables}");
        let dropped = crate::harness::wait_for("dropped spans", || {
            let text = scene.gateway.ask_admin("/metrics").body;
            let line = "portcullis_telemetry_spans_total{outcome=\"dropped\"} ";
            let count = text.lines().find_map(|own| own.strip_prefix(line))?;
            count.parse::<u64>().ok()
        });
        assert!(dropped > 0 && dropped < 42, "{dropped}");
        let began = Instant::now();
        assert!(scene.gateway.stop().success());
        // `drain` is 2 s, and at least 1 s is left for collectors.
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        assert!(scene.gateway.verify().status.success());
    }
}

#[test]
fn siem_05_a_variable_that_cannot_be_honoured_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let end = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://collector.example",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "value-canary"),
        ("OTEL_TRACES_SAMPLER", "value-canary"),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/nowhere/value-canary.pem",
        ),
    ] {
        let data = directory.path().join("data").display().to_string();
        let ended = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["up", "--listen", "127.0.0.1:0", "--data", &data])
            .envs([end, (name, value)])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{name} {told}");
        assert!(told.contains(name), "{told}");
        assert!(!told.contains("value-canary"), "{told}");
    }
}
