//! What of a dump is here before anything is asked for: it decides whether there is anything to
//! fetch, and notes what a crash between two steps left unnoted. Nothing on disk is changed without
//! the part's lock.

use std::io;
use std::path::Path;

use tokio::task::spawn_blocking;

use super::context::Downloads;
use super::disk::{part_path, stamp_of};
use super::error::DownloadError;
use crate::dump::{PartLock, RemoteDump, hash_file};
use crate::model::{Sha256, Stamp, Verification};
use crate::state::{Download, DownloadStatus};

/// What is here of a dump.
pub(super) enum Here {
    /// All of it, as recorded.
    Whole(Box<Download>),
    /// Nothing, or a part.
    Part {
        /// What is known of it.
        record: Box<Download>,
        /// What stands under the file's own name and cannot be it: to be moved aside, by whoever
        /// has the part's lock, if it is still the same then.
        foreign: Option<Stamp>,
    },
}

/// What to make of a file under its own name.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    /// It is the file that was recorded: nobody touched it.
    Known,
    /// It must be read to know what it is.
    Unread,
    /// It is as long as it should be, and there is nothing to compare it with.
    Trusted,
    /// It cannot be the one.
    Foreign,
}

/// Looks at the folder and the store.
///
/// # Errors
/// If the disk or the store says no.
pub(super) async fn look(
    downloads: &Downloads,
    remote: &RemoteDump,
) -> Result<Here, DownloadError> {
    let path = downloads.folder.join(remote.name.to_string());
    let known = downloads.keeper.download(downloads.key(remote)).await?;
    let Some(on_disk) = stamp_of(&path)? else {
        let record = Box::new(part(downloads, remote, known));
        return Ok(Here::Part { record, foreign: None });
    };
    let verification = match claim(known.as_ref(), remote, on_disk) {
        Claim::Known => match known {
            Some(known) => return Ok(Here::Whole(Box::new(known))),
            None => Verification::Pending,
        },
        Claim::Trusted => Verification::Unverified,
        Claim::Foreign => Verification::Mismatch,
        Claim::Unread => {
            tracing::info!(file = %remote.name, "is here already and is compared with its checksum");
            let hash = read(&path).await?;
            let right = Some(hash) == remote.checksum;
            if right { Verification::Verified } else { Verification::Mismatch }
        }
    };
    match verification {
        Verification::Verified | Verification::Unverified => {
            let whole = adopt(downloads, remote, known, on_disk, verification).await?;
            Ok(Here::Whole(Box::new(whole)))
        }
        Verification::Pending | Verification::Mismatch => {
            let record = Box::new(part(downloads, remote, known));
            Ok(Here::Part { record, foreign: Some(on_disk) })
        }
    }
}

fn claim(known: Option<&Download>, remote: &RemoteDump, on_disk: Stamp) -> Claim {
    let complete = known.filter(|known| known.status == DownloadStatus::Complete);
    let untouched = complete.filter(|known| known.stamp == Some(on_disk));
    let as_long = |length: Option<u64>| length.is_none_or(|length| length == on_disk.size);
    match (untouched, remote.checksum) {
        (Some(known), Some(published)) => {
            let verified = known.verification == Verification::Verified;
            if verified && known.checksum == Some(published) { Claim::Known } else { Claim::Unread }
        }
        (Some(_), None) => Claim::Known,
        (None, Some(_)) if as_long(remote.size) => Claim::Unread,
        (None, None) if as_long(remote.size) && as_long(known.and_then(|known| known.length)) => {
            Claim::Trusted
        }
        (None, _) => Claim::Foreign,
    }
}

async fn read(path: &Path) -> Result<Sha256, DownloadError> {
    let owned = path.to_owned();
    let hash = spawn_blocking(move || hash_file(&owned)).await;
    let hash = hash.unwrap_or_else(|died| Err(io::Error::other(died)));
    hash.map_err(|error| DownloadError::disk("read", path, &error))
}

/// Takes a file that is here under its own name as fetched.
async fn adopt(
    downloads: &Downloads,
    remote: &RemoteDump,
    known: Option<Download>,
    on_disk: Stamp,
    verification: Verification,
) -> Result<Download, DownloadError> {
    let now = downloads.clock.now();
    let known = known.unwrap_or_else(|| fresh(downloads, remote, 0));
    let whole = Download {
        status: DownloadStatus::Complete,
        verification,
        length: Some(on_disk.size),
        checksum: remote.checksum,
        synced: on_disk.size,
        hash: None,
        completed_at: known.completed_at.or(Some(now)),
        stamp: Some(on_disk),
        error: None,
        ..known
    };
    let event = Some(format!("found here, {verification}"));
    downloads.keeper.note_download(whole.clone(), event, now).await?;
    // What a crash left of it beside the file, or what somebody put there.
    PartLock::remove_unused(&part_path(&downloads.folder, remote));
    Ok(whole)
}

/// What is known of the part, if it still holds: bytes of another site or of another file are no
/// use, and a file that was complete and is gone begins anew.
fn part(downloads: &Downloads, remote: &RemoteDump, known: Option<Download>) -> Download {
    let Some(known) = known else { return fresh(downloads, remote, 0) };
    let another = known.checksum.zip(remote.checksum).is_some_and(|(one, other)| one != other);
    let elsewhere = known.site != downloads.site.shown();
    let why = match known.status {
        DownloadStatus::Complete => Some("the file is gone"),
        _ if another => Some("another checksum is published now"),
        _ if elsewhere && known.synced > 0 => Some("another site is asked now"),
        DownloadStatus::Downloading | DownloadStatus::Failed => None,
    };
    match why {
        Some(why) => {
            tracing::info!(file = %remote.name, why, "the download starts over");
            fresh(downloads, remote, known.generation + 1)
        }
        None => Download {
            site: downloads.site.shown().to_owned(),
            status: DownloadStatus::Downloading,
            checksum: remote.checksum.or(known.checksum),
            error: None,
            failures: 0,
            ..known
        },
    }
}

fn fresh(downloads: &Downloads, remote: &RemoteDump, generation: u64) -> Download {
    let (key, site) = (downloads.key(remote), downloads.site.shown());
    let begun = Download::begun(key, site, remote.checksum, downloads.clock.now());
    Download { generation, ..begun }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::state::DownloadKey;

    #[test]
    fn a_file_is_read_only_when_it_has_to_be() {
        let name = "discogs_20260101_artists.xml.gz".parse().unwrap();
        let stamp = Stamp { size: 5, modified: 6, inode: 7 };
        let (a, b) = (Sha256([1; 32]), Sha256([2; 32]));
        let remote = |checksum, size| RemoteDump { name, place: String::new(), size, checksum };
        let known = |verification, checksum| Download {
            status: DownloadStatus::Complete,
            verification,
            length: Some(5),
            stamp: Some(stamp),
            ..Download::begun(DownloadKey::new(name, Path::new("/")), "s", checksum, Timestamp(0))
        };
        let verified = known(Verification::Verified, Some(a));
        let unverified = known(Verification::Unverified, None);
        let begun = Download { status: DownloadStatus::Downloading, ..verified.clone() };
        let touched = Stamp { modified: 8, ..stamp };
        let longer = Stamp { size: 6, ..stamp };
        let rows = [
            (Some(&verified), remote(Some(a), None), stamp, Claim::Known),
            (Some(&verified), remote(None, None), stamp, Claim::Known),
            (Some(&verified), remote(Some(b), None), stamp, Claim::Unread),
            (Some(&verified), remote(Some(a), None), touched, Claim::Unread),
            (Some(&unverified), remote(None, None), stamp, Claim::Known),
            (Some(&unverified), remote(Some(a), None), stamp, Claim::Unread),
            (Some(&unverified), remote(None, None), longer, Claim::Foreign),
            (Some(&begun), remote(Some(a), None), stamp, Claim::Unread),
            (None, remote(Some(a), Some(5)), stamp, Claim::Unread),
            (None, remote(Some(a), Some(9)), stamp, Claim::Foreign),
            (None, remote(None, Some(5)), stamp, Claim::Trusted),
            (None, remote(None, None), stamp, Claim::Trusted),
        ];
        for (index, (known, remote, on_disk, expected)) in rows.into_iter().enumerate() {
            assert_eq!(claim(known, &remote, on_disk), expected, "row {index}");
        }
    }
}
