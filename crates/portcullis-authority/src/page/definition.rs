//! The page on which somebody decides whether a version of what a server defines is to be served. All of it are words of
//! the server, shown whole and with what is usually not seen made visible.

use super::approval::visible;
use super::{Page, hidden, page, shown};
use std::fmt::Write as _;

/// The page.
#[derive(Debug)]
pub struct DefinitionPage<'a> {
    /// Who looks at it.
    pub user: &'a str,
    /// Where they have signed in.
    pub at: &'a str,
    /// At which server.
    pub server: &'a str,
    /// Of what kind it is.
    pub kind: &'a str,
    /// What it is called.
    pub name: &'a str,
    /// What is new.
    pub news: News,
    /// The risk, what was found, and what has changed, on lines.
    pub review: &'a str,
    /// Whether somebody else has to approve it too.
    pub voices: Voices,
    /// What must come along with the form.
    pub token: &'a str,
    /// By what it is found again.
    pub link: &'a str,
}

/// What is new of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// All of it.
    First,
    /// It was approved in another version, which is listed until somebody decides.
    Change,
}

/// How many have to approve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voices {
    /// Whoever looks at it.
    One,
    /// Somebody else too.
    Two,
}

impl DefinitionPage<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let (title, soft) = match self.news {
            News::First => (
                "Use this from now on?",
                "Nobody has approved it yet, so no app is shown it.",
            ),
            News::Change => (
                "Use it as it is now?",
                "It has changed since it was approved. Until you decide, apps are shown the version before, and it is not called.",
            ),
        };
        let two = match self.voices {
            Voices::One => "",
            Voices::Two => "<p class=\"soft\">Somebody else has to approve it too.</p>",
        };
        let mut body = format!("<h1>{title}</h1>");
        let _written = write!(
            body,
            "<p>You are signed in as <strong>{}</strong> at {}.</p>\
<p class=\"soft\">{soft}</p>\
<dl><div><dt>Server</dt><dd><strong>{}</strong></dd></div>\
<div><dt>{}</dt><dd><code>{}</code></dd></div></dl>\
<h2 id=\"review\">What it says</h2>\
<p class=\"soft\">Written by the server, for the model that your app uses. [-This-] is gone and {{+this+}} is new; letters that \
nobody sees have names in brackets.</p>\
<pre aria-labelledby=\"review\">{}</pre>\
<p class=\"soft\">It holds for everyone who uses the server, for just this version.</p>{two}\
<form method=\"post\" action=\"/account/approval\">{}{}<div class=\"deeds\">\
<button name=\"decision\" value=\"deny\">Reject</button>\
<button class=\"main\" name=\"decision\" value=\"allow\">Approve</button></div></form>",
            shown(self.user),
            shown(self.at),
            shown(self.server),
            shown(self.kind),
            visible(self.name),
            visible(self.review),
            hidden("token", self.token),
            hidden("link", self.link)
        );
        page(title, &body, &[])
    }
}
