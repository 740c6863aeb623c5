//! Where dumps come from: the folder and the site.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::access::may_write;
use crate::dump::{self, Dump, Needs, RemoteVersion, Site, Wanted, choose, pick};
use crate::model::{Finding, Kind, Version, parted};
use crate::observe;

/// How long the site may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which dumps are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wants<'a> {
    /// Of which types.
    pub kinds: &'a [Kind],
    /// Of which version; the newest if none is said.
    pub version: Option<Version>,
    /// Whether they are fetched from a site.
    pub fetched: bool,
}

/// Looks at the folder of dumps, and says what of the wanted version is in it.
pub fn folder(root: &Path, wants: Wants<'_>) -> (Finding, Vec<Dump>) {
    let none = Vec::new();
    if !root.exists() {
        let found = if !wants.fetched {
            Finding::failure(
                "dumps",
                format!("there is no folder {}", root.display()),
                "name it with --root (DISCOGS_ROOT), or let --site fetch dumps into it",
            )
        } else if may_write(root) {
            Finding::ok("dumps", format!("{} is made for the downloads", root.display()))
        } else {
            denied(root)
        };
        return (found, none);
    }
    let dumps = match dump::find(root) {
        Ok(dumps) if root.is_dir() => dumps,
        Ok(_) => {
            let found = format!("{} is no folder", root.display());
            return (Finding::failure("dumps", found, "name the folder that it lies in"), none);
        }
        Err(error) => return (Finding::of_error("dumps", &error), none),
    };
    if wants.fetched && !may_write(root) {
        return (denied(root), none);
    }
    let Some(choice) = choose(&dumps, wants.kinds, wants.version) else {
        let words = format!("{} holds no dump that is wanted", root.display());
        if wants.fetched {
            return (Finding::ok("dumps", words + " yet"), none);
        }
        let hint = "put discogs_YYYYMMDD_TYPE.xml.gz into it, or let --site fetch them";
        return (Finding::warning("dumps", words, hint), none);
    };
    let bytes = choice.dumps.iter().filter_map(|dump| dump.path.metadata().ok());
    let bytes = observe::bytes(bytes.map(|metadata| metadata.len()).sum());
    let words =
        format!("{}: {} dumps of {}, {bytes}", root.display(), choice.dumps.len(), choice.version);
    let missing: Vec<_> = choice.missing.iter().map(|kind| kind.name()).collect();
    let found = if missing.is_empty() {
        Finding::ok("dumps", words)
    } else if wants.fetched {
        Finding::ok("dumps", format!("{words}; {} still to come", missing.join(", ")))
    } else {
        Finding::warning(
            "dumps",
            format!("{words}; {} missing", missing.join(", ")),
            "a version is taken up when it has all wanted types: add them, or say which with --types",
        )
    };
    (found, choice.dumps)
}

/// Looks at a folder that JSON lines go to.
pub fn lines(folder: &Path) -> Finding {
    if may_write(folder) {
        return Finding::ok("sink", format!("{} can be written", folder.display()));
    }
    Finding::failure(
        "sink",
        format!("{} may not be written, or is no folder", folder.display()),
        "let the user this runs as write there, or choose another folder with --to",
    )
}

fn denied(root: &Path) -> Finding {
    Finding::failure(
        "dumps",
        format!("{} may not be written, and downloads go there", root.display()),
        "let the user this runs as write there, or choose another folder with --root",
    )
}

/// Asks the site what it has, and says which version is the next.
pub async fn site(site: &dyn Site, wants: Wants<'_>) -> (Finding, Option<RemoteVersion>) {
    let wanted = wants.version.map_or(Wanted::Newest, Wanted::Version);
    let hint = "check the address (--site) and the network; until then only the dumps that are \
                here are taken, as always with --site none";
    let warning = |why: String| (Finding::warning("site", why, hint), None);
    let listed = match timeout(PATIENCE, site.versions(wanted)).await {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => {
            let words = error.to_string();
            return warning(parted(&words).0.to_owned());
        }
        Err(_) => {
            let shown = site.shown();
            return warning(format!("{shown} does not answer within {} s", PATIENCE.as_secs()));
        }
    };
    let needs = Needs { kinds: wants.kinds, checksums: site.publishes_checksums() };
    match pick(&listed, wants.version, needs) {
        Ok(newest) => {
            let bytes = newest
                .bytes()
                .map_or(String::new(), |bytes| format!(", {}", observe::bytes(bytes)));
            let found = format!("{} has {}{bytes}", site.shown(), newest.version);
            (Finding::ok("site", found), Some(newest.clone()))
        }
        Err(error) => (Finding::of_error("site", &error).as_warning(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    #[test]
    fn what_is_said_of_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let said = |name: &str, fetched| {
            let wants = Wants { kinds: &Kind::ALL, version: None, fetched };
            let (found, dumps) = folder(&place.path().join(name), wants);
            (found.status, dumps.len())
        };
        assert_eq!(said("missing", true), (Level::Ok, 0));
        assert_eq!(said("missing", false), (Level::Failure, 0));
        assert_eq!(said("", true), (Level::Ok, 0));
        assert_eq!(said("", false), (Level::Warning, 0));
        for (there, kind) in Kind::ALL.into_iter().enumerate() {
            let name = format!("discogs_20260101_{kind}.xml.gz");
            std::fs::write(place.path().join(&name), "").unwrap();
            let status = if there + 1 < Kind::ALL.len() { Level::Warning } else { Level::Ok };
            assert_eq!(said("", false), (status, there + 1));
            assert_eq!(said("", true), (Level::Ok, there + 1));
            assert_eq!(said(&name, true).0, Level::Failure, "a file is no folder");
        }
    }
}
