//! One message: each of its texts looked at, and what is done with it.

use super::super::screen::{Finding, Pack, Screened, screen};
use super::super::{BadAnswer, Said};
use super::places::Place;
use super::spotlight::Spotlight;
use super::{Action, Care, Found, Inspector};
use crate::hexadecimal::digits;
use crate::refusal::Refusal;
use crate::route::Ticket;
use std::ops::Range;

/// The shortest text that is looked at, in bytes.
const MIN_BYTES: usize = 8;
/// The most bytes of several texts that are also looked at as one.
const MAX_JOINED: usize = 256 * 1024;

/// One message that is being looked at.
pub(super) struct Work<'a, 'i> {
    care: Care,
    ticket: &'a Ticket,
    said: &'a Said,
    inspector: &'a mut Inspector<'i>,
    edits: Vec<(Range<usize>, String)>,
    /// The texts that a model reads one after the other, and whether anything was found in them.
    parts: Vec<(String, bool)>,
    error: Option<Refusal>,
}

impl<'a, 'i> Work<'a, 'i> {
    pub(super) const fn new(
        care: Care,
        (ticket, said): (&'a Ticket, &'a Said),
        inspector: &'a mut Inspector<'i>,
    ) -> Self {
        Self {
            care,
            ticket,
            said,
            inspector,
            edits: Vec::new(),
            parts: Vec::new(),
            error: None,
        }
    }

    /// What is to be changed in the message.
    pub(super) fn finish(mut self) -> Result<Vec<(Range<usize>, String)>, Refusal> {
        self.together()?;
        Ok(self.edits)
    }

    /// Looks at one text.
    pub(super) fn text(&mut self, place: &Place<'_>, raw: Range<usize>, text: &str) {
        if self.error.is_some() {
            return;
        }
        let screened = match self.care.action {
            Some(_) if text.len() >= MIN_BYTES => screen(text, &Pack::own()),
            Some(_) | None => Screened::default(),
        };
        let asked = self.care.action;
        let action = asked.filter(|_| screened.score >= self.care.threshold);
        let is_content = place.is_content();
        let done = match (action, place.is_name()) {
            (None, _) => self.mark(text, is_content, false),
            (Some(action), true) => self.found(place, &screened, (action, None)),
            (Some(action), false) => self.act((place, is_content), text, (&screened, action)),
        };
        match done {
            Ok(Some(new)) => self
                .edits
                .push((raw, serde_json::Value::from(new).to_string())),
            Ok(None) => {}
            Err(refusal) => self.error = Some(refusal),
        }
        if is_content && asked.is_some() {
            self.parts.push((text.to_owned(), action.is_some()));
        }
    }

    /// What becomes of a text in which something was found.
    fn act(
        &mut self,
        (place, is_content): (&Place<'_>, bool),
        text: &str,
        (screened, action): (&Screened, Action),
    ) -> Result<Option<String>, Refusal> {
        match action {
            Action::Observe | Action::Refuse => {
                self.found(place, screened, (action, None))?;
                self.mark(text, is_content, false)
            }
            Action::Mark => {
                let marked = self.mark(text, is_content, true)?;
                self.found(place, screened, (action, None))?;
                Ok(marked)
            }
            Action::Redact => {
                let incident = digits(&self.inspector.number()?);
                let rest = without(text, &screened.findings, &incident);
                self.found(place, screened, (action, Some(incident)))?;
                let marked = self.mark(&rest, is_content, false)?;
                Ok(Some(marked.unwrap_or(rest)))
            }
        }
    }

    /// A text between marks, if it gets any.
    fn mark(
        &self,
        text: &str,
        is_content: bool,
        is_found: bool,
    ) -> Result<Option<String>, Refusal> {
        let how = if is_found && self.care.spotlight == Spotlight::Off {
            Spotlight::Delimit
        } else {
            self.care.spotlight
        };
        if !is_content || how == Spotlight::Off {
            return Ok(None);
        }
        let number = self.inspector.number()?;
        Ok(Some(how.apply(text, self.ticket.server(), &number)))
    }

    /// Tells of a finding; what is to be withheld is.
    fn found(
        &mut self,
        place: &Place<'_>,
        screened: &Screened,
        (action, incident): (Action, Option<String>),
    ) -> Result<Option<String>, Refusal> {
        if let Some(surest) = screened.findings.first()
            && self.ticket.heard().tells()
        {
            self.inspector.found.push(Found {
                pointer: place.pointer(),
                score: screened.score,
                rule: surest.rule.clone(),
                technique: surest.technique.clone(),
                hidden_by: surest.hidden_by,
                action,
                incident,
            });
        }
        if action == Action::Refuse {
            return Err(self.withheld().into());
        }
        Ok(None)
    }

    fn withheld(&self) -> BadAnswer {
        let (asks, is_answer) = match self.said {
            Said::Answer { .. } => (None, true),
            Said::Request { id, .. } => (Some(id.clone()), false),
            Said::Notification { .. } => (None, false),
        };
        BadAnswer::Instructions { asks, is_answer }
    }

    /// Looks at what stands in several texts, or in several messages of a stream, as one.
    fn together(&mut self) -> Result<(), Refusal> {
        let is_alone = matches!(self.said, Said::Answer { .. });
        if let Some(refusal) = self.error.take() {
            return Err(refusal);
        }
        let Some(action) = self.care.action else {
            return Ok(());
        };
        let is_found = self.parts.iter().any(|(_, is_found)| *is_found);
        let mut joined: String = self.parts.iter().map(|(text, _)| text.as_str()).collect();
        if !is_alone && !joined.is_empty() {
            joined = self.ticket.heard().join(&joined);
        } else if self.parts.len() < 2 {
            return Ok(());
        }
        if is_found || joined.len() > MAX_JOINED || joined.len() < MIN_BYTES {
            return Ok(());
        }
        let screened = screen(&joined, &Pack::own());
        if screened.score < self.care.threshold {
            return Ok(());
        }
        self.ticket.heard().forget();
        // No one of the texts has it, so there is nothing that could be taken out alone.
        let action = match action {
            Action::Redact => Action::Refuse,
            Action::Observe | Action::Mark | Action::Refuse => action,
        };
        self.found(&Place::default(), &screened, (action, None))
            .map(drop)
    }
}

/// A text without the lines in which something was found.
fn without(text: &str, findings: &[Finding], incident: &str) -> String {
    let mut lines: Vec<Range<usize>> = findings
        .iter()
        .map(|finding| {
            let before = text.get(..finding.range.start).unwrap_or_default();
            let after = text.get(finding.range.end..).unwrap_or_default();
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let end = finding.range.end + after.find('\n').unwrap_or(after.len());
            start..end
        })
        .collect();
    lines.sort_by_key(|line| line.start);
    let mut rest = String::new();
    let mut from = 0;
    for line in lines {
        if line.start >= from {
            rest.push_str(text.get(from..line.start).unwrap_or_default());
            rest.push_str("[removed by the gateway: instructions to the model; incident ");
            rest.push_str(incident);
            rest.push(']');
        }
        from = from.max(line.end);
    }
    rest.push_str(text.get(from..).unwrap_or_default());
    rest
}
