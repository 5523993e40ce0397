//! Every text of a definition that a model may read, and what that text is there for.

use super::{MAX_TEXT_BYTES, MAX_TEXTS};
use crate::catalog::Kind;
use crate::unveil::Own;
use serde_json::{Map, Value};

/// How deep a definition is looked into.
const MAX_DEPTH: usize = 96;

/// What a text is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The name of a tool, prompt or resource.
    Name,
    /// A name for people.
    Title,
    /// What the thing is for.
    Description,
    /// What a server says of itself to every model.
    Instructions,
    /// The name of a parameter.
    ParameterName,
    /// What a parameter is for.
    ParameterText,
    /// A value: default, enum, const, example.
    Value,
    /// A regular expression or format.
    Pattern,
    /// What a schema's author wrote for others.
    Comment,
    /// An address or text of a picture.
    Icon,
    /// An annotation, or `_meta`.
    Note,
    /// A member that no specification knows.
    Unknown,
}

impl Place {
    /// Whether sentences belong there.
    pub(super) const fn is_prose(self) -> bool {
        match self {
            Self::Description | Self::Instructions | Self::ParameterText => true,
            Self::Name
            | Self::Title
            | Self::ParameterName
            | Self::Value
            | Self::Pattern
            | Self::Comment
            | Self::Icon
            | Self::Note
            | Self::Unknown => false,
        }
    }

    /// What it is called in a reason.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Title => "title",
            Self::Description => "description",
            Self::Instructions => "instructions",
            Self::ParameterName => "parameter name",
            Self::ParameterText => "description of a parameter",
            Self::Value => "default, enum, const or example",
            Self::Pattern => "pattern",
            Self::Comment => "comment",
            Self::Icon => "icon",
            Self::Note => "annotation",
            Self::Unknown => "unknown member",
        }
    }
}

/// One text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    pub(super) pointer: String,
    pub(super) place: Place,
    pub(super) said: &'a str,
}

/// The texts of a definition.
#[derive(Debug, Default)]
pub(super) struct Collected<'a> {
    pub(super) texts: Vec<Text<'a>>,
    /// Whether some were left out.
    pub(super) is_cut: bool,
    bytes: usize,
    way: String,
    depth: usize,
}

impl Collected<'_> {
    /// What the definition calls its own: its name and those of its parameters.
    pub(super) fn own(&self) -> Own {
        let is_name = |place| matches!(place, Place::Name | Place::ParameterName | Place::Value);
        let names = self.texts.iter();
        let names = names.filter(|text| is_name(text.place) && text.said.len() <= 64);
        Own::of(names.map(|text| text.said))
    }
}

/// What the value under a key is.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// A text, or whatever holds texts, for this purpose.
    Plain(Place),
    /// A schema.
    Schema,
    /// A map of names to schemas.
    Schemas,
    /// The arguments of a prompt.
    Arguments,
}

/// Lists the texts of a definition, keys that are chosen by its author among them.
pub(super) fn collect(kind: Kind, definition: &Value) -> Collected<'_> {
    let mut collected = Collected::default();
    if let Some(members) = definition.as_object() {
        collected.members(members, |key| root(kind, key));
    } else {
        collected.value(definition, Role::Plain(Place::Unknown));
    }
    collected
}

fn root(kind: Kind, key: &str) -> Role {
    match (kind, key) {
        (Kind::Tool, "inputSchema" | "outputSchema") => Role::Schema,
        (Kind::Prompt, "arguments") => Role::Arguments,
        (Kind::Server, "serverInfo" | "capabilities") => Role::Plain(Place::Note),
        (_, key) => Role::Plain(plain(key)),
    }
}

fn plain(key: &str) -> Place {
    match key {
        "name" | "uri" | "uriTemplate" => Place::Name,
        "title" => Place::Title,
        "description" => Place::Description,
        "instructions" => Place::Instructions,
        "icons" => Place::Icon,
        "annotations" | "_meta" | "execution" | "mimeType" => Place::Note,
        _ => Place::Unknown,
    }
}

fn of_schema(key: &str) -> Role {
    match key {
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
            Role::Schemas
        }
        "items"
        | "additionalProperties"
        | "allOf"
        | "anyOf"
        | "oneOf"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "prefixItems"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema"
        | "additionalItems" => Role::Schema,
        "description" => Role::Plain(Place::ParameterText),
        "title" => Role::Plain(Place::Title),
        "default" | "enum" | "const" | "examples" | "example" | "enumNames" => {
            Role::Plain(Place::Value)
        }
        "pattern" | "format" | "type" | "$ref" | "$id" | "$anchor" | "$schema" | "required"
        | "contentMediaType" | "contentEncoding" | "$dynamicRef" | "$dynamicAnchor" => {
            Role::Plain(Place::Pattern)
        }
        "$comment" => Role::Plain(Place::Comment),
        _ => Role::Plain(Place::Unknown),
    }
}

impl<'a> Collected<'a> {
    fn value(&mut self, value: &'a Value, role: Role) {
        if self.depth >= MAX_DEPTH {
            self.is_cut = true;
            return;
        }
        self.depth += 1;
        match (value, role) {
            (Value::String(text), Role::Plain(place)) => self.text(place, text),
            (Value::String(text), Role::Schema | Role::Schemas | Role::Arguments) => {
                self.text(Place::Unknown, text);
            }
            (Value::Array(items), role) => self.items(items, role),
            (Value::Object(members), Role::Schema) => self.members(members, of_schema),
            (Value::Object(members), Role::Schemas) => self.named(members),
            (Value::Object(members), Role::Arguments) => self.members(members, |key| match key {
                "name" => Role::Plain(Place::ParameterName),
                "description" => Role::Plain(Place::ParameterText),
                key => Role::Plain(plain(key)),
            }),
            (Value::Object(members), Role::Plain(place)) => self.inner(members, place),
            (Value::Null | Value::Bool(_) | Value::Number(_), _) => {}
        }
        self.depth -= 1;
    }

    fn items(&mut self, items: &'a [Value], role: Role) {
        for (index, item) in items.iter().enumerate() {
            if self.is_cut {
                return;
            }
            let before = self.enter(&index.to_string());
            self.value(item, role);
            self.way.truncate(before);
        }
    }

    fn members(&mut self, members: &'a Map<String, Value>, role: impl Fn(&str) -> Role) {
        for (key, value) in members {
            if self.is_cut {
                return;
            }
            let before = self.enter(key);
            let role = role(key);
            if matches!(role, Role::Plain(Place::Unknown)) {
                self.text(Place::Unknown, key);
            }
            self.value(value, role);
            self.way.truncate(before);
        }
    }

    /// Names that the author chose, of which each has a schema.
    fn named(&mut self, members: &'a Map<String, Value>) {
        for (key, value) in members {
            if self.is_cut {
                return;
            }
            let before = self.enter(key);
            self.text(Place::ParameterName, key);
            self.value(value, Role::Schema);
            self.way.truncate(before);
        }
    }

    /// An object where no schema is: its keys may speak as well as its values.
    fn inner(&mut self, members: &'a Map<String, Value>, place: Place) {
        for (key, value) in members {
            if self.is_cut {
                return;
            }
            let before = self.enter(key);
            self.text(place, key);
            self.value(value, Role::Plain(place));
            self.way.truncate(before);
        }
    }

    fn text(&mut self, place: Place, text: &'a str) {
        if text.is_empty() {
            return;
        }
        self.bytes += text.len();
        if self.texts.len() >= MAX_TEXTS || self.bytes > MAX_TEXT_BYTES {
            self.is_cut = true;
            return;
        }
        let pointer = self.way.clone();
        self.texts.push(Text {
            pointer,
            place,
            said: text,
        });
    }

    /// Goes to a member; gives how long the way was before.
    fn enter(&mut self, key: &str) -> usize {
        let before = self.way.len();
        self.way.push('/');
        for char in key.chars() {
            match char {
                '~' => self.way.push_str("~0"),
                '/' => self.way.push_str("~1"),
                char => self.way.push(char),
            }
        }
        before
    }
}
