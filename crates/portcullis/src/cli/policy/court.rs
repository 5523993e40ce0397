//! Puts a question to the rules of a configuration, by the very functions that serve clients.
//!
//! A token that says what the case says is signed here and verified as any other, but with a key that exists only for
//! this. So nothing can be asked that a client could not ask, and no second way of deciding can drift from the first.

use super::asked::{Asked, What};
use super::said::said;
use crate::assemble::{Assembled, issuer_name};
use crate::config::Checked;
use crate::issuers::embedded;
use crate::{keys, random};
use anyhow::Context as _;
use portcullis_core::authenticate::{
    Algorithm, Binding, Credentials, Introspection, Issuer, Keys, Trust, Unauthenticated,
};
use portcullis_core::authorize::policy::{Grant, Policy, Sources, Who};
use portcullis_core::authorize::{Circumstances, Forbidden, decide_reverse};
use portcullis_core::pipeline::{self, Head, Rules, Settled, State, Trail};
use portcullis_core::protocol::Headers;
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use portcullis_core::session::{Session, SessionId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long the token of a case lives, unless its issuer allows less.
const LIFETIME: Duration = Duration::from_mins(1);
/// Whom a case names that names nobody.
const SOMEBODY: &str = "somebody";

/// The rules, and what it takes to ask them.
pub(super) struct Court {
    /// What a running gateway would decide by.
    pub(super) rules: Rules,
    /// The same servers with no rule against anything: opens the sessions that cases of older revisions are in.
    opener: Rules,
    trust: Trust,
    key: Secret<Vec<u8>>,
    /// By their names in the configuration.
    issuers: BTreeMap<String, Issuer>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Permitted, by this rule.
    Allowed { rule: String },
    /// Not permitted.
    Denied {
        /// The audit record's word for it.
        reason: &'static str,
        /// The rule that forbids, if one does.
        rule: Option<String>,
        /// All scopes that are needed, if scopes would help.
        scopes: Vec<String>,
    },
    /// It never came to a decision.
    Unjudged(String),
}

impl Court {
    pub(super) fn of(checked: &Checked, assembled: Assembled) -> anyhow::Result<Self> {
        let key = keys::fresh()?;
        let own = Arc::new(embedded::key_set(&key)?);
        let mut rules = assembled.live.rules;
        rules.servers.values_mut().for_each(|server| {
            // Which key a token is bound to is no question of the rules.
            server.gate.resource.dpop = Binding::Off;
            server.gate.resource.needs_nonce = false;
        });
        let trusted = assembled.trusted.into_iter().map(|trusted| Issuer {
            algorithms: vec![Algorithm::EdDSA],
            introspection: Introspection::Never,
            ..trusted.issuer
        });
        let by_name: HashMap<String, Issuer> = trusted
            .map(|issuer| (issuer.issuer.clone(), issuer))
            .collect();
        let issuers = checked.issuers.iter().filter_map(|(name, issuer)| {
            let issuer = by_name.get(&issuer_name(checked, issuer))?;
            Some((name.clone(), issuer.clone()))
        });
        let all_keys = by_name
            .keys()
            .map(|issuer| (issuer.clone(), Arc::clone(&own)));
        Ok(Self {
            opener: opener(&rules)?,
            issuers: issuers.collect(),
            trust: Trust {
                keys: Keys(all_keys.collect()),
                issuers: by_name,
                revoked: Arc::default(),
                generation: 1,
            },
            rules,
            key,
        })
    }

    /// What the rules say.
    ///
    /// # Errors
    /// If the question cannot be put: it names what is not there.
    pub(super) fn judge(&self, asked: &Asked) -> anyhow::Result<Verdict> {
        let state = State::default();
        let session = match self.identify(&state, asked)? {
            Ok(session) => session,
            Err(refusal) => return Ok(verdict(&refusal)),
        };
        let circumstances = Circumstances {
            now: asked.time,
            network: asked.network.as_deref(),
        };
        let mut trail = Trail::default();
        let decided = match (&asked.what, asked.body()) {
            (What::Ask(method), _) => {
                let gate = &self.rules.server(&asked.server)?.gate;
                let asking = (method, asked.era.name());
                let principal = session.principal();
                decide_reverse(&self.rules.policy, gate, principal, asking, circumstances)
                    .map_err(Refusal::from)
            }
            (What::Message(..), body) => {
                let body = body.unwrap_or_default().into();
                let message = (body, &Headers::absent());
                let passed = (circumstances, &mut trail);
                let admitted = pipeline::admit(&self.rules, &state, session, message, passed);
                admitted.map(|_| trail.rule.unwrap_or_default())
            }
        };
        Ok(match decided {
            Ok(rule) => Verdict::Allowed { rule },
            Err(refusal) => verdict(&refusal),
        })
    }

    /// The caller, in a session where the revision has them.
    fn identify(&self, state: &State, asked: &Asked) -> anyhow::Result<Result<Session, Refusal>> {
        let token = self.token(asked)?;
        let authorization = format!("Bearer {}", token.expose());
        let id = if asked.era.is_stateless() {
            None
        } else {
            match self.open(state, &authorization, asked)? {
                Ok(id) => Some(id.wire()),
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
        let head = head(&asked.server, &authorization, id.as_deref());
        let (rules, trail) = (&self.rules, &mut Trail::default());
        let trusted = (rules, &self.trust);
        Ok(pipeline::identify(trusted, state, &head, asked.time, trail))
    }

    fn open(
        &self,
        state: &State,
        authorization: &str,
        asked: &Asked,
    ) -> anyhow::Result<Result<SessionId, Refusal>> {
        let head = head(&asked.server, authorization, None);
        let (rules, trail) = (&self.opener, &mut Trail::default());
        let known = pipeline::identify((rules, &self.trust), state, &head, asked.time, trail);
        let session = match known {
            Ok(session) => session,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let params = json!({
            "protocolVersion": asked.era.name(),
            "capabilities": {},
            "clientInfo": { "name": "portcullis", "version": "1" },
        });
        let first = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let circumstances = Circumstances {
            now: asked.time,
            network: None,
        };
        let message = (first.to_string().into(), &Headers::absent());
        let (dispatch, ticket) =
            pipeline::admit(rules, state, session, message, (circumstances, trail))?;
        drop(dispatch);
        let id = SessionId::from_entropy(random::bytes()?);
        let settled = Settled {
            revision: asked.era.name(),
            upstream: None,
            agent: 0,
        };
        pipeline::open(rules, state, &ticket, (id, settled), asked.time)?;
        Ok(Ok(id))
    }

    /// A token that says what the case says.
    fn token(&self, asked: &Asked) -> anyhow::Result<Secret<String>> {
        let issuer = self.issuer(asked)?;
        let resource = &self.rules.server(&asked.server)?.gate.resource;
        let who = &asked.who;
        let lifetime = LIFETIME.min(issuer.max_lifetime);
        let subject = who.user.as_deref().unwrap_or(SOMEBODY);
        let mut claims = said(who, subject, &issuer.claims);
        let own = [
            ("iss", json!(issuer.issuer)),
            ("aud", json!(resource.audience)),
            ("iat", json!(asked.time.seconds())),
            ("exp", json!(asked.time.plus(lifetime).seconds())),
        ];
        claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let kind = issuer.token_types.first().context("no type of token")?;
        embedded::sign(&self.key, kind, &Value::Object(claims))
    }

    fn issuer(&self, asked: &Asked) -> anyhow::Result<&Issuer> {
        let named = asked.who.issuer.as_ref();
        if let Some(name) = named {
            return self.issuers.get(name).with_context(|| {
                let known: Vec<&str> = self.issuers.keys().map(String::as_str).collect();
                format!("no [issuers.{name}]; there are: {}", known.join(", "))
            });
        }
        let resource = &self.server(&asked.server)?.gate.resource;
        match resource.issuers.as_slice() {
            [only] => self.trust.issuers.get(only).context("no such issuer"),
            _ => anyhow::bail!(
                "the server {:?} trusts several issuers: name one with `issuer`",
                asked.server
            ),
        }
    }

    fn server(&self, name: &str) -> anyhow::Result<&pipeline::Server> {
        let found = self.rules.servers.get(name);
        found
            .filter(|server| !server.gate.is_aggregate)
            .with_context(|| {
                let servers = self.rules.servers.iter();
                let known = servers.filter(|(_, server)| !server.gate.is_aggregate);
                let mut known: Vec<&str> = known.map(|(name, _)| &**name).collect();
                known.sort_unstable();
                format!("no server {name:?}; there are: {}", known.join(", "))
            })
    }
}

fn head<'a>(server: &'a str, authorization: &'a str, session: Option<&'a str>) -> Head<'a> {
    Head {
        server,
        credentials: Credentials {
            authorization: Some(authorization.as_bytes()),
            count: 1,
            in_query: false,
            ..Credentials::default()
        },
        session: session.map(|id| (id, 0)),
    }
}

fn opener(rules: &Rules) -> anyhow::Result<Rules> {
    let anyone = Grant {
        id: "opener".to_owned(),
        who: Who::Anyone,
        allow: vec!["*".to_owned()],
        until: None,
    };
    let mut servers = rules.servers.clone();
    let gates = servers.values_mut().map(|server| &mut server.gate);
    gates.for_each(|gate| gate.resource.scopes.clear());
    Ok(Rules {
        policy: Policy::compile(&Sources {
            cedar: &[],
            grants: &[anyone],
            boundaries: &[],
        })?,
        servers,
        sessions: rules.sessions,
        view: rules.view,
    })
}

fn verdict(refusal: &Refusal) -> Verdict {
    let reason = refusal.event().1;
    match refusal {
        Refusal::Forbidden(Forbidden::Scope { required }) => Verdict::Denied {
            reason,
            rule: None,
            scopes: required.clone(),
        },
        Refusal::Forbidden(why) => Verdict::Denied {
            reason,
            rule: why.rule().map(str::to_owned),
            scopes: Vec::new(),
        },
        Refusal::Unauthenticated(Unauthenticated::Issuer) => Verdict::Denied {
            reason,
            rule: None,
            scopes: Vec::new(),
        },
        Refusal::Unacceptable(_)
        | Refusal::Unauthenticated(_)
        | Refusal::NoSession(_)
        | Refusal::Malformed(_)
        | Refusal::Exhausted(_)
        | Refusal::NoTask(_)
        | Refusal::Unanswered(_)
        | Refusal::BadAnswer(_)
        | Refusal::Unavailable(_) => {
            let (event, _) = refusal.event();
            Verdict::Unjudged(format!("{refusal} ({event}, {reason})"))
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { rule } => write!(out, "allowed by {rule}"),
            Self::Denied {
                reason,
                rule,
                scopes,
            } => {
                write!(out, "denied ({reason})")?;
                if let Some(rule) = rule {
                    write!(out, " by {rule}")?;
                }
                if !scopes.is_empty() {
                    write!(out, ", scopes needed: {}", scopes.join(" "))?;
                }
                Ok(())
            }
            Self::Unjudged(_) => out.write_str("no decision"),
        }
    }
}
