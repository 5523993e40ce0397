//! Every special range, every spelling, every answer.

use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Every row of the IANA IPv4 and IPv6 Special-Purpose Address Registries, then what is special without a row there.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str)] = &[
    ("0.0.0.0", "0.255.255.255", "unspecified"),            // "This network"
    ("0.0.0.0", "0.0.0.0", "unspecified"),                  // "This host on this network"
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "shared"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("169.254.0.0", "169.254.255.255", "link_local"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "protocol"),               // IETF Protocol Assignments
    ("192.0.0.0", "192.0.0.7", "protocol"),                 // IPv4 Service Continuity Prefix
    ("192.0.0.8", "192.0.0.8", "protocol"),                 // IPv4 dummy address
    ("192.0.0.9", "192.0.0.9", "protocol"),                 // Port Control Protocol Anycast
    ("192.0.0.10", "192.0.0.10", "protocol"),               // TURN Anycast
    ("192.0.0.170", "192.0.0.171", "protocol"),             // NAT64/DNS64 Discovery
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.31.196.0", "192.31.196.255", "protocol"),         // AS112-v4
    ("192.52.193.0", "192.52.193.255", "protocol"),         // AMT
    ("192.88.99.0", "192.88.99.255", "translation"),        // 6to4 Relay Anycast, deprecated
    ("192.88.99.2", "192.88.99.2", "translation"),          // 6a44-relay anycast address
    ("192.168.0.0", "192.168.255.255", "private"),
    ("192.175.48.0", "192.175.48.255", "protocol"),         // Direct Delegation AS112 Service
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("240.0.0.0", "255.255.255.255", "reserved"),
    ("255.255.255.255", "255.255.255.255", "reserved"),     // Limited Broadcast
    ("::1", "::1", "loopback"),
    ("::", "::", "unspecified"),
    ("::ffff:0.0.0.0", "::ffff:255.255.255.255", "translation"),
    ("64:ff9b::", "64:ff9b::255.255.255.255", "translation"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "translation"),
    ("100::", "100::ffff:ffff:ffff:ffff", "reserved"),      // Discard-Only
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "reserved"), // Dummy IPv6 Prefix
    ("2001:100::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // rest of IETF Protocol Assignments
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "translation"), // TEREDO
    ("2001:1::1", "2001:1::1", "protocol"),                 // Port Control Protocol Anycast
    ("2001:1::2", "2001:1::2", "protocol"),                 // TURN Anycast
    ("2001:1::3", "2001:1::3", "protocol"),                 // DNS-SD SRP Anycast
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // AMT
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", "protocol"), // AS112-v6
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // ORCHID, deprecated
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // ORCHIDv2
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // Drone Remote ID
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "translation"), // 6to4
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "protocol"), // AS112
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"), // SRv6 SIDs
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique_local"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link_local"),
    // No rows of the registries.
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
    ("::2", "::255.255.255.255", "translation"),            // IPv4-compatible
    ("::ffff:0:0:0", "::ffff:0:255.255.255.255", "translation"), // IPv4-translated
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"), // site-local
    ("4000::", "4000::1", "reserved"),                      // not assigned
    ("fe00::", "fe00::1", "reserved"),                      // not assigned
    ("169.254.169.254", "169.254.169.254", "metadata"),
    ("169.254.170.2", "169.254.170.2", "metadata"),
    ("100.100.100.200", "100.100.100.200", "metadata"),
    ("168.63.129.16", "168.63.129.16", "metadata"),
    ("192.0.0.192", "192.0.0.192", "metadata"),
    ("fd00:ec2::254", "fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "fd20:ce::254", "metadata"),
];

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn lp_04_knows_every_special_range_from_end_to_end() {
    for (first, last, class) in ROWS {
        for end in [first, last] {
            let found = class_of(ip(end)).map(Class::name);
            assert_eq!(found, Some(*class), "{end}");
        }
    }
}

#[test]
fn lp_04_leaves_the_neighbours_of_special_ranges_alone() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.31.195.255",
        "192.31.197.0",
        "192.52.192.255",
        "192.52.194.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.47.255",
        "192.175.49.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2620:4f:7fff:ffff::",
        "2620:4f:8001::",
        "2606:4700::1111",
        "3ffe::",
        "3fff:1000::",
    ] {
        assert_eq!(class_of(ip(address)), None, "{address}");
    }
}

#[test]
fn lp_04_knows_which_address_is_inside_another() {
    for (outer, inner) in [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::10.0.0.1", "10.0.0.1"),
        ("::ffff:0:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::10.0.0.1", "10.0.0.1"),
        ("64:ff9b:1::10.0.0.1", "10.0.0.1"),
        ("2002:a00:1::", "10.0.0.1"),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", "10.0.0.1"),
    ] {
        let IpAddr::V6(address) = ip(outer) else {
            panic!("{outer}")
        };
        assert_eq!(
            embedded(address).map(IpAddr::V4),
            Some(ip(inner)),
            "{outer}"
        );
    }
    assert_eq!(embedded("2606:4700::1111".parse().unwrap()), None);
}

#[track_caller]
fn check(text: &str, expected: Result<&str, Denied>) {
    let read = Target::parse(text).map(|target| target.to_string());
    assert_eq!(read.as_deref().map_err(|why| *why), expected, "{text}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn cd_12_reads_a_url_in_one_way_or_not_at_all() {
    check("https://As.Example", Ok("https://as.example/"));
    check(
        "https://as.example:443/a?b=c",
        Ok("https://as.example/a?b=c"),
    );
    check("https://as.example?b", Ok("https://as.example/?b"));
    check(
        "https://[2606:4700::1111]:8443/",
        Ok("https://[2606:4700::1111]:8443/"),
    );
    check("http://127.0.0.1:80/x", Ok("http://127.0.0.1/x"));
    for (text, why) in [
        ("", Denied::Malformed),
        ("//as.example/", Denied::Malformed),
        ("/path", Denied::Malformed),
        ("javascript:alert(1)", Denied::Malformed),
        ("javascript://as.example/%0aalert(1)", Denied::Scheme),
        ("file:///etc/passwd", Denied::Scheme),
        ("file:/c:/windows/system32/calc.exe", Denied::Malformed),
        ("ftp://as.example/", Denied::Scheme),
        ("HTTPS://as.example/", Denied::Scheme),
        ("--flag", Denied::Malformed),
        ("-https://as.example", Denied::Scheme),
        ("https://as.example/$(calc)`id`", Denied::Malformed),
        ("https://$(calc)/", Denied::Malformed),
        ("https://-flag/", Denied::Malformed),
        ("https://as.example/\"><script>", Denied::Malformed),
        ("https://as.example/ x", Denied::Malformed),
        ("https://as.example/\r\nx: y", Denied::Malformed),
        ("https://as.example/ä", Denied::Malformed),
        ("https://ás.example/", Denied::Malformed),
        ("https://as.example\\@evil.example/", Denied::Malformed),
        ("https://user@as.example/", Denied::User),
        ("https://as.example:443@evil.example/", Denied::User),
        ("https://as.example/#x", Denied::Fragment),
        ("https://as.example:0/", Denied::Malformed),
        ("https://as.example:0443/", Denied::Malformed),
        ("https://as.example:65536/", Denied::Malformed),
        ("https://as.example:/", Denied::Malformed),
        ("https://as.example:+443/", Denied::Malformed),
        ("https://as..example/", Denied::Malformed),
        ("https://as.example./", Denied::Malformed),
        ("https://as%2eexample/", Denied::Malformed),
        ("https:///x", Denied::Malformed),
        ("https://2130706433/", Denied::Malformed),
        ("https://0x7f000001/", Denied::Malformed),
        ("https://0x7f.0.0.1/", Denied::Malformed),
        ("https://0177.0.0.1/", Denied::Malformed),
        ("https://017700000001/", Denied::Malformed),
        ("https://127.1/", Denied::Malformed),
        ("https://127.0.0.1.2/", Denied::Malformed),
        ("https://127.0.0.0x1/", Denied::Malformed),
        ("https://[::1%25lo]/", Denied::Malformed),
        ("https://[::1/", Denied::Malformed),
        ("https://[127.0.0.1]/", Denied::Malformed),
        ("https://::1/", Denied::Malformed),
    ] {
        check(text, Err(why));
    }
    let longest = format!("https://as.example/{}", "a".repeat(2048 - 19));
    check(&longest, Ok(&longest));
    check(&format!("{longest}a"), Err(Denied::Malformed));
}

#[test]
fn cd_12_sends_browsers_by_https_or_nowhere() {
    let check = |url: &str, allow: &[&str]| for_browsers(&target(url), &allowance(allow));
    assert_eq!(check("https://as.example:8443/a", &[]), Ok(()));
    assert_eq!(check("http://as.example/a", &[]), Err(Denied::Scheme));
    assert_eq!(check("http://localhost/a", &["localhost"]), Ok(()));
    for (url, allow) in [
        ("http://localhost/a", "127.0.0.1"),
        ("http://localhost/a", "localhost:9000"),
        ("http://as.localhost/a", "as.localhost"),
        ("http://inside.example/a", "inside.example"),
    ] {
        assert_eq!(check(url, &[allow]), Err(Denied::Scheme), "{url}");
    }
    assert_eq!(
        check("http://127.0.0.1/a", &[]),
        Err(Denied::Address(Class::Loopback))
    );
    assert_eq!(check("http://127.0.0.1:9000/a", &["127.0.0.1"]), Ok(()));
    assert_eq!(
        check("https://10.0.0.1/a", &[]),
        Err(Denied::Address(Class::Private))
    );
}

fn target(url: &str) -> Target {
    Target::parse(url).expect(url)
}

fn allowance(entries: &[&str]) -> Allowance {
    let mut allow = Allowance::default();
    for entry in entries {
        allow.add(entry).expect(entry);
    }
    allow
}

#[track_caller]
fn admitted(url: &str, answers: &[&str], allow: &[&str], expected: Result<(), Denied>) {
    let target = Target::parse(url).expect(url);
    let answers: Vec<IpAddr> = answers.iter().map(|text| ip(text)).collect();
    let admitted = admit(&target, &answers, &allowance(allow));
    if let Ok(pinned) = &admitted {
        assert_eq!(pinned.addresses(), answers, "{url}");
        assert_eq!(pinned.port(), target.port(), "{url}");
    }
    assert_eq!(admitted.map(drop), expected, "{url} {answers:?} {allow:?}");
}

#[test]
fn cd_12_refuses_a_name_if_one_of_its_addresses_is_special() {
    let url = "https://as.example/";
    let public = ["93.184.216.34", "2606:4700::1111"];
    admitted(url, &public, &[], Ok(()));
    admitted(url, &[], &[], Err(Denied::Nowhere));
    admitted(
        url,
        &["10.0.0.1"],
        &[],
        Err(Denied::Address(Class::Private)),
    );
    admitted(
        url,
        &[public[0], "127.0.0.1"],
        &[],
        Err(Denied::Address(Class::Loopback)),
    );
    admitted(
        url,
        &["::ffff:10.0.0.1"],
        &["10.0.0.0/8"],
        Err(Denied::Address(Class::Translation)),
    );
    admitted(
        "https://93.184.216.34/",
        &["10.0.0.1"],
        &[],
        Err(Denied::Nowhere),
    );
    admitted(
        "https://169.254.169.254/",
        &["169.254.169.254"],
        &[],
        Err(Denied::Address(Class::Metadata)),
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn lp_04_opens_only_what_the_configuration_names() {
    let (url, private) = ("https://as.example/", ["10.1.2.3"]);
    admitted(url, &private, &["10.1.2.3"], Ok(()));
    admitted(url, &private, &["10.0.0.0/8"], Ok(()));
    admitted(url, &private, &["as.example"], Ok(()));
    admitted(url, &private, &["AS.example:443"], Ok(()));
    admitted(
        url,
        &private,
        &["as.example:8443"],
        Err(Denied::Address(Class::Private)),
    );
    admitted(
        url,
        &private,
        &["example", "s.example", "10.1.2.4", "11.0.0.0/8"],
        Err(Denied::Address(Class::Private)),
    );
    // A name opens where services of one's own are, and no more.
    admitted(
        url,
        &["169.254.169.254"],
        &["as.example"],
        Err(Denied::Address(Class::Metadata)),
    );
    admitted(
        url,
        &["169.254.1.1"],
        &["as.example"],
        Err(Denied::Address(Class::LinkLocal)),
    );
    admitted(
        url,
        &["::ffff:127.0.0.1"],
        &["as.example"],
        Err(Denied::Address(Class::Translation)),
    );
    // What translates opens only what is open itself.
    admitted(url, &["64:ff9b::93.184.216.34"], &["64:ff9b::/96"], Ok(()));
    admitted(
        url,
        &["64:ff9b::10.0.0.1"],
        &["64:ff9b::/96"],
        Err(Denied::Address(Class::Translation)),
    );
    admitted(
        url,
        &["64:ff9b::10.0.0.1"],
        &["64:ff9b::/96", "10.0.0.1"],
        Ok(()),
    );
    // Ports.
    let odd = "https://as.example:8443/";
    admitted(odd, &["93.184.216.34"], &[], Err(Denied::Port));
    admitted(
        odd,
        &["93.184.216.34"],
        &["as.example:8444"],
        Err(Denied::Port),
    );
    admitted(odd, &["93.184.216.34"], &["as.example:8443"], Ok(()));
    admitted(odd, &["93.184.216.34"], &["93.184.216.0/24"], Ok(()));
    // Without TLS only to this machine.
    admitted(
        "http://as.example:443/",
        &["93.184.216.34"],
        &[],
        Err(Denied::Scheme),
    );
    admitted(
        "http://as.example/",
        &["10.1.2.3"],
        &["as.example"],
        Err(Denied::Scheme),
    );
    admitted("http://as.example/", &["127.0.0.1"], &["127.0.0.1"], Ok(()));
    admitted(
        "http://127.0.0.1/",
        &["127.0.0.1"],
        &[],
        Err(Denied::Address(Class::Loopback)),
    );
    admitted("http://[::1]/", &["::1"], &["::1"], Ok(()));
}

#[test]
fn lp_04_takes_no_entry_that_opens_more_than_it_seems() {
    for entry in [
        "",
        "*",
        "*.example",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/",
        "10.0/8",
        "fd00::1/8",
        "::/129",
        "https://as.example",
        "as.example:0",
        "as.example:x",
        "0x7f.1",
        "[::1]",
        "as.example/",
    ] {
        assert_eq!(
            Allowance::default().add(entry),
            Err(NotAllowance),
            "{entry}"
        );
    }
    assert!(allowance(&[]).is_empty() && !allowance(&["a.example"]).is_empty());
}

fn answer(asked: &[u8], records: &[(&str, IpAddr)]) -> Vec<u8> {
    use simple_dns::rdata::{A, AAAA, RData};
    use simple_dns::{CLASS, Name, Packet, ResourceRecord};
    let mut reply = Packet::parse(asked).unwrap().into_reply();
    for (name, address) in records {
        let data = match address {
            IpAddr::V4(address) => RData::A(A {
                address: address.to_bits(),
            }),
            IpAddr::V6(address) => RData::AAAA(AAAA {
                address: address.to_bits(),
            }),
        };
        let name = Name::new_unchecked(name);
        reply
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, data));
    }
    reply.build_bytes_vec().unwrap()
}

#[test]
fn cd_12_believes_only_the_answer_to_what_was_asked() {
    let [a, aaaa] = question("as.example", [7, 8]).unwrap();
    let (four, six) = (ip("93.184.216.34"), ip("2606:4700::1111"));
    let found = addresses(
        &a,
        &answer(&a, &[("as.example", four), ("cdn.example", six)]),
    );
    assert_eq!(found, Ok(vec![four, six]));
    assert_eq!(addresses(&aaaa, &answer(&aaaa, &[])), Ok(vec![]));
    assert_eq!(
        addresses(&a, &answer(&aaaa, &[("as.example", six)])),
        Err(NoAddresses)
    );
    let [other, _] = question("evil.example", [7, 8]).unwrap();
    assert_eq!(
        addresses(&a, &answer(&other, &[("as.example", four)])),
        Err(NoAddresses)
    );
    assert_eq!(
        addresses(&a, &a),
        Err(NoAddresses),
        "a question is no answer"
    );
    assert_eq!(addresses(&a, b""), Err(NoAddresses));
    let many: Vec<_> = (0..65).map(|_| ("as.example", four)).collect();
    assert_eq!(addresses(&a, &answer(&a, &many)), Err(NoAddresses));
    assert_eq!(
        addresses(&a, &answer(&a, &many[1..])).map(|all| all.len()),
        Ok(64)
    );
    let mut truncated = answer(&a, &[("as.example", four)]);
    truncated[2] |= 2;
    assert_eq!(addresses(&a, &truncated), Err(NoAddresses));
    let mut failed = answer(&a, &[]);
    failed[3] |= 2;
    assert_eq!(
        addresses(&a, &failed),
        Err(NoAddresses),
        "a failure is not an absence"
    );
    failed[3] += 1;
    assert_eq!(addresses(&a, &failed), Ok(vec![]));
}

proptest! {
    /// Whatever IPv4 address is dressed up, it passes in no dress.
    #[test]
    fn lp_04_refuses_every_dressed_up_address(bits: u32) {
        let inner = u128::from(bits);
        for outer in [
            inner,
            0xffff << 32 | inner,
            0xffff_0000 << 32 | inner,
            0x64_ff9b << 96 | inner,
            0x64_ff9b_0001 << 80 | inner,
            0x2002 << 112 | inner << 80,
            0x2001_0000 << 96 | inner,
        ] {
            prop_assert!(class_of(IpAddr::V6(Ipv6Addr::from_bits(outer))).is_some());
        }
    }

    /// Between the ends of a row nothing is left open.
    #[test]
    fn lp_04_has_no_gap_inside_a_range(row in 0..ROWS.len(), share: u128) {
        let (first, last, _) = ROWS[row];
        let between = match (ip(first), ip(last)) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let (first, last) = (first.to_bits(), last.to_bits());
                let step = u32::try_from(share % (u128::from(last - first) + 1)).unwrap();
                IpAddr::V4(Ipv4Addr::from_bits(first + step))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let (first, last) = (first.to_bits(), last.to_bits());
                IpAddr::V6(Ipv6Addr::from_bits(first + share % (last - first + 1)))
            }
            (first, last) => panic!("{first} {last}"),
        };
        prop_assert!(class_of(between).is_some(), "{between}");
    }

    /// What is not special passes without an allowance, on the usual port.
    #[test]
    fn lp_04_admits_exactly_what_has_no_class(bits: u32) {
        let address = IpAddr::V4(Ipv4Addr::from_bits(bits));
        let target = Target::parse("https://as.example/").unwrap();
        let admitted = admit(&target, &[address], &Allowance::default());
        prop_assert_eq!(admitted.is_ok(), class_of(address).is_none());
    }

    /// What is read reads the same again.
    #[test]
    fn cd_12_writes_a_url_as_it_reads_it(text in "https?://[a-z0-9.:@%/?\\[\\]x-]{0,40}") {
        if let Ok(target) = Target::parse(&text) {
            let again = Target::parse(&target.to_string());
            prop_assert_eq!(again, Ok(target));
        }
    }
}
