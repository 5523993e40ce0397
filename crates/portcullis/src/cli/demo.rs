//! `portcullis demo`: the demo server, as the gateway itself starts it.

use super::Ending;
use crate::clock;
use clap::Args;
use portcullis_demo::Options;
use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where it keeps its notes and files.
    #[arg(long)]
    folder: PathBuf,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let options = Options {
            folder: self.folder,
            clock: clock::millis,
        };
        portcullis_demo::serve(BufReader::new(stdin()), stdout(), options)?;
        Ok(Ending::Good)
    }
}
