//! How whoever a grant is for is written.

use super::grants::{NoSuchWho, Who};
use std::fmt;
use std::str::FromStr;

impl FromStr for Who {
    type Err = NoSuchWho;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "anyone" {
            return Ok(Self::Anyone);
        }
        let (kind, name) = text.split_once(':').ok_or(NoSuchWho::UnknownKind)?;
        if name.is_empty() {
            return Err(NoSuchWho::Empty);
        }
        if name.contains('*') {
            return Err(NoSuchWho::Wildcard);
        }
        let name = name.to_owned();
        match kind {
            "user" => Ok(Self::subject(&name)),
            "role" => Ok(Self::Role(name)),
            "group" => Ok(Self::Group(name)),
            "client" => Ok(Self::Client(name)),
            _ => Err(NoSuchWho::UnknownKind),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Subject {
                issuer: Some(issuer),
                subject,
            } => write!(f, "user:{issuer}|{subject}"),
            Self::Subject {
                issuer: None,
                subject,
            } => write!(f, "user:{subject}"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Client(client) => write!(f, "client:{client}"),
            Self::Issuer(issuer) => write!(f, "issuer:{issuer}"),
        }
    }
}
