//! How a server is confined, as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Size;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the server of `command` may do to this machine; without this table, whatever the gateway's user may. What the kernel
/// does not give is an error at start, never left out (`portcullis sandbox doctor`). See `docs/sandbox.md`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sandbox {
    /// What kind of server it is: `pure` sees the system's programs and libraries only; `files` the paths of `ro` and `rw`
    /// besides; `network` connects to `ports`; `node` and `python` have the room that these need, and may have any of it.
    #[schemars(extend("enum" = ["pure", "files", "network", "node", "python"]))]
    pub(super) profile: String,
    /// Paths that it may read and run programs from.
    #[serde(default)]
    pub(super) ro: Vec<String>,
    /// Paths that it may read and write; nothing in them can be run.
    #[serde(default)]
    pub(super) rw: Vec<String>,
    /// TCP ports that it may connect to, at any host. Names are looked up by UDP, which is not confined then. Default: none;
    /// of `network`, 443.
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    /// The most data of one process. Default: 512 MiB; of `node` and `python`, 2 GiB.
    #[schemars(extend("x-range" = bounds::SANDBOX_MEMORY.words()))]
    pub(super) memory: Option<Size>,
    /// The most processes and threads at once. Default: 32; of `node` and `python`, 128.
    #[schemars(extend("minimum" = bounds::SANDBOX_PROCESSES.least.0, "maximum" = bounds::SANDBOX_PROCESSES.most.0))]
    pub(super) processes: Option<i64>,
    /// The size of its `/tmp`, which is in memory and ends with it.
    #[schemars(extend("default" = bounds::SCRATCH.default_text(), "x-range" = bounds::SCRATCH.words()))]
    pub(super) scratch: Option<Size>,
}
