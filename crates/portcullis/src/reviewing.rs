//! What a review looks over, and whether somebody may decide about it: for the commands and for the admin API.

use crate::assemble::Written;
use portcullis_core::authenticate::Identity;
use portcullis_core::review::{inventory_id, may_decide};
use portcullis_core::time::Timestamp;
use portcullis_state::{Event, INVENTORY, NewReview, Person, Review};
use std::time::Duration;

/// A token is remembered for so long after its end: clocks may differ.
pub(crate) const MARGIN: Duration = Duration::from_mins(5);

/// Why somebody may not, in the words of the log and in plain ones.
pub(crate) struct Refused {
    pub(crate) event: Event,
    pub(crate) why: String,
}

impl Refused {
    pub(crate) fn new(reason: &str, person: Option<Person>, why: &impl ToString) -> Self {
        Self {
            event: Event::refused(reason, person),
            why: why.to_string(),
        }
    }
}

pub(crate) fn person(identity: &Identity) -> Person {
    Person {
        issuer: identity.vouched_by().to_owned(),
        subject: identity.subject.clone(),
    }
}

/// A review of every grant and of the inventory.
pub(crate) fn new_review(written: &Written, policy: &str, due: Timestamp) -> NewReview {
    let inventory = (inventory_id(policy), INVENTORY.to_owned());
    let grants = written.grants();
    let grants = grants.map(|(id, grant)| (id.to_owned(), grant.rule()));
    let mut items: Vec<(String, String)> = std::iter::once(inventory).chain(grants).collect();
    items.sort();
    items.dedup();
    NewReview {
        due,
        policy: policy.to_owned(),
        items,
    }
}

/// Whether somebody may decide about what has that id.
pub(crate) fn judge(
    (written, policy): (&Written, &str),
    review: &Review,
    (identity, id): (&Identity, &str),
) -> Result<(), Box<Refused>> {
    let no_such = |why: String| {
        Err(Box::new(Refused::new(
            "unknown",
            Some(person(identity)),
            &why,
        )))
    };
    let Some(item) = review.items.iter().find(|item| item.id == id) else {
        return no_such(format!("review {} has no {id}", review.number));
    };
    let who = if item.rule == INVENTORY {
        if item.id != inventory_id(policy) {
            return no_such("the inventory is not what it was when the review began".to_owned());
        }
        None
    } else {
        let mut grants = written.grants();
        match grants.find(|(own, _)| *own == id) {
            Some((_, grant)) => Some(&grant.who),
            None => return no_such(format!("the configuration has no {id} any more")),
        }
    };
    let starter = (review.by.issuer.as_str(), review.by.subject.as_str());
    may_decide(identity, starter, who).map_err(|why| {
        let mut refused = Refused::new(why.reason(), Some(person(identity)), &why);
        refused.event.fact("grant", id);
        refused.event.fact("rule", &item.rule);
        Box::new(refused)
    })
}
