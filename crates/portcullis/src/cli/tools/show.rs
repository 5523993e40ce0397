//! `portcullis tools show`.

use super::place::{One, digest, within};
use super::{Ending, out};
use crate::cataloguing::{json_of, sides, state};
use crate::judged::{Judged, Names};
use anyhow::Context as _;
use clap::Args;
use portcullis_core::catalog::{Digest, visible};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    one: One,
    /// That version [default: what the server defines now].
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    digest: Option<Digest>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let (known, shown, judged) = within(&self.one.place, async |catalog, _| {
            let known = self.one.find(catalog).await?;
            let history = known.1.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
            let shown = sides(catalog, history, (None, self.digest)).await?;
            let (_, shown) = shown.context("there is no such version")?;
            let names = Names::read(catalog).await?;
            let judged = Judged::of(&shown, &names.beside(&known.0.server));
            Ok((known, shown, judged))
        })?;
        let value: Value = serde_json::from_str(shown.canonical())?;
        out::print(&if self.json {
            let mut told = json_of(&known);
            if let Some(told) = told.as_object_mut() {
                told.insert("digest".to_owned(), json!(shown.digest().to_string()));
                told.insert("definition".to_owned(), value);
            }
            format!("{:#}\n", judged.add_to(told))
        } else {
            let text = format!("{value:#}");
            let lines: Vec<String> = text.lines().map(|line| visible(line) + "\n").collect();
            let what = visible(&known.0.to_string());
            let (state, digest) = (state(&known.1), shown.digest());
            let judged = judged.text();
            format!("{what}: {state}\n{digest}\n{judged}{}", lines.concat())
        });
        Ok(Ending::Good)
    }
}
