//! ATK-041: metadata that sends the gateway where only the gateway can go.

use crate::harness::{Answer, Dns, Gateway, Host, Idp, Scene, Upstream, call, wait_for};
use std::net::{IpAddr, Ipv4Addr};

/// A gateway that cannot have keys yet, as its issuer's metadata says that they are at `keys`.
fn misled(keys: &str, egress: &str) -> Scene {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    idp.keys_are_at(keys);
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[egress]\n{egress}\n[limits]\nbody = \"1MiB\"\n",
        idp.issuer(),
        upstream.url()
    );
    Scene {
        gateway: Gateway::start_unready(&config),
        upstream,
        idp,
    }
}

/// Has the keys fetched again.
fn again(scene: &Scene, turn: usize) {
    let body = |turn: usize| format!("body = \"{}MiB\"", turn + 1);
    scene.gateway.reload(&body(turn), &body(turn + 1));
}

fn denials(scene: &Scene) -> usize {
    scene.gateway.records("egress.denied", None).len()
}

#[test]
fn cd_12_is_not_sent_inside_by_metadata() {
    let lure = Host::lure();
    let port = lure.address().port();
    let scene = misled("http://169.254.169.254/latest/meta-data/", "");
    let record = scene.gateway.expect("egress.denied", Some("address"));
    assert_eq!(record["detail"]["class"], "metadata", "{record}");
    assert_eq!(record["detail"]["host"], "169.254.169.254", "{record}");
    assert_eq!(record["detail"]["by"], scene.idp.issuer(), "{record}");
    let mut turn = 0;
    for (url, reason, class) in [
        (
            format!("http://127.0.0.1:{port}/jwks"),
            "address",
            "loopback",
        ),
        (
            format!("https://127.0.0.1:{port}/jwks"),
            "address",
            "loopback",
        ),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            "address",
            "translation",
        ),
        (
            "https://[::ffff:10.0.0.1]/".to_owned(),
            "address",
            "translation",
        ),
        (
            "https://[64:ff9b::7f00:1]/".to_owned(),
            "address",
            "translation",
        ),
        (
            "https://[64:ff9b:1::a00:1]/".to_owned(),
            "address",
            "translation",
        ),
        (
            "https://[2002:7f00:1::]/".to_owned(),
            "address",
            "translation",
        ),
        ("https://[fd00:ec2::254]/".to_owned(), "address", "metadata"),
        ("https://100.100.100.200/".to_owned(), "address", "metadata"),
        ("https://10.0.0.1/".to_owned(), "address", "private"),
        ("https://[fe80::1]/".to_owned(), "address", "link_local"),
        (format!("http://localhost:{port}/"), "address", "loopback"),
        (format!("http://2130706433:{port}/"), "malformed", ""),
        (format!("http://0x7f.0.0.1:{port}/"), "malformed", ""),
        (format!("http://0177.0.0.1:{port}/"), "malformed", ""),
        (format!("http://127.1:{port}/"), "malformed", ""),
        (format!("http://x@127.0.0.1:{port}/"), "user", ""),
        (format!("http://127.0.0.1:{port}/#x"), "fragment", ""),
        ("file:///etc/passwd".to_owned(), "scheme", ""),
        (format!("gopher://127.0.0.1:{port}/"), "scheme", ""),
        ("https://93.184.216.34:22/".to_owned(), "port", ""),
        ("http://93.184.216.34:443/".to_owned(), "scheme", ""),
    ] {
        let before = denials(&scene);
        scene.idp.keys_are_at(&url);
        again(&scene, turn);
        turn += 1;
        wait_for("a denial", || (denials(&scene) > before).then_some(()));
        let record = scene.gateway.records("egress.denied", None).pop().unwrap();
        assert_eq!(record["reason"], reason, "{url} {record}");
        let found = record["detail"]["class"].as_str().unwrap_or_default();
        assert_eq!(found, class, "{url} {record}");
    }
    assert_eq!(lure.seen().len(), 0, "the gateway was lured");
    let failed = scene.gateway.records("jwks.refresh_failed", None);
    for record in failed {
        let told = record["detail"]["error"].as_str().unwrap();
        assert!(
            !told.contains("169.254") && !told.contains("127."),
            "{told}"
        );
    }
    // Nobody is known by keys that never came.
    let token = scene.token("alice");
    scene.unauthenticated(&call("echo").token(&token), "kid");
    // The benign twin: the issuer's own keys, at its own origin.
    let own = format!("{}/jwks", scene.idp.issuer());
    scene.idp.keys_are_at(&own);
    again(&scene, turn);
    scene.gateway.expect("jwks.refreshed", None);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn lp_04_opens_inside_only_what_the_configuration_names() {
    let idp = Idp::start();
    let keys = idp.key_set();
    let other = Host::start(move |_| Answer::json(200, "", &keys));
    let lure = Host::start_at("127.0.0.2:0", |_| Answer::json(200, "", "{}"));
    let upstream = Upstream::start();
    idp.keys_are_at(&other.url());
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[egress]\nallow = [\"127.0.0.1\"]\n[limits]\nbody = \"1MiB\"\n",
        idp.issuer(),
        upstream.url()
    );
    let scene = Scene {
        gateway: Gateway::start(&config),
        upstream,
        idp,
    };
    scene.permits(&call("echo").token(&scene.token("alice")));
    assert!(
        !other.seen().is_empty(),
        "the place that is allowed was not asked"
    );
    scene.idp.keys_are_at(&lure.url());
    again(&scene, 0);
    let record = scene.gateway.expect("egress.denied", Some("address"));
    assert_eq!(record["detail"]["class"], "loopback", "{record}");
    assert_eq!(
        lure.seen().len(),
        0,
        "another address than the allowed one was asked"
    );
}

#[test]
fn cd_12_follows_no_redirect() {
    let lure = Host::lure();
    let location = format!("location: {}/jwks\r\n", lure.url());
    let bouncing = Host::start(move |_| Answer::json(302, &location, "{}"));
    // Both are allowed: it is the redirect that is not followed.
    let scene = misled(&bouncing.url(), "allow = [\"127.0.0.1\"]");
    let record = scene.gateway.expect("jwks.refresh_failed", None);
    assert_eq!(
        record["detail"]["error"], "answered with status 302",
        "{record}"
    );
    assert_eq!(lure.seen().len(), 0, "the redirect was followed");
}

#[test]
fn lp_04_pins_the_address_that_it_checked() {
    let idp = Idp::start();
    let keys = idp.key_set();
    let honest = Host::start(move |_| Answer::json(200, "", &keys));
    let port = honest.address().port();
    // The same port on the address that the name has the next time.
    let trap = Host::start_at(&format!("127.0.0.2:{port}"), |_| {
        Answer::json(200, "", "{}")
    });
    let dns = Dns::start(|name, before| match (name, before) {
        ("rebind.test", 0) => vec![Ipv4Addr::LOCALHOST.into()],
        ("rebind.test", 1) => vec![Ipv4Addr::new(127, 0, 0, 2).into()],
        ("rebind.test", _) => vec![
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::new(10, 0, 0, 1).into(),
        ],
        _ => Vec::<IpAddr>::new(),
    });
    let upstream = Upstream::start();
    idp.keys_are_at(&format!("http://rebind.test:{port}/jwks"));
    let config = format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n[egress]\nallow = [\"127.0.0.1\"]\nresolver = \"{}\"\n[limits]\nbody = \"1MiB\"\n",
        idp.issuer(),
        upstream.url(),
        dns.address()
    );
    let scene = Scene {
        gateway: Gateway::start(&config),
        upstream,
        idp,
    };
    scene.permits(&call("echo").token(&scene.token("alice")));
    assert_eq!(honest.seen().len(), 1);
    assert_eq!(
        honest.seen()[0].header("host"),
        Some(format!("rebind.test:{port}").as_str())
    );
    assert_eq!(
        dns.asked(),
        ["A rebind.test", "AAAA rebind.test"],
        "looked up once"
    );
    // The name moves.
    again(&scene, 0);
    let record = scene.gateway.expect("egress.denied", Some("address"));
    assert_eq!(record["detail"]["class"], "loopback", "{record}");
    assert_eq!(record["detail"]["host"], "rebind.test", "{record}");
    // One bad address among good ones is enough.
    again(&scene, 1);
    wait_for("the second denial", || (denials(&scene) == 2).then_some(()));
    let record = scene.gateway.records("egress.denied", None).pop().unwrap();
    assert_eq!(record["detail"]["class"], "private", "{record}");
    assert_eq!((honest.seen().len(), trap.seen().len()), (1, 0));
    assert_eq!(dns.asked().len(), 6);
}

#[test]
fn lp_04_bounds_what_a_peer_answers() {
    let wave = vec![b' '; 64 * 1024];
    let flooding = Host::start(move |_| {
        let head =
            "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n";
        Answer::Flood(head.as_bytes().to_vec(), wave.clone())
    });
    let scene = misled(&flooding.url(), "allow = [\"127.0.0.1\"]");
    let record = scene.gateway.expect("jwks.refresh_failed", None);
    assert_eq!(
        record["detail"]["error"], "answer too large or broken",
        "{record}"
    );
    let headers = "x-header: y\r\n".repeat(65);
    let wordy = Host::start(move |_| Answer::json(200, &headers, "{}"));
    scene.idp.keys_are_at(&wordy.url());
    again(&scene, 0);
    wait_for("another failure", || {
        (scene.gateway.records("jwks.refresh_failed", None).len() > 1).then_some(())
    });
    let record = scene
        .gateway
        .records("jwks.refresh_failed", None)
        .pop()
        .unwrap();
    assert_eq!(record["detail"]["error"], "cannot be reached", "{record}");
    assert_eq!(wordy.seen().len(), 1);
}
