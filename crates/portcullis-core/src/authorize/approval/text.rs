//! Arguments as one text: for a digest, in which only their meaning counts, and for somebody to read.
//!
//! Numbers stand as they came: two that differ only beyond what a machine's number holds are two texts.

use crate::inspect::{is_secret_name, is_secret_text};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const REDACTED: &str = "\"[redacted]\"";

/// How it is written.
#[derive(Clone, Copy)]
enum Form {
    /// Without spaces, and with everything.
    Canonical,
    /// On lines of its own at this depth, without what looks like a secret.
    Shown(usize),
}

/// The same text for the same arguments, however they were laid out and ordered.
pub(super) fn canonical(arguments: &RawValue) -> Option<String> {
    written(arguments, Form::Canonical)
}

/// The arguments to be read by somebody.
pub(super) fn shown(arguments: &RawValue) -> Option<String> {
    written(arguments, Form::Shown(0))
}

fn written(value: &RawValue, form: Form) -> Option<String> {
    let mut out = String::new();
    write(value.get(), form, &mut out)?;
    Some(out)
}

impl Form {
    const fn inner(self) -> Self {
        match self {
            Self::Canonical => Self::Canonical,
            Self::Shown(depth) => Self::Shown(depth.saturating_add(1)),
        }
    }

    /// What stands before a member or an item.
    fn begin(self, index: usize, out: &mut String) {
        if index > 0 {
            out.push(',');
        }
        self.inner().line(out);
    }

    fn line(self, out: &mut String) {
        if let Self::Shown(depth) = self {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    const fn colon(self) -> &'static str {
        match self {
            Self::Canonical => ":",
            Self::Shown(_) => ": ",
        }
    }

    const fn is_shown(self) -> bool {
        matches!(self, Self::Shown(_))
    }
}

/// What was read strictly before is not deeper than [`crate::protocol::MAX_DEPTH`].
fn write(text: &str, form: Form, out: &mut String) -> Option<()> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'{' => write_object(text, form, out),
        b'[' => write_array(text, form, out),
        b'"' => {
            let said: String = serde_json::from_str(text).ok()?;
            if form.is_shown() && is_secret_text(&said) {
                out.push_str(REDACTED);
            } else {
                out.push_str(&serde_json::to_string(&said).ok()?);
            }
            Some(())
        }
        _ => {
            out.push_str(text);
            Some(())
        }
    }
}

fn write_object(text: &str, form: Form, out: &mut String) -> Option<()> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        form.begin(index, out);
        out.push_str(&serde_json::to_string(name).ok()?);
        out.push_str(form.colon());
        if form.is_shown() && is_secret_name(name) {
            out.push_str(REDACTED);
        } else {
            write(value.get(), form.inner(), out)?;
        }
    }
    if !members.is_empty() {
        form.line(out);
    }
    out.push('}');
    Some(())
}

fn write_array(text: &str, form: Form, out: &mut String) -> Option<()> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        form.begin(index, out);
        write(item.get(), form.inner(), out)?;
    }
    if !items.is_empty() {
        form.line(out);
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, write: fn(&RawValue) -> Option<String>) -> String {
        write(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn dyn_01_one_meaning_is_one_text_and_two_are_two() {
        let one = of(r#"{"b":[1, 2],"a":{"x":"é\u0041"}}"#, canonical);
        assert_eq!(one, "{\"a\":{\"x\":\"éA\"},\"b\":[1,2]}");
        for same in [
            r#"{ "a" : {"x":"\u00e9A"} , "b":[1,2] }"#,
            "{\"\\u0061\":{\"x\":\"éA\"},\n\"b\":[ 1,\t2]}",
        ] {
            assert_eq!(of(same, canonical), one, "{same}");
        }
        for other in [
            r#"{"a":{"x":"éA"},"b":[2,1]}"#,
            r#"{"a":{"x":"éA"},"b":[1.0,2]}"#,
            r#"{"a":{"x":"e\u0301A"},"b":[1,2]}"#,
            r#"{"a":{"x":"éA "},"b":[1,2]}"#,
            r#"{"a":{"x":"éA"},"b":["1",2]}"#,
        ] {
            assert_ne!(of(other, canonical), one, "{other}");
        }
        // Both are one number to a machine.
        let (less, more) = ("18446744073709551616", "18446744073709551617");
        assert_ne!(of(less, canonical), of(more, canonical));
    }

    #[test]
    fn dyn_01_what_is_shown_is_whole_but_for_secrets() {
        let long = "x".repeat(4000);
        let text = format!(
            r#"{{"to":"{long}","password":"hunter2","n":18446744073709551617,"h":["Bearer abc"],"e":[],"o":{{}}}}"#
        );
        let shown = of(&text, shown);
        assert!(shown.contains(&long));
        assert!(shown.contains("\"n\": 18446744073709551617"));
        assert!(shown.contains("\"password\": \"[redacted]\""));
        assert!(shown.contains("\n    \"[redacted]\"\n  ]"), "{shown}");
        assert!(shown.contains("\"e\": []") && shown.contains("\"o\": {}"));
        assert!(!shown.contains("hunter2") && !shown.contains("abc"));
    }
}
