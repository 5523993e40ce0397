//! Which calls somebody has to approve.

use super::desk::Desk;
use super::grants::who_is;
use super::servers::Servers;
use crate::config::bounds;
use crate::config::checked::{Approval, Risky, Who};
use crate::config::problem::Place;
use crate::config::raw_approval;
use portcullis_core::authorize::Risk;
use portcullis_core::catalog::Terms;

const CALLER: &str = "caller";
const RISKS: [(&str, Risk); 2] = [("low", Risk::Low), ("high", Risk::High)];

pub(super) fn approval(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw_approval::Approval,
) -> Approval {
    let by = place.key("by");
    let others: Vec<&String> = raw.by.iter().filter(|who| *who != CALLER).collect();
    if others.len() < raw.by.len() && !others.is_empty() {
        desk.refuse_with(
            &by,
            "whoever calls and somebody else: then whoever calls would always do",
            "write \"caller\", or name others",
        );
    }
    let help = "write \"caller\", \"user:NAME\", \"role:NAME\" or \"group:NAME\"";
    let named = persons(desk, &by, &raw.by, help);
    let risk = raw.risk.as_deref().unwrap_or(bounds::RISK);
    let risk = desk.choose(&place.key("risk"), risk, &RISKS);
    Approval {
        by: named,
        expires: desk.span(&place.key("expires"), raw.expires, &bounds::APPROVAL),
        risk: risk.unwrap_or(Risk::High),
    }
}

/// Those that are named, but `caller`.
fn persons(desk: &mut Desk<'_>, place: &Place, all: &[String], help: &'static str) -> Vec<Who> {
    let mut named = Vec::new();
    for (index, text) in all.iter().enumerate().take(bounds::MAX_ENTRIES) {
        if text == CALLER {
            continue;
        }
        let place = place.at(index);
        match who_is(desk, &place, text) {
            Some(Who::Anyone | Who::Client(_) | Who::Issuer(_)) => {
                desk.refuse_with(&place, "names no person", help);
            }
            who => named.extend(who),
        }
    }
    named
}

/// Who of the callers of a server may approve what it defines.
pub(super) fn approvers(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &[String],
    terms: Terms,
) -> Vec<Who> {
    let place = &place.key("approvers");
    let help = "write \"user:NAME\", \"role:NAME\" or \"group:NAME\"";
    if let Some(index) = raw.iter().position(|text| text == CALLER) {
        desk.refuse_with(&place.at(index), "that is everyone", help);
    }
    if !raw.is_empty() && !terms.is_binding() {
        desk.refuse_with(
            place,
            "nothing of this server is withheld",
            "write catalog = \"pin\" or catalog = \"learn\" for the server",
        );
    }
    persons(desk, place, raw, help)
}

pub(super) fn risky(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<raw_approval::RiskyTools>,
    terms: Terms,
) -> Option<Risky> {
    let (raw, place) = (raw?, &place.key("risky_tools"));
    let over = desk.count(&place.key("over"), Some(raw.over), &bounds::OVER);
    if !terms.is_binding() {
        desk.refuse_with(
            place,
            "nobody holds this server to the version of a tool whose risk is known",
            "write catalog = \"learn\" or catalog = \"pin\" for the server",
        );
    }
    let raw = raw_approval::Approval {
        by: raw.by,
        expires: raw.expires,
        risk: raw.risk,
    };
    let approval = approval(desk, place, raw);
    Some(Risky { over, approval })
}

/// Whoever approves signs in at a page of the authority.
pub(super) fn expect_authority(desk: &mut Desk<'_>, servers: &Servers) {
    let top = Place::default().key("servers");
    for (name, server) in &servers.known {
        let place = top.key(name.as_str());
        if !server.approvers.is_empty() {
            no_page(
                desk,
                &place.key("approvers"),
                "add [authority], or remove it",
            );
        }
        if server.risky.is_some() {
            no_page(
                desk,
                &place.key("risky_tools"),
                "add [authority], or remove it",
            );
        }
        for (tool, rules) in &server.tools {
            if rules.approval.is_none() {
                continue;
            }
            let place = place.key("tools").key(tool).key("approval");
            no_page(desk, &place, "add [authority], or remove `approval`");
        }
    }
}

fn no_page(desk: &mut Desk<'_>, place: &Place, help: &'static str) {
    let why = "there is no page on which somebody could approve";
    desk.refuse_with(place, why, help);
}
