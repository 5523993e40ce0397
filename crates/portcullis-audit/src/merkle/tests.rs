//! Known answers of the certificate transparency tests, and proofs of random trees.

use super::*;
use crate::hash::{hex_string, unhex};
use proptest::prelude::*;

/// The eight leaves that the tests of RFC 6962 implementations share.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Their roots at the sizes 0 to 8.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf(&index.to_be_bytes())).collect()
}

/// The root as RFC 9162 section 2.1.1 defines it.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [only] => *only,
        _ => {
            let middle = usize::try_from(split(leaves.len() as u64)).unwrap();
            node(&root(&leaves[..middle]), &root(&leaves[middle..]))
        }
    }
}

fn path(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
    let at = |index: u64| usize::try_from(index).unwrap();
    ranges
        .iter()
        .map(|range| root(&leaves[at(range.start)..at(range.end)]))
        .collect()
}

#[test]
fn for_01_roots_are_those_of_rfc_6962() {
    let mut frontier = Frontier::default();
    for (line, expected) in LEAVES.iter().zip(&ROOTS) {
        assert_eq!(hex_string(&frontier.root()), *expected);
        frontier.push(leaf(line));
    }
    assert_eq!(hex_string(&frontier.root()), ROOTS[8]);
}

#[test]
fn for_01_proofs_are_those_of_rfc_6962() {
    let leaves: Vec<Hash> = LEAVES.iter().map(|line| leaf(line)).collect();
    let known = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| unhex(text.as_bytes()).unwrap())
            .collect::<Vec<_>>()
    };
    let rows = [
        (
            inclusion_ranges(0, 8),
            known(&[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]),
        ),
        (
            inclusion_ranges(5, 8),
            known(&[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]),
        ),
        (
            consistency_ranges(6, 8),
            known(&[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]),
        ),
        (
            consistency_ranges(2, 5),
            known(&[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]),
        ),
        (consistency_ranges(8, 8), Vec::new()),
        (inclusion_ranges(0, 1), Vec::new()),
    ];
    for (ranges, expected) in rows {
        assert_eq!(path(&leaves, &ranges.unwrap()), expected);
    }
}

#[test]
fn for_01_what_is_not_there_has_no_proof() {
    assert_eq!(inclusion_ranges(8, 8), None);
    assert_eq!(inclusion_ranges(0, 0), None);
    assert_eq!(consistency_ranges(0, 8), None);
    assert_eq!(consistency_ranges(9, 8), None);
}

#[test]
fn for_01_every_proof_up_to_40_leaves_is_accepted() {
    let all = leaves(40);
    let tree = |size: u64| Tree {
        size,
        root: root(&all[..usize::try_from(size).unwrap()]),
    };
    for size in 1..=40 {
        for index in 0..size {
            let path = path(&all, &inclusion_ranges(index, size).unwrap());
            let leaf = all[usize::try_from(index).unwrap()];
            assert!(
                is_included(&leaf, index, size, &path, &tree(size).root),
                "{index} in {size}"
            );
            assert!(
                !is_included(&leaf, index + 1, size, &path, &tree(size).root),
                "{index} in {size}"
            );
        }
        for old in 1..=size {
            let path = path(&all, &consistency_ranges(old, size).unwrap());
            assert!(
                is_consistent(&tree(old), &tree(size), &path),
                "{old} to {size}"
            );
        }
    }
}

proptest! {
    #[test]
    fn for_01_only_a_whole_proof_is_accepted(size in 2_u64..600, seed: u64, bit in 0_usize..256, drop: bool) {
        let all = leaves(size);
        let index = seed % size;
        let leaf = all[usize::try_from(index).unwrap()];
        let root = root(&all);
        let mut frontier = Frontier::default();
        for leaf in &all { frontier.push(*leaf); }
        prop_assert_eq!(frontier.root(), root);
        prop_assert_eq!(Frontier::from_peaks(size, frontier.peaks().to_vec()), Some(frontier));

        let mut path = path(&all, &inclusion_ranges(index, size).unwrap());
        prop_assert!(is_included(&leaf, index, size, &path, &root));
        let spoiled = usize::try_from(seed).unwrap() % path.len();
        if drop { path.truncate(spoiled) } else { path[spoiled][bit / 8] ^= 1 << (bit % 8) }
        prop_assert!(!is_included(&leaf, index, size, &path, &root));
    }

    #[test]
    fn for_01_only_a_continued_tree_is_consistent(new in 2_u64..600, seed: u64, bit in 0_usize..256) {
        let all = leaves(new);
        let old = 1 + seed % (new - 1);
        let tree = |size: u64| Tree { size, root: root(&all[..usize::try_from(size).unwrap()]) };
        let mut path = path(&all, &consistency_ranges(old, new).unwrap());
        prop_assert!(is_consistent(&tree(old), &tree(new), &path));
        let other = Tree { root: leaf(b""), ..tree(old) };
        prop_assert!(!is_consistent(&other, &tree(new), &path));
        let spoiled = usize::try_from(seed).unwrap() % path.len();
        path[spoiled][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!is_consistent(&tree(old), &tree(new), &path));
    }
}
