//! From a checked configuration to everything that a reload replaces.

mod upstreams;
mod credentials;
mod edges;
mod sign_in;
mod receivers;
mod authority;
mod desk;
mod policy;
mod sessions;
mod quotas;
mod strengths;
mod scopes;
mod lookalikes;
mod tenants;
mod office;
mod together;

use crate::atlas::Atlas;
use crate::config::{self, Checked};
use crate::egress::Egress;
use crate::explaining::Book;
use crate::issuers::{Source, Trusted};
use crate::keys::{Signers, Turns};
use crate::relay::Live;
use crate::secrets::{Lease, Leases};
use crate::sign_in::SignIns;
use crate::tls::Peer;
use crate::upstream::{Inner, Report, Upstream};
use anyhow::Context as _;
use credentials::{Beside, exchanges, published};
use desk::{desk, introspection};
pub(crate) use edges::admin_edge;
use edges::{edge, own_headers};
use lookalikes::lookalikes;
use office::office;
pub(crate) use office::reviewers_of;
pub(crate) use policy::{Written, grant as grant_of};
use portcullis_core::authenticate::{Algorithm, Introspection, Issuer, Resource};
use portcullis_core::authorize::Gate;
use portcullis_core::authorize::policy::Policy;
use portcullis_core::inspect::View;
use portcullis_core::pipeline::{Rules, Server};
use portcullis_core::route::aggregate::AGGREGATE;
use quotas::quota_of;
use receivers::{directories, receivers};
use sessions::sessions;
use sign_in::sign_ins;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use strengths::{named, privileged, strengths};
use tenants::{membership, tenants_of};
use together::{all_together, rules_of_all};
use tokio_util::task::TaskTracker;
use upstreams::{by_name, client_for, fingerprint, upstream};

/// A token of our own issuer is never accepted with more clock skew than this.
const OWN_SKEW: Duration = Duration::from_secs(5);

/// The upstreams by name, each with the fingerprint of its configuration.
pub(crate) type Upstreams = BTreeMap<Arc<str>, (String, Arc<Upstream>)>;

/// What an assembly needs of the running process.
pub(crate) struct Workshop<'a> {
    /// Where connections and processes run.
    pub(crate) tasks: &'a TaskTracker,
    /// What servers, authorization servers and we ourselves are to verify.
    pub(crate) signers: &'a Signers,
    /// What users have granted at servers, and are about to.
    pub(crate) sign_ins: &'a Arc<SignIns>,
    /// What answers for all servers together.
    pub(crate) aggregate: Arc<dyn Inner>,
    /// Told of what servers do wrong.
    pub(crate) report: &'a Report,
    /// What holds while secrets that are elsewhere are believed.
    pub(crate) leases: &'a Leases,
    /// Upstreams of before, kept where nothing about them has changed.
    pub(crate) kept: Upstreams,
}

impl Workshop<'_> {
    /// What holds while the secrets of this part of the file are believed.
    fn lease(&self, checked: &Checked, owner: &str) -> Lease {
        self.leases.of(owner, &checked.borrowing)
    }
}

/// What was assembled.
pub(crate) struct Assembled {
    pub(crate) live: Live,
    pub(crate) trusted: Vec<Trusted>,
    /// Each upstream with the fingerprint of its configuration.
    pub(crate) upstreams: Upstreams,
}

/// Builds it all, or says why it cannot be.
pub(crate) fn assemble(checked: &Checked, workshop: &Workshop<'_>) -> anyhow::Result<Assembled> {
    let (written, policy) = policy::policy(checked)?;
    let (own, egress) = (own_issuer(checked), Arc::new(Egress::new(&checked.egress)));
    let sign_ins = sign_ins(checked, (workshop, &egress))?;
    let beside = Beside {
        workshop,
        own: &own,
        egress: &egress,
        sign_ins: &sign_ins,
    };
    let mut servers = HashMap::new();
    let mut upstreams = Upstreams::new();
    for (name, server) in &checked.servers {
        let name: Arc<str> = name.as_str().into();
        let rules = rules_of((checked, &policy), &name, server);
        servers.insert(Arc::clone(&name), rules);
        let upstream = behind(checked, (&name, server), &beside)?;
        upstreams.insert(name, upstream);
    }
    if let Some(audience) = &checked.gateway.aggregate {
        let name: Arc<str> = AGGREGATE.into();
        let rules = rules_of_all((checked, &policy), &name, audience);
        servers.insert(Arc::clone(&name), rules);
        upstreams.insert(Arc::clone(&name), all_together(workshop, &name));
    }
    let live = Live {
        policy: policy.hash().into(),
        rules: Rules {
            policy: Arc::new(policy),
            servers,
            elevations: Arc::default(),
            sessions: sessions(&checked.sessions),
            view: view(checked.audit.arguments),
        },
        edge: edge(checked),
        admin_edge: admin_edge(checked.gateway.admin.port()),
        upstreams: by_name(&upstreams),
        own_headers: own_headers(checked),
        written: Arc::new(written),
        book: Arc::new(Book::of(checked)),
        office: office(checked)?,
        review_every: checked.review.as_ref().map(|review| review.every),
        signals: Arc::new(receivers(checked, workshop)?),
        sign_ins,
        directories: Arc::new(directories(checked, workshop)),
        authority: authority::authority(checked, (workshop, &egress))?,
        published: published(checked, workshop.signers)?,
        turns: Arc::new(Turns::of(checked)),
        misuse: checked.misuse.clone(),
        atlas: Atlas::of(checked)?.map(Arc::new),
        body_bytes: checked.limits.body_bytes,
        body_timeout: checked.limits.body_timeout,
    };
    Ok(Assembled {
        live,
        trusted: all_trusted(checked, workshop)?,
        upstreams,
    })
}

/// The upstream of a server with the fingerprint of its configuration: that of before, if nothing about it has changed.
fn behind(
    checked: &Checked,
    (name, server): (&Arc<str>, &config::Server),
    beside: &Beside<'_>,
) -> anyhow::Result<(String, Arc<Upstream>)> {
    let lease = beside.workshop.lease(checked, &format!("servers.{name}"));
    let fingerprint = fingerprint(server, (beside.own, &checked.egress, &lease));
    let kept = beside.workshop.kept.get(name);
    if let Some((_, kept)) = kept.filter(|(before, _)| *before == fingerprint) {
        return Ok((fingerprint, Arc::clone(kept)));
    }
    let made = upstream(name, server, (beside, lease));
    let made = made.with_context(|| format!("server {name}"))?;
    Ok((fingerprint, Arc::new(made)))
}

const fn view(arguments: config::Arguments) -> View {
    match arguments {
        config::Arguments::Redacted => View::Redacted,
        config::Arguments::Digest => View::Digest,
    }
}

/// The embedded issuer's name: the gateway's own URL.
pub(crate) fn own_issuer(checked: &Checked) -> String {
    checked.gateway.public_url.to_string()
}

fn rules_of(
    (checked, policy): (&Checked, &Policy),
    name: &Arc<str>,
    server: &config::Server,
) -> Server {
    let issuers = server
        .issuers
        .iter()
        .filter_map(|issuer| checked.issuers.get(issuer));
    let tool_scopes: HashMap<String, Vec<String>> = server
        .tools
        .iter()
        .filter(|(_, tool)| !tool.scopes.is_empty())
        .map(|(tool, rules)| (tool.clone(), rules.scopes.iter().cloned().collect()))
        .collect();
    let needed = scopes::needed(std::iter::once(server));
    let public = &checked.gateway.public_url;
    Server {
        gate: Gate {
            resource: Resource {
                server: Arc::clone(name),
                audience: server.audience.clone(),
                metadata_url: format!(
                    "{}/.well-known/oauth-protected-resource{}/servers/{name}/mcp",
                    public.origin(),
                    public.path().trim_end_matches('/')
                ),
                issuers: issuers.map(|issuer| issuer_name(checked, issuer)).collect(),
                max_lifetime: server.max_token_lifetime,
                scopes: server.scopes.iter().cloned().collect(),
                scopes_of_use: scopes::of_use(checked, (&needed, policy), server.issuers.iter()),
                scopes_supported: needed.into_iter().collect(),
                url: public.below(&format!("/servers/{name}/mcp")),
                dpop: server.dpop,
                mtls: server.mtls,
                needs_nonce: server.dpop_nonce,
                upstream_audience: (server.credentials.as_ref())
                    .map(|credentials| credentials.audience.clone()),
                exchanges: exchanges(server),
            },
            tool_scopes,
            strengths: strengths(server),
            privileged: privileged(server),
            tenants: tenants_of(checked, name),
            is_aggregate: false,
        },
        quota: quota_of(&checked.quota, &server.tools),
        terms: server.terms,
        approvers: named(&server.approvers),
        contents: server.contents.clone(),
    }
}

/// An issuer as its tokens name it.
pub(crate) fn issuer_name(checked: &Checked, issuer: &config::Issuer) -> String {
    match issuer {
        config::Issuer::Embedded { .. } => own_issuer(checked),
        config::Issuer::External(external) => external.issuer.clone(),
    }
}

fn all_trusted(checked: &Checked, workshop: &Workshop<'_>) -> anyhow::Result<Vec<Trusted>> {
    let egress = Arc::new(Egress::new(&checked.egress));
    let issuers = checked.issuers.iter();
    let trusted = issuers.map(|(name, issuer)| {
        let lease = workshop.lease(checked, &format!("issuers.{name}"));
        let mut trusted = trusted(checked, issuer, lease, (workshop, &egress))?;
        trusted.issuer.claims.membership = membership(checked, name);
        Ok(trusted)
    });
    trusted.collect()
}

fn trusted(
    checked: &Checked,
    issuer: &config::Issuer,
    lease: Lease,
    (workshop, egress): (&Workshop<'_>, &Arc<Egress>),
) -> anyhow::Result<Trusted> {
    let name = issuer_name(checked, issuer);
    Ok(match issuer {
        config::Issuer::Embedded { max_lifetime } => Trusted {
            issuer: Issuer {
                issuer: name,
                algorithms: vec![Algorithm::EdDSA],
                token_types: vec!["at+jwt".to_owned()],
                max_lifetime: *max_lifetime,
                skew: OWN_SKEW,
                claims: authority::own_claims(checked),
                lookalikes: Vec::new(),
                introspection: Introspection::Never,
            },
            source: Source::Embedded(Arc::clone(&workshop.signers.issuer)),
        },
        config::Issuer::External(external) => Trusted {
            issuer: Issuer {
                issuer: name,
                algorithms: external.algorithms.iter().copied().map(algorithm).collect(),
                token_types: external
                    .token_types
                    .iter()
                    .map(|kind| kind.name().to_ascii_lowercase())
                    .collect(),
                max_lifetime: external.max_lifetime,
                skew: external.skew,
                claims: external.claims.clone(),
                lookalikes: lookalikes(external),
                introspection: introspection(external),
            },
            source: Source::Remote {
                jwks: external.jwks_uri.clone(),
                desk: desk(external, lease)?,
                egress: Arc::clone(egress),
                tls: client_for(
                    external.issuer.starts_with("https://"),
                    &external.trust,
                    Peer::Issuer(external.issuer.clone()),
                    workshop.report,
                )?,
            },
        },
    })
}

const fn algorithm(name: config::Algorithm) -> Algorithm {
    match name {
        config::Algorithm::Rs256 => Algorithm::RS256,
        config::Algorithm::Rs384 => Algorithm::RS384,
        config::Algorithm::Rs512 => Algorithm::RS512,
        config::Algorithm::Ps256 => Algorithm::PS256,
        config::Algorithm::Ps384 => Algorithm::PS384,
        config::Algorithm::Ps512 => Algorithm::PS512,
        config::Algorithm::Es256 => Algorithm::ES256,
        config::Algorithm::Es384 => Algorithm::ES384,
        config::Algorithm::EdDsa => Algorithm::EdDSA,
    }
}
