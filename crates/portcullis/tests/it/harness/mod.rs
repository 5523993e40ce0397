//! A gateway of its own for each test, between an upstream and an issuer that remember everything.

mod client;
mod gateway;
mod http;
mod idp;
mod jwt;
mod scene;
mod upstream;

pub(crate) use client::{Request, Response, call, call_in, initialize, message, post, raw};
pub(crate) use gateway::{Gateway, now, portcullis, wait_for};
pub(crate) use http::{Answer, Host, Seen};
pub(crate) use idp::{Idp, Manner};
pub(crate) use jwt::{Draft, Key, encode, hex, unsigned};
pub(crate) use scene::Scene;
pub(crate) use upstream::Upstream;

/// The revision that has sessions, and the one that has none.
pub(crate) const WITH_SESSIONS: &str = "2025-11-25";
pub(crate) const STATELESS: &str = "2026-07-28";
