//! Misuse of tokens: judged in the core, recorded here, and revoked where that is configured.

use super::{Gateway, Live};
use crate::clock;
use crate::record::{Exchange, note};
use portcullis_audit::{Principal as Named, Record};
use portcullis_core::authenticate::Identity;
use portcullis_core::misuse::{Anomaly, Reach, Refused, Rule};
use portcullis_core::refusal::Refusal;
use portcullis_core::time::Timestamp;
use portcullis_state::{Change, Kind, Revocation, Source, Told, Whom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a revocation by a rule is remembered as done.
const REMEMBERED: Duration = Duration::from_hours(1);

impl Gateway {
    /// Counts a caller who is known by a token, and looks at both: says how unusual it is, where rules ask.
    pub(crate) fn watch_known(
        self: &Arc<Self>,
        live: &Live,
        caller: &Identity,
        peer: SocketAddr,
        exchange: &Exchange,
    ) -> Anomaly {
        self.counters.authenticated();
        let found = self
            .misuse
            .known(caller, peer.ip(), &live.misuse, clock::now());
        let place = live.atlas.as_ref().and_then(|atlas| atlas.find(peer.ip()));
        let travelled = self
            .misuse
            .travels(caller, peer.ip(), (&live.misuse, place), clock::now());
        for rule in found.into_iter().chain(travelled) {
            self.suspect(live, (rule, Some(caller)), peer, exchange);
        }
        if live.rules.policy.reads_anomaly() {
            self.misuse
                .score(caller, peer.ip(), &live.misuse, clock::now())
        } else {
            Anomaly::CALM
        }
    }

    /// How unusual what a caller does was when they were here last, where rules ask.
    pub(crate) fn anomaly(&self, live: &Live, caller: &Identity) -> Anomaly {
        if live.rules.policy.reads_anomaly() {
            self.misuse.score_now(caller, clock::now())
        } else {
            Anomaly::CALM
        }
    }

    /// Looks at a request that was refused.
    pub(crate) fn watch_refused(
        self: &Arc<Self>,
        live: &Live,
        why: &Refusal,
        peer: SocketAddr,
        exchange: &Exchange,
    ) {
        let trail = &exchange.trail;
        let claimed = trail.claimed.as_ref();
        let caller = trail.principal.as_deref();
        let refused = Refused {
            why,
            peer: peer.ip(),
            server: exchange.server.as_deref().unwrap_or_default(),
            claimed: claimed.and_then(|claimed| claimed.issuer.as_deref()),
            caller,
        };
        for rule in self.misuse.refused(&refused, &live.misuse, clock::now()) {
            self.suspect(live, (rule, caller), peer, exchange);
        }
    }

    fn suspect(
        self: &Arc<Self>,
        live: &Live,
        (rule, caller): (Rule, Option<&Identity>),
        peer: SocketAddr,
        exchange: &Exchange,
    ) {
        self.counters.misused(rule.name());
        let whom = caller.filter(|_| live.misuse.revoke.contains(&rule));
        let whom = whom.and_then(|caller| meant(rule, caller));
        let mut record = Record::new(match rule {
            Rule::Volume => "exfil.budget_exceeded",
            Rule::TokenNetworks
            | Rule::TokenKeys
            | Rule::AudienceProbing
            | Rule::InvalidBurst
            | Rule::IssuerBurst
            | Rule::UsedAfterRevocation
            | Rule::ProofReplay
            | Rule::ImpossibleTravel => "token.misuse",
        });
        record.reason = Some(rule.name().into());
        record.peer = Some(peer);
        record.server = exchange.server.as_deref().map(Into::into);
        record.trace = (!exchange.trace.is_empty()).then(|| exchange.trace.as_str().into());
        if let Some(caller) = caller {
            record.principal = Some(Named {
                iss: caller.vouched_by().into(),
                sub: caller.subject.as_str().into(),
            });
            record.client = caller.client.as_deref().map(Into::into);
            record.jti = caller.token_id.as_deref().map(Into::into);
        }
        let claimed = exchange.trail.claimed.as_ref();
        if let Some(issuer) = claimed.and_then(|claimed| claimed.issuer.as_deref()) {
            record.detail.set("claimed_issuer", issuer);
        }
        if let Some(server) = exchange.trail.issued_for.as_deref() {
            record.detail.set("issued_for", server);
        }
        let response = whom.as_ref().map_or("recorded", |_| "revoked");
        record.detail.set("response", response);
        note(&self.recorder, record);
        if let Some(whom) = whom {
            let told = told(rule, whom, &exchange.trace, clock::now());
            self.tasks.spawn(Arc::clone(self).revoke_misused(told));
        }
    }
}

impl Gateway {
    async fn revoke_misused(self: Arc<Self>, told: Told) {
        if let Err(error) = self.revocations.hear(told, clock::now()).await {
            tracing::error!(%error, "what was misused is not revoked");
        }
    }
}

/// Whose access it takes.
fn meant(rule: Rule, caller: &Identity) -> Option<Whom> {
    // A token is its issuer's, somebody is whose who vouches for them.
    let (kind, issuer, name) = match rule.reach()? {
        Reach::Token => (Kind::Token, &*caller.issuer, caller.token_id.clone()?),
        Reach::Subject => (Kind::Subject, caller.vouched_by(), caller.subject.clone()),
    };
    Some(Whom {
        kind,
        issuer: issuer.to_owned(),
        name,
    })
}

fn told(rule: Rule, whom: Whom, trace: &str, now: Timestamp) -> Told {
    let row = Revocation {
        source: Source::Misuse,
        reason: Some(rule.name().to_owned()),
        cause: (!trace.is_empty()).then(|| trace.to_owned()),
        ..Revocation::new(whom, now, (now, format!("misuse:{}", rule.name())))
    };
    Told {
        issuer: format!("misuse:{}", rule.name()),
        id: format!("{} {}", row.whom.name, now.micros()),
        until: now.plus(REMEMBERED),
        changes: vec![Change::Revoke(row)],
    }
}
