//! What do collectors get? A span and a measurement for each exchange, made of what its record knows, and no content.
//!
//! No exchange waits for a collector: spans wait in a bounded queue, and what finds it full is counted and dropped.
//! Names and units are those of OpenTelemetry's semantic conventions for MCP.

mod collector;
mod names;
mod place;
mod protobuf;
mod sending;
mod series;
mod span;
mod told;

use crate::clock;
use crate::config::{Otlp, Sampler, Trust};
use crate::random;
use crate::record::{Came, Exchange};
use crate::telemetry::Exported;
use crate::upstream::Report;
use names::Names;
use portcullis_core::refusal::Unavailable;
use sending::{Queue, send_series, send_spans};
use series::Series;
use span::{Kind, Span};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use told::Told;

pub(crate) use collector::BadCollector;
pub(crate) use place::{Parent, Place, Side};

/// What is exported, and what waits for it.
pub(crate) struct Export {
    sampler: Option<Sampler>,
    queue: Option<Arc<Queue>>,
    series: Option<Arc<Series>>,
    names: Names,
    ending: CancellationToken,
    sending: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Export(..)")
    }
}

impl Export {
    /// Starts to export to collectors that show what is wanted of them.
    ///
    /// # Errors
    /// [`BadCollector`]: its certificate cannot be used, or it has none.
    pub(crate) fn start(
        otlp: Otlp,
        (trust, report): (&Trust, &Report),
        counted: &Exported,
        tasks: &TaskTracker,
    ) -> Result<Self, BadCollector> {
        let sender =
            |signal, collector| collector::Sender::new(signal, collector, (trust, report), counted);
        let ending = CancellationToken::new();
        let mut sending = Vec::new();
        let resource: Arc<[(String, String)]> = otlp.resource.into();
        let sampler = otlp.traces.as_ref().map(|traces| traces.sampler);
        let mut queue = None;
        if let Some(traces) = otlp.traces {
            let sender = sender("traces", traces.collector)?;
            let waiting = Arc::new(Queue::new(traces.queue, traces.batch, counted));
            let until = (traces.delay, ending.clone());
            let task = send_spans(Arc::clone(&waiting), sender, Arc::clone(&resource), until);
            sending.push(tasks.spawn(task));
            queue = Some(waiting);
        }
        let mut series = None;
        if let Some(metrics) = otlp.metrics {
            let sender = sender("metrics", metrics.collector)?;
            let kept = Arc::new(Series::new(clock::now()));
            let until = (metrics.interval, ending.clone());
            let task = send_series(Arc::clone(&kept), sender, resource, until);
            sending.push(tasks.spawn(task));
            series = Some(kept);
        }
        Ok(Self {
            sampler,
            queue,
            series,
            names: Names::default(),
            ending,
            sending: Mutex::new(sending),
        })
    }

    /// An exchange's place in its trace; writes into `traceparent` whether it is recorded.
    ///
    /// # Errors
    /// [`Unavailable::Entropy`].
    pub(crate) fn begin(
        self: &Arc<Self>,
        trace: &str,
        traceparent: &mut String,
        (parent, side): (Option<Parent>, Side),
    ) -> Result<Box<Place>, Unavailable> {
        let decided = parent.map(|parent| parent.is_sampled);
        let is_sampled = self
            .sampler
            .is_some_and(|sampler| sampler.samples(decided, place::trace_of(trace).to_be_bytes()));
        let given = place::span_of(traceparent);
        if self.sampler.is_some() {
            place::set_sampled(traceparent, is_sampled);
        }
        let drawn = u64::from_be_bytes(random::bytes()?);
        // What asks others in its turn is itself their parent.
        let (own, wait) = match side {
            Side::All => (given, drawn),
            Side::Http | Side::Pipe | Side::Part => (drawn, given),
        };
        let export = Arc::clone(self);
        Ok(Box::new(Place {
            export,
            side,
            parent: parent.map(|parent| parent.span),
            own,
            wait,
            is_sampled,
            over: None,
        }))
    }

    /// The place of one server's part in an exchange with all of them.
    pub(crate) fn part(self: &Arc<Self>, trace: &str, traceparent: &str) -> Option<Box<Place>> {
        let parent = Parent {
            span: place::span_of(traceparent),
            is_sampled: place::is_sampled(traceparent),
        };
        let wait = u64::from_be_bytes(random::bytes().ok()?);
        let mut own = place::traceparent(trace, wait, parent.is_sampled);
        let place = self.begin(trace, &mut own, (Some(parent), Side::Part));
        let mut place = place.ok()?;
        place.is_sampled = parent.is_sampled && self.queue.is_some();
        Some(place)
    }

    /// Takes what an exchange came to.
    pub(crate) fn settled(&self, exchange: &Exchange, place: &Place, came: Came) {
        let now = clock::now();
        let told = Told::of(exchange, place, came, &self.names);
        let ended = exchange.answered.unwrap_or(now);
        if let Some(series) = &self.series
            && told.is_mcp()
        {
            if place.side != Side::Part {
                series.serve(told.series(), now.since(exchange.began));
            }
            if let (Some(sent), Some(_)) = (exchange.sent, place.over) {
                series.wait(told.series_of_wait(), ended.since(sent));
            }
        }
        let Some(queue) = self.queue.as_ref().filter(|_| place.is_sampled) else {
            return;
        };
        let trace = place::trace_of(&exchange.trace);
        let waited = exchange.sent.filter(|_| place.over.is_some());
        let waited = waited.map(|sent| Span {
            trace,
            id: place.wait,
            parent: Some(place.own),
            is_remote: false,
            kind: Kind::Client,
            name: told.name(),
            time: (sent, ended),
            attributes: told.of_wait(exchange),
            error: told.error_of_wait().map(|_| told.why()),
        });
        let own = Span {
            trace,
            id: place.own,
            parent: place.parent,
            is_remote: place.side != Side::Part,
            kind: match place.side {
                Side::Http | Side::Pipe | Side::All => Kind::Server,
                Side::Part => Kind::Internal,
            },
            name: told.name(),
            time: (exchange.began, now),
            attributes: told.of_exchange(exchange),
            error: told.error().map(|_| told.why()),
        };
        queue.push(waited.into_iter().chain([own]));
    }

    /// Sends what is left, until that moment at most.
    pub(crate) async fn finish(&self, deadline: Instant) {
        self.ending.cancel();
        let sending = {
            let mut held = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        for task in sending {
            let stop = task.abort_handle();
            if timeout_at(deadline, task).await.is_err() {
                stop.abort();
                tracing::warn!("a collector did not take all telemetry before the end");
            }
        }
    }
}
