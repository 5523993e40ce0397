//! By which names the listeners are reached, and which headers clients have no business with.

use crate::config::{Checked, Upstream};
use crate::listener::Edge;
use hyper::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use portcullis_core::route::aggregate::AGGREGATE;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those of clients.
pub(super) fn edge(checked: &Checked) -> Edge {
    Edge {
        hosts: checked.gateway.hosts.iter().cloned().collect(),
        origins: checked.gateway.origins.iter().cloned().collect(),
    }
}

/// The operators' own names: loopback, on their port.
pub(crate) fn admin_edge(port: u16) -> Edge {
    let hosts = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
    Edge {
        hosts: hosts.into(),
        origins: std::collections::HashSet::new(),
    }
}

/// The headers that a server is sent for its operator and that no client sends in good faith; for all servers, those of
/// each.
pub(super) fn own_headers(checked: &Checked) -> BTreeMap<Arc<str>, Vec<HeaderName>> {
    let mut own: BTreeMap<Arc<str>, Vec<HeaderName>> = BTreeMap::new();
    for (server, settings) in &checked.servers {
        let Upstream::Http(http) = &settings.upstream else {
            continue;
        };
        let names = http.headers.keys().filter_map(|name| name.parse().ok());
        for name in names.filter(|name| *name != AUTHORIZATION && *name != USER_AGENT) {
            let of_all = own.entry(AGGREGATE.into()).or_default();
            of_all.push(HeaderName::clone(&name));
            own.entry(server.as_str().into()).or_default().push(name);
        }
    }
    own
}
