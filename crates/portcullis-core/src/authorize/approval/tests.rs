//! Whose approval is good for which call, and how often.

use super::held::{ASKED_WITHIN, MAX_ASKED, MAX_HELD};
use super::*;
use crate::hexadecimal::mark;
use crate::secret::Secret;

const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(NOW + seconds)
}

fn needed(caller: &str, arguments: &str, by: By) -> Needed {
    let mut needed = Needed {
        digest: [0; 32],
        caller: key_of("idp", caller),
        subject: caller.to_owned(),
        client: None,
        server: "notes".into(),
        tool: "delete".into(),
        arguments: arguments.to_owned(),
        rule: Approval {
            by,
            lasts: Duration::from_mins(5),
            risk: Risk::Low,
        },
    };
    needed.digest = mark(&format!("{caller} {arguments}"));
    needed
}

fn own(caller: &str, arguments: &str) -> Needed {
    needed(caller, arguments, By::Caller)
}

fn text(of: &str) -> Secret<String> {
    Secret::new(of.to_owned())
}

#[test]
fn dyn_01_an_approval_is_for_one_call_and_one_use() {
    let approvals = Approvals::default();
    let call = own("alice", "{}");
    let asks = |call: &Needed, now| {
        let taken = approvals.take(call.clone(), now);
        assert!(matches!(taken, Err(Forbidden::Approval(_))), "{taken:?}");
    };
    asks(&call, at(0));
    let link = approvals.ask(&call, text("a"), at(0)).unwrap();
    let same = approvals.ask(&call, text("b"), at(1)).unwrap();
    assert_eq!(
        (link.expose(), same.expose()),
        (&"a".to_owned(), &"a".to_owned())
    );
    asks(&call, at(1));
    assert!(!approvals.approve("b", at(1)), "no such link");
    assert!(approvals.approve("a", at(1)));
    assert!(!approvals.approve("a", at(1)), "a link is used once");
    asks(&own("bob", "{}"), at(2));
    assert_eq!(approvals.take(call.clone(), at(2)), Ok(()));
    asks(&call, at(2));
    // What is over is over: the question, and the answer.
    approvals.ask(&call, text("c"), at(10)).unwrap();
    assert!(!approvals.approve("c", at(10 + 300)));
    approvals.ask(&call, text("d"), at(400)).unwrap();
    assert!(approvals.approve("d", at(401)));
    asks(&call, at(401 + 300));
    // No is no.
    approvals.ask(&call, text("e"), at(1000)).unwrap();
    assert!(approvals.refuse("e", at(1000)));
    assert!(!approvals.approve("e", at(1000)));
    asks(&call, at(1000));
}

#[test]
fn atk_070_other_arguments_void_what_was_approved() {
    let approvals = Approvals::default();
    let call = own("alice", "1");
    approvals.ask(&call, text("a"), at(0)).unwrap();
    assert!(approvals.approve("a", at(0)));
    let other = approvals.take(own("alice", "2"), at(1));
    assert!(
        matches!(other, Err(Forbidden::OtherCall { .. })),
        "{other:?}"
    );
    let late = approvals.take(call, at(1));
    assert!(matches!(late, Err(Forbidden::Approval(_))), "{late:?}");
}

#[test]
fn atk_070_nobody_is_asked_all_the_time() {
    let approvals = Approvals::default();
    for number in 0..MAX_ASKED {
        let call = own("alice", &number.to_string());
        approvals
            .ask(&call, text(&number.to_string()), at(0))
            .unwrap();
    }
    let more = approvals
        .ask(&own("alice", "more"), text("m"), at(1))
        .unwrap_err();
    assert_eq!(more.which, "approvals");
    assert_eq!(
        more.retry_after,
        ASKED_WITHIN.saturating_sub(Duration::from_secs(1))
    );
    assert!(approvals.ask(&own("bob", "1"), text("b"), at(1)).is_ok());
    assert!(
        approvals
            .ask(&own("alice", "more"), text("m"), at(600))
            .is_ok()
    );
}

#[test]
fn atk_070_a_clock_that_is_set_approves_nothing_and_holds_nobody_up() {
    let call = own("alice", "{}");
    let back = Timestamp::from_seconds(NOW - 3600);
    for jump in [back, at(3600)] {
        let approvals = Approvals::default();
        // What was approved, and what could have been.
        approvals.ask(&call, text("a"), at(0)).unwrap();
        assert!(approvals.approve("a", at(0)));
        approvals.ask(&own("bob", "{}"), text("b"), at(0)).unwrap();
        let taken = approvals.take(call.clone(), jump);
        assert!(matches!(taken, Err(Forbidden::Approval(_))), "{taken:?}");
        assert!(approvals.asked("b", jump).is_none());
        assert!(!approvals.approve("b", jump));
        // Whoever had asked too much begins anew, and what is approved now is good.
        for number in 1..MAX_ASKED {
            let number = number.to_string();
            let asked = approvals.ask(&own("alice", &number), text(&number), at(0));
            asked.unwrap();
        }
        assert!(approvals.ask(&own("alice", "x"), text("x"), at(0)).is_err());
        approvals.ask(&call, text("c"), jump).unwrap();
        assert!(approvals.approve("c", jump));
        assert_eq!(approvals.take(call.clone(), jump), Ok(()));
    }
}

#[test]
fn atk_070_what_waits_is_bounded() {
    let approvals = Approvals::default();
    for number in 0..MAX_HELD {
        let caller = format!("user-{number}");
        let asked = approvals.ask(&own(&caller, "{}"), text(&caller), at(0));
        assert!(asked.is_ok(), "{number}");
    }
    let full = approvals.ask(&own("alice", "{}"), text("a"), at(1));
    assert_eq!(full.unwrap_err().retry_after, Duration::from_mins(5));
    // What waited is over, and still it is known who has asked.
    let full = approvals.ask(&own("alice", "{}"), text("a"), at(301));
    assert_eq!(full.unwrap_err().retry_after, ASKED_WITHIN);
    let free = approvals.ask(&own("alice", "{}"), text("a"), at(600));
    assert!(free.is_ok());
}

#[test]
fn dyn_01_it_is_for_whoever_it_is_for() {
    let lead = vec!["lead".to_owned()];
    let visitor = |issuer, subject| Visitor {
        issuer,
        subject,
        roles: &[],
        groups: &[],
    };
    let own_call = Asked {
        needed: own("alice", "{}"),
    };
    assert_eq!(own_call.expect(&visitor("idp", "alice")), Ok(()));
    for (issuer, subject) in [("idp", "bob"), ("other", "alice"), ("idp", "Alice")] {
        let refused = own_call.expect(&visitor(issuer, subject));
        assert_eq!(refused, Err(NotTheirs::AnotherUser));
    }
    let by = By::Others(vec![
        Who::Role("lead".to_owned()),
        "user:zoe".parse().unwrap(),
    ]);
    let others = Asked {
        needed: needed("alice", "{}", by),
    };
    let named = Visitor {
        roles: &lead,
        ..visitor("idp", "bob")
    };
    assert_eq!(others.expect(&named), Ok(()));
    assert_eq!(others.expect(&visitor("idp", "zoe")), Ok(()));
    assert_eq!(
        others.expect(&visitor("idp", "bob")),
        Err(NotTheirs::NotNamed)
    );
    let own = Visitor {
        roles: &lead,
        ..visitor("elsewhere", "alice")
    };
    assert_eq!(others.expect(&own), Err(NotTheirs::OwnCall));
}
