//! The page on which whoever has called what is withheld decides about it, if the configuration says that they may.

use super::approving::{NOT_YOURS, OVER};
use super::{Ended, Visit, ended, known, name_of, refused, unkept, visitor};
use crate::authority::shown::{shown, told};
use crate::cataloguing::sides;
use crate::clock;
use crate::judged::{Judged, Names, text};
use crate::record::Exchange;
use crate::relay::Gateway;
use portcullis_authority::Form as Fields;
use portcullis_authority::page::{DefinitionPage, News, Voices};
use portcullis_authority::user::User;
use portcullis_core::catalog::{Deed, Needed, Question, Undecided};
use portcullis_core::refusal::Refusal;
use portcullis_state::{Decision, Failed, NotDecided, Outcome, Person};

const YES: &str = "It is served from now on. Go back to the app.";
const FIRST: &str = "Somebody else has to approve this version too. Until then nothing changes.";
const NO: &str = "It is not served. You can close this page.";
const OTHERWISE: &str = "Nothing was decided: the server defines it otherwise by now, or somebody has decided before you. \
Ask your app again.";
const SAME_PERSON: &str =
    "You have approved it already. It needs somebody else, who is not you, to do so too.";

impl Gateway {
    /// The page, for whoever has made the call; others are told that it is not theirs, and strangers sign in first.
    pub(super) async fn shows_definition(
        &self,
        visit: Visit<'_>,
        link: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return self.asks_who(visit, link);
        };
        known(&user, exchange);
        let question = match self.own_question(visit, &user, link, exchange) {
            Ok(question) => question,
            Err(ended) => return Ok(*ended),
        };
        let review = self.review(&question).await.map_err(|why| unkept(&why))?;
        let Some((news, review)) = review else {
            return Ok(refused(
                "approval.refused",
                "other_digest",
                (409, OTHERWISE),
            ));
        };
        let thing = &question.thing;
        let page = DefinitionPage {
            user: name_of(&user),
            at: visit.authority.signs_in_at(),
            server: &thing.server,
            kind: thing.kind.name(),
            name: &thing.name,
            news,
            review: &review,
            voices: match needed(visit, &question) {
                Needed::One => Voices::One,
                Needed::Two => Voices::Two,
            },
            token: session.token().expose(),
            link,
        };
        Ok(ended("approval.shown", None, shown(200, page.page())))
    }

    /// The user has said yes or no.
    pub(super) async fn decides_definition(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (user, _) = match self.own_form(visit, fields)? {
            Ok(own) => own,
            Err(ended) => return Ok(ended),
        };
        known(&user, exchange);
        let link = fields.value("link").unwrap_or_default();
        let own = self.own_question(visit, &user, link, exchange);
        let verdict = fields.value("decision");
        let is_clear = matches!(verdict, Some("allow" | "deny"));
        let question = match own {
            Err(ended) => return Ok(*ended),
            Ok(_) if !is_clear => {
                return Ok(refused("approval.refused", "decision", (400, OVER)));
            }
            // INVARIANT: whoever takes it is the only one, whatever comes of it.
            Ok(_) => self.state.questions.take(link, clock::now()),
        };
        let Some(question) = question else {
            return Ok(refused("approval.refused", "link", (404, OVER)));
        };
        self.listening.finished(link);
        let decision = decision(&user, needed(visit, &question));
        let Question { thing, digest, .. } = question;
        let decided = if verdict == Some("allow") {
            self.catalog.approve(thing, digest, decision).await
        } else {
            self.catalog.reject(thing, digest, decision).await
        };
        match decided.map_err(|why| unkept(&why))? {
            Ok(outcome) => Ok(done(&outcome)),
            Err(why) => Ok(not_done(&why)),
        }
    }

    /// What the link asks, if it is this user's to decide.
    fn own_question(
        &self,
        visit: Visit<'_>,
        user: &User,
        link: &str,
        exchange: &mut Exchange,
    ) -> Result<Question, Box<Ended>> {
        let Some(question) = self.state.questions.asked(link, clock::now()) else {
            return Err(refused("approval.refused", "link", (404, OVER)).into());
        };
        let thing = &question.thing;
        exchange.server = Some(std::sync::Arc::clone(&thing.server));
        exchange.trail.target = Some(portcullis_core::inspect::name(&thing.name));
        exchange.fact("kind", thing.kind.name());
        exchange.fact("definition", &question.digest.to_string());
        let no = |reason| Box::new(refused("approval.refused", reason, (403, NOT_YOURS)));
        if user.key() != question.owner {
            return Err(no("another_user"));
        }
        let server = visit.live.rules.servers.get(&thing.server);
        let approvers = server.map_or(&[][..], |server| &server.approvers);
        let expected = visitor(user).expect_named(approvers);
        expected.map_err(|why| no(why.reason()))?;
        Ok(question)
    }

    /// The version beside what is served, as whoever reviews it reads it; nothing if nobody has written it down.
    async fn review(&self, question: &Question) -> Result<Option<(News, String)>, Failed> {
        let Question { thing, digest, .. } = question;
        let server = Some(thing.server.to_string());
        let mut all = self.catalog.histories(server).await?.into_iter();
        let found = all.find(|(known, _)| known == thing);
        let Some((_, Ok(history))) = found else {
            return Ok(None);
        };
        let both = sides(&self.catalog, &history, (None, Some(*digest))).await?;
        let Some((old, new)) = both else {
            return Ok(None);
        };
        let names = Names::read(&self.catalog).await?;
        let judged = Judged::of(&new, &names.beside(&thing.server));
        let news = if old.is_some() {
            News::Change
        } else {
            News::First
        };
        Ok(Some((news, text(thing, (old.as_ref(), &new), &judged))))
    }
}

/// How many persons have to approve it, by the rules of now.
fn needed(visit: Visit<'_>, question: &Question) -> Needed {
    let server = visit.live.rules.servers.get(&question.thing.server);
    server.map_or(Needed::Two, |server| server.terms.approvals)
}

/// By whom, in the words of the admin API: one person is one person at both.
fn decision(user: &User, needed: Needed) -> Decision {
    Decision {
        by: format!("{} of {}", user.subject, user.issuer),
        person: Some(Person {
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
        }),
        reason: Some("asked on the page".to_owned()),
        needed,
        at: clock::now(),
    }
}

fn done(outcome: &Outcome) -> Ended {
    match outcome.deed {
        Deed::Rejected => ended("approval.denied", None, told(200, "Rejected", NO)),
        Deed::Endorsed => ended(
            "approval.granted",
            None,
            told(200, "Approved by you", FIRST),
        ),
        Deed::Approved | Deed::RolledBack | Deed::Seen | Deed::Changed | Deed::Removed => {
            ended("approval.granted", None, told(200, "Approved", YES))
        }
    }
}

fn not_done(why: &NotDecided) -> Ended {
    let (reason, said) = match why {
        NotDecided::Undecided(why @ Undecided::SamePerson) => (why.word(), SAME_PERSON),
        NotDecided::Undecided(why) => (why.word(), OTHERWISE),
        NotDecided::Broken(_) => ("broken", OTHERWISE),
    };
    refused("approval.refused", reason, (409, said))
}
