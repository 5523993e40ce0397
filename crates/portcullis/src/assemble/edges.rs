//! By which names the listeners are reached.

use crate::config::Checked;
use crate::listener::Edge;

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
