//! The page on which users see who is signed in and what they have allowed, and take it back.

use super::{Page, hidden, listed, page, shown};
use std::fmt::Write as _;

/// Scopes of one consent that are named.
const MAX_SCOPES: usize = 16;

/// The page.
#[derive(Debug)]
pub struct Account<'a> {
    /// Who looks at it.
    pub visitor: Visitor<'a>,
    /// Where users sign in.
    pub provider: &'a str,
    /// Whether it is here, with passkeys.
    pub is_here: bool,
    /// Where browsers may be sent from there, as the policy writes it.
    pub targets: &'a [&'a str],
}

/// Who looks at the page.
#[derive(Debug)]
pub enum Visitor<'a> {
    /// Nobody is signed in. The form needs this.
    Stranger {
        /// What must come along.
        token: &'a str,
    },
    /// A user is signed in.
    User {
        /// A name to show.
        name: &'a str,
        /// At which provider.
        at: &'a str,
        /// Since when, in words.
        since: &'a str,
        /// What must come along with each form.
        token: &'a str,
        /// What this user has agreed to.
        consents: &'a [Remembered],
    },
}

/// Something that a user has agreed to.
#[derive(Debug)]
pub struct Remembered {
    /// By what it is taken back.
    pub id: String,
    /// What the client calls itself.
    pub client: String,
    /// Its id.
    pub client_id: String,
    /// Where its answers go.
    pub redirect_host: String,
    /// For which server.
    pub server: String,
    /// What for.
    pub scopes: Vec<String>,
    /// When, and up to when, in words.
    pub since: String,
    /// Up to when, in words.
    pub until: String,
}

impl Account<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let body = match &self.visitor {
            Visitor::Stranger { token } => format!(
                "<h1>Your account</h1><p>Nobody is signed in here.</p>\
<form method=\"post\" action=\"/account/sign-in\">{}<div class=\"deeds\">\
<button class=\"main\">Sign in at {}</button></div></form>",
                hidden("token", token),
                shown(self.provider)
            ),
            Visitor::User {
                name,
                at,
                since,
                token,
                consents,
            } => {
                let mut body = format!(
                    "<h1>Your account</h1><p>You are signed in as <strong>{}</strong> at {}, since {}.</p>\
<form method=\"post\" action=\"/account/sign-out\">{}<button class=\"small\">Sign out</button></form>\
<h2 id=\"allowed\">What you have allowed</h2>",
                    shown(name),
                    shown(at),
                    shown(since),
                    hidden("token", token)
                );
                allowed(&mut body, consents, token);
                if self.is_here {
                    body.push_str("<p><a href=\"/account/passkeys\">Your passkeys</a></p>");
                }
                body
            }
        };
        page("Your account", &body, self.targets)
    }
}

fn allowed(body: &mut String, consents: &[Remembered], token: &str) {
    if consents.is_empty() {
        body.push_str("<p class=\"soft\">Nothing.</p>");
        return;
    }
    body.push_str("<ul aria-labelledby=\"allowed\">");
    for (index, consent) in consents.iter().enumerate() {
        let scopes = if consent.scopes.is_empty() {
            "all that you may do there".to_owned()
        } else {
            listed(&consent.scopes, MAX_SCOPES)
        };
        let _written = write!(
            body,
            "<li><strong id=\"client-{index}\">{}</strong> may use <strong>{}</strong><br>\
<span class=\"soft\">{scopes}; answers go to {}; id <code>{}</code>; from {} until {}</span>\
<form method=\"post\" action=\"/account/revoke\">{}{}\
<button class=\"small\" aria-describedby=\"client-{index}\">Take back</button></form></li>",
            shown(&consent.client),
            shown(&consent.server),
            shown(&consent.redirect_host),
            shown(&consent.client_id),
            shown(&consent.since),
            shown(&consent.until),
            hidden("token", token),
            hidden("consent", &consent.id)
        );
    }
    body.push_str("</ul>");
}
