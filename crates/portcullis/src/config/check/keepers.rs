//! Who keeps secrets that are elsewhere, and how we sign in there.

use super::desk::Desk;
use super::secrets::is_segment;
use super::trust::{Written as Trusted, trust};
use crate::config::borrowed::{Azure, Identity, SignIn, Vault};
use crate::config::bounds;
use crate::config::checked::ServerName;
use crate::config::problem::Place;
use crate::config::raw;
use crate::config::url::HttpUrl;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What references can be resolved with.
#[derive(Default)]
pub(super) struct Keepers {
    pub(super) vaults: BTreeMap<String, Arc<Vault>>,
    pub(super) azure: Option<Arc<Azure>>,
    /// Whether something is written about them that was refused already.
    pub(super) is_spoilt: bool,
}

/// What the file says of secrets that are elsewhere.
pub(super) struct Written {
    pub(super) secrets: raw::Secrets,
    pub(super) vaults: BTreeMap<String, raw::Vault>,
    pub(super) azure: Option<raw::AzureKeyVault>,
}

/// Reads who keeps secrets; the references of the rest of the file can be resolved after that. Gives how long a
/// secret is believed.
pub(super) fn keepers(desk: &mut Desk<'_>, written: Written) -> Duration {
    let place = Place::default().key("secrets");
    let ttl = desk.span(&place.key("ttl"), written.secrets.ttl, &bounds::SECRET_TTL);
    let mut keepers = Keepers::default();
    let place = Place::default().key("vaults");
    for (name, raw) in written.vaults {
        match vault(desk, &place.key(&name), &name, raw) {
            Some(vault) => {
                keepers.vaults.insert(name, Arc::new(vault));
            }
            None => keepers.is_spoilt = true,
        }
    }
    if let Some(raw) = written.azure {
        keepers.azure = azure(desk, raw).map(Arc::new);
        keepers.is_spoilt |= keepers.azure.is_none();
    }
    desk.keepers = keepers;
    ttl
}

fn vault(desk: &mut Desk<'_>, place: &Place, name: &str, raw: raw::Vault) -> Option<Vault> {
    if ServerName::parse(name).is_none() {
        desk.refuse(
            place,
            "a vault's name has up to 32 lower-case letters, digits and hyphens, the first no hyphen",
        );
    }
    let address = required(desk, place, "address", raw.address)
        .and_then(|text| desk.url(&place.key("address"), &text));
    if address
        .as_ref()
        .is_some_and(|url| url.path() != "/" || url.query().is_some())
    {
        desk.refuse(&place.key("address"), "only scheme, host and port");
    }
    let written = Trusted {
        ca: raw.ca,
        crl: raw.crl,
        ocsp: raw.ocsp,
        pins: raw.pins,
        ..Trusted::default()
    };
    let is_https = address.as_ref().is_none_or(HttpUrl::is_https);
    let trust = trust(desk, place, written, is_https);
    let namespace = raw.namespace.filter(|name| !name.is_empty());
    if namespace
        .as_deref()
        .is_some_and(|name| !name.split('/').all(is_segment))
    {
        desk.refuse(&place.key("namespace"), "not a namespace");
    }
    let sign_in = sign_in(desk, place, (raw.token, raw.app_role, raw.kubernetes));
    Some(Vault {
        name: name.to_owned(),
        address: address?,
        trust,
        namespace,
        sign_in: sign_in?,
    })
}

/// The ways to sign in that are written.
type Ways = (
    Option<raw::Reference>,
    Option<raw::AppRole>,
    Option<raw::Kubernetes>,
);

fn sign_in(desk: &mut Desk<'_>, place: &Place, written: Ways) -> Option<SignIn> {
    match written {
        (Some(token), None, None) => {
            let place = place.key("token");
            let token = desk.local(&place, token)?;
            line(desk, &place, token.expose()).then_some(SignIn::Token(token))
        }
        (None, Some(raw), None) => app_role(desk, &place.key("app_role"), raw),
        (None, None, Some(raw)) => kubernetes(desk, &place.key("kubernetes"), raw),
        (None, None, None) => {
            desk.refuse_missing(
                place,
                "neither `token` nor `app_role` nor `kubernetes`",
                "write token = { file = \"…\" }",
            );
            None
        }
        _ => {
            desk.refuse_with(
                place,
                "more than one way to sign in",
                "keep one of `token`, `app_role` and `kubernetes`",
            );
            None
        }
    }
}

fn app_role(desk: &mut Desk<'_>, place: &Place, raw: raw::AppRole) -> Option<SignIn> {
    let role = required(desk, place, "role_id", raw.role_id);
    if raw.secret_id.is_none() {
        desk.refuse_missing(place, "no `secret_id`", "write { file = \"…\" }");
    }
    let secret = raw
        .secret_id
        .and_then(|secret| desk.local(&place.key("secret_id"), secret));
    let mount = mount(desk, place, raw.mount, bounds::APP_ROLE_MOUNT);
    Some(SignIn::AppRole {
        role: role?,
        secret: secret?,
        mount: mount?,
    })
}

fn kubernetes(desk: &mut Desk<'_>, place: &Place, raw: raw::Kubernetes) -> Option<SignIn> {
    let role = required(desk, place, "role", raw.role);
    let jwt = raw.jwt.as_deref().unwrap_or(bounds::SERVICE_ACCOUNT);
    let jwt = desk.path(&place.key("jwt"), jwt);
    let mount = mount(desk, place, raw.mount, bounds::KUBERNETES_MOUNT);
    Some(SignIn::Kubernetes {
        role: role?,
        jwt,
        mount: mount?,
    })
}

fn mount(
    desk: &mut Desk<'_>,
    place: &Place,
    written: Option<String>,
    default: &str,
) -> Option<String> {
    let mount = written.unwrap_or_else(|| default.to_owned());
    let is_good = mount.split('/').all(is_segment);
    if !is_good {
        desk.refuse(&place.key("mount"), "not a mount");
    }
    is_good.then_some(mount)
}

fn azure(desk: &mut Desk<'_>, mut raw: raw::AzureKeyVault) -> Option<Azure> {
    let place = &Place::default().key("azure_key_vault");
    let written = Trusted {
        ca: raw.ca.take(),
        crl: raw.crl.take(),
        ocsp: raw.ocsp.take(),
        pins: raw.pins.take(),
        ..Trusted::default()
    };
    let trust = trust(desk, place, written, true);
    let is_managed = raw.managed_identity.unwrap_or_default();
    let identity = if is_managed {
        managed(desk, place, raw)
    } else {
        application(desk, place, raw)
    };
    Some(Azure {
        identity: identity?,
        trust,
    })
}

fn managed(desk: &mut Desk<'_>, place: &Place, raw: raw::AzureKeyVault) -> Option<Identity> {
    for (key, is_written) in [
        ("tenant", raw.tenant.is_some()),
        ("client_secret", raw.client_secret.is_some()),
        ("authority", raw.authority.is_some()),
    ] {
        if is_written {
            desk.refuse_with(
                &place.key(key),
                "only without `managed_identity`",
                "remove it",
            );
        }
    }
    let endpoint = match raw.identity_endpoint {
        Some(text) => desk.url(&place.key("identity_endpoint"), &text),
        None => Some(HttpUrl::instance_metadata()),
    };
    Some(Identity::Managed {
        endpoint: endpoint?,
        client: raw.client_id,
    })
}

fn application(desk: &mut Desk<'_>, place: &Place, raw: raw::AzureKeyVault) -> Option<Identity> {
    if raw.identity_endpoint.is_some() {
        let place = place.key("identity_endpoint");
        desk.refuse_with(&place, "only with `managed_identity = true`", "remove it");
    }
    let tenant = required(desk, place, "tenant", raw.tenant);
    let client = required(desk, place, "client_id", raw.client_id);
    if raw.client_secret.is_none() {
        desk.refuse_missing(
            place,
            "neither `client_secret` nor `managed_identity`",
            "write client_secret = { file = \"…\" }, or managed_identity = true",
        );
    }
    let secret = raw
        .client_secret
        .and_then(|secret| desk.local(&place.key("client_secret"), secret));
    let authority = raw.authority.as_deref().unwrap_or(bounds::ENTRA);
    let authority = desk.url(&place.key("authority"), authority)?;
    let tenant = tenant?;
    if !is_segment(&tenant) {
        desk.refuse(&place.key("tenant"), "not a tenant");
        return None;
    }
    let endpoint = authority.below(&format!("/{tenant}/oauth2/v2.0/token"));
    Some(Identity::Application {
        endpoint: desk.url(&place.key("authority"), &endpoint)?,
        client: client?,
        secret: secret?,
    })
}

/// Whether it can stand in a header.
fn line(desk: &mut Desk<'_>, place: &Place, text: &str) -> bool {
    let is_line = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_line {
        desk.refuse(
            place,
            "not a token: it is not one line of visible ASCII characters",
        );
    }
    is_line
}

fn required(
    desk: &mut Desk<'_>,
    place: &Place,
    key: &str,
    written: Option<String>,
) -> Option<String> {
    let text = written.filter(|text| !text.is_empty());
    if text.is_none() {
        desk.refuse_missing(place, &format!("no `{key}`"), "write it");
    }
    text
}
