//! Has the user agreed? Only what was approved becomes a code.

use crate::client::{Client, Kind};
use crate::request::{Asked, Way};
use crate::user::User;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::time::Timestamp;

/// A request to which its user has agreed.
#[derive(Debug, Clone)]
pub struct Approved {
    asked: Asked,
    user: User,
}

impl Approved {
    /// The user has agreed to just this, on our page.
    pub const fn by(user: User, asked: Asked) -> Self {
        Self { asked, user }
    }

    /// To what.
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Who.
    pub const fn user(&self) -> &User {
        &self.user
    }
}

/// What a user has agreed to before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// To which client.
    pub client: String,
    /// Where its answers go.
    pub redirect: String,
    /// For which server.
    pub server: String,
    /// What for.
    pub scopes: Vec<String>,
    /// What the client said of itself then ([`metadata`]).
    pub metadata: String,
    /// Up to when it counts.
    pub until: Timestamp,
}

/// What the user has to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Open {
    /// Scopes that were not agreed to.
    pub new: Vec<String>,
    /// Whether others of the same were.
    pub is_more: bool,
}

/// Holds a request of a user who is signed in against what this user has agreed to.
///
/// It is covered only by an agreement with the same client, saying the same of itself, for the same redirect URI and
/// server, that names every scope and has not ended. Whoever has registered itself is never covered, and neither is a
/// request that wants the user asked, or wants it not asked (`prompt`). Nor is a device, which anybody may have started.
///
/// # Errors
/// What is open.
pub fn weigh(
    user: &User,
    asked: &Asked,
    given: &[Given],
    now: Timestamp,
) -> Result<Approved, Open> {
    let open = open(asked, given, now);
    let prompt = asked.prompt();
    let may_be_covered = match (asked.client().kind, asked.way()) {
        (Kind::Registered | Kind::Document, Way::Back(..)) => !prompt.none && !prompt.consent,
        (Kind::Dynamic, _) | (_, Way::Device(_)) => false,
    };
    match open {
        None if may_be_covered => Ok(Approved::by(user.clone(), asked.clone())),
        open => Err(open.unwrap_or_default()),
    }
}

/// What no agreement covers; none if one covers all.
fn open(asked: &Asked, given: &[Given], now: Timestamp) -> Option<Open> {
    let metadata = metadata(asked.client());
    let is_of_this = |given: &&Given| {
        given.client == asked.client().id
            && given.redirect == asked.redirect()
            && given.server == **asked.server()
            && given.metadata == metadata
            && given.until > now
    };
    let Some(before) = given.iter().find(is_of_this) else {
        return Some(Open {
            new: asked.scopes().to_vec(),
            is_more: false,
        });
    };
    let is_new = |scope: &&String| !before.scopes.contains(scope);
    let new: Vec<String> = asked.scopes().iter().filter(is_new).cloned().collect();
    // Whoever agreed to some scopes did not agree to everything.
    let is_wider = asked.scopes().is_empty() != before.scopes.is_empty();
    (is_wider || !new.is_empty()).then_some(Open { new, is_more: true })
}

/// What a client says of itself, as a digest: its name, how it is known, how it authenticates, where answers may go.
pub fn metadata(client: &Client) -> String {
    let mut text = format!(
        "{:?}\n{:?}\n{}\n",
        client.kind,
        client.name,
        client.is_confidential()
    );
    for redirect in client.redirects() {
        text.push_str(redirect.as_str());
        text.push('\n');
    }
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Form;
    use crate::client::Metadata;
    use crate::redirect::Policy;
    use crate::request::Terms;
    use crate::user::Person;
    use portcullis_core::authenticate::Resource;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const ISSUER: &str = "https://gateway.example";

    fn policy() -> Policy {
        Policy {
            hosts: None,
            schemes: BTreeSet::new(),
            loopback: true,
        }
    }

    fn client(name: &str, kind: Kind) -> Arc<Client> {
        let document = format!(
            r#"{{"client_id":"https://app.example/c","client_name":"{name}","redirect_uris":["https://app.example/cb","https://app.example/other"],"token_endpoint_auth_method":"none"}}"#
        );
        let read =
            Metadata::of_document("https://app.example/c", document.as_bytes(), &policy()).unwrap();
        Arc::new(
            read.client("https://app.example/c".to_owned(), kind)
                .unwrap(),
        )
    }

    fn resource(name: &str) -> Resource {
        Resource {
            server: name.into(),
            audience: format!("{ISSUER}/servers/{name}/mcp"),
            issuers: vec![ISSUER.to_owned()],
            scopes_supported: vec!["read".to_owned(), "write".to_owned()],
            url: format!("{ISSUER}/servers/{name}/mcp"),
            ..Resource::default()
        }
    }

    fn asked(client: &Arc<Client>, server: &str, scope: &str, more: &str) -> Asked {
        let challenge = URL_SAFE_NO_PAD.encode([7; 32]);
        let text = format!(
            "response_type=code&code_challenge={challenge}&code_challenge_method=S256&\
             resource={ISSUER}/servers/{server}/mcp&scope={scope}&{more}"
        );
        let form = Form::read(text.as_bytes()).unwrap();
        let (notes, files) = (resource("notes"), resource("files"));
        let terms = Terms {
            issuer: ISSUER,
            redirects: &policy(),
            resources: &[&notes, &files],
        };
        Asked::admit(&form, client, &terms, None).unwrap()
    }

    fn user() -> User {
        User::signed_in(Person {
            subject: "alice".to_owned(),
            issuer: "https://idp.example".to_owned(),
            ..Person::default()
        })
    }

    fn given(scopes: &[&str]) -> Given {
        Given {
            client: "https://app.example/c".to_owned(),
            redirect: "https://app.example/cb".to_owned(),
            server: "notes".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            metadata: metadata(&client("Notes", Kind::Document)),
            until: NOW.plus(Duration::from_secs(1)),
        }
    }

    const CB: &str = "redirect_uri=https://app.example/cb";

    #[track_caller]
    fn check(
        asked: &Asked,
        given: &[Given],
        now: Timestamp,
        expected: Result<(), (&[&str], bool)>,
    ) {
        let open = weigh(&user(), asked, given, now).map(drop);
        let expected = expected.map_err(|(new, is_more)| Open {
            new: new.iter().map(|scope| (*scope).to_owned()).collect(),
            is_more,
        });
        assert_eq!(open, expected);
    }

    #[test]
    fn cd_09_an_agreement_covers_just_what_was_agreed_to() {
        let known = client("Notes", Kind::Document);
        let both = [given(&["read", "write"])];
        check(&asked(&known, "notes", "read", CB), &both, NOW, Ok(()));
        check(
            &asked(&known, "notes", "read+write", CB),
            &both,
            NOW,
            Ok(()),
        );
        let one = [given(&["read"])];
        check(
            &asked(&known, "notes", "read+write", CB),
            &one,
            NOW,
            Err((&["write"], true)),
        );
        let nothing: Result<(), (&[&str], bool)> = Err((&["read"], false));
        check(&asked(&known, "notes", "read", CB), &[], NOW, nothing);
        let later = NOW.plus(Duration::from_secs(1));
        check(&asked(&known, "notes", "read", CB), &both, later, nothing);
        check(&asked(&known, "files", "read", CB), &both, NOW, nothing);
        let other = "redirect_uri=https://app.example/other";
        check(&asked(&known, "notes", "read", other), &both, NOW, nothing);
        let renamed = client("Your Bank", Kind::Document);
        check(&asked(&renamed, "notes", "read", CB), &both, NOW, nothing);
        let registered = client("Notes", Kind::Registered);
        check(
            &asked(&registered, "notes", "read", CB),
            &both,
            NOW,
            nothing,
        );
    }

    #[test]
    fn cd_02_nothing_makes_the_page_go_away() {
        let known = client("Notes", Kind::Document);
        let both = [given(&["read", "write"])];
        for prompt in ["prompt=none", "prompt=consent"] {
            let asked = asked(&known, "notes", "read", &format!("{CB}&{prompt}"));
            check(&asked, &both, NOW, Err((&[], false)));
        }
        let dynamic = client("Notes", Kind::Dynamic);
        let same = Given {
            metadata: metadata(&dynamic),
            ..given(&["read"])
        };
        check(
            &asked(&dynamic, "notes", "read", CB),
            &[same],
            NOW,
            Err((&[], false)),
        );
    }
}
