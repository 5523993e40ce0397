//! `portcullis doctor`: what is wrong with this installation, and how to mend it.

mod files;
mod state;
mod reviews;
mod token;
mod running;
mod servers;
mod issuers;
mod log;
mod certificate;

use super::check::{Judged, judge};
use super::{Ending, default_data, out};
use crate::assemble::Assembled;
use crate::clock;
use crate::config::Checked;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing is wrong (notes do not count), 1 something is, 2 wrong usage or \
nothing can be told."
)]
pub(super) struct Doctor {
    /// The data directory of the gateway [default: portcullis in the user's data home].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// The gateway does not start, or what it promises does not hold.
    Error,
    /// It will go wrong, or it protects less than it could.
    Warning,
    /// Worth knowing; nothing is wrong.
    Note,
}

/// Something that was found.
#[derive(Debug, Serialize)]
struct Finding {
    /// What kind of thing it is; stays the same from version to version.
    id: &'static str,
    severity: Severity,
    /// What is so.
    what: String,
    /// What to do about it.
    fix: String,
}

/// What was looked at and what was found.
#[derive(Debug, Default)]
struct Findings {
    looked_at: Vec<&'static str>,
    found: Vec<Finding>,
}

impl Findings {
    /// Something of this name is looked at.
    fn look(&mut self, what: &'static str) {
        if !self.looked_at.contains(&what) {
            self.looked_at.push(what);
        }
    }

    fn error(&mut self, id: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Finding {
            id,
            severity: Severity::Error,
            what: what.into(),
            fix: fix.into(),
        });
    }

    fn warning(&mut self, id: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Finding {
            id,
            severity: Severity::Warning,
            what: what.into(),
            fix: fix.into(),
        });
    }

    fn note(&mut self, id: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Finding {
            id,
            severity: Severity::Note,
            what: what.into(),
            fix: fix.into(),
        });
    }

    fn ending(&self) -> Ending {
        if self
            .found
            .iter()
            .all(|finding| finding.severity == Severity::Note)
        {
            Ending::Good
        } else {
            Ending::Bad
        }
    }
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let data = match (&self.data, &self.config) {
            (Some(data), _) => Some(data.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(default_data()?),
        };
        let data = data.map(std::path::absolute).transpose()?;
        let file = match (&self.config, &data) {
            (Some(file), _) => std::path::absolute(file)?,
            (None, data) => data.clone().unwrap_or_default().join("portcullis.toml"),
        };
        let mut findings = Findings::default();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if is_installed(&error, self.config.as_deref(), data.as_deref()) => None,
            Err(error) => {
                return Ok(self.unknown(&format!("cannot read {}: {error}", file.display())));
            }
        };
        let (checked, built) = configuration(&file, text.as_deref(), &mut findings)?;
        let data = data.or_else(|| checked.as_ref().map(|checked| checked.gateway.data.clone()));
        if let Some(data) = &data {
            files::look((data, checked.as_deref()), &file, &mut findings);
        }
        if let (Some(data), Some(checked)) = (&data, &checked) {
            let pid = running::look(data, checked, &mut findings);
            running::look_at_limits(pid, checked, &mut findings);
            servers::look(checked, &mut findings);
            token::look(checked, &mut findings);
            if let Some(built) = &built {
                issuers::look(checked, &built.trusted, &mut findings)?;
                reviews::look(checked, &built.live.policy, &mut findings);
            }
            certificate::look(checked, clock::now().seconds(), &mut findings);
            log::look(data, checked, &mut findings);
        }
        out::print(&if self.json {
            json_of(&findings)
        } else {
            findings.to_string()
        });
        Ok(findings.ending())
    }

    fn unknown(&self, why: &str) -> Ending {
        if self.json {
            out::print(&format!(
                "{:#}\n",
                json!({ "checked": [], "findings": [], "message": why })
            ));
        }
        out::error(&format!("{why}: there is nothing to look at"));
        Ending::Unknown
    }
}

/// Whether there is an installation though the file is missing where it is looked for by default.
fn is_installed(error: &std::io::Error, named: Option<&Path>, data: Option<&Path>) -> bool {
    error.kind() == ErrorKind::NotFound && named.is_none() && data.is_some_and(Path::is_dir)
}

/// A configuration, and what would be built of it.
type Read = (Option<Box<Checked>>, Option<Box<Assembled>>);

fn configuration(file: &Path, text: Option<&str>, findings: &mut Findings) -> anyhow::Result<Read> {
    findings.look("config");
    let Some(text) = text else {
        let fix = "run `portcullis up` once, or name the file with --config";
        findings.error(
            "config.missing",
            format!("there is no {}", file.display()),
            fix,
        );
        return Ok((None, None));
    };
    let (read, flaws) = match judge(file, text)? {
        Judged::Good(checked, built) => ((Some(checked), Some(built)), Vec::new()),
        Judged::Unbuildable(checked, flaws) => ((Some(checked), None), flaws),
        Judged::Flawed(flaws) => ((None, None), flaws),
    };
    for flaw in flaws {
        let place = [flaw.line, flaw.column]
            .into_iter()
            .flatten()
            .map(|number| format!(":{number}"));
        let what = format!(
            "{}{}: {}",
            flaw.file,
            place.collect::<String>(),
            flaw.reason
        );
        findings.error(
            "config.problem",
            what,
            flaw.fix
                .unwrap_or_else(|| "run `portcullis check`".to_owned()),
        );
    }
    Ok(read)
}

fn json_of(findings: &Findings) -> String {
    format!(
        "{:#}\n",
        json!({ "checked": findings.looked_at, "findings": findings.found })
    )
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding {
            id,
            severity,
            what,
            fix,
        } in &self.found
        {
            let severity = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            writeln!(out, "{severity}[{id}]: {what}\n  fix: {fix}")?;
        }
        writeln!(out, "looked at: {}", self.looked_at.join(", "))?;
        let wrong = self
            .found
            .iter()
            .filter(|finding| finding.severity != Severity::Note)
            .count();
        match wrong {
            0 => writeln!(out, "nothing is wrong"),
            1 => writeln!(out, "1 thing is wrong"),
            count => writeln!(out, "{count} things are wrong"),
        }
    }
}
