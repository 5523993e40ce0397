//! Annotations that say the opposite of name and description: they are the server's word and nobody checks it.

use super::{Finding, Rule, Severity, show};
use serde_json::Value;

const READ_ONLY: Rule = Rule::new("annotation-read-only", "SAFE-T1001", Severity::Medium);
const DESTRUCTIVE: Rule = Rule::new("annotation-not-destructive", "SAFE-T1001", Severity::Medium);
const CLOSED: Rule = Rule::new("annotation-closed-world", "SAFE-T1001", Severity::Low);

/// Verbs of tools that change something.
const WRITES: [&str; 46] = [
    "add",
    "append",
    "apply",
    "approve",
    "archive",
    "assign",
    "attach",
    "book",
    "buy",
    "cancel",
    "change",
    "clear",
    "close",
    "commit",
    "create",
    "delete",
    "deploy",
    "destroy",
    "disable",
    "drop",
    "edit",
    "enable",
    "execute",
    "insert",
    "kill",
    "merge",
    "move",
    "patch",
    "pay",
    "post",
    "publish",
    "purge",
    "push",
    "put",
    "remove",
    "rename",
    "reset",
    "revoke",
    "send",
    "set",
    "terminate",
    "transfer",
    "truncate",
    "update",
    "upload",
    "write",
];
/// Verbs of tools that destroy something.
const DESTROYS: [&str; 12] = [
    "delete",
    "destroy",
    "drop",
    "erase",
    "kill",
    "overwrite",
    "purge",
    "remove",
    "revoke",
    "terminate",
    "truncate",
    "wipe",
];
/// Verbs of tools that reach other hosts.
const REACHES: [&str; 7] = [
    "browse", "email", "fetch", "post", "publish", "send", "upload",
];
/// First words of tools that only look, whatever follows.
const LOOKS: [&str; 14] = [
    "check", "count", "describe", "find", "get", "is", "list", "lookup", "preview", "query",
    "read", "search", "show", "view",
];

/// Looks at what the annotations say.
pub(super) fn look(definition: &Value, found: &mut Vec<Finding>) {
    let Some(annotations) = definition.get("annotations") else {
        return;
    };
    let says =
        |hint: &str, value: bool| annotations.get(hint).and_then(Value::as_bool) == Some(value);
    let words = words(definition);
    let verb = |verbs: &[&'static str]| {
        let first = words.first()?;
        let is_first = verbs.iter().find(|verb| first == **verb);
        let any = || {
            verbs
                .iter()
                .find(|verb| words.iter().any(|word| word == **verb))
        };
        is_first
            .or_else(|| any().filter(|_| !LOOKS.contains(&first.as_str())))
            .copied()
    };
    let mut tell = |rule: Rule, hint: &str, verb: &str| {
        let pointer = format!("/annotations/{hint}");
        let name = definition
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let reason = format!(
            "{hint} does not go with \u{201c}{verb}\u{201d} in the tool's name or first words"
        );
        found.push(rule.finding(&pointer, show::excerpt(name, 0), reason));
    };
    for (hint, value, verbs, rule) in [
        ("readOnlyHint", true, WRITES.as_slice(), READ_ONLY),
        ("destructiveHint", false, &DESTROYS, DESTRUCTIVE),
        ("openWorldHint", false, &REACHES, CLOSED),
    ] {
        if let Some(verb) = verb(verbs).filter(|_| says(hint, value)) {
            tell(rule, hint, verb);
        }
    }
}

/// The words of the name, in lower case.
pub(super) fn words(definition: &Value) -> Vec<String> {
    let name = definition
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for char in name.chars().take(256) {
        let is_start = !char.is_alphanumeric() || (char.is_uppercase() && was_lower);
        was_lower = char.is_lowercase();
        if is_start && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(name: &str, annotations: &Value) -> Vec<&'static str> {
        let mut found = Vec::new();
        look(
            &json!({ "name": name, "annotations": annotations }),
            &mut found,
        );
        found.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn atk_057_annotations_that_lie_are_found() {
        for (name, annotations, expected) in [
            (
                "delete_file",
                json!({"readOnlyHint": true}),
                "annotation-read-only",
            ),
            (
                "notes.writeNote",
                json!({"readOnlyHint": true}),
                "annotation-read-only",
            ),
            (
                "FileDelete",
                json!({"destructiveHint": false}),
                "annotation-not-destructive",
            ),
            (
                "send-email",
                json!({"openWorldHint": false}),
                "annotation-closed-world",
            ),
        ] {
            assert_eq!(rules(name, &annotations), [expected], "{name}");
        }
    }

    #[test]
    fn honest_annotations_pass() {
        for (name, annotations) in [
            (
                "delete_file",
                json!({"readOnlyHint": false, "destructiveHint": true}),
            ),
            ("get_set", json!({"readOnlyHint": true})),
            ("list_commits", json!({"readOnlyHint": true})),
            ("settings", json!({"readOnlyHint": true})),
        ] {
            assert_eq!(rules(name, &annotations), Vec::<&str>::new(), "{name}");
        }
    }
}
