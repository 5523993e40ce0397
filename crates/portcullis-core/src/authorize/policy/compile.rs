//! From the sources of policies to the index that is evaluated, or to all that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use crate::authorize::Strength;
use crate::hexadecimal::hexadecimal;
use cedar_policy::{Entities, Policy as Cedar, Schema};

use super::check::{Check, Checked};
use super::declared::{self, Zone};
use super::grants::Held;
use super::index::{Index, Named};
use super::names::Types;
use super::problem::{PolicyError, Problem};
use super::reads::Reads;
use super::unsure::Unsure;
use super::visible::Visible;
use super::{Sources, held};

const SCHEMA: &str = include_str!("schema.cedarschema");

/// What the sources come to.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) types: Types,
    /// The policies as they are.
    pub(super) full: Index,
    /// The policies as they are for a list.
    pub(super) lists: Index,
    /// Both for callers some of whose groups are not known, where that matters.
    pub(super) unsure: Option<Unsure>,
    pub(super) visible: Visible,
    /// The scopes that policies ask for.
    pub(super) scopes: BTreeSet<String>,
    pub(super) reads: Reads,
    pub(super) zones: Vec<Zone>,
    /// What the audit record calls the rules.
    pub(super) rules: BTreeSet<String>,
    /// The grants that end, with the seconds since 1970.
    pub(super) ends: Vec<(String, i64)>,
    /// What rules ask for of the login of whom they deny.
    pub(super) step_ups: BTreeMap<String, Strength>,
    /// The rules that a review holds back.
    pub(super) held: Vec<(String, Held)>,
    pub(super) text: String,
    pub(super) hash: String,
}

pub(super) fn compile(sources: &Sources<'_>) -> Result<Compiled, PolicyError> {
    let schema_text = declared::schema(SCHEMA, sources.claims).map_err(PolicyError::of)?;
    let (schema, _) =
        Schema::from_cedarschema_str(&schema_text).map_err(|error| of_ours(&error))?;
    let types = Types::parse().map_err(|error| of_ours(&error))?;
    let actions = schema.action_entities().map_err(|error| of_ours(&error))?;
    let mut check = Check::new(schema, &types, &actions, (sources.zones, sources.claims));
    for (name, text) in sources.cedar {
        check.file(name, text);
    }
    for grant in sources.grants {
        check.grant(grant);
    }
    for boundary in sources.boundaries {
        check.boundary(boundary);
    }
    let ends = sources.grants.iter();
    let ends = ends.filter_map(|grant| Some((grant.rule(), grant.until?)));
    let (policies, problems, step_ups) = (check.policies, check.problems, check.step_ups);
    if !problems.is_empty() {
        return Err(PolicyError { problems });
    }
    let compiled = assemble(types, &actions, &policies);
    let compiled = compiled.map_err(|error| of_ours(error.as_ref()))?;
    let declared = declared::text(sources.zones, sources.claims);
    Ok(Compiled {
        ends: ends.collect(),
        hash: hash(&[&schema_text, &declared, &compiled.text]),
        zones: sources.zones.to_vec(),
        step_ups,
        held: held::back(sources.grants),
        ..compiled
    })
}

fn assemble(
    types: Types,
    actions: &Entities,
    policies: &[Checked],
) -> Result<Compiled, Box<dyn Error>> {
    let mut visible = Visible::default();
    let mut scopes = BTreeSet::new();
    let mut rules = BTreeSet::new();
    let mut reads = Reads::default();
    let (mut lists, mut texts) = (Vec::new(), Vec::new());
    for checked in policies {
        let Checked { policy, json } = checked;
        rules.insert(Named::of(policy).rule);
        reads = reads.and(Reads::of(json));
        super::scopes::collect(json, "scopes", &mut scopes);
        lists.extend(visible.relax(checked)?);
        let canonical = Cedar::from_json(None, json.clone())?;
        let rule: &str = policy.id().as_ref();
        texts.push(format!("// {rule:?}\n{canonical}\n"));
    }
    texts.sort();
    let text = texts.concat();
    Ok(Compiled {
        full: Index::build(&types, actions, policies)?,
        lists: Index::build(&types, actions, &lists)?,
        unsure: Unsure::build(&types, actions, (policies, &lists))?,
        hash: String::new(),
        zones: Vec::new(),
        types,
        visible,
        scopes,
        reads,
        rules,
        ends: Vec::new(),
        step_ups: BTreeMap::new(),
        held: Vec::new(),
        text,
    })
}

/// The schema and what is declared give the policies their meaning, so they are part of what is hashed.
fn hash(parts: &[&str]) -> String {
    hexadecimal(parts.concat().as_bytes())
}

/// A problem of the schema or of the engine, which no source can cause.
fn of_ours(error: &dyn Error) -> PolicyError {
    PolicyError::of(Problem::new("policy engine", error.to_string()))
}
