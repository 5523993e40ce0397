//! The policies and grants of a configuration, compiled.

use crate::config::{self, Checked};
use portcullis_core::authorize::policy::{Grant, Policy, Sources};

/// Everything that a caller may do.
pub(super) fn policy(checked: &Checked) -> anyhow::Result<Policy> {
    let files: Vec<(String, String)> = checked
        .policies
        .iter()
        .map(|file| (file.path.display().to_string(), file.text.clone()))
        .collect();
    let grants: Result<Vec<Grant>, _> = checked.grants.iter().map(grant).collect();
    Ok(Policy::compile(&Sources {
        cedar: &files,
        grants: &grants?,
    })?)
}

/// A grant, named in records by what the configuration says: `anyone notes__search`.
fn grant(grant: &config::Grant) -> anyhow::Result<Grant> {
    let names = match &grant.pattern.names {
        config::Names::All => "*".to_owned(),
        config::Names::Prefix(prefix) => format!("{prefix}*"),
        config::Names::Exact(name) => name.clone(),
    };
    let server = &grant.server;
    let allow = match grant.pattern.kind {
        config::Kind::Tool => vec![format!("{server}__{names}")],
        config::Kind::Resource => vec![format!("resource:{server}__{names}")],
        config::Kind::Prompt => vec![format!("prompt:{server}__{names}")],
        config::Kind::Ask => {
            let asked = config::ASKS
                .iter()
                .filter(|ask| grant.pattern.names.contains(ask));
            asked.map(|ask| format!("{ask}:{server}")).collect()
        }
    };
    let who = match &grant.who {
        config::Who::Anyone => "anyone".to_owned(),
        config::Who::User(name) => format!("user:{name}"),
        config::Who::Role(name) => format!("role:{name}"),
        config::Who::Group(name) => format!("group:{name}"),
        config::Who::Client(name) => format!("client:{name}"),
    };
    Ok(Grant {
        id: format!("{who} {}", allow.join(" ")),
        who: who.parse()?,
        allow,
    })
}
