use std::collections::BTreeMap;

use super::checksums_name;
use crate::model::{DumpName, Kind, Sha256, Version};

/// A dump as a site has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteDump {
    /// What its name says.
    pub name: DumpName,
    /// Where the site has it: a URL or a path.
    pub place: String,
    /// Its bytes, if the listing says.
    pub size: Option<u64>,
    /// Its published SHA-256, once the version's checksums were read.
    pub checksum: Option<Sha256>,
}

/// A version as a site has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteVersion {
    /// Which.
    pub version: Version,
    /// Its dumps, in the usual order of types.
    pub dumps: Vec<RemoteDump>,
    /// Where its checksums are.
    pub checksums: Option<String>,
}

/// A file that a listing names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name, without a folder.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Its bytes, if the listing says.
    pub size: Option<u64>,
}

/// Puts what listings name together to versions, oldest first. Names that are no dump's and no
/// checksums' are left out, and of one named twice the first counts.
pub fn versions(found: impl IntoIterator<Item = Found>) -> Vec<RemoteVersion> {
    let mut versions: BTreeMap<Version, RemoteVersion> = BTreeMap::new();
    for Found { name, place, size } in found {
        let dump: Option<DumpName> = name.parse().ok();
        let Some(version) = dump.map(|dump| dump.version).or_else(|| super::checksums_of(&name))
        else {
            continue;
        };
        let entry = versions.entry(version).or_insert_with(|| RemoteVersion {
            version,
            dumps: Vec::new(),
            checksums: None,
        });
        match dump {
            None => entry.checksums = entry.checksums.take().or(Some(place)),
            Some(name) if entry.dumps.iter().all(|known| known.name != name) => {
                entry.dumps.push(RemoteDump { name, place, size, checksum: None });
                entry.dumps.sort_by_key(|dump| dump.name.kind);
            }
            Some(_) => {}
        }
    }
    versions.into_values().collect()
}

/// What a version must have to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Dumps of these types.
    pub kinds: &'a [Kind],
    /// Its checksums, which are published last.
    pub checksums: bool,
}

impl RemoteVersion {
    /// The names of the files that it does not have, of those that are needed.
    pub fn missing(&self, needs: Needs<'_>) -> Vec<String> {
        let has = |kind: &Kind| self.dumps.iter().any(|dump| dump.name.kind == *kind);
        let dumps = needs.kinds.iter().filter(|kind| !has(kind));
        let named = |kind: &Kind| DumpName { version: self.version, kind: *kind }.to_string();
        let checksums = needs.checksums && self.checksums.is_none();
        dumps.map(named).chain(checksums.then(|| checksums_name(self.version))).collect()
    }

    /// The bytes of all its dumps, if the listing says all of them.
    pub fn bytes(&self) -> Option<u64> {
        self.dumps.iter().map(|dump| dump.size).sum()
    }
}

/// The version to take: the wanted one, else the newest that has what is needed.
///
/// # Errors
/// Why there is none.
pub fn pick<'a>(
    versions: &'a [RemoteVersion],
    wanted: Option<Version>,
    needs: Needs<'_>,
) -> Result<&'a RemoteVersion, NoVersion> {
    let lacks = |version: &RemoteVersion| {
        let (version, missing) = (version.version, version.missing(needs).join(", "));
        NoVersion::Incomplete { version, missing }
    };
    if let Some(wanted) = wanted {
        let found = versions.iter().find(|version| version.version == wanted);
        let found = found.ok_or(NoVersion::Unknown { version: wanted })?;
        return if found.missing(needs).is_empty() { Ok(found) } else { Err(lacks(found)) };
    }
    let mut newest_first = versions.iter().rev();
    let whole = newest_first.find(|version| version.missing(needs).is_empty());
    whole.ok_or_else(|| versions.last().map_or(NoVersion::Nothing, lacks))
}

/// Why there is no version to take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVersion {
    /// The site has no dumps.
    #[error("there are no dumps\nhint: say where they are with --site (DISCOGS_SITE)")]
    Nothing,
    /// The wanted version is not there.
    #[error("there is no version {version}\nhint: `discogs-extractor versions --all` shows all")]
    Unknown {
        /// The wanted one.
        version: Version,
    },
    /// It is not all there yet.
    #[error(
        "version {version} is not complete, it lacks {missing}\nhint: a month is published file by \
         file; try again later, or name another version"
    )]
    Incomplete {
        /// The newest, or the wanted one.
        version: Version,
        /// The files.
        missing: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<RemoteVersion> {
        let found = |name: &&str| Found {
            name: (*name).to_owned(),
            place: format!("/{name}"),
            size: Some(5),
        };
        versions(names.iter().map(found))
    }

    fn month(version: &str) -> Vec<String> {
        let dumps = Kind::ALL.map(|kind| format!("discogs_{version}_{kind}.xml.gz"));
        dumps.into_iter().chain([format!("discogs_{version}_CHECKSUM.txt")]).collect()
    }

    #[test]
    fn what_is_found_is_put_together_and_foreign_names_are_not() {
        let mut names = month("20260101");
        names.extend(["index.html", "discogs_20260101_videos.xml.gz"].map(str::to_owned));
        names.push(names[0].clone());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let versions = found(&names);
        assert_eq!(versions.len(), 1);
        assert_eq!(versions[0].dumps.len(), 4);
        assert_eq!(versions[0].bytes(), Some(20));
        assert_eq!(versions[0].checksums.as_deref(), Some("/discogs_20260101_CHECKSUM.txt"));
    }

    #[test]
    fn the_newest_complete_version_is_taken_and_a_half_published_one_is_not() {
        let needs = Needs { kinds: &Kind::ALL, checksums: true };
        let (old, new) = (month("20260101"), month("20260201"));
        let version = |text: &str| text.parse::<Version>().unwrap();
        for left_out in 0..new.len() {
            let names = old.iter().chain(new.iter().take(left_out));
            let names = names.chain(new.iter().skip(left_out + 1));
            let versions = found(&names.map(String::as_str).collect::<Vec<_>>());
            assert_eq!(pick(&versions, None, needs).unwrap().version, version("20260101"));
            let error = pick(&versions, Some(version("20260201")), needs).unwrap_err();
            assert!(error.to_string().contains(&format!("lacks {}", new[left_out])), "{error}");
            let local = Needs { kinds: &[], checksums: false };
            assert_eq!(pick(&versions, None, local).unwrap().version, version("20260201"));
        }
        let unknown = pick(&[], Some(version("20260201")), needs);
        assert_eq!(unknown, Err(NoVersion::Unknown { version: version("20260201") }));
        assert_eq!(pick(&[], None, needs), Err(NoVersion::Nothing));
    }
}
