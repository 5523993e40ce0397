//! What every check needs: a place to lay problems down, and a way to look things up.

use super::keepers::Keepers;
use crate::config::borrowed::{Borrowed, Wanted, digest};
use crate::config::bounds::{MAX_BORROWED, MAX_PROBLEMS};
use crate::config::checked::TextFile;
use crate::config::interpolate::{self, Part};
use crate::config::problem::{Place, Problem, Source};
use crate::config::quantity::{Count, Range, Size, Span};
use crate::config::url::HttpUrl;
use crate::config::{nearest::nearest, raw};
use portcullis_core::secret::Secret;
use std::io;
use std::path::{Path, PathBuf};

/// Reads a secret that is elsewhere, or says why not, without a word of it.
pub(crate) type Fetch<'a> = dyn Fn(&Wanted, &str) -> Result<Secret<String>, String> + 'a;

/// What a configuration may look at besides its own text.
pub(in crate::config) struct World<'a> {
    /// Looks up an environment variable.
    pub(in crate::config) environment: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a text file.
    pub(in crate::config) read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Reads a secret that is elsewhere, for the key of that path; may wait, within bounds.
    pub(in crate::config) fetch: &'a Fetch<'a>,
}

/// Problems so far, and the world.
pub(in crate::config) struct Desk<'a> {
    source: &'a Source<'a>,
    world: &'a World<'a>,
    directory: PathBuf,
    problems: Vec<Problem>,
    /// Who keeps secrets that are elsewhere.
    pub(super) keepers: Keepers,
    /// Those that were read so far.
    pub(super) borrowed: Vec<Borrowed>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        world: &'a World<'a>,
        problems: Vec<Problem>,
    ) -> Self {
        let directory = source.file.parent().unwrap_or(Path::new("")).to_owned();
        Self {
            source,
            world,
            directory,
            problems,
            keepers: Keepers::default(),
            borrowed: Vec::new(),
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(in crate::config) fn refuse(&mut self, place: &Place, reason: &str) {
        self.tell(place, reason, None);
    }

    pub(in crate::config) fn refuse_with(&mut self, place: &Place, reason: &str, fix: &str) {
        self.tell(place, reason, Some(fix));
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Place) -> usize {
        self.source.problem(place, "", None).line
    }

    fn tell(&mut self, place: &Place, reason: &str, fix: Option<&str>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(self.source.problem(place, reason, fix));
        }
    }

    /// Refuses for something that is not there, unless a problem in the same table explains it.
    pub(in crate::config) fn refuse_missing(&mut self, place: &Place, reason: &str, fix: &str) {
        let prefix = place.to_string();
        let is_inside = |key: &str| {
            key.strip_prefix(&prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if !self.problems.iter().any(|problem| is_inside(&problem.key)) {
            self.refuse_with(place, reason, fix);
        }
    }

    /// Refuses a name that nothing has.
    pub(in crate::config) fn refuse_unknown<'n>(
        &mut self,
        place: &Place,
        reason: &str,
        name: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) {
        let fix = match nearest(name, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "one of {}",
                names
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        self.refuse_with(place, reason, &fix);
    }

    pub(super) fn span(
        &mut self,
        place: &Place,
        raw: Option<raw::Span>,
        range: &Range<Span>,
    ) -> std::time::Duration {
        let Some(raw::Span(text)) = raw else {
            return range.default.0;
        };
        match Span::parse(&text) {
            Some(span) if range.holds(span) => span.0,
            Some(_) => {
                self.refuse(place, &format!("out of range: {}", range.words()));
                range.default.0
            }
            None => {
                self.refuse_with(
                    place,
                    "not a duration",
                    "write a whole number and ms, s, m, h or d, as in \"10s\"",
                );
                range.default.0
            }
        }
    }

    pub(super) fn size(
        &mut self,
        place: &Place,
        raw: Option<raw::Size>,
        range: &Range<Size>,
    ) -> u64 {
        let size = match raw {
            None => return range.default.0,
            Some(raw::Size::Bytes(bytes)) => u64::try_from(bytes).ok().map(Size),
            Some(raw::Size::Text(text)) => Size::parse(&text),
        };
        match size {
            Some(size) if range.holds(size) => return size.0,
            Some(_) => self.refuse(place, &format!("out of range: {}", range.words())),
            None => self.refuse_with(
                place,
                "not a size",
                "write a whole number of bytes, or with B, KiB, MiB or GiB, as in \"4MiB\"",
            ),
        }
        range.default.0
    }

    pub(super) fn count(&mut self, place: &Place, raw: Option<i64>, range: &Range<Count>) -> u32 {
        let Some(number) = raw else {
            return range.default.0;
        };
        match u32::try_from(number) {
            Ok(count) if range.holds(Count(count)) => count,
            Ok(_) | Err(_) => {
                self.refuse(place, &format!("out of range: {}", range.words()));
                range.default.0
            }
        }
    }

    /// One of a few words.
    pub(in crate::config) fn choose<T: Copy>(
        &mut self,
        place: &Place,
        text: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            self.refuse_unknown(
                place,
                "not one of the values allowed here",
                text,
                choices.iter().map(|(name, _)| *name),
            );
        }
        found.map(|(_, choice)| *choice)
    }

    /// A URL; `https`, or `http` on loopback.
    pub(in crate::config) fn url(&mut self, place: &Place, text: &str) -> Option<HttpUrl> {
        match HttpUrl::parse(text) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.refuse_with(
                    place,
                    &problem.to_string(),
                    "write it as in \"https://host.example/path\"",
                );
                None
            }
        }
    }

    /// A path, relative to the directory of the file.
    pub(super) fn path(&mut self, place: &Place, text: &str) -> PathBuf {
        if text.is_empty() || text.contains('\0') {
            self.refuse(place, "not a path");
        }
        self.directory.join(text)
    }

    /// A text file.
    pub(super) fn file(&mut self, place: &Place, text: &str) -> Option<TextFile> {
        let path = self.path(place, text);
        match (self.world.read_file)(&path) {
            Ok(text) => Some(TextFile { path, text }),
            Err(problem) => {
                self.refuse_with(
                    place,
                    &format!("cannot read the file: {}", problem.kind()),
                    &format!("looked for {}", path.display()),
                );
                None
            }
        }
    }

    /// A PEM file that holds at least one block of this label.
    pub(super) fn pem(&mut self, place: &Place, text: &str, label: &str) -> Option<TextFile> {
        let file = self.file(place, text)?;
        let has_block = file
            .text
            .lines()
            .any(|line| line.starts_with("-----BEGIN ") && line.contains(label));
        if !has_block {
            self.refuse(place, &format!("the file is not PEM with a {label}"));
        }
        Some(file)
    }

    /// The value of an environment variable, if it is set.
    pub(super) fn variable(&self, name: &str) -> Option<Secret<String>> {
        (self.world.environment)(name).map(Secret::new)
    }

    /// A secret that is on this machine, in a file or in a variable.
    pub(super) fn here(
        &mut self,
        place: &Place,
        (file, env): (Option<String>, Option<String>),
    ) -> Option<Secret<String>> {
        if let Some(file) = file {
            let file = self.file(&place.key("file"), &file)?;
            let text = Secret::new(file.text);
            return self.full(&place.key("file"), text.expose().trim());
        }
        let value = self.required(&place.key("env"), &env?)?;
        self.full(&place.key("env"), value.expose())
    }

    /// A secret that is elsewhere.
    pub(super) fn borrow(&mut self, place: &Place, wanted: Wanted) -> Option<Secret<String>> {
        if self.borrowed.len() >= MAX_BORROWED {
            self.refuse(
                place,
                &format!("too many secrets that are elsewhere: at most {MAX_BORROWED}"),
            );
            return None;
        }
        let key = place.to_string();
        match (self.world.fetch)(&wanted, &key) {
            Ok(secret) => {
                let digest = digest(&secret);
                self.borrowed.push(Borrowed {
                    key,
                    wanted,
                    digest,
                });
                self.full(place, secret.expose())
            }
            Err(why) => {
                self.refuse_with(
                    place,
                    &format!("the secret cannot be read: {why}"),
                    "see that it is there and may be read; the gateway does not go on without it",
                );
                None
            }
        }
    }

    pub(super) fn interpolated(&mut self, place: &Place, text: &str) -> Option<Secret<String>> {
        let Some(parts) = interpolate::parts(text) else {
            self.refuse_with(
                place,
                "`${` without `}`",
                "close it, or write `$${` for a plain `${`",
            );
            return None;
        };
        let mut value = Secret::new(String::new());
        for part in parts {
            value = match part {
                Part::Plain(text) => Secret::new([value.expose(), text].concat()),
                Part::Reference(name) => {
                    let found = self.required(place, name)?;
                    Secret::new([value.expose(), found.expose().as_str()].concat())
                }
            };
        }
        Some(value)
    }

    fn required(&mut self, place: &Place, name: &str) -> Option<Secret<String>> {
        if !interpolate::is_variable(name) {
            self.refuse(place, "not a name of an environment variable");
            return None;
        }
        let value = self.variable(name);
        if value.is_none() {
            self.refuse_with(
                place,
                &format!("the environment variable `{name}` is not set"),
                "set it before the gateway starts, or use { file = \"…\" }",
            );
        }
        value
    }

    fn full(&mut self, place: &Place, value: &str) -> Option<Secret<String>> {
        if value.is_empty() {
            self.refuse(place, "it is empty");
            return None;
        }
        Some(Secret::new(value.to_owned()))
    }
}
