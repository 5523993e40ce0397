//! The page on which a user types the code that a device shows.

use super::{Page, hidden, page};
use html_escape::encode_double_quoted_attribute;
use std::fmt::Write as _;

/// The page.
#[derive(Debug)]
pub struct DevicePage<'a> {
    /// What must come along with the form.
    pub token: &'a str,
    /// What a link has brought along; the user has to compare it.
    pub code: &'a str,
    /// What was wrong before; a text of ours.
    pub said: Option<&'static str>,
    /// Where browsers may be sent from here, as the policy writes it.
    pub targets: &'a [&'a str],
}

impl DevicePage<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let mut body = "<h1>Connect a device</h1>".to_owned();
        if let Some(said) = self.said {
            let _written = write!(body, "<p class=\"warn\" role=\"alert\">{said}</p>");
        }
        let asked = if self.code.is_empty() {
            "Type the code that the device or the terminal shows."
        } else {
            "Compare this code with the one that the device or the terminal shows. Go on only if it is the same."
        };
        let _written = write!(
            body,
            "<p>{asked}</p><div class=\"warn\" role=\"note\"><strong>Did somebody send you this code or this link?</strong> \
Then close this page: whoever started it would get access in your name.</div>\
<form method=\"post\" action=\"/device\">{}<p><label for=\"code\">Code</label><br>\
<input id=\"code\" name=\"user_code\" value=\"{}\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" \
maxlength=\"32\" required></p><div class=\"deeds\"><button class=\"main\">Go on</button></div></form>",
            hidden("token", self.token),
            encode_double_quoted_attribute(self.code)
        );
        page("Connect a device", &body, self.targets)
    }
}
