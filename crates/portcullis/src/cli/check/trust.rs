//! What an issuer's part of a configuration means: with a `provider`, what that stands for.

use super::words::listed;
use crate::assemble::own_issuer;
use crate::config::{Checked, External, Issuer};
use portcullis_core::authenticate::{Claims, DeclaredClaim, Topic};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who may sign tokens, and which of them are access tokens.
#[derive(Debug, Serialize)]
pub(super) struct Trust {
    pub(super) issuer: String,
    pub(super) embedded: bool,
    /// The preset that the rest comes from.
    pub(super) provider: Option<&'static str>,
    pub(super) algorithms: Vec<String>,
    pub(super) token_types: Vec<&'static str>,
    pub(super) max_lifetime_seconds: u64,
    pub(super) claims: Named,
    /// Which tokens it is asked about, if any: `opaque` or `all`.
    pub(super) introspection: Option<&'static str>,
    pub(super) signed_answers: bool,
    /// The audience of the security events that it pushes.
    pub(super) signals: Option<String>,
    /// Where security events are fetched.
    pub(super) signals_poll: Option<String>,
    /// The claim whose users its directory tells of.
    pub(super) scim: Option<String>,
}

/// Claims by what they are for, as the keys of the file are called.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    pub(super) scope_claim: String,
    /// Each scope with all that it implies.
    pub(super) scope_implies: BTreeMap<String, BTreeSet<String>>,
    pub(super) roles_claim: Vec<String>,
    pub(super) groups_claim: Vec<String>,
    pub(super) subject_claim: String,
    pub(super) client_subject: bool,
    pub(super) client_claim: Option<String>,
    pub(super) required_claims: BTreeMap<String, Vec<String>>,
    pub(super) one_of_claims: Vec<String>,
    pub(super) forbidden_claims: Vec<String>,
    /// What policies can speak of.
    pub(super) claims: BTreeMap<String, Said>,
}

impl Trust {
    pub(super) fn of(checked: &Checked, issuer: &Issuer) -> Self {
        match issuer {
            Issuer::Embedded { max_lifetime } => Self {
                issuer: own_issuer(checked),
                embedded: true,
                provider: None,
                algorithms: vec!["EdDSA".to_owned()],
                token_types: vec!["at+jwt"],
                max_lifetime_seconds: max_lifetime.as_secs(),
                claims: Named::of(&Claims::default()),
                introspection: None,
                signed_answers: false,
                signals: None,
                signals_poll: None,
                scim: None,
            },
            Issuer::External(external) => external_issuer(external),
        }
    }
}

fn external_issuer(external: &External) -> Trust {
    let algorithms = external.algorithms.iter();
    let types = external.token_types.iter();
    let asked = external.introspection.as_ref();
    let signals = external.signals.as_ref();
    let scim = external.scim.as_ref();
    Trust {
        issuer: external.issuer.clone(),
        embedded: false,
        provider: external.provider.map(crate::config::Provider::name),
        algorithms: algorithms
            .map(|algorithm| format!("{algorithm:?}"))
            .collect(),
        token_types: types.map(|kind| kind.name()).collect(),
        max_lifetime_seconds: external.max_lifetime.as_secs(),
        claims: Named::of(&external.claims),
        introspection: asked.map(|asked| if asked.always { "all" } else { "opaque" }),
        signed_answers: asked.is_some_and(|asked| asked.signed),
        signals: signals.map(|signals| signals.audience.clone()),
        signals_poll: signals
            .and_then(|signals| signals.poll.as_ref())
            .map(|poll| poll.url.origin()),
        scim: scim.map(|scim| {
            scim.claim
                .as_ref()
                .unwrap_or(&external.claims.subject)
                .clone()
        }),
    }
}

/// A claim that policies can speak of: its type, where it stands, and of what events say it.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    kind: &'static str,
    way: Vec<String>,
    pushed: Option<&'static str>,
}

impl Named {
    fn of(claims: &Claims) -> Self {
        Self {
            scope_claim: claims.scopes.clone(),
            scope_implies: claims.implied.table().clone(),
            roles_claim: claims.roles.names().to_vec(),
            groups_claim: claims.groups.names().to_vec(),
            subject_claim: claims.subject.clone(),
            client_subject: claims.client_subject,
            client_claim: claims.client.clone(),
            required_claims: claims.required.iter().cloned().collect(),
            one_of_claims: claims.one_of.clone(),
            forbidden_claims: claims.forbidden.clone(),
            claims: claims.declared.iter().map(declared).collect(),
        }
    }
}

fn declared(claim: &DeclaredClaim) -> (String, Said) {
    let said = Said {
        kind: claim.kind.name(),
        way: claim.path.names().to_vec(),
        pushed: claim.pushed.map(Topic::name),
    };
    (claim.name.clone(), said)
}

impl fmt::Display for Trust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.provider {
            _ if self.embedded => " (this gateway)".to_owned(),
            Some(name) => format!(" ({name})"),
            None => String::new(),
        };
        let (issuer, algorithms) = (&self.issuer, listed(&self.algorithms));
        let seconds = self.max_lifetime_seconds;
        writeln!(
            out,
            "{issuer}{kind}; {algorithms}; tokens live at most {seconds} s"
        )?;
        if !self.embedded {
            writeln!(
                out,
                "           token types {}",
                self.token_types.join(", ")
            )?;
            write!(out, "{}", self.claims)?;
        }
        if let Some(which) = self.introspection {
            let signed = if self.signed_answers {
                ", and signs its answers"
            } else {
                ""
            };
            writeln!(out, "           is asked about {which} tokens{signed}")?;
        }
        if let Some(audience) = &self.signals {
            writeln!(out, "           pushes security events for {audience}")?;
        }
        if let Some(place) = &self.signals_poll {
            writeln!(out, "           is asked for them at {place}")?;
        }
        if let Some(claim) = &self.scim {
            writeln!(
                out,
                "           tells by SCIM which `{claim}` have no access"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.client_claim.as_deref();
        writeln!(
            out,
            "           subject {}{}; client {}; scopes {}; roles {}; groups {}",
            self.subject_claim,
            if self.client_subject {
                " (sub of a client)"
            } else {
                ""
            },
            client.unwrap_or("client_id or azp"),
            self.scope_claim,
            self.roles_claim.join(" > "),
            self.groups_claim.join(" > "),
        )?;
        for (scope, implied) in &self.scope_implies {
            let implied: Vec<&str> = implied.iter().map(String::as_str).collect();
            writeln!(
                out,
                "           scope {scope} implies {}",
                implied.join(", ")
            )?;
        }
        for (name, said) in &self.claims {
            let (kind, way) = (said.kind, said.way.join(" > "));
            write!(out, "           policies know {name}: {kind}, from {way}")?;
            match said.pushed {
                Some(topic) => writeln!(out, ", or from events of {topic}")?,
                None => writeln!(out)?,
            }
        }
        for (name, texts) in &self.required_claims {
            writeln!(out, "           needs {name} = {}", texts.join(" or "))?;
        }
        if !self.one_of_claims.is_empty() {
            writeln!(
                out,
                "           needs one of {}",
                self.one_of_claims.join(", ")
            )?;
        }
        writeln!(
            out,
            "           refuses tokens with {}",
            listed(&self.forbidden_claims)
        )
    }
}
