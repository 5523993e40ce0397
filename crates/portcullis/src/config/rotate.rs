//! How often keys of our own are replaced, after every check.

use crate::keys::Purpose;
use std::time::Duration;

/// How old keys of our own become before they are replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RotateEvery {
    /// Those that sign and are files.
    pub(crate) signing: Vec<(Purpose, Duration)>,
    /// The one that wraps others.
    pub(crate) wrapping: Option<Duration>,
}
