//! What a directory is answered, as JSON.

use super::body::USER;
use super::{MAX_LISTED, Problem, User};
use serde_json::{Value, json};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// What this service says of itself (RFC 7644 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `/ServiceProviderConfig`.
    Config,
    /// `/ResourceTypes`.
    Types,
    /// `/ResourceTypes/User`.
    UserType,
    /// `/Schemas`.
    Schemas,
    /// The schema of users.
    UserSchema,
}

impl Document {
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/ServiceProviderConfig" => Some(Self::Config),
            "/ResourceTypes" => Some(Self::Types),
            "/ResourceTypes/User" => Some(Self::UserType),
            "/Schemas" => Some(Self::Schemas),
            other => (other.strip_prefix("/Schemas/") == Some(USER)).then_some(Self::UserSchema),
        }
    }

    /// Its text; `base` is the URL of the service.
    pub fn json(self, base: &str) -> Value {
        match self {
            Self::Config => config(base),
            Self::Types => list(&[user_type(base)], (1, 0)),
            Self::UserType => user_type(base),
            Self::Schemas => list(&[user_schema(base)], (1, 0)),
            Self::UserSchema => user_schema(base),
        }
    }
}

/// One user.
pub fn found(user: &User, base: &str) -> Value {
    let resource = json!({
        "schemas": [USER],
        "id": user.id,
        "userName": user.user_name,
        "active": user.active,
        "meta": { "resourceType": "User", "location": format!("{base}/Users/{}", user.id) },
    });
    with(resource, "externalId", user.external_id.as_deref())
}

/// Some of `total` users, from the place `skipped` on.
pub fn listed(users: &[User], (total, skipped): (usize, usize), base: &str) -> Value {
    let resources: Vec<Value> = users.iter().map(|user| found(user, base)).collect();
    list(&resources, (total, skipped))
}

/// Why a request was refused (RFC 7644 section 3.12).
pub fn problem(why: Problem) -> Value {
    let error = json!({
        "schemas": [ERROR],
        "status": why.status().to_string(),
        "detail": why.to_string(),
    });
    with(error, "scimType", why.kind())
}

/// The same with one more member, if there is one.
fn with(mut object: Value, name: &str, text: Option<&str>) -> Value {
    if let (Value::Object(members), Some(text)) = (&mut object, text) {
        members.insert(name.to_owned(), Value::from(text));
    }
    object
}

fn list(resources: &[Value], (total, skipped): (usize, usize)) -> Value {
    json!({
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": skipped.saturating_add(1),
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn config(base: &str) -> Value {
    json!({
        "schemas": [CONFIG],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": MAX_LISTED },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": false },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The secret that was agreed on for this issuer",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

fn user_type(base: &str) -> Value {
    json!({
        "schemas": [TYPE],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "description": "Who may have access",
        "schema": USER,
        "meta": { "resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/User") },
    })
}

fn user_schema(base: &str) -> Value {
    let attribute = |name: &str, kind: &str, (required, case_exact, unique): (bool, bool, &str)| {
        json!({
            "name": name,
            "type": kind,
            "multiValued": false,
            "required": required,
            "caseExact": case_exact,
            "mutability": "readWrite",
            "returned": "default",
            "uniqueness": unique,
        })
    };
    json!({
        "schemas": [SCHEMA],
        "id": USER,
        "name": "User",
        "description": "Who may have access",
        "attributes": [
            attribute("userName", "string", (true, false, "server")),
            attribute("externalId", "string", (false, true, "none")),
            attribute("active", "boolean", (false, false, "none")),
        ],
        "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{USER}") },
    })
}
