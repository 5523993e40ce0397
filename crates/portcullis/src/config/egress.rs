//! Where other parties may send the gateway: as it is written, and checked.

use super::bounds;
use super::check::Desk;
use super::problem::Place;
use portcullis_core::egress::Allowance;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::SocketAddr;

/// Where servers and issuers may send the gateway by URLs that they name, such as the metadata of an authorization
/// server. Without this: `https` on port 443 to addresses of the Internet, and the origin that you wrote yourself.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Places inside to open: addresses (`127.0.0.1`), ranges (`10.1.0.0/16`) and names (`login.internal.example`, or
    /// with the one port `login.internal.example:8443`). A name may then have loopback and private addresses.
    /// To what is named here, other ports than 443 are allowed, and on loopback plain `http`.
    #[serde(default)]
    pub(super) allow: Vec<String>,
    /// The DNS server that is asked about such names, over TCP: an address and port such as `192.0.2.53:53`.
    /// Default: what the machine uses.
    pub(super) resolver: Option<String>,
}

/// Where other parties may send the gateway.
#[derive(Debug)]
pub(crate) struct Egress {
    /// Besides the Internet.
    pub(crate) allow: Allowance,
    /// The same, as it is written.
    pub(crate) written: Vec<String>,
    /// Who is asked about names, if not the machine.
    pub(crate) resolver: Option<SocketAddr>,
}

pub(super) fn egress(desk: &mut Desk<'_>, raw: Raw) -> Egress {
    let place = Place::default().key("egress");
    let mut allow = Allowance::default();
    if raw.allow.len() > bounds::MAX_ALLOWED {
        desk.refuse(
            &place.key("allow"),
            &format!("too many places: at most {}", bounds::MAX_ALLOWED),
        );
    }
    for (index, entry) in raw.allow.iter().take(bounds::MAX_ALLOWED).enumerate() {
        if let Err(problem) = allow.add(entry) {
            desk.refuse_with(
                &place.key("allow").at(index),
                &problem.to_string(),
                "write it as in \"login.internal.example\", \"10.1.2.3\" or \"10.1.0.0/16\"",
            );
        }
    }
    let resolver = raw.resolver.as_deref().and_then(|text| {
        let address: Option<SocketAddr> = text.parse().ok();
        let address = address.filter(|address| address.port() != 0);
        if address.is_none() {
            desk.refuse_with(
                &place.key("resolver"),
                "not an IP address and port",
                "write it as in \"192.0.2.53:53\"",
            );
        }
        address
    });
    Egress {
        allow,
        written: raw.allow,
        resolver,
    }
}
