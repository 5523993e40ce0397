//! Bounds of sessions.

use crate::config;
use portcullis_core::session;

pub(super) fn sessions(configured: &config::Sessions) -> session::Limits {
    session::Limits {
        idle: configured.idle,
        absolute: configured.absolute,
        most: configured.max,
        most_per_principal: configured.max_per_principal,
    }
}
