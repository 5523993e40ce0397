//! Which hosts and origins are ours: the defence against DNS rebinding, before anything else is looked at.

use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Uri};
use portcullis_core::refusal::Unacceptable;
use std::collections::HashSet;

/// From where a browser asks (Fetch Metadata); no script can write it.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names by which clients may reach us, and the web origins that may.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    /// `host` or `host:port`, lower case.
    pub(crate) hosts: HashSet<String>,
    /// `scheme://host[:port]`, lower case.
    pub(crate) origins: HashSet<String>,
}

impl Edge {
    /// Checks `Host` and, where there is one, `Origin`; gives the origin back for the answer's CORS headers.
    ///
    /// A target in absolute form names its own host (RFC 9112 section 3.2.2), which must be the same.
    ///
    /// # Errors
    /// [`Unacceptable::Host`] or [`Unacceptable::Origin`].
    pub(crate) fn check(
        &self,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, Unacceptable> {
        let host = only(headers, &HOST)
            .map_err(|()| Unacceptable::Host)?
            .ok_or(Unacceptable::Host)?;
        if !lower(host).is_some_and(|host| self.hosts.contains(&host)) {
            return Err(Unacceptable::Host);
        }
        if target.authority().is_some_and(|named| {
            !host
                .as_bytes()
                .eq_ignore_ascii_case(named.as_str().as_bytes())
        }) {
            return Err(Unacceptable::Host);
        }
        let Some(origin) = only(headers, &ORIGIN).map_err(|()| Unacceptable::Origin)? else {
            return Ok(None);
        };
        // Pages of ours that send no referrer send this (Fetch section 3.2); only a browser can say that it was one of ours.
        if origin == "null" && headers.get(SITE).is_some_and(|site| site == "same-origin") {
            return Ok(None);
        }
        if !lower(origin).is_some_and(|origin| self.origins.contains(&origin)) {
            return Err(Unacceptable::Origin);
        }
        Ok(Some(origin.clone()))
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(()),
    }
}

fn lower(value: &HeaderValue) -> Option<String> {
    value.to_str().ok().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, origin: Option<&str>, expected: Result<(), Unacceptable>) {
        let edge = Edge {
            hosts: ["localhost:8848".to_owned(), "127.0.0.1:8848".to_owned()].into(),
            origins: ["http://localhost:8848".to_owned()].into(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        assert_eq!(
            edge.check(&Uri::from_static("/"), &headers).map(drop),
            expected,
            "{host:?} {origin:?}"
        );
    }

    #[test]
    fn ses_10_knows_its_own_hosts_and_origins_only() {
        check(Some("localhost:8848"), None, Ok(()));
        check(
            Some("LOCALHOST:8848"),
            Some("http://localhost:8848"),
            Ok(()),
        );
        check(None, None, Err(Unacceptable::Host));
        check(Some("evil.example"), None, Err(Unacceptable::Host));
        check(Some("localhost"), None, Err(Unacceptable::Host));
        check(
            Some("127.0.0.1.evil.example:8848"),
            None,
            Err(Unacceptable::Host),
        );
        check(
            Some("localhost:8848"),
            Some("null"),
            Err(Unacceptable::Origin),
        );
        check(
            Some("localhost:8848"),
            Some("http://localhost:8848.evil.example"),
            Err(Unacceptable::Origin),
        );
        check(
            Some("localhost:8848"),
            Some("https://evil.example"),
            Err(Unacceptable::Origin),
        );
    }

    #[test]
    fn ses_10_refuses_a_target_of_another_host() {
        let edge = Edge {
            hosts: ["a".to_owned()].into(),
            origins: HashSet::new(),
        };
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(
            edge.check(&Uri::from_static("http://a/x"), &headers),
            Ok(None)
        );
        assert_eq!(
            edge.check(&Uri::from_static("http://b/x"), &headers),
            Err(Unacceptable::Host)
        );
    }

    #[test]
    fn trn_02_a_form_of_ours_comes_without_an_origin() {
        let edge = Edge {
            hosts: ["a".to_owned()].into(),
            origins: HashSet::new(),
        };
        for (site, expected) in [
            (Some("same-origin"), Ok(None)),
            (Some("same-site"), Err(Unacceptable::Origin)),
            (Some("cross-site"), Err(Unacceptable::Origin)),
            (Some("none"), Err(Unacceptable::Origin)),
            (None, Err(Unacceptable::Origin)),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HOST, HeaderValue::from_static("a"));
            headers.append(ORIGIN, HeaderValue::from_static("null"));
            if let Some(site) = site {
                headers.append(SITE, HeaderValue::from_static(site));
            }
            assert_eq!(
                edge.check(&Uri::from_static("/"), &headers),
                expected,
                "{site:?}"
            );
        }
    }

    #[test]
    fn ses_10_refuses_two_hosts() {
        let edge = Edge {
            hosts: ["a".to_owned()].into(),
            origins: HashSet::new(),
        };
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("a"));
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(
            edge.check(&Uri::from_static("/"), &headers),
            Err(Unacceptable::Host)
        );
    }
}
