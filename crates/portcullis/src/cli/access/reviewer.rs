//! Who acts in a review: a token of the reviewers' issuer, verified as the gateway would verify it.

use crate::assemble::{Assembled, reviewers_of};
use crate::cli::audit::{self, Named};
use crate::cli::check::{Judged, judge};
use crate::cli::explain::{bearer, read_token, trust};
use crate::cli::{Ending, out, runtime};
use crate::config::Checked;
use crate::lifecycle::Home;
use crate::reviewing::{MARGIN, Refused, person};
use crate::revocations::revoked;
use anyhow::{Context as _, bail};
use portcullis_core::authenticate::{Identity, Unauthenticated};
use portcullis_core::pipeline::Trail;
use portcullis_core::refusal::Refusal;
use portcullis_core::review::token_digest;
use portcullis_state::{Actor, Durable};
use std::sync::Arc;

/// All that an action in a review needs.
pub(super) struct Room {
    pub(super) checked: Box<Checked>,
    pub(super) built: Box<Assembled>,
    pub(super) durable: Durable,
    runtime: tokio::runtime::Runtime,
}

/// Somebody who may act.
pub(super) struct Reviewer {
    pub(super) identity: Identity,
    pub(super) actor: Actor,
}

impl Room {
    /// Reads the configuration, and opens the database.
    pub(super) fn enter(named: &Named) -> anyhow::Result<Self> {
        let file = audit::configuration(named)?;
        let shown = file.display();
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        let Judged::Good(checked, built) = judge(&file, &text)? else {
            bail!("{shown} is not good: run `portcullis check {shown}`");
        };
        if checked.review.is_none() {
            bail!("{shown} has no [review]: it says who may review");
        }
        let runtime = runtime()?;
        let state = Home(checked.gateway.data.clone()).state();
        let durable = runtime.block_on(Durable::open(&state))?;
        Ok(Self {
            checked,
            built,
            durable,
            runtime,
        })
    }

    /// Does something with the database.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Who has the token on stdin, if that is a reviewer.
    pub(super) fn reviewer(&self) -> anyhow::Result<Result<Reviewer, Refused>> {
        let reviewers = reviewers_of(&self.checked)?.context("no [review]")?;
        let token = read_token()?;
        let (mut trust, silent) = trust(&self.checked, &self.built.trusted)?;
        for problem in silent {
            out::error(&problem);
        }
        if let Some(news) = self.block_on(self.durable.news(None))? {
            trust.revoked = Arc::new(revoked(&news.in_force));
        }
        let rules = &self.built.live.rules;
        let own = rules.servers.iter().filter(|(_, server)| {
            let issuers = &server.gate.resource.issuers;
            issuers.contains(&reviewers.issuer)
        });
        let (mut refusal, mut known) = (None::<Refusal>, None);
        for (server, _) in own {
            match bearer((rules, &trust), server, &token, &mut Trail::default()) {
                Ok(identity) => known = Some(identity),
                // What every server but its own says of a token tells least.
                Err(Refusal::Unauthenticated(Unauthenticated::Audience)) if refusal.is_some() => {}
                Err(why) => refusal = Some(why),
            }
        }
        let Some(identity) = known else {
            let word = refusal.as_ref().map_or("audience", |why| why.event().1);
            let why = format!("the token would be refused at every server: {word}");
            let mut refused = Refused::new("token", None, &why);
            refused.event.fact("token", word);
            return Ok(Err(refused));
        };
        let person = person(&identity);
        if let Err(why) = reviewers.admit(&identity) {
            return Ok(Err(Refused::new(why.reason(), Some(person), &why)));
        }
        let actor = Actor {
            person,
            token: token_digest(token.expose()),
            until: identity.expires.plus(MARGIN),
        };
        Ok(Ok(Reviewer { identity, actor }))
    }

    /// Says that somebody was refused, and has it recorded.
    pub(super) fn refuse(&self, refused: Refused) -> anyhow::Result<Ending> {
        out::error(&refused.why);
        self.block_on(self.durable.review_refused(refused.event))?;
        Ok(Ending::Bad)
    }
}

/// How an action ends.
pub(super) fn ending(done: anyhow::Result<Ending>) -> Ending {
    done.unwrap_or_else(|error| super::unknown(&format!("{error:#}")))
}
