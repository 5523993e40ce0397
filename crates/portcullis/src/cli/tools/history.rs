//! `portcullis tools history` and `export`.

use super::place::{One, within};
use super::{Ending, out};
use crate::cataloguing::{Known, event_json, json_of};
use crate::cli::revoke::Place;
use clap::Args;
use portcullis_audit::time_text;
use portcullis_core::catalog::{Event, History, visible};
use portcullis_state::Catalog;
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 shown and sound, 1 not sound, 2 wrong usage.")]
pub(super) struct Show {
    #[command(flatten)]
    one: One,
    /// Only tell whether the history is what was written: of everything of the server, if no name is given.
    #[arg(long)]
    verify: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Only what this server defines.
    server: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print JSON, which it always does.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let is_all = self.verify && self.one.name.is_empty();
        let all = within(&self.one.place, async |catalog, _| {
            if is_all {
                return Ok(catalog.histories(Some(self.one.server.clone())).await?);
            }
            Ok(vec![self.one.find(catalog).await?])
        })?;
        out::print(&if self.json {
            let all: Vec<Value> = all.iter().map(whole).collect();
            format!("{:#}\n", Value::from(all))
        } else {
            all.iter().map(|known| self.lines(known)).collect()
        });
        let is_sound = all.iter().all(|(_, history)| history.is_ok());
        Ok(if is_sound { Ending::Good } else { Ending::Bad })
    }

    fn lines(&self, (thing, history): &Known) -> String {
        let what = visible(&thing.to_string());
        match history {
            Err(why) => format!("{what}: not sound: {why}; nothing of it is served\n"),
            Ok(history) if self.verify => {
                format!("{what}: sound, {} events\n", history.events().len())
            }
            Ok(history) => {
                let lines: String = history.events().iter().map(line).collect();
                format!("{what}\n{lines}")
            }
        }
    }
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let (all, texts) = within(&self.place, async |catalog, _| {
            let all = catalog.histories(self.server.clone()).await?;
            let mut texts = Map::new();
            for history in all.iter().filter_map(|(_, history)| history.as_ref().ok()) {
                add_texts(catalog, history, &mut texts).await?;
            }
            Ok((all, texts))
        })?;
        let things: Vec<Value> = all.iter().map(whole).collect();
        let told = json!({ "format": "portcullis-catalog/1", "things": things, "texts": texts });
        out::print(&format!("{told:#}\n"));
        let is_sound = all.iter().all(|(_, history)| history.is_ok());
        Ok(if is_sound { Ending::Good } else { Ending::Bad })
    }
}

async fn add_texts(
    catalog: &Catalog,
    history: &History,
    texts: &mut Map<String, Value>,
) -> anyhow::Result<()> {
    for digest in history
        .events()
        .iter()
        .filter_map(|event| event.said.digest)
    {
        if let Some(text) = catalog.text(history.thing().kind, digest).await? {
            texts.insert(digest.to_string(), json!(&**text.canonical()));
        }
    }
    Ok(())
}

fn whole(known: &Known) -> Value {
    let mut told = json_of(known);
    let events = known.1.as_ref().ok().map(History::events);
    let events: Vec<Value> = events.unwrap_or_default().iter().map(event_json).collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("events".to_owned(), events.into());
    }
    told
}

fn line(event: &Event) -> String {
    let said = &event.said;
    let digest = said.digest.map(|digest| digest.to_string());
    let why = said.reason.as_ref();
    let why = why.map(|why| format!(", because: {:?}", visible(why)));
    let from = said.provenance.as_ref();
    let from = from.map(|from| format!(" at {} ({})", visible(&from.origin), visible(&from.era)));
    format!(
        "{:>4} {} {} {} by {}{}{}\n",
        event.place,
        time_text(said.at.micros()),
        said.deed.word(),
        digest.unwrap_or_else(|| "nothing".to_owned()),
        visible(&said.by),
        from.unwrap_or_default(),
        why.unwrap_or_default(),
    )
}
