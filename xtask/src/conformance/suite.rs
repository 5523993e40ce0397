//! What a suite says, and what two of its runs say together.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

/// The suites, and the least checks that must pass: fewer mean that the suite or the fixture lost some.
pub(super) const SUITES: &[(&str, u64)] = &[
    ("stable", 40),
    ("2025-11-25", 84),
    ("2026-07-28", 164),
    ("2026-07-28-all", 152),
];

/// The suites for clients, and the least checks that must pass.
pub(super) const CLIENTS: &[(&str, u64)] =
    &[("client-2025-11-25", 280), ("client-2026-07-28", 440)];

/// The checks of the suite for authorization servers, all of which must pass.
const AUTHORIZATION: u64 = 3;

/// Scenarios for clients that do not count and that the gateway does not pass. docs/conformance.md says why.
const NOT_OURS: &[&str] = &[
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/enterprise-managed-authorization",
    "auth/wif-jwt-bearer",
];

/// One run of a suite, as `tests/peers/conformance/run.mjs` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Verdict {
    passed: u64,
    failed: u64,
    warnings: u64,
    scored_failed: u64,
    rc: i32,
    failures: Vec<Failure>,
}

/// A check that failed.
#[derive(Debug, Clone, Deserialize)]
struct Failure {
    scenario: String,
    check: String,
    scored: bool,
    message: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            warnings,
            scored_failed,
            ..
        } = self;
        write!(
            f,
            "{passed} passed, {failed} failed, {warnings} warnings; {scored_failed} scored failures"
        )
    }
}

/// What is wrong with the two runs; nothing, if the gateway was not noticed and nothing that counts failed.
pub(super) fn compare(suite: &str, least: u64, direct: &Verdict, through: &Verdict) -> Vec<String> {
    let mut faults = Vec::new();
    if direct.passed < least {
        faults.push(format!(
            "{suite}: {} checks passed directly, once there were {least}",
            direct.passed
        ));
    }
    // The gateway knows whose tasks there are where a server knows none: what is not scored may go better through it.
    let counts = |run: &Verdict| {
        (
            run.passed + run.failed,
            run.warnings,
            run.scored_failed,
            run.rc,
        )
    };
    if counts(direct) != counts(through) || through.passed < direct.passed {
        faults.push(format!(
            "{suite}: the counts differ\n  direct:  {direct}\n  gateway: {through}"
        ));
    }
    let known: BTreeSet<_> = direct.failures.iter().map(Failure::key).collect();
    for failure in through
        .failures
        .iter()
        .filter(|failure| !known.contains(&failure.key()))
    {
        faults.push(format!(
            "{suite}: fails through the gateway only: {failure}"
        ));
    }
    for failure in direct.failures.iter().filter(|failure| failure.scored) {
        faults.push(format!("{suite}: fails directly: {failure}"));
    }
    if direct.rc != 0 || through.rc != 0 {
        faults.push(format!(
            "{suite}: ended with {} directly and {} through the gateway",
            direct.rc, through.rc
        ));
    }
    faults
}

/// What is wrong with a run in which the gateway was the client.
pub(super) fn judge_client(suite: &str, least: u64, run: &Verdict) -> Vec<String> {
    let mut faults = Vec::new();
    if run.passed < least {
        faults.push(format!(
            "{suite}: {} checks passed, once there were {least}",
            run.passed
        ));
    }
    if run.rc != 0 || run.warnings > 0 {
        faults.push(format!("{suite}: ended with {}: {run}", run.rc));
    }
    let is_ours = |failure: &&Failure| !NOT_OURS.contains(&failure.scenario.as_str());
    let failures = run.failures.iter().filter(is_ours);
    faults.extend(failures.map(|failure| format!("{suite}: fails: {failure}")));
    let passes = |own: &&&str| !run.failures.iter().any(|failure| failure.scenario == **own);
    faults.extend(
        NOT_OURS.iter().filter(passes).map(|own| {
            format!("{suite}: {own} passes: take it out of the list of those that do not")
        }),
    );
    faults
}

/// What is wrong with a run in which the gateway was the authorization server.
pub(super) fn judge_authorization(run: &Verdict) -> Vec<String> {
    let mut faults = Vec::new();
    if run.passed < AUTHORIZATION || run.rc != 0 || run.warnings > 0 {
        faults.push(format!("authorization: ended with {}: {run}", run.rc));
    }
    let failures = run.failures.iter();
    faults.extend(failures.map(|failure| format!("authorization: fails: {failure}")));
    faults
}

impl Failure {
    fn key(&self) -> (&str, &str) {
        (&self.scenario, &self.check)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}: {}", self.scenario, self.check, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, NOT_OURS, Verdict, compare, judge_client};

    fn run(passed: u64, failures: &[(&str, bool)]) -> Verdict {
        let failure = |&(check, scored): &(&str, bool)| Failure {
            scenario: "s".into(),
            check: check.into(),
            scored,
            message: String::new(),
        };
        let scored_failed =
            u64::try_from(failures.iter().filter(|(_, scored)| *scored).count()).unwrap();
        Verdict {
            passed,
            failed: u64::try_from(failures.len()).unwrap(),
            warnings: 0,
            scored_failed,
            rc: i32::from(scored_failed > 0),
            failures: failures.iter().map(failure).collect(),
        }
    }

    #[test]
    fn a_gateway_that_is_not_noticed_passes() {
        assert!(compare("suite", 9, &run(9, &[]), &run(9, &[])).is_empty());
        let better = compare("suite", 8, &run(8, &[("tasks", false)]), &run(9, &[]));
        assert!(better.is_empty(), "{better:?}");
        let unscored = run(9, &[("tasks", false)]);
        assert!(compare("suite", 9, &unscored, &unscored).is_empty());
    }

    #[test]
    fn every_difference_is_a_fault() {
        let good = run(9, &[]);
        let warned = Verdict {
            warnings: 1,
            ..good.clone()
        };
        let ended = Verdict {
            rc: 1,
            ..good.clone()
        };
        for (case, direct, through) in [
            ("fewer passed", &good, &run(8, &[])),
            ("more passed", &good, &run(10, &[])),
            ("a warning", &good, &warned),
            ("another end", &good, &ended),
            ("a failure", &good, &run(9, &[("a", true)])),
            (
                "a failure that is not scored",
                &good,
                &run(9, &[("a", false)]),
            ),
            (
                "another failure",
                &run(9, &[("a", false)]),
                &run(9, &[("b", false)]),
            ),
            (
                "a scored failure on both sides",
                &run(9, &[("a", true)]),
                &run(9, &[("a", true)]),
            ),
            ("lost checks on both sides", &run(8, &[]), &run(8, &[])),
        ] {
            assert!(!compare("suite", 9, direct, through).is_empty(), "{case}");
        }
    }

    #[test]
    fn of_a_client_all_that_is_ours_must_pass() {
        let known = || {
            NOT_OURS.iter().map(|own| Failure {
                scenario: (*own).to_owned(),
                check: "a".into(),
                scored: false,
                message: String::new(),
            })
        };
        let good = Verdict {
            failures: known().collect(),
            ..run(9, &[])
        };
        assert!(judge_client("suite", 9, &good).is_empty());
        let another = Failure {
            scenario: "s".into(),
            ..known().next().unwrap()
        };
        for (case, run) in [
            (
                "a warning",
                Verdict {
                    warnings: 1,
                    ..good.clone()
                },
            ),
            (
                "its own verdict",
                Verdict {
                    rc: 1,
                    ..good.clone()
                },
            ),
            (
                "another failure",
                Verdict {
                    failures: known().chain([another]).collect(),
                    ..good.clone()
                },
            ),
            (
                "a success that is not known",
                Verdict {
                    failures: known().skip(1).collect(),
                    ..good.clone()
                },
            ),
            ("fewer checks", Verdict { passed: 8, ..good }),
        ] {
            assert!(!judge_client("suite", 9, &run).is_empty(), "{case}");
        }
    }
}
