//! How many descriptors the system gives us, and how many connections they are enough for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is needed besides connections: the log, the listeners, the pipes of servers.
const OTHERS: u64 = 64;

/// Asks for as many descriptors as so many connections need, and gives how many they are enough for: a gateway that
/// runs out of them serves nobody. Each client may need one to an upstream too.
pub(super) fn connections(wanted: usize) -> usize {
    let count = u64::try_from(wanted).unwrap_or(u64::MAX);
    let needed = count.saturating_mul(3).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return wanted;
    }
    let most = limit.maximum.unwrap_or(u64::MAX).min(needed);
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    let is_raised = setrlimit(Resource::Nofile, raised).is_ok();
    let have = if is_raised { Some(most) } else { limit.current };
    let enough = enough_for(have.unwrap_or(u64::MAX), wanted);
    if enough < wanted {
        tracing::warn!(
            connections = enough,
            wanted,
            "the limit on open files is too low for limits.connections"
        );
    }
    enough
}

/// A third for clients, a third for upstreams, the rest for what comes and goes.
fn enough_for(descriptors: u64, wanted: usize) -> usize {
    let third = descriptors.saturating_sub(OTHERS) / 3;
    usize::try_from(third)
        .unwrap_or(usize::MAX)
        .clamp(1, wanted)
}

#[cfg(test)]
mod tests {
    use super::enough_for;

    #[test]
    fn few_descriptors_are_enough_for_few_connections() {
        for (descriptors, wanted, enough) in [
            (0, 4096, 1),
            (64, 4096, 1),
            (1024, 4096, 320),
            (1024, 100, 100),
            (u64::MAX, 4096, 4096),
        ] {
            assert_eq!(enough_for(descriptors, wanted), enough, "{descriptors}");
        }
    }
}
