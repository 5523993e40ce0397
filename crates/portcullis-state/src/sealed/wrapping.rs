//! The keys that wrap data keys: files beside the database, which a backup of the database does not hold, or in a token,
//! of which the file says no more than where the key is.

use super::{KEY_BYTES, NotSealed, aead, binding, open, seal};
use portcullis_core::secret::Secret;
use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the file of a wrapping key is called, around its name.
const BEFORE: &str = "wrapping-";
const AFTER: &str = ".key";

/// How the file of a key that is in a token begins; its label follows.
const ELSEWHERE: &[u8] = b"pkcs11:";
/// The longest label of a key in a token, in bytes.
pub const MAX_LABEL_BYTES: usize = 128;

/// What a token is asked to do with a wrapping key, which never leaves it.
#[derive(Debug)]
pub enum Ask<'a> {
    /// Make it: AES-256, and not extractable.
    Make,
    /// Wrap this, bound to these bytes.
    Wrap(&'a [u8], &'a Secret<Vec<u8>>),
    /// Give what was wrapped, if it is bound to these bytes.
    Unwrap(&'a [u8], &'a [u8]),
    /// Say whether it is there.
    Check,
    /// Destroy it.
    Destroy,
}

/// Asks a token about the key of a label; an error says what is wrong with it.
pub type Token =
    dyn Fn(&str, Ask<'_>) -> Result<Secret<Vec<u8>>, Box<dyn Error + Send + Sync>> + Send + Sync;

/// The wrapping keys in one directory, each a file that only its owner can read: of 32 bytes, or of where it is.
#[derive(Clone)]
pub struct WrappingKeys {
    directory: PathBuf,
    token: Option<Arc<Token>>,
    /// How the labels of new keys begin, if they are made in the token.
    label: Option<String>,
}

/// A key, or where it is.
enum Key {
    Here(Secret<Vec<u8>>),
    In(Arc<Token>, String),
}

impl WrappingKeys {
    /// Those in this directory, which only its owner can enter.
    pub fn within(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            token: None,
            label: None,
        }
    }

    /// The same with a token, in which new keys are made if there is a label for them.
    #[must_use]
    pub fn with_token(self, token: Arc<Token>, label: Option<String>) -> Self {
        Self {
            token: Some(token),
            label,
            ..self
        }
    }

    /// Makes a new one; gives its name. It is on the disk, or in the token, when this returns.
    pub(super) fn make(&self) -> Result<String, NotSealed> {
        let mut name = [0; 8];
        aws_lc_rs::rand::fill(&mut name).map_err(|_| NotSealed::Entropy)?;
        let name = format!("{:016x}", u64::from_be_bytes(name));
        let file = self.file(&name);
        let Some((token, label)) = self.token.as_ref().zip(self.label.as_ref()) else {
            self.write(&file, &random::<KEY_BYTES>()?)?;
            return Ok(name);
        };
        // First where it is: what is cut short leaves nothing in the token that nobody knows of.
        let label = format!("{label}-{name}");
        let place = [ELSEWHERE, label.as_bytes()].concat();
        self.write(&file, &Secret::new(place))?;
        token(&label, Ask::Make).map_err(|error| failed(&file, &error.to_string()))?;
        Ok(name)
    }

    fn write(&self, file: &Path, content: &Secret<Vec<u8>>) -> Result<(), NotSealed> {
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .and_then(|mut open| {
                open.write_all(content.expose())?;
                open.sync_all()
            })
            .and_then(|()| File::open(&self.directory)?.sync_all());
        written.map_err(|error| failed(file, &error.to_string()))
    }

    /// Wraps the data key of a tenant.
    pub(super) fn wrap(
        &self,
        name: &str,
        tenant: &str,
        key: &Secret<Vec<u8>>,
    ) -> Result<Vec<u8>, NotSealed> {
        let bound_to = binding("data key", &[name, tenant]);
        match self.read(name)? {
            Key::Here(wrapping) => seal(&aead(wrapping.expose())?, &bound_to, key.expose()),
            Key::In(token, label) => {
                let wrapped = token(&label, Ask::Wrap(&bound_to, key));
                let wrapped = wrapped.map_err(|error| self.lost(name, &error.to_string()))?;
                Ok(wrapped.expose().clone())
            }
        }
    }

    /// The data key of a tenant.
    pub(super) fn unwrap(
        &self,
        name: &str,
        tenant: &str,
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, NotSealed> {
        let bound_to = binding("data key", &[name, tenant]);
        match self.read(name)? {
            Key::Here(wrapping) => open(&aead(wrapping.expose())?, &bound_to, wrapped),
            Key::In(token, label) => token(&label, Ask::Unwrap(&bound_to, wrapped))
                .map_err(|error| self.lost(name, &error.to_string())),
        }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// [`NotSealed::Wrapping`].
    pub fn check(&self, name: &str) -> Result<(), NotSealed> {
        match self.read(name)? {
            Key::Here(_) => Ok(()),
            Key::In(token, label) => token(&label, Ask::Check)
                .map(drop)
                .map_err(|error| self.lost(name, &error.to_string())),
        }
    }

    /// Destroys all but one.
    pub(super) fn keep_only(&self, name: &str) -> Result<(), NotSealed> {
        let kept = self.file(name);
        let failed = |error: &std::io::Error| failed(&self.directory, &error.to_string());
        for entry in std::fs::read_dir(&self.directory).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            let is_ours = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(BEFORE) && name.ends_with(AFTER));
            if is_ours && path != kept {
                self.destroy(&path)?;
                remove(&path).map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    /// Destroys a key in the token, if that is what the file tells of.
    fn destroy(&self, file: &Path) -> Result<(), NotSealed> {
        let content = std::fs::read(file).map(Secret::new);
        let content = content.map_err(|error| failed(file, &error.to_string()))?;
        let Some((token, label)) = self.elsewhere(file, content.expose())? else {
            return Ok(());
        };
        let destroyed = token(&label, Ask::Destroy);
        destroyed
            .map(drop)
            .map_err(|error| failed(file, &error.to_string()))
    }

    /// The token and the label that the file of a key names.
    fn elsewhere(
        &self,
        file: &Path,
        content: &[u8],
    ) -> Result<Option<(Arc<Token>, String)>, NotSealed> {
        let Some(label) = content.strip_prefix(ELSEWHERE) else {
            return Ok(None);
        };
        let Ok(label) = String::from_utf8(label.to_vec()) else {
            return Err(failed(file, "it names no key in a token"));
        };
        let token = self.token.clone();
        let missing = "the key is in a token, and [pkcs11] says nothing of one";
        let token = token.ok_or_else(|| failed(file, missing))?;
        Ok(Some((token, label)))
    }

    fn lost(&self, name: &str, what: &str) -> NotSealed {
        failed(&self.file(name), what)
    }

    fn read(&self, name: &str) -> Result<Key, NotSealed> {
        let file = self.file(name);
        let unread = |error: std::io::Error| failed(&file, &error.to_string());
        let open = File::open(&file).map_err(unread)?;
        let mode = open.metadata().map_err(unread)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(failed(&file, "others can read it; mend it with chmod 600"));
        }
        let longest = ELSEWHERE.len() + MAX_LABEL_BYTES;
        let mut key = Secret::new(Vec::with_capacity(longest));
        let most = u64::try_from(longest).unwrap_or(u64::MAX);
        open.take(most)
            .read_to_end(key.expose_mut())
            .map_err(unread)?;
        if let Some((token, label)) = self.elsewhere(&file, key.expose())? {
            return Ok(Key::In(token, label));
        }
        if key.expose().len() != KEY_BYTES {
            return Err(failed(&file, "it is not 32 bytes long"));
        }
        Ok(Key::Here(key))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join([BEFORE, name, AFTER].concat())
    }
}

impl fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKeys({})", self.directory.display())
    }
}

/// Fresh random bytes.
pub(super) fn random<const N: usize>() -> Result<Secret<Vec<u8>>, NotSealed> {
    let mut bytes = Secret::new(vec![0; N]);
    aws_lc_rs::rand::fill(bytes.expose_mut()).map_err(|_| NotSealed::Entropy)?;
    Ok(bytes)
}

/// Sees to it that there is no such file.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn failed(file: &Path, what: &str) -> NotSealed {
    NotSealed::Wrapping {
        file: file.to_owned(),
        what: what.to_owned(),
    }
}
