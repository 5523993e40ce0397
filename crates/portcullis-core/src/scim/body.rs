//! What a request says of a user: a whole resource (RFC 7643 section 4.1), or operations on it (RFC 7644 section 3.5.2).
//!
//! Names are compared without case there. What is spelled twice in different case has two readings, and is refused.

use super::{Attribute, Draft, MAX_BODY_BYTES, MAX_OPERATIONS, MAX_TEXT_BYTES, Problem};
use crate::protocol::read_strict;
use serde_json::{Map, Value};

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// What extensions are called (RFC 7643 section 10.3.1).
const EXTENSIONS: &str = "urn:ietf:params:scim:schemas:extension:";
/// What else a user has (RFC 7643 section 4.1): it is taken, and not kept.
const UNKEPT: &[&str] = &[
    "addresses",
    "displayName",
    "emails",
    "entitlements",
    "groups",
    "ims",
    "locale",
    "name",
    "nickName",
    "password",
    "phoneNumbers",
    "photos",
    "preferredLanguage",
    "profileUrl",
    "roles",
    "timezone",
    "title",
    "userType",
    "x509Certificates",
    // Common to all resources (section 3.1).
    "meta",
    "schemas",
];

/// What an attribute's name stands for here.
enum Named {
    UserName,
    ExternalId,
    Active,
    Id,
    Unkept,
}

/// Reads the body of a `POST` or `PUT`.
pub(super) fn resource(body: &[u8]) -> Result<Draft, Problem> {
    let resource = object(body)?;
    expect_schemas(&resource, USER)?;
    let mut draft = Draft::default();
    draft.take_members(&resource)?;
    if draft.user_name.is_none() {
        return Err(Problem::Value);
    }
    Ok(draft)
}

/// Reads the body of a `PATCH`: all operations together, in order.
pub(super) fn operations(body: &[u8]) -> Result<Draft, Problem> {
    let message = object(body)?;
    expect_schemas(&message, PATCH)?;
    let operations = member(&message, "Operations")?.and_then(Value::as_array);
    let operations = operations.ok_or(Problem::Syntax)?;
    if operations.is_empty() {
        return Err(Problem::Syntax);
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(Problem::TooLarge);
    }
    let mut draft = Draft::default();
    for operation in operations {
        draft.take(operation.as_object().ok_or(Problem::Syntax)?)?;
    }
    Ok(draft)
}

/// An attribute by which one can search.
pub(super) fn attribute(name: &str) -> Option<Attribute> {
    match named(name)? {
        Named::UserName => Some(Attribute::UserName),
        Named::ExternalId => Some(Attribute::ExternalId),
        Named::Id => Some(Attribute::Id),
        Named::Active | Named::Unkept => None,
    }
}

impl Draft {
    fn take(&mut self, operation: &Map<String, Value>) -> Result<(), Problem> {
        let word = member(operation, "op")?.and_then(Value::as_str);
        let word = word.ok_or(Problem::Syntax)?.to_ascii_lowercase();
        let path = match member(operation, "path")? {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) => Some(path.as_str()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(Problem::Path);
            }
        };
        let value = member(operation, "value")?;
        match (word.as_str(), path) {
            ("add" | "replace", Some(path)) => {
                let name = named(path).ok_or(Problem::Path)?;
                self.set(&name, value.ok_or(Problem::Value)?)
            }
            ("add" | "replace", None) => {
                let members = value.and_then(Value::as_object);
                self.take_members(members.ok_or(Problem::Value)?)
            }
            // What is kept is needed: it can be replaced, and a user deleted.
            ("remove", Some(path)) => match named(path).ok_or(Problem::Path)? {
                Named::Unkept => Ok(()),
                Named::UserName | Named::ExternalId | Named::Active | Named::Id => {
                    Err(Problem::Value)
                }
            },
            _ => Err(Problem::Syntax),
        }
    }

    /// The members of a resource. Each name may be a whole path, as Entra ID writes them.
    fn take_members(&mut self, members: &Map<String, Value>) -> Result<(), Problem> {
        let mut said = Self::default();
        for (name, value) in members {
            let name = named(name).ok_or(Problem::Path)?;
            let is_twice = match name {
                Named::UserName => said.user_name.is_some(),
                Named::ExternalId => said.external_id.is_some(),
                Named::Active => said.active.is_some(),
                Named::Id | Named::Unkept => false,
            };
            if is_twice {
                return Err(Problem::Syntax);
            }
            said.set(&name, value)?;
        }
        self.user_name = said.user_name.or(self.user_name.take());
        self.external_id = said.external_id.or(self.external_id.take());
        self.active = said.active.or(self.active);
        Ok(())
    }

    fn set(&mut self, name: &Named, value: &Value) -> Result<(), Problem> {
        match name {
            Named::UserName => self.user_name = Some(text(value)?),
            Named::ExternalId => self.external_id = Some(text(value)?),
            Named::Active => self.active = Some(boolean(value)?),
            // Ours to give; whoever sends it back changes nothing (RFC 7644 section 3.5.1).
            Named::Id | Named::Unkept => {}
        }
        Ok(())
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Problem::TooLarge);
    }
    read_strict(body).map_err(|_| Problem::Syntax)
}

/// The message says what it is, and beside that at most which extensions it uses.
fn expect_schemas(message: &Map<String, Value>, own: &str) -> Result<(), Problem> {
    let schemas = member(message, "schemas")?.and_then(Value::as_array);
    let schemas = schemas.ok_or(Problem::Schema)?;
    let mut is_ours = false;
    for schema in schemas {
        let schema = schema.as_str().ok_or(Problem::Schema)?;
        if schema.eq_ignore_ascii_case(own) {
            is_ours = true;
        } else if own != USER || !starts_with(schema, EXTENSIONS) {
            return Err(Problem::Schema);
        }
    }
    is_ours.then_some(()).ok_or(Problem::Schema)
}

/// The member of that name in any case.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Value>, Problem> {
    let mut found = object
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (found, None) => Ok(found.map(|(_, value)| value)),
        (_, Some(_)) => Err(Problem::Syntax),
    }
}

/// What a name or a path means; none if it is not known: an attribute of ours in other words must not be passed over.
fn named(path: &str) -> Option<Named> {
    if path.len() > MAX_TEXT_BYTES {
        return None;
    }
    if starts_with(path, EXTENSIONS) {
        return Some(Named::Unkept);
    }
    let prefix = path.split_at_checked(USER.len());
    let own = match prefix {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(USER) => rest.strip_prefix(':')?,
        Some(_) | None => path,
    };
    for (name, named) in [
        ("userName", Named::UserName),
        ("externalId", Named::ExternalId),
        ("active", Named::Active),
        ("id", Named::Id),
    ] {
        if own.eq_ignore_ascii_case(name) {
            return Some(named);
        }
    }
    // `name.givenName`, `emails[type eq "work"].value`: what is inside is not kept either.
    let end = own.find(['.', '[']).unwrap_or(own.len());
    let first = own.get(..end)?;
    let is_unkept = UNKEPT.iter().any(|name| name.eq_ignore_ascii_case(first));
    is_unkept.then_some(Named::Unkept)
}

fn starts_with(text: &str, prefix: &str) -> bool {
    let start = text.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn text(value: &Value) -> Result<String, Problem> {
    let text = value.as_str().ok_or(Problem::Value)?;
    let is_fit =
        !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control);
    is_fit.then(|| text.to_owned()).ok_or(Problem::Value)
}

/// Entra ID writes `"False"`. Whatever is neither is refused, and not taken for either.
fn boolean(value: &Value) -> Result<bool, Problem> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(Problem::Value)
        }
    }
}
