//! The second wall: the same paths and ports once more, held by Landlock, which knows of no namespaces.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope,
};

use super::root::{DEVICES, SCRATCH};
use super::{Confinement, Network, RESOLVER, SYSTEM, Unconfined};

/// What every kernel with Landlock knows.
const LEAST: ABI = ABI::V1;
/// The newest of which all is asked; of a kernel that knows less, what it knows.
const MOST: ABI = ABI::V6;

/// Restricts this process and all that it becomes.
pub(super) fn restrict(confinement: &Confinement) -> Result<(), Unconfined> {
    let status = ruleset(confinement)
        .and_then(RulesetCreated::restrict_self)
        .map_err(Unconfined::Landlock)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(Unconfined::NoLandlock),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn ruleset(confinement: &Confinement) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?;
    let ports = match &confinement.network {
        Network::None => &[][..],
        Network::Ports(ports) => {
            // The network is the machine's, so nothing but Landlock holds these, nor keeps it from sockets of others.
            ruleset = ruleset
                .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
                .scope(Scope::AbstractUnixSocket)?;
            ports
        }
    };
    let mut created = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(MOST))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let run = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    for path in SYSTEM.iter().map(Path::new) {
        created = beneath(created, path, run)?;
    }
    let resolver = match confinement.network {
        Network::None => &[][..],
        Network::Ports(_) => RESOLVER,
    };
    for path in resolver.iter().map(Path::new) {
        created = beneath(created, path, AccessFs::ReadFile.into())?;
    }
    for path in &confinement.read {
        created = beneath(created, path, run)?;
    }
    let unmakable = AccessFs::MakeBlock | AccessFs::MakeChar;
    let change = AccessFs::from_all(MOST) & !(unmakable | AccessFs::Execute | AccessFs::IoctlDev);
    for path in &confinement.write {
        created = beneath(created, path, change)?;
    }
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        created = beneath(created, &path, AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    if confinement.walls.has_namespaces() {
        // These are of its own.
        created = beneath(created, Path::new(SCRATCH), change)?;
        created = beneath(
            created,
            Path::new("/proc"),
            AccessFs::ReadFile | AccessFs::ReadDir,
        )?;
        created = beneath(
            created,
            Path::new("/etc"),
            AccessFs::ReadFile | AccessFs::ReadDir,
        )?;
        created = beneath(created, Path::new("/dev"), AccessFs::ReadDir.into())?;
    }
    for port in ports {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(created)
}

/// What is not there needs no rule.
fn beneath(
    created: RulesetCreated,
    path: &Path,
    may: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(descriptor) = PathFd::new(path) else {
        return Ok(created);
    };
    let may = if path.is_dir() {
        may
    } else {
        may & AccessFs::from_file(MOST)
    };
    created.add_rule(PathBeneath::new(descriptor, may))
}
