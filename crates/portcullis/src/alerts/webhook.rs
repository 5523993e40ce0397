//! By POST, signed as Standard Webhooks 1.0 has it: HMAC-SHA256 over id, time and body.

use super::Undelivered;
use super::finding::Due;
use crate::clock;
use crate::egress::{Egress, Site};
use crate::tls::Client;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use portcullis_core::secret::Secret;
use std::time::Duration;

/// How long one attempt may take.
const WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Webhook {
    pub(super) site: Site,
    pub(super) secret: Secret<Vec<u8>>,
    pub(super) tls: Option<Client>,
}

impl Webhook {
    pub(super) async fn send(&self, due: &Due) -> Result<(), Undelivered> {
        let request = self.request(due).ok_or(Undelivered::Unwritable)?;
        let egress = Egress::to_written();
        let sent = egress
            .send(&self.site, self.tls.as_ref(), request, WITHIN)
            .await;
        match sent {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(_) => Err(Undelivered::Status),
            Err(_) => Err(Undelivered::Unreachable),
        }
    }

    fn request(&self, due: &Due) -> Option<Request<Full<Bytes>>> {
        let time = clock::now().seconds().to_string();
        let signature = signature(&self.secret, (&due.id, &time, &due.body));
        let mut request = Request::new(Full::new(Bytes::from(due.body.clone())));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-id", HeaderValue::from_str(&due.id).ok()?);
        headers.insert("webhook-timestamp", HeaderValue::from_str(&time).ok()?);
        headers.insert("webhook-signature", HeaderValue::from_str(&signature).ok()?);
        Some(request)
    }
}

fn signature(secret: &Secret<Vec<u8>>, (id, time, body): (&str, &str, &str)) -> String {
    let key = Key::new(HMAC_SHA256, secret.expose());
    let tag = sign(&key, format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tok_19_the_signature_is_that_of_standard_webhooks() {
        // The example of the Standard Webhooks specification.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let parts = (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            signature(&Secret::new(key), parts),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
