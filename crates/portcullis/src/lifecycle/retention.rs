//! What the log need not keep any longer: told first, signed, and only then removed.

use super::background;
use crate::clock;
use crate::config::Checked;
use crate::record::note_in_turn;
use crate::relay::Gateway;
use portcullis_audit::{Keep, Removal, due};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{interval, timeout};

/// How often it is looked for what may go.
const LOOK: Duration = Duration::from_mins(1);
/// How long the record of a removal may take to be signed, and how often it is looked.
const SIGNED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Looks until the gateway drains, if anything is to be removed at all.
pub(super) fn watch(gateway: &Arc<Gateway>, checked: &Checked) {
    let Some((log, keep)) = kept(checked) else {
        return;
    };
    let retaining = Arc::clone(gateway);
    background(gateway, LOOK, move || {
        let (gateway, log) = (Arc::clone(&retaining), Arc::clone(&log));
        async move { retain(&gateway, &log, keep).await }
    });
}

/// What is kept of which log; none if all of it is.
fn kept(checked: &Checked) -> Option<(Arc<Path>, Keep)> {
    let keep = Keep {
        age: checked.audit.keep,
        bytes: checked.audit.keep_bytes,
    };
    (keep != Keep::default()).then(|| (checked.audit.directory.as_path().into(), keep))
}

/// Removes what is due, if anything is.
async fn retain(gateway: &Gateway, dir: &Arc<Path>, keep: Keep) {
    let anchored = gateway.recorder.anchored();
    let looked = Arc::clone(dir);
    let found = spawn_blocking(move || due(&looked, &keep, clock::micros(), anchored)).await;
    match found {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(removal))) => remove(gateway, dir.to_path_buf(), removal).await,
        Ok(Err(error)) => tracing::error!(%error, "it is not known what the audit log may remove"),
        Err(error) => tracing::error!(%error, "it is not known what the audit log may remove"),
    }
}

async fn remove(gateway: &Gateway, dir: PathBuf, removal: Removal) {
    let Some(seq) = note_in_turn(&gateway.recorder, removal.record()).await else {
        return;
    };
    let mut looks = interval(POLL);
    let signed = timeout(SIGNED, async {
        while gateway.recorder.anchored() <= seq {
            looks.tick().await;
        }
    });
    if signed.await.is_err() {
        return tracing::error!("old files of the audit log stay: their removal is not signed");
    }
    match spawn_blocking(move || removal.remove(&dir)).await {
        Ok(Ok(())) => tracing::info!("old files of the audit log were removed, as recorded"),
        Ok(Err(error)) => tracing::error!(%error, "old files of the audit log stay"),
        Err(error) => tracing::error!(%error, "old files of the audit log stay"),
    }
}
