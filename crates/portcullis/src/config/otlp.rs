//! The standard variables of OpenTelemetry: which collectors get what. A value that cannot be honoured ends the start.
//!
//! OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration".

use super::{HttpUrl, TextFile};
use http::header::{HeaderName, HeaderValue};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The collector that the specification names where a variable only says `otlp`.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// The most headers, and the most attributes of the resource.
const MAX_PAIRS: usize = 64;
/// The longest span of time, in milliseconds.
const MAX_MILLISECONDS: u64 = 3_600_000;
/// The most spans that may wait.
const MAX_QUEUE: usize = 65_536;

/// A variable that cannot be honoured; never holds its value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub(crate) struct BadVariable {
    name: String,
    why: String,
}

/// What is exported, and to where.
#[derive(Debug)]
pub(crate) struct Otlp {
    /// Spans.
    pub(crate) traces: Option<Traces>,
    /// Metrics.
    pub(crate) metrics: Option<Metrics>,
    /// What the gateway says of itself.
    pub(crate) resource: Vec<(String, String)>,
}

/// How spans are exported.
#[derive(Debug)]
pub(crate) struct Traces {
    /// To where.
    pub(crate) collector: Collector,
    /// Which of them.
    pub(crate) sampler: Sampler,
    /// How many may wait.
    pub(crate) queue: usize,
    /// How many go at once.
    pub(crate) batch: usize,
    /// How long one waits at most.
    pub(crate) delay: Duration,
}

/// How metrics are exported.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// To where.
    pub(crate) collector: Collector,
    /// How often.
    pub(crate) interval: Duration,
}

/// Where one signal goes.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The whole URL.
    pub(crate) url: HttpUrl,
    /// Headers, all of them marked sensitive.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    /// A certificate to trust beside the system's.
    pub(crate) certificate: Option<TextFile>,
}

/// Which spans are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    /// Whether a caller who has decided is followed.
    pub(crate) follows_parent: bool,
    /// The share of the others, from 0 to 1.
    pub(crate) share: f64,
}

impl Sampler {
    /// Decides by the caller's decision, where there is one, or by the trace id.
    pub(crate) fn samples(self, parent: Option<bool>, trace: [u8; 16]) -> bool {
        if let (true, Some(parent)) = (self.follows_parent, parent) {
            return parent;
        }
        let [.., a, b, c, d] = trace;
        f64::from(u32::from_be_bytes([a, b, c, d])) < self.share * 4_294_967_296.0
    }
}

/// What looks up variables and reads files.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;
type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Reads the variables; `None` if nothing is to be exported.
///
/// # Errors
/// [`BadVariable`], the first that is found.
pub(crate) fn otlp(
    environment: Environment<'_>,
    read_file: ReadFile<'_>,
) -> Result<Option<Otlp>, BadVariable> {
    let variables = Variables {
        environment,
        read_file,
    };
    if variables.is_disabled()? {
        return Ok(None);
    }
    let traces = variables.signal("TRACES", "/v1/traces")?;
    let metrics = variables.signal("METRICS", "/v1/metrics")?;
    if traces.is_none() && metrics.is_none() {
        return Ok(None);
    }
    Ok(Some(Otlp {
        resource: variables.resource()?,
        traces: traces
            .map(|collector| variables.traces(collector))
            .transpose()?,
        metrics: metrics
            .map(|collector| variables.metrics(collector))
            .transpose()?,
    }))
}

struct Variables<'a> {
    environment: Environment<'a>,
    read_file: ReadFile<'a>,
}

impl Variables<'_> {
    /// A variable; an empty one is as good as none.
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.environment)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The variable of a signal, or the one for all; and which it was.
    fn of(&self, signal: &str, rest: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{rest}");
        let all = format!("OTEL_EXPORTER_OTLP_{rest}");
        [own, all]
            .into_iter()
            .find_map(|name| Some((self.get(&name)?, name)))
    }

    fn is_disabled(&self) -> Result<bool, BadVariable> {
        let name = "OTEL_SDK_DISABLED";
        match self.get(name).map(|value| value.to_ascii_lowercase()) {
            None => Ok(false),
            Some(value) => match value.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(bad(name, "must be `true` or `false`")),
            },
        }
    }

    /// Where a signal goes, if anywhere.
    fn signal(&self, signal: &str, path: &str) -> Result<Option<Collector>, BadVariable> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        let wanted = self.get(&exporter);
        match wanted.as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => {}
            Some(_) => return Err(bad(&exporter, "must be `otlp` or `none`")),
        }
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let (text, name, is_whole) = match (self.get(&own), self.get(all)) {
            (Some(text), _) => (text, own.as_str(), true),
            (None, Some(text)) => (text, all, false),
            (None, None) if wanted.is_some() => (DEFAULT_ENDPOINT.to_owned(), all, false),
            (None, None) => return Ok(None),
        };
        let read = |text: &str| HttpUrl::parse(text).map_err(|why| bad(name, &why.to_string()));
        let mut url = read(&text)?;
        if !is_whole {
            url = read(&url.below(path))?;
        }
        self.refuse_what_is_not_done(signal)?;
        Ok(Some(Collector {
            url,
            headers: self.headers(signal)?,
            timeout: self.timeout(signal)?,
            certificate: self.certificate(signal)?,
        }))
    }

    /// What others can do and this exporter cannot must not be left out in silence.
    fn refuse_what_is_not_done(&self, signal: &str) -> Result<(), BadVariable> {
        if let Some((value, name)) = self.of(signal, "PROTOCOL")
            && value != "http/protobuf"
        {
            return Err(bad(&name, "only `http/protobuf` is spoken"));
        }
        if let Some((value, name)) = self.of(signal, "COMPRESSION")
            && value != "none"
        {
            return Err(bad(&name, "only `none` is done"));
        }
        for rest in ["CLIENT_KEY", "CLIENT_CERTIFICATE"] {
            if let Some((_, name)) = self.of(signal, rest) {
                return Err(bad(&name, "client certificates are not sent"));
            }
        }
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        match self.get(name).map(|value| value.to_ascii_lowercase()) {
            Some(value) if value != "cumulative" => Err(bad(name, "only `cumulative` is done")),
            Some(_) | None => Ok(()),
        }
    }

    fn headers(&self, signal: &str) -> Result<Vec<(HeaderName, HeaderValue)>, BadVariable> {
        let Some((text, name)) = self.of(signal, "HEADERS") else {
            return Ok(Vec::new());
        };
        let mut headers = Vec::new();
        for (key, value) in pairs(&text).map_err(|why| bad(&name, why))? {
            let key = key.to_ascii_lowercase();
            if super::header::is_own(&key) {
                return Err(bad(&name, "names a header that the gateway writes itself"));
            }
            let key: Option<HeaderName> = key.parse().ok();
            let value = HeaderValue::from_str(&value).ok();
            let (Some(key), Some(mut value)) = (key, value) else {
                return Err(bad(&name, "holds what no header can be"));
            };
            value.set_sensitive(true);
            headers.push((key, value));
        }
        Ok(headers)
    }

    fn timeout(&self, signal: &str) -> Result<Duration, BadVariable> {
        match self.of(signal, "TIMEOUT") {
            Some((_, name)) => self.milliseconds(&name, 10_000),
            None => Ok(Duration::from_secs(10)),
        }
    }

    fn certificate(&self, signal: &str) -> Result<Option<TextFile>, BadVariable> {
        let Some((file, name)) = self.of(signal, "CERTIFICATE") else {
            return Ok(None);
        };
        let path = PathBuf::from(file);
        match (self.read_file)(&path) {
            Ok(text) => Ok(Some(TextFile { path, text })),
            Err(why) => Err(bad(
                &name,
                &format!("the file cannot be read: {}", why.kind()),
            )),
        }
    }

    fn traces(&self, collector: Collector) -> Result<Traces, BadVariable> {
        let queue = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, MAX_QUEUE)?;
        let batch = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512.min(queue), queue)?;
        Ok(Traces {
            collector,
            sampler: self.sampler()?,
            queue,
            batch,
            delay: self.milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5_000)?,
        })
    }

    fn metrics(&self, collector: Collector) -> Result<Metrics, BadVariable> {
        let interval = self.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 60_000)?;
        Ok(Metrics {
            collector,
            interval,
        })
    }

    fn sampler(&self) -> Result<Sampler, BadVariable> {
        let name = "OTEL_TRACES_SAMPLER";
        let wanted = self.get(name);
        let wanted = wanted.as_deref().unwrap_or("parentbased_always_on");
        let own = wanted.strip_prefix("parentbased_");
        let share = match own.unwrap_or(wanted) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.share()?,
            _ => return Err(bad(name, "names no sampler that is done here")),
        };
        Ok(Sampler {
            follows_parent: own.is_some(),
            share,
        })
    }

    fn share(&self) -> Result<f64, BadVariable> {
        let name = "OTEL_TRACES_SAMPLER_ARG";
        let Some(text) = self.get(name) else {
            return Ok(1.0);
        };
        let share = text.parse().ok();
        share
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| bad(name, "must be a number from 0 to 1"))
    }

    fn resource(&self) -> Result<Vec<(String, String)>, BadVariable> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let text = self.get(name).unwrap_or_default();
        let mut resource = pairs(&text).map_err(|why| bad(name, why))?;
        let service = self.get("OTEL_SERVICE_NAME");
        if let Some(service) = &service {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), service.clone()));
        }
        for (key, value) in [
            ("service.name", "portcullis"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ] {
            if resource.iter().all(|(own, _)| own != key) {
                resource.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(resource)
    }

    fn milliseconds(&self, name: &str, usual: u64) -> Result<Duration, BadVariable> {
        let Some(text) = self.get(name) else {
            return Ok(Duration::from_millis(usual));
        };
        let number = text.parse().ok();
        let number = number.filter(|number| (1..=MAX_MILLISECONDS).contains(number));
        number.map(Duration::from_millis).ok_or_else(|| {
            let why = format!("must be a number of milliseconds from 1 to {MAX_MILLISECONDS}");
            bad(name, &why)
        })
    }

    fn number(&self, name: &str, usual: usize, most: usize) -> Result<usize, BadVariable> {
        let Some(text) = self.get(name) else {
            return Ok(usual);
        };
        let number = text.parse().ok();
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| bad(name, &format!("must be a number from 1 to {most}")))
    }
}

fn bad(name: &str, why: &str) -> BadVariable {
    BadVariable {
        name: name.to_owned(),
        why: why.to_owned(),
    }
}

/// `key=value,key=value` with percent-encoded values (W3C Baggage section 3.2).
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("must be `key=value,…`")?;
        let (key, value) = (key.trim(), decoded(value.trim()));
        if key.is_empty() || pairs.len() == MAX_PAIRS {
            return Err("holds an empty key, or too many");
        }
        let value = value.ok_or("holds a broken percent-encoding")?;
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// A text without its percent-encoding (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        let is_hex = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(hex, 16).ok().filter(|_| is_hex)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Otlp, Sampler, decoded, otlp};
    use std::io;
    use std::time::Duration;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Otlp>, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let file = |path: &std::path::Path| {
            (path.as_os_str() == "/ca.pem")
                .then(|| "PEM".to_owned())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        otlp(&get, &file).map_err(|why| why.to_string())
    }

    const END: (&str, &str) = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "https://collector.example/base/",
    );

    #[test]
    fn siem_03_nothing_is_exported_unless_it_is_asked_for() {
        for off in [
            &[] as &[(&str, &str)],
            &[
                ("OTEL_SERVICE_NAME", "x"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[
                END,
                ("OTEL_SDK_DISABLED", "TRUE"),
                ("OTEL_TRACES_SAMPLER", "?"),
            ],
            &[
                END,
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
        ] {
            assert!(read(off).unwrap().is_none(), "{off:?}");
        }
        let one = read(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap().unwrap();
        assert!(one.metrics.is_none());
        let url = one.traces.unwrap().collector.url;
        assert_eq!(
            (url.authority().as_str(), url.path()),
            ("localhost:4318", "/v1/traces")
        );
    }

    #[test]
    fn siem_03_says_for_each_signal_where_it_goes() {
        let all = read(&[
            END,
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://127.0.0.1:9/t?key=1",
            ),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "Authorization=Bearer%20x, x-a=1,",
            ),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-b=2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "250"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=old,deployment=a%2Cb",
            ),
            ("OTEL_SERVICE_NAME", "gate"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let all = all.unwrap().unwrap();
        let (traces, metrics) = (all.traces.unwrap(), all.metrics.unwrap());
        assert_eq!(traces.collector.url.path(), "/t");
        assert_eq!(metrics.collector.url.path(), "/base/v1/metrics");
        assert_eq!(metrics.collector.headers.len(), 1);
        let (name, value) = traces.collector.headers.first().unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("authorization", "Bearer x")
        );
        assert!(!format!("{traces:?}").contains("Bearer"));
        assert_eq!(traces.collector.timeout, Duration::from_millis(1500));
        assert_eq!(traces.collector.certificate.unwrap().text, "PEM");
        assert_eq!(metrics.interval, Duration::from_millis(250));
        let sampler = Sampler {
            follows_parent: false,
            share: 0.25,
        };
        assert_eq!(traces.sampler, sampler);
        let has = |key: &str, value: &str| all.resource.contains(&(key.into(), value.into()));
        assert!(
            has("service.name", "gate") && has("deployment", "a,b"),
            "{:?}",
            all.resource
        );
    }

    #[test]
    fn siem_03_what_cannot_be_honoured_is_named_and_never_shown() {
        for (name, value) in [
            ("OTEL_SDK_DISABLED", "s3cret"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_METRICS_EXPORTER", "s3cret"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://s3cret.example"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                "https://u:s3cret@collector.example",
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/s3cret.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zzs3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%0A"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Host=s3cret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s3cret"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/s3cret.pem"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_RESOURCE_ATTRIBUTES", "s3cret"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "3600001"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "65537"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ] {
            let why = read(&[(name, value), END]).unwrap_err();
            assert!(why.starts_with(&format!("{name}: ")), "{name} {why}");
            assert!(!why.contains("s3cret"), "{why}");
        }
        for share in ["1.5", "-0.1", "NaN", "half"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
            assert!(
                read(&[END, sampler, ("OTEL_TRACES_SAMPLER_ARG", share)]).is_err(),
                "{share}"
            );
        }
    }

    #[test]
    fn siem_03_samples_the_share_that_is_asked_for() {
        let parent = Sampler {
            follows_parent: true,
            share: 0.0,
        };
        assert!(parent.samples(Some(true), [0; 16]));
        assert!(!parent.samples(Some(false), [0; 16]));
        assert!(!parent.samples(None, [0; 16]));
        let half = Sampler {
            follows_parent: false,
            share: 0.5,
        };
        let with = |last: u8| {
            let mut trace = [0; 16];
            trace[12] = last;
            trace
        };
        assert!(half.samples(Some(false), with(0x7f)));
        assert!(!half.samples(Some(true), with(0x80)));
        let all = Sampler {
            follows_parent: false,
            share: 1.0,
        };
        assert!(all.samples(None, [0xff; 16]));
    }

    #[test]
    fn percent_encodings_have_one_reading() {
        assert_eq!(decoded("a%2Cb%20%C3%A9").as_deref(), Some("a,b é"));
        for broken in ["%", "%2", "%zz", "%ff", "%+1"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
