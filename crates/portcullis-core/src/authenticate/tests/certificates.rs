//! Tokens that are bound to a client certificate, and what the connection has to show.

use super::*;

fn taking(mtls: Binding, dpop: Binding) -> Resource {
    Resource {
        dpop,
        mtls,
        ..resource()
    }
}

fn confirmed(certificate: &[u8]) -> Value {
    json!({ "cnf": { "x5t#S256": Thumbprint::of(certificate).to_string() } })
}

#[test]
fn tok_18_takes_a_certificate_bound_token_with_its_certificate_and_not_without() {
    use Binding::{Accepted, Off, Required};
    let bound = token(&ED, &json!({}), &confirmed(b"own"));
    let plain = token(&ED, &json!({}), &json!({}));
    let cache = Verified::default();
    for (mtls, dpop, token, shown, expected) in [
        (Accepted, Off, &bound, Some("own"), "ok"),
        (Accepted, Off, &bound, Some("another"), "mtls_certificate"),
        (Accepted, Off, &bound, None, "mtls_missing"),
        (Accepted, Off, &plain, Some("own"), "ok"),
        (Accepted, Off, &plain, None, "ok"),
        (Accepted, Accepted, &bound, Some("own"), "ok"),
        (Required, Off, &bound, Some("own"), "ok"),
        (Required, Off, &bound, Some("another"), "mtls_certificate"),
        (Required, Off, &bound, None, "mtls_missing"),
        (Required, Off, &plain, Some("own"), "mtls_unbound"),
        (Required, Off, &plain, None, "mtls_unbound"),
        (Off, Accepted, &bound, Some("own"), "cnf"),
        (Off, Required, &bound, Some("own"), "dpop_missing"),
        (Off, Off, &plain, Some("own"), "ok"),
    ] {
        let header = format!("Bearer {token}");
        let credentials = Credentials {
            certificate: shown.map(|der| Thumbprint::of(der.as_bytes())),
            ..bearer(&header)
        };
        let (resource, now) = (taking(mtls, dpop), Timestamp::from_seconds(NOW));
        let memory = (&cache, &Proofs::default()); // what was remembered decides nothing
        let outcome = verify(&credentials, &resource, &TRUST, memory, now);
        assert_eq!(word(&outcome), expected, "{mtls:?} {dpop:?} {shown:?}");
    }
}

#[test]
fn tok_18_a_server_that_requires_a_binding_takes_no_other_from_the_endpoint_for_all() {
    use Binding::{Accepted, Off, Required};
    let known = |claims: &Value| {
        let header = format!("Bearer {}", token(&ED, &json!({}), claims));
        let credentials = Credentials {
            certificate: Some(Thumbprint::of(b"own")),
            ..bearer(&header)
        };
        let memory = (&Verified::default(), &Proofs::default());
        let all = taking(Accepted, Accepted);
        let now = Timestamp::from_seconds(NOW);
        verify(&credentials, &all, &TRUST, memory, now).unwrap()
    };
    let (plain, bound) = (known(&json!({})), known(&confirmed(b"own")));
    for (mtls, dpop, takes_plain, takes_bound) in [
        (Off, Off, true, true),
        (Accepted, Accepted, true, true),
        (Required, Off, false, true),
        (Off, Required, false, false),
    ] {
        let member = taking(mtls, dpop);
        let takes = (member.would_know(&plain), member.would_know(&bound));
        assert_eq!(takes, (takes_plain, takes_bound), "{mtls:?} {dpop:?}");
    }
}

#[test]
fn tok_18_what_an_issuer_says_never_frees_a_token_from_its_certificate() {
    let resource = taking(Binding::Accepted, Binding::Accepted);
    let trust = asking(Introspection::Always);
    let now = Timestamp::from_seconds(NOW);
    for (own, said, expected) in [
        (json!({}), json!({}), "ok"),
        (confirmed(b"own"), json!({}), "mtls_missing"),
        (confirmed(b"own"), confirmed(b"own"), "mtls_missing"),
        (json!({}), confirmed(b"own"), "mtls_missing"),
        (confirmed(b"own"), confirmed(b"another"), "cnf"),
        (json!({}), json!({ "cnf": {} }), "cnf"),
    ] {
        let header = format!("Bearer {}", token(&ED, &json!({}), &own));
        let (credentials, cache) = (bearer(&header), Verified::default());
        let question = Question::new(&credentials, &resource, ISSUER, &cache).unwrap();
        let mut answer: Value = serde_json::from_str(&claims(&said)).unwrap();
        answer["active"] = json!(true);
        let (answer, ttl) = (answer.to_string(), Duration::from_secs(30));
        let believed = question.believe(
            (answer.as_bytes(), &Form::Plain),
            &resource,
            &trust,
            (&cache, ttl, now),
        );
        let outcome = match believed {
            Err(NoAnswer::Refused(why)) => why.reason(),
            Err(NoAnswer::Broken) => "broken",
            Err(NoAnswer::Unsigned(_)) => "unsigned",
            Ok(()) => {
                let memory = (&cache, &Proofs::default());
                word(&verify(&credentials, &resource, &trust, memory, now))
            }
        };
        assert_eq!(outcome, expected, "{own} {said}");
    }
}
