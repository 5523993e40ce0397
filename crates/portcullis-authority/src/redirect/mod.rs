//! Where an answer may go: exactly where the client has said before, but for the port of `http` on loopback.
//!
//! RFC 9700 section 4.1.3 wants the comparison of plain texts; RFC 8252 section 7.3 lets a native client take whatever
//! port it gets. Both texts are read strictly first, so that nobody else reads them otherwise.

use portcullis_core::egress::{Host, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest redirect URI, in bytes.
pub const MAX_BYTES: usize = 2048;

/// What stands where a redirect URI does, if the answer goes to a device that asks for it (RFC 8628).
pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Schemes that browsers act on themselves: nothing of ours ever goes there.
const NEVER: &[&str] = &[
    "about",
    "blob",
    "chrome",
    "chrome-extension",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "jar",
    "javascript",
    "mailto",
    "moz-extension",
    "ms-appx",
    "resource",
    "sms",
    "tel",
    "urn",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// A redirect URI that a client has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect(String);

/// What clients may register at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Hosts of `https`; none means any.
    pub hosts: Option<BTreeSet<String>>,
    /// Schemes of native applications, such as `com.example.app`.
    pub schemes: BTreeSet<String>,
    /// Whether answers may go to programs on the user's own machine.
    pub loopback: bool,
}

/// Why a redirect URI is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRedirect {
    /// There is none.
    #[error("no redirect URI")]
    Missing,
    /// No absolute URI of the strict grammar, or too long.
    #[error("a redirect URI that cannot be read in one way")]
    Malformed,
    /// Neither `https`, nor `http` on loopback, nor a scheme that is allowed.
    #[error("a scheme that is not allowed")]
    Scheme,
    /// It carries a user name.
    #[error("a user name in the redirect URI")]
    User,
    /// It carries a fragment.
    #[error("a fragment in the redirect URI")]
    Fragment,
    /// An asterisk, a dot segment or an escaped delimiter in its path.
    #[error("a path that could be read in two ways")]
    Path,
    /// An address in place of a name.
    #[error("an address in place of a name")]
    Address,
    /// A host that the organisation does not allow.
    #[error("a host that is not allowed")]
    Host,
    /// Loopback, which the organisation does not allow.
    #[error("loopback is not allowed")]
    Loopback,
    /// None that the client has registered.
    #[error("not a redirect URI of this client")]
    Unregistered,
}

impl BadRedirect {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Scheme => "scheme",
            Self::User => "user",
            Self::Fragment => "fragment",
            Self::Path => "path",
            Self::Address => "address",
            Self::Host => "host",
            Self::Loopback => "loopback",
            Self::Unregistered => "unregistered",
        }
    }
}

/// What a redirect URI is, read once.
enum Kind {
    Https(String),
    /// `http` on loopback: the text before and after the port.
    Loopback(String, String),
    Native(String),
}

impl Redirect {
    /// Reads what a client registers.
    ///
    /// # Errors
    /// [`BadRedirect`].
    pub fn register(text: &str, policy: &Policy) -> Result<Self, BadRedirect> {
        policy.admit(&read(text)?)?;
        Ok(Self(text.to_owned()))
    }

    /// Whether this is where `asked` leads.
    fn leads(&self, asked: &str) -> bool {
        if self.0 == asked {
            return true;
        }
        match (read(&self.0), read(asked)) {
            (Ok(Kind::Loopback(host, path)), Ok(Kind::Loopback(own, rest))) => {
                host == own && path == rest
            }
            _ => false,
        }
    }

    /// As it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it leads to the user's own machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

impl Policy {
    fn admit(&self, kind: &Kind) -> Result<(), BadRedirect> {
        match kind {
            Kind::Https(host) => match &self.hosts {
                Some(hosts) if !hosts.contains(host) => Err(BadRedirect::Host),
                Some(_) | None => Ok(()),
            },
            Kind::Loopback(..) if self.loopback => Ok(()),
            Kind::Loopback(..) => Err(BadRedirect::Loopback),
            Kind::Native(scheme) if self.schemes.contains(scheme) => Ok(()),
            Kind::Native(_) => Err(BadRedirect::Scheme),
        }
    }
}

/// Where the answer goes: what was asked for, if it is one of these and still allowed.
///
/// # Errors
/// [`BadRedirect`]; then the answer goes nowhere.
pub fn admit(
    asked: Option<&str>,
    registered: &[Redirect],
    policy: &Policy,
) -> Result<String, BadRedirect> {
    let asked = asked.ok_or(BadRedirect::Missing)?;
    let kind = read(asked)?;
    if !registered.iter().any(|one| one.leads(asked)) {
        return Err(BadRedirect::Unregistered);
    }
    policy.admit(&kind)?;
    Ok(asked.to_owned())
}

/// Whether this is the scheme of a native application, as far as its text tells.
pub fn is_private_scheme(scheme: &str) -> bool {
    is_scheme(scheme) && !matches!(scheme, "http" | "https") && !NEVER.contains(&scheme)
}

/// Whether an answer to this place stays on the user's own machine.
pub fn is_loopback(redirect: &str) -> bool {
    matches!(read(redirect), Ok(Kind::Loopback(..)))
}

/// What is shown of it to the user: its host, or its scheme where there is none.
pub fn shown_host(redirect: &str) -> String {
    if redirect == DEVICE {
        return "a device".to_owned();
    }
    match read(redirect) {
        Ok(Kind::Https(host)) => host,
        Ok(Kind::Loopback(host, _)) => host.trim_start_matches("http://").to_owned(),
        Ok(Kind::Native(scheme)) => format!("{scheme}:"),
        Err(_) => String::new(),
    }
}

fn read(text: &str) -> Result<Kind, BadRedirect> {
    let is_inside = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
    if text.len() > MAX_BYTES || !text.bytes().all(is_inside) {
        return Err(BadRedirect::Malformed);
    }
    let (scheme, rest) = text.split_once(':').ok_or(BadRedirect::Malformed)?;
    if !is_scheme(scheme) {
        return Err(BadRedirect::Malformed);
    }
    if text.contains('#') {
        return Err(BadRedirect::Fragment);
    }
    check_path(rest)?;
    match scheme {
        "https" | "http" => web(text),
        _ if NEVER.contains(&scheme) => Err(BadRedirect::Scheme),
        _ => native(scheme, rest),
    }
}

/// In lower case, as it is compared byte for byte.
fn is_scheme(scheme: &str) -> bool {
    let is_inside =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_lowercase()) && scheme.bytes().all(is_inside)
}

/// Whatever a server might take for another path, host or parameter stands in no redirect URI.
fn check_path(rest: &str) -> Result<(), BadRedirect> {
    if rest.contains('*') {
        return Err(BadRedirect::Path);
    }
    let mut parts = rest.split('%');
    parts.next();
    for part in parts {
        let digits = part.get(..2).ok_or(BadRedirect::Malformed)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadRedirect::Malformed);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| BadRedirect::Malformed)?;
        if byte.is_ascii_control() || b"/\\.%?#@:;&=".contains(&byte) {
            return Err(BadRedirect::Path);
        }
    }
    let path = rest.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| matches!(segment, "." | "..") || segment.contains(';');
    if path.split('/').any(is_dots) {
        return Err(BadRedirect::Path);
    }
    Ok(())
}

fn web(text: &str) -> Result<Kind, BadRedirect> {
    let (scheme, rest) = text.split_once("://").ok_or(BadRedirect::Malformed)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(BadRedirect::User);
    }
    let target = Target::parse(text).map_err(|_| BadRedirect::Malformed)?;
    let host = target.host().to_string();
    // One spelling: lower case, and addresses as everybody writes them.
    let written = authority.strip_prefix(host.as_str());
    let port = written.ok_or(BadRedirect::Malformed)?;
    if port == ":" {
        return Err(BadRedirect::Malformed);
    }
    let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    match (scheme, target.host()) {
        ("http", _) if is_local => {
            let path = rest.strip_prefix(authority).unwrap_or_default();
            Ok(Kind::Loopback(format!("http://{host}"), path.to_owned()))
        }
        ("http", _) => Err(BadRedirect::Scheme),
        (_, Host::Address(_)) => Err(BadRedirect::Address),
        (_, Host::Name(_)) => Ok(Kind::Https(host)),
    }
}

/// A scheme of a native application (RFC 8252 section 7.1).
fn native(scheme: &str, rest: &str) -> Result<Kind, BadRedirect> {
    if rest.contains('@') {
        return Err(BadRedirect::User);
    }
    if !rest.starts_with('/') || rest.len() < 2 {
        return Err(BadRedirect::Malformed);
    }
    Ok(Kind::Native(scheme.to_owned()))
}

#[cfg(test)]
mod tests;
