//! `portcullis keys list`.

use crate::cli::revoke::Place;
use crate::cli::{Ending, out};
use crate::keys::{Listed, listed};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let home = self.place.find()?.home;
        let listed = listed(&home)?;
        out::print(&if self.json {
            format!("{:#}\n", serde_json::to_value(&listed)?)
        } else {
            listed.iter().map(Listed::line).collect()
        });
        Ok(Ending::Good)
    }
}
