//! Whose tokens and facts are believed.

use super::*;

#[rustfmt::skip]
const ISSUERS: &[Row] = &[
    ("", 1, 10, "", "neither `provider`, `issuer` nor `embedded`"),
    ("embedded = false", 1, 10, "", "neither `provider`, `issuer` nor `embedded`"),
    ("issuer = \"http://a.example\"", 2, 10, ".issuer", "only allowed on loopback"),
    ("issuer = \"https://a.example?x\"", 2, 10, ".issuer", "no query"),
    ("issuer = \"https://a.example#x\"", 2, 10, ".issuer", "fragment"),
    ("issuer = \"a.example\"", 2, 10, ".issuer", "not an absolute URL"),
    ("issuer = \"https://a.example\"\njwks_uri = \"http://a.example\"", 3, 12, ".jwks_uri", "only allowed on loopback"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"RS256\", \"HS256\"]", 3, 24, ".algorithms[1]", "HMAC key is shared"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"none\"]", 3, 15, ".algorithms[0]", "no signature"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"NONE\"]", 3, 15, ".algorithms[0]", "no signature"),
    ("issuer = \"https://a.example\"\nalgorithms = [\"RS265\"]", 3, 15, ".algorithms[0]", "did you mean `RS256`?"),
    ("issuer = \"https://a.example\"\nalgorithms = []", 3, 1, ".algorithms", "at least one"),
    ("issuer = \"https://a.example\"\ntoken_types = [\"at+jwt\", \"id+jwt\"]", 3, 26, ".token_types[1]", "not one of the values"),
    ("issuer = \"https://a.example\"\ntoken_types = []", 3, 1, ".token_types", "at least one"),
    ("issuer = \"https://a.example\"\nroles_claim = \"\"", 3, 15, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nmax_lifetime = \"8d\"", 3, 16, ".max_lifetime", "1m to 7d"),
    ("issuer = \"https://a.example\"\nca = \"key.pem\"", 3, 6, ".ca", "not PEM with a CERTIFICATE"),
    ("issuer = \"https://a.example\"\nsignals = {}", 3, 1, ".signals", "no `audience`"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { url = \"https://a.example\" } }", 3, 29, ".signals.poll", "no `bearer`"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { url = \"http://a.example\" } }", 3, 44, ".signals.poll.url", "http"),
    ("issuer = \"https://a.example\"\nsignals = { audience = \"x\", poll = { on_stale = \"maybe\" } }", 3, 49, ".signals.poll.on_stale", "not one of the values"),
    ("issuer = \"https://a.example\"\nscim = {}", 3, 1, ".scim", "no `bearer`"),
    ("issuer = \"https://a.example\"\nscim = { attribute = \"id\" }", 3, 22, ".scim.attribute", "not one of the values"),
    ("issuer = \"https://a.example\"\nscim = { claim = \"a=b\" }", 3, 18, ".scim.claim", "without `=`"),
    ("issuer = \"https://a.example\"\nintrospection = { client_id = \"x\" }", 3, 1, ".introspection", "no `client_secret`"),
];

#[test]
fn conf_refuses_weak_issuers() {
    for (lines, line, column, key, words) in ISSUERS {
        let key = format!("issuers.a{key}");
        refuses(
            &format!("[issuers.a]\n{lines}\n"),
            *line,
            *column,
            &key,
            words,
        );
    }
}

#[test]
fn conf_refuses_two_issuers_of_one_name() {
    let twice = "[issuers.a]\nissuer = \"https://a.example\"\n[issuers.b]\nissuer = \"https://a.example\"\n";
    refuses(twice, 4, 10, "issuers.b.issuer", "the same issuer as `a`");
    refuses(
        "[issuers.a]\nembedded = true\n",
        4,
        10,
        "issuers.own",
        "`a` is the embedded issuer already",
    );
    refuses(
        "[issuers.\"a b\"]\nissuer = \"https://a.example\"\n",
        1,
        10,
        "issuers.a b",
        "no spaces",
    );
    let many: Vec<String> = (0..=bounds::MAX_ISSUERS)
        .map(|n| format!("[issuers.a{n}]\nissuer = \"https://a{n}.example\"\n"))
        .collect();
    let many = many.concat();
    assert!(
        reads(&format!("{many}{REST}"))
            .unwrap_err()
            .to_string()
            .contains("too many issuers: at most 64")
    );
    let own =
        reads(&REST.replace("embedded = true", "embedded = true\nskew = \"1s\"")).unwrap_err();
    assert!(
        own.as_slice()[0]
            .reason
            .contains("the embedded issuer needs no such key"),
        "{own}"
    );
}

#[test]
fn man_4_of_google_only_an_organization_signs_in_and_no_token_opens_a_server() {
    let sign_in = |more: &str| {
        format!(
            "[issuers.google]\nprovider = \"google\"\n[authority]\n[authority.sign_in]\nprovider = \"google\"\n\
client_id = \"c\"\n{more}{REST}"
        )
    };
    let secret = "client_secret = { env = \"TOKEN\" }\n";
    let domains = "hosted_domains = [\"corp.example\"]\n";
    let good = sign_in(&format!("{secret}{domains}"));
    let checked = reads(&good).unwrap();
    let mut servers = checked.servers.values();
    assert!(servers.all(|server| !server.issuers.contains("google")));
    for (text, why) in [
        (sign_in(secret), "anybody with an account at Google"),
        (sign_in(domains), "private_key_jwt"),
        (
            sign_in(&format!("{secret}hosted_domains = [\"Corp.example\"]\n")),
            "small letters",
        ),
        (
            good.replace("[servers.rest]", "[servers.rest]\nissuers = [\"google\"]"),
            "no issuer has this name",
        ),
        (
            good.replace(
                "provider = \"google\"\n[authority]",
                "issuer = \"https://idp.example\"\n[authority]",
            ),
            "only Google says",
        ),
    ] {
        let problems = reads(&text).unwrap_err().to_string();
        assert!(problems.contains(why), "{text}\n{problems}");
    }
}

/// A preset, and the plain keys that it stands for.
const PRESETS: &[(&str, &str)] = &[
    (
        "provider = \"entra\"\ntenant = \"72F988BF-86F1-41af-91ab-2d7cd011db47\"",
        "issuer = \"https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"
algorithms = [\"RS256\"]
token_types = [\"JWT\"]
scope_claim = \"scp\"
subject_claim = \"oid\"
client_claim = \"azp\"
one_of_claims = [\"scp\", \"roles\"]
required_claims = { tid = \"72f988bf-86f1-41af-91ab-2d7cd011db47\", ver = \"2.0\" }",
    ),
    (
        "provider = \"okta\"\nauthority = \"https://acme.okta.com/\"\nauthorization_server = \"aus1\"",
        "issuer = \"https://acme.okta.com/oauth2/aus1\"
algorithms = [\"RS256\"]
token_types = [\"JWT\", \"at+jwt\"]
scope_claim = \"scp\"
subject_claim = \"uid\"
client_subject = true
client_claim = \"cid\"
one_of_claims = [\"scp\"]",
    ),
    (
        "provider = \"auth0\"\nauthority = \"https://acme.eu.auth0.com\"",
        "issuer = \"https://acme.eu.auth0.com/\"
algorithms = [\"RS256\", \"PS256\"]
token_types = [\"JWT\", \"at+jwt\"]
roles_claim = \"permissions\"
one_of_claims = [\"scope\", \"permissions\", \"gty\"]",
    ),
    (
        "provider = \"keycloak\"\nauthority = \"https://sso.example.com/auth\"\nrealm = \"corp\"",
        "issuer = \"https://sso.example.com/auth/realms/corp\"
token_types = [\"JWT\", \"at+jwt\"]
roles_claim = \"realm_access.roles\"
client_claim = \"azp\"
required_claims = { typ = [\"Bearer\", \"DPoP\"] }
forbidden_claims = [\"at_hash\", \"c_hash\"]",
    ),
    (
        "provider = \"oidc\"\nissuer = \"https://a.example\"",
        "issuer = \"https://a.example\"\ntoken_types = [\"JWT\", \"at+jwt\"]\none_of_claims = [\"scope\", \"scp\"]",
    ),
    // What the file says otherwise counts, but for what tells access tokens from others.
    (
        "provider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\nauthority = \"https://login.microsoftonline.us\"
groups_claim = \"g\"\nforbidden_claims = [\"x\"]\nrequired_claims = { idtyp = \"app\" }\nmax_lifetime = \"2h\"",
        "issuer = \"https://login.microsoftonline.us/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"
algorithms = [\"RS256\"]
token_types = [\"JWT\"]
scope_claim = \"scp\"
groups_claim = [\"g\"]
subject_claim = \"oid\"
client_claim = \"azp\"
one_of_claims = [\"scp\", \"roles\"]
required_claims = { idtyp = \"app\", tid = \"72f988bf-86f1-41af-91ab-2d7cd011db47\", ver = [\"2.0\"] }
forbidden_claims = [\"x\", \"nonce\", \"at_hash\", \"c_hash\"]
max_lifetime = \"2h\"",
    ),
];

#[test]
fn auth_02_a_preset_is_what_its_plain_keys_are() {
    let shown = |keys: &str| {
        let rest = REST.replace("[servers.rest]", "[servers.rest]\naudience = \"a\"");
        let checked = reads(&format!("[issuers.a]\n{keys}\n{rest}")).unwrap();
        let Some(Issuer::External(external)) = checked.issuers.get("a") else {
            panic!("{keys}")
        };
        let provider = format!("provider: {:?},", external.provider);
        format!("{external:?}").replace(&provider, "")
    };
    for (preset, plain) in PRESETS {
        assert_eq!(shown(preset), shown(plain), "{preset}");
    }
}

#[rustfmt::skip]
const BAD_PRESETS: &[Row] = &[
    ("provider = \"entraid\"", 2, 12, ".provider", "did you mean `entra`?"),
    ("issuer = \"https://accounts.google.com\"", 2, 10, ".issuer", "docs/identity/google.md"),
    ("provider = \"entra\"", 1, 10, "", "no `tenant`"),
    ("provider = \"entra\"\ntenant = \"common\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"Organizations\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"consumers\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"9188040D-6c67-4c5b-b112-36a304b66dad\"", 3, 10, ".tenant", "people of every tenant"),
    ("provider = \"entra\"\ntenant = \"acme.onmicrosoft.com\"", 3, 10, ".tenant", "Tenant ID"),
    ("provider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db4/\"", 3, 10, ".tenant", "Tenant ID"),
    ("provider = \"entra\"\ntenant = \"common\"\nauthority = \"https://sts.windows.net\"", 4, 13, ".authority", "version 1"),
    ("provider = \"entra\"\ntenant = \"common\"\nissuer = \"https://a.example\"", 4, 10, ".issuer", "follows from `provider`"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"", 1, 10, "", "org server"),
    ("provider = \"okta\"\nauthorization_server = \"default\"", 1, 10, "", "no `authority`"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"\nauthorization_server = \"a/b\"", 4, 24, ".authorization_server", "not a name"),
    ("provider = \"okta\"\nauthority = \"http://acme.okta.com\"\nauthorization_server = \"a\"", 3, 13, ".authority", "only allowed on loopback"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com?x\"\nauthorization_server = \"a\"", 3, 13, ".authority", "no query"),
    ("provider = \"okta\"\nauthority = \"https://acme.okta.com\"\nauthorization_server = \"a\"\none_of_claims = [\"sub\"]", 5, 1, ".one_of_claims", "remove `provider`"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"", 1, 10, "", "no `realm`"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"\nrealm = \"..\"", 4, 9, ".realm", "not a name"),
    ("provider = \"keycloak\"\nauthority = \"https://sso.example\"\nrealm = \"a\"\nrequired_claims.typ = \"ID\"", 5, 23, ".required_claims.typ", "says what it must be"),
    ("provider = \"auth0\"\nauthority = \"https://a.auth0.com\"\nrealm = \"a\"", 4, 9, ".realm", "provider = \"keycloak\""),
    ("provider = \"oidc\"\nissuer = \"https://a.example\"\nauthority = \"https://a.example\"", 4, 13, ".authority", "another provider"),
    ("provider = \"oidc\"", 1, 10, "", "neither `provider`"),
    ("issuer = \"https://a.example\"\ntenant = \"a\"", 3, 10, ".tenant", "provider = \"entra\""),
    ("issuer = \"https://a.example\"\nsubject_claim = \"email\"", 3, 17, ".subject_claim", "given to somebody else"),
    ("issuer = \"https://a.example\"\nclient_claim = \"\"", 3, 16, ".client_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nroles_claim = []", 3, 1, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nroles_claim = \"a..b\"", 3, 15, ".roles_claim", "a claim has a name"),
    ("issuer = \"https://a.example\"\nrequired_claims.a = []", 3, 17, ".required_claims.a", "no token would be accepted"),
    ("issuer = \"https://a.example\"\nforbidden_claims = [\"\"]", 3, 21, ".forbidden_claims[0]", "a claim has a name"),
];

#[rustfmt::skip]
const BAD_FACTS: &[(&str, usize, usize, &str, &str)] = &[
    ("[zones.a]", 1, 8, "zones.a", "no `networks`"),
    ("[zones.\"a b\"]\nnetworks = [\"10.0.0.0/8\"]", 1, 8, "zones.a b", "letters, digits"),
    ("[zones.a]\nnetworks = [\"10.1.0.0/8\"]", 2, 13, "zones.a.networks[0]", "write \"10.0.0.0/8\""),
    ("[zones.a]\nnetworks = [\"::ffff:10.0.0.0/104\"]", 2, 13, "zones.a.networks[0]", "an address within a network"),
    ("[zones.a]\nnetworks = [\"10.0.0.0/33\"]", 2, 13, "zones.a.networks[0]", "not an address"),
    ("[zones.a]\nnetworks = [\"office.example\"]", 2, 13, "zones.a.networks[0]", "not an address"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nRisk = { type = \"bool\" }", 4, 1, "issuers.a.claims.Risk", "lower-case letters"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nzones = { type = \"bool\" }", 4, 1, "issuers.a.claims.zones", "something else by this name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { type = \"text\" }", 4, 17, "issuers.a.claims.risk.type", "not one of the values"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { }", 4, 1, "issuers.a.claims.risk", "no `type`"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.claims]\nrisk = { type = \"bool\", claim = \"a..b\" }", 4, 33, "issuers.a.claims.risk.claim", "a claim has a name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\nclaims.risk.type = \"bool\"\n[issuers.b]\nissuer = \"https://b.example\"\nclaims.risk.type = \"string\"", 6, 20, "issuers.b.claims.risk.type", "write type = \"bool\""),
];

#[test]
fn auth_05_refuses_facts_that_mean_nothing_or_two_things() {
    for (text, line, column, key, words) in BAD_FACTS {
        refuses(&format!("{text}\n"), *line, *column, key, words);
    }
}

#[rustfmt::skip]
const BAD_TREES: &[(&str, usize, usize, &str, &str)] = &[
    ("a = [\"a\"]", 4, 1, "a", "implies itself: a > a"),
    ("a = [\"b\"]\nb = [\"c\"]\nc = [\"x\", \"a\"]", 4, 1, "a", "implies itself: a > b > c > a"),
    ("d = [\"a\"]\na = [\"b\"]\nb = [\"a\"]", 5, 1, "a", "the wider scope imply the narrower"),
    ("a = []", 4, 1, "a", "implies nothing"),
    ("a = [\"b c\"]", 4, 6, "a[0]", "not a scope"),
];

#[test]
fn auth_10_refuses_scopes_that_imply_each_other() {
    for (lines, line, column, key, words) in BAD_TREES {
        let key = format!("issuers.a.scope_implies.{key}");
        let issuer = "[issuers.a]\nissuer = \"https://a.example\"\n[issuers.a.scope_implies]\n";
        refuses(&format!("{issuer}{lines}\n"), *line, *column, &key, words);
    }
    let said = |text: &str| reads(text).unwrap_err().to_string();
    let own = "[issuers.a]\nembedded = true\n[issuers.a.scope_implies]\na = [\"b\"]\n";
    assert!(said(own).contains("the embedded issuer needs no such key"));
    let many: Vec<String> = (0..256).map(|n| format!("\"s{n}\"")).collect();
    let many = many.join(", ");
    let wide = format!(
        "[issuers.a]\nissuer = \"https://a.example\"\nscope_implies = {{ a = [{many}] }}\n"
    );
    assert!(said(&wide).contains("too many scopes: at most 256"));
}

#[test]
fn auth_02_refuses_presets_that_would_let_others_in() {
    for (lines, line, column, key, words) in BAD_PRESETS {
        let key = format!("issuers.a{key}");
        let text = format!("[issuers.a]\n{lines}\n");
        refuses(&text, *line, *column, &key, words);
    }
}

#[test]
fn auth_05_what_is_pushed_has_a_type_and_somebody_who_pushes_it() {
    let issuer = |more: &str, claim: &str| {
        format!(
            "[issuers.idp]\nissuer = \"https://idp.example\"\n{more}\n[issuers.idp.claims]\nx = {{ {claim} }}\n{REST}"
        )
    };
    let signals = "signals = { audience = \"https://gate.example/signals\" }";
    for (kind, topic) in [
        ("bool", "device-compliance"),
        ("string", "risk-level"),
        ("string", "assurance-level"),
    ] {
        let claim = format!("type = \"{kind}\", pushed = \"{topic}\"");
        drop(reads(&issuer(signals, &claim)).unwrap());
        let problems = reads(&issuer("", &claim)).expect_err("no signals");
        assert!(
            problems.to_string().contains("nothing is pushed"),
            "{problems}"
        );
        let claim = format!("type = \"long\", pushed = \"{topic}\"");
        let problems = reads(&issuer(signals, &claim)).expect_err("another type");
        assert!(problems.to_string().contains("another type"), "{problems}");
    }
    let problems =
        reads(&issuer(signals, "type = \"bool\", pushed = \"weather\"")).expect_err("weather");
    assert!(
        problems.to_string().contains("device-compliance"),
        "{problems}"
    );
}
