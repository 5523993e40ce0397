//! The launcher as a program of its own; the gateway's hidden subcommand is the same function.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;

use portcullis_sandbox::{EXIT_LAUNCHER, SUBCOMMAND};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() == Some(OsStr::new(SUBCOMMAND)) {
        return portcullis_sandbox::main(arguments);
    }
    // Nobody is left to tell if standard error is closed; the exit code says it too.
    drop(writeln!(
        std::io::stderr(),
        "portcullis-launch: started by the gateway, not by hand"
    ));
    ExitCode::from(EXIT_LAUNCHER)
}
