//! What servers are shown, how they are reached and who may call them.

use super::*;

#[rustfmt::skip]
const SERVERS: &[Row] = &[
    ("", 1, 10, "", "neither `url` nor `command`"),
    ("url = \"https://a.example\"\ncommand = \"x\"", 3, 11, ".command", "both `url` and `command`"),
    ("url = \"http://a.example/mcp\"", 2, 7, ".url", "only allowed on loopback"),
    ("url = \"https://u:hunter2@a.example/mcp\"", 2, 7, ".url", "user name or password"),
    ("url = \"https://a.example/#x\"", 2, 7, ".url", "fragment"),
    ("url = \"https://a.example\"\ntransport = \"websocket\"", 3, 13, ".transport", "`streamable-http`, `sse`"),
    ("url = \"https://a.example\"\nargs = [\"x\"]", 3, 1, ".args", "only for a server with `command`"),
    ("url = \"https://a.example\"\ncwd = \"x\"", 3, 7, ".cwd", "only for a server with `command`"),
    ("url = \"https://a.example\"\nlimits.max_processes = 1", 3, 24, ".limits.max_processes", "only for a server with `command`"),
    ("url = \"http://127.0.0.1:1\"\nca = \"ca.pem\"", 3, 6, ".ca", "only for an `https` URL"),
    ("command = \"x\"\ntransport = \"sse\"", 3, 13, ".transport", "only for a server with `url`"),
    ("command = \"x\"\nheaders.A = \"b\"", 3, 1, ".headers", "only for a server with `url`"),
    ("command = \" \"", 2, 11, ".command", "not a program"),
    ("command = \"x\"\nenv = { \"A B\" = \"c\" }", 3, 17, ".env.A B", "not a name of an environment variable"),
    ("command = \"x\"\ninherit_env = [\"A=B\"]", 3, 16, ".inherit_env[0]", "not a name of an environment variable"),
    ("command = \"x\"\nenv.A = \"b\"\ninherit_env = [\"A\"]", 4, 16, ".inherit_env[0]", "also in `env`"),
    ("command = \"x\"\nargs = [\"a\\u0000\"]", 3, 9, ".args[0]", "zero byte"),
];

#[test]
fn conf_refuses_servers_that_cannot_be_reached_safely() {
    for (lines, line, column, key, words) in SERVERS {
        refuses_server(lines, *line, *column, key, words);
    }
    refuses(
        "[servers.\"a__b\"]\ncommand = \"x\"\n",
        1,
        10,
        "servers.a__b",
        "not a name of a server",
    );
    refuses(
        "[servers.A]\ncommand = \"x\"\n",
        1,
        10,
        "servers.A",
        "lower-case letters",
    );
    refuses(
        "[servers.-a]\ncommand = \"x\"\n",
        1,
        10,
        "servers.-a",
        "not a name of a server",
    );
    let long = format!("[servers.{}]\ncommand = \"x\"\n", "a".repeat(33));
    refuses(
        &long,
        1,
        10,
        &format!("servers.{}", "a".repeat(33)),
        "up to 32",
    );
}

#[test]
fn lp_04_places_inside_are_named_or_refused() {
    let open = "[egress]\nallow = [\"10.1.0.0/16\", \"fd00::/8\", \"Login.internal:8443\"]\nresolver = \"192.0.2.53:53\"\n";
    let checked = reads(&format!("{open}{REST}")).unwrap();
    assert!(!checked.egress.allow.is_empty());
    assert_eq!(checked.egress.resolver, "192.0.2.53:53".parse().ok());
    let closed = reads(REST).unwrap();
    assert!(closed.egress.allow.is_empty() && closed.egress.resolver.is_none());
    for (entry, column) in [("*", 10), ("10.1.0.0/8", 10), ("https://a.example", 10)] {
        let text = format!("[egress]\nallow = [\"{entry}\"]\n");
        refuses(&text, 2, column, "egress.allow[0]", "range of addresses");
    }
    for server in ["dns.example:53", "192.0.2.53", "192.0.2.53:0"] {
        let text = format!("[egress]\nresolver = \"{server}\"\n");
        refuses(&text, 2, 12, "egress.resolver", "address and port");
    }
    let many = vec!["\"a.example\""; 257].join(", ");
    refuses(
        &format!("[egress]\nallow = [{many}]\n"),
        2,
        1,
        "egress.allow",
        "at most 256",
    );
}

#[test]
fn tok_15_sign_in_is_whole_or_refused() {
    let url = "[servers.a]\nurl = \"https://a.example\"\n";
    let whole = format!(
        "{url}[servers.a.sign_in]\nissuer = \"https://as.example\"\nclient_id = \"x\"\nclient_secret = {{ env = \"TOKEN\" }}\n"
    );
    let checked = reads(&format!("{whole}{REST}")).unwrap();
    let server = &checked.servers[&ServerName::parse("a").unwrap()];
    let sign_in = server.sign_in.as_ref().unwrap();
    let client = sign_in.client.as_ref().unwrap();
    assert_eq!(
        (client.issuer.1.as_str(), client.id.as_str()),
        ("https://as.example", "x")
    );
    assert!(!sign_in.may_register && !format!("{checked:?}").contains("hunter2"));
    let least = reads(&format!("{url}[servers.a.sign_in]\n{REST}")).unwrap();
    let server = &least.servers[&ServerName::parse("a").unwrap()];
    assert!(
        server
            .sign_in
            .as_ref()
            .is_some_and(|own| own.client.is_none())
    );
    for part in [
        "client_id = \"x\"",
        "issuer = \"https://as.example\"",
        "client_secret = { env = \"TOKEN\" }",
    ] {
        let text = format!("{url}[servers.a.sign_in]\n{part}\n");
        refuses(&text, 3, 12, "servers.a.sign_in", "belong together");
    }
    for (document, words) in [
        ("http://localhost/client.json", "`https`, with a path"),
        ("http://a.example/client.json", "only allowed on loopback"),
        ("https://a.example", "`https`, with a path"),
        ("https://a.example/a?b", "`https`, with a path"),
        ("https://a.example/../a", "`https`, with a path"),
        ("a.example", "https://host.example/path"),
    ] {
        let text = format!("{url}[servers.a.sign_in]\nclient_document = \"{document}\"\n");
        refuses(&text, 4, 19, "servers.a.sign_in.client_document", words);
    }
    let named = format!("{whole}client_document = \"https://a.example/client.json\"\n");
    refuses(
        &named,
        7,
        19,
        "servers.a.sign_in.client_document",
        "keep one of them",
    );
}

#[test]
fn tok_15_sign_in_is_for_servers_and_browsers_that_can() {
    let url = "[servers.a]\nurl = \"https://a.example\"\n";
    let other = "[servers.a]\ncommand = \"x\"\n[servers.a.sign_in]\n";
    refuses(
        other,
        3,
        12,
        "servers.a.sign_in",
        "only for a server with `url`",
    );
    let sse = format!("{url}transport = \"sse\"\n[servers.a.sign_in]\n");
    refuses(&sse, 4, 12, "servers.a.sign_in", "only with the transport");
    let twice = format!("{url}headers.Authorization = \"${{TOKEN}}\"\n[servers.a.sign_in]\n");
    refuses(&twice, 4, 12, "servers.a.sign_in", "keep one of them");
    // Where a link leads to this gateway from anywhere, nobody knows who follows it.
    let public = "[gateway]\npublic_url = \"https://gate.example\"\n";
    let open = format!("{public}{url}[servers.a.sign_in]\n");
    refuses(
        &open,
        5,
        12,
        "servers.a.sign_in",
        "unproven_browsers = true",
    );
    assert!(reads(&format!("{open}unproven_browsers = true\n{REST}")).is_ok());
}

#[rustfmt::skip]
const CREDENTIALS: &[(&str, usize, &str, &str)] = &[
    ("credentials = {}", 1, ".credentials", "no `kind`"),
    ("credentials = { kind = \"none\", audience = \"x\" }", 24, ".credentials.kind", "not one of the values"),
    ("credentials = { kind = \"assertion\" }", 1, ".credentials", "no `audience`"),
    ("credentials = { kind = \"assertion\", audience = \"\" }", 1, ".credentials", "no `audience`"),
    ("credentials = { kind = \"assertion\", audience = \"*\" }", 48, ".credentials.audience", "without asterisk"),
    ("credentials = { kind = \"client-credentials\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", own_key = true }", 127, ".credentials.own_key", "only for kind"),
    ("credentials = { kind = \"assertion\", audience = \"x\", lifetime = \"1h\" }", 64, ".credentials.lifetime", "5s to 5m"),
    ("credentials = { kind = \"assertion\", audience = \"x\", scopes = [\"a b\"] }", 63, ".credentials.scopes[0]", "not a scope"),
    ("credentials = { kind = \"assertion\", audience = \"http://127.0.0.1:8848/mcp\" }", 48, ".credentials.audience", "the endpoint for all servers here"),
    ("credentials = { kind = \"assertion\", audience = \"http://127.0.0.1:8848/servers/a/mcp\" }", 48, ".credentials.audience", "server `a` here"),
    ("credentials = { kind = \"assertion\", audience = \"x\", client_id = \"x\" }", 65, ".credentials.client_id", "only for tokens that are fetched"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\" }", 1, ".credentials", "no `token_endpoint`"),
    ("credentials = { kind = \"exchange\", audience = \"x\", token_endpoint = \"https://i.example\" }", 1, ".credentials", "no `client_id`"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"http://i.example\" }", 86, ".credentials.token_endpoint", "only allowed on loopback"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", subject = \"plain\" }", 117, ".credentials.subject", "only for kind"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", max_age = \"2h\" }", 117, ".credentials.max_age", "2s to 1h"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", client_auth = \"client_secret_post\" }", 121, ".credentials.client_auth", "only for a client with `client_secret`"),
    ("credentials = { kind = \"on-behalf-of\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", actor = true }", 119, ".credentials.actor", "only for kind"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", resource = \"r\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 1, ".credentials", "no `issuer`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"i\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 1, ".credentials", "no `resource`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\" }", 1, ".credentials", "no `idp`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\", idp = { client_id = \"y\" } }", 167, ".credentials.idp", "no `token_endpoint`"),
    ("credentials = { kind = \"id-jag\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"https://i.example\", resource = \"https://r.example\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\", subject_token = \"saml\" } }", 246, ".credentials.idp.subject_token", "not one of the values"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", idp = { token_endpoint = \"https://l.example\", client_id = \"y\" } }", 107, ".credentials.idp", "only for kind"),
    ("credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\", issuer = \"a b\" }", 116, ".credentials.issuer", "not an issuer identifier"),
    ("tools.x = { upstream_scopes = [] }", 13, ".tools.x.upstream_scopes", "no tokens of its own"),
];

#[test]
fn tok_05_refuses_credentials_that_open_more_than_one_door() {
    let two =
        "[issuers.a]\nissuer = \"https://a.example\"\n[servers.a]\nurl = \"https://a.example\"\n";
    let shown = "credentials = { kind = \"exchange\", audience = \"x\", client_id = \"x\", token_endpoint = \"https://i.example\" }";
    refuses(
        &format!("{two}{shown}\n"),
        5,
        24,
        "servers.a.credentials.kind",
        "a token of one would be shown to the other",
    );
    for (line, column, key, words) in CREDENTIALS {
        let lines = format!("url = \"https://a.example\"\n{line}");
        refuses_server(&lines, 3, *column, key, words);
    }
    let own = "credentials = { kind = \"assertion\", audience = \"x\" }";
    let header = "url = \"https://a.example\"\nheaders.Authorization = { env = \"TOKEN\" }";
    refuses_server(
        &format!("{header}\n{own}"),
        4,
        1,
        ".credentials",
        "already has an `Authorization`",
    );
    refuses_server(
        &format!("command = \"x\"\n{own}"),
        3,
        1,
        ".credentials",
        "only for a server with `url`",
    );
    let two = "[servers.b]\nurl = \"https://b.example\"\n";
    let both = format!("url = \"https://a.example\"\n{own}\n{two}{own}");
    refuses(
        &format!("[servers.a]\n{both}\n"),
        6,
        48,
        "servers.b.credentials.audience",
        "the same audience as server `a`",
    );
    let issuers =
        "[issuers.a]\nissuer = \"https://a.example\"\n[servers.a]\nurl = \"https://a.example\"\n";
    refuses(
        &format!("{issuers}{own}\n"),
        5,
        1,
        "servers.a.credentials.subject",
        "two issuers",
    );
}

#[rustfmt::skip]
const AUDIENCES: &[(&str, usize, &str, &str)] = &[
    ("audience = \"\"", 12, ".audience", "an empty audience"),
    ("audience = \"*\"", 12, ".audience", "without asterisk"),
    ("audience = \"a b\"", 12, ".audience", "without asterisk and spaces"),
    ("issuers = [\"onw\"]", 12, ".issuers[0]", "did you mean `own`?"),
    ("scopes = [\"a b\"]", 11, ".scopes[0]", "not a scope"),
    ("max_token_lifetime = \"30s\"", 22, ".max_token_lifetime", "1m to 7d"),
    ("dpop = \"on\"", 8, ".dpop", "not one of the values"),
    ("mtls = \"on\"", 8, ".mtls", "not one of the values"),
    ("mtls = \"accepted\"", 8, ".mtls", "the listener has none"),
    ("dpop_nonce = true\ndpop = \"off\"", 14, ".dpop_nonce", "this server takes none"),
    ("step_up = {}", 1, ".step_up", "asks for nothing"),
    ("step_up.acr = [\"a b\"]", 16, ".step_up.acr[0]", "not a value of this claim"),
    ("step_up.amr = [\"\"]", 16, ".step_up.amr[0]", "not a value of this claim"),
    ("step_up.max_age = \"0s\"", 19, ".step_up.max_age", "out of range"),
    ("allow = [\"a*b\"]", 10, ".allow[0]", "at the end"),
    ("allow = [\"resources:x\"]", 10, ".allow[0]", "`resource:`"),
    ("tools.\"a*\" = { scopes = [] }", 7, ".tools.a*", "not a name of a tool"),
    ("tools.x = { requests_per_minute = 0 }", 35, ".tools.x.requests_per_minute", "out of range"),
    ("limits.response = \"1GiB\"", 19, ".limits.response", "1KiB to 256MiB"),
];

#[test]
fn auth_04_a_tool_asks_for_no_less_than_its_server() {
    let text = format!(
        "[servers.a]\nurl = \"https://a.example\"\nstep_up = {{ acr = [\"gold\", \"tin\"], amr = [\"pwd\"], max_age = \"1h\" }}\n\
         [servers.a.tools]\nx.step_up = {{ acr = [\"tin\", \"silver\"], amr = [\"otp\"], max_age = \"2h\" }}\n\
         y.step_up = {{ max_age = \"5m\" }}\nz.scopes = [\"s\"]\n{REST}"
    );
    let checked = reads(&text).unwrap();
    let server = checked.servers.first_key_value().unwrap().1;
    let needs = |tool: &str| server.tools[tool].step_up.as_ref().map(ToString::to_string);
    let all = [
        Some(server.step_up.to_string()),
        needs("x"),
        needs("y"),
        needs("z"),
    ];
    let expected = [
        Some("acr=gold tin; amr=pwd; max_age=3600".to_owned()),
        Some("acr=tin; amr=otp pwd; max_age=3600".to_owned()),
        Some("acr=gold tin; amr=pwd; max_age=300".to_owned()),
        None,
    ];
    assert_eq!(all, expected);
    let disjoint = "url = \"https://a.example\"\nstep_up.acr = [\"gold\"]\ntools.x.step_up = { acr = [\"tin\"] }";
    refuses_server(
        disjoint,
        4,
        21,
        ".tools.x.step_up.acr",
        "no token could satisfy both",
    );
}

#[test]
fn conf_refuses_confused_audiences() {
    for (line, column, key, words) in AUDIENCES {
        refuses_server(
            &format!("url = \"https://a.example\"\n{line}"),
            3,
            *column,
            key,
            words,
        );
    }
    // The default of `rest` is taken by `a`, which is judged first.
    let taken = "[servers.a]\nurl = \"https://a.example\"\naudience = \"http://127.0.0.1:8848/servers/rest/mcp\"\n";
    refuses(
        taken,
        7,
        10,
        "servers.rest.audience",
        "the same audience as server `a`",
    );
}

#[rustfmt::skip]
const GRANTS: &[(&str, &str, usize, usize, &str, &str)] = &[
    ("\"anyone\"", "[\"rset__x\"]", 3, 10, "grants[0].allow[0]", "did you mean `rest`?"),
    ("\"anyone\"", "[\"rest__x\", \"search\"]", 3, 21, "grants[0].allow[1]", "names its server"),
    ("\"anyone\"", "[\"*\"]", 3, 10, "grants[0].allow[0]", "names its server"),
    ("\"anyone\"", "[\"rest__\"]", 3, 10, "grants[0].allow[0]", "must not be empty"),
    ("\"anyone\"", "[]", 3, 1, "grants[0].allow", "a grant of nothing"),
    ("\"rol:x\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "did you mean `role`?"),
    ("\"user:\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "no name after the colon"),
    ("\"user:*\"", "[\"rest__x\"]", 2, 7, "grants[0].who", "no name after the colon"),
];

#[test]
fn conf_refuses_grants_that_miss() {
    for (who, allow, line, column, key, words) in GRANTS {
        refuses(
            &format!("[[grants]]\nwho = {who}\nallow = {allow}\n"),
            *line,
            *column,
            key,
            words,
        );
    }
    refuses(
        "[[grants]]\nwho = \"anyone\"\n",
        1,
        1,
        "grants[0]",
        "needs `who` and `allow`",
    );
    refuses(
        "[policy]\nfiles = [\"missing\"]\n",
        2,
        10,
        "policy.files[0]",
        "cannot read the file",
    );
    refuses(
        "[policy]\nfiles = [\"a\", \"a\"]\n",
        2,
        15,
        "policy.files[1]",
        "the same file twice",
    );
}

#[test]
fn tok_06_each_server_of_entra_has_an_audience_of_its_own() {
    let entra = format!("[issuers.a]\nprovider = \"entra\"\ntenant = \"{TENANT}\"\n");
    let rest = "[servers.rest]\nurl = \"https://rest.example/mcp\"\n";
    let said = |servers: &str| match reads(&format!("{entra}{servers}")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    assert!(said(rest).contains("Entra's tokens never have the server's URL"));
    let both = format!("{rest}audience = \"x\"\n[servers.b]\ncommand = \"b\"\n");
    assert!(said(&format!("{both}audience = \"x\"\n")).contains("the same audience"));
    assert!(said(&both).contains("Entra's tokens never have"));
    assert_eq!(said(&format!("{both}audience = \"y\"\n")), "");
}
