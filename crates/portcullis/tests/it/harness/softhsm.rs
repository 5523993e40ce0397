//! A token in software (`SoftHSM` 2): what is in it was made outside, imported, and cannot be read any more.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The module, and the tool that fills it, where Debian's packages are unpacked.
const MODULE: &str = "usr/lib/softhsm/libsofthsm2.so";
const TOOL: &str = "usr/bin/softhsm2-util";
/// What the token is called.
const LABEL: &str = "portcullis";

/// What kind of key.
#[derive(Clone, Copy)]
pub(crate) enum TokenKey {
    Ed25519,
    P256,
}

/// A token with a PIN.
pub(crate) struct SoftHsm {
    directory: TempDir,
    pin: String,
    keys: usize,
}

impl SoftHsm {
    pub(crate) fn start(pin: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let own = Self {
            directory,
            pin: pin.to_owned(),
            keys: 0,
        };
        std::fs::create_dir(own.tokens()).unwrap();
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            own.tokens().display()
        );
        std::fs::write(own.conf(), conf).unwrap();
        std::fs::write(own.pin_file(), pin).unwrap();
        own.util(&[
            "--init-token",
            "--free",
            "--label",
            LABEL,
            "--so-pin",
            "so-pin-1234",
        ]);
        own
    }

    /// Puts a key into it; gives its private half: 32 bytes, which are nowhere but there.
    pub(crate) fn import(&mut self, label: &str, kind: TokenKey) -> Vec<u8> {
        let random = SystemRandom::new();
        let document = match kind {
            TokenKey::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random).unwrap(),
            TokenKey::P256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap()
            }
        };
        let document = document.as_ref().to_vec();
        let file = self.directory.path().join("key.pem");
        let text = STANDARD.encode(&document);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        std::fs::write(&file, pem).unwrap();
        self.keys += 1;
        let (file, id) = (file.display().to_string(), format!("{:02}", self.keys));
        self.util(&[
            "--import", &file, "--token", LABEL, "--label", label, "--id", &id,
        ]);
        std::fs::remove_file(file).unwrap();
        // The first octet string of so many bytes (RFC 5915, RFC 8410).
        let start = memchr::memmem::find(&document, &[0x04, 0x20]).unwrap() + 2;
        document[start..start + 32].to_vec()
    }

    /// The table of a configuration that names it, with these keys.
    pub(crate) fn table(&self, keys: &str) -> String {
        format!(
            "[pkcs11]\nmodule = \"{}\"\ntoken = \"{LABEL}\"\npin = {{ file = '{}' }}\nkeys = {{ {keys} }}\n",
            unpacked(MODULE).display(),
            self.pin_file().display()
        )
    }

    /// What a shell has to do before a process can find it.
    pub(crate) fn export(&self) -> String {
        format!("export SOFTHSM2_CONF='{}'", self.conf().display())
    }

    /// Runs the binary where it can be found.
    pub(crate) fn portcullis(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).env("SOFTHSM2_CONF", self.conf());
        command.output().unwrap()
    }

    /// Takes it out.
    pub(crate) fn remove(&self) {
        std::fs::rename(self.tokens(), self.directory.path().join("away")).unwrap();
        std::fs::create_dir(self.tokens()).unwrap();
    }

    /// Puts it in again.
    pub(crate) fn put_back(&self) {
        std::fs::remove_dir(self.tokens()).unwrap();
        std::fs::rename(self.directory.path().join("away"), self.tokens()).unwrap();
    }

    /// Takes its keys out, as another process does.
    pub(crate) fn lose_keys(&mut self) {
        let away = self.directory.path().join("keys");
        std::fs::create_dir(&away).unwrap();
        let token = self.token();
        for entry in std::fs::read_dir(token).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".object") && name != "token.object" {
                std::fs::rename(&path, away.join(name)).unwrap();
            }
        }
        // A change by its own tool is what other processes look for.
        self.import("first change", TokenKey::P256);
    }

    /// Puts them in again.
    pub(crate) fn find_keys(&mut self) {
        let token = self.token();
        for entry in std::fs::read_dir(self.directory.path().join("keys")).unwrap() {
            let entry = entry.unwrap();
            std::fs::rename(entry.path(), token.join(entry.file_name())).unwrap();
        }
        self.import("second change", TokenKey::P256);
    }

    fn token(&self) -> PathBuf {
        let only = std::fs::read_dir(self.tokens()).unwrap().next();
        only.unwrap().unwrap().path()
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.directory.path().join("pin")
    }

    fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.directory.path().join("softhsm2.conf")
    }

    fn util(&self, arguments: &[&str]) {
        let done = Command::new(unpacked(TOOL))
            .arg("--module")
            .arg(unpacked(MODULE))
            .args(arguments)
            .args(["--pin", &self.pin])
            .env("SOFTHSM2_CONF", self.conf())
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?} {done:?}");
    }
}

/// A file of Debian's packages, which `tests/peers/install.sh` unpacks.
fn unpacked(file: &str) -> PathBuf {
    let peers = std::env::var_os("PORTCULLIS_PEERS").map(PathBuf::from);
    let peers = peers.expect("`cargo xtask test` says where its peers are in PORTCULLIS_PEERS");
    let file = peers.join("debian").join(file);
    assert!(
        file.exists(),
        "install the peers: {} is missing",
        file.display()
    );
    file
}
