//! A real browser, driven by `tests/peers/browser/driver.mjs`.

use crate::peer::command_line;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Chromium; it ends when this is dropped.
pub(crate) struct Chromium {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: RefCell<BufReader<ChildStdout>>,
}

/// Who sits before it: what a profile of its own has.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) has_script: bool,
    pub(crate) is_dark: bool,
    pub(crate) width: u16,
}

impl Sight {
    pub(crate) const LIGHT: Self = Self {
        has_script: true,
        is_dark: false,
        width: 1000,
    };
    pub(crate) const DARK: Self = Self {
        is_dark: true,
        ..Self::LIGHT
    };
    pub(crate) const PHONE: Self = Self {
        width: 360,
        ..Self::LIGHT
    };
    pub(crate) const NO_SCRIPT: Self = Self {
        has_script: false,
        ..Self::LIGHT
    };
}

/// A profile with its cookies and its one page.
pub(crate) struct Profile<'a> {
    chromium: &'a Chromium,
    number: u64,
}

impl Chromium {
    pub(crate) fn start() -> Self {
        let words = command_line("browser/driver.mjs", &[]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let chromium = Self {
            stdin: child.stdin.take(),
            stdout: RefCell::new(BufReader::new(stdout)),
            child,
        };
        assert!(chromium.heard().is_ok(), "Chromium does not start");
        chromium
    }

    pub(crate) fn profile(&self, sight: Sight) -> Profile<'_> {
        let number = self.ask(&json!({
            "do": "open", "script": sight.has_script, "dark": sight.is_dark, "width": sight.width,
        }));
        Profile {
            chromium: self,
            number: number.unwrap().as_u64().unwrap(),
        }
    }

    fn ask(&self, command: &Value) -> Result<Value, String> {
        writeln!(self.stdin.as_ref().unwrap(), "{command}").unwrap();
        self.heard()
    }

    fn heard(&self) -> Result<Value, String> {
        let mut line = String::new();
        self.stdout.borrow_mut().read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).expect("the driver of Chromium has ended");
        match said["failed"].as_str() {
            Some(failed) => Err(failed.to_owned()),
            None => Ok(said["ok"].clone()),
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Where nothing more is to come, the driver ends the browser and then itself.
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

impl Profile<'_> {
    /// Another tab of the same browser.
    pub(crate) fn beside(&self) -> Self {
        let number = self.does("open", json!({}));
        Self {
            chromium: self.chromium,
            number: number.as_u64().unwrap(),
        }
    }

    /// The status, the headers and the URL of the page that was reached in the end.
    pub(crate) fn goto(&self, url: &str) -> Value {
        self.does("goto", json!({ "url": url }))
    }

    pub(crate) fn click(&self, selector: &str) {
        self.does("click", json!({ "selector": selector }));
    }

    pub(crate) fn text(&self) -> String {
        let text = self.does("text", json!({}));
        text.as_str().unwrap().to_owned()
    }

    /// Waits for a page that has this.
    pub(crate) fn arrives(&self, selector: &str) {
        self.does("wait", json!({ "selector": selector }));
    }

    /// Waits for the page of that path.
    pub(crate) fn arrives_at(&self, path: &str) {
        self.does("arrive", json!({ "path": path }));
    }

    /// Presses the key until something has the keyboard that is called so; it must be seen which it is.
    pub(crate) fn tabs_to(&self, name: &str) {
        for _ in 0..30 {
            self.does("press", json!({ "key": "Tab" }));
            let focused = self.does("focused", json!({}));
            if focused["name"] == name {
                assert_ne!(focused["outline"], "", "{name} has the keyboard, unseen");
                return;
            }
        }
        panic!("no key leads to {name}");
    }

    pub(crate) fn presses(&self, key: &str) {
        self.does("press", json!({ "key": key }));
    }

    /// What those who cannot see would stumble over, by axe.
    pub(crate) fn is_accessible(&self) {
        assert_eq!(self.does("axe", json!({})), json!([]));
    }

    /// Keeps a picture of the page under `target/screenshots`.
    pub(crate) fn shot(&self, name: &str) {
        let folder = pictures();
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name).with_extension("png");
        self.does("shot", json!({ "file": file }));
        assert!(file.exists(), "{}", file.display());
    }

    /// What the page has complained about: scripts that were stopped, and the like.
    pub(crate) fn complaints(&self) -> Value {
        self.does("said", json!({}))
    }

    pub(crate) fn does(&self, name: &str, rest: Value) -> Value {
        self.tries(name, rest).unwrap()
    }

    /// One command of the driver, which may fail.
    pub(crate) fn tries(&self, name: &str, mut rest: Value) -> Result<Value, String> {
        rest["do"] = json!(name);
        rest["profile"] = json!(self.number);
        self.chromium.ask(&rest)
    }
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots")
}
