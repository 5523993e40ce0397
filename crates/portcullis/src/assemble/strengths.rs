//! How callers of a server must have authenticated.

use crate::config;
use portcullis_core::authorize::Strengths;

pub(super) fn strengths(server: &config::Server) -> Strengths {
    let tools = server.tools.iter();
    Strengths {
        server: server.step_up.clone(),
        tools: tools
            .filter_map(|(name, tool)| Some((name.clone(), tool.step_up.clone()?)))
            .collect(),
    }
}
