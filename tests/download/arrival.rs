//! What whoever watches a file arrive is told: never more than is on disk and noted, and when what
//! was read before is void.

use std::sync::Arc;
use std::time::Duration;

use discogs_extractor::dump::{RemoteDump, Wanted, open_site};
use discogs_extractor::model::{Clock, SystemClock, Verification};
use discogs_extractor::pipeline::download::{
    Arrived, ArrivedState, DownloadError, DownloadLimits, Downloads, Fetched,
};
use discogs_extractor::state::Keeper;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::server::{Reply, Server, index, tag};
use crate::{ARTISTS, month, noise};

const LENGTH: usize = 20_000_000;

struct Watched {
    fetched: Result<Fetched, DownloadError>,
    /// Each picture, with what the store knew and the disk held when it was seen.
    seen: Vec<(Arrived, u64, u64)>,
}

/// Fetches artists from the server into a folder of its own, and watches.
fn watch(server: &Server, limits: DownloadLimits) -> Watched {
    // Another test of this process may have been first.
    _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().canonicalize().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let keeper = Keeper::open(&folder.join("state"), Arc::clone(&clock)).await.unwrap();
        let site = open_site(&server.url(), Duration::from_secs(5), 1, Arc::clone(&clock)).unwrap();
        let version = site.versions(Wanted::Newest).await.unwrap().remove(0);
        let checksums = site.checksums(&version.checksums.unwrap()).await.unwrap();
        let checksum = checksums.of(ARTISTS);
        let remote = RemoteDump { checksum, ..version.dumps[0].clone() };
        let stop = CancellationToken::new();
        let downloads = Downloads::new(keeper.clone(), site, folder.clone(), limits, clock, stop);
        let (tell, mut arrived) = watch::channel(Arrived::nothing(&remote, &folder));
        let key = downloads.key(&remote);
        let watching = async {
            let mut seen = Vec::new();
            while arrived.changed().await.is_ok() {
                let picture = arrived.borrow_and_update().clone();
                let known = keeper.download(key.clone()).await.unwrap().unwrap();
                // It may have got its own name meanwhile.
                let named = || std::fs::metadata(folder.join(ARTISTS));
                let on_disk = std::fs::metadata(&picture.part).or_else(|_| named());
                let on_disk = on_disk.map_or(0, |file| file.len());
                seen.push((picture, known.synced, on_disk));
            }
            seen
        };
        let (fetched, seen) = tokio::join!(downloads.fetch(&remote, tell), watching);
        keeper.close().await.unwrap();
        Watched { fetched, seen }
    })
}

fn limits() -> DownloadLimits {
    DownloadLimits { rate: None, tries: Some(2), require_checksum: true }
}

#[test]
fn it_moves_only_after_disk_and_store_and_says_when_bytes_start_over() {
    let (first, second) = (noise(LENGTH, 31), noise(LENGTH, 32));
    let server = Server::start(month("20260101", second.clone()), index, move |ask, reply| {
        if ask.file.as_deref() == Some(ARTISTS) && ask.time == 1 {
            // Another file, of which half comes.
            let body = Arc::new(first.clone());
            let all = Reply { body, headers: Vec::new(), cut: Some(LENGTH / 2), ..reply };
            return all.with("etag", &tag(&first));
        }
        reply
    });
    let Watched { fetched, seen } = watch(&server, limits());
    let fetched = fetched.unwrap();
    assert_eq!(fetched.verification, Verification::Verified);
    assert_eq!(fetched.new_bytes, (LENGTH + LENGTH / 2) as u64);
    let mut before: Option<&Arrived> = None;
    for (picture, known, on_disk) in &seen {
        if let Some(before) = before {
            let goes_on = picture.generation == before.generation;
            let grew = picture.synced >= before.synced;
            assert!(goes_on && grew || picture.generation == before.generation + 1, "{seen:#?}");
        }
        // The store and the disk may be ahead of what is told, never behind.
        let newer = picture.generation == seen.last().unwrap().0.generation;
        assert!(!newer || (picture.synced <= *known && picture.synced <= *on_disk), "{seen:#?}");
        before = Some(picture);
    }
    let last = &seen.last().unwrap().0;
    assert_eq!((last.generation, &last.state), (1, &ArrivedState::Verified));
    assert_eq!((last.synced, last.length), (LENGTH as u64, Some(LENGTH as u64)));
    assert!(last.part.ends_with(ARTISTS), "{last:?}");
    let steps = seen.iter().filter(|(picture, ..)| picture.state == ArrivedState::Growing).count();
    assert!(steps >= 3, "it is told of as it grows: {seen:#?}");
}

#[test]
fn after_tries_that_bring_nothing_it_gives_up_and_keeps_what_came() {
    let server = Server::start(month("20260101", noise(LENGTH, 33)), index, |ask, reply| {
        match (ask.file.as_deref() == Some(ARTISTS), ask.time) {
            (true, 1) => Reply { cut: Some(LENGTH / 2), ..reply },
            (true, _) => Reply::status(503).with("retry-after", "0"),
            (false, _) => reply,
        }
    });
    let Watched { fetched, seen } = watch(&server, limits());
    let error = fetched.unwrap_err();
    assert!(error.may_go_on(), "{error}");
    let words = error.to_string();
    assert!(words.contains("2 tries in a row") && words.contains("answers 503"), "{words}");
    let (last, known, on_disk) = seen.last().unwrap();
    assert!(matches!(last.state, ArrivedState::Failed { .. }), "{last:?}");
    assert!(*known >= (LENGTH / 2 - (1 << 20)) as u64, "{known}");
    assert_eq!(known, on_disk);
}
