//! How callers of a server must have authenticated, and which tools need an elevation or an approval besides.

use crate::config;
use portcullis_core::authorize::policy::Who;
use portcullis_core::authorize::{Approval, By, Risky, Strengths};
use std::collections::HashMap;
use std::time::Duration;

pub(super) fn strengths(server: &config::Server) -> Strengths {
    let tools = server.tools.iter();
    Strengths {
        server: server.step_up.clone(),
        tools: tools
            .filter_map(|(name, tool)| Some((name.clone(), tool.step_up.clone()?)))
            .collect(),
        approvals: server
            .tools
            .iter()
            .filter_map(|(name, tool)| Some((name.clone(), approval(tool.approval.as_ref()?))))
            .collect(),
        risky: server.risky.as_ref().map(|risky| Risky {
            over: risky.over,
            approval: approval(&risky.approval),
        }),
    }
}

fn approval(written: &config::Approval) -> Approval {
    let by = match written.by.as_slice() {
        [] => By::Caller,
        persons => By::Others(named(persons)),
    };
    Approval {
        by,
        lasts: written.expires,
        risk: written.risk,
    }
}

pub(super) fn privileged(server: &config::Server) -> HashMap<String, Duration> {
    let tools = server.tools.iter();
    tools
        .filter_map(|(name, tool)| Some((name.clone(), tool.elevation?)))
        .collect()
}

/// Whoever cannot be named approves nothing.
/// Those persons, as policies know them.
pub(super) fn named(persons: &[config::Who]) -> Vec<Who> {
    persons.iter().filter_map(who_is).collect()
}

fn who_is(who: &config::Who) -> Option<Who> {
    who.to_string().parse().ok()
}
