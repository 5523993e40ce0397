//! Asking the user: before anything goes to the identity provider, for every kind of client.

use super::{Ended, STALE, Visit, ended, known, name_of, provider, refused, set_browser, unkept};
use crate::authority::browser::{BrowserSession, Cookie, secret};
use crate::authority::front::{Form, Next, Waiting};
use crate::authority::shown::{moved, onward, shown, told};
use crate::clock;
use crate::listener::Body;
use crate::record::{Exchange, note_in_turn};
use crate::relay::Gateway;
use hyper::header::HeaderName;
use hyper::{Response, Uri};
use portcullis_audit::Record;
use portcullis_authority::Form as Fields;
use portcullis_authority::client::{Client, Kind};
use portcullis_authority::consent::{Approved, Given, Open, metadata, weigh};
use portcullis_authority::page::{self, Origin, Page, Scope};
use portcullis_authority::request::{Asked, Way, Wrong};
use portcullis_authority::user::User;
use portcullis_core::egress::Target;
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use portcullis_state::Consent;
use std::sync::Arc;

/// From where a browser asks (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const DAY: u64 = 24 * 60 * 60;

const LET_IN: &str = "The device gets access within seconds. You can close this page. Take it back at any time on your \
account page.";
const KEPT_OUT: &str = "The device gets no access. You can close this page.";
const TOO_LATE: &str =
    "The device does not wait any more. Begin again on the device, and use the new code.";

type Who = Option<(Arc<User>, BrowserSession)>;

impl Gateway {
    /// What becomes of a request that was admitted: a code, where its user is signed in here and has agreed before; else
    /// the page.
    pub(in crate::relay) async fn consider(
        &self,
        visit: Visit<'_>,
        asked: Asked,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        tell(&asked, exchange);
        let now = clock::now();
        let who = self.who(visit.authority, visit.headers)?;
        let who = who.filter(|(user, session)| is_enough(&asked, user, session, now));
        let Some((user, session)) = who else {
            let open = Open {
                new: asked.scopes().to_vec(),
                is_more: false,
            };
            return self.ask_user(visit, asked, (None, open), exchange).await;
        };
        known(&user, exchange);
        let given = self.given(&user).await?;
        match weigh(&user, &asked, &given, now) {
            Ok(approved) => {
                self.granted(visit, &approved, ("consent.remembered", exchange))
                    .await
            }
            Err(open) => {
                let who = Some((user, session));
                self.ask_user(visit, asked, (who, open), exchange).await
            }
        }
    }

    /// A link on another site's page brings no cookie of ours that is `SameSite=Strict`. Then the browser is sent here once
    /// more, from a page of ours, so that it is known who is signed in.
    pub(in crate::relay) fn bounced(visit: Visit<'_>, target: &Uri) -> Option<Ended> {
        let is_cross = visit
            .headers
            .get(SITE)
            .is_some_and(|site| site == "cross-site");
        let is_known = Cookie::Session
            .read(visit.headers, visit.is_https())
            .is_some();
        let here = target.path_and_query()?.as_str();
        (is_cross && !is_known).then(|| ended("consent.reloaded", None, onward("One moment", here)))
    }

    async fn given(&self, user: &User) -> Result<Vec<Given>, Refusal> {
        let given = self
            .revocations
            .durable()
            .consents_of(&user.issuer, &user.subject);
        let given = given.await.map_err(|error| unkept(&error))?;
        let given = given.into_iter().map(|one| Given {
            client: one.client,
            redirect: one.redirect,
            server: one.server,
            scopes: one.scopes,
            metadata: one.metadata,
            until: one.until,
        });
        Ok(given.collect())
    }

    async fn ask_user(
        &self,
        visit: Visit<'_>,
        asked: Asked,
        (who, open): (Who, Open),
        exchange: &Exchange,
    ) -> Result<Ended, Refusal> {
        if asked.is_local() {
            self.warn(&asked, exchange).await;
        }
        let (browser, fresh) = visit.marked()?;
        let session = who.as_ref().map(|(_, session)| session.clone());
        let form = Form::Consent(Box::new(asked.clone()), session);
        let token = self
            .front
            .waiting
            .keep(Waiting { browser, form }, clock::now());
        let token = token.ok_or(Unavailable::Entropy)?;
        let user = who.as_ref().map(|(user, _)| &**user);
        let page = consent_page(visit, &asked, (user, &open), &token);
        let mut page = shown(200, page);
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended("consent.required", None, page))
    }

    /// Any program on the user's machine can take the answer: that is told apart.
    async fn warn(&self, asked: &Asked, exchange: &Exchange) {
        let mut record = Record::new("consent.localhost_warning");
        record.client = Some(asked.client().id.as_str().into());
        record.server = Some((&**asked.server()).into());
        record.trace = Some(exchange.trace.as_str().into());
        record.detail.set("redirect_host", asked.host().as_str());
        note_in_turn(&self.recorder, record).await;
    }

    /// The user has said yes or no.
    pub(super) async fn decided(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (asked, session) = match self.awaited(visit, fields) {
            Ok(Form::Consent(asked, session)) => (asked, session),
            Ok(
                Form::SignIn
                | Form::Device
                | Form::Approve(_)
                | Form::StepUp(_)
                | Form::Link(_)
                | Form::Owner { .. }
                | Form::NewPasskey(_),
            ) => {
                return Ok(refused("form.refused", "token", (403, STALE)));
            }
            Err(ended) => return Ok(*ended),
        };
        tell(&asked, exchange);
        // Whoever the page named must be who decides.
        let who = self.who(visit.authority, visit.headers)?;
        let who = match (session, who) {
            (None, _) => None,
            (Some(before), Some((user, now))) if before.mark() == now.mark() => Some(user),
            (Some(_), _) => return Ok(refused("form.refused", "session", (403, STALE))),
        };
        if let Some(user) = &who {
            known(user, exchange);
        }
        match (fields.value("decision"), who) {
            (Some("allow"), Some(user)) => {
                self.agreed(visit, (*user).clone(), *asked, exchange).await
            }
            (Some("allow"), None) => self.leaves(visit, Next::Asked(asked), exchange).await,
            (Some("deny"), _) => {
                let page = self.declined(visit, &asked, exchange).await?;
                Ok(ended("consent.denied", None, page))
            }
            _ => Ok(refused("form.refused", "decision", (400, STALE))),
        }
    }

    /// The client is told no.
    pub(super) async fn declined(
        &self,
        visit: Visit<'_>,
        asked: &Asked,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        match asked.way() {
            Way::Back(back, _) => {
                let back = back.refused(Wrong::Declined, &visit.authority.issuer);
                Ok(moved(&back))
            }
            Way::Device(device) => {
                self.keep_out(device, exchange).await?;
                Ok(told(200, "Not allowed", KEPT_OUT))
            }
        }
    }

    /// The client gets what was approved, in its way.
    async fn granted(
        &self,
        visit: Visit<'_>,
        approved: &Approved,
        (event, exchange): (&'static str, &mut Exchange),
    ) -> Result<Ended, Refusal> {
        let authority = visit.authority;
        match approved.asked().way() {
            Way::Back(back, challenge) => {
                let for_code = (approved, back, challenge);
                let location = self.code(authority, for_code, exchange).await?;
                Ok(ended(event, None, moved(&location)))
            }
            Way::Device(device) => {
                let for_device = (approved, device);
                if self.let_in(authority, for_device, exchange).await? {
                    return Ok(ended(event, None, told(200, "Allowed", LET_IN)));
                }
                Ok(refused("form.refused", "device", (400, TOO_LATE)))
            }
        }
    }

    /// The user is signed in and has agreed: it is kept, and a code is made.
    pub(super) async fn agreed(
        &self,
        visit: Visit<'_>,
        user: User,
        asked: Asked,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let now = clock::now();
        let id = secret().ok_or(Unavailable::Entropy)?;
        let client: &Client = asked.client();
        let consent = Consent {
            id: id.expose().clone(),
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
            client: client.id.clone(),
            redirect: asked.redirect().to_owned(),
            server: asked.server().to_string(),
            scopes: asked.scopes().to_vec(),
            metadata: metadata(client),
            name: client.name.clone().unwrap_or_else(|| client.id.clone()),
            given: now,
            until: now.plus(visit.authority.remembered),
        };
        let kept = self.revocations.durable().keep_consent(consent).await;
        kept.map_err(|error| unkept(&error))?;
        let approved = Approved::by(user, asked);
        self.granted(visit, &approved, ("consent.granted", exchange))
            .await
    }
}

fn consent_page(
    visit: Visit<'_>,
    asked: &Asked,
    (user, open): (Option<&User>, &Open),
    token: &Secret<String>,
) -> Page {
    let client = asked.client();
    let place = Target::parse(&client.id).ok();
    let host = place
        .map(|place| place.host().to_string())
        .unwrap_or_default();
    let origin = match client.kind {
        Kind::Registered => Origin::Registered,
        Kind::Document => Origin::Document(&host),
        Kind::Dynamic => Origin::Unverified,
    };
    let (redirect, redirect_host) = (asked.redirect(), asked.host());
    let (next, code) = match asked.way() {
        Way::Back(back, _) => (target_of(&back.redirect), None),
        Way::Device(device) => (String::new(), Some(device.code.to_string())),
    };
    let mut targets = vec!["https:", next.as_str()];
    let there = provider(visit).map(|relying| relying.written.origin());
    targets.extend(there.as_deref());
    let scopes = scopes(visit, asked, open);
    let days = visit.authority.remembered.as_secs() / DAY;
    let is_remembered = client.kind != Kind::Dynamic && code.is_none();
    page::Consent {
        client: page::Client {
            name: client.name.as_deref(),
            id: &client.id,
            origin,
        },
        redirect,
        redirect_host: &redirect_host,
        is_local: asked.is_local(),
        device: code.as_deref(),
        server: asked.server(),
        scopes: &scopes,
        is_more: open.is_more,
        user: user.map(|user| (name_of(user), user.issuer.as_str())),
        provider: visit.authority.signs_in_at(),
        days: is_remembered.then_some(days.max(1)),
        action: "/account/consent",
        token: token.expose(),
        targets: &targets,
    }
    .page()
}

/// Each scope, in the operator's words and with the tools that need it.
fn scopes(visit: Visit<'_>, asked: &Asked, open: &Open) -> Vec<Scope> {
    let servers = &visit.live.rules.servers;
    let is_meant = |name: &str| {
        name == &**asked.server()
            || servers
                .get(asked.server())
                .is_some_and(|server| server.gate.is_aggregate)
    };
    let tools = |scope: &String| {
        let meant = servers.iter().filter(|(name, _)| is_meant(name));
        let tools = meant.flat_map(|(_, server)| &server.gate.tool_scopes);
        let needing = tools.filter(|(_, scopes)| scopes.contains(scope));
        let mut names: Vec<String> = needing.map(|(tool, _)| tool.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let scopes = asked.scopes().iter().map(|scope| Scope {
        name: scope.clone(),
        words: visit.authority.words.get(scope).cloned(),
        tools: tools(scope),
        is_new: open.new.contains(scope),
    });
    scopes.collect()
}

/// Whether the sign-in that there was is what the client wants.
fn is_enough(asked: &Asked, user: &User, session: &BrowserSession, now: Timestamp) -> bool {
    let made = Timestamp::from_seconds(user.auth_time).min(session.began);
    let is_fresh = asked.max_age().is_none_or(|age| now.since(made) <= age);
    let classes = asked.classes();
    let is_strong =
        classes.is_empty() || user.acr.as_ref().is_some_and(|acr| classes.contains(acr));
    is_fresh && is_strong && !asked.prompt().login
}

/// What records of a request say.
pub(super) fn tell(asked: &Asked, exchange: &mut Exchange) {
    let client = asked.client();
    exchange.server = Some(Arc::clone(asked.server()));
    exchange.fact("client", &client.id);
    exchange.fact("client_kind", client.kind.word());
    exchange.fact("redirect_host", &asked.host());
    exchange.fact("scopes", &asked.scopes().join(" "));
}

/// A redirect URI as the policy of a page names it: an origin, or the scheme of a native application.
pub(super) fn target_of(redirect: &str) -> String {
    match Target::parse(redirect) {
        Ok(target) => target.origin(),
        Err(_) => redirect
            .split_once(':')
            .map(|(scheme, _)| format!("{scheme}:"))
            .unwrap_or_default(),
    }
}
