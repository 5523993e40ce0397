//! `portcullis check`: is a configuration good, and what does it mean?

mod meaning;
mod effective;
mod trust;
mod doubts;
mod words;

use super::{Ending, environment, out};
use crate::assemble::{Assembled, Upstreams, Workshop, assemble};
use crate::clock;
use crate::config::{self, Checked};
use crate::keys::Signers;
use crate::relay::Aggregate;
use crate::secrets::{Leases, Sources};
use crate::sign_in::SignIns;
use crate::tls::{Expiry, expiries};
use crate::upstream::Report;
use clap::Args;
use doubts::doubts;
use meaning::Meaning;
use portcullis_core::authorize::policy::{self, PolicyError};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the file is good, 1 it is not, 2 wrong usage or it cannot be read."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct Check {
    /// The configuration file [default: portcullis.toml].
    file: Option<PathBuf>,
    /// The same, as other commands name it.
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the JSON Schema of the file, and look at no file.
    #[arg(long, conflicts_with_all = ["file", "config", "print"])]
    schema: bool,
    /// Print the reference of all keys as Markdown, and look at no file.
    #[arg(long, conflicts_with_all = ["file", "config", "print", "schema"])]
    reference: bool,
    /// Print also what the file means: where clients are answered and who may do what; no secrets.
    #[arg(long)]
    print: bool,
}

/// One thing that is wrong, in the file itself or in a policy that it names.
#[derive(Debug, Serialize)]
pub(super) struct Flaw {
    pub(super) file: String,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    /// The path of the key; empty for a policy.
    pub(super) key: String,
    pub(super) reason: String,
    pub(super) fix: Option<String>,
    #[serde(skip)]
    shown: String,
}

/// A file that was looked at as the gateway would look at it.
pub(super) enum Judged {
    /// The gateway takes it; and what it builds of it.
    Good(Box<Checked>, Box<Assembled>),
    /// It is good as far as it goes, but nothing can be built of it.
    Unbuildable(Box<Checked>, Vec<Flaw>),
    /// It is not good.
    Flawed(Vec<Flaw>),
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        if self.schema {
            out::print(&format!("{:#}\n", config::schema()));
            return Ok(Ending::Good);
        }
        if self.reference {
            out::print(&config::reference());
            return Ok(Ending::Good);
        }
        let file = self
            .file
            .or(self.config)
            .unwrap_or_else(|| "portcullis.toml".into());
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                out::error(&format!("cannot read {}: {error}", file.display()));
                return Ok(Ending::Unknown);
            }
        };
        let (meaning, warnings, flaws) = match judge(&file, &text)? {
            Judged::Good(checked, built) => {
                let meaning = Meaning::of(&checked, &built.live.policy);
                let mut warnings = ending(&checked);
                warnings.extend(doubts(&checked, clock::now())?);
                (Some(meaning), warnings, Vec::new())
            }
            Judged::Unbuildable(_, flaws) | Judged::Flawed(flaws) => (None, Vec::new(), flaws),
        };
        let meaning = meaning.filter(|_| self.print);
        let report = if self.json {
            let mut report = json!({ "file": file.display().to_string(), "sound": flaws.is_empty(), "problems": flaws, "warnings": warnings });
            if let (Some(meaning), Some(report)) = (&meaning, report.as_object_mut()) {
                report.insert("meaning".to_owned(), serde_json::to_value(meaning)?);
            }
            format!("{report:#}\n")
        } else {
            text_of(&file, &flaws, (&warnings, meaning.as_ref()))
        };
        out::print(&report);
        Ok(if flaws.is_empty() {
            Ending::Good
        } else {
            Ending::Bad
        })
    }
}

/// Reads a file's text and builds of it what `serve` would build, short of starting anything.
pub(super) fn judge(file: &Path, text: &str) -> anyhow::Result<Judged> {
    let path = std::path::absolute(file)?;
    let sources = Sources::default();
    let checked = config::read_whole(
        text,
        &path,
        &environment,
        &|path| std::fs::read_to_string(path),
        &|wanted, key| {
            let found = sources.fetch(wanted, key);
            found.map_err(|lost| lost.to_string())
        },
    );
    drop(sources.finish());
    let checked = match checked {
        Ok(checked) => Box::new(checked),
        Err(problems) => {
            return Ok(Judged::Flawed(
                problems.as_slice().iter().map(flaw_of_key).collect(),
            ));
        }
    };
    let flaws = match built(&checked, &TaskTracker::new()) {
        Ok(assembled) => return Ok(Judged::Good(checked, Box::new(assembled))),
        Err(error) => match error.downcast_ref::<PolicyError>() {
            Some(error) => error
                .problems
                .iter()
                .map(|problem| flaw_of_policy(&checked, problem))
                .collect(),
            None => vec![flaw_of_all(&path, &error)],
        },
    };
    Ok(Judged::Unbuildable(checked, flaws))
}

/// Builds what a configuration says, with no gateway around it.
pub(super) fn built(checked: &Checked, tasks: &TaskTracker) -> anyhow::Result<Assembled> {
    // The keys that would be there are not looked at: any will do to build the rest.
    let report = Report::new(|_| ());
    let workshop = Workshop {
        leases: &Leases::default(),
        aggregate: Arc::<Aggregate>::default(),
        signers: &Signers::passing()?,
        tasks,
        report: &report,
        sign_ins: &Arc::new(SignIns::nowhere()),
        kept: Upstreams::new(),
    };
    assemble(checked, &workshop)
}

fn flaw_of_key(problem: &config::Problem) -> Flaw {
    Flaw {
        file: problem.file.clone(),
        line: Some(problem.line),
        column: Some(problem.column),
        key: problem.key.clone(),
        reason: problem.reason.clone(),
        fix: problem.fix.clone(),
        shown: problem.to_string(),
    }
}

fn flaw_of_policy(checked: &Checked, problem: &policy::Problem) -> Flaw {
    let file = checked
        .policies
        .iter()
        .find(|file| file.path.display().to_string() == problem.source);
    let line = file.zip(problem.position).and_then(|(file, position)| {
        Some((
            position,
            file.text.lines().nth(position.line.checked_sub(1)?)?,
        ))
    });
    let mut shown = vec![format!("error: {}", problem.message)];
    let mut margin = String::new();
    match line {
        None => shown.push(format!(" --> {}", problem.source)),
        Some((policy::Position { line, column }, text)) => {
            margin = " ".repeat(line.to_string().len());
            let indent = " ".repeat(column.saturating_sub(1));
            shown.extend([
                format!("{margin}--> {}:{line}:{column}", problem.source),
                format!("{margin} |"),
                format!("{line} | {text}"),
                format!("{margin} | {indent}^"),
            ]);
        }
    }
    let hint = problem.hint.as_ref();
    shown.extend(hint.map(|hint| format!("{margin} = help: {hint}")));
    Flaw {
        file: problem.source.clone(),
        line: problem.position.map(|position| position.line),
        column: problem.position.map(|position| position.column),
        key: String::new(),
        reason: problem.message.clone(),
        fix: problem.hint.clone(),
        shown: shown.join("\n") + "\n",
    }
}

fn flaw_of_all(file: &Path, error: &anyhow::Error) -> Flaw {
    let (file, reason) = (file.display().to_string(), format!("{error:#}"));
    let shown = format!("error: {reason}\n --> {file}\n");
    Flaw {
        file,
        line: None,
        column: None,
        key: String::new(),
        reason,
        fix: None,
        shown,
    }
}

/// What is good today, and will not be for long.
fn ending(checked: &Checked) -> Vec<String> {
    let now = clock::now().seconds();
    let told = |expiry: &Expiry| {
        Some(format!(
            "{}: {}",
            expiry.words(expiry.end(now)?),
            expiry.fix()
        ))
    };
    expiries(checked).iter().filter_map(told).collect()
}

fn text_of(
    file: &Path,
    flaws: &[Flaw],
    (warnings, meaning): (&[String], Option<&Meaning>),
) -> String {
    if flaws.is_empty() {
        let mut text = vec![format!("{}: good\n", file.display())];
        text.extend(
            warnings
                .iter()
                .map(|warning| format!("warning: {warning}\n")),
        );
        text.extend(meaning.map(|meaning| format!("\n{meaning}")));
        return text.concat();
    }
    let mut shown: Vec<&str> = flaws.iter().map(|flaw| flaw.shown.as_str()).collect();
    let count = match flaws.len() {
        1 => "1 problem\n".to_owned(),
        count => format!("{count} problems\n"),
    };
    shown.push(&count);
    shown.join("\n")
}
