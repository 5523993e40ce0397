//! What every change must pass, on a machine with Rust, Node, Python and a C and C++ compiler and nothing else.
//!
//! A step that cannot run has failed: nothing is skipped. The advisories are no step of the whole, because their
//! database cannot be fetched everywhere; `cargo xtask test --only advisories` asks for them.

mod cargo;
mod deny;
mod fuzz;
mod machine;
pub(crate) mod peers;

use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;
use crate::{conformance, instructions, shell, tidy};

/// One step; stands for itself, so that it can be run alone.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace) -> anyhow::Result<()>,
}

/// The steps of the whole, in order. Clippy and rustdoc share what `cargo check` makes; build and test
/// share what is compiled: both are made once. The peers come before the tests that use them.
const STEPS: &[Step] = &[
    Step {
        name: "machine",
        what: "the machine has what the steps need",
        run: machine::is_complete,
    },
    Step {
        name: "fmt",
        what: "the sources are formatted",
        run: cargo::fmt,
    },
    Step {
        name: "clippy",
        what: "no lint speaks",
        run: cargo::clippy,
    },
    Step {
        name: "build",
        what: "everything compiles",
        run: cargo::build,
    },
    Step {
        name: "peers",
        what: "other people's servers and clients are there",
        run: peers::install,
    },
    Step {
        name: "test",
        what: "all tests, those in the documentation too",
        run: cargo::test,
    },
    Step {
        name: "doc",
        what: "the documentation builds without a warning",
        run: cargo::doc,
    },
    Step {
        name: "tidy",
        what: "the rules of the house",
        run: tidy::check,
    },
    Step {
        name: "deny",
        what: "licences, duplicates and sources of dependencies",
        run: deny::offline,
    },
    Step {
        name: "conformance",
        what: "the public suites, through the gateway",
        run: conformance::run,
    },
    Step {
        name: "fuzz",
        what: "every fuzz target for half a minute",
        run: fuzz::smoke,
    },
];

/// Steps that are run by name only.
const BY_NAME: &[Step] = &[
    Step {
        name: "advisories",
        what: "known vulnerabilities; fetches their database",
        run: deny::advisories,
    },
    Step {
        name: "instructions",
        what: "the core takes no more instructions a request; needs valgrind",
        run: instructions::run,
    },
];

/// Runs all steps up to the first that fails.
///
/// # Errors
/// Names the step and says why.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<()> {
    let begun = shell::now();
    let mut times = String::new();
    for step in STEPS {
        let seconds = step.take(workspace)?;
        if write!(times, " {} {seconds:.0}s", step.name).is_err() {
            // Writing to a text cannot fail.
        }
    }
    shell::say(&format!(
        "==> all {} steps passed in {:.0} s:{times}",
        STEPS.len(),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Runs one step.
///
/// # Errors
/// As [`all`]; also for a name that no step has.
pub(crate) fn only(workspace: &Workspace, name: &str) -> anyhow::Result<()> {
    let Some(step) = STEPS.iter().chain(BY_NAME).find(|step| step.name == name) else {
        bail!("no step is called {name}; there are:\n{}", list());
    };
    step.take(workspace).map(drop)
}

/// The steps, one a line.
pub(crate) fn list() -> String {
    let line = |step: &Step| format!("{:12} {}", step.name, step.what);
    STEPS
        .iter()
        .chain(BY_NAME)
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

impl Step {
    /// Runs the step; gives the seconds that it took.
    fn take(&self, workspace: &Workspace) -> anyhow::Result<f64> {
        shell::say(&format!("==> {}: {}", self.name, self.what));
        let begun = shell::now();
        let done = (self.run)(workspace);
        let seconds = begun.elapsed().as_secs_f64();
        done.with_context(|| format!("step {} failed after {seconds:.1} s", self.name))?;
        shell::say(&format!("==> {} passed in {seconds:.1} s", self.name));
        Ok(seconds)
    }
}
