//! Does this name or this value look like a secret?

/// Words that make a name suspicious; compared with whole words of the name, and with its end.
const NAMES: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "credentials",
    "authorization",
    "auth",
    "apikey",
    "key",
    "pat",
    "bearer",
    "cookie",
    "dsn",
];

/// How the secrets of well-known issuers begin.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "pk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "eyJ",
    "npm_",
    "pypi-",
    "hf_",
    "SG.",
    "dop_v1_",
    "lin_api_",
    "ntn_",
    "secret_",
    "figd_",
    "tvly-",
    "-----BEGIN",
];

/// Shorter values say too little to be judged by their spread of characters.
const MIN_RANDOM_CHARS: usize = 20;

/// Bits a character; English words stay below, random base-64 and mixed identifiers above.
const MIN_RANDOM_BITS: f64 = 3.5;

/// Whether a header, variable or flag of this name usually carries a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    words.iter().any(|word| NAMES.contains(&word.as_str()))
        || ["token", "secret", "password", "apikey", "authorization"]
            .iter()
            .any(|end| joined.ends_with(end))
}

/// Whether a value has the shape of a secret: a known prefix, a password in a URL, or randomness.
pub(crate) fn is_secret_value(value: &str) -> bool {
    let value = value.trim();
    let value = ["Bearer ", "Basic ", "Token "]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme))
        .unwrap_or(value);
    PREFIXES
        .iter()
        .any(|prefix| value.len() > prefix.len() + 3 && value.starts_with(prefix))
        || has_password(value)
        || is_random(value)
}

/// Whether a variable's value is a number or a switch, whatever its name: `TOKEN_LIMIT = "100"`.
pub(crate) fn is_setting(value: &str) -> bool {
    value.is_empty() || value == "true" || value == "false" || value.parse::<u32>().is_ok()
}

/// The parts of `apiKey`, `API_KEY` and `api-key`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in name.chars() {
        let starts = letter.is_uppercase() && lower_before;
        if starts || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        lower_before = letter.is_lowercase() || letter.is_numeric();
    }
    words
}

/// `scheme://user:password@host`. A password that nobody has encoded may have characters that would end a host.
pub(crate) fn has_password(value: &str) -> bool {
    let is_end = |letter: char| letter.is_whitespace() || "\"'<>".contains(letter);
    let is_port = |text: &str| {
        let before = text.split_once('/').map(|(before, _)| before);
        before.is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()))
    };
    value
        .split_once("://")
        .and_then(|(_, rest)| rest.split(is_end).next())
        .and_then(|rest| rest.rsplit_once('@'))
        .and_then(|(before, _)| before.split_once(':'))
        .is_some_and(|(user, rest)| !user.contains(['/', '?', '#']) && !is_port(rest))
}

fn is_random(value: &str) -> bool {
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/_=.-".contains(&byte);
    value.len() >= MIN_RANDOM_CHARS
        && letters
        && digits
        && value.bytes().all(alphabet)
        && !value.starts_with(['/', '.'])
        && bits_a_byte(value) >= MIN_RANDOM_BITS
}

/// Shannon's entropy of the bytes of `value`.
fn bits_a_byte(value: &str) -> f64 {
    let mut seen = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = seen.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f64::from(seen.iter().sum::<u32>());
    seen.iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_words() {
        for name in [
            "Authorization",
            "X-Api-Key",
            "apiKey",
            "GITHUB_TOKEN",
            "DB_PASSWORD",
            "GITHUB_PERSONAL_ACCESS_TOKEN",
            "myapikey",
            "--api-key",
            "client_secret",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "X-Tenant",
            "keyboard",
            "monkey",
            "AUTHOR",
            "HOME",
            "tokenizer",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values_are_judged_by_their_shape() {
        for value in [
            "sk-abcdef",
            "ghp_0123456789abcdef",
            "Bearer eyJhbGciOi.x.y",
            "xoxb-1234-5678",
            "AKIAIOSFODNN7EXAMPLE",
            "postgres://user:pass@db/app",
            "https://user:a/b+c=@host.example/",
            "https://:pass@host.example",
            "q7Zk29sLmV0aXhR4bWcY8pTn",
        ] {
            assert!(is_secret_value(value), "{value}");
        }
        for value in [
            "",
            "acme",
            "https://example.com/mcp",
            "https://registry.example:4873/@scope/package",
            "https://example.com/a:b@c",
            "https://user@example.com/",
            "/home/alice/files-2024-archive",
            "a sentence with 3 words in it",
            "@modelcontextprotocol/server-filesystem",
            "sk-",
            "00000000000000000000000a",
        ] {
            assert!(!is_secret_value(value), "{value}");
        }
    }
}
