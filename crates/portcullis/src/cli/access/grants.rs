//! The grants of a configuration, as a review looks at them.

use crate::assemble::grant_of;
use crate::cli::policy::shadow;
use crate::config::Checked;
use crate::usage::{Count, Usage};
use portcullis_audit::time_text;
use portcullis_core::authorize::policy::Policy;
use portcullis_core::review::grant_id;
use serde_json::{Value, json};
use std::path::Path;

/// A grant and what has come of it.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) rule: String,
    who: String,
    what: Vec<String>,
    file: String,
    line: usize,
    key: String,
    until: Option<u64>,
    count: Count,
    shadowed: Option<String>,
}

/// All of them, in the order of the file.
pub(super) fn listed(
    checked: &Checked,
    file: &Path,
    (policy, usage): (&Policy, &Usage),
) -> anyhow::Result<Vec<Listed>> {
    let mut all = Vec::new();
    for grant in &checked.grants {
        let named = grant_of(grant)?;
        let rule = named.rule();
        all.push(Listed {
            id: grant_id(&named),
            who: grant.who.to_string(),
            what: named.allow,
            file: file.display().to_string(),
            line: grant.line,
            key: grant.key.clone(),
            until: grant.until.map(|until| until.micros()),
            count: usage.of_rule(&rule),
            shadowed: shadow::of_grant(checked, policy, grant)?,
            rule,
        });
    }
    Ok(all)
}

impl Listed {
    pub(super) fn json(&self, review: &Value) -> Value {
        json!({
            "id": self.id,
            "rule": self.rule,
            "who": self.who,
            "what": self.what,
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "until": self.until.map(time_text),
            "hits": self.count.hits,
            "last": last(self.count),
            "shadowed": self.shadowed,
            "review": review,
        })
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let (id, who, what) = (&self.id, &self.who, self.what.join(", "));
        let mut lines = vec![
            format!("  {id} {who}: {what}"),
            format!("    {}:{} ({})", self.file, self.line, self.key),
            format!("    {}", told(self.count)),
        ];
        let until = self.until.map(time_text);
        lines.extend(until.map(|until| format!("    ends {until}")));
        let shadowed = self.shadowed.as_ref();
        lines.extend(shadowed.map(|why| format!("    changes nothing: {why}")));
        lines
    }
}

pub(super) fn told(count: Count) -> String {
    match count.hits {
        0 => "never used".to_owned(),
        hits => format!("used {hits} times, last {}", time_text(count.last)),
    }
}

pub(super) fn last(count: Count) -> Option<String> {
    (count.hits > 0).then(|| time_text(count.last))
}
