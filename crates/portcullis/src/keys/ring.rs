//! One of our keys over time, on the disk: the one that signs, the one that will, and those of before that still count.
//!
//! Three files: the key that signs, the next one, and the ring, which says which is which and is public. A change holds a
//! lock, and each step of it is durable before the next begins. One that was cut short is finished, or undone, by whoever
//! opens the ring.

use super::standing::{Next, Retired, Standing};
use super::{Public, Purpose, read_private, replace_private};
use crate::config::ServerName;
use anyhow::{Context as _, bail};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest file of a ring, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What the file of a server's own key is called, around the server's name.
const OF_SERVER: &str = "assertion-";
const AFTER_SERVER: &str = ".es256";

/// Where a key is, and all that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    pub(crate) purpose: Purpose,
    /// Whose it is, if it is of one server alone.
    server: Option<Arc<str>>,
    directory: PathBuf,
    /// The key, if it is no file, and for how long the one that it replaces counts.
    elsewhere: Option<(Public, Duration)>,
}

/// What has become of a key, and is not in the audit log yet.
#[derive(Debug)]
pub(crate) enum Change {
    /// A new one is published.
    Published(Next),
    /// A new one signs.
    Rotated(Retired),
    /// One of before counts no more.
    Ended(Retired),
}

/// The key that signs, and which others count.
pub(crate) struct Opened {
    pub(crate) standing: Standing,
    /// None if it is elsewhere.
    pub(crate) secret: Option<Secret<Vec<u8>>>,
}

impl Ring {
    /// The ring of that key among the keys in a directory.
    pub(crate) fn new(purpose: Purpose, directory: &Path) -> Self {
        Self {
            purpose,
            server: None,
            directory: directory.to_owned(),
            elsewhere: None,
        }
    }

    /// The same, of the key by which one server alone hears of callers.
    pub(crate) fn of_server(server: &Arc<str>, directory: &Path) -> Self {
        Self {
            server: Some(Arc::clone(server)),
            ..Self::new(Purpose::Assertion, directory)
        }
    }

    /// Whose it is, if it is of one server alone.
    pub(crate) const fn server(&self) -> Option<&Arc<str>> {
        self.server.as_ref()
    }

    /// The same, where this key signs that is no file of ours.
    pub(crate) fn elsewhere(self, key: Public, overlap: Duration) -> Self {
        Self {
            elsewhere: Some((key, overlap)),
            ..self
        }
    }

    /// The key that signs now. The first is made if there is none.
    ///
    /// # Errors
    /// A file cannot be read or written, or a key is not the one that the ring names.
    pub(crate) fn open(&self, now: Timestamp) -> anyhow::Result<Opened> {
        let _alone = self.lock()?;
        self.recovered(now)
    }

    /// The same; gives what the audit log is to be told, and forgets keys that count no more.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub(crate) fn settle(
        &self,
        now: Timestamp,
        mut tell: impl FnMut(Change),
    ) -> anyhow::Result<Opened> {
        let _alone = self.lock()?;
        let mut opened = self.recovered(now)?;
        let standing = &mut opened.standing;
        let is_over = |one: &Retired| one.until <= now.seconds();
        if !standing.is_untold() && !standing.retired.iter().any(is_over) {
            return Ok(opened);
        }
        // Told before it is written down that it was: in doubt twice.
        if let Some(next) = standing.next.as_mut().filter(|next| !next.told) {
            tell(Change::Published(next.clone()));
            next.told = true;
        }
        for one in standing.retired.iter_mut().filter(|one| !one.told) {
            tell(Change::Rotated(one.clone()));
            one.told = true;
        }
        let (over, counting) = std::mem::take(&mut standing.retired)
            .into_iter()
            .partition(is_over);
        standing.retired = counting;
        for one in over {
            tell(Change::Ended(one));
        }
        self.write(standing)?;
        Ok(opened)
    }

    /// The next key signs from now on, as the log says.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub(super) fn promote(&self, now: Timestamp) -> anyhow::Result<Opened> {
        let _alone = self.lock()?;
        let mut standing = self.standing()?;
        self.check_next(&standing)?;
        standing.promote();
        self.write(&standing)?;
        self.recovered(now)
    }

    /// The keys in its files, whatever the ring says of them.
    ///
    /// # Errors
    /// A file cannot be read, or others can read it.
    pub(super) fn secrets(&self) -> anyhow::Result<Vec<(Public, Secret<Vec<u8>>)>> {
        let mut all = Vec::new();
        for file in [self.file(), self.next_file()] {
            let held = read_private(&file)?;
            all.extend(held.and_then(|held| Some((Public::of(self.purpose, &held).ok()?, held))));
        }
        Ok(all)
    }

    /// Whether the keys are those that the ring names, if there is one and the keys are there.
    ///
    /// # Errors
    /// They are not, or cannot be read.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let Some(standing) = self.look()? else {
            return Ok(());
        };
        self.check_next(&standing)?;
        let named = &standing.signs.kid;
        let next = self.key(&self.next_file())?;
        match self.key(&self.file())? {
            Some((id, _)) if id != *named && next.is_none_or(|(id, _)| id != *named) => {
                bail!(self.mismatch(&self.file(), named, "is not"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What tells one state of its files from another.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.file(), self.ring_file()]
    }

    /// Finishes or undoes what was begun, then reads.
    pub(super) fn recovered(&self, now: Timestamp) -> anyhow::Result<Opened> {
        if let Some((key, overlap)) = &self.elsewhere {
            return self.adopted(key, *overlap, now);
        }
        let mut standing = self.standing()?;
        self.check_next(&standing)?;
        let is_due = (standing.next.as_ref()).is_some_and(|next| next.from <= now.seconds());
        if is_due && self.purpose.is_promoted_by_time() {
            standing.promote();
            self.write(&standing)?;
        }
        let named = &standing.signs.kid;
        let secret = match self.key(&self.file())? {
            Some((id, secret)) if id == *named => secret,
            held => match self.key(&self.next_file())? {
                // It was cut short between the ring and the key.
                Some((id, secret)) if id == *named => {
                    std::fs::rename(self.next_file(), self.file())?;
                    self.sync()?;
                    secret
                }
                Some(_) | None => bail!(self.mismatch(&self.file(), named, holds(held.is_some()))),
            },
        };
        if standing.next.is_none() {
            remove(&self.next_file())?;
        }
        Ok(Opened {
            standing,
            secret: Some(secret),
        })
    }

    /// The key that is elsewhere signs. If another one did, that one counts for a while.
    fn adopted(&self, key: &Public, overlap: Duration, now: Timestamp) -> anyhow::Result<Opened> {
        let mut standing = match self.look()? {
            Some(standing) if standing.signs == *key => standing,
            Some(mut standing) => {
                standing.replace(key.clone(), overlap, now);
                self.write(&standing)?;
                standing
            }
            None => {
                let standing = Standing::of(key.clone(), now.seconds());
                self.write(&standing)?;
                standing
            }
        };
        standing.next = None;
        Ok(Opened {
            standing,
            secret: None,
        })
    }

    /// What the ring says; a key without one is taken as it is.
    pub(super) fn standing(&self) -> anyhow::Result<Standing> {
        if let Some(standing) = self.look()? {
            return Ok(standing);
        }
        let key = super::kept(&self.file(), || self.purpose.fresh())?;
        let made = std::fs::metadata(self.file())?.modified()?;
        let made = made.duration_since(std::time::UNIX_EPOCH);
        let signs = Public::of(self.purpose, &key)
            .with_context(|| format!("{} cannot be used", self.file().display()))?;
        let standing = Standing::of(signs, made.map_or(0, |made| made.as_secs()));
        self.write(&standing)?;
        Ok(standing)
    }

    /// A key that is to sign must be there before anything is given up for it.
    fn check_next(&self, standing: &Standing) -> anyhow::Result<()> {
        let Some(next) = &standing.next else {
            return Ok(());
        };
        match self.key(&self.next_file())? {
            Some((id, _)) if id == next.key.kid => Ok(()),
            other => bail!(self.mismatch(&self.next_file(), &next.key.kid, holds(other.is_some()))),
        }
    }

    fn mismatch(&self, file: &Path, named: &str, what: &str) -> String {
        let ring = self.ring_file();
        format!(
            "{} {what} the key {named} that {} names: restore both from your backup, or remove both for a key that nobody knows yet",
            file.display(),
            ring.display()
        )
    }

    fn key(&self, file: &Path) -> anyhow::Result<Option<(String, Secret<Vec<u8>>)>> {
        let Some(document) = read_private(file)? else {
            return Ok(None);
        };
        // What is no key has no id: it is none that anything names.
        let public = Public::of(self.purpose, &document);
        Ok(Some((
            public.map(|public| public.kid).unwrap_or_default(),
            document,
        )))
    }

    /// Which keys count, as it stands; nothing is made or mended.
    pub(crate) fn look(&self) -> anyhow::Result<Option<Standing>> {
        let path = self.ring_file();
        let mut text = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let standing = serde_json::from_slice(&text);
        standing
            .map(Some)
            .with_context(|| format!("{} is broken: restore it from your backup", path.display()))
    }

    /// Puts it in the place of the old one, whole.
    pub(super) fn write(&self, standing: &Standing) -> anyhow::Result<()> {
        let path = self.ring_file();
        let written = serde_json::to_vec_pretty(standing)
            .map_err(std::io::Error::from)
            .and_then(|text| replace_private(&path, &text));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn sync(&self) -> std::io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    pub(super) fn lock(&self) -> anyhow::Result<File> {
        alone(&self.directory)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.beside("")
    }

    pub(super) fn next_file(&self) -> PathBuf {
        self.beside(".next")
    }

    fn ring_file(&self) -> PathBuf {
        self.beside(".ring")
    }

    fn beside(&self, end: &str) -> PathBuf {
        let name = match &self.server {
            None => self.purpose.file().to_owned(),
            Some(server) => format!("{OF_SERVER}{server}{AFTER_SERVER}"),
        };
        self.directory.join([&name, end].concat())
    }
}

/// Whether a file has another key, or none.
const fn holds(is_there: bool) -> &'static str {
    if is_there { "is not" } else { "has lost" }
}

/// The rings of all servers that have or had a key of their own here.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn of_servers(directory: &Path) -> std::io::Result<Vec<Ring>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = std::collections::BTreeSet::new();
    for entry in entries {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|name| name.strip_prefix(OF_SERVER));
        let name = name.and_then(|name| name.strip_suffix(".es256.ring"));
        all.extend(name.and_then(ServerName::parse));
    }
    let ring = |name: ServerName| Ring::of_server(&name.as_str().into(), directory);
    Ok(all.into_iter().map(ring).collect())
}

/// Until it is dropped, nobody else changes keys in this directory.
pub(super) fn alone(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join("lock");
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let locked = open.and_then(|file| file.lock().map(|()| file));
    locked.with_context(|| format!("cannot lock {}", path.display()))
}

/// Sees to it that there is no such file.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rotation;
    use super::super::another::MAX_RETIRED;
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn ring(directory: &tempfile::TempDir) -> Ring {
        Ring::new(Purpose::Assertion, directory.path())
    }

    fn rotation(lead: u64, overlap: u64) -> Rotation {
        Rotation {
            lead: Duration::from_secs(lead),
            overlap: Duration::from_secs(overlap),
            by: "uid:1".to_owned(),
        }
    }

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn counting(opened: &Opened, now: Timestamp) -> Vec<String> {
        let keys = opened.standing.counting(now);
        keys.map(|key| key.kid.clone()).collect()
    }

    #[test]
    fn tok_15_a_new_key_is_published_first_signs_then_and_the_old_one_drops_out() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        let old = ring.open(NOW).unwrap().standing.signs.kid;
        let staged = ring.rotate(rotation(300, 360), NOW).unwrap();
        assert_eq!(staged.standing.signs.kid, old);
        let new = staged.standing.next.as_ref().unwrap().key.kid.clone();
        assert_eq!(counting(&staged, NOW), [old.clone(), new.clone()]);
        assert!(ring.rotate(rotation(300, 360), NOW).is_err());
        for (second, signs, count) in [
            (299, &old, 2),
            (300, &new, 2),
            (659, &new, 2),
            (660, &new, 1),
        ] {
            let opened = ring.open(later(second)).unwrap();
            assert_eq!(opened.standing.signs.kid, *signs, "{second}");
            assert_eq!(counting(&opened, later(second)).len(), count, "{second}");
            let id = Public::of(Purpose::Assertion, opened.secret.as_ref().unwrap())
                .unwrap()
                .kid;
            assert_eq!(id, *signs, "{second}");
        }
    }

    #[test]
    fn tok_15_each_change_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        ring.rotate(rotation(300, 360), NOW).unwrap();
        let told = |now| {
            let mut told = Vec::new();
            let tell = |change| {
                told.push(match change {
                    Change::Published(_) => "published",
                    Change::Rotated(_) => "rotated",
                    Change::Ended(_) => "ended",
                });
            };
            ring.settle(now, tell).unwrap();
            told
        };
        assert_eq!(told(NOW), ["published"]);
        assert!(told(later(1)).is_empty());
        assert_eq!(told(later(300)), ["rotated"]);
        assert!(told(later(301)).is_empty());
        assert_eq!(told(later(660)), ["ended"]);
        assert!(ring.open(later(660)).unwrap().standing.retired.is_empty());
    }

    /// Every state in which a rotation can have been cut short.
    #[test]
    fn tok_15_a_rotation_that_was_cut_short_is_finished_or_undone() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        let old = ring.open(NOW).unwrap();
        let before = std::fs::read(ring.ring_file()).unwrap();
        let id = |opened: &Opened| {
            Public::of(Purpose::Assertion, opened.secret.as_ref().unwrap())
                .unwrap()
                .kid
        };
        // A part of the next key, or all of it, of which the ring does not know yet; and a new ring, not yet in place.
        let whole = fresh_bytes();
        for left in [&b""[..], &whole[..20], &whole] {
            std::fs::write(ring.next_file(), left).unwrap();
            chmod(&ring.next_file());
            std::fs::write(ring.beside(".new"), &before[..before.len() / 2]).unwrap();
            let opened = ring.open(NOW).unwrap();
            assert_eq!(id(&opened), id(&old));
            assert!(!ring.next_file().exists());
        }
        // The ring knows the new key, the files are not exchanged yet.
        ring.rotate(rotation(0, 360), NOW).unwrap();
        let new = ring.open(NOW).unwrap();
        std::fs::rename(ring.file(), ring.next_file()).unwrap();
        std::fs::write(ring.file(), old.secret.as_ref().unwrap().expose()).unwrap();
        chmod(&ring.file());
        let opened = ring.open(NOW).unwrap();
        assert_eq!(id(&opened), id(&new));
        assert_eq!(opened.standing.signs.kid, id(&new));
        assert!(!ring.next_file().exists());
        // The next one is there, and its time has come while nobody looked.
        ring.rotate(rotation(300, 360), NOW).unwrap();
        let next = ring.look().unwrap().unwrap().next.unwrap().key.kid;
        assert_eq!(id(&ring.open(later(400)).unwrap()), next);
    }

    #[test]
    fn tok_15_a_key_that_the_ring_does_not_name_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        ring.open(NOW).unwrap();
        let (held, others) = (std::fs::read(ring.file()).unwrap(), fresh_bytes());
        for wrong in [&others[..], b"", b"no key"] {
            std::fs::write(ring.file(), wrong).unwrap();
            let refused = format!("{:#}", ring.open(NOW).err().unwrap());
            assert!(refused.contains("is not the key"), "{refused}");
        }
        std::fs::remove_file(ring.file()).unwrap();
        assert!(ring.open(NOW).is_err());
        std::fs::write(ring.file(), &held).unwrap();
        assert!(ring.open(NOW).is_err(), "others can read it");
        chmod(&ring.file());
        ring.open(NOW).unwrap();
        // Nor does one sign that was put in the place of the next.
        ring.rotate(rotation(300, 360), NOW).unwrap();
        std::fs::write(ring.next_file(), &others).unwrap();
        assert!(ring.open(later(300)).is_err());
        assert_eq!(std::fs::read(ring.file()).unwrap(), held);
        std::fs::write(ring.ring_file(), "{}").unwrap();
        assert!(ring.open(NOW).is_err());
    }

    #[test]
    fn tok_15_so_many_keys_of_before_count_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        for _ in 0..MAX_RETIRED {
            ring.rotate(rotation(0, 360), NOW).unwrap();
        }
        assert!(ring.rotate(rotation(0, 360), NOW).is_err());
    }

    #[test]
    fn tok_15_a_key_is_replaced_by_its_age_once_whoever_looks() {
        const DAY: Duration = Duration::from_hours(24);
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        let turn = |now| ring.rotate_if_old(DAY, rotation(0, 360), now).unwrap();
        turn(NOW);
        assert!(ring.look().unwrap().is_none(), "there is none yet");
        let made = ring.open(NOW).unwrap().standing.made;
        let at = |seconds: u64| Timestamp::from_seconds(made + seconds);
        let first = ring.look().unwrap().unwrap().signs.kid;
        turn(at(86_399));
        assert_eq!(ring.look().unwrap().unwrap().signs.kid, first);
        // A year has passed, and many look at the same time.
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| turn(at(365 * 86_400)));
            }
        });
        let standing = ring.open(at(365 * 86_400)).unwrap().standing;
        assert_eq!(standing.retired.len(), 1);
        assert_ne!(standing.signs.kid, first);
        // The clock goes back: what was made in the future is as old as nobody knows, once.
        for _ in 0..3 {
            turn(at(0));
        }
        assert_eq!(ring.open(at(0)).unwrap().standing.retired.len(), 2);
        // A little may happen to any clock.
        turn(Timestamp::from_seconds(made - 3600));
        assert_eq!(ring.open(at(0)).unwrap().standing.retired.len(), 2);
    }

    #[test]
    fn tok_15_a_key_that_waits_is_not_replaced_by_another() {
        let directory = tempfile::tempdir().unwrap();
        let ring = ring(&directory);
        let made = ring.open(NOW).unwrap().standing.made;
        let due = Timestamp::from_seconds(made + 86_400);
        for _ in 0..2 {
            let every = Duration::from_hours(24);
            ring.rotate_if_old(every, rotation(300, 360), due).unwrap();
        }
        let next = ring.look().unwrap().unwrap().next.unwrap().key.kid;
        let then = Timestamp::from_seconds(made + 86_700);
        assert_eq!(ring.open(then).unwrap().standing.signs.kid, next);
    }

    fn fresh_bytes() -> Vec<u8> {
        Purpose::Assertion.fresh().unwrap().expose().clone()
    }

    fn chmod(path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
