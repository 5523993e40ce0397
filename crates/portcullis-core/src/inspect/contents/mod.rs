//! What a message of a server's says to the model that reads it: looked at text by text, and let through, marked,
//! taken out or withheld.
//!
//! `places` walks through the texts of a message, `screen` looks at each, `spotlight` marks what is data. Bytes that
//! nothing is done with stay as they are.

mod places;
mod spotlight;
mod work;

use super::screen::ATTACK;
use super::{Released, Said};
use crate::protocol::{Method, splice};
use crate::refusal::{Refusal, Unavailable};
use crate::route::Ticket;
use places::each;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use work::Work;

pub use spotlight::Spotlight;

/// How much of what was said before is looked at with what comes next, in bytes.
const TAIL: usize = 512;
/// The most findings of one exchange that are told.
const MAX_TOLD: usize = 16;

/// What becomes of a text that gives orders to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It passes, and is recorded.
    Observe,
    /// It passes between marks that say that it is data.
    Mark,
    /// The lines with what was found are taken out of it.
    Redact,
    /// The message is withheld.
    Refuse,
}

impl Action {
    /// The word for it in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Mark => "mark",
            Self::Redact => "redact",
            Self::Refuse => "refuse",
        }
    }
}

/// How the contents of answers are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Care {
    /// What becomes of orders; `None`: nobody looks for any.
    pub action: Option<Action>,
    /// From which score on, in thousandths.
    pub threshold: u16,
    /// How all of a tool's texts are marked.
    pub spotlight: Spotlight,
}

impl Care {
    /// Nothing is done but to record what is found.
    pub const OBSERVED: Self = Self {
        action: Some(Action::Observe),
        threshold: ATTACK,
        spotlight: Spotlight::Off,
    };
}

/// How a server's contents are dealt with, and those of single tools.
#[derive(Debug, Clone)]
pub struct Contents {
    /// For all that has nothing of its own.
    pub all: Care,
    /// For tools.
    pub tools: HashMap<Box<str>, Care>,
}

impl Contents {
    /// Nothing is done but to record what is found.
    pub fn observed() -> Self {
        let tools = HashMap::new();
        Self {
            all: Care::OBSERVED,
            tools,
        }
    }

    fn of(&self, tool: Option<&str>) -> Care {
        let own = tool.and_then(|tool| self.tools.get(tool));
        *own.unwrap_or(&self.all)
    }
}

/// What was found in one text of a message, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where: a JSON pointer into the message; what no member is usually called stands as `*`.
    pub pointer: String,
    /// How sure it is, in thousandths.
    pub score: u16,
    /// The surest rule.
    pub rule: Arc<str>,
    /// Its technique.
    pub technique: Arc<str>,
    /// What hid it.
    pub hidden_by: Option<&'static str>,
    /// What was done.
    pub action: Action,
    /// The number under which the client is told of it, if it is.
    pub incident: Option<String>,
}

/// What looking at contents needs from outside, and what it finds.
pub struct Inspector<'a> {
    fresh: &'a dyn Fn() -> Option<[u8; 16]>,
    /// What was found in the message, at most a few.
    pub found: Vec<Found>,
}

impl fmt::Debug for Inspector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl<'a> Inspector<'a> {
    /// Looks with numbers from a source that nobody can guess.
    pub const fn new(fresh: &'a dyn Fn() -> Option<[u8; 16]>) -> Self {
        let found = Vec::new();
        Self { fresh, found }
    }

    fn number(&self) -> Result<[u8; 16], Refusal> {
        (self.fresh)().ok_or(Refusal::Unavailable(Unavailable::Entropy))
    }
}

/// What an exchange has heard so far: bounded.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<(String, usize)>);

impl Heard {
    /// What was said shortly before, with this; remembers the end of it.
    fn join(&self, text: &str) -> String {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = format!("{}{text}", heard.0);
        let from = joined.ceil_char_boundary(joined.len().saturating_sub(TAIL));
        joined
            .get(from..)
            .unwrap_or_default()
            .clone_into(&mut heard.0);
        joined
    }

    /// Forgets what was said, once it is told.
    fn forget(&self) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.0.clear();
    }

    /// Whether one more finding is told.
    fn tells(&self) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.1 += 1;
        heard.1 <= MAX_TOLD
    }
}

/// Looks at the contents of a released message, and does with them what the configuration says.
///
/// # Errors
/// [`super::BadAnswer::Instructions`] if it is withheld, [`Unavailable::Entropy`] if nothing can be marked.
pub(crate) fn contents(
    released: Released,
    ticket: &Ticket,
    (contents, is_held): (&Contents, bool),
    inspector: &mut Inspector<'_>,
) -> Result<Released, Refusal> {
    let is_answer = match released.said() {
        Said::Answer { code, .. } => code.is_none(),
        Said::Request { .. } | Said::Notification { .. } => false,
    };
    let mut care = contents.of(ticket.tool());
    if is_answer
        && ticket
            .method()
            .is_some_and(|method| is_catalogued(method, is_held))
    {
        // Somebody looks at what servers define before it is shown (`catalog`).
        return Ok(released);
    }
    if !is_answer || !ticket.method().is_some_and(gives_data) {
        care.spotlight = Spotlight::Off;
    }
    if care.action.is_none() && care.spotlight == Spotlight::Off {
        return Ok(released);
    }
    let Ok(message) = std::str::from_utf8(&released.bytes) else {
        return Ok(released);
    };
    let mut work = Work::new(care, (ticket, &released.said), inspector);
    each(message, |place, raw, text| work.text(place, raw, text));
    let edits = work.finish()?;
    let edits: Vec<(Range<usize>, &[u8])> = edits
        .iter()
        .map(|(range, new)| (range.clone(), new.as_bytes()))
        .collect();
    if edits.is_empty() {
        return Ok(released);
    }
    let bytes = splice(&released.bytes, &edits);
    let said = released.said;
    Ok(Released { bytes, said })
}

/// Whether an answer defines something, which is looked at elsewhere.
fn is_catalogued(method: &Method, is_held: bool) -> bool {
    let is_of_server = matches!(method, Method::Initialize | Method::Discover);
    crate::catalog::lists(method).is_some() || (is_of_server && is_held)
}

/// Whether an answer is data throughout; a prompt is asked for because it is an order.
fn gives_data(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsCall | Method::ResourcesRead | Method::TasksResult | Method::TasksGet
    )
}

/// The text of a JSON string as it stands in a message.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let plain = quoted.trim_matches('"');
    if memchr::memchr(b'\\', plain.as_bytes()).is_none() {
        return Cow::Borrowed(plain);
    }
    serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(plain), Cow::Owned)
}

#[cfg(test)]
mod tests;
