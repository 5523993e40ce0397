//! What was found, about what, and what to do about it.

pub(super) use portcullis_core::catalog::analyse::Severity;
use portcullis_core::catalog::{Definition, Kind, analyse};

/// Something that was found at a server, or in a file that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The rule that found it; stays the same from version to version.
    pub(super) rule: &'static str,
    /// The technique, by its id in MITRE ATLAS or SAFE-MCP; empty if it is none.
    pub(super) technique: &'static str,
    pub(super) severity: Severity,
    /// The definition that it is about; none if it is about the server or its entry in a file.
    pub(super) about: Option<(Kind, String)>,
    /// A JSON pointer into the definition or the entry.
    pub(super) pointer: String,
    /// What stands there, if it may be shown.
    pub(super) excerpt: String,
    /// Why it matters.
    pub(super) reason: String,
    /// What to do.
    pub(super) fix: &'static str,
}

impl Finding {
    /// What a client's file tells, at a pointer into the entry, with what may be shown of it.
    pub(super) fn of_file(
        rule: &'static str,
        severity: Severity,
        (pointer, excerpt): (&str, &str),
        reason: &'static str,
        fix: &'static str,
    ) -> Self {
        Self {
            pointer: pointer.to_owned(),
            ..Self::of_server(
                (rule, severity),
                None,
                (reason.to_owned(), excerpt.to_owned()),
                fix,
            )
        }
    }

    /// What a server does.
    pub(super) fn of_server(
        (rule, severity): (&'static str, Severity),
        about: Option<(Kind, String)>,
        (reason, excerpt): (String, String),
        fix: &'static str,
    ) -> Self {
        Self {
            rule,
            technique: "",
            severity,
            about,
            pointer: String::new(),
            excerpt,
            reason,
            fix,
        }
    }

    /// What the analysis of a definition says.
    pub(super) fn of_definition(definition: &Definition, said: analyse::Finding) -> Self {
        let fix = match said.severity {
            Severity::Critical | Severity::High => {
                "do not let a model see it: remove the server, or ask its publisher what the text is for"
            }
            Severity::Medium => "read the definition before you use it",
            Severity::Low | Severity::Info => "nothing, if it is what you expect",
        };
        let about = (definition.kind(), definition.name().to_string());
        Self::of_analysis(about, said, fix)
    }

    /// What an analysis says, and what to do.
    pub(super) fn of_analysis(
        about: (Kind, String),
        said: analyse::Finding,
        fix: &'static str,
    ) -> Self {
        Self {
            technique: said.technique,
            pointer: said.pointer,
            ..Self::of_server(
                (said.rule, said.severity),
                Some(about),
                (said.reason, said.excerpt),
                fix,
            )
        }
    }

    /// What it is about, in words: `tool add /description`, or the place in a file.
    pub(super) fn place(&self) -> String {
        let about = match &self.about {
            None => String::new(),
            Some((Kind::Server, _)) => "server".to_owned(),
            Some((kind, name)) => format!("{kind} {name}"),
        };
        let words = [about, self.pointer.clone()];
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            "entry".to_owned()
        } else {
            words.join(" ")
        }
    }
}

/// How a server came out.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was not started or reached, since nobody said so.
    NotAsked,
    /// The client has it switched off.
    Off,
    /// It could not be looked at, and why.
    Failed(String),
    /// What it defines.
    Seen(Vec<Definition>),
}

/// One server, and all that is known of it.
#[derive(Debug)]
pub(super) struct Scanned {
    /// What it is called in reports and in the lock file; no other has the same.
    pub(super) name: String,
    /// The client and its file, if it was found in one.
    pub(super) source: Option<(&'static str, std::path::PathBuf)>,
    /// How it is started or reached, without secrets.
    pub(super) how: String,
    pub(super) findings: Vec<Finding>,
    pub(super) outcome: Outcome,
}

impl Scanned {
    /// The gravest finding.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// What it defines, as far as it was seen.
    pub(super) fn definitions(&self) -> &[Definition] {
        match &self.outcome {
            Outcome::Seen(definitions) => definitions,
            Outcome::NotAsked | Outcome::Off | Outcome::Failed(_) => &[],
        }
    }
}
