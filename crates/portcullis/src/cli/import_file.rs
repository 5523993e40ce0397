//! `portcullis import`: the file of an MCP client becomes ours; theirs is never changed.

use super::import::{self, Format, Imported, NotImportable};
use super::{Ending, default_data, out};
use crate::keys;
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(
    after_help = "FILE is that of Claude Desktop, Claude Code, Cursor, Windsurf, VS Code, Zed or Codex (TOML). Exit codes: 0 \
done; 1 not done: not such a file, nothing to import, or something is already there; 2 wrong usage or FILE cannot \
be read."
)]
pub(super) struct ImportFile {
    /// The file of the client.
    file: PathBuf,
    /// What to write [default: portcullis.toml; with --wrap there is none].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The data directory, whose `secrets` takes the secrets [default: portcullis in the user's data home].
    #[arg(long, value_name = "DIR", conflicts_with = "wrap")]
    data: Option<PathBuf>,
    /// Write a copy of the client's file in which each local server runs behind `portcullis wrap`.
    #[arg(long, requires = "output")]
    wrap: bool,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Args)]
struct Manner {
    /// Write nothing; print what would be written, without the secrets.
    #[arg(long)]
    dry_run: bool,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Files to write, in this order, and what to say of them.
struct Plan<'a> {
    files: Vec<(PathBuf, &'a str)>,
    secrets: Vec<PathBuf>,
    output: PathBuf,
    notes: &'a [String],
    /// What may be shown of the output.
    shown: Option<&'a str>,
}

impl ImportFile {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) => {
                out::error(&format!("cannot read {}: {error}", self.file.display()));
                return Ok(Ending::Unknown);
            }
        };
        if self.wrap {
            self.wrapped(&text)
        } else {
            self.imported(&text)
        }
    }

    fn imported(&self, text: &str) -> anyhow::Result<Ending> {
        let data = std::path::absolute(self.data.clone().map_or_else(default_data, Ok)?)?;
        let directory = data.join("secrets");
        let Imported {
            toml,
            shown,
            secrets,
            notes,
        } = match import::import(text, Format::of(&self.file), &directory) {
            Ok(imported) => imported,
            Err(why) => return Ok(self.refuse(why)),
        };
        if toml
            .parse::<toml::Table>()
            .is_ok_and(|table| !table.contains_key("servers"))
        {
            for note in &notes {
                out::error(note);
            }
            out::error(&format!(
                "{} has no server that can be imported",
                self.file.display()
            ));
            return Ok(Ending::Bad);
        }
        let data_text = toml::Value::from(data.display().to_string());
        let [toml, shown] =
            [toml, shown].map(|text| format!("[gateway]\ndata = {data_text}\n\n{text}"));
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| "portcullis.toml".into());
        let mut files: Vec<(PathBuf, &str)> = secrets
            .iter()
            .map(|(name, secret)| (directory.join(name), secret.expose().as_str()))
            .collect();
        let secrets = files.iter().map(|(path, _)| path.clone()).collect();
        files.push((output.clone(), &toml));
        self.carry_out(
            &Plan {
                files,
                secrets,
                output,
                notes: &notes,
                shown: Some(&shown),
            },
            Some(&data),
        )
    }

    fn wrapped(&self, text: &str) -> anyhow::Result<Ending> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let wrapped = match import::wrap(text, &program.display().to_string()) {
            Ok(wrapped) => wrapped,
            Err(why) => return Ok(self.refuse(why)),
        };
        let output = self.output.clone().unwrap_or_default();
        let is_same = |path: &Path| std::fs::canonicalize(path).ok();
        if is_same(&output).is_some_and(|output| Some(output) == is_same(&self.file)) {
            out::error("--output is the client's own file, which is never changed: name another");
            return Ok(Ending::Bad);
        }
        // The copy holds what the file holds, secrets too: it is not shown.
        let files = vec![(output.clone(), wrapped.json.as_str())];
        self.carry_out(
            &Plan {
                files,
                secrets: Vec::new(),
                output,
                notes: &wrapped.notes,
                shown: None,
            },
            None,
        )
    }

    fn carry_out(&self, plan: &Plan<'_>, data: Option<&Path>) -> anyhow::Result<Ending> {
        let there: Vec<String> = plan
            .files
            .iter()
            .filter(|(path, _)| std::fs::symlink_metadata(path).is_ok())
            .map(|(path, _)| path.display().to_string())
            .collect();
        if !there.is_empty() && !self.manner.force {
            out::error(&format!(
                "already there: {}; nothing was written (--force replaces)",
                there.join(", ")
            ));
            return Ok(Ending::Bad);
        }
        if !self.manner.dry_run {
            if let Some(data) = data.filter(|_| !plan.secrets.is_empty()) {
                keys::private_directory(data)?;
                keys::private_directory(&data.join("secrets"))?;
            }
            write_all(&plan.files, self.manner.force)?;
        }
        self.tell(plan);
        Ok(Ending::Good)
    }

    fn tell(&self, plan: &Plan<'_>) {
        let dry = self.manner.dry_run;
        let named = |paths: &[PathBuf]| {
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        let output = plan.output.display();
        if self.manner.json {
            let report = json!({
                "written": !dry,
                "output": output.to_string(),
                "secrets": named(&plan.secrets),
                "notes": plan.notes,
                "content": plan.shown.filter(|_| dry),
            });
            return out::print(&format!("{report:#}\n"));
        }
        for note in plan.notes {
            out::error(note);
        }
        match plan.shown.filter(|_| dry) {
            Some(shown) => out::print(shown),
            None if dry => out::print(&format!(
                "would write {output}, which holds the secrets of the file\n"
            )),
            None => {
                let secrets = named(&plan.secrets);
                let written = secrets
                    .iter()
                    .map(|path| format!("wrote the secret {path}\n"));
                let secrets = written.collect::<Vec<_>>().concat();
                let next = if self.wrap {
                    String::new()
                } else {
                    format!(
                        "look it over, then: portcullis check {output} --print\n\
                         what a server shows waits until you approve it: portcullis tools approve SERVER --all --config {output}\n"
                    )
                };
                out::print(&format!("{secrets}wrote {output}\n{next}"));
            }
        }
    }

    fn refuse(&self, why: NotImportable) -> Ending {
        out::error(&format!("{}: {why}", self.file.display()));
        Ending::Bad
    }
}

/// Writes all files, or none: those that were new are taken back if one cannot be written.
fn write_all(files: &[(PathBuf, &str)], force: bool) -> anyhow::Result<()> {
    for (count, (path, text)) in files.iter().enumerate() {
        let written = if force {
            replace(path, text)
        } else {
            keys::write_private(path, text.as_bytes())
        };
        let made = if force {
            &[]
        } else {
            files.get(..count).unwrap_or_default()
        };
        if written.is_err()
            && made
                .iter()
                .any(|(path, _)| std::fs::remove_file(path).is_err())
        {
            out::error("some of the files that were written cannot be taken back");
        }
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whoever reads the file sees the old one or the new one; the new one is its owner's only.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    keys::write_private(&new, text.as_bytes())?;
    std::fs::rename(&new, path)
}
