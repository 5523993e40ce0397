//! Portcullis: a security gateway for the Model Context Protocol.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod assemble;
mod lifecycle;
mod shards;

mod listener;
mod relay;
mod issuers;
mod egress;
mod secrets;
mod authority;
mod sign_in;
mod alerts;
mod revocations;
mod reviews;
mod reviewing;
mod cataloguing;
mod judged;
mod pinning;
mod explaining;
mod operators;
mod usage;
mod atlas;
mod checkpoints;
mod upstream;
mod confining;
mod credentials;

mod record;
mod detail;
mod flood;
mod resume;
mod tls;
mod acme;
mod keys;
mod clock;
mod moment;
mod random;
mod telemetry;
mod export;

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let subcommand = arguments.nth(1);
    if subcommand.is_some_and(|word| word == portcullis_sandbox::SUBCOMMAND) {
        return portcullis_sandbox::main(arguments); // before any thread is started
    }
    cli::run()
}
