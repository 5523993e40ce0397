//! One reader for a session's own stream.

use super::Gateway;
use portcullis_core::refusal::{Refusal, Unacceptable};
use portcullis_core::session::SessionId;
use std::sync::{Arc, PoisonError};

/// The one reader of a session's own stream.
pub(super) struct Listening {
    gateway: Arc<Gateway>,
    id: SessionId,
}

impl Listening {
    pub(super) fn claim(gateway: &Arc<Gateway>, id: SessionId) -> Result<Self, Refusal> {
        let mut held = gateway
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !held.insert(id) {
            return Err(Unacceptable::StreamTaken.into());
        }
        drop(held);
        Ok(Self {
            gateway: Arc::clone(gateway),
            id,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.gateway
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}
