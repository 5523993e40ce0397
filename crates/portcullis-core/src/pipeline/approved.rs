//! Before a permitted call goes up: is it of what was approved, and does it fit?

use super::{Rules, State, Trail};
use crate::catalog::{self, Kind, Terms, Unapproved};
use crate::refusal::Refusal;
use crate::route::{Dispatch, Ticket};
use std::sync::Arc;

/// What a permitted call needs the approval of; nothing at a server that is not held to it.
pub fn needs_approval<'a>(rules: &Rules, asked: &'a Dispatch) -> Option<(Terms, Kind, &'a str)> {
    let terms = rules.servers.get(asked.server())?.terms;
    if !terms.is_binding() {
        return None;
    }
    let call = asked.call();
    let (kind, name) = catalog::needed(call.method(), call.target())?;
    Some((terms, kind, name))
}

/// Whether a permitted call is of something that is defined as it was approved, and has arguments that fit; takes down
/// under which version. Its answers will be held to that version too.
///
/// # Errors
/// [`Refusal::Unapproved`], [`Refusal::Unfit`]
pub fn expect_approved(
    state: &State,
    (asked, ticket): (&Dispatch, &mut Ticket),
    (kind, name): (Kind, &str),
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let server = asked.server();
    trail.definition = state.pinned.check(server, kind, name)?;
    if kind == Kind::Tool {
        hold(state, ticket, name.into())?;
        let schemas = ticket.schemas().ok_or(Unapproved::New)?;
        schemas.expect_arguments(asked.call().arguments())?;
    }
    Ok(())
}

/// Holds the answers of a call to the schemas of its tool as it is approved now.
pub(super) fn hold(state: &State, ticket: &mut Ticket, tool: Arc<str>) -> Result<(), Unapproved> {
    let schemas = state.pinned.schemas(ticket.server(), &tool);
    ticket.hold(tool, schemas.ok_or(Unapproved::New)?);
    Ok(())
}
