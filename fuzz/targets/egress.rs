//! Whatever a peer names as a URL, and whatever a name is said to be: nobody is sent inside.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::egress::{Allowance, Host, Target, admit, class_of, embedded};
use std::net::{IpAddr, Ipv6Addr};

fuzz_target!(|data: &[u8]| {
    let Some((address, text)) = data.split_first_chunk::<16>() else {
        return;
    };
    let address = Ipv6Addr::from(*address);
    if embedded(address).is_some() {
        assert!(class_of(address.into()).is_some(), "{address}");
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(target) = Target::parse(text) else {
        return;
    };
    assert_eq!(Target::parse(&target.to_string()).as_ref(), Ok(&target));
    let other: http::Uri = text.parse().expect("a URL for others too");
    let host = other.host().expect("a host").to_ascii_lowercase();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    match target.host() {
        Host::Name(name) => assert_eq!(*name, host),
        Host::Address(own) => assert_eq!(Ok(*own), host.trim_matches(['[', ']']).parse::<IpAddr>()),
    }
    let admitted = admit(&target, &[address.into()], &Allowance::default());
    if let Ok(pinned) = admitted {
        assert!(
            pinned
                .addresses()
                .iter()
                .all(|one| class_of(*one).is_none())
        );
        assert!(target.is_https() && pinned.port() == 443);
    }
});
