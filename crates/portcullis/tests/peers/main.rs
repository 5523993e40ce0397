//! Other people's clients, servers and identity providers, with the real binary between them.
//!
//! `cargo xtask test --only test` installs them and says where in `PORTCULLIS_PEERS`; without them the tests fail.
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
    clippy::format_push_string,
    reason = "what is told here is told in one piece"
)]

#[path = "../it/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the attacks use the rest of the harness"
)]
mod harness;

mod peer;
mod issuer;
mod tap;
mod crowd;
mod speakers;
mod matrix;
mod identity;
mod providers;
mod asks;
mod reference;
mod wrap;
mod acme;
mod chromium;
mod consent;
mod clients;
mod owner;
mod agreeing;
mod signing_in;
