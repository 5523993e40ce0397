//! ATK-029: a web page that calls the gateway by a name of its own.

use crate::harness::{Request, Scene, call, raw, wait_for};
use serde_json::json;

#[test]
fn ses_10_refuses_foreign_hosts_and_origins_before_anything_else() {
    let scene = Scene::and("[quota]\nburst = 100\n");
    let port = scene.gateway.address.port();
    let token = scene.token("alice");
    let own = format!("127.0.0.1:{port}");
    let local = format!("localhost:{port}");
    let hosts: Vec<(&str, String)> = [
        "evil.example",
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ]
    .into_iter()
    .map(|host| ("host", host.to_owned()))
    .chain(
        [
            format!("evil.example:{port}"),
            format!("127.0.0.1.evil.example:{port}"),
            format!("localhost.:{port}"),
            format!("0.0.0.0:{port}"),
            format!("127.0.0.2:{port}"),
            format!("127.0.0.1:{}", port - 1),
            format!("127.0.0.1:{port}:{port}"),
            format!("evil@127.0.0.1:{port}"),
            format!("{own}, evil.example"),
            format!("{own}/"),
            format!("xn--localhost:{port}"),
        ]
        .map(|host| ("host", host)),
    )
    .collect();
    let origins = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        "http://localhost".to_owned(),
        format!("https://{own}"),
        format!("http://{own}.evil.example"),
        format!("http://evil.example:{port}"),
        format!("http://{own}/"),
        format!("http://{own} https://evil.example"),
        format!("http://x@{own}"),
        format!("ftp://{own}"),
        "file://".to_owned(),
        "chrome-extension://abc".to_owned(),
    ]
    .map(|origin| ("origin", origin));
    let mut refused = 0;
    for (name, value) in hosts.into_iter().chain(origins) {
        for request in [
            call("echo").token(&token),
            call("echo"),
            Request::new("OPTIONS", "/servers/notes/mcp"),
        ] {
            refused += 1;
            let response = scene.send(&request.set(name, &value));
            // 400 where hyper itself cannot read the head.
            assert_eq!(response.status, 403, "{name}: {value} {response:?}");
            assert_eq!(response.header("access-control-allow-origin"), None);
            assert_eq!(
                (response.challenge(), response.header("mcp-session-id")),
                ("", None)
            );
        }
    }
    for head in [
        "POST /servers/notes/mcp HTTP/1.1\r\n",
        "POST /servers/notes/mcp HTTP/1.0\r\n",
    ] {
        refused += 1;
        let text = format!("{head}authorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            raw(scene.gateway.address, text.as_bytes()).status,
            403,
            "no host: {head}"
        );
    }
    refused += 1;
    assert_eq!(
        scene
            .send(
                &call("echo")
                    .token(&token)
                    .add("host", &own)
                    .add("host", &own)
            )
            .status,
        403
    );
    refused += 1;
    let origin = format!("http://{own}");
    assert_eq!(
        scene
            .send(
                &call("echo")
                    .token(&token)
                    .add("origin", &origin)
                    .add("origin", "https://evil.example")
            )
            .status,
        403
    );

    assert_eq!(scene.upstream.requests().len(), 0);
    wait_for("a record of each", || {
        (scene.gateway.records("http.origin_rejected", None).len() == refused).then_some(())
    });
    assert_eq!(scene.gateway.exchanges().len(), refused);

    for (host, origin) in [
        (&own, None),
        (&local, None),
        (&own, Some(&own)),
        (&local.to_uppercase(), Some(&local)),
    ] {
        let request = call("echo").token(&token).set("host", host);
        let Some(origin) = origin.map(|origin| format!("http://{origin}")) else {
            scene.permits(&request);
            continue;
        };
        let response = scene.permits(&request.set("origin", &origin));
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some(origin.as_str())
        );
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
}

#[test]
fn ses_10_listens_on_loopback_unless_it_is_told_to_and_has_tls() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portcullis.toml");
    let rest =
        "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n";
    for (key, value, why) in [
        ("listen", "0.0.0.0:8848", "needs TLS"),
        ("listen", "[::]:8848", "needs TLS"),
        ("listen", "192.0.2.1:8848", "needs TLS"),
        ("admin", "0.0.0.0:8849", "must be loopback"),
    ] {
        std::fs::write(&file, format!("[gateway]\n{key} = \"{value}\"\n{rest}")).unwrap();
        let ended = crate::harness::portcullis(&["serve", "--config", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{key} {value}: {told}");
        assert!(told.contains(why), "{told}");
    }
    for origin in ["*", "null"] {
        std::fs::write(
            &file,
            format!("[gateway]\nallowed_origins = [{}]\n{rest}", json!(origin)),
        )
        .unwrap();
        assert_eq!(
            crate::harness::portcullis(&["serve", "--config", file.to_str().unwrap()])
                .status
                .code(),
            Some(1)
        );
    }
}
