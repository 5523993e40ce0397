//! From start to end of the process: open, serve, reload, drain.

mod home;
mod log;
mod certificate;
mod descriptors;
mod ended;
mod reload;
mod retention;
mod serving;
mod signals;
mod watched;

use crate::alerts::{self, Alerts};
use crate::assemble::{Upstreams, Workshop, assemble};
use crate::config::{Borrowing, Checked, Otlp};
use crate::export::Export;
use crate::flood::SUM_EVERY;
use crate::issuers::{Issuers, REFRESH};
use crate::keys::{self, LogKey, Signers};
use crate::record::{note, note_closed_in_turn, note_sums, reporter};
use crate::relay::{Aggregate, Asking, Directories, Feeds, Gateway, Readers};
use crate::resume::Seal;
use crate::reviews::Reviews;
use crate::revocations::{self, Revocations};
use crate::secrets::{Leases, Read};
use crate::sign_in::SignIns;
use crate::telemetry::Counters;
use crate::tls::{Door, Expiries};
use crate::upstream::Report;
use crate::{acme, authority, cataloguing, clock, confining, pinning, random};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
pub(crate) use home::Home;
pub(crate) use log::LOG_NAME;
use log::{open_log, started};
use portcullis_audit::{Record, Writer};
use portcullis_core::authenticate::Proofs;
use portcullis_core::misuse::Misuse;
use portcullis_core::pipeline::State;
use portcullis_core::quota::{Networks, Quota};
use portcullis_state::WrappingKeys;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use signals::{Hangup, told_again, told_to_end};
pub(crate) use watched::{Files, Loaded, load};

/// How often sessions and processes are looked through for what is over.
const REAP: Duration = Duration::from_secs(5);
/// How often it is looked at what comes to its end.
const EXPIRY: Duration = Duration::from_hours(1);
/// What servers have at least to end: the grace for closing stdin, the same for SIGTERM, and a little more.
const STOP: Duration = Duration::from_secs(5);
/// What a collector has at least to take what is left.
const FLUSH: Duration = Duration::from_secs(1);
/// How a configuration is read again.
pub(crate) type Reread = Arc<dyn Fn() -> Loaded + Send + Sync>;

/// What a gateway is started from.
pub(crate) struct Start {
    pub(crate) checked: Checked,
    /// The files that are watched, and how they are read again.
    pub(crate) source: Option<(Files, Reread)>,
    /// What was read elsewhere for it.
    pub(crate) reads: Vec<Read>,
    /// Sockets that are already bound.
    pub(crate) listener: std::net::TcpListener,
    pub(crate) admin: std::net::TcpListener,
    /// That of the admin API, if there is one.
    pub(crate) api: Option<std::net::TcpListener>,
    /// What is exported to collectors.
    pub(crate) otlp: Option<Otlp>,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Start(..)")
    }
}

/// The data path and all that must end with it.
pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) signers: Signers,
    pub(crate) report: Report,
    pub(crate) aggregate: Arc<Aggregate>,
    pub(crate) upstreams: Mutex<Upstreams>,
    /// What the listener has connections meet, with TLS.
    pub(crate) door: Option<Arc<Door>>,
    /// Who is told of alerts.
    pub(crate) alerts: Alerts,
    /// The same for operators.
    pub(crate) admin_door: Option<Arc<Door>>,
    /// Where our certificate is got from, if not from files.
    pub(crate) wanted: watch::Sender<Option<acme::Wanted>>,
    /// What has an end, and is told of before.
    pub(crate) expiries: Arc<Expiries>,
    /// What holds while secrets that are elsewhere are believed.
    pub(crate) leases: Arc<Leases>,
    /// Which those are.
    pub(crate) borrowing: watch::Sender<Arc<Borrowing>>,
    /// What signs the audit log, and what wraps other keys.
    pub(crate) own: (LogKey, WrappingKeys),
    writer: Mutex<Option<Writer>>,
}

/// Opens the audit log and the database, and builds the data path.
///
/// The database is in `shared`: processes with data directories of their own can have it in common.
#[expect(clippy::too_many_lines, reason = "one line for each part of what runs")]
pub(crate) async fn build(
    checked: &Checked,
    shared: &Home,
    otlp: Option<Otlp>,
) -> anyhow::Result<Running> {
    confining::rehearse_all(checked)?;
    let home = Home(checked.gateway.data.clone());
    home.prepare()?;
    let revocations = Revocations::open(&shared.state()).await?;
    let (recorder, writer, log_key) = open_log(checked, &home)?;
    let (tasks, report) = (TaskTracker::new(), reporter(recorder.clone()));
    let aggregate = Arc::new(Aggregate::default());
    let (signers, leases) = (
        Signers::open((shared, &home), checked)?,
        Arc::new(Leases::default()),
    );
    let wrapping = keys::within(&home.keys(), checked.pkcs11.as_ref())?;
    let sign_ins = SignIns::at(
        &revocations,
        (shared, &home),
        wrapping.clone(),
        (&report, &tasks),
    )
    .await?;
    let workshop = Workshop {
        leases: &leases,
        aggregate: aggregate.clone(),
        signers: &signers,
        sign_ins: &sign_ins,
        tasks: &tasks,
        report: &report,
        kept: Upstreams::new(),
    };
    let (built, counters) = (assemble(checked, &workshop)?, Counters::default());
    let export = exporting(checked, otlp, &counters, (&report, &tasks))?;
    let gateway = Arc::new(Gateway {
        live: ArcSwap::from_pointee(built.live),
        issuers: Issuers::with(recorder.clone(), built.trusted),
        state: state()?,
        asking: Asking::default(),
        operating: Quota::default(),
        reread: Arc::default(),
        catalog: cataloguing::catalog(revocations.durable().clone(), &signers.catalog),
        revocations,
        reviews: Reviews::of((shared, &home)),
        sign_ins,
        front: authority::Front::default(),
        authority: authority::Held {
            proofs: Proofs::new(&random::bytes()?),
            ..authority::Held::default()
        },
        feeds: Feeds::default(),
        signals: Networks::default(),
        directories: Directories::default(),
        misuse: Misuse::default(),
        recorder,
        floods: Arc::default(),
        seal: Seal::new()?,
        tasks,
        serving: TaskTracker::new(),
        drain: CancellationToken::new(),
        listening: Readers::default(),
        counters,
        export: export.map(Arc::new),
    });
    aggregate.bind(&gateway);
    revocations::keep_up(&gateway).await?;
    pinning::keep_up(&gateway, &signers.catalog).await;
    Ok(Running {
        alerts: Alerts::of(&gateway, checked),
        expiries: Arc::new(Expiries::new(checked, &gateway.recorder)),
        aggregate,
        gateway,
        signers,
        report,
        upstreams: Mutex::new(built.upstreams),
        door: certificate::door(checked)?.map(Arc::new),
        admin_door: certificate::admin_door(checked)?.map(Arc::new),
        wanted: watch::Sender::new(acme::Wanted::by(checked)),
        leases,
        borrowing: watch::Sender::new(Arc::new(checked.borrowing.clone())),
        own: (log_key, wrapping),
        writer: Mutex::new(Some(writer)),
    })
}

fn exporting(
    checked: &Checked,
    otlp: Option<Otlp>,
    counters: &Counters,
    (report, tasks): (&Report, &TaskTracker),
) -> anyhow::Result<Option<Export>> {
    let trusted = (&*checked.collector, report);
    let start = |otlp| Export::start(otlp, trusted, counters.exported(), tasks);
    Ok(otlp.map(start).transpose()?)
}

fn state() -> anyhow::Result<State> {
    Ok(State {
        proofs: Proofs::new(&random::bytes()?),
        ..State::default()
    })
}

/// Serves until a signal, then drains; `ready` is called once both sockets are served.
pub(crate) async fn run(start: Start, ready: impl FnOnce(&Arc<Gateway>)) -> anyhow::Result<()> {
    let checked = &start.checked;
    let home = Home(checked.gateway.data.clone());
    let running = Arc::new(build(checked, &home, start.otlp).await?);
    let gateway = Arc::clone(&running.gateway);
    alerts::begin(checked, &running).await?;
    for read in &start.reads {
        note(&gateway.recorder, read.record());
    }
    note(&gateway.recorder, started(checked, &running));
    gateway.keep_polling();
    // Whoever is answered may send a signal: it is heard from here on.
    let (files, reread) = start.source.unzip();
    let hangup = files.as_ref().map_or(Hangup::Ends, |_| Hangup::Reloads);
    let told = told_to_end(hangup)?;
    if let (Some(files), Some(reread)) = (files, reread) {
        reload::keep_up(&running, files, reread);
    }
    let sockets = serving::Sockets {
        clients: start.listener,
        health: start.admin,
        api: start.api,
    };
    let _shards = serving::serve(checked, sockets, &running)?;
    let refreshing = Arc::clone(&gateway);
    background(&gateway, REFRESH, move || {
        let gateway = Arc::clone(&refreshing);
        async move { gateway.issuers.refresh_all().await }
    });
    let reaping = Arc::clone(&gateway);
    background(&gateway, REAP, move || {
        let gateway = Arc::clone(&reaping);
        async move { reap(&gateway).await }
    });
    let summing = Arc::clone(&gateway);
    background(&gateway, SUM_EVERY, move || {
        let gateway = Arc::clone(&summing);
        async move { note_sums(&gateway.recorder, &gateway.floods).await }
    });
    let (expiring, recorder) = (Arc::clone(&running.expiries), gateway.recorder.clone());
    background(&gateway, EXPIRY, move || {
        expiring.tell(&recorder);
        std::future::ready(())
    });
    keys::keep_up(&gateway, &home, (&running.signers, running.own.clone()));
    ended::watch(&gateway);
    certificate::keep(&running, home);
    retention::watch(&gateway, checked);
    ready(&gateway);
    told.await;
    end(&running, checked.gateway.drain).await
}

/// Drains: no new connections, what is under way may end, then everything does.
pub(crate) async fn end(running: &Running, patience: Duration) -> anyhow::Result<()> {
    let gateway = Arc::clone(&running.gateway);
    tracing::info!("draining");
    gateway.drain.cancel();
    gateway.serving.close();
    let deadline = Instant::now() + patience;
    let drained = tokio::select! {
        drained = timeout_at(deadline, gateway.serving.wait()) => drained.is_ok(),
        () = told_again()? => false,
    };
    stop(&gateway, deadline).await?;
    for closed in gateway.state.sessions.end_all("stopped") {
        note_closed_in_turn(&gateway.recorder, &closed).await;
    }
    note_sums(&gateway.recorder, &gateway.floods).await;
    flush(&gateway, deadline).await?;
    let mut record = Record::new("gateway.stopped");
    record.reason = Some(if drained { "drained" } else { "deadline" }.into());
    note(&gateway.recorder, record);
    let writer = running
        .writer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(writer) = writer else { return Ok(()) };
    let finishing = tokio::task::spawn_blocking(move || writer.finish(Duration::from_secs(2)));
    finishing.await?.context("the audit log did not end well")
}

/// Stops all upstreams at once: until the drain's deadline, and in no less than servers are given to end by
/// themselves. What is left then ends with this process.
async fn stop(gateway: &Gateway, deadline: Instant) -> anyhow::Result<()> {
    let live = gateway.live.load_full();
    let stops = join_all(live.upstreams.values().map(|upstream| upstream.stop()));
    let deadline = deadline.max(Instant::now() + STOP);
    tokio::select! {
        stopped = timeout_at(deadline, stops) => if stopped.is_err() {
            tracing::warn!("a server did not end in time");
        },
        () = told_again()? => {}
    }
    Ok(())
}

/// Gives collectors what is left: until the drain's deadline, and in no less than a second.
async fn flush(gateway: &Gateway, deadline: Instant) -> anyhow::Result<()> {
    let Some(export) = &gateway.export else {
        return Ok(());
    };
    tokio::select! {
        () = export.finish(deadline.max(Instant::now() + FLUSH)) => {}
        () = told_again()? => {}
    }
    Ok(())
}

fn background<F, R>(gateway: &Arc<Gateway>, every: Duration, work: F)
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let drain = gateway.drain.clone();
    gateway.tasks.spawn(async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = ticks.tick() => work().await,
            }
        }
    });
}

async fn reap(gateway: &Gateway) {
    let live = gateway.live.load_full();
    for closed in gateway
        .state
        .sessions
        .reap(&live.rules.sessions, clock::now())
    {
        note_closed_in_turn(&gateway.recorder, &closed).await;
        gateway.say_goodbye(&live, closed);
    }
    let now = clock::now();
    join_all(live.upstreams.values().map(|upstream| upstream.reap(now))).await;
}
