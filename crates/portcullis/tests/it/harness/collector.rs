//! An OpenTelemetry collector that remembers what it is sent. The messages are opentelemetry-proto 1.x.

use super::gateway::wait_for;
use super::http::{Answer, Host, Seen};
use super::jwt::hex;
use prost::Message;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Traces {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Metrics {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) unit: String,
    #[prost(message, optional, tag = "9")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Point {
    #[prost(fixed64, tag = "2")]
    pub(crate) since: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) time: u64,
    #[prost(fixed64, tag = "4")]
    pub(crate) count: u64,
    #[prost(double, optional, tag = "5")]
    pub(crate) sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    pub(crate) counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    pub(crate) bounds: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

/// What attributes say, as texts by their names.
pub(crate) type Said = BTreeMap<String, String>;

fn said(attributes: &[KeyValue]) -> Said {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
    };
    let pair = |one: &KeyValue| {
        let value = one.value.as_ref()?.value.as_ref()?;
        Some((one.key.clone(), text(value)))
    };
    attributes.iter().filter_map(pair).collect()
}

impl Span {
    pub(crate) fn trace(&self) -> String {
        hex(&self.trace)
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.parent)
    }

    pub(crate) fn said(&self) -> Said {
        said(&self.attributes)
    }
}

impl Metric {
    pub(crate) fn is_cumulative(&self) -> bool {
        self.histogram
            .as_ref()
            .is_some_and(|own| own.temporality == 2)
    }
}

impl Point {
    pub(crate) fn said(&self) -> Said {
        said(&self.attributes)
    }
}

/// A collector over OTLP/HTTP.
pub(crate) struct Collector {
    host: Host,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::answering(|_| Answer::status(200))
    }

    pub(crate) fn answering(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            host: Host::start(answer),
        }
    }

    /// The shell's lines that make a gateway export here, without delay.
    pub(crate) fn variables(&self) -> String {
        format!(
            "export OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_BSP_SCHEDULE_DELAY=20 OTEL_METRIC_EXPORT_INTERVAL=100",
            self.host.url()
        )
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.host.seen()
    }

    /// All that was ever sent, as one text.
    pub(crate) fn whole(&self) -> String {
        let text = |seen: &Seen| format!("{} {}", seen.whole(), String::from_utf8_lossy(&seen.raw));
        self.requests().iter().map(text).collect()
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let seen = self.requests().into_iter();
        seen.filter(|seen| seen.target == path)
            .map(|seen| seen.raw)
            .collect()
    }

    /// What the gateway says of itself.
    pub(crate) fn resource(&self) -> Said {
        let bodies = self.bodies("/v1/traces");
        let first = bodies.first().expect("spans");
        let traces = Traces::decode(first.as_slice()).unwrap();
        assert_eq!(traces.resources.len(), 1);
        let own = traces.resources[0].resource.as_ref().unwrap();
        said(&own.attributes)
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies("/v1/traces");
        let resources = bodies
            .iter()
            .flat_map(|body| Traces::decode(body.as_slice()).unwrap().resources);
        let scopes = resources.flat_map(|resource| resource.scopes);
        scopes
            .inspect(|scope| assert_eq!(scope.scope.as_ref().unwrap().name, "portcullis"))
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// Waits for that many spans of a trace; those that others are children of come first.
    pub(crate) fn trace(&self, trace: &str, count: usize) -> Vec<Span> {
        wait_for(&format!("{count} spans of {trace}"), || {
            let mut spans = self.spans();
            spans.retain(|span| span.trace() == trace);
            let depth = |span: &Span| {
                let mut depth = 0;
                let mut parent = span.parent();
                while let Some(above) = spans.iter().find(|above| above.id() == parent) {
                    (depth, parent) = (depth + 1, above.parent());
                }
                depth
            };
            let mut sorted: Vec<_> = spans
                .iter()
                .map(|span| (depth(span), span.clone()))
                .collect();
            sorted.sort_by_key(|(depth, _)| *depth);
            (spans.len() >= count).then(|| sorted.into_iter().map(|(_, span)| span).collect())
        })
    }

    /// Waits for a series of this metric of which all this is said.
    pub(crate) fn point(&self, metric: &str, with: &[(&str, &str)]) -> (Metric, Point) {
        wait_for(&format!("{metric} {with:?}"), || self.find(metric, with))
    }

    pub(crate) fn find(&self, metric: &str, with: &[(&str, &str)]) -> Option<(Metric, Point)> {
        let last = self.bodies("/v1/metrics").pop()?;
        let all = Metrics::decode(last.as_slice()).unwrap();
        let scopes = all
            .resources
            .into_iter()
            .flat_map(|resource| resource.scopes);
        let mut metrics = scopes.flat_map(|scope| scope.metrics);
        let metric = metrics.find(|own| own.name == metric)?;
        let points = metric.histogram.clone()?.points.into_iter();
        let is_it = |point: &Point| {
            let said = point.said();
            with.iter()
                .all(|(key, value)| said.get(*key).is_some_and(|own| own == value))
        };
        points.into_iter().find(is_it).map(|point| (metric, point))
    }
}
