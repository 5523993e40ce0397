//! Whatever a user types as the code of a device: there is one reading, which reads itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_authority::request::UserCode;

fuzz_target!(|typed: &str| {
    let Some(code) = UserCode::read(typed) else {
        return;
    };
    let letters = code.letters();
    assert_eq!(letters.len(), 10);
    assert!(
        letters
            .bytes()
            .all(|letter| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter))
    );
    assert_eq!(UserCode::read(letters).as_ref(), Some(&code));
    assert_eq!(UserCode::read(&code.to_string()), Some(code));
});
