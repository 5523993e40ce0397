//! What clients say of themselves, and what is not believed.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ID: &str = "https://app.example/client.json";

fn policy() -> Policy {
    Policy {
        hosts: None,
        schemes: BTreeSet::new(),
        loopback: true,
    }
}

fn good() -> Value {
    json!({
        "client_id": ID,
        "client_name": "An app",
        "redirect_uris": ["https://app.example/cb", "http://localhost/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "logo_uri": "https://app.example/logo.png",
    })
}

fn with(name: &str, value: Value) -> Vec<u8> {
    let mut document = good();
    document[name] = value;
    document.to_string().into_bytes()
}

fn key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

#[test]
fn cd_12_a_document_is_about_its_own_url() {
    let read = Metadata::of_document(ID, good().to_string().as_bytes(), &policy()).unwrap();
    let client = read.client(ID.to_owned(), Kind::Document).unwrap();
    assert_eq!(client.name.as_deref(), Some("An app"));
    assert!(client.refreshes && !client.is_local() && !client.is_confidential());
    refuses([
        (
            with("client_id", json!("https://app.example/other.json")),
            BadClient::OtherClient,
        ),
        (
            with("client_id", json!("https://APP.example/client.json")),
            BadClient::OtherClient,
        ),
        (with("client_id", json!(7)), BadClient::Malformed),
        (with("client_id", Value::Null), BadClient::OtherClient),
    ]);
}

#[test]
fn cd_12_a_document_says_nothing_that_is_not_done_here() {
    refuses([
        (with("client_secret", json!("s3cret")), BadClient::Secret),
        (
            with("token_endpoint_auth_method", json!("client_secret_basic")),
            BadClient::Secret,
        ),
        (
            with("token_endpoint_auth_method", json!("client_secret_jwt")),
            BadClient::Secret,
        ),
        (
            with("token_endpoint_auth_method", json!("tls_client_auth")),
            BadClient::Method,
        ),
        (
            with("token_endpoint_auth_method", json!("private_key_jwt")),
            BadClient::Keys,
        ),
        (with("grant_types", json!(["implicit"])), BadClient::Grant),
        (with("response_types", json!(["token"])), BadClient::Grant),
    ]);
}

#[test]
fn cd_12_a_document_has_one_reading_and_places_where_answers_may_go() {
    let long = "x".repeat(metadata::MAX_BYTES);
    let twice = |more: &str| {
        let document = good().to_string().replacen('{', more, 1);
        (document.into_bytes(), BadClient::Malformed)
    };
    refuses([
        (
            with("redirect_uris", json!([])),
            BadClient::Redirect(BadRedirect::Missing),
        ),
        (
            with("redirect_uris", json!("https://app.example/cb")),
            BadClient::Malformed,
        ),
        (
            with("redirect_uris", json!(["http://app.example/cb"])),
            BadClient::Redirect(BadRedirect::Scheme),
        ),
        (
            with("redirect_uris", json!(["javascript:x"])),
            BadClient::Redirect(BadRedirect::Scheme),
        ),
        (
            with("redirect_uris", json!(vec![LONGEST; 33])),
            BadClient::Malformed,
        ),
        (
            with("client_name", json!("x".repeat(257))),
            BadClient::Malformed,
        ),
        (with("x", json!(long)), BadClient::Malformed),
        twice(r#"{"client_id":"x","#),
        twice(r#"{"client_ur\u0069":"x","client_uri":"y","#),
        twice(r#"{"x":{"y":1,"y":2},"#),
        (b"[]".to_vec(), BadClient::Malformed),
        (b"<html>".to_vec(), BadClient::Malformed),
        (b"\xff".to_vec(), BadClient::Malformed),
    ]);
}

fn refuses(documents: impl IntoIterator<Item = (Vec<u8>, BadClient)>) {
    for (bytes, why) in documents {
        let read = Metadata::of_document(ID, &bytes, &policy());
        assert_eq!(read, Err(why), "{}", String::from_utf8_lossy(&bytes));
    }
}

const LONGEST: &str = "https://app.example/cb";

#[test]
fn cd_12_keys_are_public_ones() {
    let signed = |jwks: Value| {
        let mut document = good();
        document["token_endpoint_auth_method"] = json!("private_key_jwt");
        document["jwks"] = jwks;
        Metadata::of_document(ID, document.to_string().as_bytes(), &policy())
    };
    let read = signed(json!({ "keys": [key()] })).unwrap();
    assert!(
        read.client(ID.to_owned(), Kind::Document)
            .unwrap()
            .is_confidential()
    );
    let mut private = key();
    private["d"] = json!("x");
    for jwks in [
        json!({ "keys": [private] }),
        json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }),
        json!({ "keys": [] }),
        json!({}),
        Value::Null,
    ] {
        assert_eq!(signed(jwks.clone()), Err(BadClient::Keys), "{jwks}");
    }
}

#[test]
fn cd_12_an_id_is_the_url_of_a_document_in_one_spelling() {
    assert!(place(ID).is_ok());
    assert!(place("https://app.example:8443/a/b").is_ok());
    for id in [
        "https://app.example",
        "https://app.example/",
        "http://app.example/client.json",
        "https://APP.example/client.json",
        "https://app.example:443/client.json",
        "https://user@app.example/client.json",
        "https://app.example/client.json#x",
        "https://app.example/client.json?x=y",
        "https://app.example/a/../client.json",
        "https://app.example/a/%2e%2E/client.json",
        "https://app.example/./client.json",
        "https://app.example\\client.json",
        "app.example/client.json",
        "",
    ] {
        assert_eq!(place(id), Err(BadClient::Url), "{id}");
    }
    let long = format!("{ID}{}", "x".repeat(MAX_ID_BYTES));
    assert_eq!(place(&long), Err(BadClient::Url));
}

#[test]
fn cd_12_a_registration_says_where_its_client_runs() {
    let register = |name: &str, value: Value| {
        let mut body = good();
        body.as_object_mut().unwrap().remove("client_id");
        body[name] = value;
        Metadata::of_registration(body.to_string().as_bytes(), &policy())
    };
    let kind = |read: Result<Metadata, BadClient>| read.map(|read| read.application_type);
    assert_eq!(kind(register("x", json!(1))), Ok(ApplicationType::Native));
    assert_eq!(
        kind(register("redirect_uris", json!(["https://app.example/cb"]))),
        Ok(ApplicationType::Web)
    );
    assert_eq!(
        kind(register("application_type", json!("web"))),
        Err(BadClient::Redirect(BadRedirect::Scheme))
    );
    assert_eq!(
        kind(register("application_type", json!("toaster"))),
        Err(BadClient::Malformed)
    );
    // Who asks for a secret is told that it has none.
    let read = register("token_endpoint_auth_method", json!("client_secret_post"));
    assert_eq!(read.map(|read| read.jwks), Ok(None));
}
