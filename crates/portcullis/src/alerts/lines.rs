//! As lines: to the end of a file, or to standard output.

use super::Undelivered;
use super::finding::Due;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// How long a reader may let us wait.
const WITHIN: Duration = Duration::from_secs(10);

/// The alert that is being written.
type UnderWay = Option<(String, JoinHandle<io::Result<()>>)>;

pub(super) struct Lines {
    to: Target,
    under_way: Mutex<UnderWay>,
}

#[derive(Clone)]
enum Target {
    File(PathBuf),
    Stdout,
}

impl Lines {
    pub(super) fn file(path: PathBuf) -> Self {
        Self::of(Target::File(path))
    }

    pub(super) fn stdout() -> Self {
        Self::of(Target::Stdout)
    }

    fn of(to: Target) -> Self {
        Self {
            to,
            under_way: Mutex::default(),
        }
    }

    /// A line that nobody takes is waited for again and not written again: each attempt would hold one more thread.
    pub(super) async fn send(&self, due: &Due) -> Result<(), Undelivered> {
        let mut under_way = self.under_way.lock().await;
        let is_other = |(id, _): &(String, _)| *id != due.id;
        if under_way.as_ref().is_some_and(is_other) {
            // One that was given up meanwhile; what came of it is of no interest any more.
            drop(ended(&mut under_way).await?);
        }
        under_way.get_or_insert_with(|| {
            let (to, line) = (self.to.clone(), format!("{}\n", due.body));
            let write = spawn_blocking(move || to.write(line.as_bytes()));
            (due.id.clone(), write)
        });
        ended(&mut under_way)
            .await?
            .map_err(|_| Undelivered::Unwritable)
    }
}

/// Waits a while for the end of what is under way.
async fn ended(under_way: &mut UnderWay) -> Result<io::Result<()>, Undelivered> {
    let Some((_, write)) = under_way else {
        return Ok(Ok(()));
    };
    let ended = timeout(WITHIN, write).await;
    let ended = ended.map_err(|_| Undelivered::Unwritable)?;
    *under_way = None;
    Ok(ended.unwrap_or_else(|error| Err(io::Error::other(error))))
}

impl Target {
    fn write(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::File(path) => {
                let mut options = OpenOptions::new();
                let mut file = options.append(true).create(true).mode(0o600).open(path)?;
                file.write_all(line)?;
                // Of a pipe nothing can be synchronised: what it took is taken.
                if file.metadata()?.is_file() {
                    file.sync_data()?;
                }
                Ok(())
            }
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line)?;
                out.flush()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::alert::Severity;
    use portcullis_core::time::Timestamp;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    fn due(seq: u64) -> Due {
        Due {
            seq,
            id: format!("{seq}-0"),
            rule: "token_networks".to_owned(),
            severity: Severity::High,
            at: Timestamp::from_seconds(0),
            body: format!("{{\"seq\":{seq}}}"),
        }
    }

    #[tokio::test]
    async fn tok_19_a_reader_that_does_not_read_holds_one_thread_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let lines = Lines::file(pipe.clone());
        for _ in 0..2 {
            assert_eq!(lines.send(&due(1)).await, Err(Undelivered::Unwritable));
        }
        let read = spawn_blocking(move || std::fs::read_to_string(pipe).unwrap());
        assert_eq!(lines.send(&due(1)).await, Ok(()));
        assert_eq!(read.await.unwrap(), "{\"seq\":1}\n");
    }
}
