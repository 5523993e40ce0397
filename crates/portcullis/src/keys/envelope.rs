//! Keys that wrap others and never leave their token (PKCS #11): a thread of its own asks the token, and nobody waits long.
//!
//! AES-256-GCM there, with nonces of our own: what is wrapped is bound to its tenant as in a file's hands.

use super::Unready;
use super::hardware::FAREWELL;
use super::token::{Sought, check_guarded, find, session};
use crate::config::Pkcs11 as Place;
use crate::random;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use portcullis_core::secret::Secret;
use portcullis_state::{Ask, Token};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How long the token may take: whoever asks may hold the database.
const PATIENCE: Duration = Duration::from_secs(2);
const KEY_BYTES: u64 = 32;
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;

/// What of ours wraps with keys in the token.
struct Envelope {
    /// None once it is dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Job {
    label: String,
    work: Work,
    reply: SyncSender<Answer>,
}

type Answer = Result<Secret<Vec<u8>>, Unready>;

/// The same as [`Ask`], for another thread.
enum Work {
    Make,
    Wrap(Vec<u8>, Secret<Vec<u8>>),
    Unwrap(Vec<u8>, Vec<u8>),
    Check,
    Destroy,
}

/// Where the token is.
struct Where {
    module: PathBuf,
    token: String,
    pin: Secret<String>,
}

/// What asks this token.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn token(place: &Place) -> std::io::Result<Arc<Token>> {
    let place = Where {
        module: place.module.clone(),
        token: place.token.clone(),
        pin: Secret::new(place.pin.expose().clone()),
    };
    // One is asked at a time; one more waits for it, and no others.
    let (jobs, queue) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("pkcs11-wrapping".to_owned())
        .spawn(move || place.work(&queue))?;
    let own = Envelope {
        jobs: Some(jobs),
        thread: Some(thread),
    };
    Ok(Arc::new(move |label: &str, ask: Ask<'_>| {
        own.ask(label, &ask).map_err(Into::into)
    }))
}

impl Envelope {
    fn ask(&self, label: &str, ask: &Ask<'_>) -> Answer {
        let work = match ask {
            Ask::Make => Work::Make,
            Ask::Wrap(bound_to, key) => {
                Work::Wrap(bound_to.to_vec(), Secret::new(key.expose().clone()))
            }
            Ask::Unwrap(bound_to, wrapped) => Work::Unwrap(bound_to.to_vec(), wrapped.to_vec()),
            Ask::Check => Work::Check,
            Ask::Destroy => Work::Destroy,
        };
        let (reply, answer) = sync_channel(1);
        let job = Job {
            label: label.to_owned(),
            work,
            reply,
        };
        let jobs = self.jobs.as_ref().ok_or(Unready::Busy)?;
        jobs.try_send(job).map_err(|_| Unready::Busy)?;
        answer.recv_timeout(PATIENCE).map_err(|_| Unready::Busy)?
    }
}

/// As of [`super::Hardware`]: its session is closed before the process ends, as far as the module lets us.
impl Drop for Envelope {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        for _ in 0..FAREWELL {
            if thread.is_finished() {
                return drop(thread.join());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Where {
    fn work(&self, queue: &Receiver<Job>) {
        let (mut held, mut is_refused) = (None, false);
        while let Ok(job) = queue.recv() {
            let answer = if is_refused {
                Err(Unready::Pin)
            } else {
                self.answer(&mut held, &job)
            };
            // A token locks itself after a few.
            is_refused |= matches!(answer, Err(Unready::Pin));
            // Whoever has left does not hear it.
            drop(job.reply.try_send(answer));
        }
    }

    /// Answers in the session that there is or, if that fails, in another one.
    fn answer(&self, held: &mut Option<Session>, job: &Job) -> Answer {
        if let Some(open) = held.take()
            && let Ok(answer) = done(&open, job)
        {
            *held = Some(open);
            return Ok(answer);
        }
        let sought = Sought {
            module: &self.module,
            token: &self.token,
            label: &job.label,
            pin: &self.pin,
        };
        let open = session(&sought, Pkcs11::open_rw_session)?;
        let answer = done(&open, job)?;
        *held = Some(open);
        Ok(answer)
    }
}

fn done(session: &Session, job: &Job) -> Answer {
    let key = || -> Result<ObjectHandle, Unready> {
        let key = find(session, ObjectClass::SECRET_KEY, &job.label)?;
        check_guarded(session, key)?;
        Ok(key)
    };
    let nothing = || Secret::new(Vec::new());
    match &job.work {
        Work::Make => {
            make(session, &job.label)?;
            key().map(|_| nothing())
        }
        Work::Wrap(bound_to, secret) => wrap(session, key()?, bound_to, secret),
        Work::Unwrap(bound_to, wrapped) => unwrap(session, key()?, bound_to, wrapped),
        Work::Check => key().map(|_| nothing()),
        Work::Destroy => match find(session, ObjectClass::SECRET_KEY, &job.label) {
            Ok(key) => Ok(session.destroy_object(key).map(|()| nothing())?),
            // It was never made.
            Err(Unready::Key) => Ok(nothing()),
            Err(error) => Err(error),
        },
    }
}

/// Cut short and begun again, it is there already.
fn make(session: &Session, label: &str) -> Result<(), Unready> {
    if find(session, ObjectClass::SECRET_KEY, label).is_ok() {
        return Ok(());
    }
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(Ulong::from(KEY_BYTES)),
        Attribute::Label(label.into()),
        Attribute::Token(IS),
        Attribute::Private(IS),
        Attribute::Sensitive(IS),
        Attribute::Extractable(!IS),
        Attribute::Encrypt(IS),
        Attribute::Decrypt(IS),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template)?;
    Ok(())
}

/// What an attribute of a key says that holds.
const IS: bool = true;

/// Nonce, ciphertext and tag.
fn wrap(session: &Session, key: ObjectHandle, bound_to: &[u8], secret: &Secret<Vec<u8>>) -> Answer {
    let mut nonce: [u8; NONCE_BYTES] =
        random::bytes().map_err(|error| Unready::Failed(error.to_string()))?;
    let text = session.encrypt(&gcm(&mut nonce, bound_to)?, key, secret.expose())?;
    // Some tokens choose their own.
    Ok(Secret::new([&nonce[..], &text].concat()))
}

fn unwrap(session: &Session, key: ObjectHandle, bound_to: &[u8], wrapped: &[u8]) -> Answer {
    let Some((nonce, text)) = wrapped.split_first_chunk::<NONCE_BYTES>() else {
        return Err(Unready::Unwrapped);
    };
    let mut nonce = *nonce;
    match session.decrypt(&gcm(&mut nonce, bound_to)?, key, text) {
        Ok(secret) => Ok(Secret::new(secret)),
        Err(Error::Pkcs11(
            RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
            _,
        )) => Err(Unready::Unwrapped),
        Err(error) => Err(error.into()),
    }
}

fn gcm<'a>(nonce: &'a mut [u8], bound_to: &'a [u8]) -> Result<Mechanism<'a>, Unready> {
    let bits = Ulong::from(TAG_BITS);
    Ok(Mechanism::AesGcm(GcmParams::new(nonce, bound_to, bits)?))
}
