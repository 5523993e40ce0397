//! The listeners: one for clients, one that tells how the gateway is, one for operators.

use super::{Running, descriptors};
use crate::config::Checked;
use crate::listener::{Bounds, Serving, accept, admin};
use crate::shards::Shards;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Connections that operators may have open.
const ADMIN_CONNECTIONS: usize = 64;

/// Sockets that are already bound.
pub(super) struct Sockets {
    pub(super) clients: std::net::TcpListener,
    pub(super) health: std::net::TcpListener,
    /// That of the admin API, if there is one.
    pub(super) api: Option<std::net::TcpListener>,
}

/// Serves all of them; connections end when what is given back is dropped.
pub(super) fn serve(
    checked: &Checked,
    sockets: Sockets,
    running: &Running,
) -> anyhow::Result<Arc<Shards>> {
    let gateway = &running.gateway;
    let bounds = Bounds {
        connections: descriptors::connections(checked.limits.connections),
        head: checked.limits.header_timeout,
    };
    let shards = Arc::new(Shards::start()?);
    let serving = Serving {
        tasks: gateway.serving.clone(),
        shards: Arc::clone(&shards),
        drain: gateway.drain.clone(),
    };
    let answering = Arc::clone(gateway);
    let answer = move |request, peer| Arc::clone(&answering).answer(request, peer);
    let refusing = Arc::clone(gateway);
    let unread = move |why, peer| refusing.unread(why, peer);
    gateway.tasks.spawn(accept(
        tokio_listener(sockets.clients)?,
        running.door.clone(),
        bounds,
        serving.clone(),
        (answer, unread.clone()),
    ));
    let bounds = Bounds {
        connections: ADMIN_CONNECTIONS,
        ..bounds
    };
    if let Some(api) = sockets.api {
        let answering = Arc::clone(gateway);
        let answer = move |request, peer| Arc::clone(&answering).operate(request, peer);
        gateway.tasks.spawn(accept(
            tokio_listener(api)?,
            running.admin_door.clone(),
            bounds,
            serving.clone(),
            (answer, unread.clone()),
        ));
    }
    let answering = Arc::clone(gateway);
    let answer = move |request, peer: SocketAddr| {
        let gateway = Arc::clone(&answering);
        async move { admin::answer(&gateway, &request, peer) }
    };
    gateway.tasks.spawn(accept(
        tokio_listener(sockets.health)?,
        None,
        bounds,
        serving,
        (answer, unread),
    ));
    Ok(shards)
}

/// The only one of its socket: when it is dropped, the system refuses whoever comes.
fn tokio_listener(listener: std::net::TcpListener) -> anyhow::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}
