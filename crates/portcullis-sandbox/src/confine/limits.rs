//! What a server may use up.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{At as _, Confinement, Unconfined};

/// Open descriptors of one process.
const DESCRIPTORS: u64 = 1024;
/// The largest file that it can write, where it may write.
const FILE_BYTES: u64 = 1 << 30;
/// Memory that cannot be swapped out, of one process.
const LOCKED_BYTES: u64 = 64 * 1024;
/// The processes that wait for it count as its own.
const OURS: u64 = 2;

/// Sets what cannot be raised again.
pub(super) fn set(confinement: &Confinement) -> Result<(), Unconfined> {
    let limits = [
        (Resource::Nofile, DESCRIPTORS),
        (Resource::Core, 0),
        (Resource::Fsize, FILE_BYTES),
        (Resource::Memlock, LOCKED_BYTES),
        (Resource::Msgqueue, 0),
        (Resource::Data, confinement.memory_bytes),
        (Resource::Nproc, u64::from(confinement.processes) + OURS),
    ];
    for (resource, most) in limits {
        // One that is lower already stays.
        let most = getrlimit(resource)
            .maximum
            .map_or(most, |now| now.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).at("limits")?;
    }
    Ok(())
}
