//! Secrets stand elsewhere than in the file.

use super::*;

#[rustfmt::skip]
const SECRETS: &[(&str, usize, &str, &str)] = &[
    ("headers.Authorization = \"Bearer hunter2\"", 25, ".headers.Authorization", "must not stand in this file"),
    ("headers.X-Api-Key = \"hunter2\"", 21, ".headers.X-Api-Key", "{ env = \"X_API_KEY\" }"),
    ("headers.X-Note = \"ghp_hunter2hunter2\"", 18, ".headers.X-Note", "must not stand in this file"),
    ("headers.A = { env = \"NOPE\" }", 21, ".headers.A.env", "`NOPE` is not set"),
    ("headers.A = { env = \"EMPTY\" }", 21, ".headers.A.env", "it is empty"),
    ("headers.A = { file = \"missing\" }", 22, ".headers.A.file", "cannot read the file"),
    ("headers.A = { file = \"empty\" }", 22, ".headers.A.file", "it is empty"),
    ("headers.A = { file = \"x\", env = \"TOKEN\" }", 9, ".headers.A", "both `file` and `env`"),
    ("headers.A = {}", 9, ".headers.A", "neither `file` nor `env`"),
    ("headers.A = \"x ${NOPE}\"", 13, ".headers.A", "`NOPE` is not set"),
    ("headers.A = \"x ${TOKEN\"", 13, ".headers.A", "`${` without `}`"),
    ("headers.A = \"${a b}\"", 13, ".headers.A", "not a name of an environment variable"),
    ("headers.\"A B\" = \"c\"", 17, ".headers.A B", "not a name of a header"),
    ("headers.A = \"a\\nb\"", 13, ".headers.A", "one line of visible ASCII"),
    ("headers.Host = \"b\"", 16, ".headers.Host", "writes this header itself"),
    ("headers.Mcp-Session-Id = \"b\"", 26, ".headers.Mcp-Session-Id", "writes this header itself"),
    ("headers = { A = \"b\", a = \"c\" }", 26, ".headers.a", "written twice"),
];

#[test]
fn conf_refuses_secrets_in_the_file() {
    for (line, column, key, words) in SECRETS {
        refuses_server(
            &format!("url = \"https://a.example\"\n{line}"),
            3,
            *column,
            key,
            words,
        );
    }
    refuses_server(
        "command = \"x\"\nenv.MY_TOKEN = \"hunter2\"",
        3,
        16,
        ".env.MY_TOKEN",
        "must not stand in this file",
    );
    refuses_server(
        "command = \"x\"\nenv.A = \"sk-hunter2\"",
        3,
        9,
        ".env.A",
        "must not stand in this file",
    );
}

#[test]
fn conf_resolves_references() {
    let text = format!(
        "[servers.a]\ncommand = \"./bin/x\"\ncwd = \"w\"\ninherit_env = [\"HOME\", \"NOPE\"]\n\
         env = {{ A = \"x${{TOKEN}}$${{y}}\", MY_TOKEN = {{ file = \"s\" }}, B = {{ env = \"TOKEN\" }}, TOKEN_LIMIT = \"5\" }}{REST}"
    );
    let checked = reads(&text).unwrap();
    let Upstream::Stdio(stdio) = &checked.servers.first_key_value().unwrap().1.upstream else {
        panic!()
    };
    assert_eq!(stdio.command, Path::new("/etc/portcullis/./bin/x"));
    assert_eq!(stdio.cwd, Path::new("/etc/portcullis/w"));
    let env: Vec<(&str, &str)> = stdio
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    let expected = [
        ("A", "xhunter2${y}"),
        ("B", "hunter2"),
        ("HOME", "/home/alice"),
        ("MY_TOKEN", "hunter2"),
        ("TOKEN_LIMIT", "5"),
    ];
    assert_eq!(env, expected);
}
