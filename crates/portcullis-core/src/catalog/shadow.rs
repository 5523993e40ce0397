//! Does one server pretend to be another, or one tool to be another server's?

use super::analyse::{Finding, Severity, excerpt, skeleton};
use super::{Definition, Kind};
use std::collections::{BTreeSet, HashMap};

/// The most pairs of names of a server and others that are compared letter by letter.
const MAX_PAIRS: usize = 500_000;
/// How many characters of a name are compared letter by letter.
const MAX_LETTERS: usize = 128;
/// The fewest characters of names of which one letter may be another.
const MIN_ONE: usize = 5;
/// The fewest characters of names of which two letters may be others.
const MIN_TWO: usize = 10;
/// How many definitions two servers have in common before one imitates the other.
const MIN_COMMON: usize = 3;
/// Of how many of a hundred of its names a server has to share for being an imitation.
const COMMON: usize = 60;

/// What a server is known by.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The name under which it is configured.
    pub server: &'a str,
    /// The name that it gives itself.
    pub title: &'a str,
    /// Its kinds of definitions and their names.
    pub names: &'a [(Kind, &'a str)],
}

/// What a server has that is like what another one has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The definition that it is about, or what the server says of itself.
    pub about: (Kind, String),
    /// What it is: rule, place and reason.
    pub finding: Finding,
}

/// How two names are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    Same,
    Case,
    Looks,
    Letters,
}

impl Alike {
    const fn rule(self) -> (&'static str, Severity, &'static str) {
        match self {
            Self::Same => (
                "name-collision",
                Severity::Medium,
                "has the same name as one of",
            ),
            Self::Case => (
                "name-near",
                Severity::High,
                "differs in case or separators only from one of",
            ),
            Self::Looks => (
                "name-homoglyph",
                Severity::Critical,
                "looks the same as one of",
            ),
            Self::Letters => (
                "name-near",
                Severity::Medium,
                "differs by a letter or two from one of",
            ),
        }
    }
}

/// Names of other servers, by what is left of them without case and separators, and by how that looks. Only tools and
/// prompts are here, which models and people call by their names.
#[derive(Debug, Default)]
pub struct Others<'a> {
    same: HashMap<(Kind, &'a str), &'a str>,
    plain: HashMap<(Kind, String), Theirs<'a>>,
    look: HashMap<(Kind, String), Theirs<'a>>,
}

/// A server and a name there.
type Theirs<'a> = (&'a str, &'a str);

impl<'a> Others<'a> {
    /// These: of each the server, the kind and the name.
    pub fn of(all: impl IntoIterator<Item = (&'a str, Kind, &'a str)>) -> Self {
        let mut others = Self::default();
        let called = all
            .into_iter()
            .filter(|(_, kind, _)| matches!(kind, Kind::Tool | Kind::Prompt));
        for (server, kind, name) in called {
            let plain = plain(name);
            let look = skeleton(&plain);
            others.same.insert((kind, name), server);
            others.plain.insert((kind, plain), (server, name));
            others.look.insert((kind, look), (server, name));
        }
        others
    }

    /// What a definition has the name of, or is named like.
    pub fn like(&self, definition: &Definition) -> Option<Finding> {
        self.find((definition.kind(), definition.name()))
    }

    fn find(&self, own: (Kind, &str)) -> Option<Finding> {
        let (kind, name) = own;
        let same = self
            .same
            .get(&own)
            .map(|server| (Alike::Same, *server, name));
        let of = |alike: Alike, (server, theirs): &Theirs<'a>| (alike, *server, *theirs);
        let plain = plain(name);
        let look = skeleton(&plain);
        let case = || Some(of(Alike::Case, self.plain.get(&(kind, plain))?));
        let looks = || Some(of(Alike::Looks, self.look.get(&(kind, look))?));
        let found = same.or_else(case).or_else(looks);
        found.map(|theirs| finding(own, theirs))
    }
}

/// What of a server is like what the others have, the gravest first. Names that are the same, or look so, are always
/// found; those that a letter or two tell apart among the first `MAX_PAIRS` pairs.
pub fn shadows(new: &Known<'_>, others: &[Known<'_>]) -> Vec<Shadow> {
    let mut found = Vec::new();
    let mut pairs = 0_usize;
    for other in others.iter().filter(|other| other.server != new.server) {
        found.extend(imitation(new, other));
        let theirs = other.names.iter();
        let theirs = Others::of(theirs.map(|(kind, name)| (other.server, *kind, *name)));
        for (kind, name) in new.names {
            let own = (*kind, *name);
            let near = || {
                let near = nearest((*kind, &plain(name)), other.names, &mut pairs)?;
                Some(finding(own, (Alike::Letters, other.server, near)))
            };
            let about = (*kind, (*name).to_owned());
            let finding = theirs.find(own).or_else(near);
            found.extend(finding.map(|finding| Shadow { about, finding }));
        }
    }
    found.sort_by_key(|shadow| std::cmp::Reverse(shadow.finding.severity));
    found
}

/// Another name, one or two letters away.
fn nearest<'a>(own: (Kind, &str), names: &[(Kind, &'a str)], pairs: &mut usize) -> Option<&'a str> {
    let (kind, plain_own) = own;
    let length = plain_own.chars().count();
    let most = if length >= MIN_TWO {
        2
    } else {
        usize::from(length >= MIN_ONE)
    };
    let all = names
        .iter()
        .filter(|(other, _)| *other == kind)
        .map(|(_, name)| *name);
    all.take_while(|_| {
        *pairs += 1;
        *pairs <= MAX_PAIRS
    })
    .find(|name| {
        let theirs = plain(name);
        most > 0
            && !differs_by_number(plain_own, &theirs)
            && distance(plain_own, &theirs, most) <= most
    })
}

fn finding((kind, name): (Kind, &str), (alike, server, theirs): (Alike, &str, &str)) -> Finding {
    let (rule, severity, reason) = alike.rule();
    let theirs = excerpt(theirs);
    Finding {
        rule,
        technique: "SAFE-T1301",
        severity,
        pointer: "/name".to_owned(),
        excerpt: excerpt(name),
        reason: format!("the {kind} {reason} the server {server}: {theirs}"),
    }
}

/// A server that calls itself like another, or has most of its definitions' names from it.
fn imitation(new: &Known<'_>, other: &Known<'_>) -> Option<Shadow> {
    let has_title = !new.title.is_empty() && plain(new.title) == plain(other.title);
    let looks = !new.title.is_empty()
        && plain(new.title) != plain(other.title)
        && skeleton(new.title) == skeleton(other.title);
    let theirs: BTreeSet<&(Kind, &str)> = other.names.iter().collect();
    let common = new
        .names
        .iter()
        .filter(|name| theirs.contains(name))
        .count();
    let is_copy = common >= MIN_COMMON && common * 100 >= new.names.len() * COMMON;
    if !(has_title || looks || is_copy) {
        return None;
    }
    let severity = if looks {
        Severity::Critical
    } else {
        Severity::High
    };
    let reason = if is_copy {
        format!(
            "has {common} of its {} names from the server {}",
            new.names.len(),
            other.server
        )
    } else {
        format!("calls itself like the server {}", other.server)
    };
    let finding = Finding {
        rule: "server-imitation",
        technique: "SAFE-T1004",
        severity,
        pointer: String::new(),
        excerpt: excerpt(new.title),
        reason,
    };
    let about = (Kind::Server, String::new());
    Some(Shadow { about, finding })
}

/// A name without case and separators; one of separators only as it is.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|char| char.is_alphanumeric());
    let letters: String = letters.flat_map(char::to_lowercase).collect();
    if letters.is_empty() {
        name.to_owned()
    } else {
        letters
    }
}

/// `page1` and `page2`, `v1` and `v2` are no imitations.
fn differs_by_number(one: &str, other: &str) -> bool {
    let letters = |text: &str| {
        text.chars()
            .filter(|char| !char.is_ascii_digit())
            .collect::<String>()
    };
    letters(one) == letters(other)
}

/// How many letters have to be put in, left out, changed or exchanged with the next; at most one more than `most`.
fn distance(one: &str, other: &str, most: usize) -> usize {
    let letters = |text: &str| text.chars().take(MAX_LETTERS).collect::<Vec<char>>();
    let (one, other) = (letters(one), letters(other));
    if one.len().abs_diff(other.len()) > most {
        return most + 1;
    }
    let far = most + 1;
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(far);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, char) in one.iter().enumerate() {
        let mut next = vec![far; other.len() + 1];
        if let Some(first) = next.first_mut() {
            *first = index + 1;
        }
        // Whatever is farther from the diagonal than `most` is farther apart than that.
        let nearby = index.saturating_sub(most)..other.len().min(index + most + 1);
        for place in nearby {
            let theirs = other.get(place);
            let changed = at(&row, place) + usize::from(Some(char) != theirs);
            let mut least = changed
                .min(at(&row, place + 1) + 1)
                .min(at(&next, place) + 1);
            let is_turned = index.checked_sub(1).and_then(|last| one.get(last)) == theirs
                && place.checked_sub(1).and_then(|last| other.get(last)) == Some(char);
            if is_turned {
                least = least.min(at(&before, place.saturating_sub(1)) + 1);
            }
            if let Some(cell) = next.get_mut(place + 1) {
                *cell = least;
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    at(&row, other.len()).min(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(new: &[&str], known: &[&str]) -> Vec<(&'static str, Severity)> {
        let names = |names: &[&'static str]| {
            names
                .iter()
                .map(|name| (Kind::Tool, *name))
                .collect::<Vec<_>>()
        };
        let leak = |all: &[&str]| {
            all.iter()
                .map(|name| &*name.to_string().leak())
                .collect::<Vec<&'static str>>()
        };
        let (own, theirs) = (names(&leak(new)), names(&leak(known)));
        let new = Known {
            server: "new",
            title: "",
            names: &own,
        };
        let known = Known {
            server: "known",
            title: "",
            names: &theirs,
        };
        shadows(&new, &[known])
            .into_iter()
            .map(|shadow| (shadow.finding.rule, shadow.finding.severity))
            .collect()
    }

    #[test]
    fn atk_054_poi_01_names_like_those_of_another_server_are_found() {
        for (name, expected) in [
            ("send_email", ("name-collision", Severity::Medium)),
            ("Send_Email", ("name-near", Severity::High)),
            ("send-email", ("name-near", Severity::High)),
            ("sendEmail", ("name-near", Severity::High)),
            ("sеnd_email", ("name-homoglyph", Severity::Critical)),
            ("sеndEmail", ("name-homoglyph", Severity::Critical)),
            ("send:email", ("name-near", Severity::High)),
            ("send_emai1", ("name-homoglyph", Severity::Critical)),
            ("send_emial", ("name-near", Severity::Medium)),
            ("send_emails", ("name-near", Severity::Medium)),
        ] {
            assert_eq!(rules(&[name], &["send_email"]), [expected], "{name}");
        }
    }

    #[test]
    fn other_names_are_other_names() {
        for (name, known) in [
            ("read_mail", "send_email"),
            ("get", "set"),
            ("page1", "page2"),
            ("list_users_v1", "list_users_v2"),
        ] {
            assert_eq!(rules(&[name], &[known]), [], "{name}");
        }
    }

    #[test]
    fn atk_054_a_server_that_imitates_another_is_found() {
        let names = [
            (Kind::Tool, "alpha_one"),
            (Kind::Tool, "beta_two"),
            (Kind::Tool, "gamma_three"),
        ];
        let known = Known {
            server: "notes",
            title: "Notes",
            names: &names,
        };
        for (title, names, severity) in [
            ("NOTES", [].as_slice(), Severity::High),
            ("Nоtes", [].as_slice(), Severity::Critical),
            ("Other", names.as_slice(), Severity::High),
        ] {
            let new = Known {
                server: "new",
                title,
                names,
            };
            let found = shadows(&new, &[known]);
            let first = found
                .first()
                .map(|shadow| (shadow.finding.rule, shadow.finding.severity));
            assert_eq!(first, Some(("server-imitation", severity)), "{title}");
        }
    }

    #[test]
    fn a_server_is_no_shadow_of_itself() {
        let names = [(Kind::Tool, "add")];
        let known = Known {
            server: "notes",
            title: "Notes",
            names: &names,
        };
        assert_eq!(shadows(&known, &[known]), []);
    }
}
