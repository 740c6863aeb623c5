//! What the store knows of downloads, and what may happen to the store without losing it.

use discogs_extractor::model::{DumpName, HashState, Kind, Sha256, Stamp, Verification};
use discogs_extractor::state::{
    Download, DownloadKey, DownloadStatus, compact, export, import, open_for_inspection, repair,
};

use crate::{at, open, wait};

fn download(kind: Kind, folder: &str) -> Download {
    let name = DumpName { version: "20260101".parse().unwrap(), kind };
    let key = DownloadKey::new(name, folder.as_ref());
    let begun = Download::begun(key, "https://data.example", Some(Sha256([9; 32])), at(1));
    Download {
        synced: 70,
        length: Some(100),
        hash: Some(HashState(vec![0, 255, 16])),
        etag: Some("\"tag\"".to_owned()),
        ..begun
    }
}

#[test]
fn downloads_outlive_restart_export_repair_and_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let half = download(Kind::Labels, "/a");
    let elsewhere = download(Kind::Labels, "/b");
    let whole = Download {
        status: DownloadStatus::Complete,
        verification: Verification::Verified,
        stamp: Some(Stamp { size: 100, modified: 5, inode: 6 }),
        ..download(Kind::Artists, "/a")
    };
    let all = vec![whole.clone(), half.clone(), elsewhere.clone()];
    wait(async {
        let keeper = open(dir.path()).await;
        for download in [&elsewhere, &half, &whole] {
            let event = Some("the download was begun".to_owned());
            keeper.note_download(download.clone(), event, at(2)).await.unwrap();
        }
        keeper.close().await.unwrap();
        let keeper = open(dir.path()).await;
        assert_eq!(keeper.downloads().await.unwrap(), all);
        assert_eq!(keeper.download(half.key.clone()).await.unwrap(), Some(half.clone()));
        keeper.close().await.unwrap();
    });
    let known = open_for_inspection(dir.path()).unwrap();
    assert_eq!(known.downloads, all);
    assert_eq!(known.events.len(), 3);
    assert_eq!(known.events[2].file.as_deref(), Some("discogs_20260101_artists.xml.gz"));

    let other = tempfile::tempdir().unwrap();
    import(other.path(), &export(&known), false, at(3)).unwrap();
    assert_eq!(open_for_inspection(other.path()).unwrap().downloads, all);
    compact(dir.path(), at(4)).unwrap();
    assert_eq!(open_for_inspection(dir.path()).unwrap().downloads, all);
    repair(dir.path(), false, at(5)).unwrap();
    assert_eq!(open_for_inspection(dir.path()).unwrap().downloads, all);
}

#[test]
fn a_forgotten_download_is_gone_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (download(Kind::Labels, "/a"), download(Kind::Labels, "/b"));
    wait(async {
        let keeper = open(dir.path()).await;
        for download in [&one, &other] {
            keeper.note_download(download.clone(), None, at(2)).await.unwrap();
        }
        assert!(keeper.forget_download(one.key.clone(), at(3)).await.unwrap());
        assert!(!keeper.forget_download(one.key.clone(), at(3)).await.unwrap());
        assert_eq!(keeper.downloads().await.unwrap(), [other]);
    });
}
