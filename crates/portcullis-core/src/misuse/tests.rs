//! What is misuse, what is not, and that neither memory nor the log can be filled.

use super::anomaly::Factor;
use super::*;
use crate::authenticate::{Unauthenticated, operating_system_user};
use crate::authorize::Forbidden;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn limits() -> Limits {
    Limits {
        window: Duration::from_mins(1),
        refusals: 5,
        audiences: 3,
        prefix_v4: 24,
        prefix_v6: 48,
        exempt: vec!["198.51.100.0/24".parse().unwrap()],
        places: Vec::new(),
        max_kmh: 1000,
        revoke: Vec::new(),
    }
}

fn caller(id: Option<&str>) -> Identity {
    let mut caller = (*operating_system_user(1, "a", NOW)).clone();
    caller.token_id = id.map(str::to_owned);
    caller
}

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn tok_19_one_token_from_two_networks_is_told_once() {
    let misuse = Misuse::default();
    let known =
        |id, peer, seconds| misuse.known(&caller(Some(id)), ip(peer), &limits(), at(seconds));
    for (id, peer, seconds, expected) in [
        ("a", "192.0.2.1", 0, None),
        ("a", "192.0.2.200", 1, None),
        ("a", "::ffff:192.0.2.9", 1, None),
        ("a", "2001:db8::1", 1, None),
        ("a", "2001:db8:0:ffff::1", 2, None),
        ("a", "198.51.100.7", 2, None),
        ("b", "203.0.113.1", 2, None),
        ("a", "203.0.113.1", 30, Some(Rule::TokenNetworks)),
        ("a", "192.0.2.1", 31, None),
        ("b", "203.0.113.9", 200, None),
        // Who moves slowly is no thief.
        ("b", "192.0.2.1", 300, None),
        ("b", "2001:db8:1::1", 301, None),
        ("b", "2001:db8:2::1", 302, Some(Rule::TokenNetworks)),
    ] {
        assert_eq!(known(id, peer, seconds), expected, "{id} {peer} {seconds}");
    }
    let nameless = |peer| misuse.known(&caller(None), ip(peer), &limits(), at(400));
    assert_eq!([nameless("192.0.2.1"), nameless("203.0.113.1")], [None; 2]);
}

#[test]
fn tok_19_refusals_are_counted_by_network_and_by_issuer() {
    let misuse = Misuse::default();
    let refused = |why: Unauthenticated, peer: &str, server: &str, seconds| {
        let why = Refusal::from(why);
        let refused = Refused {
            why: &why,
            peer: ip(peer),
            server,
            claimed: Some("https://idp.example"),
            caller: None,
        };
        misuse.refused(&refused, &limits(), at(seconds))
    };
    let forged = |peer: &str, seconds| refused(Unauthenticated::Signature, peer, "a", seconds);
    for _ in 0..4 {
        assert_eq!(forged("192.0.2.1", 0), []);
        assert_eq!(refused(Unauthenticated::Expired, "192.0.2.1", "a", 0), []);
        assert_eq!(refused(Unauthenticated::Missing, "192.0.2.1", "a", 0), []);
    }
    assert_eq!(forged("192.0.2.77", 1), [Rule::InvalidBurst]);
    assert_eq!(forged("192.0.2.1", 2), []);
    let mut found = Vec::new();
    for network in 0..44 {
        found.extend(forged(&format!("10.0.{network}.1"), 3));
    }
    assert_eq!(found, [Rule::IssuerBurst]);
    let probes = |server, seconds| refused(Unauthenticated::Audience, "192.0.2.1", server, seconds);
    for _ in 0..9 {
        assert_eq!(
            probes("a", 3),
            [],
            "one wrong server again and again is a mistake"
        );
    }
    assert_eq!(probes("b", 4), []);
    assert_eq!(probes("c", 4), [Rule::AudienceProbing]);
    assert_eq!(probes("d", 5), []);
    let revoked = |seconds| {
        refused(
            Unauthenticated::Revoked { cause: None },
            "192.0.2.1",
            "a",
            seconds,
        )
    };
    assert_eq!(
        (revoked(6), revoked(7)),
        (vec![Rule::UsedAfterRevocation], vec![])
    );
    assert_eq!(revoked(90), [Rule::UsedAfterRevocation]);
}

#[test]
fn tok_19_an_attack_fills_neither_memory_nor_log() {
    let misuse = Misuse::default();
    let why = Refusal::from(Unauthenticated::Revoked { cause: None });
    let mut told = 0;
    for number in 0..40_000u32 {
        let peer = IpAddr::from(number.wrapping_mul(256).to_be_bytes());
        let refused = Refused {
            why: &why,
            peer,
            server: "a",
            claimed: None,
            caller: None,
        };
        told += misuse.refused(&refused, &limits(), NOW).len();
        let id = number.to_string();
        assert_eq!(misuse.known(&caller(Some(&id)), peer, &limits(), NOW), None);
    }
    assert_eq!(told, usize::try_from(MAX_TOLD).unwrap());
    let held = misuse.held.lock().unwrap();
    assert!(held.tokens.len() <= MAX_HELD && held.counts.len() <= MAX_HELD);
}

#[test]
fn tok_19_only_what_is_verified_may_revoke() {
    let may: Vec<&str> = Rule::ALL
        .iter()
        .filter(|rule| rule.reach().is_some())
        .map(|rule| rule.name())
        .collect();
    let expected = [
        "token_networks",
        "token_keys",
        "volume",
        "impossible_travel",
    ];
    assert_eq!(may, expected);
    for (text, address, expected) in [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.9/24", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
    ] {
        let block: Block = text.parse().unwrap();
        assert_eq!(block.contains(ip(address)), expected, "{text} {address}");
    }
    for text in [
        "",
        "192.0.2.0/33",
        "192.0.2.0/",
        "192.0.2/24",
        "a",
        "::/129",
        "192.0.2.0/-1",
    ] {
        assert!(text.parse::<Block>().is_err(), "{text}");
    }
}

#[test]
fn tok_19_of_networks_within_networks_the_smallest_says_where_it_is() {
    let place = |networks: &str, at: &str| Place {
        networks: vec![networks.parse().unwrap()],
        at: at.parse().unwrap(),
    };
    let limits = Limits {
        places: vec![
            place("10.0.0.0/8", "52.52, 13.405"),
            place("10.1.0.0/16", "40.71, -74.01"),
        ],
        ..limits()
    };
    for (from, to, expected) in [
        ("10.2.0.1", "10.1.0.1", Some(Rule::ImpossibleTravel)),
        ("10.1.0.1", "10.1.0.2", None),
        ("10.2.0.1", "10.3.0.1", None),
    ] {
        let misuse = Misuse::default();
        let told =
            |peer, seconds| misuse.travels(&caller(None), ip(peer), (&limits, None), at(seconds));
        assert_eq!(
            (told(from, 0), told(to, 1)),
            (None, expected),
            "{from} {to}"
        );
    }
}

#[test]
fn tok_19_nobody_is_at_two_places_faster_than_one_travels() {
    let place = |networks: &str, at: &str| Place {
        networks: vec![networks.parse().unwrap()],
        at: at.parse().unwrap(),
    };
    let limits = Limits {
        places: vec![
            place("192.0.2.0/25", "52.52, 13.405"),
            place("192.0.2.128/25", "52.39, 13.06"),
            place("203.0.113.0/24", "40.71, -74.01"),
        ],
        ..limits()
    };
    let misuse = Misuse::default();
    let travel = Some(Rule::ImpossibleTravel);
    for (peer, seconds, expected) in [
        ("192.0.2.1", 0, None),
        ("192.0.2.129", 1, None),  // near
        ("198.51.100.7", 2, None), // exempt
        ("10.0.0.1", 3, None),     // who knows where
        ("::ffff:203.0.113.1", 60, travel),
        ("203.0.113.2", 61, None),
        ("192.0.2.1", 62, None),              // told a moment ago
        ("203.0.113.1", 62 + 8 * 3600, None), // by aeroplane
        ("192.0.2.1", 62 + 9 * 3600, travel),
    ] {
        let told = misuse.travels(&caller(None), ip(peer), (&limits, None), at(seconds));
        assert_eq!(told, expected, "{peer} {seconds}");
    }
}

#[test]
fn tok_19_a_place_that_is_configured_counts_before_one_that_others_name() {
    let at_berlin: Option<Position> = Position::of_degrees(52.52, 13.405).ok();
    let new_york: Option<Position> = Position::of_degrees(40.71, -74.01).ok();
    let named = Limits {
        places: vec![Place {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            at: "52.52, 13.405".parse().unwrap(),
        }],
        ..limits()
    };
    for (limits, to, expected) in [
        (&named, "192.0.2.9", Some(Rule::ImpossibleTravel)),
        (&named, "10.0.0.9", None),
        (&limits(), "192.0.2.9", Some(Rule::ImpossibleTravel)),
    ] {
        let misuse = Misuse::default();
        let told = |peer, place, seconds| {
            misuse.travels(&caller(None), ip(peer), (limits, place), at(seconds))
        };
        assert_eq!(told("192.0.2.1", at_berlin, 0), None);
        assert_eq!(told("192.0.2.2", None, 1), None);
        assert_eq!(told(to, new_york, 2), expected, "{to}");
    }
    for (north, east) in [
        (90.1, 0.0),
        (0.0, -180.5),
        (f64::NAN, 0.0),
        (f64::INFINITY, 0.0),
    ] {
        assert!(Position::of_degrees(north, east).is_err(), "{north} {east}");
    }
    assert_eq!(at_berlin.unwrap().to_string(), "52.52, 13.405");
}

fn made_up(misuse: &Misuse, who: &Identity, peer: &str, seconds: u64) -> (u8, String) {
    let anomaly = misuse.score(who, ip(peer), &limits(), at(seconds));
    (anomaly.score(), anomaly.made_up())
}

#[test]
fn auth_05_what_is_unusual_adds_up_and_fades_within_an_hour() {
    let misuse = Misuse::default();
    let alice = caller(Some("a"));
    let here = |peer: &str, seconds| {
        let _rule = misuse.known(&alice, ip(peer), &limits(), at(seconds));
        made_up(&misuse, &alice, peer, seconds)
    };
    let calm = (0, String::new());
    for peer in ["192.0.2.1", "192.0.2.99", "2001:db8::1", "198.51.100.7"] {
        assert_eq!(here(peer, 0), calm, "{peer}");
    }
    let moved = (55, "token_networks 40; new_network 15".to_owned());
    assert_eq!(here("203.0.113.1", 30), moved);
    let half = (28, "token_networks 20; new_network 8".to_owned());
    assert_eq!(made_up(&misuse, &alice, "203.0.113.1", 1830), half);
    assert_eq!(made_up(&misuse, &alice, "203.0.113.1", 3631), calm);
    // By then both networks are hers, and it was never anybody else's.
    assert_eq!(made_up(&misuse, &alice, "192.0.2.1", 3700), calm);
    assert_eq!(misuse.score_now(&alice, at(1830)).score(), 28);
    let mut bob = caller(Some("b"));
    bob.subject = "bob".to_owned();
    assert_eq!(made_up(&misuse, &bob, "203.0.113.1", 40), calm);
}

#[test]
fn auth_05_denials_count_for_who_is_known_and_bad_tokens_for_their_network() {
    let misuse = Misuse::default();
    let alice = caller(Some("a"));
    let refused = |why: Refusal, who: Option<&Identity>, peer: &str| {
        let refused = Refused {
            why: &why,
            peer: ip(peer),
            server: "a",
            claimed: None,
            caller: who,
        };
        misuse.refused(&refused, &limits(), at(1));
    };
    for count in 1..=10 {
        assert_eq!(misuse.score_now(&alice, at(1)).score(), 0, "{count}");
        refused(Forbidden::NoRule.into(), Some(&alice), "192.0.2.1");
        // What is missing can be got, which is what is asked for.
        let scope = Forbidden::Scope {
            required: Vec::new(),
            held: Vec::new(),
        };
        refused(scope.into(), Some(&alice), "192.0.2.1");
    }
    assert_eq!(misuse.score_now(&alice, at(1)).made_up(), "denials 25");
    let mut bob = caller(Some("b"));
    bob.subject = "bob".to_owned();
    for _ in 0..5 {
        refused(Unauthenticated::Signature.into(), None, "203.0.113.1");
    }
    assert_eq!(made_up(&misuse, &bob, "192.0.2.1", 2).0, 0);
    let (score, of) = made_up(&misuse, &bob, "203.0.113.77", 2);
    assert_eq!((score, &*of), (35, "suspect_network 20; new_network 15"));
}

#[test]
fn auth_05_an_hour_is_unusual_only_for_who_has_habits() {
    let misuse = Misuse::default();
    let alice = caller(Some("a"));
    let hour = |day: u64, hour: u64| {
        let midnight = NOW.seconds().next_multiple_of(86_400) - NOW.seconds();
        midnight + day * 86_400 + hour * 3600
    };
    let score = |seconds| made_up(&misuse, &alice, "192.0.2.1", seconds).1;
    for day in 0..6 {
        assert_eq!(score(hour(day, 9)), "", "{day}");
        assert_eq!(score(hour(day, 15)), "", "{day}");
    }
    assert_eq!(score(hour(6, 3)), "", "not known long enough");
    assert_eq!(score(hour(7, 10)), "", "near an hour that is usual");
    assert_eq!(score(hour(7, 20)), "unusual_hour 15");
    assert_eq!(score(hour(7, 21)), "unusual_hour 15", "it stays so today");
    assert_eq!(score(hour(8, 20)), "", "and is usual from then on");
}

#[test]
fn auth_05_scores_are_bounded_and_who_was_here_lately_is_kept() {
    let misuse = Misuse::default();
    let mut who = caller(Some("a"));
    let keys = misuse.whose(&who);
    misuse
        .held
        .lock()
        .unwrap()
        .anomalies
        .add(keys, Factor::TokenKeys, at(0));
    for number in 0..MAX_HELD + 10 {
        who.subject = format!("u{number}");
        let _score = misuse.score(&who, ip("192.0.2.1"), &limits(), at(number as u64));
    }
    let held = misuse.held.lock().unwrap().anomalies.callers();
    assert!((MAX_HELD / 2..=MAX_HELD).contains(&held), "{held}");
    let all = caller(Some("z"));
    let whose = misuse.whose(&all);
    for factor in [Factor::TokenKeys, Factor::ImpossibleTravel, Factor::Volume] {
        misuse
            .held
            .lock()
            .unwrap()
            .anomalies
            .add(whose, factor, at(0));
    }
    assert_eq!(misuse.score_now(&all, at(0)).score(), 100);
}
