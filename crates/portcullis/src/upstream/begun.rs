//! A session that an upstream has begun and nobody here has opened yet.

use std::fmt;
use std::sync::Arc;

/// The id that the upstream gave; dropped before the session is open, what was begun for it is ended.
pub(crate) struct Begun {
    id: Arc<str>,
    undo: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Begun {
    /// A session for which something runs that `undo` ends.
    pub(super) fn or_else(id: Arc<str>, undo: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self {
            id,
            undo: Some(Box::new(undo)),
        }
    }

    /// The same, ended so if nothing that was begun for it has an end of its own.
    pub(super) fn otherwise(mut self, undo: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.undo.get_or_insert_with(|| Box::new(undo));
        self
    }

    pub(crate) const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The session is open: from now on somebody else ends it.
    pub(crate) fn keep(mut self) {
        self.undo = None;
    }
}

impl From<&str> for Begun {
    fn from(id: &str) -> Self {
        Self {
            id: id.into(),
            undo: None,
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo();
        }
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(..)")
    }
}
