//! What the newest review says of what is listed.

use crate::cli::runtime;
use crate::clock;
use crate::config::Checked;
use crate::lifecycle::Home;
use portcullis_audit::time_text;
use portcullis_core::review::inventory_id;
use portcullis_core::time::Timestamp;
use portcullis_state::{Durable, HeldGrant, Item, Review, examine};
use serde_json::{Value, json};

/// How reviews stand.
pub(in crate::cli) struct Reviewed {
    newest: Option<Review>,
    held: Vec<HeldGrant>,
    inventory: String,
    now: Timestamp,
    /// Whether there must be a review, and none is open or recent.
    pub(in crate::cli) is_overdue: bool,
}

impl Reviewed {
    /// Reads it from the database of an installation; one that was never started has none.
    pub(in crate::cli) fn read(checked: &Checked, policy: &str) -> anyhow::Result<Self> {
        let file = Home(checked.gateway.data.clone()).state();
        // What an older version has written knows of no review, and nothing is changed here.
        let has_reviews = file.exists() && {
            let seen = examine(&file)?;
            seen.version == seen.known
        };
        let (newest, held) = if has_reviews {
            runtime()?.block_on(async {
                let durable = Durable::open(&file).await?;
                anyhow::Ok((durable.review(None).await?, durable.standing().await?.held))
            })?
        } else {
            (None, Vec::new())
        };
        let now = clock::now();
        let is_overdue = checked.review.as_ref().is_some_and(|review| {
            newest.as_ref().is_none_or(|newest| {
                newest.closed.is_some() && newest.started.plus(review.every) <= now
            })
        });
        Ok(Self {
            newest,
            held,
            inventory: inventory_id(policy),
            now,
            is_overdue,
        })
    }

    /// The grants that give no access, by their ids.
    pub(in crate::cli) fn held(&self) -> impl Iterator<Item = &HeldGrant> {
        self.held.iter().filter(|held| held.from <= self.now)
    }

    fn item(&self, id: &str) -> Option<(&Review, &Item)> {
        let review = self.newest.as_ref()?;
        Some((review, review.items.iter().find(|item| item.id == id)?))
    }

    pub(super) fn json(&self) -> Value {
        let review = self.newest.as_ref();
        json!({
            "overdue": self.is_overdue,
            "number": review.map(|review| review.number),
            "started": review.map(|review| time_text(review.started.micros())),
            "by": review.map(|review| &review.by.subject),
            "due": review.map(|review| time_text(review.due.micros())),
            "closed": review.and_then(|review| review.closed).map(|at| time_text(at.micros())),
        })
    }

    pub(super) fn inventory(&self) -> Value {
        self.json_of(&self.inventory)
    }

    pub(super) fn json_of(&self, id: &str) -> Value {
        let decided = self.item(id).and_then(|(_, item)| item.decided.as_ref());
        let by = decided.and_then(|decided| decided.by.as_ref());
        json!({
            "id": id,
            "verdict": decided.map(|decided| decided.verdict.word()),
            "at": decided.map(|decided| time_text(decided.at.micros())),
            "by": by.map(|by| &by.subject),
            "held": self.held().any(|held| held.id == id),
        })
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(review) = &self.newest {
            let (number, by) = (review.number, &review.by.subject);
            let end = match review.closed {
                None => format!("open until {}", time_text(review.due.micros())),
                Some(closed) => format!("closed {}", time_text(closed.micros())),
            };
            let started = time_text(review.started.micros());
            lines.push(format!(
                "Review {number}, started {started} by {by:?}, {end}"
            ));
        }
        if self.is_overdue {
            lines.push("A review is overdue: portcullis access review start".to_owned());
        }
        let inventory = &self.inventory;
        lines.push(match self.line_of(inventory) {
            Some(line) => format!("Inventory {inventory}: {}", line.trim_start()),
            None => format!("Inventory {inventory}: not in a review as it is now"),
        });
        lines
    }

    pub(super) fn line_of(&self, id: &str) -> Option<String> {
        let held = self.held().find(|held| held.id == id);
        let (review, item) = match (self.item(id), held) {
            (Some(found), _) => found,
            (None, Some(held)) => {
                let number = held.review;
                return Some(format!("    gives no access: held back by review {number}"));
            }
            (None, None) => return None,
        };
        let number = review.number;
        Some(match &item.decided {
            None => format!("    in review {number}: nobody has decided yet"),
            Some(decided) => {
                let (verdict, at) = (decided.verdict.word(), time_text(decided.at.micros()));
                let by = decided
                    .by
                    .as_ref()
                    .map(|by| format!(" by {:?}", by.subject));
                format!(
                    "    in review {number}: {verdict} at {at}{}",
                    by.unwrap_or_default()
                )
            }
        })
    }
}
