//! `portcullis tools list`.

use super::decide::pending;
use super::place::within;
use super::{Ending, out};
use crate::cataloguing::{Known, json_of, state};
use crate::cli::revoke::Place;
use crate::judged::{Judged, Names};
use clap::Args;
use portcullis_core::catalog::{Definition, visible};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

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
        let all = within(&self.place, async |catalog, _| {
            let mut known = catalog.histories(self.server.clone()).await?;
            known.retain(|(_, history)| !self.pending || pending(history).is_some());
            let names = Names::read(catalog).await?;
            let (mut all, mut others) = (Vec::new(), BTreeMap::new());
            let mut judged = |server: &Arc<str>, waits: &Definition| {
                let beside = || names.beside(server);
                let others = others.entry(Arc::clone(server));
                Judged::of(waits, others.or_insert_with(beside))
            };
            for (thing, history) in known {
                let waits = match pending(&history) {
                    Some(digest) => catalog.text(thing.kind, digest).await?,
                    None => None,
                };
                let waits = waits.map(|waits| judged(&thing.server, &waits));
                all.push(((thing, history), waits));
            }
            Ok(all)
        })?;
        out::print(&if self.json {
            let all = all.iter().map(|(known, judged)| {
                let told = json_of(known);
                match judged {
                    Some(judged) => judged.add_to(told),
                    None => told,
                }
            });
            format!("{:#}\n", Value::from(all.collect::<Vec<_>>()))
        } else {
            all.iter().map(line).collect()
        });
        Ok(Ending::Good)
    }
}

fn line(((thing, history), judged): &(Known, Option<Judged>)) -> String {
    let digest = history.as_ref().ok().and_then(|history| {
        let standing = history.standing();
        standing.pending().or(standing.approved)
    });
    let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
    let risk = judged
        .as_ref()
        .map(|judged| format!(" risk {}", judged.risk.score));
    let risk = risk.unwrap_or_default();
    let (state, kind) = (state(history), thing.kind.name());
    format!(
        "{state:<9} {kind:<8} {} {} {digest}{risk}\n",
        visible(&thing.server),
        visible(&thing.name)
    )
}
