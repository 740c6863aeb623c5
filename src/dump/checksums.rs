use std::collections::BTreeMap;

use crate::model::{Sha256, Version};

/// The published SHA-256 of each file of a version, by file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums(BTreeMap<String, Sha256>);

impl Checksums {
    /// Reads what `sha256sum` prints: `HEX  NAME` or `HEX *NAME`, a file a line. Other lines say
    /// nothing.
    pub fn parse(text: &str) -> Checksums {
        let line = |line: &str| {
            let (hash, name) = line.trim().split_once(' ')?;
            let name = name.trim_start().trim_start_matches('*');
            Some((name.to_owned(), hash.to_ascii_lowercase().parse().ok()?))
        };
        Checksums(text.lines().filter_map(line).collect())
    }

    /// That of a file, if it was published.
    pub fn of(&self, name: &str) -> Option<Sha256> {
        self.0.get(name).copied()
    }
}

/// The name of the file that holds a version's checksums.
pub fn checksums_name(version: Version) -> String {
    format!("discogs_{version}_CHECKSUM.txt")
}

/// The version whose checksums a file of this name holds.
pub fn checksums_of(name: &str) -> Option<Version> {
    name.strip_prefix("discogs_")?.strip_suffix("_CHECKSUM.txt")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_sha256sum_are_read_and_other_lines_are_not() {
        let (a, b) = ("ab".repeat(32), "CD".repeat(32));
        let text = format!("# made today\n{a}  one.gz\r\n{b} *two.gz\n12  short\n\n{a}\n");
        let checksums = Checksums::parse(&text);
        assert_eq!(checksums.of("one.gz"), Some(Sha256([0xab; 32])));
        assert_eq!(checksums.of("two.gz"), Some(Sha256([0xcd; 32])));
        assert_eq!(checksums.0.len(), 2);
    }

    #[test]
    fn the_name_says_the_version() {
        let version: Version = "20260101".parse().unwrap();
        assert_eq!(checksums_of(&checksums_name(version)), Some(version));
        for name in ["discogs_20260101_CHECKSUM.txt.part", "CHECKSUM.txt", "discogs_1_CHECKSUM.txt"]
        {
            assert_eq!(checksums_of(name), None, "{name}");
        }
    }
}
