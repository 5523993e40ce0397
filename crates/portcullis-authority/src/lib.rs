//! The authorization server that MCP clients see, as decisions: no I/O, no clock, no randomness; they are arguments.
//!
//! The rooms stand in the order of a sign-in. Each takes what the one before it made, and only that room can make its
//! own: a [`request::Asked`] becomes, with a [`user::User`], a [`consent::Approved`], and only that becomes a code.
#![forbid(unsafe_code)]

pub mod metadata;
pub mod redirect;
pub mod client;
pub mod request;
pub mod user;
pub mod owner;
pub mod consent;
pub mod page;
pub mod grant;

mod form;

pub use form::{Form, Malformed};
