//! What does a client ask for? The parameters of an authorization request become an [`Asked`], or an answer.
//!
//! Until client and redirect URI are known, a wrong request is told to the user on a page of ours, and to nobody else.

mod answer;
mod device;
#[cfg(test)]
mod tests;

use crate::client::Client;
use crate::form::Form;
use crate::redirect::{BadRedirect, DEVICE, Policy, is_loopback, shown_host};
pub use answer::{Return, Wrong, location};
pub use device::{Device, UserCode};
use portcullis_core::authenticate::{Binding, Resource, Thumbprint};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The longest `state`, in bytes.
const MAX_STATE_BYTES: usize = 4096;
/// The most scopes that are asked for at once.
const MAX_SCOPES: usize = 64;
/// The scope that asks for a refresh token (OpenID Connect Core section 11).
const OFFLINE: &str = "offline_access";

/// What a client asks for in a user's name: nothing of it is granted yet. Only this room makes one.
#[derive(Debug, Clone)]
pub struct Asked {
    client: Arc<Client>,
    way: Way,
    server: Arc<str>,
    audience: String,
    scopes: Vec<String>,
    key: Option<Thumbprint>,
    refreshes: bool,
    prompt: Prompt,
    classes: Vec<String>,
    max_age: Option<Duration>,
}

/// How the client gets what is granted.
#[derive(Debug, Clone)]
pub enum Way {
    /// The user's browser brings it, as a code.
    Back(Return, Challenge),
    /// It asks for it until the user has decided.
    Device(Device),
}

/// The digest of a secret that only the client has (RFC 7636).
#[derive(Debug, Clone)]
pub struct Challenge(String);

/// What the client wants the user to be asked (OpenID Connect Core section 3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Nothing: there must be an answer without a page.
    pub none: bool,
    /// To sign in again.
    pub login: bool,
    /// To consent again.
    pub consent: bool,
}

/// Why there is nothing to decide about.
#[derive(Debug, Clone)]
pub enum NotAsked {
    /// Told on a page: nobody is to be redirected.
    Page(BadRedirect),
    /// Told to the client.
    Back(Return, Wrong),
}

/// What requests are held against.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Our own name.
    pub issuer: &'a str,
    /// Where answers may go at all.
    pub redirects: &'a Policy,
    /// The servers for which there are tokens of ours.
    pub resources: &'a [&'a Resource],
}

impl Asked {
    /// Judges the parameters of a request of this client.
    ///
    /// # Errors
    /// [`NotAsked`].
    pub fn admit(
        form: &Form,
        client: &Arc<Client>,
        terms: &Terms<'_>,
        proven: Option<Thumbprint>,
    ) -> Result<Self, NotAsked> {
        let redirect = client.redirect(form.value("redirect_uri"), terms.redirects);
        let redirect = redirect.map_err(NotAsked::Page)?;
        let state = form.value("state").map(str::to_owned);
        let is_long = |state: &String| state.len() > MAX_STATE_BYTES;
        let back = Return {
            redirect,
            state: state.filter(|state| !is_long(state)),
        };
        let judged = Self::judge(form, client, (terms, proven), back.clone());
        judged.map_err(|wrong| NotAsked::Back(back, wrong))
    }

    fn judge(
        form: &Form,
        client: &Arc<Client>,
        (terms, proven): (&Terms<'_>, Option<Thumbprint>),
        back: Return,
    ) -> Result<Self, Wrong> {
        check_form(form)?;
        let challenge = challenge(form)?;
        let resource = resource(form, terms)?;
        let key = key(form, proven)?;
        // What such a server wants beside the token, a code flow cannot give.
        if resource.mtls == Binding::Required {
            return Err(Wrong::Target);
        }
        Ok(Self {
            client: Arc::clone(client),
            way: Way::Back(back, challenge),
            server: Arc::clone(&resource.server),
            audience: resource.audience.clone(),
            scopes: scopes(form, resource)?,
            key,
            refreshes: client.refreshes || wants_offline(form),
            prompt: prompt(form)?,
            classes: form.words("acr_values").map(str::to_owned).collect(),
            max_age: max_age(form)?,
        })
    }

    /// Who asks.
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// How the client gets what is granted.
    pub const fn way(&self) -> &Way {
        &self.way
    }

    /// Where the answer goes, or what stands for it ([`DEVICE`]).
    pub fn redirect(&self) -> &str {
        match &self.way {
            Way::Back(back, _) => &back.redirect,
            Way::Device(_) => DEVICE,
        }
    }

    /// The server that it wants to use: its name, or that of all together.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// The `aud` of the tokens.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// What of the server, sorted.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The key of the client that its tokens will be bound to, if it has said so already (RFC 9449 section 10).
    pub const fn key(&self) -> Option<Thumbprint> {
        self.key
    }

    /// Whether it wants to act when the user is not there.
    pub const fn refreshes(&self) -> bool {
        self.refreshes
    }

    /// What the user is to be asked.
    pub const fn prompt(&self) -> Prompt {
        self.prompt
    }

    /// The classes of sign-in that it wants, the best first (`acr_values`).
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How long ago the sign-in may have been.
    pub const fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The host that gets the answer, to be shown.
    pub fn host(&self) -> String {
        shown_host(self.redirect())
    }

    /// Whether the answer stays on the user's machine, where any program may take it.
    pub fn is_local(&self) -> bool {
        is_loopback(self.redirect())
    }
}

impl Challenge {
    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_form(form: &Form) -> Result<(), Wrong> {
    if form.value("request").is_some() {
        return Err(Wrong::Object);
    }
    if form.value("response_type") != Some("code") {
        return Err(Wrong::ResponseType);
    }
    if form
        .value("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(Wrong::ResponseMode);
    }
    if form
        .value("state")
        .is_some_and(|state| state.len() > MAX_STATE_BYTES)
    {
        return Err(Wrong::State);
    }
    Ok(())
}

fn wants_offline(form: &Form) -> bool {
    form.words("scope").any(|scope| scope == OFFLINE)
}

/// S256 and nothing else (OAuth 2.1 section 7.5): 32 bytes in base64url.
fn challenge(form: &Form) -> Result<Challenge, Wrong> {
    let challenge = form.value("code_challenge").ok_or(Wrong::NoChallenge)?;
    if form.value("code_challenge_method") != Some("S256") {
        return Err(Wrong::Method);
    }
    if Thumbprint::parse(challenge).is_none() {
        return Err(Wrong::Challenge);
    }
    Ok(Challenge(challenge.to_owned()))
}

/// The one server for which the token is to be (RFC 8707).
pub(crate) fn resource<'a>(form: &Form, terms: &Terms<'a>) -> Result<&'a Resource, Wrong> {
    target(form.value("resource").ok_or(Wrong::NoTarget)?, terms)
}

/// The server of that name, if there are tokens of ours for it.
pub(crate) fn target<'a>(named: &str, terms: &Terms<'a>) -> Result<&'a Resource, Wrong> {
    let is_meant = |resource: &&&Resource| resource.audience == named || resource.url == named;
    let found = terms.resources.iter().find(is_meant);
    let trusts_us = |resource: &&&Resource| resource.issuers.iter().any(|one| one == terms.issuer);
    found.filter(trusts_us).copied().ok_or(Wrong::Target)
}

/// What is proven now, or only said: but not two keys.
fn key(form: &Form, proven: Option<Thumbprint>) -> Result<Option<Thumbprint>, Wrong> {
    let said = match form.value("dpop_jkt") {
        None => None,
        Some(text) => Some(Thumbprint::parse(text).ok_or(Wrong::Key)?),
    };
    match (said, proven) {
        (Some(said), Some(proven)) if said != proven => Err(Wrong::Key),
        (said, proven) => Ok(said.or(proven)),
    }
}

/// Those of the server. Others are left out, which RFC 6749 section 3.3 allows and the token's answer says; a request for
/// nothing but others is refused.
fn scopes(form: &Form, resource: &Resource) -> Result<Vec<String>, Wrong> {
    let known = &resource.scopes_supported;
    let asked: BTreeSet<&str> = form.words("scope").take(MAX_SCOPES + 1).collect();
    if asked.len() > MAX_SCOPES {
        return Err(Wrong::Scope);
    }
    let is_all = asked.iter().all(|scope| *scope == OFFLINE);
    let wanted: BTreeSet<&String> = known
        .iter()
        .filter(|scope| is_all || asked.contains(scope.as_str()))
        .collect();
    if wanted.is_empty() && !known.is_empty() {
        return Err(Wrong::Scope);
    }
    Ok(wanted.into_iter().cloned().collect())
}

fn prompt(form: &Form) -> Result<Prompt, Wrong> {
    let mut prompt = Prompt::default();
    for word in form.words("prompt") {
        match word {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(Wrong::Prompt),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(Wrong::Prompt);
    }
    Ok(prompt)
}

fn max_age(form: &Form) -> Result<Option<Duration>, Wrong> {
    let Some(text) = form.value("max_age") else {
        return Ok(None);
    };
    let seconds = text.parse::<u32>().map_err(|_| Wrong::MaxAge)?;
    Ok(Some(Duration::from_secs(seconds.into())))
}
