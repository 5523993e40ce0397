//! DYN-01 and ATK-070: calls that need a better login, for which a client sends its user to a page of the gateway's, and those
//! who would like it to be somebody else, somewhere else, or not at all.

use crate::harness::{
    Draft, Gateway, Login, Request, Response, STATELESS, Surfer, Upstream, WITH_SESSIONS, call,
    form_of, goes_to, now, portcullis, post, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const RULE: &str = r#"
@id("fresh-login")
@step_up("acr=gold; max_age=300")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write_note")
unless { context has acr && context.acr == "gold" && context has auth_age && context.auth_age <= 300 };
"#;

struct Scene {
    gateway: Gateway,
    login: Login,
    upstream: Upstream,
    _rules: TempDir,
}

impl Scene {
    fn new() -> Self {
        let (login, upstream) = (Login::start(), Upstream::start());
        let rules = tempfile::tempdir().unwrap();
        let file = rules.path().join("rules.cedar");
        std::fs::write(&file, RULE).unwrap();
        let servers: Vec<String> = ["notes", "other"]
            .iter()
            .map(|name| {
                format!(
                    "[servers.{name}]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"corp\"]\n\
[servers.{name}.tools.pay]\nstep_up = {{ acr = [\"gold\"], max_age = \"5m\" }}\n\
[servers.{name}.tools.shout]\nstep_up = {{ max_age = \"2s\" }}\n\
[servers.{name}.tools.sign]\nstep_up = {{ max_age = \"5m\" }}\n",
                    upstream.url()
                )
            })
            .collect();
        let config = format!(
            "{}{}[policy]\nfiles = ['{}']\n",
            login.config(),
            servers.concat(),
            file.display()
        );
        Self {
            gateway: Gateway::start(&config),
            login,
            upstream,
            _rules: rules,
        }
    }

    /// A token of this morning's login.
    fn draft(&self, subject: &str, server: &str) -> Draft {
        let draft = self.login.draft(subject);
        let draft = draft.claim("aud", self.gateway.url(server));
        draft.claim("auth_time", now() - 20_000)
    }

    fn token(&self, subject: &str) -> String {
        self.draft(subject, "notes").sign()
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    /// Must be sent to a page, and the server hears nothing; gives the page's URL.
    fn waits(&self, tool: &str, token: &str) -> String {
        let before = self.calls();
        let asked = self.send(&called(tool, token, &json!({})));
        let result = &asked.json()["result"];
        assert_eq!(result["resultType"], "input_required", "{asked:?}");
        assert_eq!(self.calls(), before, "{asked:?}");
        let record = self.gateway.record_of(&asked);
        assert_eq!(record["event"], "authn.step_up_required", "{record}");
        assert!(record["detail"]["required"].is_string(), "{record}");
        let question = &result["inputRequests"]["portcullis"];
        assert_eq!(question["params"]["mode"], "url", "{asked:?}");
        question["params"]["url"].as_str().unwrap().to_owned()
    }

    fn made(&self, tool: &str, token: &str) {
        let before = self.calls();
        let said = json!({ "inputResponses": { "portcullis": { "action": "accept" } } });
        let done = self.send(&called(tool, token, &said));
        assert_eq!(done.json()["result"]["resultType"], "complete", "{done:?}");
        assert_eq!(self.calls(), before + 1);
        let last = self.upstream.requests().pop().unwrap();
        assert!(!last.body.contains("inputResponses"), "{}", last.body);
    }

    fn calls(&self) -> usize {
        let seen = self.upstream.requests();
        let calls = seen.iter().filter(|seen| seen.body.contains("tools/call"));
        calls.count()
    }

    fn browser(&self, user: &str) -> Surfer {
        let mut browser = Surfer::default();
        self.login.user(Some(user));
        browser.signs_in(&self.gateway);
        browser
    }

    /// Signs in anew on the page; gives what the provider was asked, and the answer to what came back.
    fn signs_in(&self, browser: &mut Surfer, url: &str) -> (String, Response) {
        let page = browser.get(&self.gateway, url);
        assert_eq!(page.status, 200, "{page:?}");
        let there = browser.submit(&self.gateway, &page, &[("decision", "anew")]);
        assert_eq!(there.status, 303, "{there:?}");
        let asked = there.header("location").unwrap().to_owned();
        let back = browser.get(&self.gateway, &goes_to(&asked));
        (asked, back)
    }

    /// The same, and what is signed in for is taken.
    fn steps_up(&self, browser: &mut Surfer, url: &str) {
        let (_, back) = self.signs_in(browser, url);
        assert_eq!(back.status, 200, "{back:?}");
        let page = browser.get(&self.gateway, url);
        assert!(page.body.contains("Go on"), "{page:?}");
        let done = browser.submit(&self.gateway, &page, &[("decision", "allow")]);
        assert_eq!(done.status, 200, "{done:?}");
        self.gateway.expect("step_up.done", None);
    }

    fn gives(&self, class: &'static str) {
        self.login.change(move |draft| draft.claim("acr", class));
    }

    fn is_refused(&self, response: &Response, status: u16, (event, reason): (&str, &str)) {
        assert_eq!(response.status, status, "{response:?}");
        self.gateway.expect(event, Some(reason));
    }
}

/// A call of a client that opens pages for its user, with what it says it has been told there.
fn called(tool: &str, token: &str, more: &Value) -> Request {
    let mut params = json!({ "name": tool, "arguments": { "text": "x" } });
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
    });
    stateless(tool, &params).token(token)
}

fn stateless(tool: &str, params: &Value) -> Request {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    post(&body.to_string())
        .set("mcp-protocol-version", STATELESS)
        .set("mcp-method", "tools/call")
        .set("mcp-name", tool)
}

#[test]
fn dyn_01_whoever_calls_signs_in_anew_at_our_page_and_nobody_else_does() {
    let scene = Scene::new();
    for tool in ["pay", "write_note"] {
        let token = scene.token("alice");
        scene.gives("gold");
        let mut alice = scene.browser("alice");
        let url = scene.waits(tool, &token);
        assert_eq!(scene.waits(tool, &token), url, "one question stays one");
        // Strangers see nothing of it, and somebody else nothing either, however well they sign in.
        let mut mallory = Surfer::default();
        let page = mallory.get(&scene.gateway, &url);
        assert!(!page.body.contains(tool), "{}", page.body);
        scene.login.user(Some("mallory"));
        let there = mallory.submit(&scene.gateway, &page, &[]);
        assert_eq!(there.status, 303, "{there:?}");
        let back = goes_to(there.header("location").unwrap());
        let refused = mallory.get(&scene.gateway, &back);
        scene.is_refused(&refused, 403, ("step_up.refused", "another_user"));
        let refused = mallory.get(&scene.gateway, &url);
        assert!(!refused.body.contains(tool), "{}", refused.body);
        // Her login of before is not taken for it, whatever the form says; nor is a form of another site's.
        scene.login.user(Some("alice"));
        let page = alice.get(&scene.gateway, &url);
        assert!(page.body.contains(tool) && page.body.contains("Sign in anew"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let early = alice.submit(&scene.gateway, &page, &[("decision", "allow")]);
        scene.is_refused(&early, 403, ("step_up.refused", "auth_time"));
        let (_, fields) = form_of(&page.body, "");
        let link = &fields.iter().find(|(name, _)| name == "link").unwrap().1;
        let forged = [("token", "guessed"), ("link", link), ("decision", "allow")];
        let forged = alice.post(&scene.gateway, "/account/step-up", &forged);
        scene.is_refused(&forged, 403, ("form.refused", "token"));
        // Nor is one of another class than was asked for.
        scene.gives("tin");
        let (asked, weak) = scene.signs_in(&mut alice, &url);
        for said in ["acr_values=gold", "prompt=login"] {
            assert!(asked.contains(said), "{asked}");
        }
        scene.is_refused(&weak, 403, ("step_up.refused", "acr"));
        scene.waits(tool, &token);
        scene.gives("gold");
        scene.steps_up(&mut alice, &url);
        let record = scene.gateway.expect("step_up.done", None);
        let told = (&record["server"], &record["target"]);
        assert_eq!(told, (&json!("notes"), &json!(tool)), "{record}");
        scene.made(tool, &token);
        let used = alice.get(&scene.gateway, &url);
        scene.is_refused(&used, 404, ("step_up.refused", "link"));
    }
}

#[test]
fn atk_070_a_login_that_was_made_anew_counts_for_one_grant_at_one_server() {
    let scene = Scene::new();
    scene.gives("gold");
    let of = |client: &str, grant: &str, server: &str| {
        let draft = scene.draft("alice", server).claim("client_id", client);
        draft.claim("grant_id", grant).sign()
    };
    let url = scene.waits("pay", &of("app", "one", "notes"));
    scene.steps_up(&mut scene.browser("alice"), &url);
    // The client has a new token of the same grant meanwhile.
    scene.made("pay", &of("app", "one", "notes"));
    for other in [
        of("app", "two", "notes"),
        of("worm", "one", "notes"),
        scene.draft("bob", "notes").claim("grant_id", "one").sign(),
        scene.token("alice"),
    ] {
        scene.waits("pay", &other);
    }
    let call = called("pay", &of("app", "one", "other"), &json!({}));
    let refused = scene.send(&call.to("/servers/other/mcp"));
    let result = &refused.json()["result"];
    assert_eq!(result["resultType"], "input_required", "{refused:?}");
    // It is no more than a login: what it is too old for by then is asked for again.
    let carol = scene.token("carol");
    let url = scene.waits("shout", &carol);
    scene.steps_up(&mut scene.browser("carol"), &url);
    scene.made("shout", &carol);
    wait_for("its end", || {
        let again = scene.send(&called("shout", &carol, &json!({})));
        (again.json()["result"]["resultType"] == "input_required").then_some(())
    });
    // No is no, for this link.
    let token = scene.token("alice");
    let url = scene.waits("sign", &token);
    let mut alice = scene.browser("alice");
    let page = alice.get(&scene.gateway, &url);
    let done = alice.submit(&scene.gateway, &page, &[("decision", "deny")]);
    assert!(done.body.contains("Refused"), "{done:?}");
    scene.gateway.expect("step_up.denied", None);
    assert_ne!(scene.waits("sign", &token), url);
}

#[test]
fn dyn_01_whoever_opens_no_pages_is_told_to_get_another_token() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let is_challenged = |request: &Request| {
        let told = scene.send(request);
        assert_eq!((told.status, told.code()), (401, 401), "{told:?}");
        let challenge = told.challenge();
        assert!(
            challenge.contains("insufficient_user_authentication"),
            "{challenge}"
        );
        let record = scene.gateway.record_of(&told);
        assert_eq!(record["event"], "authn.step_up_required", "{record}");
    };
    is_challenged(&call("pay").token(&token));
    // Nor can it be for somebody who does not sign in here, or of whose token nobody knows where it is from.
    let nameless = scene.draft("alice", "notes").without("jti").sign();
    is_challenged(&called("pay", &nameless, &json!({})));
    // 2025-11-25: by what the client has said in its session.
    let open = |can: &Value| {
        let params = json!({ "protocolVersion": WITH_SESSIONS, "capabilities": can,
            "clientInfo": { "name": "test", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let opened = scene.send(&post(&body.to_string()).token(&token));
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        move |tool: &str, token: &str| {
            let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
                "params": { "name": tool, "arguments": { "text": "y" } } });
            let call = post(&body.to_string()).token(token);
            call.set("mcp-session-id", &session)
                .set("mcp-protocol-version", WITH_SESSIONS)
        }
    };
    is_challenged(&open(&json!({ "elicitation": {} }))("pay", &token));
    let can = json!({ "elicitation": { "url": {} } });
    let first = open(&can);
    let asks = |tool: &str| {
        let told = scene.send(&first(tool, &token));
        assert_eq!((told.status, told.code()), (200, -32042), "{told:?}");
        let asked = &told.json()["error"]["data"]["elicitations"][0];
        asked["url"].as_str().unwrap().to_owned()
    };
    scene.steps_up(&mut scene.browser("alice"), &asks("sign"));
    let done = scene.send(&first("sign", &token));
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
    // A login of another class gives other rights, which no session of before has (SES-12).
    scene.gives("gold");
    scene.steps_up(&mut scene.browser("alice"), &asks("pay"));
    let over = scene.send(&first("pay", &token));
    scene.is_refused(&over, 404, ("session.reject", "rights_changed"));
    let done = scene.send(&open(&can)("pay", &token));
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
}

#[test]
fn dyn_01_where_no_provider_is_the_owner_signs_in_anew() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[issuers.local]\nembedded = true\n[authority]\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n\
issuers = [\"local\"]\n[servers.notes.tools.pay]\nstep_up = {{ max_age = \"5m\" }}\n\
[servers.notes.tools.gild]\nstep_up = {{ acr = [\"gold\"] }}\n",
        upstream.url()
    ));
    let token = gateway.token("notes");
    let call = |tool: &str| called(tool, &token, &json!({})).send(gateway.address);
    let link = || {
        let file = gateway.data().with_file_name("portcullis.toml");
        let said = portcullis(&["owner", "link", "--config", file.to_str().unwrap()]);
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    // The owner has no class of login, so a page would be of no use.
    assert_eq!(call("gild").status, 401);
    let mut owner = Surfer::default();
    let signs_in = |owner: &mut Surfer| {
        let page = owner.get(&gateway, &link());
        let done = owner.submit(&gateway, &page, &[]);
        assert_eq!(done.status, 200, "{done:?}");
    };
    signs_in(&mut owner);
    let then = now();
    wait_for("another second", || (now() > then).then_some(()));
    let asked = call("pay").json();
    let question = &asked["result"]["inputRequests"]["portcullis"]["params"];
    let url = question["url"].as_str().unwrap();
    let goes = |owner: &mut Surfer| {
        let page = owner.get(&gateway, url);
        owner.submit(&gateway, &page, &[("decision", "anew")])
    };
    // That somebody sits there who was signed in before is no login.
    let page = goes(&mut owner);
    let early = owner.submit(&gateway, &page, &[]);
    assert_eq!(early.status, 403, "{early:?}");
    gateway.expect("step_up.refused", Some("auth_time"));
    assert_eq!(call("pay").json()["result"]["resultType"], "input_required");
    let page = goes(&mut owner);
    signs_in(&mut owner);
    let back = owner.submit(&gateway, &page, &[]);
    assert_eq!(back.status, 200, "{back:?}");
    let page = owner.get(&gateway, url);
    let done = owner.submit(&gateway, &page, &[("decision", "allow")]);
    assert_eq!(done.status, 200, "{done:?}");
    gateway.expect("step_up.done", None);
    assert_eq!(call("pay").json()["result"]["resultType"], "complete");
}
