//! Why something is permitted or not, by the rules that are in force.

use super::asked::beside;
use super::{Answer, Asked, Trouble};
use crate::clock;
use crate::explaining::{self, Court, Who, Wish, explain, explain_record};
use crate::moment;
use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;

/// A request that nobody has made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    server: String,
    #[serde(default)]
    who: Who,
    method: Option<String>,
    tool: Option<String>,
    resource: Option<String>,
    prompt: Option<String>,
    ask: Option<String>,
    arguments: Option<Map<String, Value>>,
    era: Option<String>,
    time: Option<String>,
    network: Option<IpAddr>,
    anomaly: Option<u8>,
    risk: Option<u32>,
    #[serde(default)]
    findings: Vec<String>,
}

/// What a record does not hold.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    arguments: Option<Map<String, Value>>,
}

pub(super) async fn of_question(asked: &Asked) -> Result<Answer, Trouble> {
    let question: Question = asked.told()?;
    asked.is_about(question.server.clone());
    let unreadable = |why: &str| Trouble::Unreadable(why.to_owned());
    let time = match &question.time {
        None => clock::now(),
        Some(text) => moment::written(text)
            .map(Timestamp::from_micros)
            .ok_or_else(|| unreadable("time is no moment"))?,
    };
    if question.anomaly.is_some_and(|score| score > 100) {
        return Err(unreadable("anomaly is a number from 0 to 100"));
    }
    if question.risk.is_some_and(|risk| risk > 100) {
        return Err(unreadable("risk is a number from 0 to 100"));
    }
    let findings = question.findings.iter().map(String::as_str);
    let rated = question.risk.map(|risk| Rated::of(risk, findings));
    question.who.check().map_err(Trouble::Unreadable)?;
    let wish = Wish {
        method: question.method,
        tool: question.tool,
        resource: question.resource,
        prompt: question.prompt,
        ask: question.ask,
        arguments: question.arguments,
        era: question.era,
    };
    let (era, what) = wish.read().map_err(Trouble::Unreadable)?;
    let put = explaining::Asked {
        who: question.who,
        server: question.server,
        what,
        era,
        time,
        network: question.network.map(|network| network.to_string()),
        anomaly: question.anomaly.map_or(Anomaly::CALM, Anomaly::assumed),
        rated,
    };
    let court = court(asked);
    beside(move || {
        let told = explain(&court()?, &put);
        let told = told.map_err(|error| Trouble::Unreadable(format!("{error:#}")))?;
        Ok(Answer::ok(told.json))
    })
    .await
}

pub(super) async fn of_record(asked: &Asked) -> Result<Answer, Trouble> {
    let beside_it: Beside = if asked.body.is_empty() {
        Beside::default()
    } else {
        asked.told()?
    };
    let who = Who {
        roles: beside_it.roles,
        groups: beside_it.groups,
        scopes: beside_it.scopes,
        claims: beside_it.claims,
        ..Who::default()
    };
    who.check().map_err(Trouble::Unreadable)?;
    let (log, id) = (asked.office.log.clone(), asked.name().to_owned());
    let court = court(asked);
    beside(move || {
        let found = explaining::find(&log, &id);
        let found = found.map_err(|error| Trouble::Unreadable(format!("{error:#}")))?;
        let recorded = found.ok_or(Trouble::NotFound("the log has no record with this id"))?;
        let told = explain_record(&recorded, &court()?, who, beside_it.arguments);
        let told = told.map_err(|error| Trouble::Unreadable(format!("{error:#}")))?;
        Ok(Answer::ok(told.json))
    })
    .await
}

/// The rules that are in force, to be asked where that may take long.
fn court(asked: &Asked) -> impl FnOnce() -> Result<Court, Trouble> + Send + 'static {
    let (rules, book) = (asked.live.rules.clone(), Arc::clone(&asked.live.book));
    let trust = asked.gateway.issuers.trust();
    move || {
        let trusted = trust.issuers.values().cloned();
        Court::of(rules, trusted, book).map_err(|error| Trouble::Failed(format!("{error:#}")))
    }
}
