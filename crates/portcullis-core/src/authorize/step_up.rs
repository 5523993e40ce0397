//! Have they authenticated well enough, and lately? What a token says of that, against what a call needs (RFC 9470).

use super::{Approval, Grant, Risky};
use crate::authenticate::{Authentication, MAX_SKEW};
use crate::protocol::Target;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What a call needs of the authentication behind its token. The default needs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strength {
    /// Accepted `acr` values, the preferred one first; any will do if there are none.
    pub classes: Vec<String>,
    /// `amr` values (RFC 8176) that must all be there.
    pub methods: Vec<String>,
    /// How long ago `auth_time` may be.
    pub max_age: Option<Duration>,
}

/// What calls of one server need.
#[derive(Debug, Clone, Default)]
pub struct Strengths {
    /// Every request.
    pub server: Strength,
    /// Calls of these tools, with what every request needs.
    pub tools: HashMap<String, Strength>,
    /// The tools of which each call has to be approved.
    pub approvals: HashMap<String, Approval>,
    /// What calls of other tools need that are risky.
    pub risky: Option<Risky>,
}

/// The first thing that an authentication lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Another `acr` than the accepted ones, or none.
    Class,
    /// An `amr` value is missing, or all are.
    Method,
    /// It is too long ago, in the future, or nobody says when it was.
    Age,
}

/// What was seen, and what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// What the token says.
    pub seen: Authentication,
    /// How long ago that was.
    pub age: Option<Duration>,
    /// All that the call needs of it.
    pub required: Strength,
    /// The rules that need it, where it is not the configuration.
    pub rule: Option<String>,
    /// The scopes that the call needs too.
    pub scopes: Vec<String>,
    /// The scopes that the token names.
    pub held: Vec<String>,
    /// For which grant another login would count, if the token tells.
    pub grant: Option<Grant>,
}

impl Strengths {
    /// What a call to `target` needs.
    pub(super) fn of(&self, target: &Target) -> &Strength {
        let own = match target {
            Target::Tool(tool) => self.tools.get(&**tool),
            Target::Resource(_) | Target::Prompt(_) | Target::Task(_) | Target::Server => None,
        };
        own.unwrap_or(&self.server)
    }
}

impl Strength {
    /// Holds a token's own words against it, at this moment.
    pub(super) fn check(&self, seen: &Authentication, now: Timestamp) -> Result<(), Lack> {
        let is_accepted = |class: &String| self.classes.contains(class);
        if !self.classes.is_empty() && !seen.class.as_ref().is_some_and(is_accepted) {
            return Err(Lack::Class);
        }
        let methods = seen.methods.as_deref().unwrap_or_default();
        if !self.methods.iter().all(|method| methods.contains(method)) {
            return Err(Lack::Method);
        }
        match self.max_age {
            Some(most) if seen.age(now).is_none_or(|age| age > most) => Err(Lack::Age),
            Some(_) | None => Ok(()),
        }
    }

    /// What meets both; `None` if nothing does. Of the classes that both accept, the order is the other's.
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut classes = other.classes.clone();
        if classes.is_empty() {
            classes.clone_from(&self.classes);
        } else if !self.classes.is_empty() {
            classes.retain(|class| self.classes.contains(class));
            if classes.is_empty() {
                return None;
            }
        }
        let mut methods = [&*self.methods, &*other.methods].concat();
        methods.sort();
        methods.dedup();
        Some(Self {
            classes,
            methods,
            max_age: self.max_age.into_iter().chain(other.max_age).min(),
        })
    }

    /// Whether it can stand in a quoted text between spaces (RFC 9470 section 3, RFC 9110 section 5.6.4).
    pub fn is_value(text: &str) -> bool {
        let is_inside = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        !text.is_empty() && text.bytes().all(is_inside)
    }

    /// The logins that are just good enough, one for each class that is accepted; what is not asked for is as was seen.
    pub(super) fn just_met(
        &self,
        seen: &Authentication,
        now: Timestamp,
    ) -> impl Iterator<Item = Authentication> {
        // Rules count whole seconds, and some say `<`.
        let oldest = |age: Duration| {
            now.seconds()
                .saturating_sub(age.as_secs().saturating_sub(1))
        };
        let time = self.max_age.map(oldest).map(Timestamp::from_seconds);
        let methods = Some(self.methods.clone()).filter(|methods| !methods.is_empty());
        let login = Authentication {
            class: seen.class.clone(),
            methods: methods.or_else(|| seen.methods.clone()),
            time: time.or(seen.time),
            is_anew: seen.is_anew,
        };
        let as_seen = self.classes.is_empty().then(|| login.clone());
        let classes = self.classes.clone().into_iter();
        let others = classes.map(move |class| Authentication {
            class: Some(class),
            ..login.clone()
        });
        as_seen.into_iter().chain(others)
    }

    /// When the authentication will be too old for this; `None` if it never will.
    pub(super) fn until(&self, seen: &Authentication) -> Option<Timestamp> {
        let most = self.max_age?;
        Some(seen.time.unwrap_or_default().plus(most))
    }
}

impl Authentication {
    /// How long ago it was; `None` if that is not known, or lies further ahead than clocks may differ.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let time = self.time.filter(|time| *time <= now.plus(MAX_SKEW))?;
        Some(now.since(time))
    }
}

impl Lack {
    /// The claim that the audit record names.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Class => "acr",
            Self::Method => "amr",
            Self::Age => "auth_time",
        }
    }
}

impl StepUp {
    /// What was seen, in the words of the claims, for the audit record.
    pub fn seen(&self) -> String {
        let age = self.age.map(|age| age.as_secs().to_string());
        let methods = self.seen.methods.as_ref().map(|methods| methods.join(" "));
        words([
            ("acr", self.seen.class.clone()),
            ("amr", methods),
            ("age", age),
        ])
    }

    /// What is needed, likewise.
    pub fn required(&self) -> String {
        self.required.to_string()
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[String]| (!values.is_empty()).then(|| values.join(" "));
        let age = self.max_age.map(|age| age.as_secs().to_string());
        f.write_str(&words([
            ("acr", list(&self.classes)),
            ("amr", list(&self.methods)),
            ("max_age", age),
        ]))
    }
}

fn words(facts: [(&str, Option<String>); 3]) -> String {
    let named = facts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    named.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn texts(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn seen(class: Option<&str>, methods: Option<&str>, age: Option<i64>) -> Authentication {
        let at = |age: i64| NOW.checked_add_signed(-age).unwrap();
        Authentication {
            class: class.map(str::to_owned),
            methods: methods.map(texts),
            time: age.map(|age| Timestamp::from_seconds(at(age))),
            is_anew: false,
        }
    }

    fn needs(classes: &str, methods: &str, max_age: Option<u64>) -> Strength {
        Strength {
            classes: texts(classes),
            methods: texts(methods),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    type Row = (
        Option<&'static str>,
        Option<&'static str>,
        Option<i64>,
        Result<(), Lack>,
    );

    #[rustfmt::skip]
    const LOGINS: &[Row] = &[
        (Some("gold"), Some("pwd otp"), Some(0), Ok(())),
        (Some("silver"), Some("hwk otp pwd"), Some(300), Ok(())),
        (Some("bronze"), Some("pwd otp"), Some(0), Err(Lack::Class)),
        (Some("Gold"), Some("pwd otp"), Some(0), Err(Lack::Class)),
        (Some("gold silver"), Some("pwd otp"), Some(0), Err(Lack::Class)),
        (None, Some("pwd otp"), Some(0), Err(Lack::Class)),
        (Some("gold"), Some("pwd"), Some(0), Err(Lack::Method)),
        (Some("gold"), Some(""), Some(0), Err(Lack::Method)),
        (Some("gold"), None, Some(0), Err(Lack::Method)),
        (Some("gold"), Some("pwd otp"), Some(301), Err(Lack::Age)),
        (Some("gold"), Some("pwd otp"), None, Err(Lack::Age)),
        (Some("gold"), Some("pwd otp"), Some(-60), Ok(())),
        (Some("gold"), Some("pwd otp"), Some(-61), Err(Lack::Age)),
    ];

    #[test]
    fn auth_04_each_claim_is_held_against_what_is_needed() {
        let strong = needs("gold silver", "otp pwd", Some(300));
        let now = Timestamp::from_seconds(NOW);
        for (class, methods, age, expected) in LOGINS {
            let seen = seen(*class, *methods, *age);
            assert_eq!(strong.check(&seen, now), *expected, "{seen:?}");
            assert_eq!(needs("", "", None).check(&seen, now), Ok(()));
        }
    }

    #[test]
    fn auth_04_what_ages_is_too_old_at_a_known_moment() {
        let strong = needs("", "", Some(300));
        let seen = seen(None, None, Some(100));
        let until = strong.until(&seen).unwrap();
        assert_eq!(until, Timestamp::from_seconds(NOW + 200));
        assert_eq!(strong.check(&seen, until), Ok(()));
        let later = until.plus(Duration::from_micros(1));
        assert_eq!(strong.check(&seen, later), Err(Lack::Age));
        assert_eq!(needs("gold", "otp", None).until(&seen), None);
    }
}
