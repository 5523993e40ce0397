//! What an upstream says, on its way to the client.

use super::{Rules, State};
use crate::authorize::Circumstances;
use crate::inspect::{self, Inspector, Released, Said};
use crate::protocol::{Method, Target};
use crate::refusal::Refusal;
use crate::review;
use crate::route::Ticket;
use bytes::Bytes;

/// From the upstream's bytes to the client's door; what a list of tools says of headers is remembered. Who listens
/// hears nothing more once the authentication is too old.
///
/// # Errors
/// [`Refusal`] if the message may not be passed on.
pub fn release(
    (rules, state): (&Rules, &State),
    ticket: &Ticket,
    message: Bytes,
    (circumstances, inspector): (Circumstances<'_>, &mut Inspector<'_>),
) -> Result<Released, Refusal> {
    let server = rules.server(ticket.server())?;
    server.gate.check_tenant(ticket.principal())?;
    review::check_held(&rules.policy, ticket, circumstances.now)?;
    if ticket.is_listening() {
        (server.gate).check_strength(ticket.principal(), &Target::Server, circumstances.now)?;
    }
    let message = inspect::as_approved(message, ticket, (&state.pinned, server.terms))?;
    let is_list = ticket.method() == Some(&Method::ToolsList) && ticket.revision().is_stateless();
    let list = is_list.then(|| message.clone());
    let (policy, gate) = (&rules.policy, &server.gate);
    let released = inspect::answer(
        message,
        ticket,
        (policy, &state.pinned),
        gate,
        circumstances,
    )?;
    if let (Some(list), Said::Answer { .. }) = (list, released.said()) {
        state.mirrored.learn(ticket.server(), &list);
    }
    let known = (&state.tasks, &state.pinned);
    let released = inspect::tasks(released, ticket, known)?;
    inspect::contents(
        released,
        ticket,
        (&server.contents, server.terms.is_binding()),
        inspector,
    )
}
