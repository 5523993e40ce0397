//! The closed loop: every line makes its next call when it has its last answer.

use std::rc::Rc;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Endpoint, Line, Load, MAX_HANG, Span, Tally, Window, first_id, line_id};
use crate::clock;
use crate::meter::Meter;
use crate::wire::Writer;

/// Loads `endpoint` for a span and measures. Must run in a `LocalSet`.
///
/// # Errors
/// If a line cannot be opened, or the meter cannot be read. Faults under load are in the window.
pub async fn closed(
    endpoint: &Endpoint,
    load: Load,
    span: Span,
    meter: &Meter,
) -> anyhow::Result<Window> {
    let tally = Tally::new()?;
    endpoint.prepare_window(span, load.connections)?;
    let first = first_id();
    let mut lines = JoinSet::new();
    for number in 0..load.connections {
        let mut line = Line::open(endpoint, load.era).await?;
        line.list().await?;
        let tool = line.aim(load.shape)?;
        let writer = Writer::new(load.era, tool, load.text_bytes, line_id(first, number))?;
        let tally = Rc::clone(&tally);
        lines.spawn_local(async move {
            if let Err(error) = ask(line, writer, load, &tally).await {
                tally.failed(&error);
            }
        });
    }
    sleep(span.warm).await;
    let before = meter.read()?;
    let start = clock::now();
    tally.counting.set(true);
    sleep(span.counted).await;
    tally.counting.set(false);
    let elapsed = start.elapsed();
    let spent = meter.read()?.since(&before);
    tally.stop.set(true);
    timeout(MAX_HANG, lines.join_all())
        .await
        .context("a call was not answered")?;
    Ok(tally.window(elapsed, spent))
}

async fn ask(mut line: Line, mut writer: Writer, load: Load, tally: &Tally) -> anyhow::Result<()> {
    while !tally.stop.get() {
        let call = writer.call()?;
        let start = clock::now();
        let shape = line.call(&call).await?;
        tally.answered(shape, load, start.elapsed());
    }
    Ok(())
}
