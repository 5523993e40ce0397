//! What is behind the gateway, and what it is shown.

use super::peers::trust;
use super::{Table, shown};
use crate::config::{
    AssertionKey, CredentialKind, Credentials, Fetched, Http, Identification, IdentityProvider,
    Named, RegisteredClient, Risky, Sandbox, Server, Stdio, TokenEndpoint, Tool, Transport,
    Upstream, UserConsent, Who, veil,
};
use portcullis_core::catalog::{Needed, Terms};
use portcullis_core::credentials::{Subject, SubjectToken};
use portcullis_core::inspect::{Action, Care, Contents};
use std::collections::BTreeMap;

pub(super) fn server(table: &mut Table<'_>, server: &Server) {
    let Server {
        upstream,
        terms,
        approvers,
        contents,
        issuers,
        max_token_lifetime,
        audience,
        scopes,
        dpop,
        dpop_nonce,
        mtls,
        step_up,
        tools,
        risky,
        credentials: shows,
        sign_in,
        upstream_timeout,
        question_timeout,
        response_bytes,
    } = server;
    match upstream {
        Upstream::Http(own) => http(table, own),
        Upstream::Stdio(own) => stdio(table, own),
    }
    held(table, *terms, approvers);
    cared(table, contents);
    table.list("issuers", issuers);
    table.maybe_span("max_token_lifetime", *max_token_lifetime);
    table.put("audience", audience.as_str());
    table.list("scopes", scopes);
    table.binding("dpop", *dpop);
    table.put("dpop_nonce", *dpop_nonce);
    table.binding("mtls", *mtls);
    table.step_up(step_up);
    for (name, rules) in tools {
        tool(&mut table.below("tools").below(name), rules);
    }
    if let Some(Risky { over, approval }) = risky {
        let mut table = table.below("risky_tools");
        table.put("over", *over);
        table.approval(approval);
    }
    if let Some(shows) = shows {
        credentials(&mut table.below("credentials"), shows);
    }
    if let Some(consent) = sign_in {
        user_consent(&mut table.below("sign_in"), consent);
    }
    let mut table = table.below("limits");
    table.span("upstream_timeout", *upstream_timeout);
    table.span("question_timeout", *question_timeout);
    table.put("response", *response_bytes);
}

fn cared(table: &mut Table<'_>, contents: &Contents) {
    let Contents { all, tools: own } = contents;
    care(&mut table.below("inspect"), *all);
    for (name, own) in own.iter().collect::<BTreeMap<_, _>>() {
        care(&mut table.below("tools").below(name).below("inspect"), *own);
    }
}

fn care(table: &mut Table<'_>, care: Care) {
    let Care {
        action,
        threshold,
        spotlight,
    } = care;
    table.put("action", action.map_or("off", Action::name));
    table.put("score", threshold / 10);
    table.put("spotlight", spotlight.name());
}

fn held(table: &mut Table<'_>, terms: Terms, approvers: &[Who]) {
    let Terms {
        mode,
        recheck,
        approvals,
    } = terms;
    table.put("catalog", mode.name());
    let recheck = (!recheck.is_zero()).then(|| crate::config::written(recheck));
    table.put("recheck", recheck.unwrap_or_else(|| "call".to_owned()));
    table.put(
        "approvals",
        match approvals {
            Needed::One => 1,
            Needed::Two => 2,
        },
    );
    table.list("approvers", approvers.iter().map(ToString::to_string));
}

/// Headers and variables are named, and their values are not shown.
fn http(table: &mut Table<'_>, http: &Http) {
    let Http {
        url,
        transport,
        headers,
        trust: of_server,
    } = http;
    table.put("url", veil::url(&url.to_string()));
    let transport = match transport {
        Transport::StreamableHttp => "streamable-http",
        Transport::Sse => "sse",
    };
    table.put("transport", transport);
    for (name, value) in headers {
        table.below("headers").secret(name, value);
    }
    trust(table, of_server);
}

fn stdio(table: &mut Table<'_>, stdio: &Stdio) {
    let Stdio {
        command,
        args,
        env,
        cwd,
        max_processes,
        sandbox: walls,
    } = stdio;
    table.put("command", shown(command));
    table.list("args", veil::arguments(args));
    for (name, value) in env {
        table.below("env").secret(name, value);
    }
    table.put("cwd", shown(cwd));
    table.below("limits").put("max_processes", *max_processes);
    if let Some(walls) = walls {
        sandbox(&mut table.below("sandbox"), walls);
    }
}

fn sandbox(table: &mut Table<'_>, sandbox: &Sandbox) {
    let Sandbox {
        profile,
        named: Named { ro, rw, ports },
        memory_bytes,
        processes,
        scratch_bytes,
    } = sandbox;
    table.put("profile", profile.name());
    table.list("ro", ro.iter().map(|path| shown(path)));
    table.list("rw", rw.iter().map(|path| shown(path)));
    table.put("ports", ports.clone());
    table.put("memory", *memory_bytes);
    table.put("processes", *processes);
    table.put("scratch", *scratch_bytes);
}

fn tool(table: &mut Table<'_>, tool: &Tool) {
    let Tool {
        scopes,
        upstream_scopes,
        step_up,
        elevation,
        approval,
        requests_per_minute,
    } = tool;
    table.list("scopes", scopes);
    table.list("upstream_scopes", upstream_scopes);
    if let Some(needed) = step_up {
        table.step_up(needed);
    }
    table.maybe_span("elevation", *elevation);
    if let Some(approval) = approval {
        table.below("approval").approval(approval);
    }
    table.maybe("requests_per_minute", *requests_per_minute);
}

fn credentials(table: &mut Table<'_>, credentials: &Credentials) {
    let Credentials {
        audience,
        scopes,
        kind,
    } = credentials;
    table.put("kind", kind.name());
    table.put("audience", audience.as_str());
    table.list("scopes", scopes);
    match kind {
        CredentialKind::Assertion {
            lifetime,
            subject,
            key,
        } => {
            table.span("lifetime", *lifetime);
            let subject = match subject {
                Subject::Plain => "plain",
                Subject::Qualified => "qualified",
            };
            table.put("subject", subject);
            table.put("own_key", *key == AssertionKey::Own);
        }
        CredentialKind::Fetched(own) => fetched(table, own),
    }
}

fn fetched(table: &mut Table<'_>, fetched: &Fetched) {
    let Fetched {
        // The kind.
        grant: _,
        at,
        resource,
        actor,
        is_bound,
        idp,
        max_age,
    } = fetched;
    endpoint(table, at);
    table.maybe("resource", resource.as_deref());
    table.put("actor", *actor);
    table.put("dpop", *is_bound);
    table.span("max_age", *max_age);
    if let Some(IdentityProvider { at, subject }) = idp {
        let mut table = table.below("idp");
        endpoint(&mut table, at);
        let subject = match subject {
            SubjectToken::Access => "access_token",
            SubjectToken::Id => "id_token",
        };
        table.put("subject_token", subject);
    }
}

fn endpoint(table: &mut Table<'_>, endpoint: &TokenEndpoint) {
    let TokenEndpoint {
        url,
        issuer,
        trust: of_server,
        client_id,
        identification: shows,
    } = endpoint;
    table.put("token_endpoint", url.to_string());
    table.maybe("issuer", issuer.as_deref());
    trust(table, of_server);
    table.put("client_id", client_id.as_str());
    identification(table, shows);
}

/// How an authorization server knows us: without a secret, by a signature.
pub(super) fn identification(table: &mut Table<'_>, identification: &Identification) {
    let (way, secret) = match identification {
        Identification::Key => return table.put("client_auth", "private_key_jwt"),
        Identification::Basic(secret) => ("client_secret_basic", secret),
        Identification::Post(secret) => ("client_secret_post", secret),
    };
    table.put("client_auth", way);
    table.secret("client_secret", secret);
}

fn user_consent(table: &mut Table<'_>, consent: &UserConsent) {
    let UserConsent {
        client,
        document,
        may_register,
        may_assume,
        scopes,
    } = consent;
    if let Some(RegisteredClient { issuer, id, secret }) = client {
        table.put("issuer", issuer.1.as_str());
        table.put("client_id", id.as_str());
        if let Some(secret) = secret {
            table.secret("client_secret", secret);
        }
    }
    table.maybe("client_document", document.as_deref());
    table.put("register", *may_register);
    table.put("without_metadata", *may_assume);
    table.list("scopes", scopes);
}
