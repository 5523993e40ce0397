//! How strictly a server is held to what was approved.

use super::Needed;
use std::time::Duration;

/// What becomes of what nobody has approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is withheld until somebody approves it.
    Pin,
    /// It is approved when it is first seen, unless something grave is found in it; every later change is withheld.
    Learn,
    /// It passes; changes are recorded.
    Observe,
}

impl Mode {
    /// The word for it in configurations and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Learn => "learn",
            Self::Observe => "observe",
        }
    }
}

/// How one server is held to what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What becomes of what nobody has approved.
    pub mode: Mode,
    /// How old what the server listed may be when it is called; zero asks it before each call.
    pub recheck: Duration,
    /// How many persons have to approve what is new or has changed.
    pub approvals: Needed,
}

impl Terms {
    /// Everything passes.
    pub const OBSERVED: Self = Self {
        mode: Mode::Observe,
        recheck: Duration::ZERO,
        approvals: Needed::One,
    };

    /// Whether calls and lists are held back at all.
    pub const fn is_binding(&self) -> bool {
        match self.mode {
            Mode::Pin | Mode::Learn => true,
            Mode::Observe => false,
        }
    }
}
