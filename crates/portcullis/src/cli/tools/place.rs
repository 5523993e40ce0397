//! Where the catalogue is, and which of it is meant.

use crate::cataloguing::{Known, meant, opened};
use crate::cli::revoke::{Place, with};
use crate::lifecycle::Home;
use anyhow::{anyhow, bail};
use clap::Args;
use portcullis_core::catalog::{Digest, Kind, Needed};
use portcullis_state::{Catalog, Durable};

/// One definition of one server.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The server, as the configuration names it.
    pub(super) server: String,
    /// The name of the tool or prompt, the URI of the resource or its template; nothing for what the server says of itself.
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) name: String,
    /// tool, prompt, resource, template or server, where a name is that of several.
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    pub(super) place: Place,
}

impl One {
    /// What is known of it.
    pub(super) async fn find(&self, catalog: &Catalog) -> anyhow::Result<Known> {
        let all = catalog.histories(Some(self.server.clone())).await?;
        meant(all, (self.kind, &self.name)).map_err(|why| anyhow!(why))
    }
}

/// Does something with the catalogue.
pub(super) fn within<T>(
    place: &Place,
    work: impl AsyncFnOnce(&Catalog, &Durable) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let found = place.find()?;
    let home: &Home = &found.home;
    with(home, async |durable| {
        let catalog = opened(home, found.checked.as_ref(), durable)?;
        work(&catalog, durable).await
    })
}

/// How many persons have to approve what a server defines: the configuration says, which only `wrap` does without.
pub(super) fn needed(place: &Place, server: &str) -> anyhow::Result<Needed> {
    let found = place.find()?;
    if let Some(checked) = &found.checked {
        let mut all = checked.servers.iter();
        let own = all.find(|(name, _)| name.as_str() == server);
        return Ok(own.map_or(Needed::One, |(_, own)| own.terms.approvals));
    }
    let wrapped = found.home.0.join("wrap").join(format!("{server}-0"));
    if !wrapped.is_dir() {
        bail!(
            "name the configuration file with --config: it says how many persons have to approve"
        );
    }
    Ok(Needed::One)
}

/// A digest of the command line.
pub(super) fn digest(text: &str) -> Result<Digest, String> {
    text.parse()
        .map_err(|why: portcullis_core::catalog::NoDigest| why.to_string())
}
