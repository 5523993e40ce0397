//! Where a log, its key and its witnesses are.

use crate::cli::{default_data, environment};
use crate::config;
use crate::lifecycle::Home;
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_audit::VerifierKey;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Room for many verifier keys, one a line.
const MAX_KEYS_BYTES: u64 = 64 * 1024;

/// What the command line says of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Named {
    /// The data directory of the gateway [default: portcullis in the user's data home].
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// The directory of the log [default: as configured, or `audit` in the data directory].
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) log: Option<PathBuf>,
}

/// Where everything is.
#[derive(Debug)]
pub(in crate::cli) struct Place {
    /// The directory of the log.
    pub(in crate::cli) log: PathBuf,
    /// Checkpoints that were copied elsewhere.
    pub(in crate::cli) witnesses: Vec<PathBuf>,
    /// The public key.
    pub(in crate::cli) key: PathBuf,
}

/// Finds the log: what the command line says goes before the file, and the file before the defaults.
///
/// A log that is named with `--log` alone has no witnesses and no key but those that are named.
pub(in crate::cli) fn place(named: &Named) -> anyhow::Result<Place> {
    if let (Some(log), None, None) = (&named.log, &named.data, &named.config) {
        return Ok(Place {
            log: log.clone(),
            witnesses: Vec::new(),
            key: PathBuf::new(),
        });
    }
    let data = match (&named.data, &named.config) {
        (Some(data), _) => data.clone(),
        (None, Some(file)) => file.parent().unwrap_or(Path::new("")).to_owned(),
        (None, None) => default_data()?,
    };
    let data = std::path::absolute(if data.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &data
    })?;
    let file = named
        .config
        .clone()
        .unwrap_or_else(|| data.join("portcullis.toml"));
    let mut place = match std::fs::read_to_string(&file) {
        Ok(text) => configured(&file, &text, named.data.as_deref())?,
        Err(error) if error.kind() == ErrorKind::NotFound && named.config.is_none() => {
            fallback(&data)
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if let Some(log) = &named.log {
        place.log.clone_from(log);
    }
    Ok(place)
}

/// The configuration file that is named, or that of the data directory.
pub(in crate::cli) fn configuration(named: &Named) -> anyhow::Result<PathBuf> {
    match (&named.config, &named.data) {
        (Some(config), _) => Ok(config.clone()),
        (None, Some(data)) => Ok(data.join("portcullis.toml")),
        (None, None) => Ok(default_data()?.join("portcullis.toml")),
    }
}

fn fallback(data: &Path) -> Place {
    let witness = data.join("witness/checkpoint");
    Place {
        log: data.join("audit"),
        witnesses: if witness.exists() {
            vec![witness]
        } else {
            Vec::new()
        },
        key: Home(data.to_owned()).verifier_key(),
    }
}

/// What the file says of the log. The rest of it is not looked at: an auditor has neither the gateway's
/// environment nor its secrets.
fn configured(file: &Path, text: &str, data: Option<&Path>) -> anyhow::Result<Place> {
    let whole: toml::Table = text
        .parse()
        .with_context(|| format!("{} is not TOML", file.display()))?;
    let part = |table: &str, keys: &[&str]| -> toml::Value {
        let kept = whole
            .get(table)
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten();
        let kept = kept.filter(|(key, _)| keys.is_empty() || keys.contains(&key.as_str()));
        toml::Value::Table(
            kept.map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    };
    let mut ours: toml::Table =
        "[issuers.any]\nembedded = true\n[servers.any]\ncommand = \"any\"\n".parse()?;
    ours.insert("gateway".to_owned(), part("gateway", &["data"]));
    ours.insert("audit".to_owned(), part("audit", &[]));
    let no_file = |_: &Path| Err(io::Error::from(ErrorKind::NotFound));
    let checked = match config::read(
        &ours.to_string(),
        &std::path::absolute(file)?,
        &environment,
        &no_file,
    ) {
        Ok(checked) => checked,
        Err(problems) => {
            let reasons = problems
                .as_slice()
                .iter()
                .map(|problem| format!("{}: {}", problem.key, problem.reason));
            bail!(
                "{} does not say where the log is: {}",
                file.display(),
                reasons.collect::<Vec<_>>().join("; ")
            );
        }
    };
    let home = Home(data.map_or_else(|| checked.gateway.data.clone(), Path::to_owned));
    Ok(Place {
        log: checked.audit.directory,
        witnesses: checked.audit.witness,
        key: home.verifier_key(),
    })
}

/// The keys that are believed: those of the command line, which are files or keys themselves, or the one
/// of the data directory.
pub(in crate::cli) fn keys(named: &[String], place: &Place) -> anyhow::Result<Vec<VerifierKey>> {
    if named.is_empty() && place.key.as_os_str().is_empty() {
        bail!("no key to verify with: name one with --key, or the data directory with --data");
    }
    let mut keys = Vec::new();
    for named in named {
        match named.parse() {
            Ok(key) => keys.push(key),
            Err(_) => keys.extend(read_keys(Path::new(named))?),
        }
    }
    if named.is_empty() {
        keys = read_keys(&place.key)?;
    }
    Ok(keys)
}

fn read_keys(file: &Path) -> anyhow::Result<Vec<VerifierKey>> {
    let named = || format!("no key to verify with in {}", file.display());
    let mut text = String::new();
    let opened = std::fs::File::open(file).with_context(named)?;
    io::Read::read_to_string(&mut io::Read::take(opened, MAX_KEYS_BYTES), &mut text)
        .with_context(named)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<VerifierKey> = lines
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(named)?;
    if keys.is_empty() {
        bail!(named());
    }
    Ok(keys)
}
