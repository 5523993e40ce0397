//! The client's side: connections, the edge, and answers built from what was released.

pub(crate) mod admin;
mod body;
mod edge;
mod head;
mod respond;
mod serve;

pub(crate) use admin::faults;
pub(crate) use body::{Body, Outlet};
pub(crate) use edge::Edge;
pub(crate) use head::{Seen, credentials, seen, trace};
pub(crate) use respond::{
    Refused, advise, document, error, events, jwks, message, metadata, oauth, plain, preflight,
    refuse, scim, set_nonce, unheard,
};
pub(crate) use serve::{Bounds, Serving, Unread, accept};
