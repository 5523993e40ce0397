//! Whether tokens are bound to their client, and to what of it.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use portcullis_core::authenticate::Binding;

const KINDS: [(&str, Binding); 3] = [
    ("off", Binding::Off),
    ("accepted", Binding::Accepted),
    ("required", Binding::Required),
];

/// What the file says.
pub(super) struct Written {
    pub(super) dpop: Option<String>,
    pub(super) dpop_nonce: Option<bool>,
    pub(super) mtls: Option<String>,
}

/// What it means.
pub(super) struct Bindings {
    pub(super) dpop: Binding,
    pub(super) dpop_nonce: bool,
    pub(super) mtls: Binding,
}

pub(super) fn bindings(
    desk: &mut Desk<'_>,
    place: &Place,
    written: &Written,
    (has_tls, tls): (bool, &str),
) -> Bindings {
    let has_dpop = written.dpop.is_some();
    let mtls = choose(
        desk,
        &place.key("mtls"),
        written.mtls.as_deref(),
        bounds::MTLS,
    );
    // A token is bound to one thing: where that must be a certificate, no proof is taken.
    let usual = match mtls {
        Binding::Off | Binding::Accepted => bounds::DPOP,
        Binding::Required => "off",
    };
    let dpop = choose(desk, &place.key("dpop"), written.dpop.as_deref(), usual);
    let is_both = match (mtls, dpop) {
        (Binding::Required, Binding::Accepted | Binding::Required)
        | (Binding::Accepted, Binding::Required) => true,
        (Binding::Off, _) | (_, Binding::Off) | (Binding::Accepted, Binding::Accepted) => false,
    };
    if is_both && has_dpop {
        desk.refuse_missing(
            &place.key("mtls"),
            "a token is bound to a key or to a certificate, never to both, and the one that is required leaves no room",
            "write `required` for one of `mtls` and `dpop` and `off` for the other, or `accepted` for both",
        );
    }
    if mtls != Binding::Off && !has_tls {
        desk.refuse_missing(
            &place.key("mtls"),
            "clients show certificates in TLS, and the listener has none",
            &format!("add {tls}, or write mtls = \"off\""),
        );
    }
    let dpop_nonce = written.dpop_nonce.unwrap_or(false);
    if dpop_nonce && dpop == Binding::Off {
        desk.refuse_with(
            &place.key("dpop_nonce"),
            "a nonce stands in a proof, and this server takes none",
            "remove it, or write dpop = \"accepted\" or dpop = \"required\"",
        );
    }
    Bindings {
        dpop,
        dpop_nonce,
        mtls,
    }
}

fn choose(desk: &mut Desk<'_>, place: &Place, text: Option<&str>, usual: &str) -> Binding {
    let text = text.unwrap_or(usual);
    let chosen = desk.choose(place, text, &KINDS);
    chosen.unwrap_or(Binding::Required)
}
