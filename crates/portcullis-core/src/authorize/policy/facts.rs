//! The request and the entities that Cedar evaluates for a question.

use std::borrow::Cow;
use std::collections::BTreeSet;

use cedar_policy::{
    Context, Entities, Entity, EntityUid, Request, RestrictedExpression as Expression,
};

use super::arguments::{Flat, flatten};
use super::declared::{Zone, zones_of};
use super::names::{Types, escape_server, part_id, principal_id, uid};
use super::question::{Denied, Question, Target};
use super::reads::{Fact, PRINCIPAL, Reads};
use crate::authenticate::ClaimValue;
use crate::time::Timestamp;

/// The names of a question in Cedar.
pub(super) struct Names<'q> {
    /// The principal itself, then its roles and groups.
    pub(super) principal: Vec<EntityUid>,
    pub(super) target: EntityUid,
    pub(super) server: Cow<'q, str>,
}

impl<'q> Names<'q> {
    pub(super) fn of(types: &Types, question: &'q Question<'_>) -> Self {
        let subject = &question.subject;
        let own = principal_id(subject.vouched_by, subject.subject);
        let roles = subject.roles.iter().map(|role| uid(&types.role, role));
        let groups = subject.groups.iter().map(|group| uid(&types.group, group));
        Self {
            principal: std::iter::once(uid(&types.principal, &own))
                .chain(roles)
                .chain(groups)
                .collect(),
            target: match &question.target {
                Target::Tool { server, name } => uid(&types.tool, &part_id(server, name)),
                Target::Resource { server, uri } => uid(&types.resource, &part_id(server, uri)),
                Target::Prompt { server, name } => uid(&types.prompt, &part_id(server, name)),
                Target::Server { server } => uid(&types.server, server),
            },
            server: escape_server(question.target.server()),
        }
    }
}

/// Builds what the policies read of a question, and nothing else.
///
/// Neither the request nor the entities are checked against the schema, which would cost more
/// than the evaluation. They are well typed by construction: [`Target::fits`] held, and the
/// functions below build exactly the attributes of the schema. A slip would fail an
/// evaluation, and that is a denial.
pub(super) fn facts(
    types: &Types,
    action: &Entity,
    names: &Names<'_>,
    (question, zones): (&Question<'_>, &[Zone]),
    reads: Reads,
) -> Result<(Request, Entities), Denied> {
    let mut entities = Vec::new();
    if reads.has_any(&PRINCIPAL) {
        entities.push(principal(names, question, reads)?);
    }
    if reads.has(Fact::Kin) {
        entities.push(action.clone());
    }
    if reads.has_any(&[Fact::Kin, Fact::Naming]) {
        entities.push(target(types, names, &question.target, reads)?);
    }
    let mut context = circumstances(question, zones, reads);
    if reads.has(Fact::Arguments) || reads.has(Fact::Numbers) {
        let flat = match question.arguments {
            Some(arguments) => flatten(arguments).map_err(|_| Denied::Indeterminate)?,
            None => Flat::default(),
        };
        let texts = flat
            .texts
            .into_iter()
            .map(|(path, text)| (path, Expression::new_string(text)));
        let numbers = flat.numbers.into_iter();
        let numbers = numbers.map(|(path, number)| (path, Expression::new_long(number)));
        let texts_uid = uid(&types.arguments, "");
        let numbers_uid = uid(&types.numbers, "");
        context.push((
            "arguments".to_owned(),
            Expression::new_entity_uid(texts_uid.clone()),
        ));
        context.push((
            "numbers".to_owned(),
            Expression::new_entity_uid(numbers_uid.clone()),
        ));
        entities.push(entity(texts_uid, [], [], texts)?);
        entities.push(entity(numbers_uid, [], [], numbers)?);
    }
    // To add to no entities takes half the time of `from_entities` for as few as there are here.
    let entities = Entities::empty().add_entities(entities, None);
    let entities = entities.map_err(|_| Denied::Indeterminate)?;
    let context = Context::from_pairs(context).map_err(|_| Denied::Indeterminate)?;
    let [principal, ..] = names.principal.as_slice() else {
        return Err(Denied::Indeterminate);
    };
    let (action, target) = (action.uid(), names.target.clone());
    let request = Request::new(principal.clone(), action, target, context, None);
    Ok((request.map_err(|_| Denied::Indeterminate)?, entities))
}

type Pair = (String, Expression);

fn principal(names: &Names<'_>, question: &Question<'_>, reads: Reads) -> Result<Entity, Denied> {
    let subject = &question.subject;
    let mut attributes = Vec::new();
    if reads.has(Fact::Issuer) {
        attributes.push(text("issuer", subject.issuer));
    }
    if reads.has(Fact::Subject) {
        attributes.push(text("subject", subject.subject));
    }
    if reads.has(Fact::Client) {
        attributes.extend(subject.client.map(|client| text("client", client)));
    }
    if reads.has(Fact::Scopes) {
        let scopes = subject.scopes.iter().cloned().map(Expression::new_string);
        attributes.push(("scopes".to_owned(), Expression::new_set(scopes)));
    }
    if reads.has(Fact::Declared) {
        let claims = subject.declared.iter();
        let claims = claims.map(|(name, value)| (name.clone(), expression(value)));
        let record = Expression::new_record(claims).map_err(|_| Denied::Indeterminate)?;
        attributes.push(("claims".to_owned(), record));
    }
    let mut tags = Vec::new();
    if reads.has(Fact::Claims) {
        let mut claims = BTreeSet::new();
        for (claim, value) in subject.claims {
            if !claims.insert(claim) {
                return Err(Denied::Indeterminate);
            }
            tags.push(text(claim, value));
        }
    }
    let mut principal = names.principal.iter().cloned();
    let own = principal.next().ok_or(Denied::Indeterminate)?;
    let kin = principal.filter(|_| reads.has(Fact::Kin));
    entity(own, attributes, kin, tags)
}

fn target(
    types: &Types,
    names: &Names<'_>,
    target: &Target<'_>,
    reads: Reads,
) -> Result<Entity, Denied> {
    let uid_of_server = |server| Some(uid(&types.server, server));
    let (attribute, name, server) = match target {
        Target::Tool { server, name } | Target::Prompt { server, name } => {
            ("name", name, uid_of_server(server))
        }
        Target::Resource { server, uri } => ("uri", uri, uid_of_server(server)),
        Target::Server { server } => ("name", server, None),
    };
    let mut attributes = Vec::new();
    if reads.has(Fact::Naming) {
        attributes.push(text(attribute, name));
        if let Some(server) = &server {
            attributes.push(text("server", server.id().unescaped()));
        }
    }
    let kin = server.filter(|_| reads.has(Fact::Kin));
    entity(names.target.clone(), attributes, kin, [])
}

fn circumstances(question: &Question<'_>, zones: &[Zone], reads: Reads) -> Vec<Pair> {
    let mut context = Vec::new();
    if reads.has(Fact::Time) {
        let moment = moment(question.time);
        let parts = moment.map(|(name, value)| (name.to_owned(), Expression::new_long(value)));
        // The names in `moment` are distinct: a record of them is always made.
        context.extend(
            Expression::new_record(parts)
                .ok()
                .map(|time| ("time".to_owned(), time)),
        );
    }
    if reads.has(Fact::Era) {
        context.push(text("era", question.era));
    }
    if reads.has(Fact::Network) {
        context.extend(question.network.map(|network| text("network", network)));
    }
    if reads.has(Fact::Zones) {
        let own = zones_of(zones, question.network).into_iter();
        context.push(set("zones", own));
    }
    let login = question.subject.authentication;
    if reads.has(Fact::Class) {
        let class = login.and_then(|login| login.class.as_deref());
        context.extend(class.map(|class| text("acr", class)));
    }
    if reads.has(Fact::Methods) {
        let methods = login.and_then(|login| login.methods.as_ref());
        context.extend(methods.map(|all| set("amr", all.iter().map(String::as_str))));
    }
    if reads.has(Fact::Age) {
        let age = auth_age(question).map(Expression::new_long);
        context.extend(age.map(|age| ("auth_age".to_owned(), age)));
    }
    if reads.has(Fact::Anomaly) {
        let score = Expression::new_long(question.anomaly.score().into());
        context.push(("anomaly".to_owned(), score));
    }
    if reads.has(Fact::Tool) {
        let tool = question.tool();
        let score = Expression::new_long(tool.map_or(0, |tool| tool.score).into());
        let findings = tool.into_iter().flat_map(|tool| tool.findings.iter());
        let parts = [
            ("risk".to_owned(), score),
            set("findings", findings.map(|rule| &**rule)),
        ];
        // The two names differ: a record of them is always made.
        let record = Expression::new_record(parts).ok();
        context.extend(record.map(|record| ("tool".to_owned(), record)));
    }
    context
}

/// How many seconds ago the login was; not known if the token does not say, or says what cannot be.
pub(super) fn auth_age(question: &Question<'_>) -> Option<i64> {
    let now = Timestamp::from_seconds(u64::try_from(question.time).ok()?);
    let age = question.subject.authentication?.age(now)?;
    i64::try_from(age.as_secs()).ok()
}

fn expression(value: &ClaimValue) -> Expression {
    let text = |text: &String| Expression::new_string(text.clone());
    match value {
        ClaimValue::Bool(value) => Expression::new_bool(*value),
        ClaimValue::Long(value) => Expression::new_long(*value),
        ClaimValue::Text(value) => text(value),
        ClaimValue::Texts(values) => Expression::new_set(values.iter().map(text)),
    }
}

fn set<'t>(name: &str, texts: impl Iterator<Item = &'t str>) -> Pair {
    let texts = texts.map(|text| Expression::new_string(text.to_owned()));
    (name.to_owned(), Expression::new_set(texts))
}

/// The parts of a point in time that policies can speak of.
pub(super) fn moment(seconds: i64) -> [(&'static str, i64); 3] {
    const DAY: i64 = 24 * 60 * 60;
    const HOUR: i64 = 60 * 60;
    let hour = seconds.rem_euclid(DAY).div_euclid(HOUR);
    // 1970-01-01 was a Thursday.
    let weekday = (seconds.div_euclid(DAY).rem_euclid(7) + 3).rem_euclid(7) + 1;
    [("seconds", seconds), ("hour", hour), ("weekday", weekday)]
}

fn text(name: &str, text: &str) -> Pair {
    (name.to_owned(), Expression::new_string(text.to_owned()))
}

fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = Pair>,
    parents: impl IntoIterator<Item = EntityUid>,
    tags: impl IntoIterator<Item = Pair>,
) -> Result<Entity, Denied> {
    Entity::new_with_tags(uid, attributes, parents, tags).map_err(|_| Denied::Indeterminate)
}
