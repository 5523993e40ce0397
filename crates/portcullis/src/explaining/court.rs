//! Puts a question to the rules of a configuration, by the very functions that serve clients.
//!
//! A token that says what the case says is signed here and verified as any other, but with a key that exists only for
//! this. So nothing can be asked that a client could not ask, and no second way of deciding can drift from the first.

use super::asked::{Asked, What, Who};
use super::book::Book;
use super::said::said;
use super::verdict::Verdict;
use crate::config::Who as Named;
use crate::issuers::embedded;
use crate::keys::{Purpose, Signer};
use crate::random;
use anyhow::Context as _;
use portcullis_authority::grant::PROVIDER;
use portcullis_core::authenticate::{
    Algorithm, Binding, Claims, Credentials, Introspection, Issuer, Keys, Trust,
};
use portcullis_core::authorize::policy::{self, Grant, Policy, Sources};
use portcullis_core::authorize::{Circumstances, Strengths, decide_reverse};
use portcullis_core::catalog::Approved;
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, Rules, Settled, State, Trail};
use portcullis_core::protocol::Headers;
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use portcullis_core::session::{Session, SessionId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long the token of a case lives, unless its issuer allows less.
const LIFETIME: Duration = Duration::from_mins(1);
/// Whom a case names that names nobody.
const SOMEBODY: &str = "somebody";

/// Facts by their names in records.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// The rules, and what it takes to ask them.
pub(crate) struct Court {
    /// What a running gateway would decide by.
    pub(crate) rules: Rules,
    /// The same servers with no rule against anything: opens the sessions that cases of older revisions are in.
    opener: Rules,
    trust: Trust,
    key: Signer,
    /// By their names in the configuration.
    issuers: BTreeMap<String, Issuer>,
    book: Arc<Book>,
}

impl Court {
    /// Of these rules, of the issuers that tokens are taken of, and of what was written for both.
    ///
    /// # Errors
    /// No key can be made, or no session be opened.
    pub(crate) fn of(
        mut rules: Rules,
        trusted: impl IntoIterator<Item = Issuer>,
        book: Arc<Book>,
    ) -> anyhow::Result<Self> {
        let key = Signer::passing(Purpose::Issuer)?;
        let own = Arc::new(embedded::key_set(&key)?);
        rules.servers.values_mut().for_each(|server| {
            // What a token is bound to is no question of the rules.
            server.gate.resource.dpop = Binding::Off;
            server.gate.resource.mtls = Binding::Off;
            server.gate.resource.needs_nonce = false;
        });
        let trusted = trusted.into_iter().map(|issuer| Issuer {
            algorithms: vec![Algorithm::EdDSA],
            introspection: Introspection::Never,
            ..issuer
        });
        let by_name: HashMap<String, Issuer> = trusted
            .map(|issuer| (issuer.issuer.clone(), issuer))
            .collect();
        let issuers = book.issuers.iter().filter_map(|(name, iss)| {
            let issuer = by_name.get(iss)?;
            Some((name.clone(), issuer.clone()))
        });
        let all_keys = by_name
            .keys()
            .map(|issuer| (issuer.clone(), Arc::clone(&own)));
        let issuers: BTreeMap<String, Issuer> = issuers.collect();
        Ok(Self {
            opener: opener(&rules)?,
            issuers,
            trust: Trust {
                keys: Keys(all_keys.collect()),
                issuers: by_name,
                revoked: Arc::default(),
                generation: 1,
            },
            rules,
            key,
            book,
        })
    }

    /// What the rules say.
    ///
    /// # Errors
    /// If the question cannot be put: it names what is not there.
    pub(crate) fn judge(&self, asked: &Asked) -> anyhow::Result<Verdict> {
        self.hear(asked).map(|(verdict, _)| verdict)
    }

    /// The same, with what a record would tell of the facts that the rules look at.
    pub(crate) fn hear(&self, asked: &Asked) -> anyhow::Result<(Verdict, Facts)> {
        let state = State::default();
        if let (What::Message(_, params), Some(rated)) = (&asked.what, &asked.rated) {
            let tool = params.get("name").and_then(Value::as_str);
            if let Some(tool) = tool {
                let assumed = Approved::assumed(&asked.server, tool, rated.clone());
                state.pinned.put(assumed);
            }
        }
        let session = match self.identify(&state, asked)? {
            Ok(session) => session,
            Err(refusal) => return Ok((Verdict::of(&refusal), Facts::new())),
        };
        let circumstances = Circumstances {
            now: asked.time,
            network: asked.network.as_deref(),
            anomaly: asked.anomaly,
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
                admitted.map(|_| trail.rule.take().unwrap_or_default())
            }
        };
        let verdict = match decided {
            Ok(rule) => Verdict::Allowed { rule },
            Err(refusal) => Verdict::of(&refusal),
        };
        Ok((verdict, trail.looked_at))
    }

    /// The name in the configuration of the issuer whose `iss` this is.
    pub(crate) fn issuer_name(&self, iss: &str) -> Option<&str> {
        let mut found = self
            .issuers
            .iter()
            .filter(|(_, issuer)| issuer.issuer == iss);
        found.next().map(|(name, _)| name.as_str())
    }

    /// The scopes that those of the case imply.
    pub(crate) fn implied(&self, asked: &Asked) -> Vec<String> {
        let issuer = self.issuer(asked);
        let implied = issuer.map(|issuer| issuer.claims.implied.of(&asked.who.scopes));
        implied.unwrap_or_default()
    }

    /// What this issuer calls things.
    pub(crate) fn claims_of(&self, issuer: &str) -> Option<&Claims> {
        self.issuers.get(issuer).map(|issuer| &issuer.claims)
    }

    /// Where a rule stands, in brackets; nothing if that is not known.
    pub(crate) fn place(&self, rule: &str) -> String {
        let place = self.book.place(rule);
        place.map(|place| format!(" ({place})")).unwrap_or_default()
    }

    /// The same caller with one more role, group or other name, for each that a grant of the server names.
    pub(crate) fn others(&self, asked: &Asked) -> BTreeMap<String, Who> {
        let grants = self.book.grants.iter();
        let here = grants.filter(|grant| grant.server == asked.server);
        here.filter_map(|grant| Some((grant.who.to_string(), self.instead(asked, &grant.who)?)))
            .collect()
    }

    fn instead(&self, asked: &Asked, named: &Named) -> Option<Who> {
        let mut who = asked.who.clone();
        match named {
            Named::Anyone | Named::Issuer(_) => return None,
            Named::Role(role) => who.roles.push(role.clone()),
            Named::Group(group) => who.groups.push(group.clone()),
            Named::Client(client) => who.client = Some(client.clone()),
            Named::User(user) => {
                match user.split_once('|').filter(|(iss, _)| iss.contains("://")) {
                    Some(named) => self.named(asked, &mut who, named)?,
                    None => who.user = Some(user.clone()),
                }
            }
        }
        Some(who)
    }

    /// Puts somebody else in the caller's place. Who has signed in at a provider comes with a token of ours.
    fn named(&self, asked: &Asked, who: &mut Who, (iss, subject): (&str, &str)) -> Option<()> {
        let ours = self.vouched_for(asked, iss);
        let vouched = ours.map(|_| (PROVIDER.to_owned(), json!(iss)));
        who.claims.extend(vouched);
        who.issuer = Some(ours.or_else(|| self.issuer_name(iss))?.to_owned());
        who.user = Some(subject.to_owned());
        Some(())
    }

    /// The issuer of tokens for this server, in which that provider vouches for users.
    fn vouched_for(&self, asked: &Asked, provider: &str) -> Option<&str> {
        let server = self.rules.servers.get(&*asked.server)?;
        let mut found = self.issuers.iter().filter(|(_, issuer)| {
            let vouching = issuer.claims.provider.as_ref();
            server.gate.resource.issuers.contains(&issuer.issuer)
                && vouching.is_some_and(|vouching| vouching.by.contains(provider))
        });
        found.next().map(|(name, _)| name.as_str())
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
            anomaly: Anomaly::CALM,
        };
        let message = (first.to_string().into(), &Headers::absent());
        let admitted = pipeline::admit(rules, state, session, message, (circumstances, trail));
        let (dispatch, ticket) = match admitted {
            Ok(admitted) => admitted,
            // Of no tenant of the server's.
            Err(refusal) => return Ok(Err(refusal)),
        };
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
        Ok(self.key.sign_here(kind, &Value::Object(claims))?)
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
        who: policy::Who::Anyone,
        allow: vec!["*".to_owned()],
        until: None,
        held: None,
    };
    let mut servers = rules.servers.clone();
    let gates = servers.values_mut().map(|server| &mut server.gate);
    gates.for_each(|gate| {
        gate.resource.scopes.clear();
        gate.strengths = Strengths::default();
    });
    Ok(Rules {
        policy: Policy::compile(&Sources {
            cedar: &[],
            grants: &[anyone],
            ..Sources::default()
        })?
        .into(),
        servers,
        elevations: Arc::default(),
        sessions: rules.sessions,
        view: rules.view,
    })
}
