//! `portcullis sandbox explain`: what a server can do to this machine, in plain words.

use super::{Ending, out};
use crate::cli::check::{Judged, judge};
use crate::config::{Checked, Sandbox, Server, Stdio, Upstream};
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_sandbox::SANDBOX_UID;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is confined, 1 it is not, or nothing can be told, 2 wrong usage."
)]
pub(super) struct Explain {
    /// The server.
    name: String,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "portcullis.toml")]
    config: PathBuf,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let file = self.config.display();
        let text =
            std::fs::read_to_string(&self.config).with_context(|| format!("cannot read {file}"))?;
        let checked: Box<Checked> = match judge(&self.config, &text)? {
            Judged::Good(checked, _) => checked,
            Judged::Unbuildable(..) | Judged::Flawed(_) => {
                bail!("{file} is not good: see `portcullis check {file}`")
            }
        };
        let mut known = checked.servers.iter();
        let found = known.find(|(name, _)| name.to_string() == self.name);
        let (_, server) = found.with_context(|| format!("{file} has no server {}", self.name))?;
        let (words, ending) = told(&self.name, server);
        out::print(&(words.join("\n") + "\n"));
        Ok(ending)
    }
}

fn told(name: &str, server: &Server) -> (Vec<String>, Ending) {
    match &server.upstream {
        Upstream::Http(_) => (
            vec![format!(
                "{name} is reached over the network: it runs elsewhere, and nothing here confines it."
            )],
            Ending::Bad,
        ),
        Upstream::Stdio(Stdio { sandbox: None, .. }) => (
            vec![format!(
                "{name} is NOT confined: it can read and write whatever the gateway's user can, and reach any network. Add \
                 [servers.{name}.sandbox]."
            )],
            Ending::Bad,
        ),
        Upstream::Stdio(Stdio {
            sandbox: Some(sandbox),
            command,
            env,
            ..
        }) => {
            let mut words = vec![format!(
                "{name} runs {} behind walls ({}).",
                command.display(),
                sandbox.profile
            )];
            words.extend(sees(sandbox));
            words.extend(reaches(sandbox));
            words.extend(uses(sandbox));
            let variables: Vec<&str> = env.keys().map(String::as_str).collect();
            words.push(if variables.is_empty() {
                "It is told no variable.".to_owned()
            } else {
                format!(
                    "It is told the variables {}, and no other.",
                    variables.join(", ")
                )
            });
            words.push(format!(
                "It is nobody on this machine: user {SANDBOX_UID} where the gateway is root, with no capability and none to be had."
            ));
            words.push(
                "It cannot see or signal other processes, make devices, mount, trace, load code into the kernel, type into a \
                 terminal, or make namespaces of its own."
                    .to_owned(),
            );
            (words, Ending::Good)
        }
    }
}

fn sees(sandbox: &Sandbox) -> Vec<String> {
    let named = &sandbox.named;
    let mut words =
        vec!["It sees the system's programs and libraries, and can run them.".to_owned()];
    let own = |verb: &str, paths: &[PathBuf]| {
        let paths = paths
            .iter()
            .map(|path| format!("It can {verb} {}.", path.display()));
        paths.collect::<Vec<_>>()
    };
    words.extend(own("read, and run what is in,", &named.ro));
    words.extend(own("read and write (and run nothing in)", &named.rw));
    words.push("Of other files it does not see that they exist.".to_owned());
    words
}

fn reaches(sandbox: &Sandbox) -> Vec<String> {
    let ports: Vec<String> = sandbox.named.ports.iter().map(u16::to_string).collect();
    if ports.is_empty() {
        return vec!["It reaches no network, not even this machine's own.".to_owned()];
    }
    vec![format!(
        "It can connect to TCP port {} of any host, this machine and its neighbours included; it can send UDP to any.",
        ports.join(", ")
    )]
}

fn uses(sandbox: &Sandbox) -> Vec<String> {
    vec![format!(
        "It can use {} MiB of memory for each process, {} processes and threads, and {} MiB in /tmp, which ends with it.",
        sandbox.memory_bytes >> 20,
        sandbox.processes,
        sandbox.scratch_bytes >> 20
    )]
}
