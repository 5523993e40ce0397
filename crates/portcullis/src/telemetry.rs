//! What operators see: logs on stderr, counters for Prometheus. Labels are ours, never the client's.

use crate::record::Exchange;
use portcullis_core::refusal::Refusal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use tracing_subscriber::EnvFilter;

/// The bounds of `mcp.server.operation.duration` in seconds, as the OpenTelemetry conventions have them.
pub(crate) const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    event: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Misused {
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alerted {
    destination: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Where {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    signal: &'static str,
    outcome: &'static str,
}

/// What became of what was to be exported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exported {
    spans: Family<Outcome, Counter>,
    requests: Family<Request, Counter>,
}

impl Exported {
    pub(crate) fn spans(&self, outcome: &'static str, count: u64) {
        self.spans.get_or_create(&Outcome { outcome }).inc_by(count);
    }

    pub(crate) fn request(&self, signal: &'static str, outcome: &'static str) {
        let request = Request { signal, outcome };
        self.requests.get_or_create(&request).inc();
    }
}

/// The counters of the data path.
pub(crate) struct Counters {
    registry: Registry,
    refused: Family<Why, Counter>,
    misused: Family<Misused, Counter>,
    alerted: Family<Alerted, Counter>,
    completed: Family<Where, Counter>,
    seconds: Family<Where, Histogram, fn() -> Histogram>,
    authenticated: Counter,
    exported: Exported,
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counters(..)")
    }
}

impl Default for Counters {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let refused = Family::<Why, Counter>::default();
        let misused = Family::<Misused, Counter>::default();
        let alerted = Family::<Alerted, Counter>::default();
        let completed = Family::<Where, Counter>::default();
        let seconds: Family<Where, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let authenticated = Counter::default();
        registry.register(
            "refusals",
            "Exchanges that were refused, by audit event and reason",
            refused.clone(),
        );
        registry.register("misuse", "Misuse of tokens, by rule", misused.clone());
        registry.register(
            "alerts",
            "Alerts by destination: sent, failed attempts, and dropped",
            alerted.clone(),
        );
        registry.register(
            "calls",
            "Calls that were answered, by server",
            completed.clone(),
        );
        registry.register(
            "mcp_server_operation_duration_seconds",
            "Time to the answer",
            seconds.clone(),
        );
        registry.register(
            "authentications",
            "Requests whose caller was known",
            authenticated.clone(),
        );
        let exported = Exported::default();
        registry.register(
            "telemetry_spans",
            "Spans for collectors: exported, dropped because too many waited, or failed to be sent",
            exported.spans.clone(),
        );
        registry.register(
            "telemetry_requests",
            "Requests to collectors, by signal and outcome",
            exported.requests.clone(),
        );
        Self {
            registry,
            refused,
            misused,
            alerted,
            completed,
            seconds,
            authenticated,
            exported,
        }
    }
}

impl Counters {
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.refused_as(refusal.event());
    }

    /// The same where there is no more than words of ours.
    pub(crate) fn refused_as(&self, (event, reason): (&'static str, &'static str)) {
        self.refused.get_or_create(&Why { event, reason }).inc();
    }

    pub(crate) fn misused(&self, rule: &'static str) {
        self.misused.get_or_create(&Misused { rule }).inc();
    }

    /// What became of alerts for this destination.
    pub(crate) fn alerted(&self, destination: &str, outcome: &'static str, count: u64) {
        let alerted = Alerted {
            destination: destination.to_owned(),
            outcome,
        };
        self.alerted.get_or_create(&alerted).inc_by(count);
    }

    /// What became of what was to be exported.
    pub(crate) const fn exported(&self) -> &Exported {
        &self.exported
    }

    pub(crate) fn authenticated(&self) {
        self.authenticated.inc();
    }

    pub(crate) fn completed(&self, exchange: &Exchange) {
        let server = Where {
            server: exchange.server.as_deref().unwrap_or_default().to_owned(),
        };
        self.completed.get_or_create(&server).inc();
        let took = crate::clock::now().since(exchange.began).as_secs_f64();
        self.seconds.get_or_create(&server).observe(took);
    }

    /// All of them in the text format of `OpenMetrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

/// Starts to log on stderr; `filter` is a `tracing` filter such as `info`.
pub(crate) fn start(filter: Option<String>) {
    let filter = filter.and_then(|filter| EnvFilter::try_new(filter).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn,portcullis=info,upstream=info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be told on stderr too, by a macro that panics where stderr takes no more.
        .log_internal_errors(false)
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was already started");
    }
}
