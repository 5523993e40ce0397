//! The way to a token (PKCS #11): its module, a session with it, and what is in it.

use super::{Public, Purpose, Unready};
use crate::config::Pkcs11 as Place;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use portcullis_core::secret::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Modules that are loaded: the system allows one of each for a process, and so does PKCS #11.
static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// What is looked for, and with what.
pub(super) struct Sought<'a> {
    pub(super) module: &'a Path,
    pub(super) token: &'a str,
    pub(super) label: &'a str,
    pub(super) pin: &'a Secret<String>,
}

/// The label of the pair of keys in the token whose public half is this one.
///
/// # Errors
/// [`Unready`].
pub(super) fn label_of(
    place: &Place,
    sought: &Public,
    purpose: Purpose,
) -> Result<String, Unready> {
    let place = Sought {
        module: &place.module,
        token: &place.token,
        label: "",
        pin: &place.pin,
    };
    let session = session(&place, Pkcs11::open_ro_session)?;
    for key in session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)])? {
        let wanted = [AttributeType::Label, AttributeType::EcPoint];
        let found = session.get_attributes(key, &wanted)?;
        if let [Attribute::Label(label), Attribute::EcPoint(point)] = &found[..]
            && Public::of_point(purpose, point).as_ref() == Some(sought)
        {
            return String::from_utf8(label.clone()).map_err(|_| Unready::Key);
        }
    }
    Err(Unready::Key)
}

/// Finds the token, and signs in.
pub(super) fn session(
    sought: &Sought<'_>,
    open: fn(&Pkcs11, Slot) -> Result<Session, Error>,
) -> Result<Session, Unready> {
    let module = loaded(sought.module)?;
    let mut slots = Vec::new();
    for slot in module.get_slots_with_initialized_token()? {
        if module.get_token_info(slot)?.label() == sought.token {
            slots.push(slot);
        }
    }
    let [slot] = slots[..] else {
        return Err(Unready::Token);
    };
    let session = open(&module, slot)?;
    let pin = AuthPin::new(sought.pin.expose().clone().into_boxed_str());
    match session.login(UserType::User, Some(&pin)) {
        // All sessions of a process are signed in together.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(session)
}

/// What can be read is refused.
pub(super) fn check_guarded(session: &Session, key: ObjectHandle) -> Result<(), Unready> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    let guarded = session.get_attributes(key, &asked)?;
    let is_so = |is: Attribute| guarded.contains(&is);
    if is_so(Attribute::Sensitive(true)) && is_so(Attribute::Extractable(false)) {
        return Ok(());
    }
    Err(Unready::Extractable)
}

pub(super) fn find(
    session: &Session,
    class: ObjectClass,
    label: &str,
) -> Result<ObjectHandle, Unready> {
    let template = [Attribute::Class(class), Attribute::Label(label.into())];
    match session.find_objects(&template)?[..] {
        [only] => Ok(only),
        _ => Err(Unready::Key),
    }
}

fn loaded(path: &Path) -> Result<Pkcs11, Unready> {
    let mut all = lock(&LOADED);
    if let Some(module) = all.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(|_| Unready::Module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    all.insert(path.to_owned(), module.clone());
    Ok(module)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
