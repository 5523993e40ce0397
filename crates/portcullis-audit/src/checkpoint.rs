//! Signed statements of the tree: C2SP `tlog-checkpoint` in a C2SP `signed-note`.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::{hex_string, sha256};
use crate::merkle::Tree;

/// The most bytes of a note; room for 16 signatures and more.
pub const MAX_NOTE_BYTES: usize = 8 * 1024;

/// The most bytes of a key's name.
pub const MAX_NAME_BYTES: usize = 256;

const ED25519_TYPE: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const PUBLIC_KEY_BYTES: usize = 32;
const SIGNATURE_START: &str = "\u{2014} ";
/// The extension line of a handover: the verifier key of whoever signs from here on.
const SUCCESSOR_START: &str = "successor ";

/// Why a key is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Its name is empty, too long, or has a space, a control character or a plus.
    #[error("the name of the key is not one that a signed note can bear")]
    Name,
    /// Its bytes are no Ed25519 key.
    #[error("the bytes are no Ed25519 key")]
    Bytes,
    /// Its text is not `name+hash+base64`, or the hash is not that of the key.
    #[error("the text is no verifier key")]
    Text,
}

/// Why a note is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// It is not written as a checkpoint is.
    #[error("not a checkpoint")]
    Malformed,
    /// None of the known keys of its origin signed it.
    #[error("not signed by a known key of this log")]
    UnknownKey,
    /// The signature of a known key does not fit.
    #[error("the signature does not fit")]
    Signature,
    /// A key of this log signed it that had been replaced by then, or did not sign yet.
    #[error("signed by a key of this log whose turn it was not")]
    OutOfTurn,
}

/// Asks for the Ed25519 signature of a text where the key is, and fails where that is out of reach.
pub type Remote = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// The key did not sign. It may another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key did not sign")]
pub struct Unsigned;

/// The key that signs checkpoints. Its `Debug` shows the public half only.
pub struct SigningKey {
    private: Private,
    public: VerifierKey,
}

enum Private {
    Here(Ed25519KeyPair),
    Elsewhere(Remote),
}

impl SigningKey {
    /// The key of a PKCS#8 document; `name` is also the origin of the log.
    ///
    /// # Errors
    /// [`BadKey::Name`] or [`BadKey::Bytes`].
    pub fn from_pkcs8(name: &str, document: &[u8]) -> Result<Self, BadKey> {
        Self::new(name, Ed25519KeyPair::from_pkcs8_maybe_unchecked(document))
    }

    /// The key of a 32-byte seed (RFC 8032 section 5.1.5); `name` is also the origin of the log.
    ///
    /// # Errors
    /// [`BadKey::Name`] or [`BadKey::Bytes`].
    pub fn from_seed(name: &str, seed: &[u8]) -> Result<Self, BadKey> {
        Self::new(name, Ed25519KeyPair::from_seed_unchecked(seed))
    }

    fn new(
        name: &str,
        pair: Result<Ed25519KeyPair, aws_lc_rs::error::KeyRejected>,
    ) -> Result<Self, BadKey> {
        let pair = pair.map_err(|_| BadKey::Bytes)?;
        let public = VerifierKey::new(name, pair.public_key().as_ref())?;
        let private = Private::Here(pair);
        Ok(Self { private, public })
    }

    /// A key that is not in this process, such as one in a token; what `sign` gives is verified before it is used.
    #[must_use]
    pub fn elsewhere(public: VerifierKey, sign: Remote) -> Self {
        let private = Private::Elsewhere(sign);
        Self { private, public }
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The signed note that states `tree`. Cost: one signature.
    pub(crate) fn sign(&self, tree: &Tree) -> Result<String, Unsigned> {
        let text = self.text(tree);
        Ok(format!("{text}\n{}", self.line(&text)?))
    }

    /// The same, in which `successor` takes this key's place: both sign it. Cost: two signatures.
    pub(crate) fn hand_over(&self, tree: &Tree, successor: &Self) -> Result<String, Unsigned> {
        let text = format!("{}{SUCCESSOR_START}{}\n", self.text(tree), successor.public);
        let (ours, theirs) = (self.line(&text)?, successor.line(&text)?);
        Ok(format!("{text}\n{ours}{theirs}"))
    }

    fn text(&self, tree: &Tree) -> String {
        let (name, root) = (&self.public.name, STANDARD.encode(tree.root));
        format!("{name}\n{}\n{root}\n", tree.size)
    }

    fn line(&self, text: &str) -> Result<String, Unsigned> {
        let signature = match &self.private {
            Private::Here(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Private::Elsewhere(sign) => sign(text.as_bytes()).ok_or(Unsigned)?,
        };
        if !self.public.is_signed(text, &signature) {
            return Err(Unsigned);
        }
        let sealed = STANDARD.encode([&self.public.id[..], &signature].concat());
        Ok(format!("{SIGNATURE_START}{} {sealed}\n", self.public.name))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The public key of a log. Written as `name+hash+base64`, as public tools import it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: Box<str>,
    id: [u8; KEY_ID_BYTES],
    public: [u8; PUBLIC_KEY_BYTES],
}

impl VerifierKey {
    /// The key of these 32 bytes (RFC 8032 section 5.1.5); `name` is also the origin of the log.
    ///
    /// # Errors
    /// [`BadKey::Name`] or [`BadKey::Bytes`].
    pub fn new(name: &str, public: &[u8]) -> Result<Self, BadKey> {
        let strange = |char: char| char == '+' || char.is_whitespace() || char.is_control();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(strange) {
            return Err(BadKey::Name);
        }
        let public: [u8; PUBLIC_KEY_BYTES] = public.try_into().map_err(|_| BadKey::Bytes)?;
        let hash = sha256(&[name.as_bytes(), b"\n", &[ED25519_TYPE], &public].concat());
        let id = *hash.first_chunk().ok_or(BadKey::Bytes)?;
        Ok(Self {
            name: name.into(),
            id,
            public,
        })
    }

    /// The name of the key, which is the origin of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id as signed notes tell keys apart, in hexadecimal.
    pub fn id(&self) -> String {
        hex_string(&self.id)
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public
    }

    fn is_signed(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }

    /// Whether this key signed `text`; `None` if `line` is not a signature that claims to be its own.
    fn check(&self, text: &str, line: &str) -> Option<bool> {
        let encoded = line
            .strip_prefix(SIGNATURE_START)?
            .strip_prefix(&*self.name)?
            .strip_prefix(' ')?;
        let sealed = STANDARD.decode(encoded).ok()?;
        let signature = sealed.strip_prefix(&self.id)?;
        Some(self.is_signed(text, signature))
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoded = STANDARD.encode([[ED25519_TYPE].as_slice(), &self.public].concat());
        write!(f, "{}+{}+{encoded}", self.name, hex_string(&self.id))
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(BadKey::Text);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| BadKey::Text)?;
        let public = bytes.strip_prefix(&[ED25519_TYPE]).ok_or(BadKey::Text)?;
        let key = Self::new(name, public)?;
        if hex_string(&key.id) == id {
            Ok(key)
        } else {
            Err(BadKey::Text)
        }
    }
}

/// A checkpoint whose signature was found good. Only [`Checkpoint::open`] and a [`crate::Lineage`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Box<str>,
    tree: Tree,
    note: Box<str>,
    /// The key that signed it.
    signer: VerifierKey,
    /// The key that signs from here on, which signed it too.
    successor: Option<VerifierKey>,
}

impl Checkpoint {
    /// Reads a signed note. Signatures of other keys (witnesses) are allowed and not looked at.
    ///
    /// # Errors
    /// [`BadNote`] unless one of `keys` has the note's origin as its name and signed it; also if a key that it hands
    /// over to did not.
    pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Self, BadNote> {
        let control = |char: char| char.is_control() && char != '\n';
        if note.len() > MAX_NOTE_BYTES || note.contains(control) || !note.ends_with('\n') {
            return Err(BadNote::Malformed);
        }
        let (text, signatures) = split(note).ok_or(BadNote::Malformed)?;
        let (origin, tree, successor) = parse(text)?;
        let mut signer = None;
        for key in keys.iter().filter(|key| key.name() == origin) {
            if is_signed_by(key, text, signatures)? {
                signer = signer.or(Some(key));
            }
        }
        let signer = signer.ok_or(BadNote::UnknownKey)?;
        if let Some(successor) = &successor
            && !is_signed_by(successor, text, signatures)?
        {
            return Err(BadNote::UnknownKey);
        }
        Ok(Self {
            origin: origin.into(),
            tree,
            note: note.into(),
            signer: signer.clone(),
            successor,
        })
    }

    /// Whether a note says, unverified, that it hands over to another key.
    pub(crate) fn is_handover(note: &[u8]) -> bool {
        let start = SUCCESSOR_START.as_bytes();
        note.split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(start))
    }

    /// The key that signed it.
    pub fn signer(&self) -> &VerifierKey {
        &self.signer
    }

    /// The key that signs what follows, if this hands over to another one.
    pub fn successor(&self) -> Option<&VerifierKey> {
        self.successor.as_ref()
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tree that is stated.
    pub fn tree(&self) -> Tree {
        self.tree
    }

    /// The whole signed note.
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// The text with its last line feed, and the signature lines.
fn split(note: &str) -> Option<(&str, &str)> {
    let blank = note.rfind("\n\n")?;
    let (text, rest) = note.split_at_checked(blank + 1)?;
    let signatures = rest.strip_prefix('\n')?;
    let signed = !signatures.is_empty()
        && signatures
            .lines()
            .all(|line| line.starts_with(SIGNATURE_START));
    signed.then_some((text, signatures))
}

/// Whether the key signed it: all of its signatures must fit.
fn is_signed_by(key: &VerifierKey, text: &str, signatures: &str) -> Result<bool, BadNote> {
    let mut is_signed = false;
    for is_good in signatures.lines().filter_map(|line| key.check(text, line)) {
        if !is_good {
            return Err(BadNote::Signature);
        }
        is_signed = true;
    }
    Ok(is_signed)
}

/// Origin, tree and successor of a checkpoint's text. Other extension lines are allowed and not looked at.
fn parse(text: &str) -> Result<(&str, Tree, Option<VerifierKey>), BadNote> {
    let text = text.strip_suffix('\n').ok_or(BadNote::Malformed)?;
    let mut lines = text.split('\n');
    let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(BadNote::Malformed);
    };
    let tree = stated(size, root).filter(|_| !origin.is_empty());
    let tree = tree.ok_or(BadNote::Malformed)?;
    let mut successor = None;
    for line in lines {
        if line.is_empty() {
            return Err(BadNote::Malformed);
        }
        let Some(key) = line.strip_prefix(SUCCESSOR_START) else {
            continue;
        };
        let key: Option<VerifierKey> = key.parse().ok();
        let key = key.filter(|key| key.name() == origin && successor.is_none());
        successor = Some(key.ok_or(BadNote::Malformed)?);
    }
    Ok((origin, tree, successor))
}

fn stated(size: &str, root: &str) -> Option<Tree> {
    let is_canonical = size == "0" || (size.starts_with(|char: char| matches!(char, '1'..='9')));
    let size = size.parse().ok().filter(|_| is_canonical)?;
    let root = STANDARD.decode(root).ok()?.try_into().ok()?;
    Some(Tree { size, root })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::merkle::leaf;

    pub(crate) const NAME: &str = "log.example/audit";

    pub(crate) fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(NAME, &[seed; 32]).unwrap()
    }

    impl SigningKey {
        pub(crate) fn signature(&self, text: &[u8]) -> Vec<u8> {
            match &self.private {
                Private::Here(pair) => pair.sign(text).as_ref().to_vec(),
                Private::Elsewhere(sign) => sign(text).unwrap(),
            }
        }
    }

    #[test]
    fn for_01_a_verifier_key_of_other_tools_is_read() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let words = concat!(
            "If you think cryptography is the answer to your problem,\n",
            "then you don't know what your problem is.\n"
        );
        let line = concat!(
            "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR",
            "Zb6KE6RyyBwJnAM="
        );
        assert_eq!(key.check(words, line), Some(true));
        assert_eq!(key.check("other words\n", line), Some(false));
        assert_eq!(key.check(words, "— PaulNeumann x08go/ZJ"), None);
        for wrong in [
            "",
            "a+b",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "a+00000000+AAAA",
        ] {
            assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn for_01_a_checkpoint_has_the_form_of_c2sp() {
        let tree = Tree {
            size: 3,
            root: leaf(b"x"),
        };
        let note = key(1).sign(&tree).unwrap();
        let lines: Vec<&str> = note.split('\n').collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[..2], [NAME, "3"]);
        assert_eq!(lines[2].len(), 44);
        assert!(lines[4].starts_with("— log.example/audit "));
        let checkpoint = Checkpoint::open(&note, &[key(1).verifier().clone()]).unwrap();
        assert_eq!(
            (checkpoint.origin(), checkpoint.tree(), checkpoint.note()),
            (NAME, tree, note.as_str())
        );
    }

    #[test]
    fn for_01_only_the_key_of_the_log_is_believed() {
        let keys = [key(1).verifier().clone()];
        let tree = Tree {
            size: 30,
            root: leaf(b"x"),
        };
        let note = key(1).sign(&tree).unwrap();
        let stranger = SigningKey::from_seed("other.example", &[1; 32])
            .unwrap()
            .sign(&tree)
            .unwrap();
        let cosigned = format!("{note}{}\n", stranger.lines().last().unwrap());
        let rows = [
            (cosigned, Ok(())),
            (key(2).sign(&tree).unwrap(), Err(BadNote::UnknownKey)),
            (stranger, Err(BadNote::UnknownKey)),
            (note.replace("\n30\n", "\n31\n"), Err(BadNote::Signature)),
            (note.replace("\n30\n", "\n030\n"), Err(BadNote::Malformed)),
            (note.replace("\n30\n", "\n+30\n"), Err(BadNote::Malformed)),
            (note.replace("\n\n", "\n"), Err(BadNote::Malformed)),
            (note.trim_end().to_owned(), Err(BadNote::Malformed)),
            (format!("{note}\u{7}\n"), Err(BadNote::Malformed)),
            ("x".repeat(MAX_NOTE_BYTES + 1), Err(BadNote::Malformed)),
            (String::new(), Err(BadNote::Malformed)),
        ];
        for (note, expected) in rows {
            assert_eq!(
                Checkpoint::open(&note, &keys).map(|_| ()),
                expected,
                "{note}"
            );
        }
    }

    #[test]
    fn a_key_is_checked_and_not_shown() {
        for name in ["", "a b", "a+b", "a\nb", &"a".repeat(MAX_NAME_BYTES + 1)] {
            assert_eq!(
                SigningKey::from_seed(name, &[1; 32]).map(|_| ()),
                Err(BadKey::Name)
            );
        }
        assert_eq!(
            SigningKey::from_seed(NAME, &[1; 31]).map(|_| ()),
            Err(BadKey::Bytes)
        );
        assert_eq!(
            SigningKey::from_pkcs8(NAME, b"").map(|_| ()),
            Err(BadKey::Bytes)
        );
        let shown = format!("{:?}", key(1));
        assert!(
            shown.contains("public") && !shown.contains(&"1, ".repeat(32)),
            "{shown}"
        );
    }
}
