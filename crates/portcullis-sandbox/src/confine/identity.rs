//! Who the server is: nobody, in namespaces of its own, with no power over any of them.

use std::fs;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Pid, Signal, Uid, getegid, geteuid, getppid, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, UnshareFlags,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::{At as _, Network, SANDBOX_UID, Unconfined};
use crate::sys;

/// Who it is to itself.
pub(super) const INSIDE: u32 = 1000;

/// More than any kernel has.
const MOST_CAPABILITIES: u32 = 64;

/// Lets go of root, if this is root: root in a namespace is still who root is outside.
///
/// What the kernel forgets with a change of identity is said again: that this process ends with its launcher.
pub(super) fn become_nobody(launcher: Pid) -> Result<(), Unconfined> {
    if geteuid().is_root() {
        let (user, group) = (Uid::from_raw(SANDBOX_UID), Gid::from_raw(SANDBOX_UID));
        set_thread_groups(&[]).at("groups")?;
        set_thread_res_gid(group, group, group).at("group")?;
        set_thread_res_uid(user, user, user).at("user")?;
    }
    set_parent_process_death_signal(Some(Signal::KILL)).at("tie to the launcher")?;
    if getppid() != Some(launcher) {
        return Err(Unconfined::Orphaned);
    }
    Ok(())
}

/// Leaves every namespace of before; the next process is the first of a process namespace.
pub(super) fn leave(network: &Network) -> Result<(), Unconfined> {
    let (user, group) = (geteuid(), getegid());
    let apart = match network {
        Network::None => UnshareFlags::NEWNET,
        Network::Ports(_) => UnshareFlags::empty(),
    };
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP
        | apart;
    // Its maps belong to root while it cannot be looked into, and could not be written.
    set_dumpable_behavior(DumpableBehavior::Dumpable).at("user namespace")?;
    sys::unshare(flags).at(
        "user namespaces are not allowed here (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns, \
         or the filter of a container)",
    )?;
    fs::write("/proc/self/setgroups", "deny").at("/proc/self/setgroups")?;
    let map = |id: u32| format!("{INSIDE} {id} 1");
    fs::write("/proc/self/gid_map", map(group.as_raw())).at("/proc/self/gid_map")?;
    fs::write("/proc/self/uid_map", map(user.as_raw())).at("/proc/self/uid_map")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at("user namespace")?;
    sys::set_host_name("sandbox").at("host name")
}

/// Gives up every capability, and every way to get one.
pub(super) fn drop_capabilities() -> Result<(), Unconfined> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits).at("secure bits")?;
    clear_ambient_capability_set().at("ambient capabilities")?;
    for number in 0..MOST_CAPABILITIES {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The kernel has no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error).at("bounding capabilities"),
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).at("capabilities")
}
