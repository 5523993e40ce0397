//! The cells: which calls are measured.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, ensure};

use crate::load::Load;
use crate::wire::{Era, Shape};

/// One kind of load, with a name like `2026-json-16c-1KiB`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell(pub(super) Load);

const ERAS: [Era; 2] = [Era::Stateless, Era::Handshake];
const SHAPES: [Shape; 2] = [Shape::Json, Shape::Sse];
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SIZES: [(&str, usize); 4] = [
    ("64B", 64),
    ("1KiB", 1 << 10),
    ("16KiB", 16 << 10),
    ("100KiB", 100 << 10),
];

/// The cell that the others differ from in one respect; its maximum sets the open loop's rate.
pub(super) const MIDDLE: &str = "2026-json-16c-1KiB";
/// The same, for a target that knows the older era only.
pub(super) const MIDDLE_HANDSHAKE: &str = "2025-json-16c-1KiB";

const USUAL: &[&str] = &[
    MIDDLE,
    MIDDLE_HANDSHAKE,
    "2026-json-1c-1KiB",
    "2025-json-1c-1KiB",
    "2026-json-64c-1KiB",
    "2026-json-16c-64B",
    "2025-json-16c-64B",
    "2026-json-1c-64B",
    "2026-json-16c-16KiB",
    "2026-json-16c-100KiB",
    "2026-sse-16c-1KiB",
    "2025-sse-16c-1KiB",
];

const QUICK: &[&str] = &[
    MIDDLE,
    "2026-json-16c-64B",
    "2025-json-16c-64B",
    "2026-json-1c-64B",
    "2026-json-16c-16KiB",
];

/// The cells that a list names: names with commas between, or `usual`, `quick` or `all`.
pub(super) fn parse(list: &str) -> anyhow::Result<Vec<Cell>> {
    match list {
        "usual" => USUAL.iter().map(|name| name.parse()).collect(),
        "quick" => QUICK.iter().map(|name| name.parse()).collect(),
        "all" => Ok(all()),
        names => names.split(',').map(str::parse).collect(),
    }
}

fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (era, shape) in ERAS
        .into_iter()
        .flat_map(|era| SHAPES.map(|shape| (era, shape)))
    {
        for connections in CONNECTIONS {
            cells.extend(SIZES.map(|(_, text_bytes)| {
                Cell(Load {
                    era,
                    shape,
                    connections,
                    text_bytes,
                })
            }));
        }
    }
    cells
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let parts: Vec<_> = name.split('-').collect();
        let &[era, shape, connections, size] = parts.as_slice() else {
            anyhow::bail!("{name} is not like {MIDDLE}");
        };
        let connections: usize = connections
            .strip_suffix('c')
            .and_then(|count| count.parse().ok())
            .with_context(|| format!("{connections} is no number of connections"))?;
        ensure!(
            (1..=1024).contains(&connections),
            "{connections} connections"
        );
        let era = ERAS.into_iter().find(|known| known.to_string() == era);
        let shape = SHAPES.into_iter().find(|known| known.to_string() == shape);
        let size = SIZES.into_iter().find(|(known, _)| *known == size);
        Ok(Self(Load {
            era: era.with_context(|| format!("{name}: no such era"))?,
            shape: shape.with_context(|| format!("{name}: no such shape"))?,
            connections,
            text_bytes: size.with_context(|| format!("{name}: no such size"))?.1,
        }))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load {
            era,
            shape,
            connections,
            text_bytes,
        } = self.0;
        let size = SIZES.into_iter().find(|(_, bytes)| *bytes == text_bytes);
        let size = size.map_or("?", |(name, _)| name);
        write!(out, "{era}-{shape}-{connections}c-{size}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_as_it_writes() {
        for cell in all() {
            let name = cell.to_string();
            assert_eq!(name.parse::<Cell>().unwrap().to_string(), name);
        }
        assert_eq!(parse("usual").unwrap().len(), USUAL.len());
        assert_eq!(parse("quick").unwrap().len(), QUICK.len());
        assert_eq!(parse("all").unwrap().len(), 48);
    }

    #[test]
    fn what_is_no_cell_is_refused() {
        for name in [
            "",
            "2026",
            "2024-json-1c-64B",
            "2026-xml-1c-64B",
            "2026-json-0c-64B",
            "2026-json-1c-63B",
        ] {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
