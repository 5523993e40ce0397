//! How the ACME server is reached: on the one way out, as every peer.

use crate::config::Acme;
use crate::egress::{Egress, NoAnswer, Site, note_denied};
use crate::tls::Client;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use portcullis_audit::Recorder;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One server.
#[derive(Clone)]
pub(super) struct Wire(Arc<Way>);

struct Way {
    acme: Arc<Acme>,
    egress: Arc<Egress>,
    tls: Option<Client>,
    recorder: Recorder,
}

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl Wire {
    pub(super) fn new(
        acme: &Arc<Acme>,
        egress: &Arc<Egress>,
        tls: Option<Client>,
        recorder: &Recorder,
    ) -> Self {
        Self(Arc::new(Way {
            acme: Arc::clone(acme),
            egress: Arc::clone(egress),
            tls,
            recorder: recorder.clone(),
        }))
    }
}

impl HttpClient for Wire {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        let way = Arc::clone(&self.0);
        Box::pin(async move {
            let answered = way.send(request).await;
            answered.map_err(|why| Error::Other(Box::new(why)))
        })
    }
}

impl Way {
    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, NoAnswer> {
        // The server names every other URL than its directory.
        let site = Site::named(&request.uri().to_string(), &self.acme.directory);
        let site = site.inspect_err(|why| self.tell(why))?;
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let request = Request::from_parts(head, Full::new(body.to_bytes()));
        let answer = self.egress.send(&site, self.tls.as_ref(), request, TIMEOUT);
        let answer = answer.await.inspect_err(|why| self.tell(why))?;
        let mut response = Response::new(Full::new(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(BytesResponse::from(response))
    }

    fn tell(&self, why: &NoAnswer) {
        if let NoAnswer::Denied { why, host } = why {
            note_denied(&self.recorder, self.acme.directory.host(), host, *why);
        }
    }
}
