//! What policies have looked at, in words for the audit record.

use super::declared::{Zone, zones_of};
use super::facts::auth_age;
use super::question::Question;
use super::reads::{Fact, Reads};
use serde_json::{Map, Value};

/// The facts that were read and are known, by the names of policies: lists and claims as JSON, zones with spaces between.
pub(super) fn told(
    question: &Question<'_>,
    zones: &[Zone],
    reads: Reads,
) -> Vec<(&'static str, String)> {
    let (subject, login) = (&question.subject, question.subject.authentication);
    let mut told = Vec::new();
    let mut tell = |fact: Fact, name: &'static str, text: &dyn Fn() -> Option<String>| {
        let text = reads.has(fact).then(text).flatten();
        told.extend(text.map(|text| (name, text)));
    };
    tell(Fact::Class, "acr", &|| login?.class.clone());
    tell(Fact::Methods, "amr", &|| {
        let methods = login?.methods.as_deref()?;
        Some(Value::from(methods).to_string())
    });
    tell(Fact::Age, "auth_age", &|| {
        auth_age(question).map(|age| age.to_string())
    });
    let anomaly = question.anomaly;
    tell(Fact::Anomaly, "anomaly", &|| {
        Some(anomaly.score().to_string())
    });
    tell(Fact::Anomaly, "anomaly_of", &|| {
        Some(anomaly.made_up()).filter(|of| !of.is_empty())
    });
    let tool = question.tool();
    tell(Fact::Tool, "tool_risk", &|| Some(tool?.score.to_string()));
    tell(Fact::Tool, "tool_findings", &|| {
        let findings = tool?.findings.iter().map(|rule| &**rule);
        Some(findings.collect::<Vec<&str>>().join(" "))
    });
    tell(Fact::Zones, "zones", &|| {
        Some(zones_of(zones, question.network).join(" "))
    });
    tell(Fact::Declared, "claims", &|| {
        let claims = subject.declared.iter();
        let claims = claims.map(|(name, value)| (name.clone(), value.json()));
        Some(Value::Object(claims.collect::<Map<_, _>>()).to_string())
    });
    told
}
