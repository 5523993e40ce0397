//! What is asked of the rules: who wants to do what, where, when and how.

use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::protocol::{Method, Revision};
use portcullis_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Claims that the gateway gives a meaning of its own: a case does not write them by hand.
const RESERVED: [&str; 9] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "cnf",
    "client_id",
];
/// The revision of the protocol where none is named.
const USUAL: Revision = Revision::V2026_07_28;
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// A caller, as its token describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Who {
    /// `sub`.
    pub(crate) user: Option<String>,
    /// The name of its issuer in the configuration; the only one that the server trusts if there is one.
    pub(crate) issuer: Option<String>,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// `client_id`.
    pub(crate) client: Option<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Further claims.
    #[serde(default)]
    pub(crate) claims: Map<String, Value>,
}

/// What they want, as it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) method: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) ask: Option<String>,
    pub(crate) arguments: Option<Map<String, Value>>,
    pub(crate) era: Option<String>,
}

/// What they want, as it can be put to the rules.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A message of the client's: its method and its parameters.
    Message(String, Map<String, Value>),
    /// A request of the server's to the client.
    Ask(Method),
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) who: Who,
    pub(crate) server: String,
    pub(crate) what: What,
    pub(crate) era: Revision,
    pub(crate) time: Timestamp,
    pub(crate) network: Option<String>,
    pub(crate) anomaly: Anomaly,
    /// How risky the tool is; none if that is not known.
    pub(crate) rated: Option<Rated>,
}

impl Who {
    /// Tells what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self
            .claims
            .keys()
            .find(|claim| RESERVED.contains(&claim.as_str()))
        {
            Some(claim) => Err(format!("the claim {claim:?} is not written by hand")),
            None => Ok(()),
        }
    }
}

impl Wish {
    /// The revision that is spoken, and what is said.
    pub(crate) fn read(self) -> Result<(Revision, What), String> {
        let era = match &self.era {
            None => USUAL,
            Some(text) => Revision::parse(text).ok_or_else(|| {
                let known = Revision::ALL.map(Revision::name).join(", ");
                format!("no revision of the protocol: {text:?}; there are {known}")
            })?,
        };
        Ok((era, self.what()?))
    }

    fn what(self) -> Result<What, String> {
        let targets = [&self.tool, &self.resource, &self.prompt, &self.ask];
        if targets.iter().filter(|target| target.is_some()).count() > 1 {
            return Err("more than one of `tool`, `resource`, `prompt` and `ask`".to_owned());
        }
        let method = self.method.as_deref();
        let arguments = self.arguments;
        let (method, params) = match (self.tool, self.resource, self.prompt, self.ask) {
            (Some(tool), ..) => {
                let arguments = arguments.unwrap_or_default();
                let params = json!({ "name": tool, "arguments": arguments });
                (one_of(method, &["tools/call"])?, params)
            }
            (_, Some(uri), ..) => of_resource(method, &uri, arguments.as_ref())?,
            (_, _, Some(name), _) => of_prompt(method, &name, arguments)?,
            (.., Some(ask)) => return asked_by_server(&ask, method, arguments.as_ref()),
            (None, None, None, None) => {
                let none = "none of `tool`, `resource`, `prompt`, `ask` and `method`";
                nothing(arguments.as_ref(), "a method alone")?;
                (method.ok_or(none)?.to_owned(), json!({}))
            }
        };
        let Value::Object(params) = params else {
            return Err("no parameters".to_owned());
        };
        Ok(What::Message(method, params))
    }
}

impl Asked {
    /// The message as a client would send it. Nothing for what a server asks.
    pub(crate) fn body(&self) -> Option<String> {
        let What::Message(method, params) = &self.what else {
            return None;
        };
        let mut params = params.clone();
        if self.era.is_stateless() {
            let meta = json!({ META_VERSION: self.era.name(), META_CAPABILITIES: {} });
            params.insert("_meta".to_owned(), meta);
        }
        let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        if let (false, Some(message)) = (
            method.starts_with("notifications/"),
            message.as_object_mut(),
        ) {
            message.insert("id".to_owned(), json!(1));
        }
        Some(message.to_string())
    }
}

fn of_resource(
    method: Option<&str>,
    uri: &str,
    arguments: Option<&Map<String, Value>>,
) -> Result<(String, Value), String> {
    const METHODS: [&str; 4] = [
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
    ];
    nothing(arguments, "a resource")?;
    let method = one_of(method, &METHODS)?;
    let params = if method == "completion/complete" {
        completing(&json!({ "type": "ref/resource", "uri": uri }))
    } else {
        json!({ "uri": uri })
    };
    Ok((method, params))
}

fn of_prompt(
    method: Option<&str>,
    name: &str,
    arguments: Option<Map<String, Value>>,
) -> Result<(String, Value), String> {
    let method = one_of(method, &["prompts/get", "completion/complete"])?;
    if method == "completion/complete" {
        nothing(arguments.as_ref(), "a completion")?;
        return Ok((
            method,
            completing(&json!({ "type": "ref/prompt", "name": name })),
        ));
    }
    let arguments = arguments.unwrap_or_default();
    Ok((method, json!({ "name": name, "arguments": arguments })))
}

fn completing(reference: &Value) -> Value {
    json!({ "ref": reference, "argument": { "name": "", "value": "" } })
}

fn asked_by_server(
    ask: &str,
    method: Option<&str>,
    arguments: Option<&Map<String, Value>>,
) -> Result<What, String> {
    nothing(arguments, "a question of the server")?;
    if method.is_some() {
        return Err("`method` and `ask`: keep one of them".to_owned());
    }
    match ask {
        "sampling" => Ok(What::Ask(Method::Sampling)),
        "elicitation" => Ok(What::Ask(Method::Elicitation)),
        "roots" => Ok(What::Ask(Method::RootsList)),
        _ => Err(format!(
            "a server asks for sampling, elicitation or roots, not for {ask:?}"
        )),
    }
}

/// The method that was named, if it fits; the first if none was.
fn one_of(method: Option<&str>, known: &[&str]) -> Result<String, String> {
    let method = method.or(known.first().copied()).unwrap_or_default();
    if known.contains(&method) {
        return Ok(method.to_owned());
    }
    let known = known.join(", ");
    Err(format!(
        "the method {method:?} does not fit; these do: {known}"
    ))
}

fn nothing(arguments: Option<&Map<String, Value>>, what: &str) -> Result<(), String> {
    match arguments {
        Some(_) => Err(format!("{what} has no `arguments`")),
        None => Ok(()),
    }
}
