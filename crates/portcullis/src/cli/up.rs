//! `portcullis up`: the embedded default. The first start makes a private data directory; then a demo
//! server stands behind the gate on loopback.

use super::owner::new_link;
use super::serve::{bind, serve};
use super::{Ending, asking, default_data, environment, out};
use crate::config::{self, Checked, Problems};
use crate::keys;
use crate::lifecycle::{self, Files, Home, Loaded, Reread, Start};
use anyhow::Context as _;
use clap::Args;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the gateway listens if nobody says otherwise.
const LISTEN: &str = "127.0.0.1:8848";

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Where to listen, on loopback; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The data directory [default: portcullis in the user's data home].
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Up {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let data = std::path::absolute(self.data.map_or_else(default_data, Ok)?)?;
        let file = data.join("portcullis.toml");
        let made = first_start(&data, &file)?;
        let (
            Loaded {
                checked,
                files,
                reads,
            },
            listener,
        ) = match self.listen {
            None => {
                let read = super::serve::load(&file)?;
                let listen = read.checked.as_ref().ok();
                let listen = listen.map(|checked| checked.gateway.listen);
                (read, listen.map(bind).transpose()?)
            }
            Some(address) => {
                let listener = bind(address)?;
                let url = url_of(listener.local_addr()?);
                (reread_at(&file, &url), Some(listener))
            }
        };
        let (checked, listener) = match (checked, listener) {
            (Ok(checked), Some(listener)) => (checked, listener),
            (Err(problems), _) => {
                out::error(&problems.to_string());
                return Ok(Ending::Bad);
            }
            (Ok(_), None) => return Ok(Ending::Unknown),
        };
        // Operators' port: the configured one, or any where another gateway of this user has it.
        let admin = TcpListener::bind(checked.gateway.admin)
            .or_else(|_| TcpListener::bind((checked.gateway.admin.ip(), 0)))
            .context("cannot listen for operators")?;
        let mut checked = checked;
        checked.gateway.admin = admin.local_addr()?;
        let greeting = greeting(&checked, (&data, &made), admin.local_addr()?)?;
        let url = checked.gateway.public_url.to_string();
        let source: Option<(Files, Reread)> =
            Some((files, Arc::new(move || reread_at(&file, &url))));
        serve(
            Start {
                checked,
                reads,
                source,
                listener,
                admin,
                api: None,
                otlp: super::serve::otlp()?,
            },
            move |gateway| {
                out::print(&greeting);
                asking::keep_asking(gateway, &data);
            },
        )
    }
}

/// Makes what is missing; says what was made.
fn first_start(data: &Path, file: &Path) -> anyhow::Result<Vec<String>> {
    let is_new = !data.exists();
    Home(data.to_owned()).prepare()?;
    let mut made = Vec::new();
    if is_new {
        made.push(format!(
            "made the private data directory {}",
            data.display()
        ));
        made.push(
            "made the keys in keys/: they sign tokens and the audit log's checkpoints".to_owned(),
        );
    }
    if !file.exists() {
        keys::private_directory(&data.join("demo"))?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        keys::write_private(file, template(&program, data).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        made.push(format!("wrote {}", file.display()));
    }
    Ok(made)
}

fn template(program: &Path, data: &Path) -> String {
    let text = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
    format!(
        r#"# Portcullis, as `portcullis up` starts it. Every key is described in docs/configuration.md;
# `portcullis check` tells whether a change is good, and a running gateway takes it up by itself.

[gateway]
listen = "{LISTEN}"
public_url = "http://localhost:8848" # a name, as browsers keep passkeys for names only
data = {data}

[audit]
witness = ["witness/checkpoint"]

# The gateway's own issuer of tokens, for people without an identity provider.
[issuers.local]
embedded = true

# Clients need nothing but a server's URL: you sign in here, and say what each may do.
[authority]

# Anybody on this machine can register a client, and you are asked each time.
[authority.registration]

# A small MCP server to try the gate on.
[servers.demo]
command = {program}
args = ["demo", "--folder", {folder}]
allow = ["*", "resource:*", "prompt:*", "ask:elicitation"]
catalog = "observe" # it is part of this program; what other servers define waits until you approve it
"#,
        data = text(data),
        program = text(program),
        folder = text(&data.join("demo")),
    )
}

/// The file as if it said that clients reach the gateway at `url`.
pub(super) fn read_at(file: &Path, url: &str) -> anyhow::Result<Result<Checked, Problems>> {
    std::fs::metadata(file).with_context(|| format!("no gateway in {}", file.display()))?;
    let text = std::fs::read_to_string(file)?;
    Ok(config::read(&at(&text, url), file, &environment, &|path| {
        std::fs::read_to_string(path)
    }))
}

fn reread_at(file: &Path, url: &str) -> Loaded {
    lifecycle::load(file, |text, reading| {
        let text = at(text, url);
        config::read_whole(&text, file, &environment, reading.file, reading.secret)
    })
}

/// Where browsers find us: by name, as they keep passkeys for names only.
fn url_of(listen: SocketAddr) -> String {
    if listen.ip() == Ipv4Addr::LOCALHOST {
        format!("http://localhost:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

/// The text of a file with this URL. One that is not even TOML stays as it is, so that its own lines are named.
fn at(text: &str, url: &str) -> String {
    let mut moved: toml::Table = text.parse().unwrap_or_default();
    let gateway = moved
        .entry("gateway")
        .or_insert_with(|| toml::Table::new().into());
    if let (Some(gateway), Some(listen)) = (gateway.as_table_mut(), url.split("://").nth(1)) {
        let listen = listen.replace("localhost:", "127.0.0.1:");
        if listen.parse::<SocketAddr>().is_ok() {
            gateway.insert("listen".to_owned(), listen.into());
        }
        gateway.insert("public_url".to_owned(), url.into());
    }
    if text.parse::<toml::Table>().is_ok() {
        moved.to_string()
    } else {
        text.to_owned()
    }
}

fn greeting(
    checked: &Checked,
    (data, made): (&Path, &[String]),
    admin: SocketAddr,
) -> anyhow::Result<String> {
    let program = std::env::current_exe()?;
    let url = checked.gateway.public_url.below("/servers/demo/mcp");
    let token = format!(
        "$({} token --data {} --server demo)",
        quoted(&program),
        quoted(data)
    );
    let mut text = String::new();
    for line in made {
        writeln!(text, "First start: {line}.")?;
    }
    writeln!(text, "\nPortcullis stands before the demo server:  {url}")?;
    writeln!(
        text,
        "Health and metrics:                        http://{admin}/metrics"
    )?;
    writeln!(
        text,
        "Audit log:                                 {}",
        checked.audit.directory.display()
    )?;
    if let Some(link) = new_link(checked)? {
        writeln!(
            text,
            "\nSign in as the owner, once and within ten minutes:  {}\n\nClaude Code, and any client that takes a URL; \
it opens a browser, where you say what it may do:\n\n  claude mcp add --transport http portcullis-demo {url}",
            link.expose()
        )?;
    }
    writeln!(text, "\nTry it with a token:\n\n  {}", curl(&url, &token))?;
    writeln!(
        text,
        "\nClaude Code:\n\n  claude mcp add --transport http portcullis-demo {url} --header \"Authorization: Bearer {token}\""
    )?;
    let entry = |kind: &str| {
        format!(r#"{{{kind}"url":"{url}","headers":{{"Authorization":"Bearer '"{token}"'"}}}}"#)
    };
    writeln!(
        text,
        "\nVS Code:\n\n  code --add-mcp '{}'",
        entry(r#""name":"portcullis-demo","type":"http","#)
    )?;
    writeln!(
        text,
        "\nCursor (~/.cursor/mcp.json; this prints what to put there):\n\n  echo '{{\"mcpServers\":{{\"portcullis-demo\":{}}}}}'",
        entry("")
    )?;
    writeln!(text, "\nCtrl-C ends it.")?;
    Ok(text)
}

/// A path as a shell is given it.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn curl(url: &str, token: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notes_search","arguments":{"query":"release"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"curl","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    [
        format!("curl -sS {url}"),
        format!("-H \"Authorization: Bearer {token}\""),
        "-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream'".to_owned(),
        "-H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: notes_search'".to_owned(),
        format!("-d '{body}'"),
    ]
    .join(" \\\n    ")
}
