//! Reload: on SIGHUP, or when one of the files has changed and all have stayed so for a moment. A bad one keeps the
//! old rules.

use super::certificate::{certificate, of_admin};
use super::{Files, Loaded, Reread, Running};
use crate::acme;
use crate::alerts::{self, Destination};
use crate::assemble::{Assembled, Upstreams, Workshop, assemble};
use crate::config::Checked;
use crate::confining;
use crate::record::{note, note_closed_in_turn};
use crate::relay::Gateway;
use crate::secrets::{self, Keeping};
use crate::tls::{Expiry, Facing, expiries};
use crate::upstream::Upstream;
use futures_util::future::join_all;
use portcullis_audit::Record;
use portcullis_core::session::Closed;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// For so long nothing must have changed.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// Keeps what was read up to date until the gateway drains: the file and all that it names, and secrets of elsewhere.
pub(super) fn keep_up(running: &Arc<Running>, files: Files, reread: Reread) {
    let gateway = &running.gateway;
    let changed = Arc::clone(&gateway.reread);
    gateway.tasks.spawn(secrets::keep(Keeping {
        borrowing: running.borrowing.subscribe(),
        leases: Arc::clone(&running.leases),
        recorder: gateway.recorder.clone(),
        changed: Arc::clone(&changed),
        drain: gateway.drain.clone(),
    }));
    // It is heard from now on, not from when the task gets its turn.
    let hangup = signal(SignalKind::hangup());
    let told = (changed, gateway.drain.clone(), hangup);
    let watching = watch(Arc::clone(running), files, reread, told);
    gateway.tasks.spawn(watching);
}

/// Watches until the gateway drains.
async fn watch(
    running: Arc<Running>,
    files: Files,
    reread: Reread,
    (changed, drain, hangup): (Arc<Notify>, CancellationToken, io::Result<Signal>),
) {
    let Ok(mut hangup) = hangup else {
        return tracing::error!("SIGHUP cannot be heard: no reload");
    };
    let mut ticks = interval(DEBOUNCE);
    let mut loaded = files;
    let mut seen = loaded.clone();
    loop {
        let is_asked = tokio::select! {
            () = drain.cancelled() => return,
            _ = hangup.recv() => true,
            () = changed.notified() => true,
            _ = ticks.tick() => false,
        };
        let now = loaded.now();
        let is_settled = now == seen && now != loaded;
        seen = now;
        if is_asked || is_settled {
            // What is watched from now on is what was read, even if it was refused: that is what will be mended.
            loaded = reload(&running, &reread).await.unwrap_or(loaded);
            seen = loaded.clone();
        }
    }
}

/// All that takes the place of what is there.
struct Next {
    assembled: Assembled,
    facing: Option<Facing>,
    told: Vec<Destination>,
    admin_facing: Option<Facing>,
    expiries: Vec<Expiry>,
}

fn next(running: &Running, checked: &Checked) -> anyhow::Result<Next> {
    let kept = running
        .upstreams
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let door = running.door.as_ref();
    let shown = door
        .map(|door| Arc::clone(door.shown()))
        .unwrap_or_default();
    let admin_door = running.admin_door.as_ref();
    let admin_shown = admin_door.map(|door| Arc::clone(door.shown()));
    let workshop = Workshop {
        aggregate: running.aggregate.clone(),
        signers: &running.signers,
        sign_ins: &running.gateway.sign_ins,
        tasks: &running.gateway.tasks,
        report: &running.report,
        kept,
        leases: &running.leases,
    };
    Ok(Next {
        told: alerts::destinations(checked, &running.leases, &running.report)?,
        facing: Facing::of(checked, certificate(checked)?, &shown)?,
        admin_facing: Facing::of_admin(
            checked,
            of_admin(checked)?,
            &admin_shown.unwrap_or_default(),
        )?,
        expiries: expiries(checked),
        assembled: assemble(checked, &workshop)?,
    })
}

/// Reads all again and, if it is good, puts it in place; gives the files that were read.
async fn reload(running: &Running, reread: &Reread) -> Option<Files> {
    let (asked, reread) = (Instant::now(), Arc::clone(reread));
    // Secrets that are elsewhere may let us wait.
    let reading = tokio::task::spawn_blocking(move || reread()).await;
    let Loaded {
        checked,
        files,
        reads,
    } = reading.ok()?;
    for read in &reads {
        note(&running.gateway.recorder, read.record());
    }
    let next = match checked {
        Err(problems) => Err(problems.to_string()),
        Ok(checked) => confining::rehearse_all(&checked)
            .and_then(|()| next(running, &checked))
            .map(|next| (next, acme::Wanted::by(&checked), checked.borrowing))
            .map_err(|error| format!("{error:#}")),
    };
    match next {
        Err(why) => rejected(running, &why),
        Ok((next, wanted, borrowing)) => {
            running.leases.renew_all(&borrowing, asked);
            if let Err(error) = replace(running, next).await {
                rejected(running, &format!("{error:#}"));
            } else {
                running.wanted.send_replace(wanted);
                running.borrowing.send_replace(Arc::new(borrowing));
            }
        }
    }
    Some(files)
}

fn rejected(running: &Running, why: &str) {
    tracing::error!("the configuration was not reloaded, the old rules stay:\n{why}");
    let mut record = Record::new("config.rejected");
    record.detail.set("problem", why);
    note(&running.gateway.recorder, record);
}

async fn replace(running: &Running, next: Next) -> anyhow::Result<()> {
    let gateway = &running.gateway;
    let Assembled {
        live,
        trusted,
        upstreams,
    } = next.assembled;
    running.alerts.replace(next.told).await?;
    let policy = gateway.put(live)?;
    let mut record = Record::new("config.reloaded");
    record.detail.set("policy", &*policy);
    if let (Some(door), Some(facing)) = (&running.door, next.facing)
        && door.replace(facing)
    {
        record.detail.set("certificate", "replaced");
    }
    if let (Some(door), Some(facing)) = (&running.admin_door, next.admin_facing) {
        door.replace(facing);
    }
    gateway.issuers.install(trusted);
    gateway.keep_polling();
    let before = {
        let mut held = running
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, upstreams)
    };
    let (gone, over) = replaced(gateway, before);
    note(&gateway.recorder, record);
    running.expiries.replace(next.expiries, &gateway.recorder);
    tracing::info!("configuration reloaded");
    for (upstream, closed) in over {
        note_closed_in_turn(&gateway.recorder, &closed).await;
        gateway.goodbye(&upstream, closed);
    }
    // The rules hold already. What may take long must not hold up the next reload.
    let refreshing = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        let stopping = join_all(gone.iter().map(|upstream| upstream.stop()));
        tokio::join!(
            stopping,
            refreshing.issuers.refresh_all(),
            refreshing.end_strangers()
        );
    });
    Ok(())
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
            old.reloaded();
            continue;
        }
        gateway.state.mirrored.forget(&name);
        let closed = gateway.state.sessions.end_of(&name, "reloaded");
        over.extend(closed.into_iter().map(|closed| (Arc::clone(&old), closed)));
        gone.push(old);
    }
    (gone, over)
}
