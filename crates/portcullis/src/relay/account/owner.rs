//! The owner of the machine signs in where there is no identity provider: with a link from the terminal, or a passkey.

use super::asking::target_of;
use super::{Ended, STALE, Visit, ended, refused, set_browser, unkept};
use crate::authority::browser::{There, mark};
use crate::authority::front::{Form, Next, Waiting};
use crate::authority::shown::shown;
use crate::clock;
use crate::random;
use crate::record::Exchange;
use crate::relay::Gateway;
use portcullis_authority::Form as Fields;
use portcullis_authority::owner::{Asked, Link, Passkey, Place, Purpose, Unopened, Unproved};
use portcullis_authority::page::{OwnerSignIn, owner_link};
use portcullis_authority::user::{Person, User};
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::time::Timestamp;
use portcullis_state::{OwnerLink, OwnerPasskey};

/// Whom the tokens of the owner name, as those of `portcullis token` do.
const OWNER: &str = "local";
/// How the owner has shown who they are (RFC 8176).
const BY_LINK: &[&str] = &["otp"];
const BY_PASSKEY: &[&str] = &["pop", "user"];

const UNOPENED: &str = "This link cannot be used: it is too old, was used, or was opened in another browser first. \
Print a new one with: portcullis owner link";
const UNPROVED: &str = "The passkey did not prove that it is yours. Try again, or use a link.";
const NOBODY: &str = "Nobody has signed in in this browser yet.";

impl Gateway {
    /// A link was opened. Nothing is used up: who looks may be no user.
    pub(super) async fn opens_link(
        &self,
        visit: Visit<'_>,
        word: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        let (browser, fresh) = visit.marked()?;
        let link = mark(word);
        let kept = self.revocations.durable().open_owner_link(link, browser);
        let kept = kept.await.map_err(|error| unkept(&error))?;
        if let Err(why) = check(kept, &browser) {
            return Ok(refused("login.refused", why.reason(), (403, UNOPENED)));
        }
        exchange.vouch();
        let token = self.waits(browser, Form::Link(link))?;
        let mut page = shown(200, owner_link(&token));
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended("login.link_opened", None, page))
    }

    /// The owner signs in with a link.
    pub(super) async fn uses_link(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        let link = match self.awaited(visit, fields) {
            Ok(Form::Link(link)) => link,
            Ok(_) => return Ok(refused("form.refused", "token", (403, STALE))),
            Err(ended) => return Ok(*ended),
        };
        let taken = self.revocations.durable().take_owner_link(link);
        let taken = taken.await.map_err(|error| unkept(&error))?;
        // `awaited` has shown that it is the browser that was given the form.
        let browser = visit.browser().unwrap_or_default();
        if let Err(why) = check(taken, &browser) {
            return Ok(refused("login.refused", why.reason(), (403, UNOPENED)));
        }
        let owner = owner(visit, BY_LINK, clock::now());
        self.signed_in(visit, (owner, There::default()), Next::Passkeys, exchange)
            .await
    }

    /// Where the owner signs in, and what comes after.
    pub(super) async fn asks_owner(
        &self,
        visit: Visit<'_>,
        next: Next,
        said: Option<&'static str>,
    ) -> Result<Ended, Refusal> {
        let (browser, fresh) = visit.marked()?;
        let known = self.passkeys().await?;
        let place = place(visit).filter(|_| !known.is_empty());
        let asked = place.as_ref().map(|_| ask(Purpose::SignIn)).transpose()?;
        let options = place.as_ref().zip(asked.as_ref());
        let options = options.map(|(place, asked)| asked.options(place, &known));
        let client = match &next {
            Next::Asked(asked) => target_of(asked.redirect()),
            Next::Account | Next::Passkeys | Next::Approval(_) | Next::StepUp(_) => String::new(),
        };
        let token = self.waits(browser, Form::Owner { asked, next })?;
        let page = OwnerSignIn {
            token: &token,
            passkey: options.as_ref(),
            said,
            targets: &[client.as_str()],
        };
        let mut page = shown(200, page.page());
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended("login.asked", None, page))
    }

    /// The owner signs in with a passkey, or has signed in with a link meanwhile.
    pub(super) async fn uses_passkey(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        expect_owner(visit)?;
        let (asked, next) = match self.awaited(visit, fields) {
            Ok(Form::Owner { asked, next }) => (asked, next),
            Ok(_) => return Ok(refused("form.refused", "token", (403, STALE))),
            Err(ended) => return Ok(*ended),
        };
        let Some(answer) = fields.value("answer") else {
            return match self.who(visit.authority, visit.headers)? {
                Some((user, _)) => {
                    let user = (User::clone(&user), There::default());
                    self.signed_in(visit, user, next, exchange).await
                }
                None => self.asks_owner(visit, next, Some(NOBODY)).await,
            };
        };
        if let Err(why) = self.prove(visit, asked, answer).await? {
            let again = self.asks_owner(visit, next, Some(UNPROVED)).await?;
            return Ok(ended("login.refused", Some(why.reason()), again.page));
        }
        let owner = owner(visit, BY_PASSKEY, clock::now());
        self.signed_in(visit, (owner, There::default()), next, exchange)
            .await
    }

    async fn prove(
        &self,
        visit: Visit<'_>,
        asked: Option<Asked>,
        answer: &str,
    ) -> Result<Result<(), Unproved>, Refusal> {
        let Some((asked, place)) = asked.zip(place(visit)) else {
            return Ok(Err(Unproved::Unasked));
        };
        let (known, now) = (self.passkeys().await?, clock::now());
        let used = match asked.signed_in(&place, answer.as_bytes(), &known, now) {
            Ok(used) => used,
            Err(why) => return Ok(Err(why)),
        };
        let before = known.iter().find(|known| known.id == used.id);
        let counters = (before.map_or(0, |known| known.counter), used.counter);
        let durable = self.revocations.durable();
        let noted = durable.use_owner_passkey(used.id, counters, now).await;
        let noted = noted.map_err(|error| unkept(&error))?;
        Ok(if noted { Ok(()) } else { Err(Unproved::Copied) })
    }

    async fn passkeys(&self) -> Result<Vec<Passkey>, Refusal> {
        let kept = self.revocations.durable().owner_passkeys().await;
        let kept = kept.map_err(|error| unkept(&error))?;
        Ok(kept.iter().map(passkey).collect())
    }

    /// Keeps what a form stands for; gives what the form must bring along.
    pub(super) fn waits(&self, browser: [u8; 32], form: Form) -> Result<String, Refusal> {
        let waiting = Waiting { browser, form };
        let token = self.front.waiting.keep(waiting, clock::now());
        let token = token.ok_or(Unavailable::Entropy)?;
        Ok(token.expose().clone())
    }
}

/// Where an identity provider signs users in, nobody is the owner.
pub(super) fn expect_owner(visit: Visit<'_>) -> Result<(), Refusal> {
    match visit.authority.relying {
        None => Ok(()),
        Some(_) => Err(Unacceptable::Path.into()),
    }
}

/// Where our passkeys count, if we are where passkeys can be.
pub(super) fn place(visit: Visit<'_>) -> Option<Place> {
    Place::at(&visit.authority.public.origin())
}

pub(super) fn ask(purpose: Purpose) -> Result<Asked, Refusal> {
    Ok(Asked::now(purpose, random::bytes()?, clock::now()))
}

pub(super) fn passkey(kept: &OwnerPasskey) -> Passkey {
    Passkey {
        id: kept.id.clone(),
        key: kept.key.clone(),
        counter: kept.counter,
    }
}

/// Whether this browser may use the link. One that no browser has opened was never shown.
fn check(kept: Option<OwnerLink>, browser: &[u8; 32]) -> Result<(), Unopened> {
    let link = kept.and_then(|kept| {
        let browser = kept.browser?;
        Some(Link {
            until: kept.until,
            browser,
        })
    });
    Link::check(link.as_ref(), browser, clock::now())
}

fn owner(visit: Visit<'_>, methods: &[&str], now: Timestamp) -> User {
    User::signed_in(Person {
        subject: OWNER.to_owned(),
        issuer: visit.authority.issuer.clone(),
        name: Some("the owner of this computer".to_owned()),
        amr: methods.iter().map(|&method| method.to_owned()).collect(),
        auth_time: now.seconds(),
        ..Person::default()
    })
}
