//! What may be shown of a URL or an argument that seems to hold a secret.

use super::interpolate;
use super::suspect::{is_secret_name, is_secret_value, is_setting};

/// What is shown in place of a secret.
pub(crate) const VEIL: &str = "***";

/// After a segment of a path that names a secret, a shorter one is taken for a word.
const MIN_PATH_SECRET_CHARS: usize = 8;

/// A URL without what seems to be a secret in its user, path, query or fragment; the same if there is none.
pub(crate) fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, fragment) = cut(rest, "#");
    let (rest, query) = cut(rest, "?");
    let (authority, path) = cut(rest, "/");
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{VEIL}@{host}"),
        None => authority.to_owned(),
    };
    [
        scheme,
        "://",
        &authority,
        &segments(path),
        &pairs(query),
        &pairs(fragment),
    ]
    .concat()
}

/// Arguments without what seems to be a secret, by its shape or by the name before it.
pub(crate) fn arguments(arguments: &[String]) -> Vec<String> {
    let mut before = "";
    let mut shown = Vec::new();
    for text in arguments {
        shown.push(argument(before, text));
        before = text;
    }
    shown
}

fn argument(before: &str, text: &str) -> String {
    let is_flag = before.starts_with('-') && !before.contains('=');
    if is_flag && is_named(before, text) && !text.starts_with('-') {
        return VEIL.to_owned();
    }
    let named = named(text).filter(|(name, value)| {
        is_named(name.trim_end_matches(['=', ':', ' ']), value) || is_secret_value(value)
    });
    if let Some((name, _)) = named {
        return [name, VEIL].concat();
    }
    if is_secret_value(text) && !text.contains("://") {
        return VEIL.to_owned();
    }
    url(text)
}

/// `--flag=value`, `VARIABLE=value` or `Header: value`, divided before the value.
fn named(text: &str) -> Option<(&str, &str)> {
    let at = text.find(['=', ':'])?;
    let (name, rest) = text.split_at_checked(at)?;
    let is_pair = if rest.starts_with('=') {
        name.starts_with('-') || interpolate::is_variable(name)
    } else {
        !rest.starts_with("://")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let value = rest.trim_start_matches(['=', ':']).trim_start();
    let name = text.strip_suffix(value)?;
    (is_pair && !value.is_empty()).then_some((name, value))
}

fn is_named(name: &str, value: &str) -> bool {
    is_secret_name(name) && !is_setting(value) && !value.starts_with("${")
}

/// A text before a mark, and what begins with the mark.
fn cut<'a>(text: &'a str, mark: &str) -> (&'a str, &'a str) {
    text.find(mark)
        .and_then(|at| text.split_at_checked(at))
        .unwrap_or((text, ""))
}

fn segments(path: &str) -> String {
    let mut before = String::new();
    let mut shown = Vec::new();
    for segment in path.split('/') {
        let plain = decoded(segment);
        let is_key = is_named(&before, &plain)
            && plain.len() >= MIN_PATH_SECRET_CHARS
            && plain.bytes().any(|byte| byte.is_ascii_digit());
        let is_secret = is_key || is_secret_value(&plain);
        shown.push(if is_secret { VEIL } else { segment });
        before = plain;
    }
    shown.join("/")
}

fn pairs(text: &str) -> String {
    let mark = text.get(..1).unwrap_or_default();
    let shown = text.get(1..).unwrap_or_default().split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let plain = decoded(value);
        if !is_named(&decoded(name), &plain) && !is_secret_value(&plain) {
            return pair.to_owned();
        }
        let name = pair.strip_suffix(value).unwrap_or_default();
        [name, VEIL].concat()
    });
    [mark, &shown.collect::<Vec<_>>().join("&")].concat()
}

/// The text with `%41` read as `A`, as far as it is ASCII.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(byte) => {
                plain.push(byte.into());
                plain.push_str(part.get(2..).unwrap_or_default());
            }
            None => plain.extend(["%", part]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        for (text, shown) in [
            ("https://a.example/mcp", "https://a.example/mcp"),
            ("https://a.example", "https://a.example"),
            (
                "https://a.example/v1/servers/files/mcp?tenant=acme",
                "https://a.example/v1/servers/files/mcp?tenant=acme",
            ),
            (
                "https://a.example/auth/mcp?tokens=100",
                "https://a.example/auth/mcp?tokens=100",
            ),
            (
                "https://a.example/mcp?x=1&apiKey=hunter2&y=2",
                "https://a.example/mcp?x=1&apiKey=***&y=2",
            ),
            (
                "https://a.example/mcp?api%4Bey=hunter2",
                "https://a.example/mcp?api%4Bey=***",
            ),
            (
                "https://a.example/mcp?apiKey=${KEY}",
                "https://a.example/mcp?apiKey=${KEY}",
            ),
            (
                "https://a.example/mcp?q7Zk29sLmV0aXhR4bWcY8pTn%3D",
                "https://a.example/mcp?***",
            ),
            (
                "https://a.example/s/q7Zk29sLmV0aXhR4bWcY8pTn/mcp",
                "https://a.example/s/***/mcp",
            ),
            (
                "https://a.example/s/q7Zk29sLmV0aXhR4bWcY8pTn%3d",
                "https://a.example/s/***",
            ),
            (
                "https://a.example/key/hunter2hunter2/mcp",
                "https://a.example/key/***/mcp",
            ),
            (
                "https://a.example/sk-abcdef/mcp#token=abc",
                "https://a.example/***/mcp#token=***",
            ),
            (
                "https://user:pass@a.example/mcp",
                "https://***@a.example/mcp",
            ),
            ("no url", "no url"),
        ] {
            assert_eq!(url(text), shown);
        }
    }

    #[test]
    fn secrets_in_arguments_are_not_shown() {
        for (words, shown) in [
            (
                &["-y", "pkg", "--port", "80", "--flag=on", "C:\\dir", "a:b"][..],
                &["-y", "pkg", "--port", "80", "--flag=on", "C:\\dir", "a:b"][..],
            ),
            (&["--token", "hunter2"], &["--token", "***"]),
            (&["--token", "aHVudGVyMg=="], &["--token", "***"]),
            (&["--token", "--other", "x"], &["--token", "--other", "x"]),
            (&["--token=hunter2", "x"], &["--token=***", "x"]),
            (
                &["--token-limit=100", "--token", "${A}"],
                &["--token-limit=100", "--token", "${A}"],
            ),
            (&["-e", "API_KEY=hunter2"], &["-e", "API_KEY=***"]),
            (
                &["--header", "Authorization: Bearer hunter2"],
                &["--header", "Authorization: ***"],
            ),
            (
                &["--header", "X-Api-Key:hunter2"],
                &["--header", "X-Api-Key:***"],
            ),
            (
                &["mcp-remote", "https://a.example/mcp?apiKey=hunter2"],
                &["mcp-remote", "https://a.example/mcp?apiKey=***"],
            ),
            (
                &["--url=https://a.example/s/q7Zk29sLmV0aXhR4bWcY8pTn/mcp"],
                &["--url=https://a.example/s/***/mcp"],
            ),
            (&["postgres://user:pass@db/app"], &["postgres://***@db/app"]),
            (&["ghp_0123456789abcdef"], &["***"]),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(arguments(&words), shown);
        }
    }
}
