//! Reviews of who may do what: is one overdue, and what do they hold back?

use super::Findings;
use crate::cli::access::reviewed::Reviewed;
use crate::config::Checked;

pub(super) fn look(checked: &Checked, policy: &str, findings: &mut Findings) {
    if checked.review.is_none() {
        return;
    }
    findings.look("reviews");
    let Ok(reviewed) = Reviewed::read(checked, policy) else {
        return findings.error(
            "review.unreadable",
            "it cannot be read which grants are under review",
            "mend what is said of the database",
        );
    };
    if reviewed.is_overdue {
        findings.warning(
            "review.overdue",
            "there was no review of who may do what for longer than `review.every`",
            "a reviewer runs `portcullis access review start`",
        );
    }
    match reviewed.held().count() {
        0 => {}
        count => findings.note(
            "review.held",
            format!("{count} grants give no access, as reviews revoked them or nobody kept them"),
            "remove them from the configuration, or have them kept: `portcullis access review`",
        ),
    }
}
