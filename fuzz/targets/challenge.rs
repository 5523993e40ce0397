//! Whatever a server says in `WWW-Authenticate`, and whatever a browser brings back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::sign_in::{Callback, challenge};

fuzz_target!(|text: &str| {
    let read = challenge([text]);
    let is_scope =
        |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(read.scopes.len() <= 64 && read.scopes.iter().all(is_scope));
    assert!(read.scopes.is_sorted());
    let issuer = "https://as.example";
    let names_other = text.contains("iss=") && !text.contains("as.example") && !text.contains('%');
    let code = Callback::read(text).code(issuer, true);
    assert!(!names_other || code.is_err(), "a code of a stranger");
});
