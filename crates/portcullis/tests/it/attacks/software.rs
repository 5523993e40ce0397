//! CD-12: clients that register themselves with words that somebody has signed, or would like to have signed.

use crate::harness::{Draft, Granting, Key, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

const VENDOR: &str = "https://vendor.example";
const OWN: &str = "http://localhost/callback";

struct Vendor {
    key: Key,
    files: TempDir,
}

impl Vendor {
    fn new() -> Self {
        let (key, files) = (Key::ec("vendor-1"), tempfile::tempdir().unwrap());
        let keys = json!({ "keys": [key.jwk()] });
        std::fs::write(files.path().join("keys.json"), keys.to_string()).unwrap();
        Self { key, files }
    }

    /// A gateway where its statements count; `more` are further keys of the table.
    fn counts(&self, more: &str) -> Granting {
        let file = self.files.path().join("keys.json");
        Granting::start(&format!(
            "[authority.registration]\n{more}\n[authority.registration.statements]\n\"{VENDOR}\" = '{}'\n",
            file.display()
        ))
    }

    fn draft(&self) -> Draft {
        let draft = Draft::new(VENDOR, "software", "", &self.key);
        draft.without("aud").header("typ", "JWT").saying(json!({
            "iss": VENDOR, "software_id": "app-7", "client_name": "Vendor App", "redirect_uris": [OWN],
        }))
    }
}

/// What a client says of itself that would like to be somebody else.
fn body(statement: impl Into<Value>) -> Value {
    let mut body =
        json!({ "client_name": "Your bank", "redirect_uris": ["http://localhost/evil"] });
    body["software_statement"] = statement.into();
    body
}

fn send(scene: &Granting, method: &str, (path, token): (&str, &str), body: &Value) -> Response {
    Request::new(method, path)
        .set("content-type", "application/json")
        .token(token)
        .body(&body.to_string())
        .send(scene.gateway.address)
}

fn register(scene: &Granting, body: &Value) -> Response {
    send(scene, "POST", ("/register", "none"), body)
}

fn refused(scene: &Granting, answer: &Response, (reason, error): (&str, &str)) {
    let said = scene.refused(answer, ("oauth.dcr_rejected", reason));
    assert_eq!(said, error, "{answer:?}");
}

#[test]
fn cd_12_a_statement_counts_if_one_who_counts_has_signed_it() {
    let vendor = Vendor::new();
    let scene = vendor.counts("");
    let (bad, unapproved) = (
        ("statement", "invalid_software_statement"),
        ("statement_issuer", "unapproved_software_statement"),
    );
    let draft = || vendor.draft();
    let missing = json!({ "client_name": "An app", "redirect_uris": [OWN] });
    let none = ("no_statement", "invalid_client_metadata");
    refused(&scene, &register(&scene, &missing), none);
    let (header, rest) = {
        let whole = draft().sign();
        let (header, rest) = whole.split_once('.').unwrap();
        (header.to_owned(), rest.to_owned())
    };
    let (_, signature) = rest.split_once('.').unwrap();
    let changed = draft().claim("client_name", "Your bank").sign();
    let payload = changed.split('.').nth(1).unwrap();
    for (statement, expected) in [
        // Signed by somebody else in the vendor's name; changed since; not signed at all.
        (json!(draft().key(&Key::ec("vendor-1")).sign()), bad),
        (json!(format!("{header}.{payload}.{signature}")), bad),
        (json!(draft().header("alg", "none").sign()), bad),
        (json!(draft().claim("exp", 1_700_000_000).sign()), bad),
        (json!(draft().claim("iat", 4_000_000_000_u64).sign()), bad),
        (json!(draft().claim("nbf", 4_000_000_000_u64).sign()), bad),
        (json!(draft().claim("exp", "never").sign()), bad),
        (json!(draft().claim("software_statement", "x").sign()), bad),
        (json!(draft().without("iss").sign()), bad),
        (json!("no.statement"), bad),
        (json!({ "iss": VENDOR }), bad),
        // Of somebody whose word does not count; for another server.
        (
            json!(draft().claim("iss", "https://mallory.example").sign()),
            unapproved,
        ),
        (
            json!(draft().claim("aud", "https://other.example").sign()),
            unapproved,
        ),
    ] {
        refused(&scene, &register(&scene, &body(statement)), expected);
    }
    // What the vendor says of it is no better than what clients may say at all.
    let far = draft().claim("redirect_uris", json!(["https://evil.example/cb"]));
    let answer = register(&scene, &body(far.sign()));
    refused(&scene, &answer, ("redirect_uri", "invalid_redirect_uri"));
}

#[test]
fn cd_12_what_a_statement_says_stands_in_the_place_of_what_its_client_says() {
    let vendor = Vendor::new();
    let scene = vendor.counts("");
    let statement = vendor.draft().claim("aud", json!([scene.issuer()])).sign();
    let made = register(&scene, &body(statement.as_str()));
    assert_eq!(made.status, 201, "{made:?}");
    let said = made.json();
    assert_eq!(said["client_name"], "Vendor App", "{said}");
    assert_eq!(said["redirect_uris"], json!([OWN]), "{said}");
    assert_eq!(said["software_statement"], statement, "{said}");
    let id = said["client_id"].as_str().unwrap();
    let evil = [
        ("client_id", id),
        ("redirect_uri", "http://localhost:7/evil"),
    ];
    let answer = scene.authorize(&evil);
    scene.refused(&answer, ("oauth.redirect_rejected", "unregistered"));
    let page = scene.authorize(&[("client_id", id)]);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("Vendor App") && !page.body.contains("Your bank"));
    // Nor can it change that later on.
    let path = format!("/register/{id}");
    let own = (
        path.as_str(),
        said["registration_access_token"].as_str().unwrap(),
    );
    let read = send(&scene, "GET", own, &json!({}));
    assert_eq!(read.json()["software_statement"], statement, "{read:?}");
    let alone = json!({ "client_name": "Your bank", "redirect_uris": ["http://localhost/evil"] });
    let none = ("no_statement", "invalid_client_metadata");
    refused(&scene, &send(&scene, "PUT", own, &alone), none);
    let again = send(&scene, "PUT", own, &body(statement.as_str()));
    assert_eq!(again.json()["client_name"], "Vendor App", "{again:?}");
}

#[test]
fn cd_12_where_a_statement_is_not_needed_one_that_comes_is_good_all_the_same() {
    let vendor = Vendor::new();
    let scene = vendor.counts("require_statement = false");
    let alone = json!({ "client_name": "An app", "redirect_uris": [OWN] });
    assert_eq!(register(&scene, &alone).status, 201);
    let forged = vendor.draft().key(&Key::ec("vendor-1")).sign();
    let bad = ("statement", "invalid_software_statement");
    refused(&scene, &register(&scene, &body(forged.as_str())), bad);
    // Where nobody's count, there are none (RFC 7591 section 2.3).
    let scene = Granting::start("[authority.registration]");
    let made = register(&scene, &body(forged));
    let said = made.json();
    let told = (&said["client_name"], said.get("software_statement"));
    assert_eq!(told, (&json!("Your bank"), None), "{made:?}");
}
