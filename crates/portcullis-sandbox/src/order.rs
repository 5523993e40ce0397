//! What a stage of the launcher is told to do, as arguments.

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Pid;

use crate::confine::{self, Confinement};

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

/// What is to become of the last stage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// The walls around it, if there are any.
    pub(crate) confinement: Option<Confinement>,
    /// What it runs; nothing if it is only to be seen whether the walls can be built.
    pub(crate) argv: Option<Argv>,
}

/// The arguments are not those that the gateway writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `supervise PID MILLISECONDS … -- COMMAND…` or `exec PID … -- COMMAND…`")]
pub(crate) struct Misread;

impl Task {
    /// What [`parse`] reads after the order.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let confinement = self.confinement.as_ref();
        let mut arguments = confinement.map(confine::arguments).unwrap_or_default();
        arguments.push("--".into());
        if let Some(argv) = &self.argv {
            arguments.push(argv.command.clone());
            arguments.extend(argv.args.iter().cloned());
        }
        arguments
    }
}

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

/// Reads what [`Order::arguments`] and [`Task::arguments`] wrote.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Order, Task), Misread> {
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
    let confinement = confine::parse(&mut arguments)?;
    let argv = arguments.next().map(|command| Argv {
        command,
        args: arguments.collect(),
    });
    // Only a last stage with walls has something to do without a command.
    let is_rehearsal = matches!(order, Order::Exec { .. }) && confinement.is_some();
    if argv.is_none() && !is_rehearsal {
        return Err(Misread);
    }
    Ok((order, Task { confinement, argv }))
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
    use crate::confine::{Network, Walls};

    fn parsed(arguments: impl IntoIterator<Item = OsString>) -> Result<(Order, Task), Misread> {
        parse(arguments)
    }

    fn check(line: &str, expected: Result<(Order, &str), Misread>) {
        let expected = expected.map(|(order, rest)| {
            let mut rest = rest.split_whitespace().map(OsString::from);
            let argv = Argv {
                command: rest.next().unwrap(),
                args: rest.collect(),
            };
            (
                order,
                Task {
                    confinement: None,
                    argv: Some(argv),
                },
            )
        });
        assert_eq!(
            parsed(line.split_whitespace().map(OsString::from)),
            expected,
            "{line}"
        );
    }

    #[test]
    fn reads_the_walls_that_it_writes() {
        let walled = |walls, network| Confinement {
            read: vec!["/a b".into(), "/--".into(), "/rw".into()],
            write: vec!["/w".into()],
            network,
            memory_bytes: 1 << 40,
            processes: 7,
            scratch_bytes: 1,
            walls,
        };
        let launcher = Pid::from_raw(7).unwrap();
        for confinement in [
            walled(Walls::All, Network::None),
            walled(Walls::Landlock, Network::Ports(vec![443, 80])),
            walled(Walls::Namespaces, Network::Ports(vec![1])),
        ] {
            let order = Order::Exec { launcher };
            let task = Task {
                confinement: Some(confinement),
                argv: None,
            };
            let words = order.arguments().into_iter().map(OsString::from);
            let words: Vec<OsString> = words.chain(task.arguments()).collect();
            // A wall that is cut off anywhere is no wall.
            for length in 0..words.len() {
                assert_eq!(
                    parsed(words[..length].iter().cloned()),
                    Err(Misread),
                    "{length}"
                );
            }
            assert_eq!(parsed(words), Ok((order, task)));
        }
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
            "supervise 7 20 confined all - 1 1 1 --",
            "exec 7 --",
            "exec 7 confined none - 1 1 1 -- sh",
            "exec 7 confined all 70000 1 1 1 -- sh",
            "exec 7 confined all - 1 1 1 sh",
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
