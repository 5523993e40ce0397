//! `portcullis wrap` in place of a server's command in the configuration of real clients.

use crate::crowd;
use crate::harness::portcullis;
use crate::peer::{command_line, round};
use crate::speakers::{Era, client, is_good, server, walk};
use serde_json::Value;
use std::path::Path;

/// A client, its era, and the server whose command is wrapped.
const ROWS: &[(&str, Era, &str)] = &[
    ("sdk-v1", Era::Legacy, "sdk-v1"),
    ("sdk-v2", Era::Legacy, "mcp"),
    ("sdk-v2", Era::Modern, "fastmcp"),
    ("mcp", Era::Legacy, "sdk-v2"),
    ("mcp", Era::Modern, "rmcp"),
    ("fastmcp", Era::Legacy, "rmcp"),
    ("fastmcp", Era::Modern, "sdk-v2"),
    ("rmcp", Era::Legacy, "fastmcp"),
    ("rmcp", Era::Modern, "mcp"),
];

/// What a client writes into its configuration.
fn wrapped(data: &Path, name: &str, command: Vec<String>) -> Vec<String> {
    let mut line: Vec<String> = [
        "--stdio",
        env!("CARGO_BIN_EXE_portcullis"),
        "wrap",
        "--data",
        data.to_str().unwrap(),
        "--name",
        name,
        "--",
    ]
    .map(str::to_owned)
    .into();
    line.extend(command);
    line
}

/// The records of a wrapped server's log.
fn records(data: &Path, name: &str) -> Vec<Value> {
    let log = data.join("wrap").join(format!("{name}-0")).join("audit");
    let log = log.to_str().unwrap();
    let printed = portcullis(&["audit", "search", "--log", log, "--json"]);
    assert!(printed.status.success(), "{printed:?}");
    let lines = String::from_utf8(printed.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_client_reaches_a_wrapped_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let faults = crowd::faults(ROWS, |&(speaker, era, wraps)| {
        let (client, server) = (client(speaker), server(wraps));
        let name = format!("{speaker}-{}", era.name());
        let line = wrapped(data, &name, command_line(server.file, &[]));
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let got = walk(client, era, &line);
        let mut faults = Vec::new();
        if !is_good(&got, client, era, server) {
            faults.push(format!("{name} to {wraps}: {got:?}"));
        }
        let mut calls = records(data, &name);
        calls.retain(|record| record["method"] == "tools/call");
        let is_right = calls.len() == 1
            && calls[0]["event"] == "call.completed"
            && calls[0]["target"] == "progress"
            && calls[0]["server"] == name.as_str()
            && calls[0]["principal"]["sub"].is_string();
        if !is_right {
            faults.push(format!("{name} to {wraps}: recorded as {calls:?}"));
        }
        faults
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_wrapped_server_asks_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [
        ("sdk-v1", "legacy", "sdk-v2"),
        ("rmcp", "legacy", "sdk-v1"),
        ("sdk-v2", "modern", "rmcp"),
    ];
    for (index, (speaker, era, wraps)) in rows.into_iter().enumerate() {
        let command = command_line(server(wraps).file, &[]);
        let line = wrapped(directory.path(), &format!("row-{index}"), command);
        let mut arguments = vec!["--era", era, "--tool", "ask"];
        arguments.extend(line.iter().map(String::as_str));
        let came = round(client(speaker).file, &arguments);
        assert_eq!(came.text(), Some("elicited accept Ada"), "{came:?}");
        assert_eq!(came.asked, ["elicitation/create"]);
    }
}
