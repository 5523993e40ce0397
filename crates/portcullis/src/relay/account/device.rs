//! The page on which a user says which device it is that waits (RFC 8628 section 3.3). What it asks for is shown, and
//! decided, on the page that every client's user is shown.

use super::{Ended, STALE, Visit, ended, provider, refused, set_browser};
use crate::authority::front::Form;
use crate::authority::shown::shown;
use crate::clock;
use crate::listener::Body;
use crate::record::Exchange;
use crate::relay::Gateway;
use hyper::Response;
use portcullis_authority::Form as Fields;
use portcullis_authority::page::DevicePage;
use portcullis_authority::request::UserCode;
use portcullis_core::quota::Rate;
use portcullis_core::refusal::{Refusal, Unacceptable};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How many codes one network may type, and all together: with 43 bits, whoever guesses as fast as that hits one in eight
/// years, if all the time as many devices wait as may at all (RFC 8628 section 5.1).
const RATE: Rate = Rate {
    per_minute: 20,
    burst: 20,
};
const RATE_OF_ALL: Rate = Rate {
    per_minute: 600,
    burst: 600,
};
/// Stands for everybody: no peer has this address.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

const NO_SUCH: &str = "No device waits with this code. Compare it, or begin again on the device if ten minutes are over.";

impl Gateway {
    /// A user comes to type a code, or by a link that has it: it is shown, and nothing else happens.
    pub(super) fn device_page(
        &self,
        visit: Visit<'_>,
        query: Option<&str>,
    ) -> Result<Ended, Refusal> {
        if !visit.authority.has_devices() {
            return Err(Unacceptable::Path.into());
        }
        let query = Fields::read(query.unwrap_or_default().as_bytes()).unwrap_or_default();
        let code = query.value("user_code").and_then(UserCode::read);
        let code = code.map(|code| code.to_string()).unwrap_or_default();
        let page = self.asks_code(visit, &code, None)?;
        Ok(ended("device.asked", None, page))
    }

    /// The user has typed a code.
    pub(super) async fn types_code(
        &self,
        visit: Visit<'_>,
        (fields, peer): (&Fields, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (typed, now) = (&self.authority.typed, clock::now());
        let [of_network, of_all] = typed;
        of_network
            .take(peer.ip(), RATE, now)
            .map_err(Refusal::from)?;
        of_all
            .take(EVERYBODY, RATE_OF_ALL, now)
            .map_err(Refusal::from)?;
        match self.awaited(visit, fields) {
            Ok(Form::Device) => {}
            Ok(_) => return Ok(refused("form.refused", "token", (403, STALE))),
            Err(ended) => return Ok(*ended),
        }
        let code = fields.value("user_code").and_then(UserCode::read);
        let asked = match &code {
            Some(code) => {
                let from = (code, peer);
                let (live, authority) = (visit.live, visit.authority);
                self.awaited_device(live, authority, from, exchange).await?
            }
            None => None,
        };
        let Some(asked) = asked else {
            let page = self.asks_code(visit, "", Some(NO_SUCH))?;
            return Ok(ended("device.refused", Some("unknown"), page));
        };
        self.consider(visit, asked, exchange).await
    }

    fn asks_code(
        &self,
        visit: Visit<'_>,
        code: &str,
        said: Option<&'static str>,
    ) -> Result<Response<Body>, Refusal> {
        let (browser, fresh) = visit.marked()?;
        let token = self.waits(browser, Form::Device)?;
        let origin = provider(visit).map(|relying| relying.written.origin());
        let targets: Vec<&str> = origin.as_deref().into_iter().collect();
        let page = DevicePage {
            token: &token,
            code,
            said,
            targets: &targets,
        };
        let status = if said.is_some() { 400 } else { 200 };
        let mut page = shown(status, page.page());
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(page)
    }
}
