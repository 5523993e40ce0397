//! How many subschemas can one value be held against? References multiply: what is written in a few lines may take
//! longer than anybody waits.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most that one value may be held against.
const MAX_WEIGHT: usize = 1_000;
/// The most steps to find that out.
const MAX_LOOKS: usize = 200_000;
/// What a pattern costs, which is held against whole texts.
const PATTERN: usize = 50;
/// How many values of an enumeration cost as much as a subschema.
const VALUES: usize = 8;

/// Applied to the same value as the schema in which they stand.
const SAME: [&str; 10] = [
    "$ref",
    "allOf",
    "anyOf",
    "dependencies",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "then",
];
/// Applied to every member, or its name, as `patternProperties` are.
const MEMBERS: [&str; 3] = [
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
];
/// Applied to every item.
const ITEMS: [&str; 4] = ["additionalItems", "contains", "items", "unevaluatedItems"];
/// What refers to something by another way than a place in the same document.
const OTHERWISE: [&str; 5] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
];

/// Subschemas that are held against one value, each with how often, by where they are in memory.
type Together<'a> = BTreeMap<usize, (&'a Value, usize)>;

/// How many subschemas one value is held against at most, whatever the value; none if they are too many, or refer in a
/// way that is not followed here.
pub(super) fn of(root: &Value) -> Option<usize> {
    let mut walk = Walk {
        root,
        looks: 0,
        waiting: vec![add(Together::new(), root, 1)],
        known: BTreeSet::new(),
    };
    let mut most = 1;
    while let Some(together) = walk.waiting.pop() {
        most = most.max(walk.level(&together)?);
    }
    Some(most)
}

fn add<'a>(mut all: Together<'a>, schema: &'a Value, times: usize) -> Together<'a> {
    let place = std::ptr::from_ref(schema).addr();
    let (_, count) = all.entry(place).or_insert((schema, 0));
    *count = count.saturating_add(times);
    all
}

struct Walk<'a> {
    root: &'a Value,
    looks: usize,
    /// What is held against values that are still to be looked at.
    waiting: Vec<Together<'a>>,
    known: BTreeSet<Vec<(usize, usize)>>,
}

impl<'a> Walk<'a> {
    /// All that is held against one value, and what against its members and items.
    fn level(&mut self, together: &Together<'a>) -> Option<usize> {
        let state = together.iter().map(|(place, (_, times))| (*place, *times));
        if together.is_empty() || !self.known.insert(state.collect()) {
            return Some(1);
        }
        let mut open: Vec<(&'a Value, usize)> = together.values().copied().collect();
        let mut weight = 0_usize;
        let mut below = Below::default();
        while let Some((schema, times)) = open.pop() {
            self.looks += 1;
            let own = own_weight(schema).saturating_mul(times);
            weight = weight.saturating_add(own);
            if weight > MAX_WEIGHT || self.looks > MAX_LOOKS {
                return None;
            }
            self.same(schema, times, &mut open)?;
            below.take(schema, times);
        }
        self.waiting.extend(below.each());
        Some(weight)
    }

    /// What is applied to the same value.
    fn same(
        &self,
        schema: &'a Value,
        times: usize,
        open: &mut Vec<(&'a Value, usize)>,
    ) -> Option<()> {
        let is_other = |keyword: &&str| schema.get(*keyword).is_some();
        let is_nested = !std::ptr::eq(schema, self.root) && schema.get("$id").is_some();
        if OTHERWISE.iter().any(is_other) || is_nested {
            return None;
        }
        // What was applied is gone through once more to know what it has evaluated.
        let again = ["unevaluatedProperties", "unevaluatedItems"];
        let times = if again.iter().any(is_other) {
            times.saturating_mul(2)
        } else {
            times
        };
        for keyword in SAME {
            match (keyword, schema.get(keyword)) {
                (_, None) => {}
                ("$ref", Some(reference)) => open.push((self.target(reference.as_str()?)?, times)),
                ("dependencies" | "dependentSchemas", Some(named)) => {
                    let named = named
                        .as_object()
                        .into_iter()
                        .flat_map(|named| named.values());
                    open.extend(named.map(|schema| (schema, times)));
                }
                (_, Some(Value::Array(all))) => open.extend(all.iter().map(|one| (one, times))),
                (_, Some(one)) => open.push((one, times)),
            }
        }
        Some(())
    }

    /// What a reference within the document is of.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.contains('%') {
            return None;
        }
        self.root.pointer(pointer)
    }
}

/// What it costs to hold one subschema against one value.
fn own_weight(schema: &Value) -> usize {
    let has_pattern = schema.get("pattern").is_some();
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let patterns = usize::from(has_pattern) + patterns.map_or(0, serde_json::Map::len);
    let values = schema.get("enum").and_then(Value::as_array);
    1 + patterns * PATTERN + values.map_or(0, Vec::len) / VALUES
}

/// What is held against the members and items of a value.
#[derive(Default)]
struct Below<'a> {
    named: BTreeMap<&'a str, Together<'a>>,
    numbered: BTreeMap<usize, Together<'a>>,
    members: Together<'a>,
    items: Together<'a>,
}

impl<'a> Below<'a> {
    fn take(&mut self, schema: &'a Value, times: usize) {
        let named = schema.get("properties").and_then(Value::as_object);
        for (name, one) in named.into_iter().flatten() {
            let own = self.named.entry(name).or_default();
            *own = add(std::mem::take(own), one, times);
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let patterns = patterns.into_iter().flat_map(|all| all.values());
        let others = MEMBERS.iter().filter_map(|keyword| schema.get(keyword));
        for one in patterns.chain(others) {
            self.members = add(std::mem::take(&mut self.members), one, times);
        }
        let in_order = |keyword| schema.get(keyword).and_then(Value::as_array);
        let in_order = in_order("prefixItems").into_iter().chain(in_order("items"));
        for (number, one) in in_order.flat_map(|all| all.iter().enumerate()) {
            let own = self.numbered.entry(number).or_default();
            *own = add(std::mem::take(own), one, times);
        }
        for one in ITEMS.iter().filter_map(|keyword| schema.get(keyword)) {
            if !one.is_array() {
                self.items = add(std::mem::take(&mut self.items), one, times);
            }
        }
    }

    /// All that one member or item may be held against, for each that is spoken of and for the others.
    fn each(self) -> Vec<Together<'a>> {
        let with = |own: Together<'a>, others: &Together<'a>| {
            others
                .values()
                .fold(own, |all, (schema, times)| add(all, schema, *times))
        };
        let named = self.named.into_values();
        let mut all: Vec<Together<'a>> = named.map(|own| with(own, &self.members)).collect();
        let numbered = self.numbered.into_values();
        all.extend(numbered.map(|own| with(own, &self.items)));
        all.extend([self.members, self.items]);
        all
    }
}
