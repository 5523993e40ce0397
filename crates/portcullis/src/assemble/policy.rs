//! The policies, grants and boundaries of a configuration, compiled.

use super::issuer_name;
use crate::config::{self, Checked};
use anyhow::Context as _;
use portcullis_core::authenticate::DeclaredClaim;
use portcullis_core::authorize::policy::{
    Boundary, Grant, Held, Policy, PolicyError, Sources, Who, Zone,
};
use portcullis_core::review::grant_id;
use portcullis_state::HeldGrant;

/// What a policy is made of.
#[derive(Debug)]
pub(crate) struct Written {
    files: Vec<(String, String)>,
    /// With their ids in reviews.
    grants: Vec<(String, Grant)>,
    boundaries: Vec<Boundary>,
    zones: Vec<Zone>,
    claims: Vec<(String, DeclaredClaim)>,
}

impl Written {
    /// The grants with their ids in reviews.
    pub(crate) fn grants(&self) -> impl Iterator<Item = (&str, &Grant)> {
        self.grants.iter().map(|(id, grant)| (id.as_str(), grant))
    }

    /// The policy, without what reviews hold back.
    ///
    /// # Errors
    /// [`PolicyError`]: something cannot be compiled.
    pub(crate) fn policy(&self, held: &[HeldGrant]) -> Result<Policy, PolicyError> {
        let grants = self.grants.iter().map(|(id, grant)| {
            let held = held.iter().find(|held| held.id == *id);
            Grant {
                held: held.map(|held| Held {
                    from: i64::try_from(held.from.seconds()).unwrap_or(i64::MAX),
                    review: held.review,
                }),
                ..grant.clone()
            }
        });
        Policy::compile(&Sources {
            cedar: &self.files,
            grants: &grants.collect::<Vec<_>>(),
            boundaries: &self.boundaries,
            zones: &self.zones,
            claims: &self.claims,
        })
    }
}

/// Everything that a caller may do, and what it is made of.
pub(super) fn policy(checked: &Checked) -> anyhow::Result<(Written, Policy)> {
    let files: Vec<(String, String)> = checked
        .policies
        .iter()
        .map(|file| (file.path.display().to_string(), file.text.clone()))
        .collect();
    let mut grants = Vec::new();
    for written in &checked.grants {
        let grant = grant(written)?;
        grants.push((grant_id(&grant), grant));
    }
    let boundaries = checked.boundaries.iter();
    let boundaries: Result<Vec<Boundary>, _> =
        boundaries.map(|one| boundary(checked, one)).collect();
    let written = Written {
        files,
        grants,
        boundaries: boundaries?,
        zones: checked.zones.clone(),
        claims: declared(checked),
    };
    let policy = written.policy(&[])?;
    Ok((written, policy))
}

/// The claims that policies can speak of, with their issuers as tokens name them.
fn declared(checked: &Checked) -> Vec<(String, DeclaredClaim)> {
    let mut all = Vec::new();
    for issuer in checked.issuers.values() {
        match issuer {
            config::Issuer::Embedded { .. } => {}
            config::Issuer::External(external) => {
                let declared = external.claims.declared.iter().cloned();
                all.extend(declared.map(|claim| (external.issuer.clone(), claim)));
            }
        }
    }
    all
}

/// A grant, named in records by what the configuration says: `anyone notes__search`.
pub(crate) fn grant(grant: &config::Grant) -> anyhow::Result<Grant> {
    let allow = patterns(&grant.server, &grant.pattern);
    let who = grant.who.to_string();
    let until = grant.until.map(|until| i64::try_from(until.seconds()));
    Ok(Grant {
        id: format!("{who} {}", allow.join(" ")),
        who: who.parse()?,
        allow,
        until: until.transpose()?,
        held: None,
    })
}

fn boundary(checked: &Checked, boundary: &config::Boundary) -> anyhow::Result<Boundary> {
    let who = match &boundary.who {
        config::Who::Issuer(name) => {
            let issuer = checked
                .issuers
                .get(name.as_str())
                .context("no such issuer")?;
            Who::Issuer(issuer_name(checked, issuer))
        }
        other @ (config::Who::Anyone
        | config::Who::User(_)
        | config::Who::Role(_)
        | config::Who::Group(_)
        | config::Who::Client(_)) => other.to_string().parse()?,
    };
    let allow = boundary.allow.iter();
    Ok(Boundary {
        id: boundary.name.clone(),
        who,
        allow: allow
            .flat_map(|(server, pattern)| patterns(server, pattern))
            .collect(),
    })
}

/// A pattern of the configuration in those of the policy.
fn patterns(server: &config::ServerName, pattern: &config::Pattern) -> Vec<String> {
    let names = match &pattern.names {
        config::Names::All => "*".to_owned(),
        config::Names::Prefix(prefix) => format!("{prefix}*"),
        config::Names::Exact(name) => name.clone(),
    };
    match pattern.kind {
        config::Kind::Tool => vec![format!("{server}__{names}")],
        config::Kind::Resource => vec![format!("resource:{server}__{names}")],
        config::Kind::Prompt => vec![format!("prompt:{server}__{names}")],
        config::Kind::Ask => {
            let asked = config::ASKS
                .iter()
                .filter(|ask| pattern.names.contains(ask));
            asked.map(|ask| format!("{ask}:{server}")).collect()
        }
    }
}
