//! A URL that a peer named, read so strictly that nobody can read it otherwise.

use super::Denied;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest URL that is read, in bytes.
const MAX_BYTES: usize = 2048;

/// An absolute `https` or `http` URL: visible ASCII, lower-case host, no user name, no fragment, one spelling of each
/// address (RFC 3986; WHATWG URL section 3.5 for what browsers would take for an address).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    is_https: bool,
    host: Host,
    port: u16,
    path: String,
}

/// A host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Denied`]: what its text alone forbids.
    pub fn parse(text: &str) -> Result<Self, Denied> {
        let is_inside = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
        let (scheme, rest) = text.split_once("://").ok_or(Denied::Malformed)?;
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(Denied::Scheme),
        };
        if text.len() > MAX_BYTES || !text.bytes().all(is_inside) {
            return Err(Denied::Malformed);
        }
        if text.contains('#') {
            return Err(Denied::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(Denied::Malformed)?;
        if authority.contains('@') {
            return Err(Denied::User);
        }
        let (name, written) = split(authority);
        let port = match written {
            None => default_port(is_https),
            Some(text) => port(text).ok_or(Denied::Malformed)?,
        };
        let path = match path.as_bytes().first() {
            Some(b'/') => path.to_owned(),
            _ => format!("/{path}"),
        };
        Ok(Self {
            is_https,
            host: host(&name.to_ascii_lowercase()).ok_or(Denied::Malformed)?,
            port,
            path,
        })
    }

    /// Whether the scheme is `https`.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Where it is.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, written or not.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with a slash, as they came.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host, and port unless it is the scheme's own, as in a `Host` header.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.is_https) {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Scheme, host and port (RFC 6454 section 6.2).
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.origin(), self.path)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(out, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(out, "[{address}]"),
        }
    }
}

/// Splits host and port; the colons of an address in brackets are its own.
fn split(authority: &str) -> (&str, Option<&str>) {
    let end = authority.rfind(']').unwrap_or_default();
    match authority.rfind(':').filter(|colon| *colon >= end) {
        None => (authority, None),
        Some(colon) => (
            authority.get(..colon).unwrap_or_default(),
            authority.get(colon + 1..),
        ),
    }
}

/// A host in lower case: letters, digits, hyphens, underscores and dots, or an address in its usual spelling.
pub(super) fn host(text: &str) -> Option<Host> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(address.into()));
    }
    // The library refuses octal, hexadecimal and shortened forms.
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    let is_label = |label: &str| {
        let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_inside) && !label.starts_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    // A last label that begins like a number would be read as an address by some.
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    let is_name = text.len() <= 253 && text.split('.').all(is_label) && !is_number;
    is_name.then(|| Host::Name(text.to_owned()))
}

/// A port other than 0, without sign or leading zero.
pub(super) fn port(text: &str) -> Option<u16> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

const fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}
