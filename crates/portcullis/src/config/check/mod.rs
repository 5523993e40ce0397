//! Is what is written safe and whole? From `raw` to `checked`.

mod gateway;
mod certificate;
mod issuers;
mod presets;
mod claims;
mod implied;
mod declared;
mod signals;
mod scim;
mod introspection;
mod servers;
mod sandbox;
mod binding;
mod step_up;
mod approval;
mod upstream;
mod credentials;
mod trust;
mod grants;
mod zones;
mod tenants;
mod admin;
mod catalog;
mod inspect;
mod misuse;
mod alerts;
mod review;
mod authority;
mod registration;
mod secrets;
mod keepers;
mod pkcs11;
mod keys;
mod desk;

use super::checked::{Checked, Proof};
use super::egress::egress;
use super::problem::{Place, Problem, Source};
use super::raw::Raw;

pub(crate) use desk::Fetch;
pub(super) use desk::{Desk, World};
pub(super) use issuers::Issuers;
pub(super) use servers::scopes;

/// Judges the whole file; `problems` is what its shape has already shown.
///
/// # Errors
/// Every problem of the file.
#[expect(
    clippy::too_many_lines,
    reason = "one line for each table, in the order in which one looks at another"
)]
pub(super) fn file(
    raw: Raw,
    source: &Source<'_>,
    world: &World<'_>,
    problems: Vec<Problem>,
) -> Result<Checked, Vec<Problem>> {
    let mut desk = Desk::new(source, world, problems);
    let written = keepers::Written {
        secrets: raw.secrets,
        vaults: raw.vaults,
        azure: raw.azure_key_vault,
    };
    let ttl = keepers::keepers(&mut desk, written);
    let gateway = gateway::gateway(&mut desk, raw.gateway);
    let (limits, upstream) = gateway::limits(&mut desk, raw.limits);
    let sessions = gateway::sessions(&mut desk, raw.sessions);
    let quota = gateway::quota(&mut desk, raw.quota);
    let audit = gateway.as_ref();
    let audit = audit.map(|gateway| gateway::audit(&mut desk, raw.audit, gateway));
    let collector = collector(&mut desk, raw.telemetry);
    let pkcs11 = raw.pkcs11.and_then(|raw| pkcs11::pkcs11(&mut desk, raw));
    let rotate_every = keys::keys(&mut desk, raw.keys, pkcs11.as_ref());
    let egress = egress(&mut desk, raw.egress);
    let catalog = catalog::catalog(&mut desk, &raw.catalog);
    let (misuse, places) = misuse::misuse(&mut desk, raw.misuse);
    let alerts = alerts::alerts(&mut desk, raw.alerts);
    let mut issuers = issuers::issuers(&mut desk, raw.issuers);
    let authority = raw.authority.as_ref();
    issuers.vouch = authority.is_some_and(|authority| authority.sign_in.is_some());
    let (servers, mut grants) = servers::servers(
        &mut desk,
        raw.servers,
        &servers::Around {
            gateway: gateway.as_ref(),
            issuers: &issuers,
            upstream,
            catalog,
        },
    );
    keys::own_keys(&mut desk, pkcs11.as_ref(), &servers.known);
    grants.extend(grants::grants(&mut desk, raw.grants, &servers));
    let boundaries = grants::boundaries(&mut desk, raw.boundary, &servers, &issuers);
    let known = (gateway.as_ref(), &issuers, &servers);
    let (tenants, admin) = admin::shared(&mut desk, (raw.tenants, raw.admin), known);
    let zones = zones::zones(&mut desk, raw.zones);
    let review = review::review(&mut desk, raw.review, &issuers);
    let around = (gateway.as_ref(), &issuers);
    let authority = authority::authority(&mut desk, raw.authority, around);
    if authority.is_none() {
        approval::expect_authority(&mut desk, &servers);
    }
    let policies = grants::policies(&mut desk, &raw.policy.files);

    let borrowing = secrets::borrowing(&mut desk, ttl);
    let vaults = desk.keepers.vaults.values().cloned().collect();

    match (gateway, audit, desk.into_problems()) {
        (Some(gateway), Some(audit), problems) if problems.is_empty() => Ok(Checked {
            gateway,
            limits,
            sessions,
            quota,
            audit,
            collector,
            pkcs11,
            rotate_every,
            egress,
            misuse,
            places,
            alerts,
            issuers: issuers.known,
            servers: servers.known,
            policies,
            zones,
            grants,
            boundaries,
            tenants,
            admin,
            review,
            authority,
            borrowing,
            vaults,
            _proof: Proof(()),
        }),
        (_, _, problems) => Err(problems),
    }
}

/// What collectors must show. Whether they are asked over TLS is said elsewhere.
fn collector(desk: &mut Desk<'_>, raw: super::raw_trust::Telemetry) -> Box<super::Trust> {
    let written = trust::Written {
        crl: raw.crl,
        ocsp: raw.ocsp,
        pins: raw.pins,
        ..trust::Written::default()
    };
    let place = Place::default().key("telemetry");
    trust::for_https(desk, &place, written)
}
