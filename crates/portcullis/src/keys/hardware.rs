//! A key that never leaves its token (PKCS #11): threads of its own ask the token to sign, and nothing else waits for it.

use super::token::{Sought, check_guarded, find, lock, session};
use super::{Public, Purpose, Unsigned};
use crate::config::Pkcs11 as Place;
use aws_lc_rs::digest;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use portcullis_core::secret::Secret;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How many sessions with the token there are for one key.
const SESSIONS: usize = 4;
/// How many signatures may be waited for; one more is refused.
const QUEUE: usize = 64;
/// How long one may take, as somebody waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How many milliseconds sessions are waited for to be closed.
pub(super) const FAREWELL: u32 = 1000;

/// Why a token does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unready {
    /// Its library is none.
    #[error("the module cannot be loaded")]
    Module,
    /// There is none of this label.
    #[error("there is no token of this label, or more than one")]
    Token,
    /// It is not tried again: a token locks itself after a few.
    #[error("the token does not take the PIN")]
    Pin,
    /// There is no pair of keys of this label.
    #[error("there is no pair of keys of this label, or more than one")]
    Key,
    /// What was wrapped does not open.
    #[error(
        "the token does not open what was wrapped: it was changed, moved, or wrapped by another key"
    )]
    Unwrapped,
    /// Whoever was asked before has not answered yet, or the last question took too long.
    #[error("the token does not answer in time")]
    Busy,
    /// Its kind is another.
    #[error("the key is not of the kind that signs here")]
    Kind,
    /// It can be read.
    #[error("the key can leave the token: it must be sensitive and not extractable")]
    Extractable,
    /// It is not the one that was there at the start.
    #[error("there is another key under this label than at the start")]
    Swapped,
    /// The token does not do its part.
    #[error("the token fails: {0}")]
    Failed(String),
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        let Error::Pkcs11(why, _) = error else {
            return Self::Failed(error.to_string());
        };
        if let RvError::PinIncorrect
        | RvError::PinLocked
        | RvError::PinExpired
        | RvError::PinInvalid = why
        {
            return Self::Pin;
        }
        Self::Failed(format!("{why:?}"))
    }
}

/// A key in a token.
pub(crate) struct Hardware {
    /// None once it is dropped.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<thread::JoinHandle<()>>,
    key: Arc<Key>,
}

/// Which key, and how it was when it was last asked.
struct Key {
    purpose: Purpose,
    module: PathBuf,
    token: String,
    label: String,
    pin: Secret<String>,
    public: Public,
    unready: Mutex<Option<Unready>>,
}

struct Job {
    message: Vec<u8>,
    reply: Reply,
}

type Signed = Result<Vec<u8>, Unsigned>;

/// Who waits.
enum Reply {
    Task(oneshot::Sender<Signed>),
    Thread(SyncSender<Signed>),
}

impl Reply {
    fn is_unwanted(&self) -> bool {
        match self {
            Self::Task(task) => task.is_closed(),
            Self::Thread(_) => false,
        }
    }

    /// Whoever has left does not hear it.
    fn send(self, signed: Signed) {
        match self {
            Self::Task(task) => drop(task.send(signed)),
            Self::Thread(thread) => drop(thread.try_send(signed)),
        }
    }
}

/// A session in which the key can be used.
struct Opened {
    session: Session,
    private: ObjectHandle,
    public: Public,
}

impl Hardware {
    /// Finds the key, and starts what asks it to sign.
    ///
    /// # Errors
    /// [`Unready`].
    pub(crate) fn open(place: &Place, purpose: Purpose, label: &str) -> Result<Self, Unready> {
        let sought = Sought {
            module: &place.module,
            token: &place.token,
            label,
            pin: &place.pin,
        };
        let first = opened(&sought, purpose)?;
        let key = Arc::new(Key {
            purpose,
            module: place.module.clone(),
            token: place.token.clone(),
            label: label.to_owned(),
            pin: Secret::new(place.pin.expose().clone()),
            public: first.public.clone(),
            unready: Mutex::default(),
        });
        let (jobs, queue) = sync_channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut own = Self {
            jobs: Some(jobs),
            threads: Vec::new(),
            key: Arc::clone(&key),
        };
        let mut first = Some(first);
        for number in 0..SESSIONS {
            let (key, queue, session) = (Arc::clone(&key), Arc::clone(&queue), first.take());
            let thread = thread::Builder::new()
                .name(format!("pkcs11-{}-{number}", purpose.word()))
                .spawn(move || key.work(&queue, session))
                .map_err(|error| Unready::Failed(error.to_string()))?;
            own.threads.push(thread);
        }
        Ok(own)
    }

    /// The public half.
    pub(super) fn public(&self) -> &Public {
        &self.key.public
    }

    /// Why it did not sign when it was last asked; none if it did.
    pub(super) fn unready(&self) -> Option<Unready> {
        lock(&self.key.unready).clone()
    }

    /// Signs; a token that does not answer in time has not.
    pub(super) async fn sign(&self, message: Vec<u8>) -> Signed {
        let (reply, answer) = oneshot::channel();
        self.ask(message, Reply::Task(reply))?;
        let answer = timeout(PATIENCE, answer).await;
        answer.map_err(|_| Unsigned)?.map_err(|_| Unsigned)?
    }

    /// The same for commands and for threads of their own, which may wait for it.
    pub(crate) fn sign_here(&self, message: Vec<u8>, patience: Duration) -> Signed {
        let (reply, answer) = sync_channel(1);
        self.ask(message, Reply::Thread(reply))?;
        answer.recv_timeout(patience).map_err(|_| Unsigned)?
    }

    fn ask(&self, message: Vec<u8>, reply: Reply) -> Result<(), Unsigned> {
        let jobs = self.jobs.as_ref().ok_or(Unsigned)?;
        match jobs.try_send(Job { message, reply }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Unsigned),
        }
    }
}

/// A module must not be in the middle of a call when the process ends: its sessions are closed first, as far as it lets us.
impl Drop for Hardware {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let is_over = |own: &Self| own.threads.iter().all(thread::JoinHandle::is_finished);
        for _ in 0..FAREWELL {
            if is_over(self) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        for thread in std::mem::take(&mut self.threads) {
            if thread.is_finished() {
                drop(thread.join());
            }
        }
    }
}

impl Key {
    /// Signs until nobody can ask any more.
    fn work(&self, queue: &Mutex<Receiver<Job>>, mut session: Option<Opened>) {
        loop {
            let next = lock(queue).recv();
            let Ok(job) = next else { return };
            if job.reply.is_unwanted() {
                continue; // whoever asked has left
            }
            let signed = self.signed(&mut session, &job.message);
            *lock(&self.unready) = signed.as_ref().err().cloned();
            job.reply.send(signed.map_err(|_| Unsigned));
        }
    }

    /// Signs in the session that there is or, if that fails, in another one.
    fn signed(&self, held: &mut Option<Opened>, message: &[u8]) -> Result<Vec<u8>, Unready> {
        if let Some(opened) = held.take()
            && let Ok(signature) = opened.sign(self.purpose, message)
        {
            *held = Some(opened);
            return Ok(signature);
        }
        if *lock(&self.unready) == Some(Unready::Pin) {
            return Err(Unready::Pin);
        }
        let sought = Sought {
            module: &self.module,
            token: &self.token,
            label: &self.label,
            pin: &self.pin,
        };
        let opened = opened(&sought, self.purpose)?;
        if opened.public != self.public {
            return Err(Unready::Swapped);
        }
        let signature = opened.sign(self.purpose, message)?;
        *held = Some(opened);
        Ok(signature)
    }
}

impl Opened {
    fn sign(&self, purpose: Purpose, message: &[u8]) -> Result<Vec<u8>, Unready> {
        let signature = match purpose {
            Purpose::Issuer | Purpose::Audit | Purpose::Catalog => {
                let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                self.session.sign(&pure, self.private, message)?
            }
            Purpose::Assertion | Purpose::Client => {
                let digest = digest::digest(&digest::SHA256, message);
                self.session
                    .sign(&Mechanism::Ecdsa, self.private, digest.as_ref())?
            }
        };
        Ok(signature)
    }
}

/// Finds the key in the token.
fn opened(sought: &Sought<'_>, purpose: Purpose) -> Result<Opened, Unready> {
    let session = session(sought, Pkcs11::open_ro_session)?;
    let private = find(&session, ObjectClass::PRIVATE_KEY, sought.label)?;
    let point = find(&session, ObjectClass::PUBLIC_KEY, sought.label)?;
    check_guarded(&session, private)?;
    let point = session.get_attributes(point, &[AttributeType::EcPoint])?;
    let [Attribute::EcPoint(point)] = &point[..] else {
        return Err(Unready::Kind);
    };
    let public = Public::of_point(purpose, point).ok_or(Unready::Kind)?;
    Ok(Opened {
        session,
        private,
        public,
    })
}
