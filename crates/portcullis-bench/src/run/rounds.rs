//! Interleaved rounds: every target in every round, there and back, and noisy rounds again.

use std::time::Duration;

use anyhow::Context as _;

use crate::load::{self, Endpoint, Load, Span, Window};
use crate::meter::Meter;
use crate::report::Rounds;
use crate::target::Running;

/// The share of the processors that others may take in a window before its round is dropped.
pub(super) const MAX_FOREIGN: f64 = 0.05;
/// How often a round may be tried.
const MAX_TRIES: usize = 2;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) rounds: usize,
    pub(super) span: Span,
}

/// A target and the rate at which it is asked; without one, the loop is closed.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) running: &'a Running,
    pub(super) rate: Option<f64>,
}

/// The bench's table: the upstream, and what stands around.
pub(super) struct Table<'a> {
    pub(super) upstream: &'a Running,
    pub(super) all: Vec<&'a Running>,
}

impl Table<'_> {
    /// Measures all subjects with one load, in as many clean rounds as planned, if there are.
    pub(super) async fn rounds(
        &self,
        subjects: &[Subject<'_>],
        load: Load,
        plan: Plan,
    ) -> anyhow::Result<Rounds> {
        let (mut clean, mut noisy) = (Vec::new(), Vec::new());
        for attempt in 0..plan.rounds * MAX_TRIES {
            let round = self
                .round(subjects, load, plan.span, attempt % 2 == 1)
                .await?;
            let foreign = round.iter().map(|window| window.spent.foreign);
            let foreign = foreign.fold(0.0, f64::max);
            if foreign > MAX_FOREIGN {
                noisy.push((foreign, round));
            } else {
                clean.push(round);
            }
            if clean.len() == plan.rounds {
                break;
            }
        }
        noisy.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let dropped = noisy.len();
        let missing = plan.rounds - clean.len();
        clean.extend(noisy.into_iter().take(missing).map(|(_, round)| round));
        Ok(Rounds {
            kept: clean,
            dropped: dropped - missing,
            noisy: missing,
        })
    }

    async fn round(
        &self,
        subjects: &[Subject<'_>],
        load: Load,
        span: Span,
        back: bool,
    ) -> anyhow::Result<Vec<Window>> {
        let mut windows = Vec::new();
        let mut order: Vec<_> = subjects.iter().collect();
        if back {
            order.reverse();
        }
        for subject in order {
            windows.push(self.window(*subject, load, span).await?);
        }
        if back {
            windows.reverse();
        }
        Ok(windows)
    }

    async fn window(&self, subject: Subject<'_>, load: Load, span: Span) -> anyhow::Result<Window> {
        let name = &subject.running.target().name;
        let endpoint = subject.running.endpoint().await?;
        let upstream = self.upstream.endpoint().await?;
        let meter = self.meter(subject.running);
        let before = load::count(&upstream).await?;
        let window = match subject.rate {
            None => load::closed(&endpoint, load, span, &meter).await,
            Some(rate) => load::open(&endpoint, load, rate, span, &meter).await,
        };
        let mut window =
            window.with_context(|| format!("{name}, which wrote: {}", subject.running.log()))?;
        let reached = load::count(&upstream).await? - before;
        if window.fault.is_none() && reached != window.all_calls {
            window.faults += 1;
            let answered = window.all_calls;
            window.fault = Some(format!("{answered} answers, but {reached} calls upstream"));
        }
        Ok(window)
    }

    fn meter(&self, running: &Running) -> Meter {
        let upstream = self.upstream.pid();
        let own = running.pid();
        let others = self.all.iter().map(|running| running.pid());
        Meter {
            upstream,
            gate: (own != upstream).then_some(own),
            bystanders: others
                .filter(|&pid| pid != own && pid != upstream)
                .collect(),
        }
    }
}

/// Opens sessions and leaves them idle, on as few connections as may be.
pub(super) async fn leave_sessions(endpoint: &Endpoint, count: usize) -> anyhow::Result<()> {
    // Two messages open a session.
    endpoint.prepare(2 * count)?;
    let mut line = load::Line::open(endpoint, crate::wire::Era::Handshake).await?;
    for _ in 1..count {
        line.open_session().await?;
    }
    Ok(())
}

/// Lets a process come to rest before its memory is read.
pub(super) async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}
