//! A gateway of its own for each test, between an upstream and an issuer that remember everything.

mod client;
mod collector;
mod consenting;
mod dns;
mod gateway;
mod granting;
mod http;
mod idp;
mod issuing;
mod jwt;
pub(crate) mod keeper;
mod kept;
mod line;
mod login;
mod oracle;
mod ocsp;
mod pki;
mod mmdb;
mod process;
mod proofs;
mod relying;
mod scene;
mod script;
mod transmitter;
mod softhsm;
mod upstream;
mod vouching;

pub(crate) use client::{Request, Response, Stream, call, call_in, initialize, message, post, raw};
pub(crate) use collector::Collector;
pub(crate) use consenting::{Browser, Consenting, Granter};
pub(crate) use dns::Dns;
pub(crate) use gateway::{Gateway, free_port, next_second, now, portcullis, wait_for};
pub(crate) use granting::{CALLBACK, CHALLENGE, Granting, posted, redeeming};
pub(crate) use http::{Answer, Host, Seen};
pub(crate) use idp::{Idp, Manner};
pub(crate) use issuing::{CLIENT, Issuing, SECRET};
pub(crate) use jwt::{Draft, Key, encode, hex, unsigned};
pub(crate) use kept::Kept;
pub(crate) use line::Line;
pub(crate) use login::{
    Login, Surfer, elsewhere as goes_to, encoded, form, form_of, logout_event, pairs,
};
pub(crate) use mmdb::places;
pub(crate) use ocsp::{Said, Status};
pub(crate) use oracle::Oracle;
pub(crate) use pki::{Authority, Front, Identity, Tap, elsewhere, leaf};
pub(crate) use process::{Process, marked};
pub(crate) use proofs::{BadProof, Proofs};
pub(crate) use relying::{Relying, verified, verified_by};
pub(crate) use scene::Scene;
pub(crate) use script::Script;
pub(crate) use softhsm::{SoftHsm, TokenKey};
pub(crate) use transmitter::{Doing, Transmitter};
pub(crate) use upstream::Upstream;
pub(crate) use vouching::{AT_IDP, Vouching};

/// The revision that has sessions, and the one that has none.
pub(crate) const WITH_SESSIONS: &str = "2025-11-25";
pub(crate) const STATELESS: &str = "2026-07-28";

/// Quotas that no test uses up: for tests in which something else must be the bound.
pub(crate) const AMPLE: &str = "[quota]\nrequests_per_minute = 1000000\nburst = 1000000\ntool_requests_per_minute = 1000000\nbytes_per_minute = \"1024GiB\"\n";
