//! Weighs a gateway: what it adds to a call in processor time, in waiting and in memory.
//!
//! A workshop crate, like `xtask`: it is not shipped, and reports its failures with `anyhow`.
#![forbid(unsafe_code)]

mod clock;
pub mod wire;
pub mod upstream;
pub mod passthrough;
pub mod load;
pub mod meter;
pub mod target;
pub mod run;
pub mod report;
pub mod check;
