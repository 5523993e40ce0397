//! The pages on which the owner of the machine signs in. They alone have a script, which passkeys need.

use super::{Page, hidden, page, shown};
use html_escape::encode_double_quoted_attribute;
use serde_json::Value;
use std::fmt::Write as _;

/// What passkeys need in the browser.
pub const SCRIPT: &str = include_str!("passkey.js");

/// Where the owner signs in.
#[derive(Debug)]
pub struct OwnerSignIn<'a> {
    /// What must come along.
    pub token: &'a str,
    /// What the browser is asked for, if there is a passkey.
    pub passkey: Option<&'a Value>,
    /// What did not work; a text of ours.
    pub said: Option<&'static str>,
    /// Where browsers may be sent from here, as the policy writes it.
    pub targets: &'a [&'a str],
}

/// Where the owner sees the passkeys.
#[derive(Debug)]
pub struct Passkeys<'a> {
    /// What must come along to remove one.
    pub token: &'a str,
    /// What must come along to add one, and what the browser is asked for; nothing where none can be added.
    pub new: Option<(&'a str, &'a Value)>,
    /// Those that are known: what removes it, and when it came and was used, in words.
    pub known: &'a [(String, String)],
    /// What did not work; a text of ours.
    pub said: Option<&'static str>,
}

/// Asks whether to use a link, so that nothing that only looks at links uses it up.
pub fn owner_link(token: &str) -> Page {
    let body = format!(
        "<h1>Sign in as the owner</h1><p>This link came from the terminal in which Portcullis runs. Whoever is signed in \
as the owner decides which apps may use its servers.</p><p><strong>If it did not come from your own terminal, close this \
page.</strong></p><form method=\"post\" action=\"/account/owner\">{}<div class=\"deeds\">\
<button class=\"main\">Sign in here</button></div></form>",
        hidden("token", token)
    );
    page("Sign in", &body, &[])
}

impl OwnerSignIn<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let mut body = "<h1>Sign in as the owner</h1>".to_owned();
        warn(&mut body, self.said);
        if let Some(options) = self.passkey {
            let button = "<button class=\"main\">Use a passkey</button>";
            form(
                &mut body,
                ("/account/passkey", button),
                (self.token, options),
            );
            body.push_str("<noscript><p>Passkeys need JavaScript. A link does not.</p></noscript>");
        }
        let _written = write!(
            body,
            "<h2>With a link</h2><p>Use the link that <code>portcullis up</code> has printed, or print a new one with \
<code>portcullis owner link</code>. Open it in this browser, sign in there, and come back to this page.</p>\
<form method=\"post\" action=\"/account/passkey\">{}<button>I have signed in: go on</button></form>",
            hidden("token", self.token)
        );
        scripted("Sign in", body, self.targets)
    }
}

impl Passkeys<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let mut body = "<h1>Your passkeys</h1><p>With a passkey you sign in without a link from the terminal. It stays on \
your device, and there is no password.</p>"
            .to_owned();
        warn(&mut body, self.said);
        match self.new {
            Some(new) => {
                let button = "<button class=\"main\">Add a passkey</button>";
                form(&mut body, ("/account/passkeys/add", button), new);
                body.push_str("<noscript><p>Passkeys need JavaScript. Links from the terminal do not.</p></noscript>");
            }
            None => body.push_str(
                "<p>None can be added here. Browsers have passkeys for <code>https</code> and for \
<code>http://localhost</code> only, and there are at most sixteen.</p>",
            ),
        }
        body.push_str("<ul>");
        for (index, (id, words)) in self.known.iter().enumerate() {
            let _written = write!(
                body,
                "<li><span id=\"passkey-{index}\">Passkey, {}</span><form method=\"post\" action=\"/account/passkeys/remove\">{}{}\
<button class=\"small\" aria-describedby=\"passkey-{index}\">Remove</button></form></li>",
                shown(words),
                hidden("token", self.token),
                hidden("id", id)
            );
        }
        body.push_str("</ul><p><a href=\"/account\">Your account</a></p>");
        scripted("Your passkeys", body, &[])
    }
}

fn warn(body: &mut String, said: Option<&'static str>) {
    if let Some(said) = said {
        let _written = write!(body, "<p class=\"warn\" role=\"alert\">{said}</p>");
    }
}

/// A form that the script fills in, and shows.
fn form(body: &mut String, (action, button): (&str, &str), (token, options): (&str, &Value)) {
    let _written = write!(
        body,
        "<form method=\"post\" action=\"{action}\" hidden data-passkey=\"{}\">{}{}<div class=\"deeds\">{button}</div>\
<p role=\"status\"></p></form>",
        encode_double_quoted_attribute(&options.to_string()),
        hidden("token", token),
        hidden("answer", "")
    );
}

fn scripted(title: &str, mut body: String, targets: &[&str]) -> Page {
    body.push_str("<script src=\"/account/passkey.js\" defer></script>");
    let mut page = page(title, &body, targets);
    page.policy.push_str("; script-src 'self'");
    page
}
