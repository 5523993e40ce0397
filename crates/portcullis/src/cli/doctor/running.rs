//! Is a gateway running, and does it answer? Otherwise, could one start?

use super::Findings;
use crate::config::Checked;
use crate::lifecycle::Home;
use rustix::process::{Pid, Resource, getrlimit, test_kill_process};
use serde::Deserialize;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// How long an answer on loopback may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The answer of `/readyz` is shorter.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;
/// Descriptors besides those of connections: files of the log, listeners, pipes.
const OWN_FILES: u64 = 128;
/// With fewer, the gateway cannot serve a handful of people.
const FEW_FILES: u64 = 1024;

/// What a running gateway says of itself.
#[derive(Deserialize)]
struct Told {
    pid: i32,
    public_url: String,
}

/// The process of the gateway, if it runs.
pub(super) fn look(data: &Path, checked: &Checked, findings: &mut Findings) -> Option<Pid> {
    findings.look("gateway");
    let path = Home(data.to_owned()).running();
    let text = std::fs::read_to_string(&path).ok();
    let told = text
        .as_deref()
        .and_then(|text| serde_json::from_str::<Told>(text).ok());
    let alive = told
        .as_ref()
        .and_then(|told| crate::cli::process(told.pid))
        .filter(|pid| is_alive(*pid));
    if let (Some(told), Some(pid)) = (&told, alive) {
        // `up --listen` listens elsewhere than the file says.
        let authority = told.public_url.split("://").nth(1);
        let listen = authority.and_then(|authority| authority.parse().ok());
        answers(
            listen.unwrap_or(checked.gateway.listen),
            checked.gateway.admin,
            findings,
        );
        return Some(pid);
    }
    if text.is_some() {
        findings.warning(
            "gateway.ended",
            format!(
                "{} is left over: the gateway was killed or crashed",
                path.display()
            ),
            "look into its log and at the machine's memory; the next start replaces the file",
        );
    }
    findings.look("ports");
    free("ports.listen", "listen", checked.gateway.listen, findings);
    free("ports.admin", "admin", checked.gateway.admin, findings);
    None
}

/// A process of another user cannot be signalled, but is there.
fn is_alive(pid: Pid) -> bool {
    matches!(
        test_kill_process(pid),
        Ok(()) | Err(rustix::io::Errno::PERM)
    )
}

fn answers(listen: SocketAddr, admin: SocketAddr, findings: &mut Findings) {
    if let Err(error) = TcpStream::connect_timeout(&listen, PATIENCE) {
        findings.warning(
            "gateway.unreachable",
            format!(
                "the gateway runs, but nothing answers at {listen} ({})",
                error.kind()
            ),
            "the file may have been changed since: another `listen` needs a restart",
        );
    }
    match readiness(admin) {
        Ok((200, _)) => {}
        Ok((503, faults)) => findings.error(
            "gateway.not_ready",
            format!(
                "the gateway takes no requests: {}",
                faults.trim().replace('\n', "; ")
            ),
            "see its log; the keys of an issuer and the audit log must be within reach",
        ),
        Ok((status, _)) => findings.warning(
            "gateway.stranger",
            format!("something else answers at {admin}: /readyz gives {status}"),
            "give `gateway.admin` a port of its own",
        ),
        Err(error) => findings.warning(
            "gateway.unreachable",
            format!(
                "the gateway runs, but http://{admin}/readyz cannot be reached ({})",
                error.kind()
            ),
            "another port was taken because that one was in use, or the process hangs",
        ),
    }
}

/// The status and the text of `/readyz`.
fn readiness(admin: SocketAddr) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let port = admin.port();
    stream.write_all(
        format!("GET /readyz HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text);
    let text = text
        .chars()
        .filter(|letter| *letter == '\n' || !letter.is_control())
        .collect();
    Ok((status.ok_or(ErrorKind::InvalidData)?, text))
}

fn free(id: &'static str, key: &str, address: SocketAddr, findings: &mut Findings) {
    let Err(error) = TcpListener::bind(address) else {
        return;
    };
    let known = [
        (
            ErrorKind::AddrInUse,
            "something else listens at",
            "end it, or take another port",
        ),
        (
            ErrorKind::PermissionDenied,
            "you may not listen at",
            "take a port from 1024 on, or grant CAP_NET_BIND_SERVICE",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "this machine does not have the address of",
            "take one that it has",
        ),
    ];
    let found = known.into_iter().find(|(kind, ..)| *kind == error.kind());
    let (_, what, fix) = found.unwrap_or((
        ErrorKind::Other,
        "nobody can listen at",
        "take another address",
    ));
    findings.error(
        id,
        format!("{what} {address}"),
        format!("{fix}: `gateway.{key}`"),
    );
}

/// How many files may be open: of the running gateway, or of what is started here.
pub(super) fn look_at_limits(pid: Option<Pid>, checked: &Checked, findings: &mut Findings) {
    findings.look("limits");
    let Some(limit) = pid
        .and_then(limit_of)
        .or_else(|| getrlimit(Resource::Nofile).current)
    else {
        return;
    };
    let wanted = u64::try_from(checked.limits.connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(2)
        + OWN_FILES;
    let what = format!(
        "{limit} files may be open; {} connections need {wanted}",
        checked.limits.connections
    );
    let fix = format!(
        "raise it (`ulimit -n {wanted}`, or LimitNOFILE= in systemd), or lower `limits.connections`"
    );
    if limit < FEW_FILES {
        findings.warning("limits.files", what, fix);
    } else if limit < wanted {
        findings.note("limits.files", what, fix);
    }
}

fn limit_of(pid: Pid) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_pid())).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
