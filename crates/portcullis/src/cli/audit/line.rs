//! One line of the log as people read it.

use serde_json::Value;
use std::io::{self, Write as _};

/// What of a record is shown, and where it stands.
const NAMED: &[(&str, &str)] = &[
    ("who", "/principal/sub"),
    ("server", "/server"),
    ("method", "/method"),
    ("target", "/target"),
    ("decision", "/decision/effect"),
    ("rule", "/decision/rule"),
    ("reason", "/reason"),
    ("status", "/outcome/status"),
    ("code", "/outcome/code"),
    ("micros", "/duration_us"),
    ("trace", "/trace"),
];

/// Prints lines as they are, or for people; an error means that whoever read them is gone.
pub(super) fn print(lines: impl Iterator<Item = impl AsRef<str>>, json: bool) -> io::Result<()> {
    // Not by way of `out::print`: an endless output has to end with its reader.
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    for line in lines {
        let line = line.as_ref();
        if json {
            writeln!(stdout, "{line}")?;
        } else {
            writeln!(stdout, "{}", shown(line))?;
        }
    }
    stdout.flush()
}

/// `SEQ TIME EVENT who=… server=… …`: what is there, in one order.
pub(super) fn shown(line: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        return format!("(no record) {}", clean(line));
    };
    let text = |pointer: &str| match record.pointer(pointer) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(clean(text)),
        Some(other) => Some(clean(&other.to_string())),
    };
    let field = |pointer: &str| text(pointer).unwrap_or_default();
    let mut shown = vec![format!(
        "{:>6} {} {:<20}",
        field("/seq"),
        field("/time"),
        field("/event")
    )];
    for (name, pointer) in NAMED {
        let value = text(pointer).filter(|value| !value.is_empty());
        shown.extend(value.map(|value| named(name, &value)));
    }
    let detail = record.get("detail").and_then(Value::as_object);
    for (name, fact) in detail.into_iter().flatten() {
        shown.push(named(
            &clean(name),
            &clean(fact.as_str().unwrap_or_default()),
        ));
    }
    shown.join(" ").trim_end().to_owned()
}

fn named(name: &str, value: &str) -> String {
    if value.contains(' ') {
        format!("{name}=\"{value}\"")
    } else {
        format!("{name}={value}")
    }
}

/// Callers choose these texts: none of them may steer the terminal or turn its direction.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for letter in text.chars() {
        let is_steering = letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || matches!(letter, '\u{e0000}'..='\u{e007f}');
        if is_steering {
            clean.extend(letter.escape_unicode());
        } else {
            clean.push(letter);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_line_is_shown_without_steering_the_terminal() {
        let line = r#"{"v":1,"seq":7,"time":"T","event":"authz.deny","principal":{"iss":"i","sub":"al\u001b[2Jice"},"target":"a b"}"#;
        assert_eq!(
            shown(line),
            r#"     7 T authz.deny           who=al\u{1b}[2Jice target="a b""#
        );
        assert_eq!(shown("x\u{202e}y"), r"(no record) x\u{202e}y");
    }
}
