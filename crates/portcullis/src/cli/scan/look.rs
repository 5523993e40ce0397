//! What does a server define? All its lists, page by page, within bounds, and again to see whether it stays so.

use super::client::{Answer, Client, Environment, Unscanned};
use super::compare::difference;
use super::finding::{Finding, Outcome, Severity};
use crate::cli::import::Entry;
use portcullis_core::catalog::{Definition, Kind, Unreadable, analyse};
use portcullis_core::protocol::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The most pages of one list.
const MAX_PAGES: usize = 200;
/// The most definitions of one server.
const MAX_DEFINITIONS: usize = 20_000;
/// How long it is waited before the second look.
const MOMENT: Duration = Duration::from_secs(1);
/// How long what runs for a server may take to end before it is left to die by itself.
const END: Duration = Duration::from_secs(15);
/// How long a list may take that the server does not declare; many answer nothing.
const UNDECLARED: Duration = Duration::from_secs(3);
/// `Method not found`.
const NO_METHOD: i64 = -32601;
/// Where a stateless server says what it is (2026-07-28 basic, `_meta`).
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
const ASK: &str = "ask its publisher; until then, do not use the server";

/// A list of definitions: how it is asked for, and where in the result they are.
struct List {
    method: Method,
    kind: Kind,
    member: &'static str,
    capability: &'static str,
}

const LISTS: [List; 4] = [
    List {
        method: Method::ToolsList,
        kind: Kind::Tool,
        member: "tools",
        capability: "tools",
    },
    List {
        method: Method::PromptsList,
        kind: Kind::Prompt,
        member: "prompts",
        capability: "prompts",
    },
    List {
        method: Method::ResourcesList,
        kind: Kind::Resource,
        member: "resources",
        capability: "resources",
    },
    List {
        method: Method::ResourceTemplatesList,
        kind: Kind::Template,
        member: "resourceTemplates",
        capability: "resources",
    },
];

/// Everything that a server showed at one time.
#[derive(Debug, Default)]
struct Look {
    definitions: Vec<Definition>,
    names: BTreeSet<(Kind, Arc<str>)>,
    findings: Vec<Finding>,
}

/// Looks at a server three times: twice in one conversation, and once more after a fresh start.
pub(super) async fn scan(
    entry: &Entry,
    environment: Environment,
    patience: Duration,
) -> (Outcome, Vec<Finding>) {
    let deadline = Instant::now() + patience;
    let twice = |client: Client| async move {
        let looks = async {
            let first = look(&client).await?;
            sleep(MOMENT).await;
            Ok(vec![first, look(&client).await?])
        };
        let looks = Box::pin(in_time(looks, (deadline, patience))).await;
        end(client).await;
        looks
    };
    let once = |client: Client| async move {
        let looks = async { Ok(vec![look(&client).await?]) };
        let looks = Box::pin(in_time(looks, (deadline, patience))).await;
        end(client).await;
        looks
    };
    let looks = async {
        let start = || Client::new(entry, environment, patience);
        let mut looks = Box::pin(twice(start()?)).await?;
        looks.extend(Box::pin(once(start()?)).await?);
        Ok::<_, Unscanned>(looks)
    };
    match Box::pin(looks).await {
        Ok(looks) => judge(looks),
        Err(why) => (Outcome::Failed(why.to_string()), Vec::new()),
    }
}

async fn in_time<T>(
    done: impl Future<Output = Result<T, Unscanned>>,
    (deadline, patience): (Instant, Duration),
) -> Result<T, Unscanned> {
    timeout_at(deadline, done)
        .await
        .unwrap_or(Err(Unscanned::Late(patience)))
}

/// A server that does not end in time is killed when we end: its launcher notices.
async fn end(client: Client) {
    if timeout(END, client.end()).await.is_err() {
        tracing::warn!("a server did not end in time");
    }
}

async fn look(client: &Client) -> Result<Look, Unscanned> {
    let mut look = Look::default();
    let discovered = match client.ask(&Method::Discover, None).await? {
        Answer::Result(result) => result,
        Answer::Error(code) => {
            return Err(Unscanned::Error(Method::Discover.name().to_owned(), code));
        }
    };
    let discovered: Value = serde_json::from_str(discovered.get())
        .map_err(|_| Unscanned::Malformed(Method::Discover.name().to_owned()))?;
    look.take(Kind::Server, &about_itself(&discovered).to_string());
    for list in &LISTS {
        let is_declared = discovered
            .pointer(&format!("/capabilities/{}", list.capability))
            .is_some();
        pages(client, list, &mut look, is_declared).await?;
    }
    Ok(look)
}

/// What a server says of itself to a model.
fn about_itself(discovered: &Value) -> Value {
    let mut own = Map::new();
    let info = discovered
        .get("_meta")
        .and_then(|meta| meta.get(META_SERVER));
    let info = info.or_else(|| discovered.get("serverInfo"));
    for (name, value) in [
        ("capabilities", discovered.get("capabilities")),
        ("instructions", discovered.get("instructions")),
        ("serverInfo", info),
    ] {
        own.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    Value::Object(own)
}

async fn pages(
    client: &Client,
    list: &List,
    look: &mut Look,
    is_declared: bool,
) -> Result<(), Unscanned> {
    let mut cursor: Option<String> = None;
    let mut seen = BTreeSet::new();
    for _ in 0..MAX_PAGES {
        let asked = client.ask(&list.method, cursor.as_deref());
        let answer = if is_declared {
            asked.await
        } else {
            let late = Err(Unscanned::Late(UNDECLARED));
            timeout(UNDECLARED, asked).await.unwrap_or(late)
        };
        let result = match answer {
            Ok(Answer::Result(result)) => result,
            Ok(Answer::Error(NO_METHOD)) if cursor.is_none() => return Ok(()),
            // Servers refuse lists that they do not declare in words of their own.
            Ok(Answer::Error(_)) | Err(_) if !is_declared => return Ok(()),
            Ok(Answer::Error(code)) => {
                return Err(Unscanned::Error(list.method.name().to_owned(), code));
            }
            Err(why) => return Err(why),
        };
        cursor = match look.page(list, &result) {
            Err(_) if !is_declared => return Ok(()),
            page => page?,
        };
        let Some(next) = &cursor else { return Ok(()) };
        if look.definitions.len() > MAX_DEFINITIONS || !seen.insert(next.clone()) {
            break;
        }
    }
    let name = list.method.name().to_owned();
    let reason = format!(
        "{name} does not end: what comes after {MAX_PAGES} pages or {MAX_DEFINITIONS} definitions, or in a circle, was not looked at"
    );
    look.findings.push(Finding::of_server(
        ("endless-list", Severity::High),
        None,
        (reason, String::new()),
        ASK,
    ));
    Ok(())
}

impl Look {
    /// Takes the definitions of a page; gives where the next one begins.
    fn page(&mut self, list: &List, result: &RawValue) -> Result<Option<String>, Unscanned> {
        let malformed = || Unscanned::Malformed(list.method.name().to_owned());
        let page: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(result.get()).map_err(|_| malformed())?;
        let listed: Vec<Box<RawValue>> = match page.get(list.member) {
            Some(listed) => serde_json::from_str(listed.get()).map_err(|_| malformed())?,
            None => return Err(malformed()),
        };
        for definition in &listed {
            self.take(list.kind, definition.get());
        }
        let next = page.get("nextCursor");
        let next = next.map(|next| serde_json::from_str::<Option<String>>(next.get()));
        Ok(next.transpose().map_err(|_| malformed())?.flatten())
    }

    fn take(&mut self, kind: Kind, raw: &str) {
        let definition = match Definition::read(kind, raw) {
            Ok(definition) => definition,
            Err(why) => return self.findings.push(unreadable(kind, why)),
        };
        if !self.names.insert((kind, Arc::clone(definition.name()))) {
            self.findings.push(Finding::of_server(
                ("name-twice", Severity::High),
                Some((kind, definition.name().to_string())),
                (
                    "two definitions have this name, so that what is approved may not be what is called"
                        .to_owned(),
                    String::new(),
                ),
                ASK,
            ));
        }
        self.definitions.push(definition);
    }

    /// Its definitions by kind and name, the last of each name.
    fn by_name(&self) -> BTreeMap<(Kind, &str), &Definition> {
        self.definitions
            .iter()
            .map(|own| ((own.kind(), &**own.name()), own))
            .collect()
    }
}

fn unreadable(kind: Kind, why: Unreadable) -> Finding {
    Finding::of_server(
        ("unreadable-definition", Severity::High),
        None,
        (
            format!("a {kind} was left out, since nobody can say what it is: {why}"),
            String::new(),
        ),
        ASK,
    )
}

/// What the looks show together.
fn judge(looks: Vec<Look>) -> (Outcome, Vec<Finding>) {
    let mut findings: Vec<Finding> = Vec::new();
    let mut analysed = BTreeSet::new();
    for (number, look) in looks.iter().enumerate() {
        let mut new = look.findings.clone();
        for definition in &look.definitions {
            if !analysed.insert(definition.digest()) {
                continue;
            }
            let value: Value = serde_json::from_str(definition.canonical()).unwrap_or_default();
            let said = analyse::analyse(definition.kind(), &value);
            new.extend(
                said.into_iter()
                    .map(|said| Finding::of_definition(definition, said)),
            );
        }
        let before = number.checked_sub(1).and_then(|before| looks.get(before));
        new.extend(before.into_iter().flat_map(|before| changes(before, look)));
        for finding in new {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    let last = looks.into_iter().next_back().unwrap_or_default();
    (Outcome::Seen(last.definitions), findings)
}

/// What a server shows otherwise at two times, though nobody changed anything.
fn changes(before: &Look, after: &Look) -> Vec<Finding> {
    let (old, new) = (before.by_name(), after.by_name());
    let names: BTreeSet<(Kind, &str)> = old.keys().chain(new.keys()).copied().collect();
    let changed = names.into_iter().filter_map(|(kind, name)| {
        let told = match (old.get(&(kind, name)), new.get(&(kind, name))) {
            (Some(one), Some(other)) if one.digest() == other.digest() => return None,
            (Some(one), Some(other)) => (
                "its definition was another one at the next look: what is approved is not what is used later",
                difference(one, other),
            ),
            (Some(_), None) => ("it was gone at the next look", String::new()),
            (None, Some(_) | None) => ("it was not there at the first look", String::new()),
        };
        // Resources come and go; what a model is told of tools does not.
        let severity = if kind == Kind::Resource {
            Severity::Low
        } else {
            Severity::High
        };
        Some(Finding::of_server(
            ("changes-by-itself", severity),
            Some((kind, name.to_owned())),
            (told.0.to_owned(), told.1),
            ASK,
        ))
    });
    changed.collect()
}
