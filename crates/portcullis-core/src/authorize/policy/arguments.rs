//! The arguments of a call, flattened to one tag for every scalar.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Scalars in the arguments of one call, at most.
pub(super) const MAX_SCALARS: usize = 1024;
/// Bytes of their paths and texts, at most.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Objects and lists within each other, at most.
pub(super) const MAX_DEPTH: usize = 32;

/// The arguments of a call by their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flat {
    /// Every scalar, as text.
    pub(super) texts: Vec<(String, String)>,
    /// Every whole number of 64 bits.
    pub(super) numbers: Vec<(String, i64)>,
    bytes: usize,
}

/// Flattens an object. Fails if it is none, has a key twice or is beyond a bound.
///
/// INVARIANT: two scalars never share a path: in one object keys are distinct, and a dot within
/// a key is escaped.
pub(super) fn flatten(arguments: &RawValue) -> serde_json::Result<Flat> {
    let mut flat = Flat::default();
    let node = Node {
        flat: &mut flat,
        path: &mut String::new(),
        depth: 0,
    };
    node.deserialize(&mut serde_json::Deserializer::from_str(arguments.get()))?;
    Ok(flat)
}

/// A place in the arguments, reached by `path`.
struct Node<'n> {
    flat: &'n mut Flat,
    path: &'n mut String,
    depth: usize,
}

impl Node<'_> {
    fn scalar<E: Error>(self, text: String) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("arguments are not an object"));
        }
        let bytes = text.len().saturating_add(self.path.len());
        self.flat.bytes = self.flat.bytes.saturating_add(bytes);
        if self.flat.texts.len() >= MAX_SCALARS || self.flat.bytes > MAX_BYTES {
            return Err(E::custom("too many arguments"));
        }
        self.flat.texts.push((self.path.clone(), text));
        Ok(())
    }

    /// Rust writes a float that is whole without a point: 5.0 counts as 5.
    fn number<E: Error>(self, text: String) -> Result<(), E> {
        if let Ok(number) = text.parse() {
            self.flat.numbers.push((self.path.clone(), number));
        }
        self.scalar(text)
    }

    fn child<E: Error>(&mut self, key: &str) -> Result<Node<'_>, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("arguments are too deep"));
        }
        if self.depth > 0 {
            self.path.push('.');
        }
        for c in key.chars() {
            match c {
                '%' => self.path.push_str("%25"),
                '.' => self.path.push_str("%2E"),
                plain => self.path.push(plain),
            }
        }
        Ok(Node {
            flat: self.flat,
            path: self.path,
            depth: self.depth.saturating_add(1),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the arguments of a call")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar("null".to_owned())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if self.depth == 0 {
            return Err(A::Error::custom("arguments are not an object"));
        }
        let end = self.path.len();
        for index in 0_usize.. {
            let node = self.child(&index.to_string())?;
            if list.next_element_seed(node)?.is_none() {
                break;
            }
            self.path.truncate(end);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let end = self.path.len();
        let mut keys = BTreeSet::new();
        while let Some(key) = object.next_key::<String>()? {
            let node = self.child(&key)?;
            object.next_value_seed(node)?;
            self.path.truncate(end);
            if !keys.insert(key) {
                return Err(A::Error::custom("an argument comes twice"));
            }
        }
        Ok(())
    }
}
