//! `portcullis sandbox run`: a command behind walls.

use super::environment;
use crate::config::{Named, PROFILES, Profile, Sandbox};
use crate::confining::confinement;
use anyhow::{Context as _, anyhow};
use clap::Args;
use portcullis_sandbox::{EXIT_LAUNCHER, Spec, launch_command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

/// Somebody who closes our input may still want the rest of the output.
const FOREVER: Duration = Duration::MAX;
/// Variables that are passed on, if they are set; all others are not.
const PASSED: [&str; 3] = ["PATH", "TERM", "LANG"];
const SCRATCH_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: that of the command, 128 and a signal's number if that ended it, 125 if the walls could not be built \
(the command was not run then), 126 if it cannot be run, 127 if it is not found."
)]
pub(super) struct Run {
    /// What kind of command it is: pure, files, network, node or python [default: pure, or files where a path is named].
    #[arg(long, value_parser = profile)]
    profile: Option<Profile>,
    /// A path that it may read and run programs from.
    #[arg(long, value_name = "PATH")]
    ro: Vec<PathBuf>,
    /// A path that it may read and write.
    #[arg(long, value_name = "PATH")]
    rw: Vec<PathBuf>,
    /// A TCP port that it may connect to.
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (command, args) = self.command.split_first().context("no command")?;
        let sandbox = self.sandbox()?;
        let is_path = command.to_string_lossy().contains('/');
        let command = if is_path {
            std::path::absolute(command)?.into_os_string()
        } else {
            command.clone()
        };
        let mut env: Vec<(OsString, OsString)> = vec![("HOME".into(), "/tmp".into())];
        let passed = PASSED
            .iter()
            .filter_map(|name| Some((*name, environment(name)?)));
        env.extend(passed.map(|(name, value)| (name.into(), value.into())));
        let spec = Spec {
            confinement: Some(Box::new(confinement(&sandbox, Path::new(&command)))),
            command,
            args: args.to_vec(),
            cwd: None,
            env,
        };
        let status = launch_command(Path::new("/proc/self/exe"), &spec, FOREVER)?
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(ExitCode::from(code.unwrap_or(EXIT_LAUNCHER)))
    }

    fn sandbox(&self) -> anyhow::Result<Sandbox> {
        let named = Named {
            ro: absolute(&self.ro)?,
            rw: absolute(&self.rw)?,
            ports: self.port.clone(),
        };
        let has_path = !self.ro.is_empty() || !self.rw.is_empty();
        let usual = if has_path {
            Profile::Files
        } else {
            Profile::Pure
        };
        let profile = self.profile.unwrap_or(usual);
        Ok(Sandbox {
            profile,
            named: profile.with(named)?,
            memory_bytes: profile.memory_mib() << 20,
            processes: profile.processes(),
            scratch_bytes: SCRATCH_BYTES,
        })
    }
}

fn absolute(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    paths.iter().map(std::path::absolute).collect()
}

fn profile(text: &str) -> anyhow::Result<Profile> {
    let mut known = PROFILES.iter();
    let found = known.find(|(name, _)| *name == text);
    let names = || PROFILES.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    found
        .map(|(_, profile)| *profile)
        .ok_or_else(|| anyhow!("one of {}", names().join(", ")))
}
