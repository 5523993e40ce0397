//! Where secrets are: references, and what each comes to.

use super::desk::Desk;
use crate::config::borrowed::{Borrowing, Wanted};
use crate::config::problem::Place;
use crate::config::raw;
use crate::config::url::HttpUrl;
use portcullis_core::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// Where Azure Key Vault is, in each of its clouds, and the resource that a token for it names.
const CLOUDS: &[(&str, &str)] = &[
    (".vault.azure.net", "https://vault.azure.net"),
    (".vault.azure.cn", "https://vault.azure.cn"),
    (
        ".vault.usgovcloudapi.net",
        "https://vault.usgovcloudapi.net",
    ),
];
/// The most words of a program that prints a secret.
const MAX_WORDS: usize = 32;
/// The longest reference to a vault, in bytes.
const MAX_REFERENCE_BYTES: usize = 1024;

/// All that was read elsewhere.
pub(super) fn borrowing(desk: &mut Desk<'_>, ttl: Duration) -> Borrowing {
    Borrowing {
        secrets: std::mem::take(&mut desk.borrowed),
        ttl,
    }
}

/// The resource that a token for the vault at `url` must name.
fn resource_of(url: &HttpUrl) -> Option<&'static str> {
    let found = CLOUDS.iter().find(|(suffix, _)| {
        let name = url.host().strip_suffix(suffix);
        name.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    });
    match found {
        Some((_, resource)) => (url.is_https() && url.port() == 443).then_some(*resource),
        None if url.is_loopback() => CLOUDS.first().map(|(_, resource)| *resource),
        None => None,
    }
}

impl Desk<'_> {
    /// Text with its references resolved.
    pub(in crate::config) fn text(
        &mut self,
        place: &Place,
        raw: raw::Text,
    ) -> Option<Secret<String>> {
        let reference = match raw {
            raw::Text::Literal(text) => return self.interpolated(place, &text),
            raw::Text::Reference(reference) => reference,
        };
        let keys = [
            ("file", reference.file.is_some()),
            ("env", reference.env.is_some()),
            ("exec", reference.exec.is_some()),
            ("vault", reference.vault.is_some()),
            ("azure_key_vault", reference.azure_key_vault.is_some()),
        ];
        let written: Vec<&str> = keys
            .iter()
            .filter(|(_, is_written)| *is_written)
            .map(|(key, _)| *key)
            .collect();
        match written.as_slice() {
            [_] => {}
            [] => {
                self.refuse_missing(
                    place,
                    "neither `file` nor `env`, nor another place of a secret",
                    "write { file = \"…\" } or { env = \"…\" }",
                );
                return None;
            }
            [first, second, ..] => {
                let reason = format!("both `{first}` and `{second}`");
                self.refuse_with(place, &reason, "keep one of them");
                return None;
            }
        }
        if let Some(words) = reference.exec {
            let place = place.key("exec");
            let wanted = program(self, &place, words)?;
            return self.borrow(&place, wanted);
        }
        if let Some(text) = reference.vault {
            let place = place.key("vault");
            let wanted = in_vault(self, &place, &text)?;
            return self.borrow(&place, wanted);
        }
        if let Some(text) = reference.azure_key_vault {
            let place = place.key("azure_key_vault");
            let wanted = in_azure(self, &place, &text)?;
            return self.borrow(&place, wanted);
        }
        self.here(place, (reference.file, reference.env))
    }

    /// A secret on this machine, with which we sign in where the others are.
    pub(super) fn local(&mut self, place: &Place, raw: raw::Reference) -> Option<Secret<String>> {
        if raw.exec.is_some() || raw.vault.is_some() || raw.azure_key_vault.is_some() {
            self.refuse_with(
                place,
                "what opens a vault cannot be in one",
                "write { file = \"…\" } or { env = \"…\" }",
            );
            return None;
        }
        self.text(place, raw::Text::Reference(raw))
    }
}

fn program(desk: &mut Desk<'_>, place: &Place, words: Vec<String>) -> Option<Wanted> {
    let is_good = words
        .first()
        .is_some_and(|program| program.starts_with('/'))
        && words.len() <= MAX_WORDS
        && words.iter().all(|word| !word.contains('\0'));
    if !is_good {
        desk.refuse_with(
            place,
            "not a program by its absolute path and up to 31 arguments",
            "write exec = [\"/usr/bin/PROGRAM\", \"ARGUMENT\"]",
        );
    }
    is_good.then_some(Wanted::Exec(words))
}

fn in_vault(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<Wanted> {
    let Some(parts) = VaultPath::parse(text) else {
        desk.refuse_with(
            place,
            "not the place of a secret in a vault",
            "write it as in \"secret/team/notes#token\"",
        );
        return None;
    };
    let vaults = &desk.keepers.vaults;
    let found = match parts.vault {
        Some(name) => vaults.get(name),
        None if vaults.len() == 1 => vaults.values().next(),
        None => None,
    };
    let Some(vault) = found.map(Arc::clone) else {
        if !desk.keepers.is_spoilt {
            desk.refuse_with(
                place,
                "it does not say which vault",
                "write a table [vaults.NAME], and vault = \"NAME:MOUNT/PATH#FIELD\" where there are several",
            );
        }
        return None;
    };
    Some(Wanted::Vault {
        vault,
        mount: parts.mount.to_owned(),
        path: parts.path.to_owned(),
        field: parts.field.to_owned(),
    })
}

/// The parts of `NAME:MOUNT/PATH#FIELD`.
#[derive(Debug, PartialEq, Eq)]
struct VaultPath<'a> {
    vault: Option<&'a str>,
    mount: &'a str,
    path: &'a str,
    field: &'a str,
}

impl<'a> VaultPath<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (place, field) = text.split_once('#')?;
        let (vault, place) = match place.split_once(':') {
            Some((vault, place)) => (Some(vault), place),
            None => (None, place),
        };
        let (mount, path) = place.split_once('/')?;
        let is_good = text.len() <= MAX_REFERENCE_BYTES
            && is_segment(mount)
            && path.split('/').all(is_segment)
            && !field.is_empty()
            && !field.contains(char::is_control);
        is_good.then_some(Self {
            vault,
            mount,
            path,
            field,
        })
    }
}

fn in_azure(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<Wanted> {
    let url = desk.url(place, text)?;
    let mut segments = url.path().split('/').skip(1);
    let is_secret = segments.next() == Some("secrets")
        && (1..=2).contains(&segments.clone().count())
        && segments.all(is_segment)
        && url.query().is_none();
    let Some(resource) = resource_of(&url).filter(|_| is_secret) else {
        desk.refuse_with(
            place,
            "not the address of a secret in Azure Key Vault",
            "write it as in \"https://NAME.vault.azure.net/secrets/NAME\"",
        );
        return None;
    };
    let Some(azure) = desk.keepers.azure.as_ref().map(Arc::clone) else {
        if !desk.keepers.is_spoilt {
            desk.refuse_with(
                place,
                "it is not said how to sign in there",
                "write a table [azure_key_vault]",
            );
        }
        return None;
    };
    Some(Wanted::Azure {
        azure,
        url,
        resource,
    })
}

/// A part of a path that no server reads as anything else.
pub(super) fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(is_plain) && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Option<&str>, &str, &str, &str)>) {
        let parsed = VaultPath::parse(text);
        let parts = parsed
            .as_ref()
            .map(|parts| (parts.vault, parts.mount, parts.path, parts.field));
        assert_eq!(parts, expected, "{text}");
    }

    #[test]
    fn tok_12_places_in_a_vault_have_one_reading() {
        check("kv/a#b", Some((None, "kv", "a", "b")));
        check("kv/a/b.c_d-e#f g", Some((None, "kv", "a/b.c_d-e", "f g")));
        check("prod:kv/a#b", Some((Some("prod"), "kv", "a", "b")));
        check("kv/a#b#c", Some((None, "kv", "a", "b#c")));
        for text in [
            "",
            "kv",
            "kv/a",
            "kv#b",
            "/a#b",
            "kv/#b",
            "kv/a#",
            "kv//a#b",
            "kv/../sys#b",
            "kv/./a#b",
            "kv/a/#b",
            "kv/a?version=1#b",
            "kv/%2e%2e/a#b",
            "kv/a\\b#c",
            "k v/a#b",
            "kv/a:b#c",
        ] {
            check(text, None);
        }
        check(&format!("kv/{}#b", "a".repeat(MAX_REFERENCE_BYTES)), None);
    }

    #[test]
    fn tok_12_azure_tokens_go_to_azure_only() {
        for (url, is_good) in [
            ("https://a.vault.azure.net/secrets/b", true),
            ("https://a.vault.azure.cn/secrets/b", true),
            ("http://127.0.0.1:1/secrets/b", true),
            ("https://a.vault.azure.net:8443/secrets/b", false),
            ("https://vault.azure.net/secrets/b", false),
            ("https://.vault.azure.net/secrets/b", false),
            ("https://a.vault.azure.net.evil.example/secrets/b", false),
            ("https://evil.example/secrets/b", false),
            ("https://evilvault.azure.net/secrets/b", false),
        ] {
            let resource = HttpUrl::parse(url).ok();
            let resource = resource.as_ref().and_then(resource_of);
            assert_eq!(resource.is_some(), is_good, "{url}");
        }
    }
}
