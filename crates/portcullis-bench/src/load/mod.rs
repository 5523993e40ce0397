//! The load generator: asks, and believes no answer that it has not compared.

mod closed;
mod line;
mod open;
mod proofs;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use http::{HeaderValue, Uri};

pub use self::closed::closed;
pub use self::line::Line;
pub(crate) use self::line::count;
pub use self::open::open;
pub use self::proofs::Key;
use self::proofs::Proofs;
use crate::meter::Spent;
use crate::wire::{Era, Shape};

/// Where calls go, and what they carry.
#[derive(Clone, Debug)]
pub struct Endpoint {
    address: SocketAddr,
    host: HeaderValue,
    path: Uri,
    authorization: Option<HeaderValue>,
    proofs: Option<Rc<Proofs>>,
    tool_prefix: String,
}

impl Endpoint {
    /// The endpoint at `url`, which is `http://ADDRESS:PORT/PATH`.
    ///
    /// `tool_prefix` is what the target puts before the names of the upstream's tools.
    ///
    /// # Errors
    /// If the URL has another form, or the token cannot be a header.
    pub fn new(url: &str, bearer: Option<&str>, tool_prefix: &str) -> anyhow::Result<Self> {
        let url: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        let authority = url.authority().context("the URL has no host")?;
        let bearer = bearer.map(|token| authorization("Bearer", token));
        Ok(Self {
            address: authority.as_str().parse().context("a numeric address")?,
            host: HeaderValue::try_from(authority.as_str())?,
            path: Uri::builder().path_and_query(url.path()).build()?,
            authorization: bearer.transpose()?,
            proofs: None,
            tool_prefix: tool_prefix.to_owned(),
        })
    }

    /// The same endpoint, to be called with a token that is bound to `key`, and a proof of its own for each request.
    ///
    /// # Errors
    /// If the token cannot be a header.
    pub fn bound(mut self, token: &str, key: Key) -> anyhow::Result<Self> {
        let url = format!("http://{}{}", self.host.to_str()?, self.path);
        self.authorization = Some(authorization("DPoP", token)?);
        self.proofs = Some(Rc::new(Proofs::new(key, url, token)));
        Ok(self)
    }

    /// Makes the proofs for so many requests, if they need any.
    ///
    /// # Errors
    /// If they are more than one key may make.
    pub(crate) fn prepare(&self, requests: usize) -> anyhow::Result<()> {
        let proofs = self.proofs.as_ref();
        proofs.map_or(Ok(()), |proofs| proofs.make(requests))
    }

    /// Makes the proofs for a window, if its requests need any.
    fn prepare_window(&self, span: Span, connections: usize) -> anyhow::Result<()> {
        if self.proofs.is_none() {
            return Ok(());
        }
        self.prepare(proofs::needed(span, connections)?)
    }

    /// The address that is connected to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn authorization(scheme: &str, token: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("{scheme} {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is asked, and by how many at once.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// In which era's form.
    pub era: Era,
    /// In which shape the upstream answers.
    pub shape: Shape,
    /// Connections, each with one call at a time.
    pub connections: usize,
    /// Length of the text that a call carries and its answer repeats.
    pub text_bytes: usize,
}

/// How long a window is.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Time under load that is not counted.
    pub warm: Duration,
    /// Time that is counted.
    pub counted: Duration,
}

/// What one window measured.
#[derive(Debug)]
pub struct Window {
    /// Calls answered in the time that is counted.
    pub calls: u64,
    /// Calls answered at all, with those of the warm-up and the end.
    pub all_calls: u64,
    /// Answers of another shape than the upstream gave.
    pub reshaped: u64,
    /// Faults; the first of them says what it was.
    pub faults: u64,
    /// The first fault.
    pub fault: Option<String>,
    /// The time that is counted, as it came out.
    pub elapsed: Duration,
    /// Processor time in that time.
    pub spent: Spent,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
}

/// The longest that a call may hang before the window is given up.
const MAX_HANG: Duration = Duration::from_secs(30);

/// The first id of the next window, so that no two calls of a run are alike.
fn first_id() -> u64 {
    thread_local! {
        static WINDOWS: Cell<u64> = const { Cell::new(0) };
    }
    WINDOWS.with(|windows| {
        windows.set(windows.get() + 1);
        windows.get() * 1_000_000_000
    })
}

/// The first id of a line in a window that begins at `first`.
fn line_id(first: u64, line: usize) -> u64 {
    first + u64::try_from(line).unwrap_or(0) * 1_000_000
}

/// What the lines of a window write down, on one thread.
#[derive(Debug)]
struct Tally {
    counting: Cell<bool>,
    stop: Cell<bool>,
    calls: Cell<u64>,
    all_calls: Cell<u64>,
    reshaped: Cell<u64>,
    faults: Cell<u64>,
    fault: RefCell<Option<String>>,
    latency: RefCell<Histogram<u64>>,
}

impl Tally {
    fn new() -> anyhow::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            counting: Cell::new(false),
            stop: Cell::new(false),
            calls: Cell::new(0),
            all_calls: Cell::new(0),
            reshaped: Cell::new(0),
            faults: Cell::new(0),
            fault: RefCell::new(None),
            latency: RefCell::new(Histogram::new_with_max(60_000_000_000, 3)?),
        }))
    }

    fn answered(&self, shape: Shape, load: Load, latency: Duration) {
        self.all_calls.set(self.all_calls.get() + 1);
        if shape != load.shape {
            self.reshaped.set(self.reshaped.get() + 1);
        }
        if self.counting.get() {
            self.calls.set(self.calls.get() + 1);
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latency.borrow_mut().saturating_record(nanos);
        }
    }

    fn failed(&self, error: &anyhow::Error) {
        self.faults.set(self.faults.get() + 1);
        self.stop.set(true);
        let mut first = self.fault.borrow_mut();
        if first.is_none() {
            *first = Some(format!("{error:#}"));
        }
    }

    fn window(&self, elapsed: Duration, spent: Spent) -> Window {
        Window {
            calls: self.calls.get(),
            all_calls: self.all_calls.get(),
            reshaped: self.reshaped.get(),
            faults: self.faults.get(),
            fault: self.fault.borrow().clone(),
            elapsed,
            spent,
            latency: self.latency.borrow().clone(),
        }
    }
}
