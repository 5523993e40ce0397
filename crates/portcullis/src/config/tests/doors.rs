//! Who is let in at all: addresses, operators, reviewers and tenants.

use super::*;

#[rustfmt::skip]
const DOORS: &[Row] = &[
    ("[gateway]\nlisten = \"192.0.2.1:8848\"\npublic_url = \"https://a.example\"\n", 2, 10, "gateway.listen", "needs TLS"),
    ("[gateway]\nlisten = \"[2001:db8::1]:8848\"\npublic_url = \"https://a.example\"\n", 2, 10, "gateway.listen", "needs TLS"),
    ("[gateway]\nadmin = \"192.0.2.1:8849\"\n", 2, 9, "gateway.admin", "must be loopback"),
    ("[gateway]\nadmin = \"127.0.0.1:8848\"\n", 2, 9, "gateway.admin", "the same address as `listen`"),
    ("[gateway]\nlisten = \"localhost:8848\"\n", 2, 10, "gateway.listen", "not an IP address and port"),
    ("[gateway]\nlisten = \"127.0.0.1:0\"\n", 2, 10, "gateway.listen", "known beforehand"),
    ("[gateway]\npublic_url = \"http://a.example\"\n", 2, 14, "gateway.public_url", "only allowed on loopback"),
    ("[gateway]\npublic_url = \"https://a.example?x\"\n", 2, 14, "gateway.public_url", "no query"),
    ("[gateway]\npublic_url = \"https://u@a.example\"\n", 2, 14, "gateway.public_url", "user name"),
    ("[gateway]\ntls = { certificate = \"missing\", key = \"key.pem\" }\n", 2, 23, "gateway.tls.certificate", "cannot read the file: entity not found"),
    ("[gateway]\ntls = { certificate = \"cert.pem\", key = \"cert.pem\" }\n", 2, 41, "gateway.tls.key", "not PEM with a PRIVATE KEY"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"missing\"\n", 4, 13, "gateway.tls.client_ca", "cannot read the file"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_crl = \"crl.pem\"\n", 4, 14, "gateway.tls.client_crl", "without `client_ca`"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"ca.pem\"\nclient_crl = \"ca.pem\"\n[servers.b]\nurl = \"https://b.example/\"\nmtls = \"accepted\"\n", 5, 14, "gateway.tls.client_crl", "not PEM with a X509 CRL"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"ca.pem\"\n", 4, 13, "gateway.tls.client_ca", "nobody is asked for one"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n[servers.a]\nurl = \"https://a.example\"\nmtls = \"required\"\ndpop = \"accepted\"\n", 6, 8, "servers.a.mtls", "never to both"),
    ("[gateway.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n[servers.a]\nurl = \"https://a.example\"\nmtls = \"accepted\"\ndpop = \"required\"\n", 6, 8, "servers.a.mtls", "never to both"),
    ("[gateway.tls]\nkey = \"key.pem\"\n", 1, 10, "gateway.tls", "needs `certificate` and `key`"),
    ("[gateway.tls.acme]\ndirectory = \"https://acme.example/\"\nnames = [\"a.example\"]\n", 1, 14, "gateway.tls.acme.terms_agreed", "agree to its terms"),
    ("[gateway.tls.acme]\nterms_agreed = true\nnames = [\"a.example\"]\n", 1, 14, "gateway.tls.acme", "no `directory`"),
    ("[gateway.tls.acme]\nterms_agreed = true\nnames = [\"a.example\"]\ndirectory = \"http://acme.example/\"\n", 4, 13, "gateway.tls.acme.directory", "https"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\n", 1, 14, "gateway.tls.acme.names", "no name that can be certified"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\nnames = [\"*.example\"]\n", 4, 10, "gateway.tls.acme.names[0]", "not a host name"),
    ("[gateway.tls.acme]\nterms_agreed = true\ndirectory = \"https://acme.example/\"\nnames = [\"a.example\"]\ncontact = [\"mailto:a@b.c\"]\n", 5, 12, "gateway.tls.acme.contact[0]", "not a mail address"),
    ("[gateway.tls]\nkey = \"key.pem\"\nacme = {}\n", 3, 1, "gateway.tls.acme", "either an ACME server"),
    ("[gateway]\nallowed_hosts = [\"a\", \"https://a.example\"]\n", 2, 23, "gateway.allowed_hosts[1]", "not a host name"),
    ("[gateway]\nallowed_hosts = [\"*\"]\n", 2, 18, "gateway.allowed_hosts[0]", "not a host name"),
    ("[gateway]\nallowed_hosts = [\"a:0\"]\n", 2, 18, "gateway.allowed_hosts[0]", "not a host name"),
    ("[gateway]\nallowed_origins = [\"*\"]\n", 2, 20, "gateway.allowed_origins[0]", "must be named"),
    ("[gateway]\nallowed_origins = [\"null\"]\n", 2, 20, "gateway.allowed_origins[0]", "must be named"),
    ("[gateway]\nallowed_origins = [\"https://a.example/x\"]\n", 2, 20, "gateway.allowed_origins[0]", "no path"),
    ("[gateway]\ndata = \"\"\n", 2, 8, "gateway.data", "not a path"),
];

#[test]
fn conf_refuses_an_open_door() {
    for (text, line, column, key, words) in DOORS {
        refuses(text, *line, *column, key, words);
    }
    let tls = "[gateway]\nlisten = \"0.0.0.0:443\"\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
    refuses(tls, 1, 2, "gateway.public_url", "`public_url` is needed");
}

#[test]
fn conf_refuses_a_file_without_servers_or_issuers() {
    let none = reads("").unwrap_err();
    assert_eq!(none.as_slice().len(), 1, "{none}");
    assert!(none.as_slice()[0].reason.contains("no server"));
    let open = reads("[servers.a]\nurl = \"https://a.example\"\n").unwrap_err();
    assert_eq!(open.as_slice().len(), 1, "{open}");
    assert!(
        open.as_slice()[0]
            .reason
            .contains("every client must be authenticated")
    );
    refuses_server(
        "url = \"https://a.example\"\nissuers = []",
        3,
        1,
        ".issuers",
        "every client must be authenticated",
    );
}

#[rustfmt::skip]
const OPERATORS: &[Row] = &[
    ("[admin]\n", 1, 2, "admin", "every operator must be authenticated"),
    ("[admin]\nissuers = [\"own\"]\n", 2, 12, "admin.issuers[0]", "for anybody"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"b\"]\n", 4, 12, "admin.issuers[0]", "no issuer has this name"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nlisten = \"192.0.2.1:8850\"\nurl = \"https://a.example\"\n", 5, 10, "admin.listen", "needs TLS"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nlisten = \"127.0.0.1:8849\"\n", 5, 10, "admin.listen", "the same address"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nurl = \"https://a.example/x\"\n", 5, 7, "admin.url", "no path"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\naudience = \"http://127.0.0.1:8848/servers/rest/mcp\"\n", 5, 12, "admin.audience", "is its own"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\naudience = \"http://127.0.0.1:8848/mcp\"\n", 5, 12, "admin.audience", "is its own"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nmtls = \"accepted\"\n", 5, 8, "admin.mtls", "[admin.tls]"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\" }]\n", 5, 10, "admin.roles[0]", "`role` and `who`"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewr\", who = [\"user:a\"] }]\n", 5, 19, "admin.roles[0].role", "viewer"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\", who = [\"anyone\"] }]\n", 5, 36, "admin.roles[0].who[0]", "those who are named"),
    ("[issuers.a]\nissuer = \"https://a.example\"\n[admin]\nissuers = [\"a\"]\nroles = [{ role = \"viewer\", who = [\"user:a\"], tenant = \"x\" }]\n", 5, 56, "admin.roles[0].tenant", "no tenant has this name"),
];

#[test]
fn authz_03_conf_refuses_an_admin_api_that_is_open() {
    for (text, line, column, key, words) in OPERATORS {
        refuses(text, *line, *column, key, words);
    }
}

#[rustfmt::skip]
const TENANTS: &[Row] = &[
    ("[tenants.A]\nissuers = [\"own\"]\n", 1, 10, "tenants.A", "not a name of a tenant"),
    ("[tenants.a]\nservers = [\"rest\"]\n", 1, 10, "tenants.a", "nobody belongs"),
    ("[tenants.a]\nissuers = [\"own\"]\nservers = [\"reset\"]\n", 3, 12, "tenants.a.servers[0]", "did you mean `rest`?"),
    ("[tenants.a]\nissuers = [\"onw\"]\n", 2, 12, "tenants.a.issuers[0]", "did you mean `own`?"),
    ("[tenants.a]\nmembers = { onw = \"a=b\" }\n", 2, 19, "tenants.a.members.onw", "did you mean `own`?"),
    ("[tenants.a]\nmembers = { own = \"a\" }\n", 2, 19, "tenants.a.members.own", "not a claim and its text"),
    ("[tenants.a]\nissuers = [\"own\"]\n[tenants.b]\nissuers = [\"own\"]\n", 4, 12, "tenants.b.issuers[0]", "belong to `a`"),
    ("[tenants.a]\nissuers = [\"own\"]\n[tenants.b]\nmembers = { own = \"a=b\" }\n", 4, 19, "tenants.b.members.own", "belong to `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nissuers = [\"own\"]\n", 4, 12, "tenants.b.issuers[0]", "its claim `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nmembers = { own = \"a=b\" }\n", 4, 19, "tenants.b.members.own", "belong to `a`"),
    ("[tenants.a]\nmembers = { own = \"a=b\" }\n[tenants.b]\nmembers = { own = \"c=b\" }\n", 4, 19, "tenants.b.members.own", "its claim `a`"),
];

#[test]
fn authz_03_conf_refuses_tenants_that_are_unclear() {
    for (text, line, column, key, words) in TENANTS {
        refuses(text, *line, *column, key, words);
    }
}

#[test]
fn authz_05_who_reviews_is_checked() {
    let idp = "[issuers.idp]\nissuer = \"https://idp.example\"\n";
    let good = "[review]\nissuer = \"idp\"\nreviewers = [\"role:reviewer\"]\n";
    let checked = reads(&format!("{good}{idp}{REST}")).unwrap();
    let review = checked.review.unwrap();
    assert_eq!(
        (review.every.as_secs(), review.within.as_secs()),
        (90 * 86_400, 14 * 86_400)
    );
    assert!(reads(REST).unwrap().review.is_none());
    let reviewers = "reviewers = [\"role:reviewer\"]";
    for (lines, line, column, key, words) in [
        (
            format!("issuer = \"own\"\n{reviewers}"),
            2,
            10,
            ".issuer",
            "embedded",
        ),
        (
            format!("issuer = \"idq\"\n{reviewers}"),
            2,
            10,
            ".issuer",
            "did you mean `idp`?",
        ),
        (reviewers.to_owned(), 1, 2, "", "needs `issuer`"),
        (
            "issuer = \"idp\"".to_owned(),
            1,
            2,
            ".reviewers",
            "decides nothing in it",
        ),
        (
            "issuer = \"idp\"\nreviewers = [\"user:ann\"]".to_owned(),
            3,
            1,
            ".reviewers",
            "decides nothing in it",
        ),
        (
            "issuer = \"idp\"\nreviewers = [\"anyone\"]".to_owned(),
            3,
            14,
            ".reviewers[0]",
            "names no person",
        ),
        (
            format!("issuer = \"idp\"\n{reviewers}\nwithin = \"0s\""),
            4,
            10,
            ".within",
            "1s to 90d",
        ),
    ] {
        let text = format!("[review]\n{lines}\n{idp}");
        refuses(&text, line, column, &format!("review{key}"), words);
    }
}
