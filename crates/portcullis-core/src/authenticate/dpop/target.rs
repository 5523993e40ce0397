//! URLs in one spelling (RFC 3986 sections 6.2.2 and 6.2.3), as far as a proof's `htu` may differ from ours.

/// Whether a proof's `htu` is the resource's own URL. What has a query, a fragment or a user name never is.
pub(super) fn is_same(claimed: &str, own: &str) -> bool {
    if claimed == own {
        return true;
    }
    matches!((spelled(claimed), spelled(own)), (Some(claimed), Some(own)) if claimed == own)
}

/// Scheme and host in lower case, without the scheme's own port, the path without needless escapes.
fn spelled(url: &str) -> Option<String> {
    let is_foreign = |byte: u8| !byte.is_ascii_graphic() || b"?#@\\\"<>^`{|}".contains(&byte);
    if url.bytes().any(is_foreign) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let default = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = authority
        .strip_suffix(default)
        .or(authority.strip_suffix(':'))
        .unwrap_or(&authority);
    Some(format!("{scheme}://{authority}/{}", unescaped(path)?))
}

/// A path whose escapes stand only for what must be escaped, in upper case.
fn unescaped(path: &str) -> Option<String> {
    let mut plain = String::with_capacity(path.len());
    let mut parts = path.split('%');
    plain.push_str(parts.next()?);
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let letter = char::from(u8::from_str_radix(digits, 16).ok()?);
        if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~') {
            plain.push(letter);
        } else {
            plain.push('%');
            plain.push_str(&digits.to_ascii_uppercase());
        }
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn tok_14_knows_a_url_by_any_spelling_and_no_other() {
        const OWN: &str = "https://gate.example/servers/notes/mcp";
        for (claimed, expected) in [
            (OWN, true),
            ("HTTPS://Gate.Example/servers/notes/mcp", true),
            ("https://gate.example:443/servers/notes/mcp", true),
            ("https://gate.example:/servers/notes/mcp", true),
            ("https://gate.example/servers/%6eotes/mcp", true),
            ("http://gate.example/servers/notes/mcp", false),
            ("https://gate.example:80/servers/notes/mcp", false),
            ("https://gate.example:8443/servers/notes/mcp", false),
            ("https://gate.example/servers/Notes/mcp", false),
            ("https://gate.example/servers/notes/mcp/", false),
            ("https://gate.example/servers/notes/mcp?", false),
            ("https://gate.example/servers/notes/mcp?a=b", false),
            ("https://gate.example/servers/notes/mcp#", false),
            ("https://gate.example/servers%2fnotes/mcp", false),
            ("https://gate.example/servers/x/../notes/mcp", false),
            ("https://gate.example/servers/notes/mcp%", false),
            ("https://gate.example/servers/notes/mcp%2", false),
            ("https://gate.example/servers/%+6eotes/mcp", false),
            ("https://user@gate.example/servers/notes/mcp", false),
            ("https://gate.example\\servers/notes/mcp", false),
            (" https://gate.example/servers/notes/mcp", false),
            ("https:/gate.example/servers/notes/mcp", false),
            ("/servers/notes/mcp", false),
            ("", false),
        ] {
            assert_eq!(is_same(claimed, OWN), expected, "{claimed}");
        }
        assert!(is_same("https://gate.example", "https://gate.example/"));
    }
}
