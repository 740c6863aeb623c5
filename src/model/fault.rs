//! Named places at which a test can end the process, as a power cut would: `DISCOGS_FAULT_AT=name`
//! in the environment kills it the first time it comes by, `name:3` the third time. At some,
//! `DISCOGS_PANIC_AT=name` makes it panic. A test that simulates many crashes in one process watches
//! the durable steps of a folder instead, and takes a copy at each. Only builds with debug assertions
//! look; in a release build a place is nothing.

/// Every place there is, so that a test can go through them all.
pub const PLACES: &[&str] = &[
    "state.begin.before",
    "state.begin.after",
    "state.advance.before",
    "state.advance.after",
    "state.complete.before",
    "state.complete.written",
    "state.complete.after",
    "state.fail.before",
    "state.fail.after",
    "state.force.before",
    "state.force.after",
    "state.strike.before",
    "state.strike.after",
    "download.synced",
    "download.noted",
    "download.rename.before",
    "download.rename.after",
    "download.folder.synced",
    "download.mismatch.aside",
    "bad_record.before",
    "bad_record.written",
    "bad_record.after",
    "sqlite.commit.before",
    "sqlite.commit.after",
    "postgres.commit.before",
    "postgres.commit.after",
    "jsonl.sync.before",
    "jsonl.sync.after",
    "jsonl.rename.before",
    "jsonl.rename.after",
    "sink.finish.before",
    "sink.finish.after",
    "announce.before",
    "announce.confirmed",
    "sweep.before",
    "sweep.after",
    "state.snapshot.written",
    "state.snapshot.renamed",
    "state.upgrade.copied",
    "state.upgrade.row",
    "state.upgrade.proof",
    "state.upgrade.rows",
    "state.upgrade.after",
    "state.compact.built",
    "state.compact.aside",
    "state.compact.swapped",
    "state.repair.built",
    "state.repair.aside",
];

/// Ends the process here if the environment asks for it.
#[cfg(debug_assertions)]
pub fn place(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static SEEN: AtomicU64 = AtomicU64::new(0);

    debug_assert!(PLACES.contains(&name), "{name} is not listed in PLACES");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("DISCOGS_FAULT_AT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().ok()?))
    });
    let Some((wanted, times)) = wanted else { return };
    if wanted == name && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *times {
        // SIGKILL leaves no time for anything; if it could not be sent, there is nothing to test
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn place(_name: &'static str) {}

/// Panics here if the environment asks for it: `DISCOGS_PANIC_AT=name`.
///
/// # Panics
/// If it is asked for.
#[cfg(debug_assertions)]
pub fn panicking(name: &'static str) {
    let wanted = std::env::var("DISCOGS_PANIC_AT");
    assert!(wanted.as_deref() != Ok(name), "a panic was asked for at {name}");
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn panicking(_name: &'static str) {}

/// Is told of every durable step in a folder, on the thread that has just made it.
#[cfg(debug_assertions)]
pub type Watcher = std::sync::Arc<dyn Fn() + Send + Sync>;

#[cfg(debug_assertions)]
static WATCHERS: std::sync::Mutex<std::collections::BTreeMap<std::path::PathBuf, Watcher>> =
    std::sync::Mutex::new(std::collections::BTreeMap::new());

/// Watches the durable steps in a folder, or no longer.
#[cfg(debug_assertions)]
pub fn watch(folder: &std::path::Path, watcher: Option<Watcher>) {
    let mut watchers = WATCHERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match watcher {
        Some(watcher) => watchers.insert(folder.to_owned(), watcher),
        None => watchers.remove(folder),
    };
}

/// Something in the folder became durable.
#[cfg(debug_assertions)]
pub fn durable(folder: &std::path::Path) {
    let watchers = WATCHERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let watcher = watchers.get(folder).cloned();
    drop(watchers);
    if let Some(watcher) = watcher {
        watcher();
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn durable(_folder: &std::path::Path) {}
