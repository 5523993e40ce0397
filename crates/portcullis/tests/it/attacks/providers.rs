//! ATK-006: tokens as identity providers make them, by what their documentation shows, and those of them that are
//! no access tokens for us.

use crate::harness::{Draft, Gateway, Idp, Scene, Upstream, call};
use serde_json::{Value, json};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER_TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
/// The API that is registered for the server, and the application that comes for a user.
const API: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";
const APP: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";
const OID: &str = "690222be-ff1a-4d56-abd1-7e4f7d38e474";

/// A provider that is at its URL below `path`, its preset, and a server that everybody may use.
struct Provided(Scene);

impl Provided {
    /// `preset` are the keys of the issuer, `server` those of the server, and what follows.
    fn new(path: &'static str, preset: &str, server: &str) -> Self {
        let (idp, upstream) = (Idp::start_at(path), Upstream::start());
        // As they are published: with a key for encryption, and members that nobody asked for.
        idp.publish_also(json!({
            "kid": "enc-1", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "e": "AQAB", "n": Idp::rsa().jwk()["n"],
            "x5t": "pTTH0RGfv", "x5c": ["MIIC"], "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        }));
        let config = format!(
            "[issuers.idp]\n{preset}\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n{server}",
            upstream.url()
        );
        let config = config.replace("{authority}", &idp.authority());
        Self(Scene {
            gateway: Gateway::start(&config),
            upstream,
            idp,
        })
    }

    /// A token with these claims, signed with the RSA key, under a header as the provider writes it.
    fn draft(&self, claims: Value, kind: Value) -> Draft {
        let idp = &self.0.idp;
        let draft = idp.draft("", "").key(&idp.key("rsa-1"));
        draft.header("typ", kind).saying(claims)
    }

    /// It is taken, for this subject and this client.
    fn takes(&self, draft: &Draft, subject: &str, client: &str) -> Value {
        let response = self.0.permits(&call("echo").token(&draft.sign()));
        let record = self.0.gateway.record_of(&response);
        assert_eq!(record["principal"]["sub"], subject, "{record}");
        assert_eq!(record["client"], client, "{record}");
        record
    }

    fn refuses(&self, draft: &Draft, reason: &str) {
        self.0
            .unauthenticated(&call("echo").token(&draft.sign()), reason);
    }

    /// It is refused, and the record says what mends it, which the client is not told.
    fn explains(&self, token: &str, reason: &str, words: &str) {
        let request = call("echo").token(token);
        self.0.unauthenticated(&request, reason);
        let response = self.0.send(&request);
        let record = self.0.gateway.record_of(&response);
        let hint = record["detail"]["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(words), "{record}");
        assert!(!format!("{response:?}").contains(words), "{response:?}");
    }
}

fn entra(more: &str) -> Provided {
    Provided::new(
        "/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
        &format!(
            "provider = \"entra\"\nauthority = \"{{authority}}\"\ntenant = \"{}\"",
            TENANT.to_uppercase()
        ),
        &format!("audience = \"{API}\"\n{more}"),
    )
}

/// An access token of version 2 for a user.
fn of_user(scene: &Provided) -> Draft {
    let claims = json!({
        "aud": API, "iss": scene.0.idp.issuer(), "nbf": 1_537_231_048_u64,
        "aio": "AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4/DccQzjcJGxPYy/C3jDaNGxXd6wNIIVGRghNRnwJ1lOcAnNZcjvkoyrFxCttv33140RioOFJ4bCCGVuoCag",
        "azp": APP, "azpacr": "0", "name": "Abe Lincoln", "oid": OID, "preferred_username": "abeli@example.com",
        "rh": "I", "scp": "Notes.Read Notes.Write", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": TENANT, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
    });
    scene.draft(claims, json!("JWT"))
}

/// An access token of version 2 for an application that comes for itself.
fn of_app(scene: &Provided) -> Draft {
    let oid = "11112222-bbbb-3333-cccc-4444dddd5555";
    let claims = json!({
        "aud": API, "iss": scene.0.idp.issuer(), "nbf": 1_537_231_048_u64, "aio": "E2BgYFic", "azp": APP, "azpacr": "1",
        "oid": oid, "rh": "0.AXQA", "roles": ["Notes.Read.All"], "sub": oid, "tid": TENANT, "uti": "u", "ver": "2.0",
    });
    scene.draft(claims, json!("JWT"))
}

/// An ID token of version 2 for an application that is registered together with the API.
fn id_token(scene: &Provided) -> Draft {
    let claims = json!({
        "ver": "2.0", "iss": scene.0.idp.issuer(), "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "aud": API,
        "name": "Abe Lincoln", "preferred_username": "abeli@example.com", "oid": OID, "tid": TENANT, "aio": "Df2UVXL1ix",
        "roles": ["Notes.Admin"], "uti": "u", "rh": "0.AXQA",
    });
    scene.draft(claims, json!("JWT"))
}

#[test]
fn auth_02_takes_access_tokens_of_entra() {
    let scene = entra("scopes = []\n[servers.notes.tools.read_note]\nscopes = [\"Notes.Admin\"]\n");
    let user = of_user(&scene);
    scene.takes(&user, OID, APP);
    scene.takes(&of_app(&scene), "11112222-bbbb-3333-cccc-4444dddd5555", APP);
    let request = call("read_note").token(&user.sign());
    scene
        .0
        .refuses(&request, (403, 403), ("authz.deny", "scope"));
    // ATK-006: other tenants, whatever they say; what is no access token for us; and of nobody.
    let other = scene.0.idp.issuer().replace(TENANT, OTHER_TENANT);
    scene.refuses(&user.clone().claim("iss", other), "issuer");
    for (claim, value, reason) in [
        ("tid", json!(OTHER_TENANT), "claim"),
        ("tid", json!(null), "claim"),
        ("ver", json!("1.0"), "claim"),
        ("azp", json!(null), "claim"),
        ("scp", json!(null), "claim"),
        ("oid", json!(null), "subject"),
        ("aud", json!(scene.0.gateway.url("notes")), "audience"),
        ("aud", json!(format!("api://{API}")), "audience"),
        (
            "aud",
            json!("00000003-0000-0000-c000-000000000000"),
            "audience",
        ),
        ("aud", json!(APP), "audience"),
    ] {
        let draft = if value.is_null() {
            user.clone().without(claim)
        } else {
            user.clone().claim(claim, value)
        };
        scene.refuses(&draft, reason);
    }
    let graph = user
        .clone()
        .claim("aud", "00000003-0000-0000-c000-000000000000");
    scene.explains(&graph.sign(), "audience", "Microsoft Graph");
    let own = user.clone().claim("aud", APP);
    scene.explains(&own.sign(), "audience", "ID token");
    scene.takes(&user, OID, APP);
}

#[test]
fn auth_02_refuses_tokens_of_version_1_of_entra() {
    let scene = entra("");
    let claims = json!({
        "aud": format!("api://{API}"), "iss": format!("https://sts.windows.net/{TENANT}/"), "acr": "1",
        "aio": "ASQA2/8TAAAA", "amr": ["pwd"], "appid": APP, "appidacr": "0", "ipaddr": "192.0.2.1", "name": "Abe Lincoln",
        "oid": OID, "scp": "Notes.Read", "sub": "5_J9rSss8-jvt_Icu6ueRNL8xXb8LF4Fsg_KooC2RJQ", "tid": TENANT,
        "unique_name": "abeli@example.com", "upn": "abeli@example.com", "uti": "u", "ver": "1.0",
    });
    let old = scene.draft(claims, json!("JWT"));
    scene.explains(&old.sign(), "issuer", "requestedAccessTokenVersion");
    let own = old.claim("iss", scene.0.idp.issuer()).claim("aud", API);
    scene.refuses(&own.claim("azp", APP), "claim");
    scene.takes(&of_user(&scene), OID, APP);
}

#[test]
fn auth_08_refuses_id_tokens_of_the_application_that_the_audience_names() {
    let scene = entra("");
    let id = id_token(&scene);
    for draft in [
        id.clone(),
        id.clone().claim("nonce", "12345"),
        // Even one that says what only access tokens say.
        id.clone().claim("azp", APP).claim("nonce", "12345"),
        id.claim("azp", APP).claim("at_hash", "x"),
    ] {
        scene.refuses(&draft, "claim");
    }
    scene.takes(&of_user(&scene), OID, APP);
}

/// A policy that keeps one group out of everything on `notes`, and one that lets another in on `open`.
const GROUPED: &str = r#"
[servers.open]
url = "{upstream}"
audience = "99990000-aaaa-2222-bbbb-3333cccc4444"
allow = ["*"]
"#;

#[test]
fn auth_02_decides_nothing_on_groups_that_a_token_leaves_out() {
    let (idp, upstream) = (
        Idp::start_at("/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"),
        Upstream::start(),
    );
    let files = tempfile::tempdir().unwrap();
    let policy = files.path().join("groups.cedar");
    let cedar = "@id(\"contractors\") forbid (principal in Group::\"g-contractors\", action, resource in Server::\"notes\");";
    std::fs::write(&policy, cedar).unwrap();
    let config = format!(
        "[issuers.idp]\nprovider = \"entra\"\nauthority = \"{}\"\ntenant = \"{TENANT}\"\n[policy]\nfiles = ['{}']\n\
         [servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\naudience = \"{API}\"\n{GROUPED}",
        idp.authority(),
        policy.display()
    );
    let config = config.replace("{upstream}", &upstream.url());
    let scene = Provided(Scene {
        gateway: Gateway::start(&config),
        upstream,
        idp,
    });
    let user = of_user(&scene);
    let inside = user.clone().claim("groups", json!(["g-staff"]));
    scene.takes(&inside, OID, APP);
    let contractor = user
        .clone()
        .claim("groups", json!(["g-staff", "g-contractors"]));
    let request = call("echo").token(&contractor.sign());
    scene
        .0
        .refuses(&request, (403, 403), ("authz.deny", "forbidden"));
    // The same contractor, in so many groups that the token names none of them.
    let sources =
        json!({ "src1": { "endpoint": "https://graph.windows.net/x/users/y/getMemberObjects" } });
    let overage = user
        .clone()
        .claim("_claim_names", json!({ "groups": "src1" }));
    for draft in [
        overage.claim("_claim_sources", sources),
        user.clone().claim("hasgroups", true),
    ] {
        let request = call("echo").token(&draft.sign());
        let expected = ("authz.deny", "groups_unknown");
        let response = scene.0.refuses(&request, (403, 403), expected);
        let record = scene.0.gateway.record_of(&response);
        assert_eq!(record["detail"]["groups"], "unknown", "{record}");
        let listed = crate::harness::message("tools/list", json!({})).token(&draft.sign());
        let listed = scene.0.send(&listed);
        assert_eq!(listed.status, 403, "{listed:?}");
        // Where no rule rests on a group, it does not matter.
        let other = draft.claim("aud", "99990000-aaaa-2222-bbbb-3333cccc4444");
        let response = scene
            .0
            .permits(&call("echo").to("/servers/open/mcp").token(&other.sign()));
        let record = scene.0.gateway.record_of(&response);
        assert_eq!(record["detail"]["groups"], "unknown", "{record}");
    }
}

#[test]
fn auth_02_takes_access_tokens_of_okta() {
    let scene = Provided::new(
        "/oauth2/default",
        "provider = \"okta\"\nauthority = \"{authority}/\"\nauthorization_server = \"default\"",
        "audience = \"api://notes\"\n",
    );
    // Okta writes no `typ`.
    let claims = json!({
        "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": scene.0.idp.issuer(), "aud": "api://notes",
        "cid": "0oabv6kx4qq6h1U5l0h7", "uid": "00ujmkLgagxeRrAg20g3", "scp": ["openid", "notes.read"],
        "sub": "john.doe@example.com", "auth_time": 1_467_145_094_u64, "groups": ["Everyone"],
    });
    let user = scene.draft(claims, json!(null));
    scene.takes(&user, "00ujmkLgagxeRrAg20g3", "0oabv6kx4qq6h1U5l0h7");
    let itself = user
        .clone()
        .without("uid")
        .claim("sub", "0oabv6kx4qq6h1U5l0h7");
    scene.takes(&itself, "0oabv6kx4qq6h1U5l0h7", "0oabv6kx4qq6h1U5l0h7");
    // The name for signing in is nobody's for ever.
    scene.refuses(&user.clone().without("uid"), "subject");
    scene.refuses(&user.clone().without("cid"), "claim");
    let other = user.clone().claim("iss", scene.0.idp.authority());
    scene.explains(&other.sign(), "issuer", "org authorization server");
    let org = user
        .clone()
        .header("typ", "application/okta-internal-at+jwt");
    scene.refuses(&org, "typ");
    let id = json!({
        "ver": 1, "sub": "00uid4BxXw6I6TV4m0g3", "iss": scene.0.idp.issuer(), "aud": "api://notes", "jti": "ID.4eAWJOCM",
        "amr": ["pwd"], "idp": "00ok1u7AsAkrwdZL3z0g3", "nonce": "n", "at_hash": "preview_at_hash", "auth_time": 1,
    });
    scene.refuses(&scene.draft(id.clone(), json!(null)), "claim");
    let bare = scene
        .draft(id, json!(null))
        .without("nonce")
        .without("at_hash");
    scene.refuses(&bare, "claim");
}

#[test]
fn auth_02_takes_access_tokens_of_auth0() {
    let scene = Provided::new(
        "/",
        "provider = \"auth0\"\nauthority = \"{authority}\"",
        "audience = \"https://notes.example.com/\"\n[[grants]]\nwho = \"role:write:notes\"\nallow = [\"notes__read_note\"]\n",
    );
    let issuer = scene.0.idp.issuer();
    assert!(issuer.ends_with('/'));
    let claims = json!({
        "iss": issuer, "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": ["https://notes.example.com/", format!("{issuer}userinfo")],
        "azp": "my_client_id", "scope": "openid profile read:notes", "permissions": ["read:notes", "write:notes"],
    });
    let user = scene.draft(claims, json!("JWT"));
    scene.takes(&user, "auth0|5f7c8ec7c33c6c004bbafe82", "my_client_id");
    let itself = user
        .clone()
        .claim("sub", "my_client_id@clients")
        .claim("gty", "client-credentials")
        .without("scope")
        .without("permissions");
    scene.takes(&itself, "my_client_id@clients", "my_client_id");
    let named = scene.0.idp.authority();
    let bare = user.clone().claim("iss", named);
    scene.explains(&bare.sign(), "issuer", "slash");
    scene.refuses(
        &user.clone().claim("aud", format!("{issuer}userinfo")),
        "audience",
    );
    let id = json!({
        "iss": issuer, "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": "https://notes.example.com/", "nickname": "jane",
        "email": "jane@example.com", "email_verified": true, "sid": "s",
    });
    scene.refuses(&scene.draft(id.clone(), json!("JWT")), "claim");
    scene.refuses(&scene.draft(id, json!("JWT")).claim("nonce", "n"), "claim");
    // Without an audience, it gives out what is encrypted for itself.
    let opaque = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiaXNzIjoiaHR0cHM6Ly9hIn0..x.y.z";
    scene.explains(opaque, "alg", "encrypted for its issuer");
    scene.explains("uhU9u2xQYr", "malformed", "no JWT");
}

#[test]
fn auth_02_takes_access_tokens_of_keycloak() {
    let scene = Provided::new(
        "/realms/corp",
        "provider = \"keycloak\"\nauthority = \"{authority}\"\nrealm = \"corp\"",
        "audience = \"notes\"\n[[grants]]\nwho = \"role:editor\"\nallow = [\"notes__read_note\"]\n",
    );
    let claims = json!({
        "jti": "onrtac:a3a4", "iss": scene.0.idp.issuer(), "aud": ["notes", "account"], "sub": "f6b1d9c6-1f2b-4d5d-8a37-4f3f5f7b1c11",
        "typ": "Bearer", "azp": "cli", "sid": "e3b0", "acr": "1", "allowed-origins": ["*"],
        "realm_access": { "roles": ["offline_access", "editor"] },
        "resource_access": { "account": { "roles": ["manage-account"] } },
        "scope": "email profile", "email_verified": true, "preferred_username": "alice",
    });
    let user = scene.draft(claims, json!("JWT"));
    scene.takes(&user, "f6b1d9c6-1f2b-4d5d-8a37-4f3f5f7b1c11", "cli");
    let account = user.clone().claim("aud", "account");
    scene.explains(&account.sign(), "audience", "audience mapper");
    for kind in ["ID", "Refresh", "Offline", "Logout"] {
        scene.refuses(&user.clone().claim("typ", kind), "claim");
    }
    scene.refuses(&user.clone().without("typ"), "claim");
    scene.refuses(&user.clone().claim("at_hash", "x"), "claim");
    let other = scene.0.idp.issuer().replace("corp", "master");
    scene.refuses(&user.claim("iss", other), "issuer");
}

#[test]
fn auth_02_roles_of_keycloak_are_read_where_they_stand() {
    let keys = "provider = \"keycloak\"\nauthority = \"{authority}\"\nrealm = \"corp\"";
    let only = |who: &str| {
        format!(
            "audience = \"notes\"\n[[grants]]\nwho = \"role:{who}\"\nallow = [\"notes__echo\"]\n"
        )
    };
    for (more, has, lacks) in [
        ("", "editor", "deployer"),
        (
            "\nroles_claim = [\"resource_access\", \"my.app\", \"roles\"]",
            "deployer",
            "editor",
        ),
        (
            "\nroles_claim = \"realm_access.roles\"",
            "editor",
            "deployer",
        ),
    ] {
        for (who, is_permitted) in [(has, true), (lacks, false)] {
            let server = only(who);
            let (idp, upstream) = (Idp::start_at("/realms/corp"), Upstream::start());
            let config = format!(
                "[issuers.idp]\n{keys}{more}\n[servers.notes]\nurl = \"{}\"\n{server}",
                upstream.url()
            );
            let scene = Provided(Scene {
                gateway: Gateway::start(&config.replace("{authority}", &idp.authority())),
                upstream,
                idp,
            });
            let claims = json!({
                "iss": scene.0.idp.issuer(), "aud": "notes", "sub": "f6b1", "typ": "Bearer", "azp": "cli",
                "realm_access": { "roles": ["editor"] }, "resource_access": { "my.app": { "roles": ["deployer"] } },
            });
            let request = call("echo").token(&scene.draft(claims, json!("JWT")).sign());
            if is_permitted {
                scene.0.permits(&request);
            } else {
                scene
                    .0
                    .refuses(&request, (403, 403), ("authz.deny", "no_rule"));
            }
        }
    }
}

#[test]
fn auth_01_takes_no_token_of_google() {
    let scene = Scene::new();
    let id = json!({
        "iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com",
        "aud": scene.gateway.url("notes"), "sub": "10769150350006150715113082367", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
        "email": "jsmith@example.com", "email_verified": true, "hd": "example.com", "nonce": "0394852-3190485-2490358",
    });
    let draft = scene
        .draft("")
        .key(&scene.idp.key("rsa-1"))
        .header("typ", "JWT")
        .saying(id);
    scene.unauthenticated(&call("echo").token(&draft.sign()), "issuer");
    let opaque = "ya29.a0AfH6SMBynnWr6zMlRzQ-F7wXlqgPpBzNbGCx";
    scene.unauthenticated(&call("echo").token(opaque), "malformed");
    scene.permits(&call("echo").token(&scene.token("alice")));
}

/// Whatever the gateway says of a token, `explain` says too: it is the same function.
#[test]
fn auth_02_explains_a_refusal_as_the_gateway_makes_it() {
    let scene = Scene::with(
        "[issuers.idp]\nprovider = \"oidc\"\nissuer = \"{idp}\"\n[issuers.local]\nembedded = true\n\
         [servers.notes]\nurl = \"{upstream}\"\nallow = [\"*\"]\n\
         [servers.strict]\nurl = \"{upstream}\"\ndpop = \"required\"\n",
    );
    let good = scene.draft("alice").claim("scope", "a");
    let rows = [
        (good.sign(), 0, "accepted at notes"),
        (scene.gateway.token("notes"), 0, "accepted at notes"),
        (good.clone().claim("iss", "https://x").sign(), 1, "issuer"),
        (good.clone().claim("aud", "account").sign(), 1, "audience"),
        (good.clone().claim("exp", 1).sign(), 1, "expired"),
        (good.clone().claim("nonce", "n").sign(), 1, "claim"),
        (good.clone().without("scope").sign(), 1, "claim"),
        (good.clone().without("sub").sign(), 1, "subject"),
        (good.clone().header("typ", "id+jwt").sign(), 1, "typ"),
        (good.clone().header("kid", "other").sign(), 1, "kid"),
        (good.clone().header("alg", "none").sign(), 1, "alg"),
        ("opaque-0123456789".to_owned(), 1, "malformed"),
    ];
    for (token, code, word) in rows {
        let said = scene.gateway.explain("notes", &format!("{token}\n"));
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        assert_eq!(said.status.code(), Some(code), "{word}: {text}");
        assert!(!text.contains(&token), "the token is shown");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!text.contains(signature), "a part of the token is shown");
        if code == 0 {
            assert!(text.starts_with(word), "{text}");
            scene.permits(&call("echo").token(&token));
            continue;
        }
        assert!(
            text.starts_with(&format!("refused at notes: {word}: ")),
            "{text}"
        );
        scene.unauthenticated(&call("echo").token(&token), word);
    }
    let mapper = good.clone().claim("aud", "account").sign();
    let said = scene.gateway.explain("notes", &mapper).stdout;
    assert!(String::from_utf8(said).unwrap().contains("audience mapper"));
    // Where only bound tokens are taken, a plain one is not called good for want of a proof.
    let strict = good.claim("aud", scene.gateway.url("strict"));
    let key = crate::harness::Key::ec("client");
    let bound = strict
        .clone()
        .claim("cnf", json!({ "jkt": key.thumbprint() }));
    for (token, code, words) in [
        (bound.sign(), 0, "accepted at strict, if a proof"),
        (
            bound.claim("exp", 1).sign(),
            1,
            "refused at strict: expired",
        ),
        (strict.sign(), 1, "refused at strict: cnf"),
        ("opaque".to_owned(), 1, "refused at strict: malformed"),
    ] {
        let said = scene.gateway.explain("strict", &token);
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(text.starts_with(words), "{words}: {text}");
        assert_eq!(said.status.code(), Some(code), "{text}");
    }
    let nobody = scene.gateway.explain("other", "x");
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
}
