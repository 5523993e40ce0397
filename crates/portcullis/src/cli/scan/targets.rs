//! What is scanned: a URL, a command, a client's file, or whatever is found on this machine.

use super::client::Environment;
use super::facts;
use super::finding::{Finding, Outcome, Scanned, Severity};
use super::look;
use super::places::{Machine, Place};
use crate::cli::environment;
use crate::cli::import::{Entry, Format, MAX_IMPORT_BYTES, NotImportable, all_entries};
use crate::config::veil;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a server is called in a configuration that stands for a URL or a command.
const SERVER: &str = "scanned";
/// Bits of a file's mode: its group or others may write; others may read.
const WRITABLE: u32 = 0o022;
const READABLE: u32 = 0o044;

/// What the command line names.
#[derive(Debug)]
pub(super) enum Named<'a> {
    /// A URL, and headers for it.
    Url(&'a str, &'a [String]),
    Command(&'a str, &'a [String]),
    File(&'a Path),
    /// Nothing, in this folder.
    Nothing(&'a Path),
}

/// A server that is to be scanned.
#[derive(Debug)]
pub(super) struct Target {
    scanned: Scanned,
    entry: Entry,
    environment: Environment,
    /// Whether it is started or reached.
    pub(super) is_asked: bool,
}

impl Target {
    /// Looks at it, if that was asked for.
    pub(super) async fn scan(self, patience: Duration) -> Scanned {
        let mut scanned = self.scanned;
        if self.is_asked {
            let scanning = look::scan(&self.entry, self.environment, patience);
            let (outcome, findings) = Box::pin(scanning).await;
            scanned.outcome = outcome;
            scanned.findings.extend(findings);
        }
        scanned
    }

    /// What the command line named is started or reached.
    fn named(entry: Entry, (name, how): (String, String), environment: Environment) -> Self {
        Self {
            scanned: Scanned {
                name,
                source: None,
                how,
                findings: Vec::new(),
                outcome: Outcome::NotAsked,
            },
            entry,
            environment,
            is_asked: true,
        }
    }
}

/// The servers, none of which has been touched.
///
/// # Errors
/// Why there is nothing that could be scanned.
pub(super) fn find(named: &Named<'_>, run: bool) -> Result<Vec<Target>, String> {
    let mut targets = match named {
        Named::Url(url, headers) => vec![of_url(url, headers)?],
        Named::Command(command, arguments) => vec![of_command(command, arguments)],
        Named::File(file) => {
            let place = Place {
                client: "file",
                file: std::path::absolute(file).map_err(|error| error.to_string())?,
            };
            of_file(&place, run).map_err(|why| format!("{}: {why}", file.display()))?
        }
        Named::Nothing(folder) => of_machine(folder, run)?,
    };
    name_apart(&mut targets);
    Ok(targets)
}

fn of_url(url: &str, headers: &[String]) -> Result<Target, String> {
    let mut table = Map::new();
    for header in headers {
        let (name, value) = header
            .split_once(':')
            .ok_or("a --header is a name, a colon and a value")?;
        table.insert(name.trim().to_owned(), Value::from(value.trim()));
    }
    let entry = Entry {
        name: SERVER.to_owned(),
        project: None,
        settings: json!({ "url": url, "headers": table }),
    };
    let shown = veil::url(url);
    Ok(Target::named(
        entry,
        (shown.clone(), shown),
        Environment::OfEntry,
    ))
}

fn of_command(command: &str, arguments: &[String]) -> Target {
    let words = [&[command.to_owned()], arguments].concat();
    let entry = Entry {
        name: SERVER.to_owned(),
        project: None,
        settings: json!({ "command": command, "args": arguments }),
    };
    let shown = veil::arguments(&words).join(" ");
    Target::named(entry, (shown.clone(), shown), Environment::Ours)
}

/// Every file of a client that is there. One without servers is passed over.
fn of_machine(folder: &Path, run: bool) -> Result<Vec<Target>, String> {
    let machine = Machine::this(&environment, folder.to_owned())
        .ok_or("HOME is not set: name a file, a URL or a COMMAND")?;
    let mut targets = Vec::new();
    for place in machine.places() {
        match of_file(&place, run) {
            Ok(found) => targets.extend(found),
            Err(Unread::Missing | Unread::NoServers) => {}
            Err(why) => targets.push(unread(&place, &why)),
        }
    }
    Ok(targets)
}

/// A file that nobody can read stands in the report in place of its servers.
fn unread(place: &Place, why: &Unread) -> Target {
    let entry = Entry {
        name: String::new(),
        project: None,
        settings: Value::Null,
    };
    let name = place.file.display().to_string();
    let mut target = Target::named(entry, (name, "-".to_owned()), Environment::OfEntry);
    target.scanned.source = Some((place.client, place.file.clone()));
    target.scanned.outcome = Outcome::Failed(why.to_string());
    target.is_asked = false;
    target
}

/// Why a file gives no servers.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("there is no such file")]
    Missing,
    #[error("cannot be read: {0}")]
    Io(std::io::Error),
    #[error("there are no servers in it")]
    NoServers,
    #[error("{0}")]
    Bad(NotImportable),
}

fn of_file(place: &Place, run: bool) -> Result<Vec<Target>, Unread> {
    let (text, mode) = read(&place.file)?;
    let entries = all_entries(&text, Format::of(&place.file)).map_err(|why| match why {
        NotImportable::NoServers => Unread::NoServers,
        NotImportable::Json { .. } | NotImportable::Toml { .. } | NotImportable::TooLarge => {
            Unread::Bad(why)
        }
    })?;
    let targets = entries.into_iter().map(|entry| {
        let (shown, mut findings) = facts::look(&entry);
        findings.extend(of_mode(mode, &findings));
        let name = match &entry.project {
            Some(project) => format!("{} ({project})", entry.name),
            None => entry.name.clone(),
        };
        Target {
            scanned: Scanned {
                name,
                source: Some((place.client, place.file.clone())),
                how: shown.how,
                findings,
                outcome: if shown.is_off {
                    Outcome::Off
                } else {
                    Outcome::NotAsked
                },
            },
            entry,
            environment: Environment::OfEntry,
            is_asked: run && !shown.is_off,
        }
    });
    Ok(targets.collect())
}

fn read(file: &Path) -> Result<(String, u32), Unread> {
    let opened = File::open(file).map_err(|error| {
        if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) {
            Unread::Missing
        } else {
            Unread::Io(error)
        }
    })?;
    let mode = opened.metadata().map_err(Unread::Io)?.permissions().mode();
    let most = u64::try_from(MAX_IMPORT_BYTES).unwrap_or(u64::MAX);
    let mut text = String::new();
    opened
        .take(most.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(Unread::Io)?;
    Ok((text, mode))
}

/// What the file's mode says of who can change or read it.
fn of_mode(mode: u32, found: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if mode & WRITABLE != 0 {
        findings.push(Finding::of_file(
            "config-writable-by-others",
            Severity::High,
            ("", &format!("mode {:03o}", mode & 0o777)),
            "other users may write the file, and what stands in it is run as you",
            "chmod go-w the file",
        ));
    }
    let has_secret = found
        .iter()
        .any(|finding| finding.rule == "config-inline-secret");
    if mode & READABLE != 0 && has_secret {
        findings.push(Finding::of_file(
            "config-secret-readable-by-others",
            Severity::High,
            ("", &format!("mode {:03o}", mode & 0o777)),
            "other users may read the file, and a secret stands in it",
            "chmod 600 the file, and replace the secret",
        ));
    }
    findings
}

/// Servers of one name are told apart by client, then by file, then by number.
fn name_apart(targets: &mut [Target]) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for target in targets {
        let name = target.scanned.name.clone();
        let source = target.scanned.source.clone();
        let of_client = source
            .iter()
            .map(|(client, _)| format!("{name} ({client})"));
        let file = |file: &PathBuf| format!("{name} ({})", file.display());
        let of_file = source.iter().map(|(_, own)| file(own));
        let numbered = (2_u32..).map(|number| format!("{name} ({number})"));
        let mut names = std::iter::once(name.clone())
            .chain(of_client)
            .chain(of_file)
            .chain(numbered);
        if let Some(free) = names.find(|name| !taken.contains(name)) {
            taken.insert(free.clone());
            target.scanned.name = free;
        }
    }
}
