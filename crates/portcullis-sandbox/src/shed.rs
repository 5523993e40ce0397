//! What a process of ours was born with and must not keep.

use std::io;

use nix::errno::Errno;
use nix::unistd::close;

/// Where a process finds its own descriptors.
const OWN: &str = "/proc/self/fd";

/// The descriptors could not be closed.
#[derive(Debug, thiserror::Error)]
#[error("cannot close the descriptors that were inherited")]
pub(crate) struct Unshed(#[from] io::Error);

/// Closes every descriptor but the three standard streams. To be called before any is opened, by one thread only.
///
/// `close_range(2)` would need unsafe code, and a flag on each of them (`FD_CLOEXEC`) would leave them to the launcher.
pub(crate) fn descriptors() -> Result<(), Unshed> {
    // All are listed before the first is closed: the list itself is read through one of them.
    for descriptor in listed()? {
        match close(descriptor) {
            // That of the list, or closed though the kernel complains: it always is (close(2)).
            Ok(()) | Err(Errno::EBADF | Errno::EINTR | Errno::EIO) => {}
            Err(error) => return Err(Unshed(error.into())),
        }
    }
    Ok(())
}

/// The numbers above 2.
fn listed() -> io::Result<Vec<i32>> {
    let mut descriptors = Vec::new();
    for entry in std::fs::read_dir(OWN)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let number: i32 = number.ok_or(io::ErrorKind::InvalidData)?;
        if number > 2 {
            descriptors.push(number);
        }
    }
    Ok(descriptors)
}
