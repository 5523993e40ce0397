//! `portcullis keys rewrap`.

use crate::cli::revoke::{Place, with};
use crate::cli::{Ending, out};
use crate::keys::within;
use anyhow::Context as _;
use clap::Args;
use portcullis_state::Sealer;
use serde_json::json;

#[derive(Debug, Args)]
#[command(
    after_help = "It may be run at any time, also while the gateway runs; one that is killed has either done it or not. \
Exit codes: 0 done, 1 not done, 2 wrong usage."
)]
pub(super) struct Rewrap {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Rewrap {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let found = self.place.find()?;
        let home = found.home;
        if !home.state().exists() {
            anyhow::bail!(
                "there is no {} yet: start the gateway once",
                home.state().display()
            );
        }
        let place = found.checked.as_ref();
        let place = place.and_then(|checked| checked.pkcs11.as_ref());
        let wrapping = within(&home.keys(), place)?;
        let done = with(&home, async |durable| {
            let sealer = Sealer::open(durable, wrapping).await?;
            Ok(sealer.rewrap().await?)
        });
        let done = done.context("no key was wrapped anew")?;
        out::print(&if self.json {
            format!("{:#}\n", json!({ "name": done.name, "keys": done.keys }))
        } else {
            format!("wrapping: {} wraps {} keys\n", done.name, done.keys)
        });
        Ok(Ending::Good)
    }
}
