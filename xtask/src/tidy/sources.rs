//! What can be told of a source file by its lines: it is formatted, so its blocks end where they begin.

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
    /// Whether an attribute makes it a test.
    pub(super) is_test: bool,
}

/// The functions of a file.
pub(super) fn functions(text: &str) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    let mut is_test = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(attribute) = line.strip_prefix("#[") {
            let path = attribute.split([']', '(']).next().unwrap_or_default();
            is_test |= path == "test" || path.ends_with("::test");
        } else if let Some(name) = name(line) {
            functions.push(Function {
                name,
                line: index + 1,
                is_test,
            });
            is_test = false;
        } else if !line.is_empty() && !line.starts_with("//") {
            is_test = false;
        }
    }
    functions
}

/// The name of the function that a line begins.
fn name(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in [
        "pub ",
        "pub(crate) ",
        "pub(super) ",
        "const ",
        "async ",
        "unsafe ",
    ] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?.split(['(', '<']).next()?;
    (!name.is_empty()).then_some(name)
}

/// The lines that are no tests, with their numbers from 1: a module of tests is left out, all of a file of tests.
pub(super) fn without_tests<'a>(path: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return Vec::new();
    }
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line == "#[cfg(test)]" {
            // One item follows: to its closing brace, or to the end of its only line.
            let is_open = |line: &str| !line.ends_with(';') && !line.ends_with('}');
            if lines
                .by_ref()
                .find(|(_, line)| !line.starts_with("#["))
                .is_some_and(|(_, line)| is_open(line))
            {
                lines.by_ref().find(|(_, line)| *line == "}");
            }
        } else {
            kept.push((index + 1, line));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Function, functions, without_tests};

    #[test]
    fn functions_are_found_with_their_attributes() {
        let text = "#[test]\n/// Doc.\n#[cfg(unix)]\nfn a() {}\n\nfn b<T>() {}\n  #[tokio::test(flavor = \"x\")]\n  \
                    async fn c() {\n#[testing]\nfn d() {}\n// fn e()\n";
        let found = |name, line, is_test| Function {
            name,
            line,
            is_test,
        };
        assert_eq!(
            functions(text),
            [
                found("a", 4, true),
                found("b", 6, false),
                found("c", 8, true),
                found("d", 10, false)
            ]
        );
    }

    #[test]
    fn tests_are_left_out() {
        let text = "//! Doc.\n#[cfg(test)]\nmod fixtures;\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        assert_eq!(
            without_tests("a.rs", text),
            [(1, "//! Doc."), (4, "fn a() {}"), (9, "fn c() {}")]
        );
        assert!(without_tests("crates/a/tests/it.rs", text).is_empty());
        assert!(without_tests("crates/a/src/tests.rs", text).is_empty());
    }
}
