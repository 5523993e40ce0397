//! The page on which somebody signs in anew for an app. What is called is a word of others.

use super::{Page, hidden, page, shown};
use std::fmt::Write as _;

/// The page.
#[derive(Debug)]
pub struct StepUpPage<'a> {
    /// Who looks at it.
    pub user: &'a str,
    /// Where they have signed in.
    pub at: &'a str,
    /// The program that calls.
    pub client: Option<&'a str>,
    /// At which server.
    pub server: &'a str,
    /// Which tool, if it is one.
    pub tool: Option<&'a str>,
    /// Whether they have signed in for it.
    pub found: Found,
    /// What must come along with the form.
    pub token: &'a str,
    /// By what it is found again.
    pub link: &'a str,
    /// Where browsers may be sent from there, as the policy writes it.
    pub targets: &'a [&'a str],
}

/// How the visitor is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Not as it must be, or since before.
    Before,
    /// As it must be.
    Enough,
}

/// What strangers see: nothing of the call.
#[derive(Debug)]
pub struct StepUpSignIn<'a> {
    /// What must come along.
    pub token: &'a str,
    /// Where users sign in.
    pub provider: &'a str,
    /// Where browsers may be sent from there, as the policy writes it.
    pub targets: &'a [&'a str],
}

impl StepUpSignIn<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let body = format!(
            "<h1>An app needs you to sign in anew</h1><p>Sign in to see which it is, and for what.</p>\
<form method=\"post\" action=\"/account/sign-in\">{}<div class=\"deeds\">\
<button class=\"main\">Sign in at {}</button></div></form>",
            hidden("token", self.token),
            shown(self.provider)
        );
        page("Sign in anew", &body, self.targets)
    }
}

impl StepUpPage<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let client = self.client.map(shown);
        let client = client.unwrap_or_else(|| "an app that does not say its name".to_owned());
        let mut body = format!(
            "<h1>Sign in anew for this app?</h1>\
<p>You are signed in as <strong>{}</strong> at {}.</p>\
<p class=\"soft\">What the app wants to do needs a stronger or newer sign-in than the one it has from you. \
If you did not expect this, refuse it.</p>\
<dl><div><dt>App</dt><dd><strong>{client}</strong></dd></div>\
<div><dt>Server</dt><dd>{}</dd></div>",
            shown(self.user),
            shown(self.at),
            shown(self.server)
        );
        if let Some(tool) = self.tool {
            let _written = write!(body, "<div><dt>Tool</dt><dd>{}</dd></div>", shown(tool));
        }
        let (value, words) = match self.found {
            Found::Before => ("anew", "Sign in anew"),
            Found::Enough => ("allow", "Go on"),
        };
        let _written = write!(
            body,
            "</dl><p class=\"soft\">It counts for this app at this server, for a while. Others gain nothing by it.</p>\
<form method=\"post\" action=\"/account/step-up\">{}{}<div class=\"deeds\">\
<button name=\"decision\" value=\"deny\">Refuse</button>\
<button class=\"main\" name=\"decision\" value=\"{value}\">{words}</button></div></form>",
            hidden("token", self.token),
            hidden("link", self.link)
        );
        page("Sign in anew for this app?", &body, self.targets)
    }
}
