//! Clients of others that know the URL of a server and nothing else: their users sign in and agree in a browser.

use crate::chromium::{Chromium, Profile, Sight};
use crate::harness::{Gateway, free_port, portcullis};
use crate::peer::{Round, Served, command_line};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A gateway whose owner says what clients may do; clients register themselves.
fn gateway(url: &str) -> Gateway {
    let port = free_port();
    let config = format!(
        "public_url = \"http://localhost:{port}\"\n[issuers.local]\nembedded = true\n[authority]\n[authority.registration]\n\
         [servers.notes]\nurl = \"{url}\"\nallow = [\"*\", \"resource:*\", \"prompt:*\"]\n",
    );
    Gateway::start_at(port, &config)
}

/// A link that signs the owner in.
pub(crate) fn link(gateway: &Gateway) -> String {
    let file = gateway.data().with_file_name("portcullis.toml");
    let said = portcullis(&["owner", "link", "--config", file.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// A browser in which the owner is signed in.
pub(crate) fn owner<'a>(gateway: &Gateway, chromium: &'a Chromium, sight: Sight) -> Profile<'a> {
    let page = chromium.profile(sight);
    page.goto(&link(gateway));
    page.click("text=Sign in here");
    page.arrives_at("/account/passkeys");
    page
}

/// A client that was started, and what it wants opened.
pub(crate) struct Client {
    child: Child,
    links: Receiver<String>,
}

impl Client {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let line = command_line(name, arguments);
        let folder = tempfile::tempdir().unwrap().keep();
        let opens = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/peers/browser/opens.sh"
        );
        let mut child = Command::new(&line[0])
            .args(&line[1..])
            .env("BROWSER", format!("{opens} %s"))
            .env("MCP_REMOTE_CONFIG_DIR", &folder)
            .env("HOME", &folder)
            .env("MCP_AUTO_OPEN_ENABLED", "true")
            .env("MCP_INSPECTOR_SECRET_STORE", "memory")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, links) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let word = line
                    .split_whitespace()
                    .find(|word| word.contains("/authorize?") && word.contains("state="));
                if let Some(word) = word {
                    drop(send.send(word.to_owned()));
                }
            }
        });
        Self { child, links }
    }

    pub(crate) fn link(&self) -> String {
        let link = self.links.recv_timeout(Duration::from_mins(1));
        link.expect("a page for its user to open")
    }

    pub(crate) fn ends(mut self) -> Round {
        let said = self.says();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// It ends without having got anywhere.
    pub(crate) fn gives_up(mut self) {
        let said = self.says();
        let status = self.child.wait().unwrap();
        assert!(said.is_empty() && !status.success(), "{status} {said}");
    }

    fn says(&mut self) -> String {
        let mut said = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn cd_09_clients_need_nothing_but_the_url() {
    let server = Served::http("servers/sdk-v2.mjs");
    let gateway = gateway(&format!("http://127.0.0.1:{}/mcp", server.port()));
    let url = format!(
        "http://localhost:{}/servers/notes/mcp",
        gateway.address.port()
    );
    let remote = command_line("mcp-remote", &[&url, "--allow-http"]);
    let remote: Vec<&str> = remote.iter().map(String::as_str).collect();
    let through = [&["--stdio"], &remote[..]].concat();
    let direct = [url.as_str(), "--sign-in"];
    let chromium = Chromium::start();
    let page = owner(&gateway, &chromium, Sight::LIGHT);
    for (client, arguments, redirect) in [
        ("clients/sdk-v1.mjs", &direct[..], "127.0.0.1"),
        ("clients/sdk-v2.mjs", &direct[..], "127.0.0.1"),
        ("clients/fastmcp_client.py", &direct[..], "localhost"),
        ("rmcp-client", &direct[..], "127.0.0.1"),
        ("clients/sdk-v1.mjs", &through[..], "localhost"),
    ] {
        let running = Client::start(client, arguments);
        let link = running.link();
        // The clients' own pages, to which they came back, may complain.
        page.complaints();
        page.goto(&link);
        let asked = page.text();
        assert!(
            asked.contains(redirect) && asked.contains("unverified"),
            "{client} {link} {asked}"
        );
        assert_eq!(page.complaints(), json!([]));
        page.click("role=button[name='Allow']");
        let round = running.ends();
        assert_eq!(round.text(), Some("hello"), "{client} {round:?}");
        gateway.expect("call.completed", None);
    }
    // Whoever has registered itself is asked about each time.
    assert_eq!(gateway.records("consent.granted", None).len(), 5);
}

#[test]
fn cd_09_the_inspector_needs_nothing_but_the_url_in_either_era() {
    let server = Served::http("servers/sdk-v2.mjs");
    let gateway = gateway(&format!("http://127.0.0.1:{}/mcp", server.port()));
    let url = format!(
        "http://localhost:{}/servers/notes/mcp",
        gateway.address.port()
    );
    let chromium = Chromium::start();
    let page = owner(&gateway, &chromium, Sight::LIGHT);
    for era in ["legacy", "modern"] {
        let back = format!("http://127.0.0.1:{}/oauth/callback", free_port());
        let wants = "--method tools/call --tool-name echo --tool-arg text=hello --transport http --format json";
        let mut arguments = vec!["--cli", "--server-url", &url, "--protocol-era", era];
        arguments.extend(["--callback-url", &back]);
        arguments.extend(wants.split(' '));
        let mut running = Client::start("mcp-inspector", &arguments);
        let link = running.link();
        page.complaints();
        page.goto(&link);
        let asked = page.text();
        assert!(
            asked.contains("127.0.0.1") && asked.contains("unverified"),
            "{asked}"
        );
        assert_eq!(page.complaints(), json!([]));
        page.click("role=button[name='Allow']");
        let said = running.says();
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let text = said.pointer("/result/content/0/text");
        let text = text.or_else(|| said.pointer("/content/0/text"));
        assert_eq!(text, Some(&json!("hello")), "{era} {said}");
        gateway.expect("call.completed", None);
    }
}
