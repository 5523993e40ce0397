//! `tools/list` and `tools/call`, with the questions to the user that a call may need.

use serde_json::{Value, json};

use super::{Answer, Server, check_no_cursor, text};
use crate::answer::{Cache, Refusal, Reply, notification};
use crate::caller::{Caller, Level, Questions, Revision};
use crate::notes::Note;
use crate::slow::Wait;
use crate::tools::{self, Failed, Name, Outcome, Workplace};
use crate::wire::{Object, Request, RequestId};

/// The number of questions that wait for an answer.
const MAX_ASKED: usize = 8;
/// The name of the question in `inputRequests`.
const QUESTION: &str = "confirm_delete";

const NO_QUESTIONS: &str = "This client cannot ask its user. To delete the note without asking, call \
    notes_delete again with `confirm: true`.";

/// A call that waits for its user.
#[derive(Debug)]
pub(super) struct Asked {
    question: RequestId,
    pub(super) call: RequestId,
    caller: Caller,
    note: u64,
}

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Refused,
}

impl Consent {
    /// Reads an `ElicitResult`: only an accepted form with the box ticked is consent.
    fn of(result: &Value) -> Self {
        let is_accepted = result.get("action").and_then(Value::as_str) == Some("accept");
        let is_ticked = result.pointer("/content/confirm").and_then(Value::as_bool) == Some(true);
        if is_accepted && is_ticked {
            Self::Given
        } else {
            Self::Refused
        }
    }
}

pub(super) fn list(params: &Object, caller: &Caller) -> Result<Reply, Refusal> {
    check_no_cursor(params)?;
    Ok(Reply::new(
        json!({"tools": tools::describe(caller.revision)}),
        Cache::Public,
    ))
}

impl Server {
    pub(super) fn call(&mut self, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
        let params = &request.params;
        let name = Name::parse(text(params, "name", "`name` must be the name of a tool")?)
            .ok_or(Refusal::Params("unknown tool"))?;
        let empty = Object::new();
        let arguments = match params.get("arguments") {
            None => &empty,
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(Refusal::Params("`arguments` must be an object")),
        };
        let now_ms = (self.clock)();
        let mut place = Workplace {
            notes: &mut self.notes,
            files: &self.files,
            now_ms,
        };
        let result = match tools::call(name, arguments, &mut place) {
            Err(failed) => tools::failure(&failed.to_string()),
            Ok(Outcome::Text(text)) => tools::text(&text),
            Ok(Outcome::Structured(value)) => tools::structured(value, caller.revision),
            Ok(Outcome::Added { id, value }) => {
                self.log(caller, Level::Info, "a note was added");
                self.tell_of_note(id);
                tools::structured(value, caller.revision)
            }
            Ok(Outcome::Deleted(note)) => self.deleted(&note, caller),
            Ok(Outcome::Question(note)) => return self.ask(&note, request, caller),
            Ok(Outcome::Wait(total)) => {
                let result = tools::text("The time is over.");
                let response =
                    Reply::new(result, Cache::Never).into_message(&request.id, caller.revision);
                let id = request.id.clone();
                let progress_token = caller.progress_token.clone();
                let wait = Wait {
                    id,
                    total,
                    progress_token,
                    response,
                };
                self.slow.start(wait).map_err(|_| Refusal::Busy)?;
                return Ok(Answer::Later);
            }
        };
        Ok(Answer::Now(Reply::new(result, Cache::Never)))
    }

    fn deleted(&mut self, note: &Note, caller: &Caller) -> Value {
        self.log(caller, Level::Info, "a note was deleted");
        self.tell_of_note(note.id);
        tools::structured(json!({"id": note.id, "deleted": true}), caller.revision)
    }

    fn tell_of_note(&mut self, id: u64) {
        let uris = [format!("note:///{id}"), "demo://notes".to_owned()];
        self.outbox.extend(self.watchers.changed(&uris));
    }

    /// Deletes, keeps or asks, as the user has said or not.
    fn ask(&mut self, note: &Note, request: &Request, caller: &Caller) -> Result<Answer, Refusal> {
        let result = match caller.questions {
            Questions::Unsupported => tools::failure(NO_QUESTIONS),
            Questions::Asked if caller.revision.is_stateless() => {
                match given_answer(note, &request.params) {
                    Some(consent) => self.settle(note.id, consent, caller),
                    None => input_required(note),
                }
            }
            Questions::Asked => {
                self.ask_in_session(note, request, caller)?;
                return Ok(Answer::Later);
            }
        };
        Ok(Answer::Now(Reply::new(result, Cache::Never)))
    }

    fn ask_in_session(
        &mut self,
        note: &Note,
        request: &Request,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if self.asked.len() >= MAX_ASKED {
            return Err(Refusal::Busy);
        }
        self.last_question = self.last_question.saturating_add(1);
        let question = RequestId::of_ours(self.last_question);
        let mut message = notification("elicitation/create", form(note, caller.revision));
        if let Some(message) = message.as_object_mut() {
            message.insert("id".to_owned(), question.to_value());
        }
        self.outbox.push(message);
        let call = request.id.clone();
        self.asked.push(Asked {
            question,
            call,
            caller: caller.clone(),
            note: note.id,
        });
        Ok(())
    }

    /// Goes on with a call whose user has answered; no result if the client could not ask.
    pub(super) fn answered(&mut self, id: &RequestId, result: Option<&Value>) -> Option<Value> {
        let place = self.asked.iter().position(|asked| asked.question == *id)?;
        let Asked {
            call, caller, note, ..
        } = self.asked.remove(place);
        let result = match result.map(Consent::of) {
            Some(consent) => self.settle(note, consent, &caller),
            None => tools::failure(NO_QUESTIONS),
        };
        Some(Reply::new(result, Cache::Never).into_message(&call, caller.revision))
    }

    /// Forgets a cancelled call, and takes its question back.
    pub(super) fn cancel_question(&mut self, call: &RequestId) {
        let Some(place) = self.asked.iter().position(|asked| asked.call == *call) else {
            return;
        };
        let asked = self.asked.remove(place);
        let params =
            json!({"requestId": asked.question.to_value(), "reason": "the call is cancelled"});
        self.outbox
            .push(notification("notifications/cancelled", params));
    }

    fn settle(&mut self, note: u64, consent: Consent, caller: &Caller) -> Value {
        match consent {
            Consent::Refused => {
                tools::structured(json!({"id": note, "deleted": false}), caller.revision)
            }
            Consent::Given => match self.notes.delete(note) {
                Ok(note) => self.deleted(&note, caller),
                Err(error) => tools::failure(&Failed::from(error).to_string()),
            },
        }
    }
}

/// The answer that a repeated call brings along, if it is to the question about this note.
///
/// `requestState` is not sealed: who changes it can have a note deleted that the user was not asked
/// about, which `confirm: true` can as well.
fn given_answer(note: &Note, params: &Object) -> Option<Consent> {
    let state = params.get("requestState").and_then(Value::as_str)?;
    if state != request_state(note) {
        return None;
    }
    Some(Consent::of(params.get("inputResponses")?.get(QUESTION)?))
}

fn request_state(note: &Note) -> String {
    format!("notes_delete:{}", note.id)
}

fn input_required(note: &Note) -> Value {
    let question =
        json!({"method": "elicitation/create", "params": form(note, Revision::V2026_07_28)});
    json!({
        "resultType": "input_required",
        "inputRequests": {QUESTION: question},
        "requestState": request_state(note),
    })
}

fn form(note: &Note, revision: Revision) -> Value {
    let mut form = json!({
        "message": format!("Delete note {} \"{}\"?", note.id, note.title),
        "requestedSchema": {
            "type": "object",
            "properties": {
                "confirm": {"type": "boolean", "title": "Delete it for good", "default": false},
            },
            "required": ["confirm"],
        },
    });
    if let (true, Some(form)) = (revision >= Revision::V2025_11_25, form.as_object_mut()) {
        form.insert("mode".to_owned(), json!("form"));
    }
    form
}
