//! The report for people: the servers, then what was found, the gravest first.

use super::finding::{Finding, Outcome, Scanned, Severity};
use super::risks::Risks;
use crate::judged::factors;
use portcullis_core::catalog::{Definition, Kind, visible};
use std::fmt::Write as _;

/// The most findings that are told one by one; `--json` tells all.
const MAX_TOLD: usize = 100;
/// The most definitions of a server whose risk is told.
const MAX_RISKY: usize = 20;
/// The most characters of a column.
const MAX_COLUMN: usize = 48;

/// Whether a terminal shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

impl Paint {
    fn word(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Critical => "1;31",
            Severity::High => "31",
            Severity::Medium => "33",
            Severity::Low => "36",
            Severity::Info => "2",
        };
        match self {
            Self::Colours => format!("\u{1b}[{code}m{}\u{1b}[0m", severity.name()),
            Self::Plain => severity.name().to_owned(),
        }
    }

    fn strong(self, text: &str) -> String {
        match self {
            Self::Colours => format!("\u{1b}[1m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// A finding and its server.
type Of<'a> = (&'a Scanned, &'a Finding);

/// Everything for people. No text of a server or a file reaches the terminal but through [`visible`].
pub(super) fn text(servers: &[Scanned], paint: Paint) -> String {
    let mut text = table(servers, paint);
    for server in servers {
        text.push_str(&risky(server, paint));
    }
    let mut all: Vec<Of<'_>> = servers
        .iter()
        .flat_map(|server| server.findings.iter().map(move |finding| (server, finding)))
        .collect();
    all.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
    for (number, of) in all.iter().take(MAX_TOLD).enumerate() {
        text.push_str(&told(number + 1, *of, paint));
    }
    if let Some(left) = all.len().checked_sub(MAX_TOLD).filter(|left| *left > 0) {
        let _infallible = write!(text, "\nand {left} more: --json tells them all\n");
    }
    for server in servers {
        if let Outcome::Failed(why) = &server.outcome {
            let _infallible = write!(
                text,
                "\n{} {}: {}\n",
                paint.strong("not scanned"),
                visible(&server.name),
                visible(why)
            );
        }
    }
    text.push('\n');
    text.push_str(&sum(servers, all.len()));
    text
}

/// What makes the risk of a server and of what it defines, the riskiest first.
fn risky(server: &Scanned, paint: Paint) -> String {
    let Some(mut risks) = Risks::of(server).filter(|risks| risks.server.score > 0) else {
        return String::new();
    };
    risks
        .defined
        .sort_by_key(|(_, risk)| std::cmp::Reverse(risk.score));
    risks.defined.retain(|(_, risk)| risk.score > 0);
    let mut text = format!(
        "\n{} {}: {}\n",
        paint.strong(&format!("risk {}", risks.server.score)),
        visible(&server.name),
        factors(&risks.server)
    );
    for (own, risk) in risks.defined.iter().take(MAX_RISKY) {
        let (name, factors) = (visible(own.name()), factors(risk));
        let _infallible = writeln!(text, "   {} {} {name}: {factors}", risk.score, own.kind());
    }
    if let Some(left) = risks
        .defined
        .len()
        .checked_sub(MAX_RISKY)
        .filter(|left| *left > 0)
    {
        let _infallible = writeln!(text, "   and {left} more: --json tells them all");
    }
    text
}

/// One finding: what, where, why, and what to do.
fn told(number: usize, (server, finding): Of<'_>, paint: Paint) -> String {
    let severity = paint.word(finding.severity);
    let mut lines = vec![
        String::new(),
        format!(
            "{number}. {severity} {}  {}, {}",
            paint.strong(finding.rule),
            visible(&server.name),
            visible(&finding.place())
        ),
    ];
    if let Some((_, file)) = &server.source
        && finding.about.is_none()
    {
        lines.push(format!("   file: {}", visible(&file.display().to_string())));
    }
    if !finding.excerpt.is_empty() {
        let excerpt = finding.excerpt.lines().map(visible);
        let excerpt: Vec<String> = excerpt.collect();
        lines.push(format!("   text: {}", excerpt.join("\n         ")));
    }
    lines.push(format!("   why:  {}", visible(&finding.reason)));
    lines.push(format!("   do:   {}", finding.fix));
    lines.join("\n") + "\n"
}

/// The servers: how they are started or reached, and what was seen of them.
fn table(servers: &[Scanned], paint: Paint) -> String {
    let heading = ["SERVER", "CLIENT", "STARTED OR REACHED BY", "SEEN", "WORST"];
    let mut rows = vec![heading.map(ToOwned::to_owned)];
    for server in servers {
        let client = server.source.as_ref().map_or("-", |(client, _)| client);
        let worst = server.worst().map_or("-", Severity::name);
        rows.push([
            cut(&visible(&server.name)),
            client.to_owned(),
            cut(&visible(&server.how)),
            seen(server),
            worst.to_owned(),
        ]);
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _infallible = write!(line, "{cell:width$}  ");
        }
        let line = line.trim_end();
        let line = if index == 0 {
            paint.strong(line)
        } else {
            line.to_owned()
        };
        table.push_str(&line);
        table.push('\n');
    }
    table
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_COLUMN {
        return text.to_owned();
    }
    let start: String = text.chars().take(MAX_COLUMN - 1).collect();
    start + "…"
}

fn seen(server: &Scanned) -> String {
    match &server.outcome {
        Outcome::NotAsked => "not started".to_owned(),
        Outcome::Off => "switched off".to_owned(),
        Outcome::Failed(_) => "not scanned".to_owned(),
        Outcome::Seen(definitions) => counted(definitions),
    }
}

fn counted(definitions: &[Definition]) -> String {
    let words = [
        (Kind::Tool, "tool", "tools"),
        (Kind::Prompt, "prompt", "prompts"),
        (Kind::Resource, "resource", "resources"),
        (Kind::Template, "template", "templates"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .filter_map(|(kind, one, many)| {
            let of_kind = definitions.iter().filter(|own| own.kind() == kind);
            match of_kind.count() {
                0 => None,
                1 => Some(format!("1 {one}")),
                count => Some(format!("{count} {many}")),
            }
        })
        .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

fn sum(servers: &[Scanned], findings: usize) -> String {
    let counted = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let looked = servers
        .iter()
        .filter(|server| matches!(server.outcome, Outcome::Seen(_)))
        .count();
    let asked = servers
        .iter()
        .any(|server| matches!(server.outcome, Outcome::NotAsked));
    let mut text = format!(
        "{}, {} looked into, {}\n",
        counted(servers.len(), "server", "servers"),
        looked,
        counted(findings, "finding", "findings")
    );
    if asked {
        text.push_str(
            "nothing was started: with --run, each server is started or reached and what it defines is looked at; that runs its code\n",
        );
    }
    text
}
