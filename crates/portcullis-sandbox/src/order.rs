//! What a stage of the launcher is told to do, as arguments.

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Pid;

/// What a stage is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Start the command and keep watch over it.
    Supervise { gateway: Pid, grace: Duration },
    /// Become the command.
    Exec { launcher: Pid },
}

/// The command to run and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Argv {
    pub(crate) command: OsString,
    pub(crate) args: Vec<OsString>,
}

/// The arguments are not those that the gateway writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `supervise PID MILLISECONDS -- COMMAND…` or `exec PID -- COMMAND…`")]
pub(crate) struct Misread;

impl Order {
    /// A grace of more than 49 days is cut to that.
    pub(crate) fn supervise(gateway: Pid, grace: Duration) -> Self {
        let longest = Duration::from_millis(u32::MAX.into());
        Self::Supervise {
            gateway,
            grace: grace.min(longest),
        }
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Supervise { gateway, grace } => {
                vec![
                    "supervise".into(),
                    gateway.as_raw_pid().to_string(),
                    grace.as_millis().to_string(),
                ]
            }
            Self::Exec { launcher } => vec!["exec".into(), launcher.as_raw_pid().to_string()],
        }
    }
}

/// Reads what [`Order::arguments`] wrote, `--`, and the command.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Order, Argv), Misread> {
    let mut arguments = arguments.into_iter();
    let stage = arguments.next().ok_or(Misread)?;
    let parent = number(arguments.next().as_ref())?;
    let parent = i32::try_from(parent)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Misread)?;
    let order = match stage.to_str() {
        Some("supervise") => Order::supervise(
            parent,
            Duration::from_millis(number(arguments.next().as_ref())?.into()),
        ),
        Some("exec") => Order::Exec { launcher: parent },
        Some(_) | None => return Err(Misread),
    };
    if arguments.next().ok_or(Misread)? != "--" {
        return Err(Misread);
    }
    let command = arguments.next().ok_or(Misread)?;
    Ok((
        order,
        Argv {
            command,
            args: arguments.collect(),
        },
    ))
}

fn number(argument: Option<&OsString>) -> Result<u32, Misread> {
    argument
        .and_then(|text| text.to_str())
        .and_then(|text| text.parse().ok())
        .ok_or(Misread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Order, &str), Misread>) {
        let parsed = parse(line.split_whitespace().map(OsString::from));
        let expected = expected.map(|(order, rest)| {
            let mut rest = rest.split_whitespace().map(OsString::from);
            (
                order,
                Argv {
                    command: rest.next().unwrap(),
                    args: rest.collect(),
                },
            )
        });
        assert_eq!(parsed, expected, "{line}");
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let pid = Pid::from_raw(7).unwrap();
        for order in [
            Order::supervise(pid, Duration::from_millis(20)),
            Order::Exec { launcher: pid },
        ] {
            check(
                &format!("{} -- sh -c -- x", order.arguments().join(" ")),
                Ok((order, "sh -c -- x")),
            );
        }
        for line in [
            "",
            "supervise",
            "supervise 7 20",
            "supervise 7 20 sh",
            "supervise 7 20 --",
            "supervise 7 -- sh",
            "supervise 0 20 -- sh",
            "supervise -7 20 -- sh",
            "supervise 4294967295 20 -- sh",
            "supervise 7 4294967296 -- sh",
            "exec 7 20 -- sh",
            "run 7 -- sh",
        ] {
            check(line, Err(Misread));
        }
    }
}
