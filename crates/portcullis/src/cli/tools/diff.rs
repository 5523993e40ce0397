//! `portcullis tools diff`.

use super::place::{One, digest, within};
use super::{Ending, out};
use crate::cataloguing::{change_json, compared, sides};
use crate::judged::{Judged, Names, text};
use anyhow::Context as _;
use clap::Args;
use portcullis_core::catalog::Digest;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "In a text, [-this-] is gone and {+this+} is new. Exit codes: 0 shown, 1 not shown, 2 wrong usage."
)]
pub(super) struct Diff {
    #[command(flatten)]
    one: One,
    /// The old version [default: what is served].
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    from: Option<Digest>,
    /// The new version [default: what the server defines now].
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    to: Option<Digest>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let (thing, (old, new), judged) = within(&self.one.place, async |catalog, _| {
            let (thing, history) = self.one.find(catalog).await?;
            let history = history.map_err(|why| anyhow::anyhow!("{why}"))?;
            let both = sides(catalog, &history, (self.from, self.to)).await?;
            let both = both.context("there is no such version")?;
            let names = Names::read(catalog).await?;
            let judged = Judged::of(&both.1, &names.beside(&thing.server));
            Ok((thing, both, judged))
        })?;
        out::print(&if self.json {
            let changes = compared(old.as_ref(), &new);
            let changes: Vec<Value> = changes.iter().map(change_json).collect();
            let told = json!({
                "server": &*thing.server,
                "kind": thing.kind.name(),
                "name": &*thing.name,
                "old": old.as_ref().map(|old| old.digest().to_string()),
                "new": new.digest().to_string(),
                "changes": changes,
            });
            format!("{:#}\n", judged.add_to(told))
        } else {
            text(&thing, (old.as_ref(), &new), &judged)
        });
        Ok(Ending::Good)
    }
}
