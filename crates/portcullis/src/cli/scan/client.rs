//! A client of one server: reached or started as the gateway would, and ended with all that runs for it.

use crate::assemble::Assembled;
use crate::cli::check::built;
use crate::cli::environment;
use crate::cli::import::{Entry, Imported, import_one};
use crate::clock;
use crate::config::{self, Checked, Stdio, Upstream as Configured};
use crate::upstream::{Carried, Content, Events, Upstream, beside};
use bytes::Bytes;
use portcullis_core::authenticate::{Principal, operating_system_user};
use portcullis_core::authorize::Circumstances;
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, State, Trail};
use portcullis_core::protocol::{Envelope, Headers, Method, Revision};
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::secret::Secret;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Messages of a server beside the answer that are read past.
const MAX_ASIDES: usize = 1000;
/// How many answers of a server may be asked for a minute: more than is ever asked.
const AMPLE: u32 = 1_000_000;

/// Why a server could not be looked at; for people, without anything that the server says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unscanned {
    #[error("{0}")]
    Entry(String),
    #[error("it cannot be reached like this: {0:#}")]
    Unbuilt(anyhow::Error),
    #[error("{}", of_unanswered(.0))]
    Unanswered(Unanswered),
    #[error("the question to it was refused: {0}")]
    Refused(Refusal),
    #[error("its answer to {0} is not one JSON-RPC answer with one reading")]
    Malformed(String),
    #[error("it answered {0} with the error {1}")]
    Error(String, i64),
    #[error("it was not done within {} seconds", .0.as_secs())]
    Late(Duration),
}

impl From<Refusal> for Unscanned {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unanswered> for Unscanned {
    fn from(why: Unanswered) -> Self {
        Self::Unanswered(why)
    }
}

fn of_unanswered(why: &Unanswered) -> String {
    if *why == Unanswered::Credentials {
        return "it wants credentials: give them with --header 'Authorization: Bearer ${VARIABLE}', or scan it through the gateway"
            .to_owned();
    }
    format!("it gave no answer: {why}")
}

/// How a server's process gets its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Environment {
    /// What the entry says, and where programs and files are.
    OfEntry,
    /// All of ours: it was named on the command line.
    Ours,
}

/// A conversation with a server.
pub(super) struct Client {
    assembled: Assembled,
    upstream: Arc<Upstream>,
    server: Arc<str>,
    state: State,
    principal: Principal,
    tasks: TaskTracker,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.server)
    }
}

impl Client {
    /// Makes ready; nothing is started or reached yet.
    pub(super) fn new(
        entry: &Entry,
        of: Environment,
        patience: Duration,
    ) -> Result<Self, Unscanned> {
        let (checked, server) = checked(entry, of, patience)?;
        let tasks = TaskTracker::new();
        let assembled = built(&checked, &tasks).map_err(Unscanned::Unbuilt)?;
        let upstream = assembled.live.upstreams.get(&*server);
        let upstream = upstream.cloned();
        let nowhere = || Unscanned::Entry("it has no server".to_owned());
        let uid = rustix::process::getuid().as_raw();
        let user = environment("USER").unwrap_or_default();
        Ok(Self {
            upstream: upstream.ok_or_else(nowhere)?,
            assembled,
            server,
            state: State::default(),
            principal: operating_system_user(uid, &user, clock::now()),
            tasks,
        })
    }

    /// Asks, and waits for the result.
    pub(super) async fn ask(
        &self,
        method: &Method,
        cursor: Option<&str>,
    ) -> Result<Answer, Unscanned> {
        let rules = &self.assembled.live.rules;
        let now = clock::now();
        let mut trail = Trail::default();
        let head = Head {
            server: &self.server,
            ..Head::default()
        };
        let principal = self.principal.clone();
        let session = pipeline::converse(rules, &self.state, principal, &head, (now, &mut trail))?;
        let circumstances = Circumstances {
            now,
            network: None,
            anomaly: Anomaly::CALM,
        };
        let (dispatch, ticket) = pipeline::admit(
            rules,
            &self.state,
            session,
            (request(method, cursor), &Headers::absent()),
            (circumstances, &mut trail),
        )?;
        let carried = beside(&dispatch, &Carried::default());
        let reply = self.upstream.call(dispatch, &carried).await?;
        let answer = match reply.content {
            Content::Empty => Err(Unanswered::Foreign.into()),
            Content::Message(message) => {
                answer(&message).ok_or(Unscanned::Malformed(method.name().to_owned()))
            }
            Content::Events(events) => answer_among(events, method).await,
        };
        drop(ticket);
        answer
    }

    /// Ends what runs for it, and waits until nothing of it is left.
    pub(super) async fn end(self) {
        self.upstream.stop().await;
        let tasks = self.tasks.clone();
        // Connections end with whoever could use them.
        drop(self);
        tasks.close();
        tasks.wait().await;
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) enum Answer {
    Result(Box<RawValue>),
    /// A JSON-RPC error with this code.
    Error(i64),
}

fn request(method: &Method, cursor: Option<&str>) -> Bytes {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": Revision::V2026_07_28.name(),
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "portcullis", "version": env!("CARGO_PKG_VERSION")},
    });
    let mut params = json!({ "_meta": meta });
    if let (Some(params), Some(cursor)) = (params.as_object_mut(), cursor) {
        params.insert("cursor".to_owned(), Value::from(cursor));
    }
    json!({"jsonrpc": "2.0", "id": 1, "method": method.name(), "params": params})
        .to_string()
        .into()
}

/// The answer in a message; `None` if it is none.
fn answer(message: &[u8]) -> Option<Answer> {
    let envelope = Envelope::parse(message).ok()?;
    if envelope.method.is_some() || envelope.id?.get() != "1" {
        return None;
    }
    if envelope.error.is_some() {
        return portcullis_core::route::bridge::error_code(message).map(Answer::Error);
    }
    envelope
        .result
        .map(|result| Answer::Result(result.to_owned()))
}

async fn answer_among(mut events: Events, method: &Method) -> Result<Answer, Unscanned> {
    for _ in 0..MAX_ASIDES {
        let Some(frame) = events.next().await? else {
            return Err(Unanswered::Ended.into());
        };
        let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        if let Some(answer) = answer(&data) {
            return Ok(answer);
        }
        // We offered nothing, so whatever it asks has its no.
        events.declined();
    }
    Err(Unscanned::Malformed(method.name().to_owned()))
}

/// The configuration that an entry stands for, and what its server is called in it.
fn checked(
    entry: &Entry,
    of: Environment,
    patience: Duration,
) -> Result<(Checked, Arc<str>), Unscanned> {
    let folder = std::env::current_dir()
        .map_err(|_| Unscanned::Entry("there is no working folder".to_owned()))?;
    let secrets = folder.join("secrets-of-the-scan");
    let imported = import_one(entry, &secrets);
    let server = server_in(&imported).ok_or_else(|| Unscanned::Entry(imported.notes.join("; ")))?;
    let grant = format!(
        "\n[[grants]]\nwho = \"anyone\"\nallow = [\"{server}__*\", \"resource:{server}__*\", \"prompt:{server}__*\"]\n"
    );
    let toml = format!("{}{grant}", imported.toml);
    let mut checked = config::read(
        &toml,
        &folder.join("portcullis.toml"),
        &environment,
        &|path| secret(&imported.secrets, path),
    )
    .map_err(|problems| {
        let reasons = problems.as_slice().iter();
        let reasons = reasons.map(|problem| format!("{}: {}", problem.key, problem.reason));
        Unscanned::Entry(reasons.collect::<Vec<_>>().join("; "))
    })?;
    adapt(&mut checked, patience);
    for server in checked.servers.values_mut() {
        if let (Configured::Stdio(stdio), Environment::Ours) = (&mut server.upstream, of) {
            as_named(stdio, entry);
        }
    }
    Ok((checked, server.into()))
}

fn server_in(imported: &Imported) -> Option<String> {
    let table: toml::Table = imported.toml.parse().ok()?;
    table.get("servers")?.as_table()?.keys().next().cloned()
}

/// The secrets of an entry stay in memory.
fn secret(secrets: &BTreeMap<String, Secret<String>>, path: &Path) -> std::io::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let secret = name.and_then(|name| secrets.get(name));
    let secret = secret.map(|secret| secret.expose().clone());
    secret.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn adapt(checked: &mut Checked, patience: Duration) {
    checked.quota.requests_per_minute = AMPLE;
    checked.quota.burst = AMPLE;
    checked.quota.bytes_per_minute = u64::MAX / 2;
    for server in checked.servers.values_mut() {
        server.upstream_timeout = patience;
    }
}

/// A command of our own command line runs with our environment, its words as they came.
fn as_named(stdio: &mut Stdio, entry: &Entry) {
    stdio.env = std::env::vars_os()
        .filter_map(crate::cli::wrap::variable)
        .collect();
    let words = entry.settings.get("args").and_then(Value::as_array);
    stdio.args = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect();
    let command = entry.settings.get("command").and_then(Value::as_str);
    stdio.command = command.unwrap_or_default().into();
}
