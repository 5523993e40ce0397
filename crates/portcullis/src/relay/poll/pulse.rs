//! When a feed has answered, and what is told once it does not.

use super::{Feed, OnStale};
use crate::record::note;
use crate::relay::{Gateway, Receiving};
use portcullis_audit::Record;
use std::pin::pin;
use tokio::time::{Instant, sleep_until};

/// When a feed has answered.
pub(super) struct Pulse {
    last: Instant,
    pub(super) has_answered: bool,
    pub(super) is_stale: bool,
    /// What was wrong of late.
    pub(super) trouble: String,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            has_answered: false,
            is_stale: false,
            trouble: "no answer".to_owned(),
        }
    }

    /// Waits, and tells in the middle of it if the feed becomes stale.
    pub(super) async fn watch<T>(
        &mut self,
        gateway: &Gateway,
        (receiving, feed): (&Receiving, &Feed),
        waiting: impl Future<Output = T>,
    ) -> T {
        let mut waiting = pin!(waiting);
        if !self.is_stale {
            tokio::select! {
                done = &mut waiting => return done,
                () = sleep_until(self.last + feed.stale_after) => {}
            }
            self.is_stale = true;
            let issuer = receiving.receiver.issuer.as_str();
            tracing::error!(
                issuer,
                trouble = self.trouble,
                "the feed of security events is stale"
            );
            gateway.unheard(receiving, feed);
            let mut record = Record::new("signal.feed_stale");
            record.detail.set("issuer", issuer);
            record.detail.set("error", self.trouble.as_str());
            let effect = match feed.on_stale {
                OnStale::Record => "none",
                OnStale::Deny => "denied",
            };
            record.detail.set("effect", effect);
            note(&gateway.recorder, record);
        }
        waiting.await
    }

    /// It has answered.
    pub(super) fn beat(&mut self, gateway: &Gateway, receiving: &Receiving) {
        self.last = Instant::now();
        self.has_answered = true;
        gateway.feeds.admit(&receiving.receiver.issuer);
        if std::mem::take(&mut self.is_stale) {
            let mut record = Record::new("signal.feed_fresh");
            record
                .detail
                .set("issuer", receiving.receiver.issuer.as_str());
            note(&gateway.recorder, record);
        }
    }
}
