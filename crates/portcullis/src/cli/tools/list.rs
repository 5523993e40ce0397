//! `portcullis tools list`.

use super::place::within;
use super::{Ending, out};
use crate::cataloguing::{Known, json_of, state};
use crate::cli::revoke::Place;
use clap::Args;
use portcullis_core::catalog::visible;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this server.
    server: Option<String>,
    /// Only those that wait for somebody.
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let mut all = within(&self.place, async |catalog, _| {
            Ok(catalog.histories(self.server.clone()).await?)
        })?;
        if self.pending {
            all.retain(|(_, history)| {
                let history = history.as_ref();
                history.is_ok_and(|history| history.standing().pending().is_some())
            });
        }
        out::print(&if self.json {
            let all: Vec<Value> = all.iter().map(json_of).collect();
            format!("{:#}\n", Value::from(all))
        } else {
            all.iter().map(line).collect()
        });
        Ok(Ending::Good)
    }
}

fn line(known: &Known) -> String {
    let (thing, history) = known;
    let digest = history.as_ref().ok().and_then(|history| {
        let standing = history.standing();
        standing.pending().or(standing.approved)
    });
    let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
    let (state, kind) = (state(history), thing.kind.name());
    format!(
        "{state:<9} {kind:<8} {} {} {digest}\n",
        visible(&thing.server),
        visible(&thing.name)
    )
}
