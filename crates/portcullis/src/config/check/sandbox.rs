//! How a server is confined.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::quantity::{Count, Range, Size};
use crate::config::raw_sandbox as raw;
use crate::config::sandbox::{Misfit, Named, PROFILES, Sandbox};
use std::path::PathBuf;

pub(super) fn sandbox(desk: &mut Desk<'_>, place: &Place, raw: raw::Sandbox) -> Option<Sandbox> {
    let profile = desk.choose(&place.key("profile"), &raw.profile, PROFILES)?;
    let named = Named {
        ro: paths(desk, &place.key("ro"), &raw.ro),
        rw: paths(desk, &place.key("rw"), &raw.rw),
        ports: raw.ports,
    };
    let memory = Range {
        default: Size::mib(profile.memory_mib()),
        ..bounds::SANDBOX_MEMORY
    };
    let processes = Range {
        default: Count(profile.processes()),
        ..bounds::SANDBOX_PROCESSES
    };
    let memory_bytes = desk.size(&place.key("memory"), raw.memory, &memory);
    let processes = desk.count(&place.key("processes"), raw.processes, &processes);
    let scratch_bytes = desk.size(&place.key("scratch"), raw.scratch, &bounds::SCRATCH);
    let fitting = profile.with(named).map_err(|misfit| {
        let (key, fix) = match misfit {
            Misfit::Path | Misfit::NoPath | Misfit::Port => (
                "profile",
                "choose the profile that is meant, or name what it needs",
            ),
            Misfit::Place => (
                "profile",
                "name the directories that the server is to work on",
            ),
        };
        desk.refuse_with(&place.key(key), &misfit.to_string(), fix);
    });
    Some(Sandbox {
        profile,
        named: fitting.ok()?,
        memory_bytes,
        processes,
        scratch_bytes,
    })
}

fn paths(desk: &mut Desk<'_>, place: &Place, texts: &[String]) -> Vec<PathBuf> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(index, text)| desk.path(&place.at(index), text))
        .collect()
}
