//! Reload: on SIGHUP, or when the file has changed and stayed so for a moment. A bad file keeps the old rules.

use super::Reread;
use super::Running;
use crate::assemble::{Assembled, Upstreams, Workshop, assemble};
use crate::record::{note, note_closed_in_turn};
use crate::relay::Gateway;
use crate::upstream::Upstream;
use futures_util::future::join_all;
use portcullis_audit::Record;
use portcullis_core::session::Closed;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

/// A change must have stayed for so long.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// Watches until the gateway drains.
pub(super) async fn watch(
    running: Arc<Running>,
    file: PathBuf,
    reread: Reread,
    drain: CancellationToken,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return tracing::error!("SIGHUP cannot be heard: no reload");
    };
    let mut ticks = interval(DEBOUNCE);
    let mut loaded = stamp(&file);
    let mut seen = loaded;
    loop {
        let is_asked = tokio::select! {
            () = drain.cancelled() => return,
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        let now = stamp(&file);
        let is_settled = now == seen && now != loaded;
        seen = now;
        if is_asked || is_settled {
            loaded = now;
            reload(&running, &reread).await;
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

async fn reload(running: &Running, reread: &Reread) {
    let gateway = &running.gateway;
    let assembled = match reread() {
        Err(problems) => Err(problems.to_string()),
        Ok(checked) => {
            let kept = running
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let workshop = Workshop {
                aggregate: running.aggregate.clone(),
                key: &running.key,
                tasks: &gateway.tasks,
                report: &running.report,
                kept,
            };
            assemble(&checked, &workshop).map_err(|error| format!("{error:#}"))
        }
    };
    match assembled {
        Err(why) => {
            tracing::error!("the configuration was not reloaded, the old rules stay:\n{why}");
            let mut record = Record::new("config.rejected");
            record.detail.set("problem", why.as_str());
            note(&gateway.recorder, record);
        }
        Ok(Assembled {
            live,
            trusted,
            upstreams,
        }) => {
            let mut record = Record::new("config.reloaded");
            record.detail.set("policy", &*live.policy);
            gateway.live.store(Arc::new(live));
            gateway.issuers.install(trusted);
            let before = {
                let mut held = running
                    .upstreams
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *held, upstreams)
            };
            let (gone, over) = replaced(gateway, before);
            note(&gateway.recorder, record);
            tracing::info!("configuration reloaded");
            for (upstream, closed) in over {
                note_closed_in_turn(&gateway.recorder, &closed).await;
                gateway.goodbye(&upstream, closed);
            }
            // The rules hold already. What may take long must not hold up the next reload.
            let refreshing = Arc::clone(gateway);
            gateway.tasks.spawn(async move {
                let stopping = join_all(gone.iter().map(|upstream| upstream.stop()));
                tokio::join!(stopping, refreshing.issuers.refresh_all());
            });
        }
    }
}

/// An upstream that is there no more, and a session with it that is over.
type Over = (Arc<Upstream>, Closed);

/// Ends the sessions with every upstream that is there no more, as another one does not know them; gives both.
fn replaced(gateway: &Gateway, before: Upstreams) -> (Vec<Arc<Upstream>>, Vec<Over>) {
    let now = gateway.live.load_full();
    let (mut gone, mut over) = (Vec::new(), Vec::new());
    for (name, (_, old)) in before {
        let new = now.upstreams.get(&name);
        if new.is_some_and(|new| Arc::ptr_eq(new, &old)) {
            continue;
        }
        gateway.state.mirrored.forget(&name);
        let closed = gateway.state.sessions.end_of(&name, "reloaded");
        over.extend(closed.into_iter().map(|closed| (Arc::clone(&old), closed)));
        gone.push(old);
    }
    (gone, over)
}
