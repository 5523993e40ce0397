//! The owner of the machine adds and removes passkeys.

use super::owner::{ask, expect_owner, passkey, place};
use super::{Ended, SIGNED_OUT, STALE, Visit, ended, known, refused, set_browser, unkept};
use crate::authority::front::Form;
use crate::authority::shown::{shown, told};
use crate::clock;
use crate::listener::Body;
use crate::record::Exchange;
use crate::relay::Gateway;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use portcullis_audit::time_text;
use portcullis_authority::Form as Fields;
use portcullis_authority::owner::{MAX_PASSKEYS, Passkey, Purpose, Unproved};
use portcullis_authority::page::{Passkeys, SCRIPT};
use portcullis_core::refusal::Refusal;
use portcullis_core::time::Timestamp;
use portcullis_state::{Failed, OwnerPasskey};

const UNKEPT: &str = "This passkey was not added. Try again.";

impl Gateway {
    /// The owner looks at the passkeys.
    pub(super) async fn passkeys_page(
        &self,
        visit: Visit<'_>,
        said: Option<&'static str>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return Ok(refused("form.refused", "session", (403, SIGNED_OUT)));
        };
        known(&user, exchange);
        let (browser, fresh) = visit.marked()?;
        let kept = self.revocations.durable().owner_passkeys().await;
        let kept = kept.map_err(|error| unkept(&error))?;
        let is_room = u32::try_from(kept.len()).is_ok_and(|count| count < MAX_PASSKEYS);
        let new = match place(visit).filter(|_| is_room) {
            Some(place) => {
                let asked = ask(Purpose::Register)?;
                let all: Vec<Passkey> = kept.iter().map(passkey).collect();
                let options = asked.options(&place, &all);
                Some((self.waits(browser, Form::NewPasskey(asked))?, options))
            }
            None => None,
        };
        let words: Vec<(String, String)> = kept.iter().map(words).collect();
        let page = Passkeys {
            token: session.token().expose(),
            new: new
                .as_ref()
                .map(|(token, options)| (token.as_str(), options)),
            known: &words,
            said,
        };
        let mut page = shown(200, page.page());
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended("account.shown", None, page))
    }

    /// The owner adds a passkey.
    pub(super) async fn adds_passkey(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        let asked = match self.awaited(visit, fields) {
            Ok(Form::NewPasskey(asked)) => asked,
            Ok(_) => return Ok(refused("form.refused", "token", (403, STALE))),
            Err(ended) => return Ok(*ended),
        };
        let Some((user, _)) = self.who(visit.authority, visit.headers)? else {
            return Ok(refused("form.refused", "session", (403, SIGNED_OUT)));
        };
        known(&user, exchange);
        let answer = fields.value("answer").unwrap_or_default().as_bytes();
        let now = clock::now();
        let made = place(visit).ok_or(Unproved::OtherSite);
        let made = made.and_then(|place| asked.registered(&place, answer, now));
        let reason = match made {
            Ok(made) => self.keep(made, now).await?,
            Err(why) => Some(why.reason()),
        };
        let said = reason.map(|_| UNKEPT);
        let page = self.passkeys_page(visit, said, exchange).await?.page;
        Ok(match reason {
            None => ended("passkey.added", None, page),
            Some(reason) => ended("passkey.refused", Some(reason), page),
        })
    }

    /// Why it was not kept, if it was not.
    async fn keep(&self, made: Passkey, now: Timestamp) -> Result<Option<&'static str>, Refusal> {
        let new = OwnerPasskey {
            id: made.id,
            key: made.key,
            counter: made.counter,
            made: now,
            used: None,
        };
        let durable = self.revocations.durable();
        match durable.keep_owner_passkey(new, MAX_PASSKEYS).await {
            Ok(()) => Ok(None),
            Err(Failed::TooMany) => Ok(Some("too_many")),
            Err(Failed::Unfit) => Ok(Some("known")),
            Err(error) => Err(unkept(&error)),
        }
    }

    /// The owner removes a passkey.
    pub(super) async fn removes_passkey(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        if let Err(ended) = self.own_form(visit, fields)? {
            return Ok(ended);
        }
        let id = URL_SAFE_NO_PAD.decode(fields.value("id").unwrap_or_default());
        let durable = self.revocations.durable();
        let gone = durable.forget_owner_passkey(id.unwrap_or_default()).await;
        let gone = gone.map_err(|error| unkept(&error))?;
        let page = self.passkeys_page(visit, None, exchange).await?.page;
        Ok(if gone {
            ended("passkey.removed", None, page)
        } else {
            ended("passkey.refused", Some("unknown"), page)
        })
    }
}

/// What removes it, and what is told of it.
fn words(kept: &OwnerPasskey) -> (String, String) {
    let made = time_text(kept.made.micros());
    let used = match kept.used {
        Some(used) => format!("last used {}", time_text(used.micros())),
        None => "not used yet".to_owned(),
    };
    let id = URL_SAFE_NO_PAD.encode(&kept.id);
    (id, format!("added {made}, {used}"))
}

/// The script of these pages, which is the same for everybody.
pub(super) fn script() -> Ended {
    let mut script = told(200, "Script", "");
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    script.headers_mut().insert(CONTENT_TYPE, kind);
    *script.body_mut() = Body::whole(SCRIPT.into());
    ended("account.shown", None, script)
}
