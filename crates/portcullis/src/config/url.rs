//! An `http` or `https` URL in one spelling.

use http::Uri;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An absolute URL: `http` or `https`, lower-case host, no user name, no fragment, no default port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HttpUrl {
    is_https: bool,
    host: String,
    port: u16,
    path: String,
    query: Option<String>,
}

/// Why a text is not a URL that the gateway would use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUrl {
    /// It has no scheme, no host, or a character that no URL has.
    #[error("not an absolute URL")]
    Malformed,
    /// Its scheme is neither `http` nor `https`.
    #[error("the scheme must be `https`, or `http` on loopback")]
    Scheme,
    /// It is `http` and its host is not loopback.
    #[error("`http` is only allowed on loopback: anyone on the way could read and change it")]
    Plain,
    /// It carries a user name or a password.
    #[error("a URL must not carry a user name or password")]
    User,
    /// It carries a fragment.
    #[error("a URL must not carry a fragment")]
    Fragment,
    /// Its port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

impl HttpUrl {
    /// Parses `https` URLs, and `http` URLs of loopback hosts.
    ///
    /// # Errors
    /// [`NotUrl`]; never contains the text.
    pub(crate) fn parse(text: &str) -> Result<Self, NotUrl> {
        // `http::Uri` drops a fragment without a word.
        if text.contains('#') {
            return Err(NotUrl::Fragment);
        }
        if text.contains(['\\', ' ']) || !text.contains("://") {
            return Err(NotUrl::Malformed);
        }
        let uri: Uri = text.parse().map_err(|_| NotUrl::Malformed)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(NotUrl::Scheme),
            None => return Err(NotUrl::Malformed),
        };
        let authority = uri.authority().ok_or(NotUrl::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(NotUrl::User);
        }
        let host = authority.host().to_ascii_lowercase();
        if !is_host(&host) {
            return Err(NotUrl::Malformed);
        }
        let port = match authority.as_str().get(host.len()..).unwrap_or_default() {
            "" => default_port(is_https),
            port => port
                .strip_prefix(':')
                .and_then(port_number)
                .ok_or(NotUrl::Port)?,
        };
        let path = uri.path().to_owned();
        let url = Self {
            is_https,
            host,
            port,
            path,
            query: uri.query().map(str::to_owned),
        };
        if url.is_https || url.is_loopback() {
            Ok(url)
        } else {
            Err(NotUrl::Plain)
        }
    }

    /// Where a machine in Azure asks for a token of its managed identity. It never leaves the machine's host.
    pub(crate) fn instance_metadata() -> Self {
        Self {
            is_https: false,
            host: "169.254.169.254".to_owned(),
            port: 80,
            path: "/metadata/identity/oauth2/token".to_owned(),
            query: None,
        }
    }

    /// The URL with another query.
    pub(crate) fn asking(&self, query: String) -> Self {
        Self {
            query: Some(query),
            ..self.clone()
        }
    }

    /// Whether the scheme is `https`.
    pub(crate) const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host in lower case; an IPv6 address with its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port, written or not.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The path; `/` if there is none.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// What follows the question mark.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Scheme, host and port as a browser writes them (RFC 6454 section 6.2).
    pub(crate) fn origin(&self) -> String {
        format!(
            "{}://{}",
            if self.is_https { "https" } else { "http" },
            self.authority()
        )
    }

    /// Host, and port unless it is the scheme's own, as in a `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.port == default_port(self.is_https) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is `localhost` or a literal loopback address; other names and spellings are not.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || bare
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// The URL with `suffix`, which begins with a slash, after its path.
    pub(crate) fn below(&self, suffix: &str) -> String {
        format!(
            "{}{}{suffix}",
            self.origin(),
            self.path.trim_end_matches('/')
        )
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path == "/" && self.query.is_none() {
            ""
        } else {
            &self.path
        };
        write!(out, "{}{path}", self.origin())?;
        match &self.query {
            Some(query) => write!(out, "?{query}"),
            None => Ok(()),
        }
    }
}

/// A name of letters, digits, hyphens and dots, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_name = host.len() <= 253 && host.split('.').all(label);
    // A last label of digits is an address (WHATWG URL, section 3.5): it must be a whole one.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    is_name && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

/// A port other than 0, without sign or leading zero.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

pub(super) const fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, NotUrl>) {
        assert_eq!(
            HttpUrl::parse(text)
                .map(|url| url.to_string())
                .as_deref()
                .map_err(|e| *e),
            expected,
            "{text}"
        );
    }

    #[test]
    fn one_spelling_for_each_url() {
        check("https://Gw.Example:443", Ok("https://gw.example"));
        check("https://gw.example/", Ok("https://gw.example"));
        check(
            "https://gw.example:8443/a/b?c=d",
            Ok("https://gw.example:8443/a/b?c=d"),
        );
        check("http://127.0.0.1:8848", Ok("http://127.0.0.1:8848"));
        check("http://[::1]:8848/mcp", Ok("http://[::1]:8848/mcp"));
        check("http://localhost/mcp", Ok("http://localhost/mcp"));
    }

    #[test]
    fn refuses_what_another_parser_could_read_differently() {
        check("http://gw.example/", Err(NotUrl::Plain));
        check("http://localhost.evil.example/", Err(NotUrl::Plain));
        check("http://2130706433/", Err(NotUrl::Malformed));
        check("http://0x7f.1/", Err(NotUrl::Malformed));
        check("http://127.1/", Err(NotUrl::Malformed));
        check("https://a.0x7f/", Err(NotUrl::Malformed));
        check("https://user@gw.example/", Err(NotUrl::User));
        check("https://gw.example@evil.example/", Err(NotUrl::User));
        check("https://gw.example/#x", Err(NotUrl::Fragment));
        check("https://gw.example\\@evil.example/", Err(NotUrl::Malformed));
        check("https://gw.example:0/", Err(NotUrl::Port));
        check("https://gw.example:99999/", Err(NotUrl::Port));
        check("https:///mcp", Err(NotUrl::Malformed));
        check("ftp://gw.example/", Err(NotUrl::Scheme));
        check("gw.example", Err(NotUrl::Malformed));
        check("", Err(NotUrl::Malformed));
    }
}
