//! All servers that a caller may use, as one stateless server: each decides for itself about its part.

mod listing;
mod member;
mod watching;

use super::Gateway;
use crate::clock;
use crate::upstream::{Carried, Inner, Reply, taken, whole};
use futures_util::future::BoxFuture;
use member::Asked;
use portcullis_core::authenticate::Principal;
use portcullis_core::authorize::{Circumstances, decide_reverse};
use portcullis_core::protocol::{Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::{Dispatch, aggregate, bridge};
use std::sync::{Arc, OnceLock, Weak};

/// A name that no server here has.
const UNKNOWN_NAME: i64 = -32602;
const UNKNOWN_METHOD: i64 = -32601;

/// The server that stands for all the others.
#[derive(Debug, Default)]
pub(crate) struct Aggregate {
    gateway: OnceLock<Weak<Gateway>>,
}

impl Aggregate {
    /// Tells it the gateway that it is part of.
    pub(crate) fn bind(&self, gateway: &Arc<Gateway>) {
        self.gateway.get_or_init(|| Arc::downgrade(gateway));
    }
}

impl Inner for Aggregate {
    fn call<'a>(
        &'a self,
        dispatch: &'a Dispatch,
        carried: &'a Carried,
    ) -> BoxFuture<'a, Result<Reply, Unanswered>> {
        Box::pin(async move {
            let gateway = self.gateway.get().and_then(Weak::upgrade);
            let gateway = gateway.ok_or(Unanswered::NotRunning)?;
            gateway.of_all(dispatch, carried).await
        })
    }

    fn admits(&self, principal: &Principal) -> bool {
        let gateway = self.gateway.get().and_then(Weak::upgrade);
        gateway.is_some_and(|gateway| gateway.admits(principal).is_ok())
    }

    fn may_be_asked(&self, dispatch: &Dispatch, method: &Method) -> bool {
        let gateway = self.gateway.get().and_then(Weak::upgrade);
        gateway.is_some_and(|gateway| {
            let live = gateway.live.load();
            let circumstances = Circumstances {
                now: clock::now(),
                network: None,
                anomaly: gateway.anomaly(&live, dispatch.principal()),
            };
            let rules = &live.rules;
            let question = (method, dispatch.call().revision().name());
            rules.server(dispatch.server()).is_ok_and(|server| {
                let (policy, gate) = (&rules.policy, &server.gate);
                decide_reverse(policy, gate, dispatch.principal(), question, circumstances).is_ok()
            })
        })
    }
}

impl Gateway {
    async fn of_all(
        self: &Arc<Self>,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        let asked = Asked {
            gateway: self,
            live: self.live.load_full(),
            dispatch,
            carried,
        };
        let call = dispatch.call();
        if !matches!(call.kind(), Kind::Request(_)) {
            return Ok(taken());
        }
        let method = call.method();
        if *method == Method::Discover {
            let answer = aggregate::discovered(dispatch).ok_or(Unanswered::Foreign)?;
            return Ok(whole(answer, 200));
        }
        if *method == Method::Listen {
            return asked.watch().await;
        }
        if matches!(
            method,
            Method::ToolsList
                | Method::PromptsList
                | Method::ResourcesList
                | Method::ResourceTemplatesList
        ) {
            return asked.list().await;
        }
        let is_known = matches!(
            method,
            Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::Complete
        );
        if !is_known {
            let answer = bridge::failed(dispatch, UNKNOWN_METHOD, "method not found");
            return Ok(whole(answer.ok_or(Unanswered::Foreign)?, 404));
        }
        let member =
            aggregate::addressed(call).and_then(|(name, body)| Some((asked.member(name)?, body)));
        let Some((name, body)) = member else {
            let answer = bridge::failed(dispatch, UNKNOWN_NAME, "no server has this name");
            return Ok(whole(answer.ok_or(Unanswered::Foreign)?, 200));
        };
        asked.one(&name, body).await
    }
}
