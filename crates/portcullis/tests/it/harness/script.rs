//! An MCP server on stdin and stdout, as a shell script: it misbehaves where a tool's name tells it to.

use super::client::unique;
use std::collections::BTreeSet;

/// What every such server can do; `DEEDS` are the cases of its own. `$id` is that of the request.
const SCRIPT: &str = r#"
: MARK
say() { printf '%s\n' "$1"; }
answer() { say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}"; }
text() { answer "{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*) answer '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}' ;;
    *'"method":"notifications/'*) ;;
    DEEDS
    *'"method":"tools/list"'*) answer '{"tools":[TOOLS]}' ;;
    *'"name":"whoami"'*) text $$ ;;
    *) text done ;;
  esac
done
"#;

/// One such server.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    mark: String,
    text: String,
}

impl Script {
    /// A server with these cases of the shell's `case` before the usual ones.
    pub(crate) fn new(deeds: &str) -> Self {
        let tools = listed(deeds);
        Self::whole(&SCRIPT.replace("DEEDS", deeds).replace("TOOLS", &tools))
    }

    /// A script that is not even like that.
    pub(crate) fn whole(text: &str) -> Self {
        let mark = format!("portcullis-test-{}-{}", std::process::id(), unique());
        Self {
            text: text.replace("MARK", &mark),
            mark,
        }
    }

    /// What its processes have among their arguments, and what `MARK` stands for.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// The arguments of `/bin/sh`.
    pub(crate) fn arguments(&self) -> [&str; 2] {
        ["-c", &self.text]
    }

    /// Its table in a configuration, as the server `notes` that everyone may use.
    pub(crate) fn server(&self) -> String {
        format!(
            "[issuers.idp]\nissuer = \"{{idp}}\"\n[servers.notes]\ncommand = \"/bin/sh\"\nargs = [\"-c\", \'\'\'{}\'\'\']\n\
             env = {{ PATH = \"/usr/bin:/bin\" }}\nallow = [\"*\"]\n",
            self.text
        )
    }
}

/// Every tool that the cases name, and those that each has.
fn listed(deeds: &str) -> String {
    let named = deeds.split("\"name\":\"").skip(1);
    let named = named.filter_map(|rest| rest.split('"').next());
    let is_name = |name: &&str| {
        name.chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    let all: BTreeSet<&str> = ["echo", "whoami"]
        .into_iter()
        .chain(named.filter(is_name))
        .collect();
    let all = all
        .into_iter()
        .map(|name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#));
    all.collect::<Vec<_>>().join(",")
}
