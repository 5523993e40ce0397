//! A database of places in the MMDB format, version 2.0: a tree of bits, then what its leaves are.

/// What a branch of the tree leads to.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    /// Where in the data.
    Data(usize),
}

/// Such a file: networks of IPv4 by address and bits, each with its degrees north and east.
pub(crate) fn places(networks: &[([u8; 4], u32, (f64, f64))]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Branch::Nothing; 2]], Vec::new());
    for (address, bits, at) in networks {
        let address = u32::from_be_bytes(*address);
        let mut node = 0;
        for depth in 0..*bits {
            let side = usize::try_from(address >> (31 - depth) & 1).unwrap();
            if depth + 1 == *bits {
                nodes[node][side] = Branch::Data(data.len());
            } else if let Branch::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Branch::Nothing; 2]);
                nodes[node][side] = Branch::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
        data.extend(map(&[(
            "location",
            map(&[("latitude", double(at.0)), ("longitude", double(at.1))]),
        )]));
    }
    let count = nodes.len();
    let number = |branch: &Branch| match branch {
        Branch::Nothing => count,
        Branch::Node(node) => *node,
        Branch::Data(place) => count + 16 + place,
    };
    let tree = nodes.iter().flatten().flat_map(|branch| {
        let number = u32::try_from(number(branch)).unwrap().to_be_bytes();
        [number[1], number[2], number[3]]
    });
    let about = map(&[
        ("binary_format_major_version", unsigned(5, &[2])),
        ("binary_format_minor_version", unsigned(5, &[])),
        ("build_epoch", vec![1, 2, 1]),
        ("database_type", text("Test-City")),
        ("description", map(&[("en", text("places of a test"))])),
        ("ip_version", unsigned(5, &[4])),
        ("languages", vec![0, 4]),
        (
            "node_count",
            unsigned(6, &u32::try_from(count).unwrap().to_be_bytes()),
        ),
        ("record_size", unsigned(5, &[24])),
    ]);
    let parts = [
        tree.collect(),
        vec![0; 16],
        data,
        b"\xab\xcd\xefMaxMind.com".to_vec(),
        about,
    ];
    parts.concat()
}

fn control(kind: u8, size: usize) -> u8 {
    kind << 5 | u8::try_from(size).unwrap()
}

fn unsigned(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[control(kind, bytes.len())], bytes].concat()
}

fn double(number: f64) -> Vec<u8> {
    [&[control(3, 8)][..], &number.to_be_bytes()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[control(2, text.len())], text.as_bytes()].concat()
}

fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let all = members
        .iter()
        .flat_map(|(name, value)| [text(name), value.clone()].concat());
    std::iter::once(control(7, members.len()))
        .chain(all)
        .collect()
}
