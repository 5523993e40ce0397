//! What a browser is shown: whole pages without script, picture or anything from elsewhere, in which every foreign word
//! is escaped, short, and free of letters that nobody sees.

mod consent;
mod account;
mod owner;
mod device;
mod approval;
mod step_up;
mod definition;
mod style;

pub use account::{Account, Remembered, Visitor};
pub use approval::{ApprovalPage, ApprovalSignIn, Stake};
pub use consent::{Client, Consent, Origin, Scope};
pub use definition::{DefinitionPage, News, Voices};
pub use device::DevicePage;
pub use owner::{OwnerSignIn, Passkeys, SCRIPT, owner_link};
pub use step_up::{Found, StepUpPage, StepUpSignIn};

use html_escape::{encode_double_quoted_attribute, encode_safe};
use std::fmt::Write as _;
use style::{POLICY_OF_STYLE, STYLE};

/// Letters of a foreign text that are shown.
const MAX_LETTERS: usize = 128;

/// A page, and what browsers are told about it.
#[derive(Debug)]
pub struct Page {
    /// The document.
    pub html: String,
    /// Its `Content-Security-Policy`.
    pub policy: String,
}

/// A page that says one thing; title and text are ours.
pub fn notice(title: &str, text: &str) -> Page {
    let body = format!(
        "<h1>{}</h1><p>{}</p>",
        encode_safe(title),
        encode_safe(text)
    );
    page(title, &body, &[])
}

/// A page with one way on, to a path of ours.
pub fn onward(title: &str, path: &str) -> Page {
    let title_text = encode_safe(title);
    let body = format!(
        "<h1>{title_text}</h1><p><a href=\"{}\">Go on</a></p>",
        encode_double_quoted_attribute(path)
    );
    page(title, &body, &[])
}

/// The frame of all pages. Forms go to us, and from there on to `targets`: browsers hold redirects of a form against this
/// list too, and where an identity provider sends its users in between only it knows.
fn page(title: &str, body: &str, targets: &[&str]) -> Page {
    let title = encode_safe(title);
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\">\
<title>{title} - Portcullis</title><style>{STYLE}</style></head>\
<body><header><span class=\"mark\" aria-hidden=\"true\"></span><span>Portcullis</span></header>\
<main>{body}</main></body></html>"
    );
    let mut policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
        *POLICY_OF_STYLE
    );
    for target in targets.iter().filter(|target| is_source(target)) {
        policy.push(' ');
        policy.push_str(target);
    }
    Page { html, policy }
}

/// Whether this stands in a list of the policy as one thing and ends nothing.
fn is_source(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b";,'\"".contains(&byte))
}

/// A foreign text as it is shown.
fn shown(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !is_hidden(*letter)).collect();
    let plain = plain.trim();
    if plain.is_empty() {
        return "<i>without a name</i>".to_owned();
    }
    let mut short: String = plain.chars().take(MAX_LETTERS).collect();
    if short.len() < plain.len() {
        short.push('…');
    }
    format!("<bdi>{}</bdi>", encode_safe(&short))
}

/// What moves other letters about, joins or hides them, or is not seen itself.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A field of a form that nobody sees.
fn hidden(name: &str, value: &str) -> String {
    format!(
        "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
        encode_double_quoted_attribute(value)
    )
}

/// Texts with commas between them, as many as are read.
fn listed(texts: &[String], most: usize) -> String {
    let mut out = String::new();
    for text in texts.iter().take(most) {
        let joint = if out.is_empty() { "" } else { ", " };
        let _written = write!(out, "{joint}<code>{}</code>", shown(text));
    }
    let rest = texts.len().saturating_sub(most);
    if rest > 0 {
        let _written = write!(out, " and {rest} more");
    }
    out
}

#[cfg(test)]
mod tests;
