//! How and where what is behind the pipes is reached.

use super::{Pipes, Source};

impl Pipes {
    /// How and where what is behind them is: of a command its name, as arguments may have secrets.
    pub(in crate::upstream) fn place(&self) -> (&'static str, String) {
        match &self.plan.source {
            Source::Process(launch) => {
                let command = launch.spec.command.to_string_lossy();
                ("stdio", command.into_owned())
            }
            Source::Link(target, _) => ("sse", target.http.place()),
        }
    }

    pub(in crate::upstream) const fn transport(&self) -> &'static str {
        match self.plan.source {
            Source::Process(_) => "pipe",
            Source::Link(..) => "tcp",
        }
    }
}
