//! Configuration: what does the operator want, and is it safe? A file becomes [`Checked`] or [`Problems`].
//!
//! The file is parsed with positions, compared with the schema (`shape`), read (`raw`) and judged (`check`).
//! No stage stops at the first problem. The environment and other files are arguments.

mod raw;
mod raw_authority;
mod raw_admin;
mod raw_credentials;
mod raw_quota;
mod raw_issuer;
mod raw_catalog;
mod raw_misuse;
mod raw_alerts;
mod raw_review;
mod raw_step_up;
mod raw_approval;
mod raw_sandbox;
mod raw_inspect;
mod raw_tenant;
mod raw_trust;
mod raw_secrets;
mod raw_pkcs11;
mod raw_keys;
mod rotate;
mod bounds;
mod quantity;
mod shape;
mod check;
mod checked;
mod granted;
mod server_name;
mod authority;
mod relying;
mod credentials;
mod sandbox;
mod provider;
mod signing;
mod trust;
mod borrowed;
mod pattern;
mod url;
mod egress;
mod sign_in;
mod alerts;
mod problem;
mod nearest;
mod reference;
pub(crate) mod interpolate;
pub(crate) mod suspect;
pub(crate) mod veil;
pub(crate) mod header;
mod otlp;
#[cfg(test)]
mod tests;

pub(crate) use alerts::{Alerts, AlertsTo, SyslogBy};
pub(crate) use authority::{Authority, Documents, Registration};
pub(crate) use borrowed::{Azure, Borrowed, Borrowing, Identity, SignIn, Vault, Wanted, digest};
pub(crate) use check::Fetch;
pub(crate) use checked::{
    Admin, Appointed, Approval, Arguments, Audit, Boundary, Checked, Durability, External, Gateway,
    Grant, Http, Introspection, Issuer, Limits, Pkcs11, Poll, Quota, Review, Risky, Scim, Server,
    ServerName, Sessions, Signals, Stdio, Tenant, TextFile, Tool, Transport, Upstream, Who,
};
pub(crate) use credentials::{
    AssertionKey, CredentialKind, Credentials, Fetched, Identification, IdentityProvider,
    TokenEndpoint,
};
pub(crate) use egress::Egress;
pub(crate) use otlp::{Collector, Otlp, Sampler, otlp};
pub(crate) use pattern::{ASKS, Kind, Names, Pattern};
pub(crate) use portcullis_core::secret::Secret;
pub(crate) use problem::{Problem, Problems};
pub(crate) use provider::Provider;
pub(crate) use reference::{reference, schema};
pub(crate) use relying::Relying;
pub(crate) use rotate::RotateEvery;
pub(crate) use sandbox::{Named, PROFILES, Profile, Sandbox};
pub(crate) use sign_in::{RegisteredClient, SignIn as UserConsent};
pub(crate) use signing::{Algorithm, TokenType};
pub(crate) use trust::{
    Acme, Certificate, ClientCertificate, Day, ExternalAccount, Pin, Pins, Staple, Tls, Trust,
};
pub(crate) use url::HttpUrl;

use check::World;
use problem::{Place, Source};
use serde::Deserialize;
use std::io;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeTable;

/// A length of time as the file has it.
pub(crate) fn written(span: Duration) -> String {
    quantity::Span(span).to_string()
}

/// What stands for a secret that was not read: good wherever one may stand, as a header, a token or a URL. It leads nowhere
/// (RFC 6761 section 6.4).
const NOT_READ: &str = "https://not-read.invalid/a-secret-that-was-not-read";

/// Reads a configuration for those who only want to know what it says. Secrets that are elsewhere are not read: a text
/// that is none stands in their place.
///
/// # Errors
/// As [`read_whole`].
pub(crate) fn read(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Checked, Problems> {
    let elsewhere = |_: &Wanted, _: &str| Ok(Secret::new(NOT_READ.to_owned()));
    read_whole(text, file, environment, read_file, &elsewhere)
}

/// Reads a configuration: the text of `file`, which is named in messages and whose directory paths are
/// relative to.
///
/// `environment` looks up a variable, `read_file` reads a text file, and `fetch` a secret that is elsewhere, for the key
/// of that path; it may wait. Nothing else is looked at.
///
/// # Errors
/// Every problem of the file, not only the first; never the value of a secret.
pub(crate) fn read_whole(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    fetch: &Fetch<'_>,
) -> Result<Checked, Problems> {
    if text.len() > bounds::MAX_FILE_BYTES {
        let source = Source {
            file,
            text: "",
            tree: Spanned::new(0..0, DeTable::new()),
        };
        let reason = format!("the file has more than {} bytes", bounds::MAX_FILE_BYTES);
        return Err(Problems::new(vec![source.problem(
            &Place::default(),
            &reason,
            None,
        )]));
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut pruned = tree.clone();
    let source = Source { file, text, tree };
    let problem = |error: &toml::de::Error| {
        source.problem_at(
            error.span().unwrap_or(0..0),
            &Place::default(),
            error.message(),
            None,
        )
    };
    if !errors.is_empty() {
        return Err(Problems::new(
            errors
                .iter()
                .take(bounds::MAX_PROBLEMS)
                .map(problem)
                .collect(),
        ));
    }
    let problems = shape::prune(&mut pruned, &source, &schema());
    let raw = match raw::Raw::deserialize(toml::Deserializer::from(pruned)) {
        Ok(raw) => raw,
        Err(error) => return Err(Problems::new([problems, vec![problem(&error)]].concat())),
    };
    let world = World {
        environment,
        read_file,
        fetch,
    };
    check::file(raw, &source, &world, problems).map_err(Problems::new)
}
