//! How much each caller may ask of a server.

use crate::config;
use portcullis_core::quota::{self, Rate};
use std::collections::BTreeMap;

pub(super) fn quota_of(
    quota: &config::Quota,
    tools: &BTreeMap<String, config::Tool>,
) -> quota::Limits {
    let per_minute = |count: u32| Rate {
        per_minute: count.into(),
        burst: quota.burst.min(count).into(),
    };
    let own = |tool: &config::Tool| tool.requests_per_minute.map(per_minute);
    quota::Limits {
        requests: Rate {
            per_minute: quota.requests_per_minute.into(),
            burst: quota.burst.into(),
        },
        tool_requests: Some(per_minute(quota.tool_requests_per_minute)),
        per_tool: tools
            .iter()
            .filter_map(|(name, tool)| Some((name.clone(), own(tool)?)))
            .collect(),
        concurrency: quota.concurrency,
        bytes: Rate {
            per_minute: quota.bytes_per_minute,
            burst: quota.bytes_per_minute,
        },
        upstream_concurrency: quota.upstream_concurrency,
    }
}
