//! Whose task is it? The name that a server gives a task is worth nothing to anybody but the principal for whom the
//! task was made.

use super::Session;
use crate::protocol::{Call, Filter, Method, Target};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The most tasks that are remembered; one more forgets the oldest.
const MAX_TASKS: usize = 16_384;
/// The most tasks of one principal; one more forgets the principal's oldest.
const MAX_OWN: usize = 1_024;

/// Tasks that were made through this process, and for whom: bounded, and gone with the process.
#[derive(Debug, Default)]
pub struct Tasks(Mutex<Table>);

/// A digest of a server's name and its name for a task.
type Place = [u8; 32];

#[derive(Debug, Default)]
struct Table {
    last: u64,
    tasks: HashMap<Place, Known>,
    by_age: BTreeMap<u64, Place>,
    own: HashMap<Arc<str>, BTreeSet<u64>>,
}

/// What is known of a task.
#[derive(Debug)]
struct Known {
    owner: Arc<str>,
    age: u64,
    /// The tool whose call it is, if that is held to its schemas.
    tool: Option<Arc<str>>,
}

/// Why a task is not theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTask {
    /// Never made through here, or forgotten.
    #[error("unknown task")]
    Unknown,
    /// Somebody else's: the client is told what it is told of an unknown one.
    #[error("task of another principal")]
    NotYours,
}

impl NoTask {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotYours => "principal_mismatch",
        }
    }
}

impl Tasks {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server has made a task for this principal, of a call of that tool. Whose and of what it is once, it stays.
    pub(crate) fn made(
        &self,
        (server, task): (&str, &str),
        (owner, tool): (&Arc<str>, Option<&Arc<str>>),
    ) {
        self.table().add(place(server, task), (owner, tool));
    }

    /// The tool to whose schemas the results of a task are held, if to any.
    pub(crate) fn tool(&self, (server, task): (&str, &str)) -> Option<Arc<str>> {
        let table = self.table();
        table.tasks.get(&place(server, task))?.tool.clone()
    }

    /// Whether every task that a message names was made for who sends it.
    ///
    /// # Errors
    /// [`NoTask`] for the first that was not.
    pub(crate) fn expect_named(&self, session: &Session, call: &Call) -> Result<(), NoTask> {
        let owner = &session.principal().key;
        let expect = |task: &str| self.expect((session.server(), task), owner);
        match call.target() {
            Target::Task(task) => expect(task)?,
            Target::Tool(_) | Target::Resource(_) | Target::Prompt(_) | Target::Server => {}
        }
        if let Some(task) = call.related_task() {
            expect(&task)?;
        }
        if *call.method() == Method::Listen {
            let filter = Filter::of(call).unwrap_or_default();
            filter.task_ids.iter().try_for_each(|task| expect(task))?;
        }
        Ok(())
    }

    /// Whether a task is this principal's.
    ///
    /// # Errors
    /// [`NoTask`] if it is not.
    pub(crate) fn expect(
        &self,
        (server, task): (&str, &str),
        owner: &Arc<str>,
    ) -> Result<(), NoTask> {
        match self.table().tasks.get(&place(server, task)) {
            Some(known) if known.owner == *owner => Ok(()),
            Some(_) => Err(NoTask::NotYours),
            None => Err(NoTask::Unknown),
        }
    }
}

impl Table {
    fn add(&mut self, place: Place, (owner, tool): (&Arc<str>, Option<&Arc<str>>)) {
        if self.tasks.contains_key(&place) {
            return;
        }
        let own = self.own.get(owner).filter(|own| own.len() >= MAX_OWN);
        let own_oldest = own.and_then(|own| own.first().copied());
        let all = self.by_age.len() >= MAX_TASKS;
        let oldest = all.then(|| self.by_age.keys().next().copied()).flatten();
        if let Some(oldest) = own_oldest.or(oldest) {
            self.forget(oldest);
        }
        self.last += 1;
        let known = Known {
            owner: Arc::clone(owner),
            age: self.last,
            tool: tool.cloned(),
        };
        self.by_age.insert(known.age, place);
        self.tasks.insert(place, known);
        let own = self.own.entry(Arc::clone(owner)).or_default();
        own.insert(self.last);
    }

    fn forget(&mut self, age: u64) {
        let place = self.by_age.remove(&age);
        let Some(Known { owner, .. }) = place.and_then(|place| self.tasks.remove(&place)) else {
            return;
        };
        let Some(own) = self.own.get_mut(&owner) else {
            return;
        };
        own.remove(&age);
        if own.is_empty() {
            self.own.remove(&owner);
        }
    }
}

fn place(server: &str, task: &str) -> Place {
    let mut hash = Context::new(&SHA256);
    // A server's name has no zero in it, so the first one ends it.
    for part in [server.as_bytes(), &[0], task.as_bytes()] {
        hash.update(part);
    }
    let mut place = Place::default();
    place.copy_from_slice(hash.finish().as_ref());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_08_a_task_is_its_principal_s_at_its_server_and_stays_so() {
        let tasks = Tasks::default();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        tasks.made(("notes", "t"), (&alice, Some(&"echo".into())));
        tasks.made(("notes", "t"), (&bob, None));
        assert_eq!(tasks.tool(("notes", "t")).as_deref(), Some("echo"));
        assert_eq!(tasks.expect(("notes", "t"), &alice), Ok(()));
        assert_eq!(tasks.expect(("notes", "t"), &bob), Err(NoTask::NotYours));
        for other in [
            ("files", "t"),
            ("notes", "T"),
            ("notes", ""),
            ("note", "s\0t"),
        ] {
            assert_eq!(tasks.expect(other, &alice), Err(NoTask::Unknown));
        }
    }

    #[test]
    fn ses_08_remembers_a_bounded_number_of_tasks() {
        let tasks = Tasks::default();
        let owners: Vec<Arc<str>> = (0..17)
            .map(|owner| format!("user-{owner}").into())
            .collect();
        let name = |number: usize| format!("task-{number}");
        for number in 0..=MAX_OWN {
            tasks.made(("s", &name(number)), (&owners[0], None));
        }
        let expect = |number: usize, owner: &Arc<str>| tasks.expect(("s", &name(number)), owner);
        assert_eq!(expect(0, &owners[0]), Err(NoTask::Unknown));
        assert_eq!(expect(1, &owners[0]), Ok(()));
        for number in 0..MAX_TASKS {
            let owner = &owners[1 + number / MAX_OWN];
            tasks.made(("s", &name(10_000 + number)), (owner, None));
        }
        let table = tasks.table();
        assert_eq!(table.tasks.len(), MAX_TASKS);
        assert_eq!(table.by_age.len(), MAX_TASKS);
        assert_eq!(table.own.len(), 16, "who has none is forgotten");
    }
}
