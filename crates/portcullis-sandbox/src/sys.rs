//! What the kernel offers and no library wraps: the one file of this crate with unsafe code.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which of two processes goes on after [`fork`].
#[derive(Debug)]
pub(crate) enum Forked {
    Parent(Pid),
    Child,
}

/// What is forbidden on a mount, of `mount_setattr(2)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes(u64);

impl Attributes {
    /// Read, and run programs that gain nothing by it.
    pub(crate) const READ: Self =
        Self(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
    /// Read and write, and run nothing.
    pub(crate) const WRITE: Self =
        Self(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC);
    /// A device that is there already; none can be made.
    pub(crate) const DEVICE: Self =
        Self(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC);
}

/// Goes on as two processes.
#[expect(
    unsafe_code,
    reason = "no safe wrapper exists: the caller must have one thread"
)]
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the launcher's stages have one thread (nothing in this crate starts one), so no lock of another thread is
    // held in the child, and the child may go on as any program.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid)
            .filter(|_| pid > 0)
            .map(Forked::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}

/// Leaves the namespaces of before.
#[expect(
    unsafe_code,
    reason = "the wrapper is unsafe for flags that are not used here"
)]
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: it is unsafe for CLONE_FILES alone, which parts descriptors of threads; no caller passes it, and there is one
    // thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

/// Forbids something on every mount at and below `tree`, which is a detached one or the root of one.
#[expect(unsafe_code, reason = "no library wraps mount_setattr(2)")]
pub(crate) fn forbid(tree: impl AsFd, what: Attributes, reach: Reach) -> io::Result<()> {
    let tree: BorrowedFd<'_> = tree.as_fd();
    let attributes = libc::mount_attr {
        attr_set: what.0,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH
        | match reach {
            Reach::One => 0,
            Reach::Below => libc::AT_RECURSIVE,
        };
    // SAFETY: the kernel reads a path that ends with a zero byte and a structure of the size that is passed, both of which
    // live until the call returns, and writes nothing.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(done)
}

/// How far [`forbid`] reaches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reach {
    One,
    Below,
}

/// Gives the machine another name, as far as this namespace sees.
#[expect(unsafe_code, reason = "one call that is not worth a feature of rustix")]
pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as are there.
    let done = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    checked(done.into())
}

/// SIGTERM is for the server: whoever waits for it must live to tell how it ended.
#[expect(unsafe_code, reason = "signal dispositions have no safe wrapper")]
pub(crate) fn ignore_sigterm() {
    // SAFETY: no handler is installed, so no code runs in a signal's context. It cannot fail for a signal that exists.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// One call of the kernel, by number.
#[expect(unsafe_code, reason = "a call that no library offers")]
pub(crate) fn call(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: callers pass zero, small numbers, descriptors, or addresses of values that live as long as the call and are
    // as long as it says.
    let done = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

fn checked(done: libc::c_long) -> io::Result<()> {
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
