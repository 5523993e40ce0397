//! Requests as Entra ID and Okta send them, and others.

use super::*;
use Problem::{Filter, Path, Schema, Syntax, TooLarge, Unknown, Unmapped, Value};

const USER: &str = r#""schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]"#;
const PATCH: &str = r#""schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]"#;

fn ask(method: &str, path: &str, query: Option<&str>, body: &str) -> Result<Asked, Problem> {
    read(&Request {
        method,
        path,
        query,
        body: body.as_bytes(),
    })
}

fn draft(user_name: &str, external_id: &str, active: Option<bool>) -> Draft {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Draft {
        user_name: text(user_name),
        external_id: text(external_id),
        active,
    }
}

fn creates(members: &str, expected: Result<Draft, Problem>) {
    let asked = ask("POST", "/Users", None, &format!("{{{members}}}"));
    let expected = expected.map(|draft| Asked::Step(Step::Create(draft)));
    assert_eq!(asked, expected, "{members}");
}

fn patches(operations: &str, expected: Result<Draft, Problem>) {
    let body = format!(r#"{{{PATCH},"Operations":[{operations}]}}"#);
    let asked = ask("PATCH", "/Users/0a", None, &body);
    let expected = expected.map(|draft| Asked::Step(Step::Merge("0a".to_owned(), draft)));
    assert_eq!(asked, expected, "{operations}");
}

#[test]
fn auth_03_reads_the_users_that_directories_send() {
    let okta = r#""userName":"alice@example.com","name":{"givenName":"A","familyName":"B"},"emails":[{"primary":true,"value":"a@example.com","type":"work"}],"displayName":"A B","locale":"en-US","externalId":"00u1","groups":[],"password":"x","active":true"#;
    creates(
        &format!("{USER},{okta}"),
        Ok(draft("alice@example.com", "00u1", Some(true))),
    );
    let entra = r#""schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"oid-1","userName":"alice","active":"False","meta":{"resourceType":"User"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d"},"roles":[]"#;
    creates(entra, Ok(draft("alice", "oid-1", Some(false))));
    for (members, expected) in [
        (
            r#""UserName":"a","ACTIVE":true"#,
            Ok(draft("a", "", Some(true))),
        ),
        (r#""userName":"a","id":"other""#, Ok(draft("a", "", None))),
        (r#""userName":"a","username":"b""#, Err(Syntax)),
        (r#""userName":"a","userName":"b""#, Err(Syntax)),
        (
            r#""userName":"a","active":false,"Active":true"#,
            Err(Syntax),
        ),
        (r#""userName":"a","active":"no""#, Err(Value)),
        (r#""userName":"a","active":0"#, Err(Value)),
        (r#""userName":"a","active":null"#, Err(Value)),
        (r#""userName":"""#, Err(Value)),
        (r#""userName":"a\u0000""#, Err(Value)),
        (r#""userName":["a"]"#, Err(Value)),
        (r#""active":true"#, Err(Value)),
        (r#""userName":"a","isAdmin":true"#, Err(Path)),
    ] {
        creates(&format!("{USER},{members}"), expected);
    }
    for schemas in [
        "[]",
        r#"["urn:ietf:params:scim:schemas:core:2.0:Group"]"#,
        r#"["urn:ietf:params:scim:schemas:core:2.0:User","urn:example:evil"]"#,
        "[7]",
        "{}",
    ] {
        creates(
            &format!(r#""schemas":{schemas},"userName":"a""#),
            Err(Schema),
        );
    }
    creates(r#""userName":"a""#, Err(Schema));
    let fits = "a".repeat(MAX_TEXT_BYTES);
    let long = format!("{fits}a");
    creates(&format!(r#"{USER},"userName":"{long}""#), Err(Value));
    creates(
        &format!(r#"{USER},"userName":"{fits}""#),
        Ok(draft(&fits, "", None)),
    );
    let large = format!("{{{USER}{}}}", " ".repeat(MAX_BODY_BYTES));
    assert_eq!(ask("POST", "/Users", None, &large), Err(TooLarge));
    for body in ["", "[]", "{", "{}x", "\"a\""] {
        assert_eq!(ask("POST", "/Users", None, body), Err(Syntax), "{body}");
    }
}

/// What takes access away.
const OFF: &[&str] = &[
    r#"{"op":"replace","value":{"active":false}}"#,
    r#"{"op":"Replace","path":"active","value":"False"}"#,
    r#"{"op":"Replace","path":"active","value":false}"#,
    r#"{"op":"Add","path":"active","value":"false"}"#,
    r#"{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false}"#,
    r#"{"op":"Replace","value":{"active":"False","name.givenName":"A","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"d"}}"#,
    r#"{"op":"Replace","path":"emails[type eq \"work\"].value","value":"x"},{"op":"Replace","path":"active","value":"False"}"#,
    r#"{"OP":"replace","PATH":"Active","VALUE":false,"name":"x"}"#,
    r#"{"op":"replace","path":"active","value":true},{"op":"replace","path":"active","value":false}"#,
];

const REFUSED: &[(&str, Problem)] = &[
    (r#"{"op":"remove","path":"active"}"#, Value),
    (r#"{"op":"remove","path":"externalId"}"#, Value),
    (r#"{"op":"remove"}"#, Syntax),
    (r#"{"op":"replace","path":"active"}"#, Value),
    (r#"{"op":"replace","path":"active","value":[false]}"#, Value),
    (
        r#"{"op":"replace","path":"active.value","value":false}"#,
        Path,
    ),
    (
        r#"{"op":"replace","path":"active[value eq true]","value":false}"#,
        Path,
    ),
    (r#"{"op":"replace","path":" active","value":false}"#, Path),
    (
        r#"{"op":"replace","path":"","value":{"active":false}}"#,
        Path,
    ),
    (
        r#"{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:Useractive","value":false}"#,
        Path,
    ),
    (r#"{"op":"replace","path":["active"],"value":false}"#, Path),
    (
        r#"{"op":"replace","path":"active","Path":"title","value":false}"#,
        Syntax,
    ),
    (
        r#"{"op":"replace","value":{"active":false,"ACTIVE":true}}"#,
        Syntax,
    ),
    (r#"{"op":"replace","value":false}"#, Value),
    (r#"{"op":"test","path":"active","value":false}"#, Syntax),
    ("7", Syntax),
    ("", Syntax),
];

#[test]
fn auth_03_reads_the_operations_of_both() {
    for operations in OFF {
        patches(operations, Ok(draft("", "", Some(false))));
    }
    for (operations, why) in REFUSED {
        patches(operations, Err(*why));
    }
    for (operations, expected) in [
        (
            r#"{"op":"replace","path":"userName","value":"b"},{"op":"add","path":"externalId","value":"x"}"#,
            draft("b", "x", None),
        ),
        (r#"{"op":"Remove","path":"title"}"#, Draft::default()),
        (
            r#"{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":{"value":"1"}}"#,
            Draft::default(),
        ),
    ] {
        patches(operations, Ok(expected));
    }
    let one = r#"{"op":"replace","path":"title","value":"x"}"#;
    let many = |count: usize| vec![one; count].join(",");
    patches(&many(MAX_OPERATIONS), Ok(Draft::default()));
    patches(&many(MAX_OPERATIONS + 1), Err(TooLarge));
    let body = format!(r#"{{{USER},"Operations":[{one}]}}"#);
    assert_eq!(ask("PATCH", "/Users/0a", None, &body), Err(Schema));
}

#[test]
fn auth_03_a_filter_finds_one_user_and_never_everybody() {
    let of = |attribute, value: &str| Ok(Search::Where(attribute, value.to_owned()));
    for (query, expected) in [
        (
            "filter=userName%20eq%20%22a%40example.com%22",
            of(Attribute::UserName, "a@example.com"),
        ),
        (
            "filter=userName+eq+%22a%2Bb%22&startIndex=1&count=100",
            of(Attribute::UserName, "a+b"),
        ),
        (
            "filter=EXTERNALID%20EQ%20%22x%22",
            of(Attribute::ExternalId, "x"),
        ),
        (
            "filter=id%20eq%20%22x%22&attributes=id",
            of(Attribute::Id, "x"),
        ),
        (
            "filter=urn:ietf:params:scim:schemas:core:2.0:User:userName%20eq%20%22x%22",
            of(Attribute::UserName, "x"),
        ),
        (
            "filter=userName%20eq%20%22a%20b%22",
            of(Attribute::UserName, "a b"),
        ),
        (
            "filter=userName%20eq%20%22a%5C%22b%22",
            of(Attribute::UserName, "a\"b"),
        ),
        (
            "filter=userName%20eq%20%22a%22%20or%20active%20eq%20true",
            Err(Filter),
        ),
        ("filter=userName%20ne%20%22a%22", Err(Filter)),
        ("filter=userName%20pr", Err(Filter)),
        ("filter=active%20eq%20true", Err(Filter)),
        ("filter=displayName%20eq%20%22a%22", Err(Filter)),
        ("filter=userName%20eq%20%22%22", Err(Filter)),
        ("filter=userName%20eq%20a", Err(Filter)),
        ("filter=", Err(Filter)),
        (
            "filter=userName%20eq%20%22a%22&filter=userName%20eq%20%22b%22",
            Err(Filter),
        ),
        ("", Ok(Search::All(0, MAX_LISTED))),
        ("startIndex=3&count=2", Ok(Search::All(2, 2))),
        ("startIndex=0&count=-1", Ok(Search::All(0, 0))),
        (
            "startIndex=9223372036854775807&count=999999",
            Ok(Search::All(9_223_372_036_854_775_806, MAX_LISTED)),
        ),
        ("count=x", Err(Value)),
    ] {
        let asked = ask("GET", "/Users", Some(query), "");
        assert_eq!(asked, expected.map(Asked::Search), "{query}");
    }
    let long = format!("filter={}", "a".repeat(5000));
    assert_eq!(ask("GET", "/Users", Some(&long), ""), Err(TooLarge));
}

#[test]
fn auth_03_each_resource_takes_its_methods() {
    for (method, path, expected) in [
        (
            "GET",
            "/ServiceProviderConfig",
            Ok(Asked::Document(Document::Config)),
        ),
        (
            "GET",
            "/ResourceTypes",
            Ok(Asked::Document(Document::Types)),
        ),
        (
            "GET",
            "/ResourceTypes/User",
            Ok(Asked::Document(Document::UserType)),
        ),
        ("GET", "/Schemas", Ok(Asked::Document(Document::Schemas))),
        (
            "GET",
            "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
            Ok(Asked::Document(Document::UserSchema)),
        ),
        (
            "GET",
            "/Users/0a",
            Ok(Asked::Search(Search::One("0a".to_owned()))),
        ),
        (
            "DELETE",
            "/Users/0a",
            Ok(Asked::Step(Step::Delete("0a".to_owned()))),
        ),
        ("POST", "/Schemas", Err(Problem::Method)),
        ("POST", "/Users/0a", Err(Problem::Method)),
        ("DELETE", "/Users", Err(Problem::Method)),
        ("GET", "/Groups", Err(Unknown)),
        ("POST", "/Bulk", Err(Unknown)),
        ("GET", "/Me", Err(Unknown)),
        ("GET", "/Users/", Err(Unknown)),
        ("GET", "/Users/../x", Err(Unknown)),
        ("GET", "/Users/0a/", Err(Unknown)),
        ("GET", "/users", Err(Unknown)),
        ("GET", "", Err(Unknown)),
    ] {
        assert_eq!(ask(method, path, None, ""), expected, "{method} {path}");
    }
    for document in [
        Document::Config,
        Document::Types,
        Document::UserType,
        Document::Schemas,
        Document::UserSchema,
    ] {
        let text = document.json("https://g.example/scim/idp/v2");
        assert!(text["schemas"].is_array(), "{text}");
    }
}

fn user(name: &str, external: &str, active: bool) -> User {
    User {
        id: "0a".to_owned(),
        user_name: name.to_owned(),
        external_id: (!external.is_empty()).then(|| external.to_owned()),
        active,
    }
}

/// Applies a step where tokens go by `externalId`.
fn applies(step: Step, before: Option<User>, expected: Result<(Option<User>, &[Effect]), Problem>) {
    let applied = step.apply(before, "0a", Attribute::ExternalId);
    let expected = expected.map(|(user, effects)| Applied {
        user,
        effects: effects.to_vec(),
    });
    assert_eq!(applied, expected);
}

fn off(name: &str) -> Effect {
    Effect::Disable(name.to_owned())
}

fn on(name: &str) -> Effect {
    Effect::Enable(name.to_owned())
}

fn merge(draft: Draft) -> Step {
    Step::Merge("0a".to_owned(), draft)
}

#[test]
fn auth_03_a_change_means_what_it_says_of_access() {
    let (there, gone) = (user("a", "x", true), user("a", "x", false));
    let was = || Some(there.clone());
    let fresh = Step::Create(draft("a", "x", None));
    applies(fresh, None, Ok((was(), &[on("x")])));
    let fresh = Step::Create(draft("a", "x", Some(false)));
    applies(fresh, None, Ok((Some(gone.clone()), &[off("x")])));
    applies(Step::Create(draft("a", "", None)), None, Err(Unmapped));
    for before in [&there, &gone] {
        let step = merge(draft("", "", Some(false)));
        let after = Ok((Some(gone.clone()), &[off("x")][..]));
        applies(step, Some(before.clone()), after);
    }
    let back = merge(draft("", "", Some(true)));
    applies(back, Some(gone), Ok((was(), &[on("x")])));
    let delete = || Step::Delete("0a".to_owned());
    applies(delete(), was(), Ok((None, &[off("x")])));
    applies(delete(), Some(user("a", "", true)), Err(Unmapped));
    applies(delete(), None, Err(Unknown));
    applies(merge(Draft::default()), None, Err(Unknown));
}

#[test]
fn auth_03_who_has_another_name_has_no_access_under_the_old_one() {
    let other = || merge(draft("b", "", None));
    let renamed = user("b", "x", true);
    applies(
        other(),
        Some(user("a", "x", true)),
        Ok((Some(renamed), &[])),
    );
    let other = || merge(draft("", "y", None));
    for (before, active, effects) in [
        (user("a", "x", true), true, vec![off("x"), on("y")]),
        (user("a", "x", false), false, vec![off("x"), off("y")]),
        (user("a", "", true), true, vec![on("y")]),
    ] {
        let after = user("a", "y", active);
        applies(other(), Some(before), Ok((Some(after), &effects)));
    }
    let nameless = merge(draft("b", "", Some(false)));
    applies(nameless, Some(user("a", "", true)), Err(Unmapped));
    let step = merge(draft("B", "", None));
    let spelled = step.apply(Some(user("b", "x", true)), "0a", Attribute::UserName);
    assert_eq!(spelled.unwrap().effects, [off("b"), on("B")]);
}
