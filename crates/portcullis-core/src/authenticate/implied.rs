//! Scopes that imply others: whoever has the one has the others too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which scopes imply which others in the tokens of one issuer. It is closed: what an implied scope implies is implied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Implied(BTreeMap<String, BTreeSet<String>>);

/// A scope that implies itself by way of others, which would make all of them one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scopes imply each other")]
pub struct Cycle {
    /// The scopes on the way, the first one once more at the end.
    pub way: Vec<String>,
}

impl Implied {
    /// Follows each scope to all that it implies.
    ///
    /// # Errors
    /// [`Cycle`], the first by the alphabet.
    pub fn close(table: &BTreeMap<String, BTreeSet<String>>) -> Result<Self, Cycle> {
        let mut closed = BTreeMap::new();
        for scope in table.keys() {
            closed.insert(scope.clone(), reached(table, scope)?);
        }
        Ok(Self(closed))
    }

    /// What these scopes imply besides themselves.
    pub fn of(&self, held: &[String]) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let implied = held.iter().filter_map(|scope| self.0.get(scope)).flatten();
        let implied: BTreeSet<&String> = implied.filter(|scope| !held.contains(scope)).collect();
        implied.into_iter().cloned().collect()
    }

    /// The scopes that imply one of these.
    pub fn implying<'a>(&'a self, scopes: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
        let of_use = self.0.iter();
        of_use
            .filter(|(_, implied)| !implied.is_disjoint(scopes))
            .map(|(scope, _)| scope.as_str())
    }

    /// Each scope with all that it implies.
    pub const fn table(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.0
    }
}

/// All that one scope implies.
fn reached(
    table: &BTreeMap<String, BTreeSet<String>>,
    scope: &String,
) -> Result<BTreeSet<String>, Cycle> {
    // Each scope with the one before it on the way here.
    let mut before: BTreeMap<&String, &String> = BTreeMap::new();
    let mut next = VecDeque::from([scope]);
    while let Some(from) = next.pop_front() {
        for to in table.get(from).into_iter().flatten() {
            if to == scope {
                return Err(way_back(&before, scope, from));
            }
            if !before.contains_key(to) {
                before.insert(to, from);
                next.push_back(to);
            }
        }
    }
    Ok(before.into_keys().cloned().collect())
}

fn way_back(before: &BTreeMap<&String, &String>, scope: &String, last: &String) -> Cycle {
    let mut way = vec![scope.clone()];
    let mut at = last;
    while at != scope {
        way.push(at.clone());
        // INVARIANT: whatever is not the beginning was reached from somewhere.
        at = before.get(at).copied().unwrap_or(scope);
    }
    way.push(scope.clone());
    way.reverse();
    Cycle { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        let lines = text.split(", ").filter_map(|line| line.split_once(" > "));
        lines
            .map(|(scope, implied)| (scope.to_owned(), words(implied).into_iter().collect()))
            .collect()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn auth_10_scopes_imply_what_is_below_them_and_nothing_above() {
        let tree = "admin > write audit, write > read, audit > log, other > read";
        let implied = Implied::close(&table(tree)).unwrap();
        for (held, expected) in [
            ("admin", "audit log read write"),
            ("write", "read"),
            ("read", ""),
            ("log read", ""),
            ("other audit", "log read"),
            ("admin write", "audit log read"),
            ("ADMIN admin.x *", ""),
            ("", ""),
        ] {
            assert_eq!(implied.of(&words(held)), words(expected), "{held}");
        }
        let here = ["read".to_owned()].into();
        let of_use: Vec<&str> = implied.implying(&here).collect();
        assert_eq!(of_use, ["admin", "other", "write"]);
    }

    #[test]
    fn auth_10_scopes_that_imply_each_other_are_a_cycle() {
        for (text, way) in [
            ("a > a", "a a"),
            ("a > b, b > a", "a b a"),
            ("x > a, a > b, b > c, c > a d", "a b c a"),
        ] {
            let cycle = Implied::close(&table(text)).unwrap_err();
            assert_eq!(cycle.way, words(way), "{text}");
        }
        assert!(Implied::close(&table("a > c, b > c, c > d")).is_ok());
    }
}
