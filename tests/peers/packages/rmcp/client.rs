//! A client with the Rust SDK: both eras. Arguments and output: see lib/round.mjs.
#![allow(deprecated)] // sampling is, and servers still ask for it

use anyhow::{Context as _, bail, ensure};
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData,
    Implementation, ProgressNotificationParam, ProtocolVersion, SamplingMessage,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::TokioChildProcess;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How long its user may take.
const PATIENCE: Duration = Duration::from_mins(2);
const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
                    <!DOCTYPE html><html lang=\"en\"><title>Done</title><h1>Back at the client</h1></html>";

/// What is to be done.
struct Task {
    tool: Option<String>,
    args: Option<Value>,
    era: String,
    can: String,
    rest: Vec<String>,
    stdio: Vec<String>,
}

/// What the server has told and asked so far.
#[derive(Default)]
struct Seen {
    progress: Vec<f64>,
    asked: Vec<&'static str>,
}

#[derive(Clone)]
struct Ada {
    can: String,
    seen: Arc<Mutex<Seen>>,
}

impl Ada {
    fn is_asked(&self, method: &'static str) {
        self.seen.lock().unwrap().asked.push(method);
    }
}

impl ClientHandler for Ada {
    fn get_info(&self) -> ClientConfig {
        let mut able = ClientCapabilities::default();
        able.elicitation = self.can.contains("elicitation").then(Default::default);
        able.sampling = self.can.contains("sampling").then(Default::default);
        ClientConfig::new(able, Implementation::new("peer-rmcp", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.is_asked("elicitation/create");
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "Ada" })))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.is_asked("sampling/createMessage");
        Ok(CreateMessageResult::new(
            SamplingMessage::assistant_text("Ada"),
            "none".to_owned(),
        ))
    }

    async fn on_progress(
        &self,
        step: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.seen.lock().unwrap().progress.push(step.progress);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(connected()).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let why = format!("{error:#}");
            println!(
                "{}",
                json!({ "client": "rmcp", "failed": why, "code": status(&why) })
            );
            ExitCode::FAILURE
        }
    }
}

/// The SDK tells the status in words only; without a challenge it has none.
fn status(why: &str) -> Option<u16> {
    let words = [("Auth required", 401), ("Insufficient scope", 403)];
    words
        .iter()
        .find(|(words, _)| why.contains(words))
        .map(|&(_, status)| status)
}

async fn connected() -> anyhow::Result<Value> {
    let task = task()?;
    let ada = Ada {
        can: task.can.clone(),
        seen: Arc::default(),
    };
    let seen = Arc::clone(&ada.seen);
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let mode = match &*task.era {
        "legacy" => ClientLifecycleMode::Initialize,
        "modern" => ClientLifecycleMode::Discover { preferred_versions },
        "auto" => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: None,
        },
        _ => bail!("--era auto|legacy|modern"),
    };
    let running = if let Some((command, args)) = task.stdio.split_first() {
        #[expect(
            clippy::disallowed_methods,
            reason = "it is no gateway: a client starts its server itself"
        )]
        let mut command = tokio::process::Command::new(command);
        command.args(args);
        ada.serve_with_lifecycle(TokioChildProcess::new(command)?, mode)
            .await?
    } else {
        let [url, token @ ..] = &task.rest[..] else {
            bail!("URL is missing")
        };
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.clone());
        match token.first().map(String::as_str) {
            Some("--sign-in") => {
                let transport =
                    StreamableHttpClientTransport::with_client(signed_in(url).await?, config);
                ada.serve_with_lifecycle(transport, mode).await?
            }
            token => {
                if let Some(token) = token {
                    config = config.auth_header(token);
                }
                let transport = StreamableHttpClientTransport::from_config(config);
                ada.serve_with_lifecycle(transport, mode).await?
            }
        }
    };
    let mut line = round(&task, &running).await?;
    {
        let seen = seen.lock().unwrap();
        line["progress"] = json!(seen.progress);
        line["asked"] = json!(seen.asked);
    }
    running.cancel().await?;
    Ok(line)
}

/// Says on standard error which page its user has to open, and takes what comes back from there.
async fn signed_in(url: &str) -> anyhow::Result<AuthClient<reqwest::Client>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let mut state = OAuthState::new(url, None).await?;
    let request =
        AuthorizationRequest::new(format!("{origin}/callback")).with_client_name("A <b>peer</b>");
    state.start_authorization(request).await?;
    eprintln!("{}", state.get_authorization_url().await?);
    let target = timeout(PATIENCE, answer(&listener)).await??;
    state
        .handle_callback_url(&format!("{origin}{target}"))
        .await?;
    let manager = state
        .into_authorization_manager()
        .context("nobody has signed in")?;
    Ok(AuthClient::new(reqwest::Client::new(), manager))
}

/// The target of the first request that is one for the callback.
async fn answer(listener: &TcpListener) -> anyhow::Result<String> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 8192];
        let read = stream.read(&mut head).await?;
        stream.write_all(DONE.as_bytes()).await?;
        let head = String::from_utf8_lossy(head.get(..read).unwrap_or_default());
        let target = head.split(' ').nth(1).unwrap_or_default();
        if target.starts_with("/callback?") {
            return Ok(target.to_owned());
        }
    }
}

async fn round(task: &Task, running: &RunningService<RoleClient, Ada>) -> anyhow::Result<Value> {
    let server = running
        .peer_info()
        .context("the server has not told who it is")?;
    let able = &server.capabilities;
    let tools: Vec<String> = running
        .list_all_tools()
        .await?
        .into_iter()
        .map(|tool| tool.name.into_owned())
        .collect();
    let echo = tools.iter().find(|name| *name == "echo");
    let tool = task.tool.as_ref().or(echo).or(tools.first());
    let call = match tool {
        Some(tool) => Some(call(task, tool, running).await?),
        None => None,
    };
    let resources = match able.resources {
        Some(_) => Some(
            running
                .list_all_resources()
                .await?
                .into_iter()
                .map(|one| one.uri)
                .collect::<Vec<_>>(),
        ),
        None => None,
    };
    let prompts = match able.prompts {
        Some(_) => Some(
            running
                .list_all_prompts()
                .await?
                .into_iter()
                .map(|one| one.name)
                .collect::<Vec<_>>(),
        ),
        None => None,
    };
    Ok(json!({
        "client": "rmcp",
        "protocol": server.protocol_version,
        "server": server.server_info.as_ref().map(|info| &info.name),
        "tools": tools,
        "call": call,
        "resources": resources,
        "prompts": prompts,
    }))
}

/// Calls a tool and gives what matters of its result.
async fn call(
    task: &Task,
    tool: &str,
    running: &RunningService<RoleClient, Ada>,
) -> anyhow::Result<Value> {
    let args = match &task.args {
        Some(args) => args.clone(),
        None if tool == "echo" => json!({ "text": "hello" }),
        None => json!({}),
    };
    let args = args.as_object().context("--args is no object")?.clone();
    let result = running
        .call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(args))
        .await?;
    let texts: Vec<&str> = result
        .content
        .iter()
        .filter_map(|block| Some(&*block.as_text()?.text))
        .collect();
    Ok(json!({ "tool": tool, "error": result.is_error == Some(true), "text": texts.join("\n") }))
}

fn task() -> anyhow::Result<Task> {
    let mut task = Task {
        tool: None,
        args: None,
        era: "auto".to_owned(),
        can: "elicitation,sampling".to_owned(),
        rest: Vec::new(),
        stdio: Vec::new(),
    };
    let mut all = std::env::args().skip(1);
    while let Some(word) = all.next() {
        let mut value = || all.next().with_context(|| format!("{word} needs a value"));
        match &*word {
            "--tool" => task.tool = Some(value()?),
            "--args" => task.args = Some(serde_json::from_str(&value()?)?),
            "--era" => task.era = value()?,
            "--can" => task.can = value()?,
            "--stdio" => {
                task.stdio = all.by_ref().collect();
                ensure!(!task.stdio.is_empty(), "--stdio COMMAND ARGS...");
            }
            _ => task.rest.push(word),
        }
    }
    Ok(task)
}
