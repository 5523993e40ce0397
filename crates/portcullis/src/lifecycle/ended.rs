//! Tells of grants that are over. They are in force no more without anybody telling.

use super::background;
use crate::clock;
use crate::record::note;
use crate::relay::Gateway;
use portcullis_audit::{Record, time_text};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Tells of them until the gateway drains.
pub(super) fn watch(gateway: &Arc<Gateway>) {
    let (looking, looked) = (Arc::clone(gateway), AtomicI64::new(i64::MIN));
    background(gateway, LOOK, move || {
        tell(&looking, &looked);
        std::future::ready(())
    });
}

/// Records every grant that ended since the last look; at the first, all that are over.
fn tell(gateway: &Gateway, looked: &AtomicI64) {
    let now = i64::try_from(clock::now().seconds()).unwrap_or(i64::MAX);
    let before = looked.fetch_max(now, Ordering::Relaxed);
    let live = gateway.live.load();
    for (rule, until) in live.rules.policy.ended(before, now) {
        let mut record = Record::new("grant.expired");
        record.detail.set("rule", rule);
        let micros = u64::try_from(until)
            .unwrap_or_default()
            .saturating_mul(1_000_000);
        record.detail.set("until", time_text(micros).as_str());
        note(&gateway.recorder, record);
    }
}
