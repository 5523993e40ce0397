//! The identifiers of entities: for every caller and every target exactly one.

use std::borrow::Cow;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors};

use super::action::Action;

/// Between the server and the name of one of its tools, resources or prompts.
pub(super) const SEPARATOR: &str = "__";

/// Names of the entity types of the schema, parsed once.
#[derive(Debug)]
pub(super) struct Types {
    pub(super) principal: EntityTypeName,
    pub(super) role: EntityTypeName,
    pub(super) group: EntityTypeName,
    pub(super) server: EntityTypeName,
    pub(super) tool: EntityTypeName,
    pub(super) resource: EntityTypeName,
    pub(super) prompt: EntityTypeName,
    pub(super) arguments: EntityTypeName,
    pub(super) numbers: EntityTypeName,
    pub(super) action: EntityTypeName,
}

impl Types {
    pub(super) fn parse() -> Result<Self, Box<ParseErrors>> {
        let parsed = |name: &str| name.parse::<EntityTypeName>().map_err(Box::new);
        Ok(Self {
            principal: parsed("Principal")?,
            role: parsed("Role")?,
            group: parsed("Group")?,
            server: parsed("Server")?,
            tool: parsed("Tool")?,
            resource: parsed("Resource")?,
            prompt: parsed("Prompt")?,
            arguments: parsed("Arguments")?,
            numbers: parsed("Numbers")?,
            action: parsed("Action")?,
        })
    }

    /// The server (as [`escape_server`] writes it) that the entity is, or is a part of.
    pub(super) fn server_of(&self, uid: &EntityUid) -> Option<String> {
        let id = uid.id().unescaped();
        if *uid.type_name() == self.server {
            return Some(escape_server(id).into_owned());
        }
        let part = self.is_part(uid.type_name());
        let (server, _) = id.split_once(SEPARATOR).filter(|_| part)?;
        Some(server.to_owned())
    }

    /// The type of every target of the action, if the schema applies it to one type only.
    pub(super) fn of_targets(&self, action: Action) -> Option<&EntityTypeName> {
        match action {
            Action::CallTool => Some(&self.tool),
            Action::ReadResource | Action::SubscribeResource => Some(&self.resource),
            Action::GetPrompt => Some(&self.prompt),
            Action::Complete => None,
            Action::ListTools
            | Action::ListResources
            | Action::ListPrompts
            | Action::UseServer
            | Action::Sample
            | Action::Elicit
            | Action::ListRoots => Some(&self.server),
        }
    }

    /// Whether entities of this type are named by their server and a name.
    pub(super) fn is_part(&self, kind: &EntityTypeName) -> bool {
        [&self.tool, &self.resource, &self.prompt].contains(&kind)
    }
}

pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Names a principal: `issuer|subject`, of whoever vouches for it.
///
/// INVARIANT: injective. The escaped issuer has no bar, so the first bar ends it, and the rest is
/// the subject, whatever is in it.
pub(super) fn principal_id(issuer: &str, subject: &str) -> String {
    let issuer = if issuer.contains(['%', '|']) {
        Cow::Owned(issuer.replace('%', "%25").replace('|', "%7C"))
    } else {
        Cow::Borrowed(issuer)
    };
    [&issuer, "|", subject].concat()
}

/// Names a tool, a resource or a prompt: `server__name`.
///
/// INVARIANT: injective. The escaped server neither holds nor helps to begin a separator, so the
/// first separator ends it, and the rest is the name, whatever is in it.
pub(super) fn part_id(server: &str, name: &str) -> String {
    [&escape_server(server), SEPARATOR, name].concat()
}

/// Writes `%` and `_` of a server's name as `%25` and `%5F` where it could be read in two ways.
pub(super) fn escape_server(server: &str) -> Cow<'_, str> {
    if server.contains('%') || server.contains(SEPARATOR) || server.ends_with('_') {
        Cow::Owned(server.replace('%', "%25").replace('_', "%5F"))
    } else {
        Cow::Borrowed(server)
    }
}
