//! What every new connection is shown.

use super::VALIDATION;
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The certificate of the gateway, and what shows an ACME server that a name is ours.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// None until there is one: then nobody is answered.
    certified: ArcSwapOption<CertifiedKey>,
    /// For each name that is being looked at.
    answers: ArcSwap<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl Shown {
    /// Shows this one from now on; says whether it is another one.
    pub(crate) fn replace(&self, certified: &Arc<CertifiedKey>) -> bool {
        let before = self.certified.swap(Some(Arc::clone(certified)));
        before.is_none_or(|before| before.cert != certified.cert)
    }

    /// Answers for these names until what is given back is dropped.
    pub(crate) fn answer(&self, answers: BTreeMap<String, Arc<CertifiedKey>>) -> Answering<'_> {
        self.answers.store(Arc::new(answers));
        Answering(self)
    }
}

/// While it is there, ACME servers are answered.
#[derive(Debug)]
pub(crate) struct Answering<'a>(&'a Shown);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.answers.store(Arc::default());
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Such a client offers nothing else (RFC 8737 section 3).
        let is_validation = hello
            .alpn()
            .is_some_and(|mut offered| offered.all(|protocol| protocol == VALIDATION));
        if is_validation {
            let name = hello.server_name()?;
            return self.answers.load().get(name).cloned();
        }
        self.certified.load_full()
    }
}
