//! What a device asks for that has no browser (RFC 8628), and the code that its user types elsewhere.

use super::{Asked, Prompt, Terms, Way, Wrong, key, resource, scopes};
use crate::client::{Client, GrantType};
use crate::form::Form;
use portcullis_core::authenticate::{Binding, Thumbprint};
use std::fmt;
use std::sync::Arc;

/// Letters that are not taken for others and make no words (RFC 8628 section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 43 bits.
const LETTERS: usize = 10;
/// Behind so many stands a dash.
const GROUP: usize = 5;
/// The longest text that is looked at.
const MAX_BYTES: usize = 64;
/// Bytes from which a letter is drawn evenly: a multiple of the letters that there are.
const EVEN: u8 = 240;

/// A device that waits for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// A digest of what it shows to us.
    pub digest: String,
    /// What it shows to its user.
    pub code: UserCode,
}

/// What a device shows to its user, to be typed into a browser.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A code of these random bytes; none if too few of them can be used, which does not happen.
    pub fn of(random: &[u8; 64]) -> Option<Self> {
        let even = random.iter().filter(|byte| **byte < EVEN);
        let letter = |byte: &u8| ALPHABET.get(usize::from(*byte) % ALPHABET.len());
        let letters = even.filter_map(letter).take(LETTERS);
        let code: String = letters.map(|letter| char::from(*letter)).collect();
        (code.len() == LETTERS).then_some(Self(code))
    }

    /// What a user has typed: in any case, with or without dashes and spaces.
    pub fn read(typed: &str) -> Option<Self> {
        if typed.len() > MAX_BYTES {
            return None;
        }
        let is_between = |letter: &char| matches!(letter, '-' | ' ');
        let letters = typed.chars().filter(|letter| !is_between(letter));
        let code: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
        let is_ours = code.len() == LETTERS && code.bytes().all(|byte| ALPHABET.contains(&byte));
        is_ours.then_some(Self(code))
    }

    /// Its letters alone.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0.split_at(GROUP);
        write!(f, "{first}-{last}")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(..)")
    }
}

impl Asked {
    /// Judges what a device asks for (RFC 8628 section 3.1).
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn by_device(
        form: &Form,
        client: &Arc<Client>,
        (terms, proven): (&Terms<'_>, Option<Thumbprint>),
        device: Device,
    ) -> Result<Self, Wrong> {
        if !client.grants.contains(&GrantType::Device) {
            return Err(Wrong::Grant);
        }
        let resource = resource(form, terms)?;
        if resource.mtls == Binding::Required {
            return Err(Wrong::Target);
        }
        Ok(Self {
            client: Arc::clone(client),
            way: Way::Device(device),
            server: Arc::clone(&resource.server),
            audience: resource.audience.clone(),
            scopes: scopes(form, resource)?,
            key: key(form, proven)?,
            refreshes: client.refreshes || super::wants_offline(form),
            prompt: Prompt::default(),
            classes: Vec::new(),
            max_age: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cd_08_a_user_code_is_drawn_evenly_and_read_as_it_is_typed() {
        let mut random = [0; 64];
        for (index, byte) in random.iter_mut().enumerate() {
            *byte = u8::try_from(index).unwrap();
        }
        let code = UserCode::of(&random).unwrap();
        assert_eq!(code.to_string(), "BCDFG-HJKLM");
        assert!(UserCode::of(&[EVEN; 64]).is_none());
        for typed in [
            "BCDFG-HJKLM",
            "bcdfghjklm",
            " b c d f g h j k l m ",
            "BCDFG--HJKLM",
        ] {
            assert_eq!(UserCode::read(typed), Some(code.clone()), "{typed}");
        }
        for typed in [
            "",
            "BCDFG-HJKL",
            "BCDFG-HJKLMN",
            "BCDFG-HJKLA",
            "BCDFG-HJKL1",
            "BCDFG\u{2010}HJKLM",
        ] {
            assert_eq!(UserCode::read(typed), None, "{typed}");
        }
        let long = format!("BCDFG-HJKLM{}", " ".repeat(MAX_BYTES));
        assert_eq!(UserCode::read(&long), None);
    }
}
