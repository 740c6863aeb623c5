use super::listing::Folder;
use crate::model::Version;

/// How many years are looked into for the newest version: in January it may still be last year's.
const YEARS: usize = 2;
/// How many folders of a version each are looked into: the newest may be half published, and the
/// one before it too, if a month was skipped.
const VERSIONS: usize = 3;

/// Which versions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest few.
    Newest,
    /// This one.
    Version(Version),
    /// All there are.
    All,
}

/// What a folder's name says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Year(u32),
    /// As far as it says: `20260101`, or `202601` without the day.
    Version(u32),
    /// It says nothing, and is known to lie on the way.
    Anything,
}

fn holds(name: &str) -> Option<Holds> {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let number = digits.parse().ok();
    match digits.len() {
        4 => number.map(Holds::Year),
        6 | 8 => number.map(Holds::Version),
        _ => (name == "data" || name.contains("discogs")).then_some(Holds::Anything),
    }
}

/// The folders that are worth looking into, the newest first.
pub(super) fn worth_reading(folders: Vec<Folder>, wanted: Wanted) -> Vec<Folder> {
    let held = |folder: Folder| holds(&folder.name).map(|holds| (holds, folder));
    let mut known: Vec<(Holds, Folder)> = folders.into_iter().filter_map(held).collect();
    known.sort_by_key(|(holds, _)| std::cmp::Reverse(*holds));
    let (mut years, mut versions) = (0, 0);
    known.retain(|(holds, _)| match (wanted, holds) {
        (Wanted::All, _) | (_, Holds::Anything) => true,
        (Wanted::Newest, Holds::Year(_)) => {
            years += 1;
            years <= YEARS
        }
        (Wanted::Newest, Holds::Version(_)) => {
            versions += 1;
            versions <= VERSIONS
        }
        (Wanted::Version(version), Holds::Year(year)) => version.number() / 10_000 == *year,
        (Wanted::Version(version), Holds::Version(held)) => {
            [version.number(), version.number() / 100].contains(held)
        }
    });
    known.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_hold_the_wanted_version_is_read() {
        let version = Wanted::Version("20240301".parse().unwrap());
        let years = "2023 2024 2025 2026 images data discogs-dumps";
        let versions = "20240201 20240301 20250101 2025-02 discogs_20250301 20250401";
        let rows = [
            (years, Wanted::Newest, "data discogs-dumps 2026 2025"),
            (years, version, "data discogs-dumps 2024"),
            (years, Wanted::All, "data discogs-dumps 2026 2025 2024 2023"),
            (versions, Wanted::Newest, "20250401 discogs_20250301 20250101"),
            (versions, version, "20240301"),
            ("2024-03 2024-04", version, "2024-03"),
            ("", Wanted::All, ""),
        ];
        for (folders, wanted, expected) in rows {
            let url: url::Url = "http://h/".parse().unwrap();
            let folder = |name: &str| Folder { name: name.to_owned(), url: url.clone() };
            let read = worth_reading(folders.split_whitespace().map(folder).collect(), wanted);
            let names: Vec<_> = read.into_iter().map(|folder| folder.name).collect();
            assert_eq!(names.join(" "), expected, "{wanted:?} of {folders}");
        }
    }
}
