//! `portcullis access elevation`: who was raised to a privileged tool, and taking it back.
//!
//! Approving is not here: it needs a second person, and a command knows whom the kernel names, not who that is at the
//! issuer.

use super::reviewer::ending;
use crate::cli::revoke::{Place, with};
use crate::cli::{Ending, out};
use crate::clock;
use crate::operators::elevation as json_of;
use clap::{Args, Subcommand};
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use portcullis_state::{Elevation, Person};
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct Elevations {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// List all elevations, and requests for them, of the last thirty days.
    List(List),
    /// Take one back: from then on, nobody is raised by it. Approving is done over the admin API, by a second person.
    Withdraw(Withdraw),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 listed, also if there are none; 2 wrong usage, or not listed."
)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "NUMBER is that of `portcullis access elevation list`. Exit codes: 0 withdrawn, 1 there is nothing to \
withdraw, 2 wrong usage, or it cannot be told."
)]
struct Withdraw {
    #[command(flatten)]
    place: Place,
    /// Which.
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Elevations {
    pub(super) fn run(self) -> Ending {
        ending(match self.step {
            Step::List(list) => list.run(),
            Step::Withdraw(withdraw) => withdraw.run(),
        })
    }
}

impl List {
    fn run(self) -> anyhow::Result<Ending> {
        let found = self.place.find()?;
        let all = with(&found.home, async |durable| {
            Ok(durable.elevations().await?)
        })?;
        out::print(&if self.json {
            let all: Vec<Value> = all.iter().map(json_of).collect();
            format!("{:#}\n", Value::from(all))
        } else {
            let now = clock::now();
            all.iter().map(|one| line_of(one, now)).collect()
        });
        Ok(Ending::Good)
    }
}

impl Withdraw {
    fn run(self) -> anyhow::Result<Ending> {
        let found = self.place.find()?;
        let withdrawn = with(&found.home, async |durable| {
            let by = Person {
                issuer: "os".to_owned(),
                subject: rustix::process::getuid().as_raw().to_string(),
            };
            let now = clock::now();
            Ok(durable.withdraw_elevation(self.number, by, now).await?)
        })?;
        let Some(withdrawn) = withdrawn else {
            out::error(&format!(
                "elevation {} is not there, is over, or was refused",
                self.number
            ));
            return Ok(Ending::Bad);
        };
        out::print(&if self.json {
            format!("{:#}\n", json_of(&withdrawn))
        } else {
            format!("withdrawn: {}", line_of(&withdrawn, clock::now()))
        });
        Ok(Ending::Good)
    }
}

fn line_of(one: &Elevation, now: Timestamp) -> String {
    let (number, server, tool, person) = (one.number, &one.server, &one.tool, &one.person);
    let (subject, issuer) = (&person.subject, &person.issuer);
    let by = one.by.as_ref();
    let by = by.map_or_else(String::new, |by| format!(" by {:?}", by.subject));
    let stands = match (&one.verdict, one.until) {
        (Some(_), Some(until)) if until > now => {
            format!("approved{by} until {}", time_text(until.micros()))
        }
        (Some(_), Some(_)) => format!("over, approved{by}"),
        (Some(_), None) => format!("refused or withdrawn{by}"),
        (None, _) => "asked for".to_owned(),
    };
    let why = one.why.as_ref();
    let why = why.map_or_else(String::new, |why| format!(", because: {why:?}"));
    format!("{number}: {tool:?} of {server:?} for {subject:?} of {issuer:?}, {stands}{why}\n")
}
