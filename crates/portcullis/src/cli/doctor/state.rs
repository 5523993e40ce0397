//! The database: is it private, sound and of a version that this program knows?

use super::Findings;
use crate::lifecycle::Home;
use portcullis_state::{NotOpened, examine};
use std::fs::Metadata;
use std::path::Path;

pub(super) fn look(home: &Home, data: &Metadata, findings: &mut Findings) {
    findings.look("state");
    let file = home.state();
    let Ok(metadata) = std::fs::metadata(&file) else {
        let what = format!("there is no {} yet", file.display());
        return findings.note(
            "state.missing",
            what,
            "start the gateway once, or revoke something: it is made then",
        );
    };
    super::files::private(&file, &metadata, "state.mode", "600", findings);
    super::files::same_owner((&file, "state.owner"), &metadata, data, findings);
    match examine(&file) {
        Ok(seen) if seen.version < seen.known => findings.note(
            "state.older",
            format!("{} has version {}", file.display(), seen.version),
            format!("start the gateway: it brings it to version {}", seen.known),
        ),
        Ok(_) => {}
        Err(why) => findings.error(id_of(&why), why.to_string(), fix_of(&why, &file)),
    }
}

const fn id_of(why: &NotOpened) -> &'static str {
    match why {
        NotOpened::Newer { .. } => "state.newer",
        NotOpened::Damaged { .. } => "state.damaged",
        NotOpened::Foreign { .. } => "state.foreign",
        NotOpened::OpenToOthers { .. } => "state.mode",
        NotOpened::Missing { .. } | NotOpened::Unopenable { .. } => "state.unreadable",
    }
}

fn fix_of(why: &NotOpened, file: &Path) -> String {
    let file = file.display();
    match why {
        NotOpened::Newer { .. } => {
            "start the newer program, or restore the file from a backup".to_owned()
        }
        NotOpened::Damaged { .. } => format!(
            "restore {file} from a backup; without one, move it away and revoke again what was revoked"
        ),
        NotOpened::Foreign { .. } => format!("move {file} away"),
        NotOpened::OpenToOthers { .. } => format!("chmod 600 {file}"),
        NotOpened::Missing { .. } | NotOpened::Unopenable { .. } => {
            format!("make sure that the gateway's user can read and write {file} and its directory")
        }
    }
}
