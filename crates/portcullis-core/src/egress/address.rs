//! Addresses that are not simply somewhere on the Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What makes an address special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// This machine.
    Loopback,
    /// A private network (RFC 1918).
    Private,
    /// A unique local address (RFC 4193).
    UniqueLocal,
    /// Between a provider and its customers (RFC 6598).
    Shared,
    /// This link only.
    LinkLocal,
    /// Where clouds tell their machines their secrets.
    Metadata,
    /// "This network", or no address at all.
    Unspecified,
    /// For examples and tests in documents.
    Documentation,
    /// For measurements of network devices (RFC 2544).
    Benchmarking,
    /// An IPv4 address inside an IPv6 one: it could lead anywhere.
    Translation,
    /// Of a protocol, not of a service.
    Protocol,
    /// More than one receiver.
    Multicast,
    /// Not given to anybody.
    Reserved,
}

impl Class {
    /// For the audit record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::UniqueLocal => "unique_local",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::Unspecified => "unspecified",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Translation => "translation",
            Self::Protocol => "protocol",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }

    /// Where services of one's own are: a name that is allowed may lead there.
    pub(super) const fn is_internal(self) -> bool {
        matches!(
            self,
            Self::Loopback | Self::Private | Self::UniqueLocal | Self::Shared
        )
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

const fn v6(head: [u16; 4], tail: [u16; 4]) -> u128 {
    let segments = [
        head[0], head[1], head[2], head[3], tail[0], tail[1], tail[2], tail[3],
    ];
    Ipv6Addr::from_segments(segments).to_bits()
}

/// First address, length of the prefix, class. The first row that fits counts.
///
/// The IANA IPv4 Special-Purpose Address Registry, multicast (RFC 5771), and the addresses under which clouds serve
/// credentials.
const V4: &[(u32, u32, Class)] = &[
    (v4(169, 254, 169, 254), 32, Class::Metadata),
    (v4(169, 254, 170, 2), 32, Class::Metadata),
    (v4(100, 100, 100, 200), 32, Class::Metadata),
    (v4(168, 63, 129, 16), 32, Class::Metadata),
    (v4(192, 0, 0, 192), 32, Class::Metadata),
    (v4(0, 0, 0, 0), 8, Class::Unspecified),
    (v4(10, 0, 0, 0), 8, Class::Private),
    (v4(100, 64, 0, 0), 10, Class::Shared),
    (v4(127, 0, 0, 0), 8, Class::Loopback),
    (v4(169, 254, 0, 0), 16, Class::LinkLocal),
    (v4(172, 16, 0, 0), 12, Class::Private),
    (v4(192, 0, 0, 0), 24, Class::Protocol),
    (v4(192, 0, 2, 0), 24, Class::Documentation),
    (v4(192, 31, 196, 0), 24, Class::Protocol),
    (v4(192, 52, 193, 0), 24, Class::Protocol),
    (v4(192, 88, 99, 0), 24, Class::Translation),
    (v4(192, 168, 0, 0), 16, Class::Private),
    (v4(192, 175, 48, 0), 24, Class::Protocol),
    (v4(198, 18, 0, 0), 15, Class::Benchmarking),
    (v4(198, 51, 100, 0), 24, Class::Documentation),
    (v4(203, 0, 113, 0), 24, Class::Documentation),
    (v4(224, 0, 0, 0), 4, Class::Multicast),
    (v4(240, 0, 0, 0), 4, Class::Reserved),
];

/// The same for IPv6. What is outside of `2000::/3` and in no row is nobody's (RFC 4291 section 2.4).
const V6: &[(u128, u32, Class)] = &[
    (
        v6([0xfd00, 0xec2, 0, 0], [0, 0, 0, 0x254]),
        128,
        Class::Metadata,
    ),
    (
        v6([0xfd20, 0xce, 0, 0], [0, 0, 0, 0x254]),
        128,
        Class::Metadata,
    ),
    (v6([0; 4], [0, 0, 0, 1]), 128, Class::Loopback),
    (v6([0; 4], [0; 4]), 128, Class::Unspecified),
    (v6([0; 4], [0; 4]), 96, Class::Translation),
    (v6([0; 4], [0, 0xffff, 0, 0]), 96, Class::Translation),
    (v6([0; 4], [0xffff, 0, 0, 0]), 96, Class::Translation),
    (v6([0x64, 0xff9b, 0, 0], [0; 4]), 96, Class::Translation),
    (v6([0x64, 0xff9b, 1, 0], [0; 4]), 48, Class::Translation),
    (v6([0x100, 0, 0, 0], [0; 4]), 64, Class::Reserved),
    (v6([0x100, 0, 0, 1], [0; 4]), 64, Class::Reserved),
    (v6([0x2001, 0, 0, 0], [0; 4]), 32, Class::Translation),
    (v6([0x2001, 2, 0, 0], [0; 4]), 48, Class::Benchmarking),
    (v6([0x2001, 0, 0, 0], [0; 4]), 23, Class::Protocol),
    (v6([0x2001, 0xdb8, 0, 0], [0; 4]), 32, Class::Documentation),
    (v6([0x2002, 0, 0, 0], [0; 4]), 16, Class::Translation),
    (v6([0x2620, 0x4f, 0x8000, 0], [0; 4]), 48, Class::Protocol),
    (v6([0x3fff, 0, 0, 0], [0; 4]), 20, Class::Documentation),
    (v6([0x5f00, 0, 0, 0], [0; 4]), 16, Class::Protocol),
    (v6([0xfc00, 0, 0, 0], [0; 4]), 7, Class::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], [0; 4]), 10, Class::LinkLocal),
    (v6([0xfec0, 0, 0, 0], [0; 4]), 10, Class::Reserved),
    (v6([0xff00, 0, 0, 0], [0; 4]), 8, Class::Multicast),
];

/// What is special about an address; nothing, if it is simply somewhere on the Internet.
pub fn class_of(address: IpAddr) -> Option<Class> {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let fits = |&&(first, length, _): &&(u32, u32, Class)| {
                (bits ^ first).leading_zeros() >= length
            };
            V4.iter().find(fits).map(|(_, _, class)| *class)
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let fits = |&&(first, length, _): &&(u128, u32, Class)| {
                (bits ^ first).leading_zeros() >= length
            };
            let row = V6.iter().find(fits).map(|(_, _, class)| *class);
            let is_assigned = bits >> 125 == 1;
            row.or_else(|| (!is_assigned).then_some(Class::Reserved))
        }
    }
}

/// The IPv4 address to which a translating IPv6 address leads: mapped, compatible, translated, NAT64, 6to4, Teredo.
pub fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let low = |bits: u128| {
        let [.., a, b, c, d] = bits.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let head: u128 = bits >> 32;
    match address.segments() {
        [0x2002, ..] => Some(low(bits >> 80)),
        [0x2001, 0, ..] => Some(low(!bits)),
        // The local prefix has the address at the end too, where it is a /96 (RFC 8215, RFC 6052 section 2.2).
        [0x64, 0xff9b, 0 | 1, ..] => Some(low(bits)),
        _ if head == 0 || head == 0xffff || head == 0xffff_0000 => Some(low(bits)),
        _ => None,
    }
}
