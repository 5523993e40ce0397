//! What a signal means to a process of ours.

use std::future::pending;
use tokio::signal::unix::{SignalKind, signal};

/// What SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// That the terminal is gone. A closing terminal may send it more than once, so it does not count again.
    Ends,
    /// That the configuration is to be read again.
    Reloads,
}

/// The next SIGTERM, SIGINT or, if it says so, SIGHUP; one that comes before the future is polled counts.
pub(crate) fn told_to_end(hangup: Hangup) -> anyhow::Result<impl Future<Output = ()>> {
    let mut hung_up = match hangup {
        Hangup::Ends => Some(signal(SignalKind::hangup())?),
        Hangup::Reloads => None,
    };
    let again = told_again()?;
    Ok(async move {
        let hung_up = async {
            match &mut hung_up {
                Some(hung_up) => hung_up.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = again => {}
            _ = hung_up => {}
        }
    })
}

/// The next SIGTERM or SIGINT; one that comes before the future is polled counts.
pub(crate) fn told_again() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
