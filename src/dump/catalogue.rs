use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{DumpName, Kind, NameError, Version};

/// A dump on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// What its name says.
    pub name: DumpName,
    /// Where it lies.
    pub path: PathBuf,
}

impl Dump {
    /// The file's name without its folder, as state and messages hold it.
    pub fn file_name(&self) -> String {
        self.name.to_string()
    }
}

/// An input that holds no dump.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Nothing is there, or it may not be looked at.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// What was given.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// The file's name does not say which dump it is.
    #[error("{}: {cause}", path.display())]
    Name {
        /// What was given.
        path: PathBuf,
        /// What is wrong with the name.
        cause: NameError,
    },
    /// A folder without dumps.
    #[error(
        "{} holds no dump{}\nhint: dumps are named discogs_YYYYMMDD_TYPE.xml.gz",
        path.display(),
        wanted(kinds)
    )]
    Nothing {
        /// What was given.
        path: PathBuf,
        /// The types that were wanted.
        kinds: Vec<Kind>,
    },
    /// Two files claim to be the same dump.
    #[error(
        "{} and {} are the same dump\nhint: name one of them",
        first.display(),
        second.display()
    )]
    Twice {
        /// The one named first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

fn wanted(kinds: &[Kind]) -> String {
    if kinds.len() == Kind::ALL.len() {
        return String::new();
    }
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    format!(" of type {}", names.join(", "))
}

/// The dumps in one folder, and which version was chosen among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The version.
    pub version: Version,
    /// Its dumps of the wanted types.
    pub dumps: Vec<Dump>,
    /// Wanted types that this version does not have.
    pub missing: Vec<Kind>,
}

/// Chooses among the dumps of a folder: the version asked for, else the newest that has all
/// wanted types, else the newest that has any.
pub fn choose(dumps: &[Dump], kinds: &[Kind], version: Option<Version>) -> Option<Choice> {
    let mut versions: BTreeMap<Version, Vec<Dump>> = BTreeMap::new();
    for dump in dumps.iter().filter(|dump| kinds.contains(&dump.name.kind)) {
        versions.entry(dump.name.version).or_default().push(dump.clone());
    }
    let whole = |dumps: &[Dump]| kinds.iter().all(|k| dumps.iter().any(|d| d.name.kind == *k));
    let newest_first = || versions.iter().rev();
    let newest =
        || newest_first().find(|(_, dumps)| whole(dumps)).or_else(|| newest_first().next());
    let chosen = version.map_or_else(newest, |version| versions.get_key_value(&version));
    chosen.map(|(version, dumps)| {
        let mut dumps = dumps.clone();
        dumps.sort_by_key(|dump| dump.name.kind);
        let has = |kind: &Kind| dumps.iter().any(|dump| dump.name.kind == *kind);
        let missing = kinds.iter().copied().filter(|kind| !has(kind)).collect();
        Choice { version: *version, dumps, missing }
    })
}

/// The dumps in a folder or, for a file, the one that it is. Names that begin with a dot or end
/// in `.part` are none.
///
/// # Errors
/// If the path cannot be read, or a file's name does not say which dump it is.
pub fn find(path: &Path) -> Result<Vec<Dump>, CatalogueError> {
    let unreadable = |cause| CatalogueError::Unreadable { path: path.to_owned(), cause };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name =
            name.parse().map_err(|cause| CatalogueError::Name { path: path.to_owned(), cause })?;
        return Ok(vec![Dump { name, path: path.to_owned() }]);
    }
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if let Ok(name) = entry.file_name().to_string_lossy().parse() {
            dumps.push(Dump { name, path: entry.path() });
        }
    }
    dumps.sort_by_key(|dump| dump.name);
    Ok(dumps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> Vec<Dump> {
        let dump = |name: &&str| Dump { name: name.parse().unwrap(), path: PathBuf::from(name) };
        names.iter().map(dump).collect()
    }

    fn chosen(names: &[&str], kinds: &[Kind], version: Option<&str>) -> Option<(String, usize)> {
        let version = version.map(|text| text.parse().unwrap());
        choose(&folder(names), kinds, version).map(|c| (c.version.to_string(), c.missing.len()))
    }

    #[test]
    fn the_newest_version_with_all_wanted_types_is_chosen_else_the_newest() {
        let names = [
            "discogs_20260101_artists.xml.gz",
            "discogs_20260101_labels.xml.gz",
            "discogs_20260201_artists.xml.gz",
        ];
        let both = [Kind::Artists, Kind::Labels];
        assert_eq!(chosen(&names, &both, None), Some(("20260101".into(), 0)));
        assert_eq!(chosen(&names, &[Kind::Artists], None), Some(("20260201".into(), 0)));
        assert_eq!(chosen(&names, &Kind::ALL, None), Some(("20260201".into(), 3)));
        assert_eq!(chosen(&names, &both, Some("20260201")), Some(("20260201".into(), 1)));
        assert_eq!(chosen(&names, &both, Some("20250101")), None);
        assert_eq!(chosen(&names, &[Kind::Masters], None), None);
    }

    #[test]
    fn part_files_and_dotfiles_are_no_dumps() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "discogs_20260101_labels.xml.gz",
            "discogs_20260101_artists.xml.gz.part",
            ".discogs_20260101_artists.xml.gz",
            "discogs_20260101_CHECKSUM.txt",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = find(dir.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file_name(), "discogs_20260101_labels.xml.gz");
    }

    #[test]
    fn a_file_whose_name_says_nothing_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("releases.xml.gz");
        std::fs::write(&path, "").unwrap();
        let words = find(&path).unwrap_err().to_string();
        assert!(words.contains("hint: dumps are named"), "{words}");
        let words = find(&dir.path().join("none")).unwrap_err().to_string();
        assert!(words.contains("No such file"), "{words}");
    }
}
