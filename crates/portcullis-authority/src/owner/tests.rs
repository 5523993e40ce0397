//! A browser and an authenticator that do what they are told, and what is believed of them.

use super::*;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const ORIGIN: &str = "http://localhost:8848";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

enum Held {
    P256(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Held {
    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn written(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let start = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
                [&start, &point[..32], &[0x22, 0x58, 32], &point[32..]].concat()
            }
            Self::Ed(pair) => {
                let start = [0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32];
                [&start, pair.public_key().as_ref()].concat()
            }
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), text).unwrap();
                signature.as_ref().to_vec()
            }
            Self::Ed(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }
}

/// What the two say; each test changes one thing.
struct Says {
    client: Value,
    site: &'static str,
    flags: u8,
    counter: u32,
    id: Vec<u8>,
    /// What a later version says, as it is written.
    later: &'static str,
    /// The id that our script names.
    named: Vec<u8>,
    key: Vec<u8>,
    behind: Vec<u8>,
    owner: Option<Vec<u8>>,
}

const REGISTER: u8 = 0b0100_0101;
const SIGN_IN: u8 = 0b0000_0101;

fn place() -> Place {
    Place::at(ORIGIN).unwrap()
}

fn asked(purpose: Purpose) -> (Asked, String) {
    let asked = Asked::now(purpose, [7; 32], NOW);
    (asked, URL_SAFE_NO_PAD.encode([7; 32]))
}

impl Says {
    fn of(kind: &str, held: &Held) -> Self {
        Self {
            client: json!({
                "type": kind, "challenge": URL_SAFE_NO_PAD.encode([7; 32]), "origin": ORIGIN, "crossOrigin": false,
                "later": "LATER",
            }),
            later: r#"{ "versions": "say more" }"#,
            site: "localhost",
            flags: if kind == "webauthn.get" {
                SIGN_IN
            } else {
                REGISTER
            },
            counter: 1,
            id: b"one".to_vec(),
            named: b"one".to_vec(),
            key: held.written(),
            behind: Vec::new(),
            owner: None,
        }
    }

    fn authenticator(&self) -> Vec<u8> {
        let mut bytes = digest(&SHA256, self.site.as_bytes()).as_ref().to_vec();
        bytes.push(self.flags);
        bytes.extend(self.counter.to_be_bytes());
        if self.flags & 0x40 != 0 {
            bytes.extend([0; 16]);
            bytes.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
            bytes.extend(&self.id);
            bytes.extend(&self.key);
        }
        bytes.extend(&self.behind);
        bytes
    }

    fn body(&self, held: Option<&Held>) -> Vec<u8> {
        let client = self.client.to_string().replace(r#""LATER""#, self.later);
        let authenticator = self.authenticator();
        let signed = [&authenticator, digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut body = json!({
            "id": text(&self.named), "client": text(client.as_bytes()), "authenticator": text(&authenticator),
        });
        if let Some(held) = held {
            body["signature"] = json!(text(&held.sign(&signed)));
        }
        if let Some(owner) = &self.owner {
            body["owner"] = json!(text(owner));
        }
        body.to_string().into_bytes()
    }
}

fn registers(change: impl FnOnce(&mut Says)) -> Result<Passkey, Unproved> {
    let held = Held::p256();
    let mut says = Says::of("webauthn.create", &held);
    change(&mut says);
    let (asked, _) = asked(Purpose::Register);
    asked.registered(&place(), &says.body(None), NOW)
}

fn signs_in(counter: u32, change: impl FnOnce(&mut Says)) -> Result<Passkey, Unproved> {
    let held = Held::p256();
    let known = Passkey {
        id: b"one".to_vec(),
        key: held.written(),
        counter,
    };
    let mut says = Says::of("webauthn.get", &held);
    change(&mut says);
    let (asked, _) = asked(Purpose::SignIn);
    asked.signed_in(&place(), &says.body(Some(&held)), &[known], NOW)
}

#[test]
fn cd_03_a_passkey_is_registered_and_signs_in() {
    for held in [Held::p256(), Held::Ed(Ed25519KeyPair::generate().unwrap())] {
        let (first, challenge) = asked(Purpose::Register);
        let options = first.options(&place(), &[]);
        assert_eq!(options["challenge"], json!(challenge));
        assert_eq!(options["rp"]["id"], "localhost");
        assert_eq!(
            options["authenticatorSelection"]["userVerification"],
            "required"
        );
        let says = Says::of("webauthn.create", &held);
        let kept = first.registered(&place(), &says.body(None), NOW).unwrap();
        let (again, _) = asked(Purpose::SignIn);
        let options = again.options(&place(), std::slice::from_ref(&kept));
        assert_eq!(
            options["allowCredentials"][0]["id"],
            URL_SAFE_NO_PAD.encode(b"one")
        );
        let mut says = Says::of("webauthn.get", &held);
        says.counter = 2;
        says.owner = Some(place().owner());
        let known = [kept];
        let used = again
            .signed_in(&place(), &says.body(Some(&held)), &known, NOW)
            .unwrap();
        assert_eq!(used.counter, 2);
    }
    // Extensions that the browser has asked for by itself, and flags of passkeys that are kept in a cloud.
    let more = registers(|says| {
        says.flags |= 0x98;
        says.behind = b"\xa1\x6bcredProtect\x02".to_vec();
    });
    assert_eq!(more.unwrap().key.len(), 77);
    assert_eq!(signs_in(0, |says| says.counter = 0).unwrap().counter, 0);
}

#[test]
fn cd_03_refuses_what_proves_nothing() {
    for (purpose, kind) in [
        ("register", Purpose::Register),
        ("sign in", Purpose::SignIn),
    ] {
        let tries = |change: &dyn Fn(&mut Says)| match kind {
            Purpose::Register => registers(change),
            Purpose::SignIn => signs_in(0, change),
        };
        let other = |name: &'static str, value: Value| {
            tries(&move |says: &mut Says| says.client[name] = value.clone())
        };
        for (refused, reason) in [
            (other("type", json!("payment.get")), Unproved::Unasked),
            (other("challenge", json!("AAAA")), Unproved::Unasked),
            (other("challenge", json!(null)), Unproved::Malformed),
            (
                other("origin", json!("http://localhost:8849")),
                Unproved::OtherSite,
            ),
            (
                other("origin", json!("https://localhost:8848")),
                Unproved::OtherSite,
            ),
            (other("crossOrigin", json!(true)), Unproved::OtherSite),
            (
                other("topOrigin", json!("https://evil.example")),
                Unproved::OtherSite,
            ),
            (
                tries(&|says| says.site = "evil.example"),
                Unproved::OtherSite,
            ),
            (tries(&|says| says.flags &= !1), Unproved::Unverified),
            (tries(&|says| says.flags &= !4), Unproved::Unverified),
            (tries(&|says| says.flags |= 0x10), Unproved::Malformed),
            (tries(&|says| says.named = Vec::new()), Unproved::Malformed),
            // Read by others, it would be no JSON, or something else.
            (
                tries(&|says| says.later = r#""\ud800""#),
                Unproved::Malformed,
            ),
            (
                tries(&|says| says.later = r#"{"a":1,"a":2}"#),
                Unproved::Malformed,
            ),
        ] {
            assert_eq!(refused, Err(reason), "{purpose}");
        }
    }
}

#[test]
fn cd_03_refuses_keys_that_are_not_known_and_not_whole() {
    for (refused, reason) in [
        (
            registers(|says| says.named = b"two".to_vec()),
            Unproved::Malformed,
        ),
        (registers(|says| says.flags &= !0x40), Unproved::Malformed),
        (
            registers(|says| says.behind = vec![0xa0]),
            Unproved::Malformed,
        ),
        (registers(|says| says.key.truncate(76)), Unproved::Malformed),
        (registers(|says| says.key = vec![0xa1, 1, 2]), Unproved::Key),
        (registers(|says| says.key[4] = 0x27), Unproved::Key),
        (
            signs_in(0, |says| says.named = b"two".to_vec()),
            Unproved::Unknown,
        ),
        (
            signs_in(0, |says| says.owner = Some(b"mallory".to_vec())),
            Unproved::Unknown,
        ),
        (signs_in(1, |_| {}), Unproved::Copied),
        (signs_in(1, |says| says.counter = 0), Unproved::Copied),
    ] {
        assert_eq!(refused, Err(reason));
    }
}

#[test]
fn cd_03_refuses_a_signature_of_another_key_and_an_answer_to_another_question() {
    let (mine, other) = (Held::p256(), Held::p256());
    let known = [Passkey {
        id: b"one".to_vec(),
        key: mine.written(),
        counter: 0,
    }];
    let says = Says::of("webauthn.get", &mine);
    let tries =
        |asked: Asked, body: &[u8], now| asked.signed_in(&place(), body, &known, now).map(drop);
    let sign_in = || asked(Purpose::SignIn).0;
    let good = says.body(Some(&mine));
    assert_eq!(tries(sign_in(), &good, NOW), Ok(()));
    assert_eq!(
        tries(sign_in(), &says.body(Some(&other)), NOW),
        Err(Unproved::Signature)
    );
    assert_eq!(
        tries(sign_in(), &says.body(None), NOW),
        Err(Unproved::Malformed)
    );
    assert_eq!(
        tries(asked(Purpose::Register).0, &good, NOW),
        Err(Unproved::Unasked)
    );
    let late = NOW.plus(Duration::from_mins(5));
    assert_eq!(tries(sign_in(), &good, late), Err(Unproved::Unasked));
    let another = Asked::now(Purpose::SignIn, [8; 32], NOW);
    assert_eq!(tries(another, &good, NOW), Err(Unproved::Unasked));
    let long = vec![b' '; 16 * 1024 + 1];
    for body in [b"".as_slice(), b"{}", b"[1]", &long] {
        assert_eq!(tries(sign_in(), body, NOW), Err(Unproved::Malformed));
    }
}

#[test]
fn cd_03_passkeys_are_for_names_in_secure_places() {
    for (origin, expected) in [
        ("https://gate.example", Some("gate.example")),
        ("https://gate.example:8443", Some("gate.example")),
        ("http://localhost:8848", Some("localhost")),
        ("http://127.0.0.1:8848", None),
        ("https://127.0.0.1", None),
        ("https://[::1]:8443", None),
        ("http://gate.example", None),
        ("gate.example", None),
    ] {
        let place = Place::at(origin);
        assert_eq!(place.as_ref().map(Place::site), expected, "{origin}");
    }
}

#[test]
fn cd_03_a_link_is_for_the_browser_that_opened_it_first_and_for_ten_minutes() {
    let link = Link {
        until: NOW.plus(LINK_LIFETIME),
        browser: [1; 32],
    };
    let check = |link: Option<&Link>, browser: u8, now| Link::check(link, &[browser; 32], now);
    assert_eq!(check(Some(&link), 1, NOW), Ok(()));
    assert_eq!(check(Some(&link), 2, NOW), Err(Unopened::OtherBrowser));
    assert_eq!(check(Some(&link), 1, link.until), Err(Unopened::Expired));
    assert_eq!(check(None, 1, NOW), Err(Unopened::Unknown));
    // Nor for longer, since the clock was set back.
    let back = Timestamp::from_seconds(NOW.seconds() - 3600);
    assert_eq!(check(Some(&link), 1, back), Err(Unopened::Expired));
}
