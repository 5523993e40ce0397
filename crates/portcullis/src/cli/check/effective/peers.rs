//! Whom connections trust, what peers of ours are shown, and those beside issuers and servers.

use super::{Table, shown};
use crate::config::{
    Acme, Alerts, AlertsTo, Azure, Borrowing, Certificate, ClientCertificate, ExternalAccount,
    Identity, Pins, SignIn, Staple, SyslogBy, Tls, Trust, Vault, veil,
};
use portcullis_core::alert;

/// The keys that stand beside those of a peer.
pub(super) fn trust(table: &mut Table<'_>, trust: &Trust) {
    let Trust {
        ca,
        crl,
        staple,
        pins: held,
        client,
    } = trust;
    table.maybe("ca", ca.as_ref().map(|file| shown(&file.path)));
    table.maybe("crl", crl.as_ref().map(|file| shown(&file.path)));
    let staple = staple.map(|staple| match staple {
        Staple::Checked => "checked",
        Staple::Required => "required",
    });
    table.maybe("ocsp", staple);
    if let Some(held) = held {
        pins(&mut table.below("pins"), held);
    }
    if let Some(ClientCertificate { certificate, key }) = client {
        table.put("client_certificate", shown(&certificate.path));
        table.secret("client_key", key);
    }
}

fn pins(table: &mut Table<'_>, pins: &Pins) {
    let Pins { keys, expires } = pins;
    table.list("keys", keys.iter().map(ToString::to_string));
    table.put("expires", expires.to_string());
}

/// What whoever comes to us is shown.
pub(super) fn tls(table: &mut Table<'_>, tls: &Tls) {
    let Tls {
        certificate,
        client_ca,
        client_crl,
    } = tls;
    match certificate {
        Certificate::Files { chain, key } => {
            table.put("certificate", shown(&chain.path));
            table.secret("key", key);
        }
        Certificate::Acme(from) => acme(&mut table.below("acme"), from),
    }
    let lists = client_crl.as_ref().map(|file| shown(&file.path));
    table.maybe("client_crl", lists);
    table.maybe(
        "client_ca",
        client_ca.as_ref().map(|file| shown(&file.path)),
    );
}

fn acme(table: &mut Table<'_>, acme: &Acme) {
    let Acme {
        directory,
        names,
        contact,
        trust: of_server,
        external_account,
    } = acme;
    table.put("directory", directory.to_string());
    table.list("names", names);
    table.list("contact", contact);
    trust(table, of_server);
    if let Some(ExternalAccount { id, key }) = external_account {
        let mut table = table.below("external_account");
        table.put("id", id.as_str());
        table.secret("key", key);
    }
}

pub(super) fn alerts(table: &mut Table<'_>, alerts: &Alerts) {
    let Alerts {
        to,
        wanted,
        give_up_after,
    } = alerts;
    match to {
        AlertsTo::Webhook {
            url,
            secret,
            trust: of_receiver,
        } => {
            table.put("webhook", veil::url(&url.to_string()));
            table.secret("secret", secret);
            trust(table, of_receiver);
        }
        AlertsTo::Syslog { by, host, port } => {
            let scheme = match by {
                SyslogBy::Tls(of_receiver) => {
                    trust(table, of_receiver);
                    "tls"
                }
                SyslogBy::Tcp => "tcp",
                SyslogBy::Udp => "udp",
            };
            table.put("syslog", format!("{scheme}://{host}:{port}"));
        }
        AlertsTo::File(path) => table.put("file", shown(path)),
        AlertsTo::Stdout => {}
    }
    table.put("stdout", matches!(to, AlertsTo::Stdout));
    let alert::Wanted {
        least,
        events,
        per_minute,
        repeat_after,
    } = wanted;
    table.put("severity", least.ocsf().0.to_lowercase());
    table.list("events", events);
    table.put("per_minute", *per_minute);
    table.span("repeat_after", *repeat_after);
    table.span("give_up_after", *give_up_after);
}

/// How long what is elsewhere is believed, where each thing is, and how we sign in at Azure.
pub(super) fn borrowing(top: &mut Table<'_>, borrowing: &Borrowing) {
    let Borrowing { secrets, ttl } = borrowing;
    let mut table = top.below("secrets");
    table.span("ttl", *ttl);
    let mut table = table.below("read");
    for borrowed in secrets {
        table.put(&borrowed.key, borrowed.wanted.to_string());
    }
    let Some(Azure {
        identity,
        trust: of_azure,
    }) = borrowing.azure()
    else {
        return;
    };
    let mut table = top.below("azure_key_vault");
    match identity {
        Identity::Application {
            endpoint,
            client,
            secret,
        } => {
            table.put("authority", endpoint.to_string());
            table.put("client_id", client.as_str());
            table.secret("client_secret", secret);
        }
        Identity::Managed { endpoint, client } => {
            table.put("identity_endpoint", endpoint.to_string());
            table.maybe("client_id", client.as_deref());
        }
    }
    let is_managed = matches!(identity, Identity::Managed { .. });
    table.put("managed_identity", is_managed);
    trust(&mut table, of_azure);
}

pub(super) fn vault(table: &mut Table<'_>, vault: &Vault) {
    let Vault {
        name: _,
        address,
        trust: of_vault,
        namespace,
        sign_in,
    } = vault;
    table.put("address", address.to_string());
    table.maybe("namespace", namespace.as_deref());
    trust(table, of_vault);
    match sign_in {
        SignIn::Token(token) => table.secret("token", token),
        SignIn::AppRole {
            role,
            secret,
            mount,
        } => {
            let mut table = table.below("app_role");
            table.put("role_id", role.as_str());
            table.secret("secret_id", secret);
            table.put("mount", mount.as_str());
        }
        SignIn::Kubernetes { role, jwt, mount } => {
            let mut table = table.below("kubernetes");
            table.put("role", role.as_str());
            table.put("jwt", shown(jwt));
            table.put("mount", mount.as_str());
        }
    }
}
