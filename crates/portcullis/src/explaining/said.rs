//! What a case says of its caller, in the claims that its issuer would write.

use super::asked::Who;
use portcullis_core::authenticate::{ClaimPath, Claims};
use serde_json::{Map, Value, json};

/// Stands where an issuer needs a claim and the case says nothing: a text that names nothing.
const NOTHING: &str = " ";

/// The claims that name somebody and what they have, beside `further`.
pub(super) fn said(who: &Who, subject: &str, names: &Claims) -> Map<String, Value> {
    let mut claims = who.claims.clone();
    claims.insert("sub".to_owned(), json!(subject));
    claims.insert(names.subject.clone(), json!(subject));
    claims.insert(names.scopes.clone(), json!(who.scopes.join(" ")));
    put(&mut claims, &names.roles, json!(who.roles));
    put(&mut claims, &names.groups, json!(who.groups));
    let client = names.client.as_deref();
    match (&who.client, client) {
        (Some(own), place) => {
            claims.insert(place.unwrap_or("client_id").to_owned(), json!(own));
        }
        (None, Some(place)) => {
            claims.entry(place).or_insert_with(|| json!(NOTHING));
        }
        (None, None) => {}
    }
    for (name, texts) in &names.required {
        let first = texts.first();
        claims.entry(name).or_insert_with(|| json!(first));
    }
    let is_there = |name: &String| {
        let value = claims.get(name);
        value.is_some_and(|value| *value != json!("") && *value != json!([]))
    };
    if let Some(first) = names
        .one_of
        .first()
        .filter(|_| !names.one_of.iter().any(is_there))
    {
        claims.insert(first.clone(), json!(NOTHING));
    }
    claims
}

/// Writes a claim where its path leads.
pub(super) fn put(claims: &mut Map<String, Value>, path: &ClaimPath, value: Value) {
    let Some((last, way)) = path.names().split_last() else {
        return;
    };
    let mut place = claims;
    for name in way {
        let inner = place.entry(name).or_insert_with(|| json!({}));
        if !inner.is_object() {
            *inner = json!({});
        }
        let Some(next) = inner.as_object_mut() else {
            return;
        };
        place = next;
    }
    place.insert(last.clone(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authz_02_a_case_has_the_claims_that_its_issuer_writes() {
        let text = |text: &str| text.to_owned();
        let names = Claims {
            scopes: text("scp"),
            roles: ClaimPath::new(vec![text("a"), text("b"), text("roles")]),
            subject: text("oid"),
            client: Some(text("azp")),
            required: vec![(text("tid"), vec![text("t1"), text("t2")])],
            one_of: vec![text("scp"), text("idtyp")],
            ..Claims::default()
        };
        let mut who = Who {
            roles: vec![text("r")],
            ..Who::default()
        };
        let claims = said(&who, "u", &names);
        assert_eq!(
            Value::Object(claims),
            json!({
                "sub": "u", "oid": "u", "scp": " ", "a": { "b": { "roles": ["r"] } }, "groups": [],
                "azp": " ", "tid": "t1",
            })
        );
        who.scopes = vec![text("s"), text("t")];
        who.client = Some(text("c"));
        let claims = said(&who, "u", &names);
        assert_eq!(
            (&claims["scp"], &claims["azp"]),
            (&json!("s t"), &json!("c"))
        );
    }
}
