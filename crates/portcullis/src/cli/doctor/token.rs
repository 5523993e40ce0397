//! Whether the token signs with the keys that are in it.

use super::Findings;
use crate::config::Checked;
use crate::keys::{Hardware, Purpose};
use std::time::Duration;

/// What is signed to see whether it can be; nobody takes it for anything.
const TRIAL: &[u8] = b"portcullis doctor";
/// How long a token may take for it.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn look(checked: &Checked, findings: &mut Findings) {
    let Some(place) = &checked.pkcs11 else {
        return;
    };
    findings.look("token");
    for purpose in Purpose::ALL {
        let Some(label) = purpose.label(place) else {
            continue;
        };
        let problem = match Hardware::open(place, purpose, label) {
            Ok(key) => match key.sign_here(TRIAL.to_vec(), PATIENCE) {
                Ok(_) => continue,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        findings.error(
            "keys.token",
            format!(
                "the key {label:?} in the token {:?}: {problem}",
                place.token
            ),
            "put the token in, and see to its label, its keys and its PIN",
        );
    }
}
