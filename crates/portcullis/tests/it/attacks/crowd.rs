//! A thousand users at once: each gets the code of their own sign-in, and each code gives tokens once.

use crate::harness::{
    Gateway, Login, Request, Response, Upstream, encode, encoded, form, form_of, goes_to, pairs,
};
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Instant;

const VERIFIER: &str = "a-verifier-that-only-the-client-knows-0123456789";
const CALLBACK: &str = "https://app.example/cb";
/// Flows, and the threads among which they are divided.
const FLOWS: u16 = 1000;
const THREADS: u16 = 50;

/// One user's browser, from a network of its own, and what it was given.
struct Flow {
    number: u16,
    cookies: Vec<String>,
    next: String,
}

impl Flow {
    fn send(&mut self, gateway: &Gateway, request: Request) -> Response {
        let [high, low] = self.number.to_be_bytes();
        let request = match &*self.cookies.join("; ") {
            "" => request,
            cookies => request.set("cookie", cookies),
        };
        let answer = request.send_from([127, 1, high, low], gateway.address);
        let set = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        for (_, set) in set {
            self.cookies.push(set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    fn asks(&mut self, gateway: &Gateway) {
        let challenge = encode(digest(&SHA256, VERIFIER.as_bytes()).as_ref());
        let state = format!("state-{}", self.number);
        let fields = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &gateway.url("notes")),
            ("state", &state),
        ];
        let fields = fields.map(|(name, value)| format!("{name}={}", encoded(value)));
        let path = format!("/authorize?{}", fields.join("&"));
        let page = self.send(gateway, Request::new("GET", &path));
        assert_eq!(page.status, 200, "{page:?}");
        self.next = page.body;
    }

    fn agrees(&mut self, gateway: &Gateway) {
        let (action, mut fields) = form_of(&self.next, "");
        fields.push(("decision".to_owned(), "allow".to_owned()));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let request = form(&action, &fields)
            .set("origin", "null")
            .set("sec-fetch-site", "same-origin");
        let moved = self.send(gateway, request);
        assert_eq!(moved.status, 303, "{moved:?}");
        moved.header("location").unwrap().clone_into(&mut self.next);
    }

    fn signs_in(&mut self, gateway: &Gateway) {
        let back = goes_to(&self.next);
        let base = format!("http://{}", gateway.address);
        let path = back.strip_prefix(&base).unwrap();
        let done = self.send(gateway, Request::new("GET", path));
        assert_eq!(done.status, 303, "{done:?}");
        let back = done.header("location").unwrap().to_owned();
        let answer = pairs(back.split_once('?').unwrap().1);
        assert_eq!(answer["state"], format!("state-{}", self.number));
        self.next.clone_from(&answer["code"]);
    }

    fn redeems(&mut self, gateway: &Gateway) -> Response {
        let code = self.next.clone();
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", "app"),
            ("code", &*code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.send(gateway, form("/token", &fields))
    }
}

#[test]
fn cd_11_a_thousand_users_at_once_each_get_what_is_theirs() {
    let (login, upstream) = (Login::start(), Upstream::start());
    let config = format!(
        "{}[authority.clients.app]\nredirect_uris = [\"{CALLBACK}\"]\n\
[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"local\"]\n",
        login.config(),
        upstream.url()
    );
    let gateway = Gateway::start(&config);
    let (began, barrier) = (Instant::now(), Barrier::new(THREADS.into()));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let (gateway, barrier) = (&gateway, &barrier);
        let racing: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let numbers = (0..FLOWS).filter(|number| number % THREADS == thread);
                    let mut flows: Vec<Flow> = numbers
                        .map(|number| Flow {
                            number,
                            cookies: Vec::new(),
                            next: String::new(),
                        })
                        .collect();
                    // All of them are under way before any goes on.
                    for step in [Flow::asks, Flow::agrees, Flow::signs_in] {
                        for flow in &mut flows {
                            step(flow, gateway);
                        }
                        barrier.wait();
                    }
                    let given = flows.iter_mut().map(|flow| flow.redeems(gateway));
                    given
                        .map(|answer| {
                            assert_eq!(answer.status, 200, "{answer:?}");
                            answer.json()["access_token"].to_string()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        racing
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    println!("{FLOWS} flows in {:?}", began.elapsed());
    let distinct: HashSet<&String> = tokens.iter().collect();
    assert_eq!(distinct.len(), usize::from(FLOWS));
    assert!(gateway.records("oauth.code_replay", None).is_empty());
    assert_eq!(login.redeemed().len(), usize::from(FLOWS));
}
