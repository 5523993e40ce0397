//! What the server sees: a root of its own in which there is only what it may see, and nothing of which it can change but
//! what it may write.

use std::ffi::OsStr;
use std::fs::{File, canonicalize, read_link, symlink_metadata};
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    Access, CWD, Mode, OFlags, ResolveFlags, access, mkdirat, open, openat, openat2, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::identity::INSIDE;
use super::{At as _, Confinement, Network, RESOLVER, SYSTEM, Unconfined};
use crate::sys::{self, Attributes, Reach};

/// Where the new root is built: a directory that every system has.
const SITE: &str = "/tmp";

/// Where it may write; in memory.
pub(super) const SCRATCH: &str = "/tmp";

/// The most files in [`SCRATCH`].
const SCRATCH_FILES: u32 = 16_384;

/// The devices that it has.
pub(super) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// A part of the machine that the server will see.
struct Part {
    at: PathBuf,
    tree: OwnedFd,
    is_directory: bool,
}

/// Puts the new root in place of the machine's. `cwd` stays the working directory if it is seen there.
pub(super) fn build(confinement: &Confinement) -> Result<(), Unconfined> {
    let cwd = std::env::current_dir();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).at("private mounts")?;
    // All is picked up before the place where the root is built covers any of it.
    let (parts, links) = parts(confinement)?;
    let devices = devices()?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount(
        "tmpfs",
        SITE,
        "tmpfs",
        plain,
        c"size=1m,nr_inodes=8192,mode=0755",
    )
    .at("root")?;
    chdir(SITE).at("root")?;
    let root = open(
        ".",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let root = root.at("root")?;
    furnish(&root, confinement, &links)?;
    for part in devices.into_iter().chain(parts) {
        put(&root, &part)?;
    }
    // The new root and the old one lie on the same place for a moment; what is taken away is the old.
    pivot_root(".", ".").at("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).at("old root")?;
    chdir("/").at("root")?;
    let root = open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    sys::forbid(root.at("root")?, Attributes::READ, Reach::One).at("read-only root")?;
    let is_seen = cwd.is_ok_and(|cwd| chdir(cwd).is_ok());
    if !is_seen {
        chdir(SCRATCH).at("working directory")?;
    }
    Ok(())
}

/// A link at the top, and where it leads.
type Link = (PathBuf, PathBuf);

/// What is seen of the machine, parents before what is in them; and the links at the top.
fn parts(confinement: &Confinement) -> Result<(Vec<Part>, Vec<Link>), Unconfined> {
    let mut wanted: Vec<(PathBuf, Attributes)> = Vec::new();
    let mut links = Vec::new();
    let resolver = match confinement.network {
        Network::None => &[][..],
        Network::Ports(_) => RESOLVER,
    };
    for path in SYSTEM.iter().chain(resolver).map(Path::new) {
        match symlink_metadata(path) {
            // As `/bin`, where it is a part of `/usr`.
            Ok(found) if found.is_symlink() && path.parent() == Some(Path::new("/")) => {
                let target =
                    read_link(path).map_err(|error| Unconfined::path("link", path, error))?;
                links.push((path.to_owned(), target));
            }
            Ok(_) => wanted.push((path.to_owned(), Attributes::READ)),
            Err(_) => {}
        }
    }
    let is_seen = |path: &Path| SYSTEM.iter().any(|system| path.starts_with(system));
    for path in confinement.read.iter().filter(|path| !is_seen(path)) {
        expect_open(path, Access::READ_OK)?;
        wanted.push((path.clone(), Attributes::READ));
    }
    for path in &confinement.write {
        expect_open(path, Access::READ_OK | Access::WRITE_OK)?;
        wanted.push((path.clone(), Attributes::WRITE));
    }
    wanted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let parts = wanted.into_iter().map(|(at, may)| pick_up(at, may));
    Ok((parts.collect::<Result<_, _>>()?, links))
}

/// What is named and could not be opened would be no more than a name.
fn expect_open(path: &Path, how: Access) -> Result<(), Unconfined> {
    let what = "the server's user may not open (or there is no)";
    access(path, how).map_err(|error| Unconfined::path(what, path, error))
}

fn devices() -> Result<Vec<Part>, Unconfined> {
    let paths = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    paths.map(|at| pick_up(at, Attributes::DEVICE)).collect()
}

/// A copy of the mounts at a path, in which is forbidden what is not `may`.
fn pick_up(at: PathBuf, may: Attributes) -> Result<Part, Unconfined> {
    let failed = |what, error| Unconfined::path(what, &at, error);
    let source = canonicalize(&at).map_err(|error| failed("cannot find", error))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree =
        open_tree(CWD, &source, flags).map_err(|error| failed("cannot take", error.into()))?;
    sys::forbid(&tree, may, Reach::Below).map_err(|error| failed("cannot confine", error))?;
    Ok(Part {
        is_directory: source.is_dir(),
        tree,
        at,
    })
}

/// What is there besides parts of the machine.
fn furnish(root: &OwnedFd, confinement: &Confinement, links: &[Link]) -> Result<(), Unconfined> {
    for name in ["proc", "tmp", "dev", "etc"] {
        mkdirat(root, name, Mode::from_raw_mode(0o755)).at("root")?;
    }
    let own = [
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
        ("dev/shm", SCRATCH),
    ];
    for (name, target) in own {
        symlinkat(target, root, name).at("root")?;
    }
    for (name, target) in links {
        symlinkat(target, root, inside(name))
            .map_err(|error| Unconfined::path("link", name, error))?;
    }
    write(
        root,
        "etc/passwd",
        &format!("sandbox:x:{INSIDE}:{INSIDE}:::{SCRATCH}:/bin/false\n"),
    )?;
    write(root, "etc/group", &format!("sandbox:x:{INSIDE}:\n"))?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = format!(
        "size={},nr_inodes={SCRATCH_FILES},mode=0700",
        confinement.scratch_bytes
    );
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL);
    mount("tmpfs", "tmp", "tmpfs", plain, &*options.at("scratch")?).at("scratch")?;
    // Of its own processes only, and of them only what processes are.
    mount(
        "proc",
        "proc",
        "proc",
        plain,
        c"subset=pid,hidepid=invisible",
    )
    .at("/proc")
}

fn write(root: &OwnedFd, name: &str, text: &str) -> Result<(), Unconfined> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(root, name, flags, Mode::from_raw_mode(0o644)).at("root")?;
    File::from(file).write_all(text.as_bytes()).at("root")
}

/// Puts a part where it is on the machine. No link is followed on the way: what a server can write may be full of them.
fn put(root: &OwnedFd, part: &Part) -> Result<(), Unconfined> {
    let failed = |error: Errno| Unconfined::path("cannot place", &part.at, error);
    let names: Vec<&OsStr> = part.at.components().filter_map(normal).collect();
    let Some((last, parents)) = names.split_last() else {
        return Err(failed(Errno::INVAL));
    };
    let mut place = root.try_clone().at("root")?;
    for name in parents {
        made(mkdirat(&place, *name, Mode::from_raw_mode(0o755))).map_err(failed)?;
        place = step(&place, name).map_err(failed)?;
    }
    if part.is_directory {
        made(mkdirat(&place, *last, Mode::from_raw_mode(0o755))).map_err(failed)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        made(openat(&place, *last, flags, Mode::from_raw_mode(0o644)).map(drop)).map_err(failed)?;
    }
    let target = step(&place, last).map_err(failed)?;
    let by_descriptor =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(part.tree.as_fd(), c"", target.as_fd(), c"", by_descriptor).map_err(failed)
}

/// It is enough that it is there.
fn made(done: Result<(), Errno>) -> Result<(), Errno> {
    match done {
        Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => Ok(()),
        done => done,
    }
}

fn step(place: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(
        place,
        name,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

fn normal(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    }
}

fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
