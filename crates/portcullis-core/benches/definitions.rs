//! What it costs to hold a server to what was approved: one call, a list that is the one before it, one in which a tool
//! has changed, and the memory of many tools.

use anyhow::{Context as _, Result, bail};
use criterion::Criterion;
use portcullis_core::catalog::{Approved, Definition, Kind, Mode, Needed, Page, Pinned, Terms};
use portcullis_core::time::Timestamp;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// A list of the size that must cost at most a millisecond.
const LISTED: usize = 1000;
/// As many as are kept of one server (`catalog/pinned.rs`).
const MOST: usize = 10_000;

/// About 700 bytes, as tools of servers that are in use have.
fn tool(number: usize) -> String {
    let sentence = "Finds the notes in which all of these words stand, the newest first, and gives the title of each. ";
    let text = sentence.repeat(3);
    format!(
        r#"{{"name":"search_{number}","title":"Search","description":"{text}","inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","description":"The words"}},"limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["query"],"additionalProperties":false}},"annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#
    )
}

fn held(server: &Arc<str>, tools: &[String]) -> Result<Pinned> {
    let read = tools.iter().map(|text| Definition::read(Kind::Tool, text));
    let read = read.collect::<std::result::Result<Vec<_>, _>>()?;
    let pinned = Pinned::default();
    let own = read.into_iter().map(|one| (Arc::clone(server), one));
    pinned.put(Approved::of(own));
    Ok(pinned)
}

fn page(server: &Arc<str>, mode: Mode) -> Page<'_> {
    let terms = Terms {
        mode,
        recheck: Duration::ZERO,
        approvals: Needed::One,
    };
    Page {
        server,
        terms,
        kind: Kind::Tool,
        whole: Some(NOW),
    }
}

/// What this process has in memory, in bytes.
fn resident() -> Result<u64> {
    let told = std::fs::read_to_string("/proc/self/status")?;
    let line = told.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no VmRSS")?.parse::<u64>()? * 1024)
}

fn memory(server: &Arc<str>) -> Result<()> {
    let before = resident()?;
    let tools: Vec<String> = (0..MOST).map(tool).collect();
    let pinned = held(server, &tools)?;
    let entries: Vec<&str> = tools.iter().map(String::as_str).collect();
    pinned.compare(&page(server, Mode::Pin), &entries);
    let more = (resident()? - before) / 1024 / 1024;
    anyhow::ensure!(more > 0, "nothing was kept");
    let mut out = std::io::stdout().lock();
    let told = "approved and listed, and their texts as they came in";
    writeln!(out, "{MOST} tools, {told}: {more} MiB")?;
    Ok(())
}

fn main() -> Result<()> {
    let server: Arc<str> = "notes".into();
    memory(&server)?;
    let tools: Vec<String> = (0..LISTED).map(tool).collect();
    let entries: Vec<&str> = tools.iter().map(String::as_str).collect();
    let mut criterion = Criterion::default().configure_from_args();
    for mode in [Mode::Pin, Mode::Observe] {
        let pinned = held(&server, &tools)?;
        let page = page(&server, mode);
        pinned.compare(&page, &entries);
        pinned.take_news();
        if pinned.check(&server, Kind::Tool, "search_7").is_err() {
            bail!("it is approved");
        }
        let name = mode.name();
        criterion.bench_function(&format!("a call ({name})"), |bench| {
            bench.iter(|| black_box(pinned.check(&server, Kind::Tool, black_box("search_7"))));
        });
        criterion.bench_function(&format!("an unchanged list ({name})"), |bench| {
            bench.iter(|| black_box(pinned.compare(&page, black_box(&entries))));
        });
        let other = tool(0).replace("newest", "oldest");
        let mut others = entries.clone();
        if let Some(first) = others.first_mut() {
            *first = &other;
        }
        criterion.bench_function(&format!("a list with a change ({name})"), |bench| {
            bench.iter(|| {
                black_box(pinned.compare(&page, black_box(&others)));
                black_box(pinned.compare(&page, black_box(&entries)));
                pinned.take_news()
            });
        });
    }
    criterion.final_summary();
    Ok(())
}
