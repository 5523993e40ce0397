//! What a confined server may do to the machine, by a profile and what is named beside it.

use std::fmt;
use std::path::PathBuf;

/// What a kind of server needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Computes: sees the system's programs and libraries, and nothing of this machine's own.
    Pure,
    /// Works on the paths that are named.
    Files,
    /// Speaks to hosts on the ports that are named.
    Network,
    /// Runs on Node.js.
    Node,
    /// Runs on Python.
    Python,
}

/// Each with its name.
pub(crate) const PROFILES: &[(&str, Profile)] = &[
    ("pure", Profile::Pure),
    ("files", Profile::Files),
    ("network", Profile::Network),
    ("node", Profile::Node),
    ("python", Profile::Python),
];

/// What is named beside a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Paths to read.
    pub(crate) ro: Vec<PathBuf>,
    /// Paths to read and write.
    pub(crate) rw: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub(crate) ports: Vec<u16>,
}

/// What a server may do to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) profile: Profile,
    pub(crate) named: Named,
    /// The most data of one process.
    pub(crate) memory_bytes: u64,
    /// The most processes and threads.
    pub(crate) processes: u32,
    /// The size of `/tmp`.
    pub(crate) scratch_bytes: u64,
}

/// What is named does not go with the profile, or is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("`pure` sees nothing of this machine: it takes no path")]
    Path,
    #[error("this profile has no network: it takes no port")]
    Port,
    #[error("`files` needs at least one path to read (`ro`) or to write (`rw`)")]
    NoPath,
    #[error(
        "not a path that can be shown to a server: write it from the root, without `..`, and not `/`, `/tmp` or anything in `/dev`, `/proc` or `/sys`"
    )]
    Place,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        let mut known = PROFILES.iter();
        known
            .find(|(_, profile)| *profile == self)
            .map_or("", |(name, _)| name)
    }

    /// What may be named beside it; of `network`, 443 is named where nothing is.
    pub(crate) fn with(self, mut named: Named) -> Result<Named, Misfit> {
        let has_path = !named.ro.is_empty() || !named.rw.is_empty();
        match self {
            Self::Pure if has_path => return Err(Misfit::Path),
            Self::Pure | Self::Files if !named.ports.is_empty() => return Err(Misfit::Port),
            Self::Files if !has_path => return Err(Misfit::NoPath),
            Self::Network if named.ports.is_empty() => named.ports.push(443),
            Self::Pure | Self::Files | Self::Network | Self::Node | Self::Python => {}
        }
        let places = named.ro.iter().chain(&named.rw);
        if places.into_iter().any(|path| !is_place(path)) {
            return Err(Misfit::Place);
        }
        Ok(named)
    }

    /// The most data of one process, in MiB.
    pub(crate) fn memory_mib(self) -> u64 {
        match self {
            Self::Pure | Self::Files | Self::Network => 512,
            Self::Node | Self::Python => 2048,
        }
    }

    /// The most processes and threads.
    pub(crate) fn processes(self) -> u32 {
        match self {
            Self::Pure | Self::Files | Self::Network => 32,
            Self::Node | Self::Python => 128,
        }
    }
}

/// What can be put into a root of its own without covering what is there.
fn is_place(path: &std::path::Path) -> bool {
    use std::path::Component;
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let is_ours = ["/dev", "/proc", "/sys"]
        .iter()
        .any(|own| path.starts_with(own));
    let is_whole = ["/", "/tmp"]
        .iter()
        .any(|own| path == std::path::Path::new(own));
    path.is_absolute() && is_plain && !is_ours && !is_whole
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lp_01_takes_only_what_goes_with_the_profile() {
        let named = |ro: &[&str], rw: &[&str], ports: &[u16]| Named {
            ro: ro.iter().map(PathBuf::from).collect(),
            rw: rw.iter().map(PathBuf::from).collect(),
            ports: ports.to_vec(),
        };
        let check = |profile: Profile, named: Named, expected: Result<(), Misfit>| {
            assert_eq!(
                profile.with(named.clone()).map(drop),
                expected,
                "{profile} {named:?}"
            );
        };
        check(Profile::Pure, named(&[], &[], &[]), Ok(()));
        check(Profile::Pure, named(&["/srv"], &[], &[]), Err(Misfit::Path));
        check(Profile::Pure, named(&[], &[], &[443]), Err(Misfit::Port));
        check(Profile::Files, named(&[], &[], &[]), Err(Misfit::NoPath));
        check(
            Profile::Files,
            named(&["/srv"], &[], &[443]),
            Err(Misfit::Port),
        );
        check(Profile::Files, named(&[], &["/srv/a"], &[]), Ok(()));
        check(
            Profile::Node,
            named(&["/srv"], &["/tmp/x"], &[8080]),
            Ok(()),
        );
        assert_eq!(
            Profile::Network.with(Named::default()),
            Ok(named(&[], &[], &[443]))
        );
        for bad in [
            "/",
            "/tmp",
            "/proc/1/root",
            "/dev",
            "/sys/fs/cgroup",
            "/srv/../etc",
            "srv",
        ] {
            check(Profile::Files, named(&[bad], &[], &[]), Err(Misfit::Place));
            check(Profile::Python, named(&[], &[bad], &[]), Err(Misfit::Place));
        }
    }
}
