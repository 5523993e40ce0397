//! Keys that are in a token.

use super::desk::Desk;
use crate::config::checked::Pkcs11;
use crate::config::problem::Place;
use crate::config::{raw, raw_pkcs11};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The longest label of a token (PKCS #11 section 3.2).
const MAX_TOKEN: usize = 32;
/// Room is left for what tells keys from each other.
const MAX_WRAPPING: usize = 64;

pub(super) fn pkcs11(desk: &mut Desk<'_>, raw: raw_pkcs11::Pkcs11) -> Option<Pkcs11> {
    let place = Place::default().key("pkcs11");
    let module = module(desk, &place, raw.module);
    let token = raw
        .token
        .filter(|token| (1..=MAX_TOKEN).contains(&token.len()));
    if token.is_none() {
        desk.refuse_missing(
            &place,
            "no `token`, or no label of one",
            "write the label of the token, of 1 to 32 bytes",
        );
    }
    if raw.pin.is_none() {
        desk.refuse_missing(
            &place,
            "no `pin`",
            "write { file = \"…\" } or { env = \"…\" }",
        );
    }
    let pin = raw
        .pin
        .and_then(|pin| desk.text(&place.key("pin"), raw::Text::Reference(pin)));
    let is_unnamed = raw.keys.is_none();
    let keys = raw.keys.unwrap_or_default();
    let is_long = |label: &String| label.len() > MAX_WRAPPING;
    if keys.wrapping.as_ref().is_some_and(is_long) {
        desk.refuse(&place.key("keys").key("wrapping"), "longer than 64 bytes");
    }
    let all = [
        &keys.issuer,
        &keys.assertion,
        &keys.client,
        &keys.audit,
        &keys.catalog,
        &keys.wrapping,
    ];
    let mut named: Vec<&String> = all.into_iter().flatten().collect();
    let count = named.len();
    named.sort();
    named.dedup();
    if is_unnamed || named.len() < count || named.iter().any(|name| name.is_empty()) {
        desk.refuse_with(
            &place.key("keys"),
            "no keys, or one for two purposes",
            "name those that are in the token by their labels, each once",
        );
    }
    Some(Pkcs11 {
        module: module?,
        token: token?,
        pin: pin?,
        issuer: keys.issuer,
        assertion: keys.assertion,
        client: keys.client,
        audit: keys.audit,
        catalog: keys.catalog,
        wrapping: keys.wrapping,
    })
}

/// Code that runs in the gateway, so others must not be able to change it.
fn module(desk: &mut Desk<'_>, place: &Place, written: Option<String>) -> Option<PathBuf> {
    let Some(written) = written else {
        desk.refuse_missing(
            place,
            "no `module`",
            "write the absolute path of the token's PKCS #11 library",
        );
        return None;
    };
    let (path, place) = (Path::new(&written), place.key("module"));
    if !path.is_absolute() {
        desk.refuse_with(&place, "not an absolute path", "begin it with /");
        return None;
    }
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o022 == 0 => {
            Some(path.to_owned())
        }
        Ok(_) => {
            let fix = "name a file that its owner alone can write: chmod go-w";
            desk.refuse_with(&place, "not a file, or others can write it", fix);
            None
        }
        Err(_) => {
            desk.refuse_with(
                &place,
                "cannot be read",
                "install the token's PKCS #11 library",
            );
            None
        }
    }
}
