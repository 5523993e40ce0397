//! What is done with a message? One method each, in the revision of its caller.

mod calls;
mod completion;
mod prompts;
mod resources;
mod watch;

use std::{fs, io};

use serde_json::{Value, json};

use crate::answer::{Cache, Refusal, Reply, notification, server};
use crate::caller::{Caller, Level, Revision, Unknown};
use crate::files::Files;
use crate::notes::{self, Notes};
use crate::slow;
use crate::wire::{Malformed, Message, Object, Output, Request, RequestId};
use crate::{Error, Options};

use calls::Asked;
use watch::Watchers;

/// The number of messages in a batch.
const MAX_BATCH: usize = 64;

const INSTRUCTIONS: &str = "A demo server: notes (notes_*), files of one folder (files_*), a clock, an \
    echo, a slow call, and `hostile`, which returns samples of attacks for a gate to find.";

/// The server of one client.
pub(crate) struct Server {
    output: Output,
    clock: fn() -> u64,
    notes: Notes,
    files: Files,
    /// The client of the last handshake, if there was one.
    session: Option<Caller>,
    watchers: Watchers,
    /// The calls that wait for an answer of the user.
    asked: Vec<Asked>,
    last_question: u64,
    slow: slow::Calls,
    /// What goes out before the answer to the message at hand.
    outbox: Vec<Value>,
}

/// How a request is answered.
enum Answer {
    Now(Reply),
    /// By a message that comes after this one.
    Later,
}

impl Server {
    /// Opens the folder, and fills it if it is new.
    pub(crate) fn open(options: Options, output: Output) -> Result<Self, Error> {
        let Options { folder, clock } = options;
        fs::create_dir_all(&folder).map_err(Error::Folder)?;
        let files = Files::open(&folder).map_err(Error::Folder)?;
        let notes = Notes::open(&folder, clock()).map_err(|error| match error {
            notes::Error::Storage(source) => Error::Folder(source),
            notes::Error::Missing | notes::Error::Full | notes::Error::Damaged => Error::Damaged,
        })?;
        Ok(Self {
            slow: slow::Calls::new(output.clone()),
            output,
            clock,
            notes,
            files,
            session: None,
            watchers: Watchers::default(),
            asked: Vec::new(),
            last_question: 0,
            outbox: Vec::new(),
        })
    }

    /// Answers a line.
    pub(crate) fn receive(&mut self, line: &[u8]) -> io::Result<()> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let answer = match serde_json::from_slice::<Value>(line) {
            Err(_) => Some(Refusal::NotJson.to_message(None, self.revision())),
            Ok(Value::Array(batch)) => self.batch(batch),
            Ok(message) => self.message(message),
        };
        for message in self.outbox.drain(..).chain(answer) {
            self.output.send(&message)?;
        }
        Ok(())
    }

    /// Answers a line that was too long to be read.
    pub(crate) fn receive_too_long(&mut self) -> io::Result<()> {
        self.output
            .send(&Refusal::TooLong.to_message(None, self.revision()))
    }

    /// Ends what is open: subscriptions with their result, slow calls without.
    pub(crate) fn close(self) -> io::Result<()> {
        let Self {
            watchers,
            output,
            slow,
            ..
        } = self;
        drop(slow);
        for message in watchers.close() {
            output.send(&message)?;
        }
        Ok(())
    }

    /// The revision of answers to what is not a request.
    fn revision(&self) -> Revision {
        self.session
            .as_ref()
            .map_or(Revision::V2026_07_28, |session| session.revision)
    }

    /// Batches exist in one revision only (2025-03-26 basic, "Batching").
    fn batch(&mut self, batch: Vec<Value>) -> Option<Value> {
        let is_allowed = self.session.is_some() && self.revision() == Revision::V2025_03_26;
        if !is_allowed || batch.is_empty() || batch.len() > MAX_BATCH {
            let refusal = Refusal::Invalid("this is no batch of this revision of 1 to 64 messages");
            return Some(refusal.to_message(None, self.revision()));
        }
        let answers: Vec<Value> = batch
            .into_iter()
            .filter_map(|message| self.message(message))
            .collect();
        if answers.is_empty() {
            None
        } else {
            Some(Value::Array(answers))
        }
    }

    fn message(&mut self, message: Value) -> Option<Value> {
        match Message::parse(message) {
            Ok(Message::Request(request)) => self.request(&request),
            Ok(Message::Notification { method, params }) => {
                self.notified(&method, &params);
                None
            }
            Ok(Message::Response { id, result }) => self.answered(&id, result.as_ref()),
            Err(Malformed { id }) => {
                let refusal = Refusal::Invalid("this is no JSON-RPC 2.0 message of MCP");
                Some(refusal.to_message(id.as_ref(), self.revision()))
            }
        }
    }

    fn request(&mut self, request: &Request) -> Option<Value> {
        let (answer, revision) = match self.caller(request) {
            Ok(caller) => (self.answer(request, &caller), caller.revision),
            Err(refusal) => (Err(refusal), self.revision()),
        };
        match answer {
            Ok(Answer::Now(reply)) => Some(reply.into_message(&request.id, revision)),
            Ok(Answer::Later) => None,
            Err(refusal) => Some(refusal.to_message(Some(&request.id), revision)),
        }
    }

    fn caller(&mut self, request: &Request) -> Result<Caller, Refusal> {
        let Request { id, method, params } = request;
        if self.is_open(id) {
            return Err(Refusal::Invalid(
                "a request with this id is not answered yet",
            ));
        }
        match Caller::of(params, self.session.as_ref()) {
            Ok(caller) if caller.revision.is_stateless() => Ok(caller),
            _ if method == "initialize" => self.handshake(params),
            // The one other request that may come before `initialize` (2025-11-25 lifecycle).
            Err(Unknown::Incomplete) if method == "ping" => Ok(Caller::stranger()),
            caller => Ok(caller?),
        }
    }

    fn handshake(&mut self, params: &Object) -> Result<Caller, Refusal> {
        let caller = Caller::initialize(params)
            .map_err(|_| Refusal::Params("initialize needs protocolVersion and capabilities"))?;
        self.asked.clear();
        self.watchers.open_session();
        self.session = Some(caller.clone());
        Ok(caller)
    }

    fn answer(&mut self, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
        let params = &request.params;
        let reply = match (request.method.as_str(), caller.revision.is_stateless()) {
            ("tools/call", _) => return self.call(request, caller),
            ("tools/list", _) => calls::list(params, caller)?,
            ("resources/list", _) => self.list_resources(params)?,
            ("resources/templates/list", _) => resources::list_templates(params)?,
            ("resources/read", _) => self.read_resource(params)?,
            ("prompts/list", _) => prompts::list(params)?,
            ("prompts/get", _) => self.get_prompt(params)?,
            ("completion/complete", _) => self.complete(params)?,
            ("server/discover", true) => Reply::new(
                json!({
                    "supportedVersions": [Revision::V2026_07_28.as_str()],
                    "capabilities": capabilities(),
                    "instructions": INSTRUCTIONS,
                }),
                Cache::Public,
            ),
            ("subscriptions/listen", true) => {
                self.outbox.push(self.watchers.listen(&request.id, params)?);
                return Ok(Answer::Later);
            }
            ("initialize", false) => Reply::new(
                json!({
                    "protocolVersion": caller.revision.as_str(),
                    "capabilities": capabilities(),
                    "serverInfo": server(),
                    "instructions": INSTRUCTIONS,
                }),
                Cache::Never,
            ),
            ("ping", false) => Reply::empty(),
            ("logging/setLevel", false) => self.set_level(params)?,
            ("resources/subscribe", false) => self.watchers.subscribe(resources::uri(params)?)?,
            ("resources/unsubscribe", false) => self.watchers.unsubscribe(resources::uri(params)?),
            _ => return Err(Refusal::Method),
        };
        Ok(Answer::Now(reply))
    }

    fn set_level(&mut self, params: &Object) -> Result<Reply, Refusal> {
        let level = params
            .get("level")
            .and_then(Value::as_str)
            .and_then(Level::parse);
        let level = level.ok_or(Refusal::Params("`level` must be a level of RFC 5424"))?;
        if let Some(session) = &mut self.session {
            session.log_level = Some(level);
        }
        Ok(Reply::empty())
    }

    fn notified(&mut self, method: &str, params: &Object) {
        if method != "notifications/cancelled" {
            return;
        }
        let Some(id) = params.get("requestId").and_then(RequestId::parse) else {
            return;
        };
        if !self.slow.cancel(&id) && !self.watchers.cancel(&id) {
            self.cancel_question(&id);
        }
    }

    fn is_open(&self, id: &RequestId) -> bool {
        self.slow.is_running(id)
            || self.watchers.is_listening(id)
            || self.asked.iter().any(|asked| asked.call == *id)
    }

    fn log(&mut self, caller: &Caller, level: Level, text: &str) {
        if caller.log_level.is_some_and(|least| level >= least) {
            let params =
                json!({"level": level.as_str(), "logger": "portcullis-demo", "data": text});
            self.outbox
                .push(notification("notifications/message", params));
        }
    }
}

fn capabilities() -> Value {
    json!({
        "tools": {"listChanged": true},
        "resources": {"subscribe": true, "listChanged": true},
        "prompts": {},
        "completions": {},
        "logging": {},
    })
}

/// A list that fits on one page: no cursor has been given out for it.
fn check_no_cursor(params: &Object) -> Result<(), Refusal> {
    if params.contains_key("cursor") {
        Err(Refusal::Params("unknown cursor"))
    } else {
        Ok(())
    }
}

/// A parameter that must be text.
fn text<'a>(params: &'a Object, name: &str, refusal: &'static str) -> Result<&'a str, Refusal> {
    params
        .get(name)
        .and_then(Value::as_str)
        .ok_or(Refusal::Params(refusal))
}

impl From<notes::Error> for Refusal {
    fn from(error: notes::Error) -> Self {
        match error {
            notes::Error::Missing => Self::Resource,
            notes::Error::Full | notes::Error::Damaged | notes::Error::Storage(_) => Self::Storage,
        }
    }
}
