//! How long exchanges took, by bounded attributes: histograms that only grow, as collectors ask for them.

use super::protobuf::Message;
use super::span::{Attribute, Value, attribute, describe, name_scope, nanoseconds};
use crate::telemetry::SECONDS;
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The most series of one instrument; what comes after goes into one more, as OpenTelemetry's SDKs do.
const MAX_SERIES: usize = 2000;
const OVERFLOW: &str = "otel.metric.overflow";
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// The two instruments.
#[derive(Debug)]
pub(super) struct Series {
    since: Timestamp,
    served: Mutex<HashMap<Vec<Attribute>, Histogram>>,
    waited: Mutex<HashMap<Vec<Attribute>, Histogram>>,
}

#[derive(Debug, Default, Clone)]
struct Histogram {
    counts: [u64; SECONDS.len() + 1],
    count: u64,
    sum: f64,
    range: Option<(f64, f64)>,
}

impl Histogram {
    fn take(&mut self, seconds: f64) {
        let place = SECONDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
        let (least, most) = self.range.unwrap_or((seconds, seconds));
        self.range = Some((least.min(seconds), most.max(seconds)));
    }

    fn write(
        &self,
        message: &mut Message,
        attributes: &[Attribute],
        (since, now): (Timestamp, Timestamp),
    ) {
        attribute(message, 9, attributes);
        message.fixed64(2, nanoseconds(since));
        message.fixed64(3, nanoseconds(now));
        message.fixed64(4, self.count);
        message.double(5, self.sum);
        message.packed(6, self.counts.iter().copied());
        message.packed(7, SECONDS.iter().map(|bound| bound.to_bits()));
        if let Some((least, most)) = self.range {
            message.double(11, least);
            message.double(12, most);
        }
    }
}

impl Series {
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            served: Mutex::default(),
            waited: Mutex::default(),
        }
    }

    /// How long a client waited for us.
    pub(super) fn serve(&self, attributes: Vec<Attribute>, took: Duration) {
        take(&self.served, attributes, took);
    }

    /// How long we waited for a server.
    pub(super) fn wait(&self, attributes: Vec<Attribute>, took: Duration) {
        take(&self.waited, attributes, took);
    }

    /// `ExportMetricsServiceRequest` (opentelemetry-proto 1.x, `metrics/v1/metrics.proto`).
    pub(super) fn request(&self, resource: &[(String, String)], now: Timestamp) -> Vec<u8> {
        let read = |held: &Mutex<HashMap<_, _>>| {
            let held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.clone()
        };
        let (served, waited) = (read(&self.served), read(&self.waited));
        let mut whole = Message::default();
        whole.message(1, |of| {
            describe(of, resource);
            of.message(2, |scope| {
                scope.message(1, name_scope);
                let name = "mcp.server.operation.duration";
                let text = "Time from a client's message to what it was answered";
                scope.message(2, |one| self.write(one, (name, text), (&served, now)));
                let name = "mcp.client.operation.duration";
                let text = "Time from a message to a server to the first of its answer";
                scope.message(2, |one| self.write(one, (name, text), (&waited, now)));
            });
        });
        whole.into_bytes()
    }

    fn write(
        &self,
        metric: &mut Message,
        (name, text): (&str, &str),
        (held, now): (&HashMap<Vec<Attribute>, Histogram>, Timestamp),
    ) {
        metric.text(1, name);
        metric.text(2, text);
        metric.text(3, "s");
        metric.message(9, |histogram| {
            let mut all: Vec<_> = held.iter().collect();
            all.sort_by_key(|(_, own)| std::cmp::Reverse(own.count));
            for (attributes, own) in all {
                histogram.message(1, |point| own.write(point, attributes, (self.since, now)));
            }
            histogram.number(2, CUMULATIVE);
        });
    }
}

fn take(
    held: &Mutex<HashMap<Vec<Attribute>, Histogram>>,
    attributes: Vec<Attribute>,
    took: Duration,
) {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = held.len() < MAX_SERIES || held.contains_key(&attributes);
    let key = if is_known {
        attributes
    } else {
        vec![(OVERFLOW, Value::Flag(true))]
    };
    held.entry(key).or_default().take(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::{Histogram, MAX_SERIES, OVERFLOW, Series, Value};
    use crate::telemetry::SECONDS;
    use portcullis_core::time::Timestamp;
    use std::time::Duration;

    #[test]
    fn siem_05_a_value_on_a_bound_is_counted_below_it() {
        let mut histogram = Histogram::default();
        for (value, place) in [
            (0.0, 0),
            (0.01, 0),
            (0.010_001, 1),
            (300.0, 13),
            (301.0, 14),
        ] {
            let before = histogram.counts[place];
            histogram.take(value);
            assert_eq!(histogram.counts[place], before + 1, "{value}");
        }
        assert_eq!((histogram.count, histogram.range), (5, Some((0.0, 301.0))));
        assert_eq!(histogram.counts.len(), SECONDS.len() + 1);
    }

    #[test]
    fn siem_05_series_are_bounded() {
        let series = Series::new(Timestamp::from_micros(0));
        for number in 0..MAX_SERIES + 10 {
            let attributes = vec![("a", Value::from(number.to_string()))];
            series.serve(attributes, Duration::from_millis(1));
        }
        let held = series.served.lock().unwrap();
        assert_eq!(held.len(), MAX_SERIES + 1);
        let rest = held.get(&vec![(OVERFLOW, Value::Flag(true))]).unwrap();
        assert_eq!(rest.count, 10);
    }
}
