//! `portcullis owner link`: lets the owner of the machine sign in where there is no identity provider.

use super::token::running;
use super::{Ending, default_data, out, runtime};
use crate::authority::browser::{mark, secret};
use crate::clock;
use crate::config::Checked;
use crate::lifecycle::Home;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use portcullis_authority::owner::LINK_LIFETIME;
use portcullis_core::secret::Secret;
use portcullis_state::Durable;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Owner {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a link that signs one browser in as the owner, once and within ten minutes. Earlier links end.
    Link(Link),
}

#[derive(Debug, Args)]
struct Link {
    /// The data directory of the gateway.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short)]
    config: Option<PathBuf>,
}

impl Owner {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let Command::Link(link) = self.command;
        let data = match (&link.data, &link.config) {
            (Some(data), _) => data.clone(),
            (None, Some(file)) => file.parent().map(PathBuf::from).unwrap_or_default(),
            (None, None) => default_data()?,
        };
        let file = link.config.unwrap_or_else(|| data.join("portcullis.toml"));
        let checked = match running(&data, &file)? {
            Ok(checked) => checked,
            Err(problems) => {
                out::error(&problems.to_string());
                return Ok(Ending::Bad);
            }
        };
        let Some(url) = new_link(&checked)? else {
            bail!(
                "nobody signs in as the owner here: that is for gateways with [authority] and without an identity provider"
            );
        };
        out::print(&format!("{}\n", url.expose()));
        Ok(Ending::Good)
    }
}

/// A new link, if the owner is who signs in here.
pub(super) fn new_link(checked: &Checked) -> anyhow::Result<Option<Secret<String>>> {
    let is_owners = checked
        .authority
        .as_ref()
        .is_some_and(|authority| authority.sign_in.is_none());
    if !is_owners {
        return Ok(None);
    }
    let word = secret().context("no random bytes")?;
    let state = Home(checked.gateway.data.clone()).state();
    runtime()?.block_on(async {
        let durable = Durable::open(&state).await?;
        let until = clock::now().plus(LINK_LIFETIME);
        durable.keep_owner_link(mark(word.expose()), until).await?;
        anyhow::Ok(())
    })?;
    let path = format!("/account/owner/{}", word.expose());
    Ok(Some(Secret::new(checked.gateway.public_url.below(&path))))
}
