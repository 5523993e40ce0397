//! What is on the line? Newline-delimited JSON-RPC 2.0, read with a bound and written whole.

mod lines;
mod message;
mod output;

#[cfg(test)]
pub(crate) use lines::MAX_LINE_BYTES;
pub(crate) use lines::{Line, Lines};
pub(crate) use message::{Malformed, Message, Object, Request, RequestId};
pub(crate) use output::Output;
