//! The open loop: calls become due at a fixed rate, whether or not the last ones were answered.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::{Endpoint, Line, Load, MAX_HANG, Span, Tally, Window, first_id, line_id};
use crate::clock;
use crate::meter::Meter;
use crate::wire::Writer;

/// What is due: a permit a call, and when the call of each permit was meant to be sent.
#[derive(Debug)]
struct Schedule {
    due: Arc<Semaphore>,
    start: Instant,
    interval: Duration,
    taken: Cell<u32>,
}

impl Schedule {
    /// When the next call that anyone takes is meant to be sent. Waits until then.
    async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let number = self.taken.get() + 1;
        self.taken.set(number);
        Some(self.start + self.interval * number)
    }
}

/// Loads `endpoint` with `rate` calls a second for a span and measures.
///
/// A latency begins when the call was meant to be sent: a target that stalls is charged for
/// all the calls that had to wait. Must run in a `LocalSet`.
///
/// # Errors
/// If the rate is not between 0.1 and 10 million, a line cannot be opened, or the meter cannot be read.
pub async fn open(
    endpoint: &Endpoint,
    load: Load,
    rate: f64,
    span: Span,
    meter: &Meter,
) -> anyhow::Result<Window> {
    ensure!((0.1..=1e7).contains(&rate), "a rate of {rate}");
    let tally = Tally::new()?;
    endpoint.prepare_window(span, load.connections)?;
    let first = first_id();
    let mut ready = Vec::new();
    for number in 0..load.connections {
        let mut line = Line::open(endpoint, load.era).await?;
        line.list().await?;
        let tool = line.aim(load.shape)?;
        let writer = Writer::new(load.era, tool, load.text_bytes, line_id(first, number))?;
        ready.push((line, writer));
    }
    let schedule = Rc::new(Schedule {
        due: Arc::new(Semaphore::new(0)),
        start: clock::now(),
        interval: Duration::from_secs_f64(1.0 / rate),
        taken: Cell::new(0),
    });
    let mut lines = JoinSet::new();
    for (line, writer) in ready {
        let (tally, schedule) = (Rc::clone(&tally), Rc::clone(&schedule));
        lines.spawn_local(async move {
            if let Err(error) = ask(line, writer, load, (&tally, &schedule)).await {
                tally.failed(&error);
                schedule.due.close();
            }
        });
    }
    let (due, start, interval) = (Arc::clone(&schedule.due), schedule.start, schedule.interval);
    let pacer = spawn_blocking(move || pace_out(&due, start, interval));

    sleep(span.warm).await;
    let before = meter.read()?;
    let start = clock::now();
    tally.counting.set(true);
    sleep(span.counted).await;
    tally.counting.set(false);
    let elapsed = start.elapsed();
    let spent = meter.read()?.since(&before);
    tally.stop.set(true);
    schedule.due.close();
    timeout(MAX_HANG, lines.join_all())
        .await
        .context("a call was not answered")?;
    pacer.await??;
    Ok(tally.window(elapsed, spent))
}

async fn ask(
    mut line: Line,
    mut writer: Writer,
    load: Load,
    (tally, schedule): (&Tally, &Schedule),
) -> anyhow::Result<()> {
    while let Some(intended) = schedule.next().await {
        let call = writer.call()?;
        let shape = line.call(&call).await?;
        let latency = clock::now().saturating_duration_since(intended);
        tally.answered(shape, load, latency);
    }
    Ok(())
}

/// The shortest time between two looks at the schedule. A shorter one costs the machine more than
/// the calls do; the calls that become due in between are sent late, and charged for it.
const MIN_TICK: Duration = Duration::from_micros(100);

/// Gives out permits at the schedule's rate. It waits on a kernel timer in a thread of its own:
/// the runtime's timers count in milliseconds.
fn pace_out(due: &Semaphore, start: Instant, interval: Duration) -> anyhow::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::empty())?;
    let tick = interval.max(MIN_TICK);
    let period = Timespec {
        tv_sec: i64::try_from(tick.as_secs())?,
        tv_nsec: i64::from(tick.subsec_nanos()),
    };
    let every = Itimerspec {
        it_interval: period,
        it_value: period,
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
    let mut given = 0_u128;
    while !due.is_closed() {
        rustix::io::read(&timer, &mut [0_u8; 8])?;
        // By the clock and not by the timer's count: the two must not drift apart.
        let passed = start.elapsed().as_nanos() / interval.as_nanos().max(1);
        due.add_permits(usize::try_from(passed - given)?);
        given = passed;
    }
    Ok(())
}
