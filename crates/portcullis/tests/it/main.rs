//! Attacks on the real binary: each must be refused, leave nothing at the upstream, and stand in the audit log.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it cannot go on"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there is null, and null fits no expectation"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test starts the binary and has no other clock than the system's"
)]
#![expect(
    clippy::too_many_lines,
    clippy::excessive_nesting,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::items_after_statements,
    reason = "an attack is told in one piece, with its table and its benign twin"
)]

mod harness;
mod attacks;
