//! What `check_strict` checks, slowly and by the library itself: its tests and its fuzz target hold it against this.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// No JSON, too deep, or something after it.
    Json,
    /// A member occurs twice.
    Duplicate,
}

/// Whether a text is one JSON value without duplicate members, at most `depth` deep.
pub(super) fn walk(text: &str, depth: usize) -> Result<(), Flaw> {
    let is_duplicate = Cell::new(false);
    let walker = Walker {
        depth,
        is_duplicate: &is_duplicate,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = walker.deserialize(&mut deserializer);
    if is_duplicate.get() {
        return Err(Flaw::Duplicate);
    }
    outcome
        .and_then(|()| deserializer.end())
        .map_err(|_| Flaw::Json)
}

#[derive(Clone, Copy)]
struct Walker<'c> {
    /// How many levels may follow.
    depth: usize,
    is_duplicate: &'c Cell<bool>,
}

impl Walker<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while seq.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                self.is_duplicate.set(true);
                return Err(A::Error::custom("duplicate member"));
            }
            map.next_value_seed(deeper)?;
        }
        Ok(())
    }
}
