//! A confinement as arguments, from the gateway to the stage that builds it.

use std::ffi::{OsStr, OsString};

use super::{Confinement, Network, Walls};
use crate::order::Misread;

/// The word that says that a confinement follows.
const CONFINED: &str = "confined";
/// Before each path.
const READ: &str = "ro";
const WRITE: &str = "rw";
/// How it says that there is no network.
const NO_PORTS: &str = "-";

/// What [`parse`] reads.
pub(crate) fn arguments(confinement: &Confinement) -> Vec<OsString> {
    let Confinement {
        read,
        write,
        network,
        memory_bytes,
        processes,
        scratch_bytes,
        walls,
    } = confinement;
    let ports = match network {
        Network::None => NO_PORTS.to_owned(),
        Network::Ports(ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            ports.join(",")
        }
    };
    let numbers = [
        memory_bytes.to_string(),
        processes.to_string(),
        scratch_bytes.to_string(),
    ];
    let mut arguments = vec![CONFINED.into(), word(*walls).into(), ports.into()];
    arguments.extend(numbers.map(OsString::from));
    for (kind, paths) in [(READ, read), (WRITE, write)] {
        for path in paths {
            arguments.extend([kind.into(), path.clone().into_os_string()]);
        }
    }
    arguments
}

/// Reads a confinement, if there is one, and the `--` after it.
pub(crate) fn parse(
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<Option<Confinement>, Misread> {
    match arguments.next() {
        Some(word) if word == "--" => Ok(None),
        Some(word) if word == CONFINED => confinement(arguments).map(Some).ok_or(Misread),
        Some(_) | None => Err(Misread),
    }
}

fn confinement(arguments: &mut impl Iterator<Item = OsString>) -> Option<Confinement> {
    let mut next = || arguments.next()?.into_string().ok();
    let walls = [Walls::All, Walls::Landlock, Walls::Namespaces];
    let written = next()?;
    let walls = walls.into_iter().find(|walls| word(*walls) == written)?;
    let network = network(&next()?)?;
    let mut confinement = Confinement {
        read: Vec::new(),
        write: Vec::new(),
        network,
        memory_bytes: next()?.parse().ok()?,
        processes: next()?.parse().ok()?,
        scratch_bytes: next()?.parse().ok()?,
        walls,
    };
    loop {
        let kind = arguments.next()?;
        let paths = if kind == OsStr::new("--") {
            return Some(confinement);
        } else if kind == READ {
            &mut confinement.read
        } else if kind == WRITE {
            &mut confinement.write
        } else {
            return None;
        };
        paths.push(arguments.next()?.into());
    }
}

fn network(text: &str) -> Option<Network> {
    if text == NO_PORTS {
        return Some(Network::None);
    }
    let ports = text.split(',').map(|port| port.parse().ok());
    ports.collect::<Option<_>>().map(Network::Ports)
}

fn word(walls: Walls) -> &'static str {
    match walls {
        Walls::All => "all",
        Walls::Landlock => "landlock",
        Walls::Namespaces => "namespaces",
    }
}
