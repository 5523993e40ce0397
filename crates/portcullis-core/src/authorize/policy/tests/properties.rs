//! What holds for every policy: checked with small random ones.

use cedar_policy::{Authorizer, Decision, Entities, PolicySet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::authorize::policy::facts::{Names, facts};
use crate::authorize::policy::names::{part_id, principal_id, uid};
use crate::authorize::policy::reads::Reads;
use crate::time::Timestamp;

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal is Principal",
    "principal == Principal::\"https://idp.example|alice\"",
    "principal == Principal::\"https://idp.example|bob\"",
    "principal in Role::\"reader\"",
    "principal in Role::\"writer\"",
    "principal is Principal in Group::\"staff\"",
];
const ACTIONS: &[&str] = &[
    "action",
    "action == Action::\"tools/call\"",
    "action in Action::\"call\"",
    "action in [Action::\"read\", Action::\"tools/call\"]",
    "action in [Action::\"resources/read\", Action::\"server/use\", Action::\"call\"]",
    "action == Action::\"completion/complete\"",
    "action in Action::\"ask\"",
];
const RESOURCES: &[&str] = &[
    "resource",
    "resource is Tool",
    "resource == Tool::\"notes__read\"",
    "resource == Tool::\"mail__read\"",
    "resource in Server::\"notes\"",
    "resource is Tool in Server::\"mail\"",
    "resource in Tool::\"notes__read\"",
    "resource is Server",
    "resource == Server::\"notes\"",
    "resource is Prompt",
    "resource is Prompt in Server::\"notes\"",
    "resource is Resource in Resource::\"notes__read\"",
    "resource == Prompt::\"mail__write\"",
];
/// With and without the context, guarded, and able to fail.
const CONDITIONS: &[&str] = &[
    "true",
    "principal in Role::\"writer\"",
    "principal in Group::\"staff\"",
    "principal has client",
    "principal has client && principal.client == \"ide\"",
    "principal.scopes.contains(\"read\")",
    "principal.hasTag(\"tenant\") && principal.getTag(\"tenant\") == \"acme\"",
    "principal.issuer like \"https://*\" && principal.subject != \"bob\"",
    "action in Action::\"call\"",
    "resource in Server::\"mail\"",
    "context.arguments.hasTag(\"path\")",
    "context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/a*\"",
    "context.numbers.hasTag(\"n\") && context.numbers.getTag(\"n\") * 2 > 4",
    "principal has client && context.numbers.hasTag(\"n\") && context.numbers.getTag(\"n\") + 1 > 4",
    "context has network && context.network == \"192.0.2.7\"",
    "context.time.hour < 12 || principal has client",
    "((context has network && principal has client) || (context.time.hour > 12 && principal has client)) && principal.client == \"ide\"",
    "context has acr && context.acr == \"gold\"",
    "context has auth_age && context.auth_age + 9223372036854775000 > 4",
    "context has amr && context.amr.contains(\"otp\")",
    "if context.era == \"2025-11-25\" then principal has client else true",
];
const ARGUMENTS: &[&str] = &[
    "{}",
    r#"{"path":"/a/b"}"#,
    r#"{"path":"/b","n":1}"#,
    r#"{"n":7}"#,
    r#"{"path":"/a","n":9223372036854775807}"#,
    r#"{"path":"/a","path":"/b"}"#,
    r#"{"path":["/a"],"n":"7"}"#,
];

#[derive(Debug, Clone)]
struct Asked {
    caller: Caller,
    server: &'static str,
    name: &'static str,
    action: Action,
    arguments: &'static str,
    time: i64,
    network: Option<&'static str>,
}

impl Asked {
    fn question(&self) -> Question<'_> {
        let (server, name) = (self.server, self.name);
        let target = match self.action {
            Action::CallTool => Target::Tool { server, name },
            Action::ReadResource | Action::SubscribeResource => {
                Target::Resource { server, uri: name }
            }
            Action::GetPrompt | Action::Complete => Target::Prompt { server, name },
            Action::ListTools
            | Action::ListResources
            | Action::ListPrompts
            | Action::UseServer
            | Action::Sample
            | Action::Elicit
            | Action::ListRoots => Target::Server { server },
        };
        Question {
            target,
            action: self.action,
            time: self.time,
            network: self.network,
            ..self.caller.calls(self.name, self.arguments)
        }
    }
}

fn policy_text() -> impl Strategy<Value = String> {
    let condition = (
        select(&["when", "unless"][..]),
        vec(select(CONDITIONS), 1..3),
    );
    let conditions = vec(condition, 0..3).prop_map(|conditions| {
        let clauses = conditions.into_iter().map(|(kind, parts)| {
            let operator = if kind == "when" { ") && (" } else { ") || (" };
            format!(" {kind} {{ ({}) }}", parts.join(operator))
        });
        clauses.collect::<String>()
    });
    let effect = select(&["permit", "permit", "forbid"][..]);
    // Half of the scopes ask for nothing, so that policies meet each other.
    let part = |of: &'static [&'static str]| prop_oneof![select(&of[..1]), select(of)];
    let scope = (part(PRINCIPALS), part(ACTIONS), part(RESOURCES));
    (effect, scope, conditions).prop_map(|(effect, (principal, action, resource), conditions)| {
        format!("{effect} ({principal}, {action}, {resource}){conditions};\n")
    })
}

fn logins() -> Vec<Authentication> {
    let gold = Authentication {
        class: Some("gold".to_owned()),
        methods: Some(vec!["otp".to_owned()]),
        time: Some(Timestamp::from_seconds(1_767_261_000)),
        is_anew: false,
    };
    vec![Authentication::default(), gold]
}

fn caller() -> impl Strategy<Value = Caller> {
    let some = |names: &'static [&'static str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let length = names.len();
        proptest::sample::subsequence(names, 0..=length)
    };
    let claims = vec(select(&["acme", "other"][..]), 0..3);
    (
        select(&["alice", "bob", "eve"][..]),
        select(&[None, Some("ide"), Some("cli")][..]),
        some(&["reader", "writer"]),
        some(&["staff"]),
        some(&["read", "*"]),
        claims,
        select(logins()),
    )
        .prop_map(
            |(subject, client, roles, groups, scopes, claims, login)| Caller {
                subject,
                client,
                roles,
                groups,
                has_unknown_groups: false,
                scopes,
                claims: claims
                    .into_iter()
                    .map(|tenant| ("tenant".to_owned(), tenant.to_owned()))
                    .collect(),
                login,
                ..Caller::default()
            },
        )
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        caller(),
        select(&["notes", "mail"][..]),
        select(&["read", "write"][..]),
        prop_oneof![Just(Action::CallTool), select(&Action::ALL[..])],
        select(ARGUMENTS),
        select(&[NOW, NOW + 6 * 3600][..]),
        select(&[None, Some("192.0.2.7")][..]),
    )
        .prop_map(
            |(caller, server, name, action, arguments, time, network)| Asked {
                caller,
                server,
                name,
                action,
                arguments,
                time,
                network,
            },
        )
}

/// Policies that compile: those that could never apply are left out.
fn policies() -> impl Strategy<Value = Vec<String>> {
    let compiles = |text: &String| compile(text, &[]).is_ok();
    vec(
        policy_text().prop_filter("could never apply", compiles),
        0..5,
    )
}

/// What Cedar says of all policies together, of everything, without an index: nothing if the
/// evaluation of any failed. Fails if there is no request to evaluate.
fn plain(policy: &Policy, text: &str, question: &Question<'_>) -> Result<Option<bool>, Denied> {
    let compiled = &policy.compiled;
    let of_action = compiled.full.of(question.action).expect("every action");
    let names = Names::of(&compiled.types, question);
    let reads = Reads::everything();
    let (request, entities) = facts(
        &compiled.types,
        &of_action.entity,
        &names,
        (question, &compiled.zones),
        reads,
    )?;
    let schema = include_str!("../schema.cedarschema")
        .parse()
        .expect("schema");
    let built = entities.iter().cloned();
    let entities = Entities::from_entities(built, Some(&schema)).expect("well typed");
    let request = Request::new(
        request.principal().cloned().expect("principal"),
        request.action().cloned().expect("action"),
        request.resource().cloned().expect("resource"),
        request.context().cloned().expect("context"),
        Some(&schema),
    )
    .expect("well typed");
    let set: PolicySet = text.parse().expect("policies");
    let response = Authorizer::new().is_authorized(&request, &set, &entities);
    let definite = response.diagnostics().errors().next().is_none();
    Ok(definite.then_some(response.decision() == Decision::Allow))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The index and the facts left out change nothing, and what is built is well typed.
    #[test]
    fn authz_02_decides_as_cedar_does(texts in policies(), asked in vec(asked(), 1..6)) {
        let text = texts.concat();
        let policy = cedar(&text);
        for asked in &asked {
            let question = asked.question();
            // Arguments without one reading are refused only where a policy reads them.
            let Ok(expected) = plain(&policy, &text, &question) else { continue };
            let decision = policy.decide(&question);
            let found = (decision != Err(Denied::Indeterminate)).then_some(decision.is_ok());
            prop_assert_eq!(found, expected, "{} {:?}", text, asked);
        }
    }

    /// A list shows whatever can be called, and what it does not show cannot be called.
    #[test]
    fn authz_03_what_is_permitted_is_visible(texts in policies(), asked in asked()) {
        let text = texts.concat();
        let policy = cedar(&text);
        let visible = policy.is_visible(&asked.question());
        for arguments in ARGUMENTS {
            for (time, network) in [(NOW, None), (NOW + 6 * 3600, Some("192.0.2.7"))] {
                let asked = Asked { arguments, time, network, ..asked.clone() };
                let question = asked.question();
                prop_assert_eq!(policy.is_visible(&question), visible);
                let permitted = policy.decide(&question).is_ok();
                prop_assert!(!permitted || visible, "{} {:?}", text, asked);
            }
        }
    }

    /// What another principal is permitted, or a role that the caller lacks, is nothing to it.
    #[test]
    fn authz_03_rules_of_others_change_nothing(
        texts in policies(), asked in asked(), condition in select(CONDITIONS)
    ) {
        let text = texts.concat();
        let other = format!(
            "permit (principal == Principal::\"https://idp.example|mallory\", action, resource)
             when {{ {condition} }};
             permit (principal in Role::\"lacked\", action, resource) when {{ {condition} }};"
        );
        let question = asked.question();
        let (before, with_others) = (cedar(&text), cedar(&[&text, &*other].concat()));
        prop_assert_eq!(before.decide(&question), with_others.decide(&question));
        prop_assert_eq!(before.is_visible(&question), with_others.is_visible(&question));
    }

    /// What is permitted while groups are unknown is permitted whatever they are, where anything definite comes of it.
    #[test]
    fn auth_02_unknown_groups_permit_nothing_more(texts in policies(), mut asked in asked()) {
        let text = texts.concat();
        let policy = cedar(&text);
        asked.caller.has_unknown_groups = true;
        let unsure = policy.decide(&asked.question());
        let is_visible = policy.is_visible(&asked.question());
        prop_assert!(unsure.is_err() || is_visible, "{} {:?}", text, asked);
        asked.caller.has_unknown_groups = false;
        for groups in [vec![], vec!["staff".to_owned()]] {
            asked.caller.groups = groups;
            let sure = policy.decide(&asked.question());
            let agrees = unsure.is_err() || sure.is_ok() || sure == Err(Denied::Indeterminate);
            prop_assert!(agrees, "{} {:?} {:?}", text, asked, sure);
        }
    }

    #[test]
    fn authz_02_a_forbid_always_wins(texts in policies(), asked in asked()) {
        let forbid = "forbid (principal, action, resource);";
        let policy = cedar(&[&texts.concat(), forbid].concat());
        prop_assert!(policy.decide(&asked.question()).is_err());
        prop_assert!(!policy.is_visible(&asked.question()));
    }

    /// The order of the policies is nothing to the decision or the hash.
    #[test]
    fn siem_04_order_is_nothing(texts in policies(), asked in asked()) {
        let named = texts.iter().enumerate().map(|(index, text)| format!("@id(\"{index}\") {text}"));
        let mut named: Vec<String> = named.collect();
        let forward = cedar(&named.concat());
        named.reverse();
        let backward = cedar(&named.concat());
        prop_assert_eq!(forward.hash(), backward.hash());
        prop_assert_eq!(forward.decide(&asked.question()), backward.decide(&asked.question()));
    }

    /// A grant matches as its text says: literally, but for the stars.
    #[test]
    fn authz_03_grants_match_their_text(
        pattern in "[ab*]{1,2}(_[ab*]|-)?__[ab*?.\\\\\"]{1,4}", server in "[ab]{1,2}(_[ab]|-)?",
        name in "[ab?.\\\\\"]{1,4}"
    ) {
        let policy = granted("anyone", &[&pattern]);
        let (its_server, its_name) = pattern.split_once("__").expect("a separator");
        let expected = matches(its_server, &server) && matches(its_name, &name);
        let caller = alice();
        let target = Target::Tool { server: &server, name: &name };
        let question = caller.asks(Action::CallTool, target);
        prop_assert_eq!(policy.decide(&question).is_ok(), expected);
        prop_assert_eq!(policy.is_visible(&question), expected);
    }

    /// Whatever text a grant holds, it compiles to what it names or not at all.
    #[test]
    fn authz_03_no_text_escapes_from_a_grant(id in ".{1,12}", who in ".{1,12}", tool in "[^*]{1,12}") {
        let grant = Grant { id, who: Who::Role(who.clone()), allow: vec![format!("notes__{tool}")], until: None, held: None };
        let Ok(policy) = compile("", &[grant]) else { return Ok(()) };
        let (holder, other) = (alice().role(&who), alice().role("x").role("*").role(""));
        let permits = |caller: &Caller, tool: &str| {
            policy.decide(&caller.calls(tool, "{}")).is_ok()
        };
        prop_assert!(permits(&holder, &tool));
        prop_assert!(!permits(&holder, "x*"));
        prop_assert!(who == "x" || who == "*" || !permits(&other, &tool));
    }

    /// Two callers, or two tools, never share a name.
    #[test]
    fn authz_03_names_are_injective(
        one in ("[ab%|_5FC7]{0,5}", "[ab%|_5F]{0,5}"), other in ("[ab%|_5FC7]{0,5}", "[ab%|_5F]{0,5}")
    ) {
        prop_assert_eq!(principal_id(&one.0, &one.1) == principal_id(&other.0, &other.1), one == other);
        prop_assert_eq!(part_id(&one.0, &one.1) == part_id(&other.0, &other.1), one == other);
        let types = &cedar("").compiled.types;
        let server = types.server_of(&uid(&types.tool, &part_id(&one.0, &one.1)));
        prop_assert_eq!(server, types.server_of(&uid(&types.server, &one.0)));
    }
}

/// A matcher of stars that shares nothing with Cedar's.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => text.is_empty(),
        Some(("*", rest)) => (0..=text.len())
            .filter_map(|from| text.get(from..))
            .any(|text| matches(rest, text)),
        Some((first, rest)) => text
            .strip_prefix(first)
            .is_some_and(|text| matches(rest, text)),
    }
}
