//! Proofs of possession (RFC 9449), made before a window begins: what a client pays to sign them is not what is weighed.

use std::cell::{Cell, RefCell};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use super::Span;
use crate::clock;

/// How many proofs are made for each second of a window: more than a gateway that looks at them answers. A window that
/// needs more is a fault.
const PROOFS_PER_SECOND: f64 = 50_000.0;
/// The most that are made with one key; they take some 150 MiB. The gateway remembers no more of one key (`docs/bound-tokens.md`).
const MAX_PROOFS: usize = 1 << 18;
/// The longest window that they serve: the gateway takes none that is older than a minute, and making them takes time too.
const MAX_SECONDS: f64 = 40.0;
/// What a connection sends before its first call: two messages for its session, and one for the list of tools.
const OPENING: usize = 3;

/// A key of the client that a token is bound to.
#[derive(Debug)]
pub struct Key {
    pair: Ed25519KeyPair,
    x: String,
}

impl Key {
    /// A key that nobody has used.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate() -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::generate().context("no key")?;
        let x = encode(pair.public_key());
        Ok(Self { pair, x })
    }

    /// What a token names it by (RFC 7638).
    pub fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.jwk().as_bytes()))
    }

    /// Its public half, in the form that the thumbprint is of.
    fn jwk(&self) -> String {
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x)
    }
}

/// The proofs for requests with one token to one URL. Each is taken once.
#[derive(Debug)]
pub(super) struct Proofs {
    key: Key,
    header: String,
    url: String,
    token_hash: String,
    made: Cell<usize>,
    stock: RefCell<Vec<HeaderValue>>,
}

impl Proofs {
    /// None yet.
    pub(super) fn new(key: Key, url: String, token: &str) -> Self {
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}}"#, key.jwk());
        Self {
            key,
            header: encode(header),
            url,
            token_hash: encode(digest(&SHA256, token.as_bytes())),
            made: Cell::new(0),
            stock: RefCell::default(),
        }
    }

    /// Makes `count` proofs of now; older ones that were not taken are dropped.
    ///
    /// # Errors
    /// If the key would have made more than the gateway remembers.
    pub(super) fn make(&self, count: usize) -> anyhow::Result<()> {
        let first = self.made.get();
        let end = first + count;
        ensure!(end <= MAX_PROOFS, "{end} proofs of one key");
        let now = clock::today().duration_since(UNIX_EPOCH)?.as_secs();
        let fresh: Result<_, _> = (first..end).map(|number| self.proof(number, now)).collect();
        self.stock.replace(fresh?);
        self.made.set(end);
        Ok(())
    }

    fn proof(&self, number: usize, now: u64) -> anyhow::Result<HeaderValue> {
        let claims = format!(
            r#"{{"htm":"POST","htu":"{}","ath":"{}","iat":{now},"jti":"{number}"}}"#,
            self.url, self.token_hash
        );
        let signed = format!("{}.{}", self.header, encode(claims));
        let signature = encode(self.key.pair.sign(signed.as_bytes()));
        Ok(HeaderValue::try_from(format!("{signed}.{signature}"))?)
    }

    /// A proof that was not taken before.
    ///
    /// # Errors
    /// If none is left.
    pub(super) fn take(&self) -> anyhow::Result<HeaderValue> {
        let proof = self.stock.borrow_mut().pop();
        proof.with_context(|| format!("all {} proofs are used up", self.made.get()))
    }
}

/// How many proofs a window may need.
///
/// # Errors
/// If the last of them would be too old.
pub(super) fn needed(span: Span, connections: usize) -> anyhow::Result<usize> {
    let seconds = (span.warm + span.counted).as_secs_f64();
    ensure!(
        seconds <= MAX_SECONDS,
        "proofs do not last for a window of {seconds} s"
    );
    let calls = whole(seconds * PROOFS_PER_SECOND);
    // The last call of each connection ends after the window.
    Ok((calls + connections * (OPENING + 1)).min(MAX_PROOFS))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a window is neither negative nor longer than MAX_SECONDS"
)]
fn whole(count: f64) -> usize {
    count.ceil() as usize
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    const URL: &str = "http://127.0.0.1:1/mcp";

    fn decode(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn every_proof_is_signed_and_for_its_request_alone() {
        let proofs = Proofs::new(Key::generate().unwrap(), URL.to_owned(), "token");
        let mut seen = HashSet::new();
        for count in [3, 2] {
            proofs.make(count).unwrap();
            for _ in 0..count {
                let proof = proofs.take().unwrap();
                let (signed, signature) = proof.to_str().unwrap().rsplit_once('.').unwrap();
                let (header, claims) = signed.split_once('.').unwrap();
                let (header, claims) = (decode(header), decode(claims));
                assert_eq!(header["typ"], "dpop+jwt");
                assert_eq!(header["alg"], "EdDSA");
                assert_eq!(claims["htm"], "POST");
                assert_eq!(claims["htu"], URL);
                assert_eq!(claims["ath"], encode(digest(&SHA256, b"token")));
                assert!(claims["iat"].is_u64());
                assert!(seen.insert(claims["jti"].to_string()));
                let x = header["jwk"]["x"].as_str().unwrap();
                let key = UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(x).unwrap());
                let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
                key.verify(signed.as_bytes(), &signature).unwrap();
            }
            let why = proofs.take().unwrap_err().to_string();
            assert!(why.contains("used up"), "{why}");
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_8037() {
        let key = Key {
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
            ..Key::generate().unwrap()
        };
        let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(key.thumbprint(), expected);
    }

    #[test]
    fn the_stock_is_bounded() {
        let span = |seconds| Span {
            warm: Duration::from_millis(500),
            counted: Duration::from_secs(seconds),
        };
        assert_eq!(needed(span(2), 16).unwrap(), 125_000 + 64);
        assert_eq!(needed(span(30), 1).unwrap(), MAX_PROOFS);
        assert!(needed(span(40), 1).is_err());
        let proofs = Proofs::new(Key::generate().unwrap(), URL.to_owned(), "token");
        assert!(proofs.make(MAX_PROOFS + 1).is_err());
    }
}
