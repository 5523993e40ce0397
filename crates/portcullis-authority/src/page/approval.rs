//! The page on which somebody approves a call. What is called and with what are words of others, shown whole and with what
//! is usually not seen made visible.

use super::{Page, hidden, is_hidden, page, shown};
use html_escape::encode_safe;
use std::fmt::Write as _;

/// The page.
#[derive(Debug)]
pub struct ApprovalPage<'a> {
    /// Who looks at it.
    pub user: &'a str,
    /// Where they have signed in.
    pub at: &'a str,
    /// Who calls, if that is somebody else.
    pub asker: Option<&'a str>,
    /// The program that calls.
    pub client: Option<&'a str>,
    /// At which server.
    pub server: &'a str,
    /// Which tool.
    pub tool: &'a str,
    /// With what, on lines.
    pub arguments: &'a str,
    /// How much is at stake.
    pub stake: Stake,
    /// What must come along with the form.
    pub token: &'a str,
    /// By what it is found again.
    pub link: &'a str,
}

/// How much is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stake {
    /// A click is enough.
    Low,
    /// The tool's name has to be typed.
    High,
    /// Another text was typed.
    HighAgain,
}

/// What strangers see: nothing of the call.
#[derive(Debug)]
pub struct ApprovalSignIn<'a> {
    /// What must come along.
    pub token: &'a str,
    /// Where users sign in.
    pub provider: &'a str,
    /// Where browsers may be sent from there, as the policy writes it.
    pub targets: &'a [&'a str],
}

impl ApprovalSignIn<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let body = format!(
            "<h1>Something needs your approval</h1><p>Sign in to see what it is.</p>\
<form method=\"post\" action=\"/account/sign-in\">{}<div class=\"deeds\">\
<button class=\"main\">Sign in at {}</button></div></form>",
            hidden("token", self.token),
            shown(self.provider)
        );
        page("Approval", &body, self.targets)
    }
}

impl ApprovalPage<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let mut body = match self.stake {
            Stake::Low => String::from("<h1>Allow this call?</h1>"),
            Stake::High | Stake::HighAgain => String::from(
                "<div class=\"warn high\" role=\"note\"><strong>High risk</strong>\
What this does may not be undone. Read all of it.</div><h1>Allow this call, which is of high risk?</h1>",
            ),
        };
        self.facts(&mut body);
        self.form(&mut body);
        let title = match self.stake {
            Stake::Low => "Allow this call?",
            Stake::High | Stake::HighAgain => "High risk: allow this call?",
        };
        page(title, &body, &[])
    }

    fn facts(&self, body: &mut String) {
        let asker = match self.asker {
            Some(asker) => format!("<strong>{}</strong>, not you", shown(asker)),
            None => "you".to_owned(),
        };
        let client = self.client.map(shown);
        let client = client.unwrap_or_else(|| "an app that does not say its name".to_owned());
        let _written = write!(
            body,
            "<p>You are signed in as <strong>{}</strong> at {}.</p>\
<p class=\"soft\">If you did not expect this, refuse it.</p>\
<dl><div><dt>Server</dt><dd><strong>{}</strong></dd></div>\
<div><dt>Tool</dt><dd><code>{}</code></dd></div>\
<div><dt>Called by</dt><dd>{asker}, through {client}</dd></div></dl>\
<h2 id=\"with\">With these arguments</h2>\
<p class=\"soft\">Written by the app, perhaps at the word of somebody else: nothing in it comes from Portcullis. Secrets are \
hidden; letters that nobody sees stand in brackets.</p>\
<pre aria-labelledby=\"with\">{}</pre>",
            shown(self.user),
            shown(self.at),
            shown(self.server),
            visible(self.tool),
            visible(self.arguments)
        );
    }

    fn form(&self, body: &mut String) {
        let typed = match self.stake {
            Stake::Low => String::new(),
            Stake::High => self.field(""),
            Stake::HighAgain => self.field(
                "<p role=\"alert\" class=\"doubt\">That is not the name of the tool. Nothing was allowed.</p>",
            ),
        };
        let _written = write!(
            body,
            "<p class=\"soft\">It is for this call alone: once, with just these arguments.</p>\
<form method=\"post\" action=\"/account/approval\">{}{}{typed}<div class=\"deeds\">\
<button name=\"decision\" value=\"deny\">Refuse</button>\
<button class=\"main\" name=\"decision\" value=\"allow\">Allow once</button></div></form>",
            hidden("token", self.token),
            hidden("link", self.link)
        );
    }

    fn field(&self, said: &str) -> String {
        format!(
            "{said}<p><label for=\"typed\">To allow it, type the name of the tool: <code>{}</code></label><br>\
<input id=\"typed\" name=\"typed\" autocomplete=\"off\" spellcheck=\"false\"></p>",
            visible(self.tool)
        )
    }
}

/// A foreign text, whole, in which what nobody sees has a name.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter != '\n' && is_hidden(letter) {
            let _written = write!(out, "<mark>[U+{:04X}]</mark>", u32::from(letter));
        } else {
            out.push_str(&encode_safe(letter.encode_utf8(&mut [0; 4])));
        }
    }
    format!("<bdi>{out}</bdi>")
}
