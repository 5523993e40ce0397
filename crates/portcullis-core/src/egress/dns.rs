//! What is asked of a DNS server about a name, and what its answer says (RFC 1035, RFC 3596).

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that one answer may have; a name with more is no service of anybody's.
const MAX_ADDRESSES: usize = 64;

/// Why an answer names no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer to what was asked about the name")]
pub struct NoAddresses;

/// The two questions about a name, for IPv4 and for IPv6, under these ids.
///
/// # Errors
/// [`NoAddresses`]: no name that DNS could have.
pub fn question(name: &str, ids: [u16; 2]) -> Result<[Vec<u8>; 2], NoAddresses> {
    let [first, second] = ids;
    Ok([
        query(name, first, TYPE::A)?,
        query(name, second, TYPE::AAAA)?,
    ])
}

fn query(name: &str, id: u16, kind: TYPE) -> Result<Vec<u8>, NoAddresses> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|_| NoAddresses)?;
    let asked = Question::new(name, kind.into(), CLASS::IN.into(), false);
    packet.questions.push(asked);
    packet.build_bytes_vec().map_err(|_| NoAddresses)
}

/// The addresses in the answer to `asked`, which is one of [`question`]'s; none if the name has none of that kind.
///
/// All of them count, whatever alias led there: more addresses only mean more that must pass.
///
/// # Errors
/// [`NoAddresses`]: it answers something else, was cut off, or tells of a failure.
pub fn addresses(asked: &[u8], answer: &[u8]) -> Result<Vec<IpAddr>, NoAddresses> {
    let asked = Packet::parse(asked).map_err(|_| NoAddresses)?;
    let answer = Packet::parse(answer).map_err(|_| NoAddresses)?;
    let is_whole = answer.has_flags(PacketFlag::RESPONSE)
        && !answer.has_flags(PacketFlag::TRUNCATION)
        && answer.opcode() == OPCODE::StandardQuery
        && answer.id() == asked.id();
    let is_same = is_whole && same(&asked.questions, &answer.questions);
    if !is_same || answer.answers.len() > MAX_ADDRESSES {
        return Err(NoAddresses);
    }
    if answer.rcode() == RCODE::NameError {
        return Ok(Vec::new());
    }
    if answer.rcode() != RCODE::NoError {
        return Err(NoAddresses);
    }
    let address = |record: &simple_dns::ResourceRecord<'_>| {
        if let RData::A(data) = &record.rdata {
            Some(IpAddr::V4(Ipv4Addr::from_bits(data.address)))
        } else if let RData::AAAA(data) = &record.rdata {
            Some(IpAddr::V6(Ipv6Addr::from_bits(data.address)))
        } else {
            None
        }
    };
    Ok(answer.answers.iter().filter_map(address).collect())
}

/// Names are compared without case (RFC 1035 section 2.3.3).
fn same(asked: &[Question<'_>], answered: &[Question<'_>]) -> bool {
    let plain = |question: &Question<'_>| {
        let kind: QTYPE = question.qtype;
        (
            question.qname.to_string().to_ascii_lowercase(),
            u16::from(kind),
        )
    };
    asked.iter().map(plain).eq(answered.iter().map(plain))
}
