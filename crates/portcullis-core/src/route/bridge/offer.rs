//! What a stateless client says that it can be asked, and so what we offer a server with sessions in its name.

use super::META_CAPABILITIES;
use crate::protocol::{Call, Envelope, Members, Method};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The kinds of questions that a client answers, as far as they are carried across the eras.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Offer(u8);

#[derive(Deserialize)]
struct Capabilities {
    sampling: Option<Sampling>,
    elicitation: Option<Elicitation>,
    roots: Option<Roots>,
}

#[derive(Deserialize)]
struct Sampling {
    context: Option<Value>,
    tools: Option<Value>,
}

#[derive(Deserialize)]
struct Elicitation {
    form: Option<Value>,
    url: Option<Value>,
}

#[derive(Deserialize)]
struct Roots {}

#[derive(Deserialize)]
struct Asked {
    mode: Option<String>,
    tools: Option<Value>,
    #[serde(rename = "toolChoice")]
    choice: Option<Value>,
}

impl Offer {
    const SAMPLING: Self = Self(1);
    const CONTEXT: Self = Self(2);
    const TOOLS: Self = Self(4);
    const FORM: Self = Self(8);
    const URL: Self = Self(16);
    const ROOTS: Self = Self(32);

    /// What a stateless request declares in its `_meta`; nothing, if that cannot be read.
    pub fn of(call: &Call) -> Self {
        Self::read(call).unwrap_or_default()
    }

    fn read(call: &Call) -> Option<Self> {
        let envelope = Envelope::parse(call.body()).ok()?;
        let mut params: Members = serde_json::from_str(envelope.params?.get()).ok()?;
        let mut meta: Members = serde_json::from_str(params.remove("_meta")?.get()).ok()?;
        let declared = meta.remove(META_CAPABILITIES)?;
        let declared: Capabilities = serde_json::from_str(declared.get()).ok()?;
        let mut offer = Self::default();
        if let Some(sampling) = declared.sampling {
            offer = offer.and(Self::SAMPLING);
            offer = offer.and_if(sampling.context.is_some(), Self::CONTEXT);
            offer = offer.and_if(sampling.tools.is_some(), Self::TOOLS);
        }
        if let Some(elicitation) = declared.elicitation {
            // Without a mode it is forms (2025-11-25 client/elicitation).
            let has_form = elicitation.form.is_some() || elicitation.url.is_none();
            offer = offer.and_if(has_form, Self::FORM);
            offer = offer.and_if(elicitation.url.is_some(), Self::URL);
        }
        Some(offer.and_if(declared.roots.is_some(), Self::ROOTS))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and_if(self, is_there: bool, other: Self) -> Self {
        if is_there { self.and(other) } else { self }
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What both offer.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What of it may be asked: the rest need not be offered to a server.
    #[must_use]
    pub fn only(self, may_be_asked: impl Fn(&Method) -> bool) -> Self {
        let kinds = [
            (Method::Sampling, Self(1 | 2 | 4)),
            (Method::Elicitation, Self(8 | 16)),
            (Method::RootsList, Self::ROOTS),
        ];
        let offered = kinds.iter().filter(|(_, kind)| self.0 & kind.0 != 0);
        offered
            .filter(|(method, _)| may_be_asked(method))
            .fold(Self::default(), |all, (_, kind)| {
                all.and(self.common(*kind))
            })
    }

    /// The capabilities, for `initialize`.
    pub(super) fn capabilities(self) -> Value {
        let mut all = serde_json::Map::new();
        let part = |name: &str, own: Self| self.has(own).then(|| (name.to_owned(), json!({})));
        if self.has(Self::SAMPLING) {
            let parts = [part("context", Self::CONTEXT), part("tools", Self::TOOLS)];
            all.insert(
                "sampling".to_owned(),
                parts.into_iter().flatten().collect::<Value>(),
            );
        }
        if self.has(Self::URL) {
            let parts = [part("form", Self::FORM), part("url", Self::URL)];
            all.insert(
                "elicitation".to_owned(),
                parts.into_iter().flatten().collect::<Value>(),
            );
        } else if self.has(Self::FORM) {
            all.insert("elicitation".to_owned(), json!({}));
        }
        all.extend(part("roots", Self::ROOTS));
        all.into()
    }

    /// Whether a client that offers this may be asked that.
    pub(super) fn covers(self, method: &Method, params: Option<&RawValue>) -> bool {
        let asked = params.map_or_else(
            || serde_json::from_str::<Asked>("{}"),
            |params| serde_json::from_str(params.get()),
        );
        let Ok(asked) = asked else { return false };
        if *method == Method::RootsList {
            return self.has(Self::ROOTS);
        }
        if *method == Method::Sampling {
            let needs_tools = asked.tools.is_some() || asked.choice.is_some();
            return self.has(Self::SAMPLING) && (!needs_tools || self.has(Self::TOOLS));
        }
        if *method != Method::Elicitation {
            return false;
        }
        match asked.mode.as_deref() {
            None | Some("form") => self.has(Self::FORM),
            Some("url") => self.has(Self::URL),
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Headers;

    fn offer(capabilities: &str) -> Offer {
        let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let meta =
            format!(r#"{{{version},"io.modelcontextprotocol/clientCapabilities":{capabilities}}}"#);
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}"#);
        Offer::of(&Call::parse(body.into(), &Headers::absent(), None).unwrap())
    }

    fn covers(offer: Offer, method: &Method, params: &str) -> bool {
        offer.covers(method, Some(serde_json::from_str(params).unwrap()))
    }

    #[test]
    fn authz_02_offers_a_server_what_the_client_declared_and_no_more() {
        for (declared, expected) in [
            ("{}", "{}"),
            (r#"{"elicitation":{},"tasks":{}}"#, r#"{"elicitation":{}}"#),
            (
                r#"{"elicitation":{"url":{}},"roots":{"listChanged":true}}"#,
                r#"{"elicitation":{"url":{}},"roots":{}}"#,
            ),
            (
                r#"{"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#,
                r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}"#,
            ),
            (
                r#"{"elicitation":{"form":{}},"sampling":null}"#,
                r#"{"elicitation":{}}"#,
            ),
            (r#"{"elicitation":true,"sampling":{}}"#, "{}"),
        ] {
            let offered = offer(declared).capabilities();
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(offered, expected, "{declared}");
        }
    }

    #[test]
    fn authz_02_asks_no_client_for_what_it_did_not_declare() {
        let forms = offer(r#"{"elicitation":{}}"#);
        assert!(covers(forms, &Method::Elicitation, r#"{"message":"m"}"#));
        assert!(covers(forms, &Method::Elicitation, r#"{"mode":"form"}"#));
        for mode in ["url", "x"] {
            let params = format!(r#"{{"mode":"{mode}"}}"#);
            assert!(!covers(forms, &Method::Elicitation, &params));
        }
        assert!(!covers(forms, &Method::Sampling, "{}"));
        assert!(!forms.covers(&Method::RootsList, None));
        let plain = offer(r#"{"sampling":{},"roots":{}}"#);
        assert!(plain.covers(&Method::RootsList, None));
        assert!(covers(plain, &Method::Sampling, r#"{"messages":[]}"#));
        assert!(!covers(plain, &Method::Sampling, r#"{"tools":[]}"#));
        assert!(!covers(plain, &Method::Ping, "{}"));
        assert!(!forms.common(plain).covers(&Method::RootsList, None));
        let permitted = plain.only(|method| *method == Method::RootsList);
        assert_eq!(permitted.capabilities(), json!({ "roots": {} }));
        assert_eq!(Offer::default().only(|_| true), Offer::default());
    }
}
