//! What is approved because it is seen for the first time.

use super::asked::gravest;
use super::pinned::MAX_LISTED;
use super::{Approved, Definition, Mode, Page, Pinned, Unreadable, What};
use std::cell::LazyCell;
use std::sync::{Arc, PoisonError};

impl Pinned {
    /// Approves what is seen for the first time, where that is enough; gives what is approved then.
    pub(super) fn learn(
        &self,
        page: &Page<'_>,
        read: &[Result<Definition, Unreadable>],
    ) -> Arc<Approved> {
        if page.terms.mode != Mode::Learn {
            return self.approved.load_full();
        }
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let approved = self.approved.load_full();
        if !approved.is_known {
            return approved;
        }
        let others = LazyCell::new(|| approved.others(page.server));
        let is_new = |read: &&Definition| {
            approved.may_learn(page.server, read)
                && !self.is_grave(page, read)
                && !others.like(read).is_some_and(|found| found.is_grave())
        };
        let new: Vec<&Definition> = read.iter().flatten().filter(is_new).collect();
        if new.is_empty() {
            return approved;
        }
        let mut more = Approved::clone(&approved);
        for definition in new {
            let learned = What::Learned(definition.clone());
            if self.push(page, definition.name(), learned) {
                let key = (Arc::clone(page.server), page.kind);
                let name = Arc::clone(definition.name());
                let mut all = self.listed();
                let listed = all.entry(key).or_default();
                listed.now.insert(name, definition.digest());
                more.add(page.server, definition.clone());
            }
        }
        more.rate(&approved);
        let more = Arc::new(more);
        self.approved.store(Arc::clone(&more));
        more
    }

    /// Whether something so grave is in it that somebody has to read it first; looked for once in each version.
    fn is_grave(&self, page: &Page<'_>, definition: &Definition) -> bool {
        let key = (Arc::clone(page.server), page.kind);
        let digest = definition.digest();
        let known = self
            .listed()
            .get(&key)
            .map(|listed| listed.grave.contains(&digest));
        if known == Some(true) {
            return true;
        }
        let is_grave = gravest(definition).is_some();
        if is_grave {
            let mut all = self.listed();
            let grave = &mut all.entry(key).or_default().grave;
            if grave.len() < MAX_LISTED {
                grave.insert(digest);
            }
        }
        is_grave
    }
}
