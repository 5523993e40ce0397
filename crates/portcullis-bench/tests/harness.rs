//! The harness against its own upstream, through every relay, and against one that lies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use portcullis_bench::load::{self, Endpoint, Line, Load, Span, Window};
use portcullis_bench::meter::Meter;
use portcullis_bench::target::{Running, Target};
use portcullis_bench::wire::{Era, Shape};

const OWN: &str = env!("CARGO_BIN_EXE_portcullis-bench");

fn target(arguments: &[&str]) -> anyhow::Result<Target> {
    let mut command = vec![OWN];
    command.extend(arguments);
    command.extend(["--listen", "127.0.0.1:{port}"]);
    let target = serde_json::json!({
        "name": "test", "command": command, "url": "http://127.0.0.1:{port}/mcp",
    });
    Ok(serde_json::from_value(target)?)
}

fn on_one_thread(future: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

const SPAN: Span = Span {
    warm: Duration::from_millis(20),
    counted: Duration::from_millis(100),
};

fn meter() -> Meter {
    Meter {
        upstream: std::process::id(),
        ..Meter::default()
    }
}

fn check(window: &Window) {
    assert_eq!(window.fault, None);
    assert!(window.calls > 0);
    assert!(window.all_calls >= window.calls);
    assert_eq!(window.reshaped, 0);
    assert_eq!(window.latency.len(), window.calls);
}

#[test]
fn every_kind_of_call_is_answered_exactly() -> anyhow::Result<()> {
    on_one_thread(async {
        let upstream = Running::start(target(&["upstream"])?, "").await?;
        let endpoint = upstream.endpoint().await?;
        for (era, shape) in [
            (Era::Handshake, Shape::Json),
            (Era::Handshake, Shape::Sse),
            (Era::Stateless, Shape::Json),
            (Era::Stateless, Shape::Sse),
        ] {
            for (connections, text_bytes) in [(1, 64), (16, 1024), (4, 100 << 10)] {
                let load = Load {
                    era,
                    shape,
                    connections,
                    text_bytes,
                };
                check(&load::closed(&endpoint, load, SPAN, &meter()).await?);
            }
        }
        Ok(())
    })
}

/// Four lines, twice if a call finds the last connection still busy, and the one that asks.
const MAX_OPENED: u64 = 9;
const RUNTIMES: [&str; 3] = ["current", "multi", "sharded"];
const POOLS: [&str; 3] = ["legacy", "own", "fused"];
const BODIES: [&str; 2] = ["stream", "buffer"];

#[test]
fn every_relay_changes_nothing() -> anyhow::Result<()> {
    on_one_thread(async {
        let upstream = Running::start(target(&["upstream"])?, "").await?;
        let variants = RUNTIMES.iter().flat_map(|runtime| {
            let pairs = POOLS
                .iter()
                .flat_map(|pool| BODIES.map(|body| (pool, body)));
            pairs.map(move |(pool, body)| (runtime, pool, body))
        });
        for (runtime, pool, body) in variants {
            let mut words = vec!["passthrough", "--upstream", "{upstream}"];
            words.extend(["--runtime", runtime, "--pool", pool, "--body", body]);
            let relay = Running::start(target(&words)?, &upstream.url()).await?;
            let endpoint = relay.endpoint().await?;
            for (era, shape) in [(Era::Handshake, Shape::Sse), (Era::Stateless, Shape::Json)] {
                let load = Load {
                    era,
                    shape,
                    connections: 4,
                    text_bytes: 16 << 10,
                };
                let before = connections(&upstream)?;
                let window = load::closed(&endpoint, load, SPAN, &meter()).await?;
                check(&window);
                let opened = connections(&upstream)? - before;
                assert!(opened <= MAX_OPENED, "{words:?}: {opened}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_rung_above_the_floor_asks_for_its_token() -> anyhow::Result<()> {
    on_one_thread(async {
        let upstream = Running::start(target(&["upstream"])?, "").await?;
        let [_, mut verifying] = Target::rungs()?;
        OWN.clone_into(verifying.command.first_mut().context("no program")?);
        let relay = Running::start(verifying.clone(), &upstream.url()).await?;
        let endpoint = relay.endpoint().await?;
        check(&load::closed(&endpoint, LOAD, SPAN, &meter()).await?);

        verifying.bearer.clear();
        let relay = Running::start(verifying, &upstream.url()).await?;
        let endpoint = relay.endpoint().await?;
        let refused = load::closed(&endpoint, LOAD, SPAN, &meter()).await;
        let why = refused.err().context("it was let in without one")?;
        assert!(format!("{why:#}").contains("401"), "{why:#}");
        Ok(())
    })
}

#[test]
fn a_request_with_a_bound_token_has_a_proof_or_is_not_sent() -> anyhow::Result<()> {
    on_one_thread(async {
        let mut bound = target(&["upstream"])?;
        bound.bearer = ["echo", "{jkt}"].map(str::to_owned).to_vec();
        let upstream = Running::start(bound, "").await?;
        let endpoint = upstream.endpoint().await?;
        let unprepared = Line::open(&endpoint, Era::Handshake).await;
        let why = unprepared.err().context("it was sent without one")?;
        assert!(format!("{why:#}").contains("used up"), "{why:#}");
        // As many as it likes, an upstream without a gate answers too many.
        check(&load::open(&endpoint, LOAD, 500.0, SPAN, &meter()).await?);
        Ok(())
    })
}

/// How many connections the upstream has seen.
fn connections(upstream: &Running) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(upstream.url().replace("http://", "").replace("/mcp", ""))?;
    stream.write_all(b"GET /connections HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, count) = answer.rsplit_once('\n').unwrap_or_default();
    Ok(count.parse()?)
}

const LOAD: Load = Load {
    era: Era::Stateless,
    shape: Shape::Json,
    connections: 4,
    text_bytes: 64,
};

#[test]
fn the_open_loop_asks_at_its_rate() -> anyhow::Result<()> {
    on_one_thread(async {
        let upstream = Running::start(target(&["upstream"])?, "").await?;
        let endpoint = upstream.endpoint().await?;
        let span = Span {
            warm: Duration::from_millis(50),
            counted: Duration::from_secs(1),
        };
        let window = load::open(&endpoint, LOAD, 500.0, span, &meter()).await?;
        check(&window);
        // Twice the rate would be a mistake; fewer calls may be the machine's.
        assert!(window.calls < 700, "{}", window.calls);
        Ok(())
    })
}

#[test]
fn an_answer_of_another_call_is_a_fault() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || lie(&stream));
        }
    });
    on_one_thread(async {
        let endpoint = Endpoint::new(&url, None, "")?;
        let window = load::closed(&endpoint, LOAD, SPAN, &meter()).await?;
        assert_eq!(window.calls, 0);
        assert!(window.fault.unwrap().contains("the id is not"));
        Ok(())
    })
}

/// Answers everything alike: a right list of tools, and a wrong answer to any call.
fn lie(mut stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let answer = r#"{"id":0,"result":{"tools":[{"name":"echo"}],"content":[{"text":"x"}]}}"#;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
        if write!(stream, "{head}{}\r\n\r\n{answer}", answer.len()).is_err() {
            return;
        }
    }
}
