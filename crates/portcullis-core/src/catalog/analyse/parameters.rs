//! Parameters that ask for more than a tool needs: credentials, the conversation, a place to smuggle.

use super::{Finding, Rule, Severity, show};
use serde_json::Value;

const CREDENTIAL: Rule = Rule::new("parameter-credential", "SAFE-T1502", Severity::Low);
const SMUGGLING: Rule = Rule::new("parameter-smuggling", "AML.T0057", Severity::Low);
const COMMAND: Rule = Rule::new("parameter-command", "AML.T0053", Severity::Medium);

/// Parts of names of parameters that carry credentials.
const CREDENTIALS: [&str; 22] = [
    "password",
    "passwd",
    "passphrase",
    "api_key",
    "apikey",
    "secret",
    "access_token",
    "auth_token",
    "bearer",
    "private_key",
    "ssh",
    "id_rsa",
    "credential",
    "cookie",
    "session_token",
    "seed_phrase",
    "mnemonic",
    "env_vars",
    "environment_variables",
    "dotenv",
    "keychain",
    "aws_access",
];
/// Names of parameters into which a model writes what it knows, and parts of names that say it plainly.
const SIDE_CHANNELS: [&str; 18] = [
    "context",
    "metadata",
    "notes",
    "note",
    "debug",
    "debug_info",
    "trace",
    "extra",
    "additional_info",
    "additional_context",
    "comment",
    "memo",
    "scratchpad",
    "feedback",
    "diagnostics",
    "telemetry",
    "summary_of_task",
    "annotation",
];
const CONVERSATION: [&str; 14] = [
    "sidenote",
    "side_note",
    "conversation",
    "chat_history",
    "chat_log",
    "system_prompt",
    "chain_of_thought",
    "reasoning",
    "thoughts",
    "previous_messages",
    "message_history",
    "full_context",
    "user_prompt",
    "model_name",
];
/// What only a shell reads.
const COMMANDS: [&str; 12] = [
    "$(",
    "curl ",
    "wget ",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "rm -rf",
    "powershell -",
    "nc -e",
    "/bin/sh",
    "&& ",
];

/// Looks at the parameters of a tool.
pub(super) fn look(definition: &Value, found: &mut Vec<Finding>) {
    let properties = definition
        .pointer("/inputSchema/properties")
        .and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten().take(512) {
        let pointer = format!(
            "/inputSchema/properties/{}",
            name.replace('~', "~0").replace('/', "~1")
        );
        let plain = snake(name);
        let mut tell = |rule: Rule, reason: &str| {
            found.push(rule.finding(&pointer, show::excerpt(name, 0), reason));
        };
        if CREDENTIALS.iter().any(|part| plain.contains(part)) {
            tell(
                CREDENTIAL,
                "a parameter that takes a credential, which then stands in the conversation",
            );
        } else if CONVERSATION.iter().any(|part| plain.contains(part)) {
            let severity = Severity::Medium;
            let rule = Rule {
                severity,
                ..SMUGGLING
            };
            tell(
                rule,
                "a parameter into which the model is to write what was said or thought",
            );
        } else if SIDE_CHANNELS.contains(&plain.as_str()) && is_free_text(schema) {
            tell(
                SMUGGLING,
                "a free text beside the task, in which other data can leave",
            );
        }
        let default = schema
            .get("default")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(at) = COMMANDS.iter().find_map(|command| default.find(command)) {
            let reason = "a default that is a command for a shell";
            let excerpt = show::excerpt(default, at);
            found.push(COMMAND.finding(&format!("{pointer}/default"), excerpt, reason));
        }
    }
}

fn is_free_text(schema: &Value) -> bool {
    schema
        .get("type")
        .and_then(Value::as_str)
        .is_none_or(|kind| kind == "string")
        && schema.get("enum").is_none()
        && schema.get("format").is_none()
}

/// A name as `small_words`.
fn snake(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for char in name.chars().take(256) {
        if char.is_ascii_uppercase() && was_lower {
            plain.push('_');
        }
        was_lower = char.is_ascii_lowercase() || char.is_ascii_digit();
        let char = if matches!(char, '-' | ' ' | '.') {
            '_'
        } else {
            char
        };
        plain.extend(char.to_lowercase());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn poi_03_parameters_that_smuggle_are_found() {
        for (name, rule) in [
            ("sidenote", "parameter-smuggling"),
            ("chatHistory", "parameter-smuggling"),
            ("context", "parameter-smuggling"),
            ("api-key", "parameter-credential"),
            ("sshPrivateKey", "parameter-credential"),
        ] {
            let mut found = Vec::new();
            look(
                &json!({ "inputSchema": { "properties": { name: { "type": "string" } } } }),
                &mut found,
            );
            assert_eq!(
                found.iter().map(|finding| finding.rule).collect::<Vec<_>>(),
                [rule],
                "{name}"
            );
        }
    }

    #[test]
    fn poi_03_a_default_that_is_a_command_is_found() {
        let mut found = Vec::new();
        let schema = json!({ "type": "string", "default": "$(cat /etc/passwd)" });
        look(
            &json!({ "inputSchema": { "properties": { "path": schema } } }),
            &mut found,
        );
        assert_eq!(found[0].rule, "parameter-command");
        assert_eq!(found[0].pointer, "/inputSchema/properties/path/default");
    }
}
