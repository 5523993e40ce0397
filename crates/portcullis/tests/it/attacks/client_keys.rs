//! ATK-043: keys of clients that are fetched from where the clients say, and what strangers try with that.

use crate::harness::{
    Answer, Authority, Draft, Front, Granting, Host, Key, Request, Response, now, wait_for,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Who publishes the document of a client and its keys, over TLS.
struct Publisher {
    host: Host,
    front: Front,
    directory: TempDir,
    says: Arc<Mutex<Says>>,
}

/// What it says next.
#[derive(Clone, Default)]
struct Says {
    document: Value,
    /// For how long that counts.
    age: u32,
    status: u16,
    keys: String,
}

impl Publisher {
    fn start() -> Self {
        let root = Authority::new("documents");
        let says: Arc<Mutex<Says>> = Arc::default();
        let told = Arc::clone(&says);
        let host = Host::start(move |seen| {
            let says = told.lock().unwrap().clone();
            let age = format!("cache-control: max-age={}\r\n", says.age);
            match &*seen.target {
                "/client.json" => Answer::json(200, &age, &says.document.to_string()),
                "/keys.json" => {
                    let elsewhere = "location: http://169.254.169.254/\r\n";
                    Answer::json(says.status, elsewhere, &says.keys)
                }
                _ => Answer::status(404),
            }
        });
        let front = Front::start(&root.certify(), host.address());
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self {
            host,
            front,
            directory,
            says,
        }
    }

    fn id(&self) -> String {
        format!("{}/client.json", self.front.url())
    }

    fn place(&self) -> String {
        format!("{}/keys.json", self.front.url())
    }

    /// A document for that long, with keys at this place.
    fn names(&self, place: &str, age: u32) {
        let mut says = self.says.lock().unwrap();
        says.age = age;
        says.document = json!({
            "client_id": self.id(), "redirect_uris": ["http://localhost/callback"],
            "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": place,
        });
    }

    fn also(&self, name: &str, value: Value) {
        self.says.lock().unwrap().document[name] = value;
    }

    fn publishes(&self, status: u16, keys: &Value) {
        let mut says = self.says.lock().unwrap();
        (says.status, says.keys) = (status, keys.to_string());
    }

    /// How often the keys were fetched.
    fn fetches(&self) -> usize {
        let seen = self.host.seen().into_iter();
        seen.filter(|seen| seen.target == "/keys.json").count()
    }

    /// A gateway that may go to loopback, and with this in `[authority]`.
    fn scene(&self, more: &str) -> Granting {
        let ca = self.directory.path().join("ca.pem");
        let own = format!("ca = '{}'\n{more}", ca.display());
        Granting::beside("[egress]\nallow = [\"127.0.0.1\"]\n", &own)
    }
}

fn set(key: &Key) -> Value {
    json!({ "keys": [key.jwk()] })
}

/// The client asks about a token, by an assertion that this key has signed.
fn shows(scene: &Granting, id: &str, key: &Key) -> Response {
    let issuer = format!("http://{}", scene.gateway.address);
    let draft = Draft::new(id, id, &issuer, key).header("typ", "JWT");
    let assertion = draft.claim("exp", now() + 60).sign();
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let shown = [
        ("client_id", id),
        ("client_assertion_type", kind),
        ("client_assertion", &assertion),
        ("token", "guess"),
    ];
    scene.post("/introspect", &shown)
}

#[track_caller]
fn is_refused(scene: &Granting, answer: &Response, reason: &str) {
    let error = scene.refused(answer, ("oauth.client_rejected", reason));
    assert_eq!((answer.status, &*error), (401, "invalid_client"));
}

#[test]
fn cd_12_keys_of_a_client_lead_nobody_inside() {
    let (publisher, key) = (Publisher::start(), Key::ec("1"));
    let scene = publisher.scene("");
    publisher.publishes(200, &set(&key));
    for host in ["10.0.0.1", "169.254.169.254", "fd00:ec2::254", "127.0.0.2"] {
        let written = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        publisher.names(&format!("https://{written}/keys.json"), 0);
        is_refused(&scene, &shows(&scene, &publisher.id(), &key), "keys");
        wait_for("the record of the place", || {
            let told = scene.gateway.records("egress.denied", Some("address"));
            told.into_iter().find(|record| {
                let detail = &record["detail"];
                let named = detail["host"].as_str().unwrap_or_default();
                detail["by"] == "client keys" && named.contains(host)
            })
        });
    }
    // What is no place at all is not taken with the document.
    for place in [
        "http://app.example/keys.json",
        "https://user@app.example/k",
        "https://app.example/a/../k",
    ] {
        publisher.names(place, 0);
        let answer = shows(&scene, &publisher.id(), &key);
        scene.refused(&answer, ("oauth.cimd_rejected", "keys"));
    }
    publisher.names(&publisher.place(), 0);
    publisher.also("jwks", set(&key));
    let both = shows(&scene, &publisher.id(), &key);
    scene.refused(&both, ("oauth.cimd_rejected", "keys"));
    assert_eq!(publisher.fetches(), 0);
    // What is found there is not believed.
    publisher.names(&publisher.place(), 600);
    let mut lost = set(&key);
    lost["keys"][0]["d"] = json!("AAAA");
    let big = json!({ "keys": [key.jwk()], "padding": "x".repeat(1 << 20) });
    for (status, keys) in [
        (302, set(&key)),
        (404, set(&key)),
        (200, lost),
        (200, big),
        (200, json!({ "keys": [] })),
    ] {
        publisher.publishes(status, &keys);
        is_refused(&scene, &shows(&scene, &publisher.id(), &key), "keys");
    }
    publisher.publishes(200, &set(&key));
    assert_eq!(shows(&scene, &publisher.id(), &key).status, 200);
    is_refused(
        &scene,
        &shows(&scene, &publisher.id(), &Key::ec("1")),
        "signature",
    );
}

#[test]
fn cd_12_a_client_changes_its_keys_and_nobody_floods_the_place() {
    let (publisher, [old, new]) = (Publisher::start(), ["1", "2"].map(Key::ec));
    let (scene, id) = (publisher.scene(""), publisher.id());
    publisher.names(&publisher.place(), 600);
    publisher.publishes(200, &set(&old));
    for _ in 0..3 {
        let answer = shows(&scene, &id, &old);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(publisher.fetches(), 1, "they are kept");
    publisher.publishes(200, &set(&new));
    let answer = shows(&scene, &id, &new);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(publisher.fetches(), 2);
    // The old one is gone, and one that is not known is looked for a few times a minute, whoever shows it.
    for key in [&old, &Key::ec("3")] {
        for _ in 0..8 {
            is_refused(&scene, &shows(&scene, &id, key), "kid");
        }
    }
    assert_eq!(publisher.fetches(), 10);
    assert_eq!(shows(&scene, &id, &new).status, 200);
}

#[test]
fn cd_12_a_client_registers_the_place_of_its_keys_where_such_places_count() {
    let (publisher, key) = (Publisher::start(), Key::ec("1"));
    publisher.publishes(200, &set(&key));
    let body = json!({
        "redirect_uris": ["http://localhost/callback"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": publisher.place(),
    });
    let register = |scene: &Granting| {
        Request::new("POST", "/register")
            .set("content-type", "application/json")
            .body(&body.to_string())
            .send(scene.gateway.address)
    };
    let scene = publisher.scene("[authority.registration]\n");
    let made = register(&scene);
    assert_eq!(made.status, 201, "{made:?}");
    let said = made.json();
    assert_eq!(
        (&said["token_endpoint_auth_method"], &said["jwks_uri"]),
        (&json!("private_key_jwt"), &json!(publisher.place()))
    );
    let id = said["client_id"].as_str().unwrap();
    assert_eq!(shows(&scene, id, &key).status, 200);
    is_refused(&scene, &shows(&scene, id, &Key::ec("1")), "signature");
    // Hosts that the organisation does not name are not asked.
    let fetches = publisher.fetches();
    let listed = publisher.scene("document_hosts = [\"app.example\"]\n[authority.registration]\n");
    let id = register(&listed).json()["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    is_refused(&listed, &shows(&listed, &id, &key), "keys");
    let off = publisher.scene("documents = false\n[authority.registration]\n");
    let refused = register(&off);
    assert_eq!(refused.status, 400, "{refused:?}");
    off.refused(&refused, ("oauth.dcr_rejected", "keys"));
    assert_eq!(publisher.fetches(), fetches);
}
