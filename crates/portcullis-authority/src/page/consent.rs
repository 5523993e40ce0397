//! The page on which a user lets a client in, or does not.

use super::{Page, hidden, listed, page, shown};
use std::fmt::Write as _;

/// Tools of one scope that are named.
const MAX_TOOLS: usize = 12;

/// All that the user has to know.
#[derive(Debug)]
pub struct Consent<'a> {
    /// Who asks.
    pub client: Client<'a>,
    /// Where the answer goes.
    pub redirect: &'a str,
    /// The host of that, or what stands for it.
    pub redirect_host: &'a str,
    /// Whether it goes to a program on the user's own machine.
    pub is_local: bool,
    /// The code that a device shows, if the answer goes to one.
    pub device: Option<&'a str>,
    /// The server that is asked for.
    pub server: &'a str,
    /// What is asked for there.
    pub scopes: &'a [Scope],
    /// Whether something was agreed to before.
    pub is_more: bool,
    /// Who is signed in, and where: the provider.
    pub user: Option<(&'a str, &'a str)>,
    /// Where users sign in.
    pub provider: &'a str,
    /// How long it is remembered, in days; none if the page is shown each time.
    pub days: Option<u64>,
    /// Where the form goes.
    pub action: &'a str,
    /// What must come along with it.
    pub token: &'a str,
    /// Where browsers may be sent from there, as the policy writes it.
    pub targets: &'a [&'a str],
}

/// Who asks, by its own word and by what of it is known.
#[derive(Debug)]
pub struct Client<'a> {
    /// What it calls itself.
    pub name: Option<&'a str>,
    /// Its id.
    pub id: &'a str,
    /// How it is known.
    pub origin: Origin<'a>,
}

/// How a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The operator has registered it.
    Registered,
    /// It is the document at a URL of this host.
    Document(&'a str),
    /// It has registered itself: nobody knows who it is.
    Unverified,
}

/// Something that is asked for.
#[derive(Debug)]
pub struct Scope {
    /// As clients write it.
    pub name: String,
    /// In the operator's words.
    pub words: Option<String>,
    /// The tools that need it.
    pub tools: Vec<String>,
    /// Whether it was not agreed to before.
    pub is_new: bool,
}

impl Consent<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let name = shown(self.client.name.unwrap_or(self.client.id));
        let mut body = format!(
            "<h1>Allow {name} to use <em>{}</em>?</h1>",
            shown(self.server)
        );
        self.whose(&mut body);
        self.who_asks(&mut body);
        self.warnings(&mut body);
        self.asked(&mut body);
        self.form(&mut body);
        page("Allow access?", &body, self.targets)
    }

    fn whose(&self, body: &mut String) {
        let provider = shown(self.provider);
        let text = match self.user {
            Some((name, at)) => format!(
                "<p>You are signed in as <strong>{}</strong> at {}. If that is not you, choose Cancel and sign out on \
<a href=\"/account\">your account page</a>.</p>",
                shown(name),
                shown(at)
            ),
            None => format!(
                "<p>Nobody is signed in here. If you allow this, you sign in at <strong>{provider}</strong> next.</p>"
            ),
        };
        body.push_str(&text);
        body.push_str(
            "<p class=\"soft\">If you did not just start this in an app of yours, choose Cancel.</p>",
        );
    }

    fn who_asks(&self, body: &mut String) {
        let known = match self.client.origin {
            Origin::Registered => "registered by your organisation".to_owned(),
            Origin::Document(host) => format!("verified: published by <strong>{}</strong>", shown(host)),
            Origin::Unverified => {
                "<span class=\"tag doubt\">unverified</span> it has registered itself, and nobody has checked who it is"
                    .to_owned()
            }
        };
        let name = self.client.name.map_or_else(|| "nothing".to_owned(), shown);
        let there = match self.device {
            Some(code) => format!("the device that shows <strong>{}</strong>", shown(code)),
            None => format!(
                "<strong>{}</strong><br><code class=\"soft\">{}</code>",
                shown(self.redirect_host),
                shown(self.redirect)
            ),
        };
        let _written = write!(
            body,
            "<dl><div><dt>The app calls itself</dt><dd>{name}</dd></div>\
<div><dt>Who it is</dt><dd>{known}</dd></div>\
<div><dt>Its id</dt><dd><code>{}</code></dd></div>\
<div><dt>The answer goes to</dt><dd>{there}</dd></div></dl>",
            shown(self.client.id)
        );
    }

    fn warnings(&self, body: &mut String) {
        if let Some(code) = self.device {
            let _written = write!(
                body,
                "<div class=\"warn\" role=\"note\"><strong>Somebody else may have started this.</strong> Allow it only if you \
have started it yourself, on a device or in a terminal in front of you that shows <strong>{}</strong>. If the code came by \
mail, by chat or by telephone, choose Cancel: whoever sent it would get access in your name.</div>",
                shown(code)
            );
        }
        if self.is_local {
            body.push_str(
                "<div class=\"warn\" role=\"note\"><strong>A program on this computer gets the access.</strong> \
Portcullis cannot see which one: any program that runs here can claim this name. Go on only if you have just started \
it yourself.</div>",
            );
        }
    }

    fn asked(&self, body: &mut String) {
        let title = if self.is_more {
            "What it asks for; what is new is marked"
        } else {
            "What it asks for"
        };
        let _written = write!(
            body,
            "<h2 id=\"asked\">{title}</h2><ul aria-labelledby=\"asked\">"
        );
        if self.scopes.is_empty() {
            body.push_str("<li>To use this server as you may use it yourself, within your organisation's rules.</li>");
        }
        for scope in self.scopes {
            let new = if scope.is_new && self.is_more {
                "<span class=\"tag new\">new</span>"
            } else {
                ""
            };
            let code = format!("<code>{}</code>", shown(&scope.name));
            let words = match &scope.words {
                Some(words) => format!("<strong>{}</strong> {code}", shown(words)),
                None => code,
            };
            let tools = if scope.tools.is_empty() {
                "opens no tool by itself".to_owned()
            } else {
                format!("opens {}", listed(&scope.tools, MAX_TOOLS))
            };
            let _written = write!(
                body,
                "<li>{words}{new}<br><span class=\"soft\">{tools}</span></li>"
            );
        }
        body.push_str("</ul>");
    }

    fn form(&self, body: &mut String) {
        let remembered = match self.days {
            // Its programs mostly come back on another port, which is another place.
            Some(days) if self.is_local => format!(
                "Your answer is remembered for {days} days, for this port of your machine only. You can take it back \
at any time on <a href=\"/account\">your account page</a>."
            ),
            Some(days) => format!(
                "Your answer is remembered for {days} days. You can take it back at any time on \
<a href=\"/account\">your account page</a>."
            ),
            None => "You are asked each time. What you allow you can take back on \
<a href=\"/account\">your account page</a>."
                .to_owned(),
        };
        let _written = write!(
            body,
            "<p class=\"soft\">{remembered}</p><form method=\"post\" action=\"{}\">{}<div class=\"deeds\">\
<button class=\"main\" name=\"decision\" value=\"allow\">Allow</button>\
<button name=\"decision\" value=\"deny\">Cancel</button></div></form>",
            html_escape::encode_double_quoted_attribute(self.action),
            hidden("token", self.token)
        );
    }
}
