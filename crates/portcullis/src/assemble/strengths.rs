//! How callers of a server must have authenticated, and which tools need an elevation besides.

use crate::config;
use portcullis_core::authorize::Strengths;
use std::collections::HashMap;
use std::time::Duration;

pub(super) fn strengths(server: &config::Server) -> Strengths {
    let tools = server.tools.iter();
    Strengths {
        server: server.step_up.clone(),
        tools: tools
            .filter_map(|(name, tool)| Some((name.clone(), tool.step_up.clone()?)))
            .collect(),
    }
}

pub(super) fn privileged(server: &config::Server) -> HashMap<String, Duration> {
    let tools = server.tools.iter();
    tools
        .filter_map(|(name, tool)| Some((name.clone(), tool.elevation?)))
        .collect()
}
