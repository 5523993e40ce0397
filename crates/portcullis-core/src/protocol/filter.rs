//! What a stateless client wants to be told of (2026-07-28 basic/patterns/subscriptions).

use super::{Call, Envelope, Id, with_meta, with_params};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Names the subscription that a notification belongs to.
pub(crate) const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a `subscriptions/listen` asks to be told of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// `notifications/tools/list_changed`.
    #[serde(default)]
    pub tools_list_changed: bool,
    /// `notifications/prompts/list_changed`.
    #[serde(default)]
    pub prompts_list_changed: bool,
    /// `notifications/resources/list_changed`.
    #[serde(default)]
    pub resources_list_changed: bool,
    /// `notifications/resources/updated` for these.
    #[serde(default)]
    pub resource_subscriptions: Vec<String>,
    /// `notifications/tasks` for these (2026-07-28, the extension of tasks).
    #[serde(default)]
    pub task_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Wanted {
    notifications: Filter,
}

#[derive(Deserialize)]
struct Updated {
    uri: String,
}

impl Filter {
    /// What a `subscriptions/listen` asks for; `None` if it is none.
    pub fn of(call: &Call) -> Option<Self> {
        let envelope = Envelope::parse(call.body()).ok()?;
        let wanted: Wanted = serde_json::from_str(envelope.params?.get()).ok()?;
        Some(wanted.notifications)
    }

    /// The first message on the stream: everything asked for is watched.
    pub fn acknowledgement(&self, id: &Id) -> Bytes {
        let params = format!(
            r#"{{"_meta":{{"{META_SUBSCRIPTION}":{}}},"notifications":{}}}"#,
            id.json(),
            self.json()
        );
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{params}}}"#
        )
        .into()
    }

    /// The filter as a message has it.
    pub(crate) fn json(&self) -> Value {
        let mut filter = serde_json::Map::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools_list_changed),
            ("promptsListChanged", self.prompts_list_changed),
            ("resourcesListChanged", self.resources_list_changed),
        ] {
            if wanted {
                filter.insert(name.to_owned(), true.into());
            }
        }
        if !self.resource_subscriptions.is_empty() {
            filter.insert(
                "resourceSubscriptions".to_owned(),
                json!(self.resource_subscriptions),
            );
        }
        filter.into()
    }

    /// A notification of the server's, tagged for this subscription; `None` if it was not asked for.
    pub fn tagged(&self, notification: &[u8], id: &Id) -> Option<Bytes> {
        let envelope = Envelope::parse(notification).ok()?;
        let is_wanted = match &**envelope.method.as_ref()? {
            "notifications/tools/list_changed" => self.tools_list_changed,
            "notifications/prompts/list_changed" => self.prompts_list_changed,
            "notifications/resources/list_changed" => self.resources_list_changed,
            "notifications/resources/updated" => {
                let updated: Updated = serde_json::from_str(envelope.params?.get()).ok()?;
                self.resource_subscriptions.contains(&updated.uri)
            }
            _ => false,
        };
        if !is_wanted || envelope.id.is_some() {
            return None;
        }
        with_params(notification, |params| {
            let tag = RawValue::from_string(id.json()).ok()?;
            with_meta(params, |meta| {
                meta.insert(META_SUBSCRIPTION.to_owned(), tag);
            })
        })
    }
}
