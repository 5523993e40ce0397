//! Why is something permitted or not? What a record of the log says, and what the rules would say of a question.
//!
//! The command asks the rules of a file, operators those that are in force; both by these functions.

mod asked;
mod said;
mod verdict;
mod court;
mod book;
mod recorded;

use serde_json::{Map, Value, json};

pub(crate) use asked::{Asked, Who, Wish};
pub(crate) use book::Book;
pub(crate) use court::Court;
pub(crate) use recorded::{Recorded, find};
pub(crate) use verdict::Verdict;

/// The most callers that are tried to find out who would be permitted.
const MAX_NEAR: usize = 256;

/// What there is to say, in words and as JSON.
pub(crate) struct Told {
    pub(crate) words: Vec<String>,
    pub(crate) json: Value,
    pub(crate) outcome: Outcome,
}

/// Whether what was asked could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Told,
    Unknown,
}

/// Who would be permitted, and by which rule.
struct Near {
    who: String,
    rule: String,
}

/// What the rules say.
///
/// # Errors
/// The question names what is not there.
pub(crate) fn explain(court: &Court, asked: &Asked) -> anyhow::Result<Told> {
    let (verdict, facts) = court.hear(asked)?;
    let near = near(court, asked, &verdict)?;
    let (mut words, outcome) = match &verdict {
        Verdict::Allowed { rule } => {
            let place = court.place(rule);
            (vec![format!("Allowed by {rule}{place}.")], Outcome::Told)
        }
        Verdict::Denied {
            reason,
            rule,
            scopes,
        } => (
            denied(court, asked, (*reason, rule.as_deref(), scopes)),
            Outcome::Told,
        ),
        Verdict::Unjudged(why) => (
            vec![format!("It never comes to a decision of the rules: {why}.")],
            Outcome::Unknown,
        ),
    };
    let shown = near.iter().map(|near| {
        let place = court.place(&near.rule);
        format!(
            "It would be allowed to {}, by {}{place}.",
            near.who, near.rule
        )
    });
    words.extend(shown);
    let facts = facts.iter();
    let facts: Vec<String> = facts
        .map(|(name, fact)| format!("{name} = {fact}"))
        .collect();
    if !facts.is_empty() {
        words.push(format!("The rules look at {}.", facts.join("; ")));
    }
    let implied = court.implied(asked);
    if !implied.is_empty() {
        words.push(format!("Its scopes imply {}.", implied.join(" ")));
    }
    let near = near
        .iter()
        .map(|near| json!({ "who": near.who, "rule": near.rule }));
    let json = json!({
        "verdict": verdict.json(),
        "implied": implied,
        "looked_at": facts,
        "near": near.collect::<Vec<_>>(),
        "words": words,
    });
    Ok(Told {
        words,
        json,
        outcome,
    })
}

/// What a record says, whether the rules of now would decide alike, and what they say.
///
/// # Errors
/// As [`explain`].
pub(crate) fn explain_record(
    recorded: &Recorded,
    court: &Court,
    added: Who,
    arguments: Option<Map<String, Value>>,
) -> anyhow::Result<Told> {
    let is_told = arguments.is_some()
        || [&added.roles, &added.groups, &added.scopes]
            .iter()
            .any(|told| !told.is_empty())
        || !added.claims.is_empty();
    let mut words = recorded.words();
    let mut json = json!({ "record": recorded.json(), "alike": null, "today": null });
    let asked = match recorded.asked(court, added, arguments) {
        Ok(asked) => asked,
        Err(why) => {
            words.push(format!(
                "What today's rules would say cannot be told: {why}."
            ));
            return Ok(Told {
                words,
                json,
                outcome: Outcome::Unknown,
            });
        }
    };
    let today = explain(court, &asked)?;
    let alike = recorded.alike(court, &asked, is_told)?;
    words.extend(alike.words);
    words.push("Today, with what is known:".to_owned());
    words.extend(today.words.iter().map(|line| format!("  {line}")));
    if let Some(json) = json.as_object_mut() {
        json.insert("alike".to_owned(), json!(alike.is_so));
        json.insert("today".to_owned(), today.json);
    }
    Ok(Told {
        words,
        json,
        outcome: match alike.is_so {
            Some(_) => Outcome::Told,
            None => Outcome::Unknown,
        },
    })
}

fn denied(
    court: &Court,
    asked: &Asked,
    (reason, rule, scopes): (&str, Option<&str>, &[String]),
) -> Vec<String> {
    let rule = rule.unwrap_or_default();
    let place = court.place(rule);
    let (held, implied) = (&asked.who.scopes, court.implied(asked));
    match reason {
        "scope" => {
            let has = |scope: &String| held.contains(scope) || implied.contains(scope);
            let missing: Vec<&str> = scopes
                .iter()
                .filter(|scope| !has(scope))
                .map(String::as_str)
                .collect();
            vec![
                format!("Denied (scope): the token lacks {}.", missing.join(" ")),
                format!("All that it needs: {}.", scopes.join(" ")),
            ]
        }
        "no_rule" => vec!["Denied (no_rule): nothing permits it, and nothing is permitted by default.".to_owned()],
        "expired" => vec![format!("Denied (expired): {rule}{place} permitted it until its time was over.")],
        "boundary" => vec![format!("Denied (boundary): it lies beyond {rule}, which nothing exceeds, whatever is granted.")],
        "forbidden" => vec![format!("Denied (forbidden): {rule}{place} forbids it, whatever is granted.")],
        "indeterminate" => vec!["Denied (indeterminate): a rule that concerns it could not be evaluated, or its arguments are no JSON object that can be looked through.".to_owned()],
        "issuer" => vec![format!("Denied (issuer): the server {:?} does not trust the issuer of the token.", asked.server)],
        "unknown_method" => vec!["Denied (unknown_method): no rule can name this method.".to_owned()],
        other => vec![format!("Denied ({other}).")],
    }
}

/// Who would be permitted what this caller is not: each principal that a grant of the server names is tried.
fn near(court: &Court, asked: &Asked, verdict: &Verdict) -> anyhow::Result<Vec<Near>> {
    let is_near = match verdict {
        Verdict::Denied { reason, .. } => ["no_rule", "expired"].contains(reason),
        Verdict::Allowed { .. } | Verdict::Unjudged(_) => false,
    };
    let mut found = Vec::new();
    if !is_near {
        return Ok(found);
    }
    for (words, who) in court.others(asked).into_iter().take(MAX_NEAR) {
        let instead = Asked {
            who,
            ..asked.clone()
        };
        if let Verdict::Allowed { rule } = court.judge(&instead)? {
            found.push(Near { who: words, rule });
        }
    }
    Ok(found)
}
