//! The small clients and servers of `tests/peers`, and what a round with them must come to.

use crate::harness::{STATELESS, WITH_SESSIONS};
use crate::peer::{Called, Round, round};

/// What a peer speaks: revisions with sessions, the stateless one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    /// The revision that every peer of this era agrees on.
    pub(crate) const fn revision(self) -> &'static str {
        match self {
            Self::Legacy => WITH_SESSIONS,
            Self::Modern => STATELESS,
        }
    }
}

/// A program and the eras that it speaks.
pub(crate) struct Speaker {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) eras: &'static [Era],
}

/// Clients that stop listening to progress as soon as they see the result, which may come together with it.
const IMPATIENT: &[&str] = &["sdk-v1", "sdk-v2"];

const BOTH: &[Era] = &[Era::Legacy, Era::Modern];

/// A client that goes the usual round.
pub(crate) const CLIENTS: &[Speaker] = &[
    Speaker {
        name: "sdk-v1",
        file: "clients/sdk-v1.mjs",
        eras: &[Era::Legacy],
    },
    Speaker {
        name: "sdk-v2",
        file: "clients/sdk-v2.mjs",
        eras: BOTH,
    },
    Speaker {
        name: "mcp",
        file: "clients/mcp_client.py",
        eras: BOTH,
    },
    Speaker {
        name: "fastmcp",
        file: "clients/fastmcp_client.py",
        eras: BOTH,
    },
    Speaker {
        name: "rmcp",
        file: "rmcp-client",
        eras: BOTH,
    },
];

/// A server with the usual surface.
pub(crate) const SERVERS: &[Speaker] = &[
    Speaker {
        name: "sdk-v1",
        file: "servers/sdk-v1.mjs",
        eras: &[Era::Legacy],
    },
    Speaker {
        name: "sdk-v2",
        file: "servers/sdk-v2.mjs",
        eras: BOTH,
    },
    Speaker {
        name: "sdk-v2-modern",
        file: "servers/sdk-v2-modern.mjs",
        eras: &[Era::Modern],
    },
    Speaker {
        name: "mcp",
        file: "servers/mcp_server.py",
        eras: BOTH,
    },
    Speaker {
        name: "fastmcp",
        file: "servers/fastmcp_server.py",
        eras: BOTH,
    },
    Speaker {
        name: "rmcp",
        file: "rmcp-server",
        eras: BOTH,
    },
];

/// The client of this name.
pub(crate) fn client(name: &str) -> &'static Speaker {
    CLIENTS.iter().find(|one| one.name == name).unwrap()
}

/// The server of this name.
pub(crate) fn server(name: &str) -> &'static Speaker {
    SERVERS.iter().find(|one| one.name == name).unwrap()
}

/// One round with some steps of progress; `to` names the server, as the client wants it.
pub(crate) fn walk(client: &Speaker, era: Era, to: &[&str]) -> Round {
    let options = ["--era", era.name(), "--tool", "progress"];
    let arguments = ["--args", r#"{"steps":5}"#];
    round(client.file, &[&options[..], &arguments, to].concat())
}

/// Whether that is what the client has to say of such a round.
pub(crate) fn is_good(got: &Round, client: &Speaker, era: Era, server: &Speaker) -> bool {
    const STEPS: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let heard = got.progress.len();
    let least = if IMPATIENT.contains(&client.name) {
        1
    } else {
        STEPS.len()
    };
    let expected = Round {
        client: client.name.to_owned(),
        protocol: Some(era.revision().to_owned()),
        server: Some(format!("peer-{}", server.name)),
        tools: names(&["echo", "add", "progress", "ask"]),
        call: Some(Called {
            tool: "progress".to_owned(),
            error: false,
            text: "done 5".to_owned(),
        }),
        progress: STEPS.into_iter().take(heard).collect(),
        resources: Some(names(&["note://welcome"])),
        prompts: Some(names(&["greet"])),
        ..Round::default()
    };
    heard >= least && *got == expected
}
