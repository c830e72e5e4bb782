//! The hand-made test vectors of the RFCs.

use std::collections::BTreeMap;

/// Name -> octets, of all vectors in the file.
pub(crate) fn vectors() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("../fixtures/test-vectors.txt");
    let mut vectors = BTreeMap::new();
    for block in text.split("\n\n") {
        let Some((head, hex)) = block
            .lines()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .split_first()
            .map(|(head, hex)| (head.to_string(), hex.to_vec()))
        else {
            continue;
        };
        let Some((name, length)) = head.trim_start_matches("# ").rsplit_once(" len ") else { continue };
        let octets: Vec<u8> = hex
            .iter()
            .flat_map(|line| line.split_whitespace().skip(1))
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        assert_eq!(octets.len(), length.parse::<usize>().unwrap(), "{name}");
        let name = name.rsplit_once(" ppid ").unwrap().0;
        assert!(vectors.insert(name.to_string(), octets).is_none(), "{name} is there twice");
    }
    assert_eq!(vectors.len(), 53);
    vectors
}
