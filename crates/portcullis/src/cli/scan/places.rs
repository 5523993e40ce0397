//! Where the clients on this machine keep their servers.

use std::path::{Path, PathBuf};

/// A client's file, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose it is, in words.
    pub(super) client: &'static str,
    pub(super) file: PathBuf,
}

/// What decides where files are.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) system: System,
    pub(super) home: PathBuf,
    /// Where programs of the user keep their configuration: `XDG_CONFIG_HOME`, `Library/Application Support`, `APPDATA`.
    pub(super) configuration: PathBuf,
    /// `CODEX_HOME`.
    pub(super) codex: PathBuf,
    /// The working folder.
    pub(super) folder: PathBuf,
}

/// An operating system, as far as clients differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    Mac,
    Windows,
}

impl System {
    /// The one that this program was built for.
    pub(super) const fn this() -> Self {
        if cfg!(target_os = "macos") {
            Self::Mac
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }
}

impl Machine {
    /// This machine, for who has this environment and stands in that folder; `None` without a home.
    pub(super) fn this(
        environment: &dyn Fn(&str) -> Option<String>,
        folder: PathBuf,
    ) -> Option<Self> {
        let system = System::this();
        let directory = |name: &str| {
            let named = environment(name).map(PathBuf::from);
            named.filter(|path| path.is_absolute())
        };
        let home = directory("HOME").or_else(|| directory("USERPROFILE"))?;
        let configuration = match system {
            System::Linux => directory("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            System::Mac => home.join("Library/Application Support"),
            System::Windows => directory("APPDATA").unwrap_or_else(|| home.join("AppData/Roaming")),
        };
        Some(Self {
            system,
            codex: directory("CODEX_HOME").unwrap_or_else(|| home.join(".codex")),
            configuration,
            home,
            folder,
        })
    }

    /// Every file in which a client may keep servers, in the order in which they are told.
    pub(super) fn places(&self) -> Vec<Place> {
        let Self {
            home,
            configuration,
            folder,
            ..
        } = self;
        let zed = match self.system {
            System::Linux => configuration.join("zed/settings.json"),
            System::Mac => home.join(".config/zed/settings.json"),
            System::Windows => configuration.join("Zed/settings.json"),
        };
        let mut places = vec![
            at(
                "Claude Desktop",
                configuration,
                "Claude/claude_desktop_config.json",
            ),
            at("Claude Code", home, ".claude.json"),
            at("Claude Code", folder, ".mcp.json"),
        ];
        for edition in ["Code", "Code - Insiders", "VSCodium"] {
            for file in ["mcp.json", "settings.json"] {
                places.push(at(
                    "VS Code",
                    configuration,
                    &format!("{edition}/User/{file}"),
                ));
            }
        }
        places.extend([
            at("VS Code", folder, ".vscode/mcp.json"),
            at("Cursor", home, ".cursor/mcp.json"),
            at("Cursor", folder, ".cursor/mcp.json"),
            at("Windsurf", home, ".codeium/windsurf/mcp_config.json"),
            Place {
                client: "Zed",
                file: zed,
            },
            at("Zed", folder, ".zed/settings.json"),
            at("Codex", &self.codex, "config.toml"),
            at("Codex", folder, ".codex/config.toml"),
        ]);
        // Whoever stands in the home folder meets a file twice.
        let mut seen: Vec<Place> = Vec::new();
        for place in places {
            if !seen.iter().any(|known| known.file == place.file) {
                seen.push(place);
            }
        }
        seen
    }
}

fn at(client: &'static str, directory: &Path, file: &str) -> Place {
    Place {
        client,
        file: directory.join(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(system: System, configuration: &str, folder: &str) -> Machine {
        Machine {
            system,
            home: "/home/ann".into(),
            configuration: configuration.into(),
            codex: "/home/ann/.codex".into(),
            folder: folder.into(),
        }
    }

    #[test]
    fn every_client_is_looked_for_where_it_is() {
        for (system, configuration, expected) in [
            (
                System::Linux,
                "/home/ann/.config",
                [
                    "/home/ann/.config/Claude/claude_desktop_config.json",
                    "/home/ann/.config/Code/User/mcp.json",
                    "/home/ann/.config/zed/settings.json",
                ],
            ),
            (
                System::Mac,
                "/home/ann/Library/Application Support",
                [
                    "/home/ann/Library/Application Support/Claude/claude_desktop_config.json",
                    "/home/ann/Library/Application Support/Code/User/mcp.json",
                    "/home/ann/.config/zed/settings.json",
                ],
            ),
            (
                System::Windows,
                "/home/ann/AppData/Roaming",
                [
                    "/home/ann/AppData/Roaming/Claude/claude_desktop_config.json",
                    "/home/ann/AppData/Roaming/Code/User/mcp.json",
                    "/home/ann/AppData/Roaming/Zed/settings.json",
                ],
            ),
        ] {
            let places = machine(system, configuration, "/srv/work").places();
            let others = [
                "/home/ann/.claude.json",
                "/home/ann/.cursor/mcp.json",
                "/home/ann/.codeium/windsurf/mcp_config.json",
                "/home/ann/.codex/config.toml",
                "/srv/work/.mcp.json",
                "/srv/work/.vscode/mcp.json",
                "/srv/work/.cursor/mcp.json",
            ];
            for file in expected.iter().chain(&others) {
                let is_there = places.iter().any(|place| place.file == Path::new(file));
                assert!(is_there, "{system:?}: {file}");
            }
        }
    }

    #[test]
    fn no_file_is_looked_at_twice() {
        let places = machine(System::Linux, "/home/ann/.config", "/home/ann").places();
        let cursor = places.iter().filter(|place| place.client == "Cursor");
        assert_eq!(cursor.count(), 1);
    }
}
