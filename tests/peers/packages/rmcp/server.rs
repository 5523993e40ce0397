//! A small server with the Rust SDK: both eras. `--http PORT`, or else standard input and output.
#![allow(deprecated)] // sampling is, and clients still do it

use anyhow::{Context as _, bail};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageRequest,
    CreateMessageRequestParams, ElicitRequest, ElicitRequestParams, ErrorData,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, InputRequest,
    InputRequests, InputRequiredResult, JsonObject, ListPromptsResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, Prompt, PromptArgument,
    PromptMessage, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Resource, ResourceContents, Role, SamplingMessage, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{RequestContext, ServiceError};
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, ServiceExt as _, object};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two steps of progress.
const STEP: Duration = Duration::from_millis(20);
const NOTE: &str = "note://welcome";

#[derive(Clone)]
struct Small;

type Asked = RequestContext<RoleServer>;

impl ServerHandler for Small {
    fn get_info(&self) -> ServerConfig {
        let able = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts();
        ServerConfig::new(able.build()).with_server_info(Implementation::new("peer-rmcp", "1.0.0"))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Asked,
    ) -> Result<ListToolsResult, ErrorData> {
        let number = json!({ "type": "number" });
        let schema = |properties: Value| -> JsonObject {
            let required: Vec<_> = properties
                .as_object()
                .into_iter()
                .flat_map(JsonObject::keys)
                .cloned()
                .collect();
            object!({ "type": "object", "properties": properties, "required": required })
        };
        Ok(ListToolsResult::with_all_items(vec![
            Tool::new(
                "echo",
                "Gives back the text",
                schema(json!({ "text": { "type": "string" } })),
            ),
            Tool::new(
                "add",
                "Adds two numbers",
                schema(json!({ "a": number, "b": number })),
            ),
            Tool::new(
                "progress",
                "Reports each of its steps",
                schema(json!({ "steps": { "type": "integer" } })),
            ),
            Tool::new(
                "ask",
                "Asks the user, or the model of the client",
                schema(json!({})),
            ),
        ]))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        asked: Asked,
    ) -> Result<CallToolResponse, ErrorData> {
        let args = Value::Object(call.arguments.clone().unwrap_or_default());
        let text = match &*call.name {
            "echo" => args["text"].as_str().unwrap_or_default().to_owned(),
            "add" => (args["a"].as_f64().unwrap_or_default()
                + args["b"].as_f64().unwrap_or_default())
            .to_string(),
            "progress" => progress(args["steps"].as_u64().unwrap_or_default(), &asked).await?,
            "ask" => return ask(&call, &asked).await,
            _ => return Err(ErrorData::invalid_params("no such tool", None)),
        };
        Ok(said(text))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Asked,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(
            NOTE, "welcome",
        )]))
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _: Asked,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("Welcome.", asked.uri)]).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Asked,
    ) -> Result<ListPromptsResult, ErrorData> {
        let name = PromptArgument::new("name").with_required(true);
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new(
            "greet",
            Some("Asks for a greeting"),
            Some(vec![name]),
        )]))
    }

    async fn get_prompt(
        &self,
        asked: GetPromptRequestParams,
        _: Asked,
    ) -> Result<GetPromptResponse, ErrorData> {
        let name = asked
            .arguments
            .as_ref()
            .and_then(|args| args.get("name")?.as_str())
            .unwrap_or_default();
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(
            Role::User,
            format!("Greet {name}."),
        )])
        .into())
    }
}

fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

async fn progress(steps: u64, asked: &Asked) -> Result<String, ErrorData> {
    for step in 1..=steps {
        if let Some(token) = asked.meta.get_progress_token() {
            let told = ProgressNotificationParam::new(token, step as f64).with_total(steps as f64);
            asked.peer.notify_progress(told).await.map_err(failure)?;
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(format!("done {steps}"))
}

/// Asks in the way of the era: by a request of our own, or by a result that requires input.
async fn ask(call: &CallToolRequestParams, asked: &Asked) -> Result<CallToolResponse, ErrorData> {
    if let Some(answer) = call
        .input_responses
        .as_ref()
        .and_then(|answers| answers.get("name"))
    {
        return Ok(said(told(&json!(answer))));
    }
    let able = asked.client_capabilities().unwrap_or_default();
    let is_modern = asked
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    let (question, sampling) = (
        elicitation()?,
        CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Say a name.")], 10),
    );
    let answer = match (
        able.elicitation.is_some(),
        able.sampling.is_some(),
        is_modern,
    ) {
        (true, _, true) => {
            return Ok(required(InputRequest::Elicitation(ElicitRequest::new(
                question,
            ))));
        }
        (false, true, true) => {
            return Ok(required(InputRequest::CreateMessage(
                CreateMessageRequest::new(sampling),
            )));
        }
        (true, _, false) => json!(
            asked
                .peer
                .create_elicitation(question)
                .await
                .map_err(failure)?
        ),
        (false, true, false) => json!(asked.peer.create_message(sampling).await.map_err(failure)?),
        (false, false, _) => return Ok(said("nobody to ask")),
    };
    Ok(said(told(&answer)))
}

fn required(question: InputRequest) -> CallToolResponse {
    InputRequiredResult::new(
        Some(InputRequests::from([("name".to_owned(), question)])),
        None,
    )
    .into()
}

fn elicitation() -> Result<ElicitRequestParams, ErrorData> {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: "What is your name?".to_owned(),
        requested_schema: serde_json::from_value(schema)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?,
    })
}

/// An answer in words.
fn told(answer: &Value) -> String {
    match answer["action"].as_str() {
        Some(action) => format!(
            "elicited {action} {}",
            answer["content"]["name"].as_str().unwrap_or_default()
        )
        .trim()
        .to_owned(),
        None => format!(
            "sampled {}",
            answer["content"]["text"].as_str().unwrap_or_default()
        ),
    }
}

/// What a client refused is a failure of the tool, in the client's words.
fn failure(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => ErrorData::internal_error(error.message, None),
        other => ErrorData::internal_error(other.to_string(), None),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => drop(Small.serve(stdio()).await?.waiting().await?),
        ["--http", port] => http(port.parse().context("PORT")?).await?,
        _ => bail!("[--http PORT]"),
    }
    Ok(())
}

/// Hosts that are not loopback are refused by the SDK; origins are, too, once it is told so.
async fn http(port: u16) -> anyhow::Result<()> {
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let service =
        StreamableHttpService::new(|| Ok(Small), LocalSessionManager::default().into(), config);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it is ended by a signal, and nobody waits for its connections"
        )]
        tokio::spawn(async move {
            let io = TokioIo::new(stream);
            if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
                eprintln!("{error}");
            }
        });
    }
}
