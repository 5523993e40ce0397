//! What the listener shows: read at the start and at each reload, and kept up to date where an ACME server gives it.

use super::{Home, Running};
use crate::config::{Certificate, Checked, Tls};
use crate::tls::{Door, Facing};
use crate::{acme, tls};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// What there is to show; none without TLS, or while there is none yet.
pub(super) fn certificate(checked: &Checked) -> anyhow::Result<Option<Arc<CertifiedKey>>> {
    shown(checked, checked.gateway.tls.as_ref())
}

/// The same for operators.
pub(super) fn of_admin(checked: &Checked) -> anyhow::Result<Option<Arc<CertifiedKey>>> {
    let admin = checked.admin.as_ref();
    shown(checked, admin.and_then(|admin| admin.tls.as_ref()))
}

fn shown(checked: &Checked, tls: Option<&Tls>) -> anyhow::Result<Option<Arc<CertifiedKey>>> {
    let Some(tls) = tls else {
        return Ok(None);
    };
    match &tls.certificate {
        Certificate::Files { chain, key } => Ok(Some(tls::certified(&chain.text, key.expose())?)),
        Certificate::Acme(acme) => {
            let held = acme::held(&Home(checked.gateway.data.clone()), acme)?;
            Ok(held.map(|held| Arc::clone(held.certified())))
        }
    }
}

/// What new connections meet; nothing without TLS.
pub(super) fn door(checked: &Checked) -> anyhow::Result<Option<Door>> {
    let shown = Arc::default();
    let facing = Facing::of(checked, certificate(checked)?, &shown)?;
    Ok(facing.map(|facing| Door::new(facing, shown)))
}

/// What operators meet; nothing without TLS.
pub(super) fn admin_door(checked: &Checked) -> anyhow::Result<Option<Door>> {
    let shown = Arc::default();
    let facing = Facing::of_admin(checked, of_admin(checked)?, &shown)?;
    Ok(facing.map(|facing| Door::new(facing, shown)))
}

/// Keeps our certificate up to date until the gateway drains.
pub(super) fn keep(running: &Running, home: Home) {
    let gateway = &running.gateway;
    let Some(door) = &running.door else {
        return;
    };
    gateway.tasks.spawn(acme::keep(acme::Keeping {
        wanted: running.wanted.subscribe(),
        shown: Arc::clone(door.shown()),
        home,
        recorder: gateway.recorder.clone(),
        report: running.report.clone(),
        drain: gateway.drain.clone(),
    }));
}
