//! Tasks in what a server says: a new one belongs to whom it is answered, nobody hears of another's, and what one has come
//! to is held to the schema of its tool.

use super::{BadAnswer, Released, Said};
use crate::catalog::Pinned;
use crate::catalog::schemas::Unfit;
use crate::protocol::{Envelope, Malformed, Method, field_range, replace};
use crate::route::Ticket;
use crate::session::Tasks;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Made<'a> {
    #[serde(borrow, rename = "taskId")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    task: Option<Task<'a>>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(borrow, rename = "taskId")]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    tasks: Vec<&'a RawValue>,
}

/// A task that is told of in full (2026-07-28, the extension of tasks).
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "taskId")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// What of an answer is the result of a tool: all of it, or what a task has come to, if it has.
pub(super) fn outcome<'a>(
    ticket: &Ticket,
    result: &'a RawValue,
) -> Result<Option<&'a RawValue>, BadAnswer> {
    if ticket.method() != Some(&Method::TasksGet) {
        return Ok(Some(result));
    }
    let told: Told<'a> = serde_json::from_str(result.get())
        .map_err(|_| BadAnswer::Malformed(Malformed::Envelope))?;
    Ok(told.result)
}

/// Holds a released message against whose tasks there are, and what is told of one to the schema of its tool.
///
/// # Errors
/// [`BadAnswer::Task`] if it tells of a task that is not the principal's, [`BadAnswer::List`] if it lists tasks in a
/// way that cannot be read, [`BadAnswer::Unfit`] if what a task has come to does not fit.
pub fn tasks(
    released: Released,
    ticket: &Ticket,
    (tasks, pinned): (&Tasks, &Pinned),
) -> Result<Released, BadAnswer> {
    // A name that is written with escapes is no reason to look away.
    let may_name = |bytes: &[u8]| {
        memmem::find(bytes, b"taskId").is_some() || memmem::find(bytes, b"\\u").is_some()
    };
    match released.said() {
        Said::Answer { code: Some(_), .. } | Said::Request { .. } => Ok(released),
        Said::Answer { code: None, .. } => match ticket.method() {
            Some(Method::TasksList) => narrowed(released, ticket, tasks),
            // What cannot be kept (2025-11-25 basic/utilities/tasks) is made by these alone.
            Some(Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
                if may_name(&released.bytes) =>
            {
                note(&released.bytes, ticket, tasks);
                Ok(released)
            }
            Some(_) | None => Ok(released),
        },
        Said::Notification { method } => {
            let is_of_tasks = matches!(
                method.name(),
                "notifications/tasks/status" | "notifications/tasks"
            );
            if is_of_tasks && !is_of_own(&released.bytes, ticket, tasks) {
                return Err(BadAnswer::Task);
            }
            if is_of_tasks {
                expect_fit(&released.bytes, ticket, (tasks, pinned))?;
            }
            Ok(released)
        }
    }
}

/// `CreateTaskResult`: with a `task` (2025-11-25), or one itself (2026-07-28).
fn note(message: &[u8], ticket: &Ticket, tasks: &Tasks) {
    let result = Envelope::parse(message).ok().and_then(|said| said.result);
    let made = result.and_then(|result| serde_json::from_str::<Made<'_>>(result.get()).ok());
    let Some(made) = made else { return };
    if let Some(id) = made.task.map(|task| task.id).or(made.id) {
        let whose = (&ticket.principal().key, ticket.held());
        tasks.made((ticket.server(), &id), whose);
    }
}

/// A notification of a task that is done brings its result along (2026-07-28).
fn expect_fit(
    message: &[u8],
    ticket: &Ticket,
    (tasks, pinned): (&Tasks, &Pinned),
) -> Result<(), BadAnswer> {
    let params = Envelope::parse(message).ok().and_then(|said| said.params);
    let told = params.and_then(|params| serde_json::from_str::<Told<'_>>(params.get()).ok());
    let Some((id, result)) = told.and_then(|told| Some((told.id, told.result?))) else {
        return Ok(());
    };
    let server = ticket.server();
    let Some(tool) = tasks.tool((server, &id)) else {
        return Ok(());
    };
    let schemas = pinned.schemas(server, &tool);
    let schemas = schemas.ok_or(BadAnswer::Unfit(Unfit::Schema))?;
    schemas.expect_result(result).map_err(BadAnswer::Unfit)
}

fn is_own(task: &Task<'_>, ticket: &Ticket, tasks: &Tasks) -> bool {
    let owner = &ticket.principal().key;
    tasks.expect((ticket.server(), &task.id), owner).is_ok()
}

fn is_of_own(message: &[u8], ticket: &Ticket, tasks: &Tasks) -> bool {
    let params = Envelope::parse(message).ok().and_then(|said| said.params);
    let task = params.and_then(|params| serde_json::from_str::<Task<'_>>(params.get()).ok());
    task.is_some_and(|task| is_own(&task, ticket, tasks))
}

/// A list of tasks without those of others.
fn narrowed(released: Released, ticket: &Ticket, tasks: &Tasks) -> Result<Released, BadAnswer> {
    let message = &released.bytes;
    let envelope = Envelope::parse(message).map_err(BadAnswer::Malformed)?;
    let result = envelope.result.ok_or(BadAnswer::List)?;
    let listed: Listed<'_> = serde_json::from_str(result.get()).map_err(|_| BadAnswer::List)?;
    let mut kept = Vec::with_capacity(listed.tasks.len());
    for entry in &listed.tasks {
        let task: Task<'_> = serde_json::from_str(entry.get()).map_err(|_| BadAnswer::List)?;
        kept.extend(is_own(&task, ticket, tasks).then(|| entry.get()));
    }
    let ends = listed.tasks.first().zip(listed.tasks.last());
    let Some((first, last)) = ends.filter(|_| kept.len() < listed.tasks.len()) else {
        return Ok(released);
    };
    let place = field_range(message, first).start..field_range(message, last).end;
    let bytes = replace(message, place, kept.join(",").as_bytes());
    let said = released.said;
    Ok(Released { bytes, said })
}
