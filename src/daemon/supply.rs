//! The site, as the daemon knows it: listed now and then, and fetched from while it is extracted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::dump::{Checksums, Dump, Needs, RemoteDump, RemoteVersion, Site, SiteError, Wanted};
use crate::model::{Clock, DumpName, Kind, Version, parted};
use crate::pipeline::Input;
use crate::pipeline::download::{Arrived, DownloadError, DownloadLimits, Downloads};
use crate::state::{DownloadKey, Keeper};

/// How long the site may take to tell what it has, or its checksums.
const PATIENCE: Duration = Duration::from_secs(30);

/// A site, and how dumps are fetched from it.
pub struct Supply {
    site: Arc<dyn Site>,
    /// Where its dumps go.
    folder: PathBuf,
    /// How it is gone about.
    limits: DownloadLimits,
    /// Files at once.
    connections: usize,
    /// What it has, as of the last look.
    listed: Vec<RemoteVersion>,
    /// Dumps that it does not give any more, whatever it lists.
    gone: BTreeSet<DumpName>,
    /// Why it could not be read, as it was last told.
    told: Option<String>,
}

/// What a look brought: nothing, if it took too long.
pub type Seen = Option<Result<Vec<RemoteVersion>, SiteError>>;
/// A look at a site that is under way.
pub type Look = BoxFuture<'static, Seen>;

/// What a look at the site came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is known what it has.
    Seen,
    /// It could not be read.
    Away {
        /// When it wants to be asked again, if it said so.
        come_back: Option<Duration>,
    },
}

/// Dumps on their way: what is extracted meanwhile, and what fetches them.
pub struct OnTheWay<'a> {
    /// What is to be extracted.
    pub inputs: Vec<Input>,
    /// Ends when nothing more comes, with the dumps that can no longer be had.
    pub fetching: BoxFuture<'a, BTreeSet<DumpName>>,
}

impl Supply {
    /// A site that was not looked at yet.
    pub fn new(
        site: Arc<dyn Site>,
        folder: PathBuf,
        limits: DownloadLimits,
        connections: usize,
    ) -> Supply {
        let (listed, gone, told) = (Vec::new(), BTreeSet::new(), None);
        Supply { site, folder, limits, connections, listed, gone, told }
    }

    /// A look at what the site has. It may be dropped.
    pub fn look(&self, version: Option<Version>) -> Look {
        let wanted = version.map_or(Wanted::Newest, Wanted::Version);
        let site = Arc::clone(&self.site);
        async move { timeout(PATIENCE, site.versions(wanted)).await.ok() }.boxed()
    }

    /// Takes note of what a look brought. That the site cannot be read is told once, and that it
    /// can again too.
    pub fn note(&mut self, seen: Seen) -> Looked {
        match seen {
            Some(Ok(listed)) => {
                if self.told.take().is_some() {
                    tracing::info!(site = self.site.shown(), "the site is back");
                }
                self.listed = listed;
                Looked::Seen
            }
            Some(Err(error)) => {
                self.tell(&error);
                Looked::Away { come_back: error.come_back() }
            }
            None => {
                let site = self.site.shown();
                self.tell_words(&format!("{site} does not answer within {} s", PATIENCE.as_secs()));
                Looked::Away { come_back: None }
            }
        }
    }

    fn tell(&mut self, error: &SiteError) {
        self.tell_words(&error.to_string());
    }

    fn tell_words(&mut self, words: &str) {
        if self.told.as_deref() == Some(words) {
            tracing::debug!(error = words, "the site is still away");
        } else {
            let (error, hint) = parted(words);
            tracing::warn!(error, hint, "going on with the dumps that are here");
        }
        self.told = Some(words.to_owned());
    }

    fn missing(&self, version: &RemoteVersion) -> Vec<String> {
        let checksums = self.site.publishes_checksums();
        let kinds: &[Kind] = if checksums { &Kind::ALL } else { &[] };
        version.missing(Needs { kinds, checksums })
    }

    /// The types of each version that is wholly published.
    pub fn offers(&self) -> BTreeMap<Version, BTreeSet<Kind>> {
        let published = self.listed.iter().filter(|version| self.missing(version).is_empty());
        let kinds = |version: &RemoteVersion| {
            let names = version.dumps.iter().map(|dump| dump.name);
            names.filter(|name| !self.gone.contains(name)).map(|name| name.kind).collect()
        };
        published.map(|version| (version.version, kinds(version))).collect()
    }

    /// The newest version, if it is not wholly published yet, with what it lacks.
    pub fn half_published(&self) -> Option<(Version, String)> {
        let newest = self.listed.last()?;
        let missing = self.missing(newest);
        (!missing.is_empty()).then(|| (newest.version, missing.join(", ")))
    }

    /// Begins to fetch dumps of a version, with their checksums; `stop` ends it.
    ///
    /// # Errors
    /// If the checksums cannot be read now, which is told.
    pub async fn fetch(
        &mut self,
        version: Version,
        kinds: &[Kind],
        keeper: &Keeper,
        clock: &Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<OnTheWay<'static>, ()> {
        let listed = self.listed.iter().find(|listed| listed.version == version);
        let checksums = match listed.and_then(|listed| listed.checksums.as_deref()) {
            Some(place) => {
                let reading = timeout(PATIENCE, self.site.checksums(place));
                let site = self.site.shown().to_owned();
                match stop.run_until_cancelled(reading).await {
                    Some(Ok(read)) => read.map_err(|error| self.tell(&error))?,
                    Some(Err(_)) => {
                        self.tell_words(&format!("{site} tells no checksums in time"));
                        return Err(());
                    }
                    None => return Err(()),
                }
            }
            None => Checksums::default(),
        };
        let listed = self.listed.iter().find(|listed| listed.version == version);
        let dumps = listed.map(|listed| listed.dumps.clone()).unwrap_or_default();
        let wanted = dumps.into_iter().filter(|dump| kinds.contains(&dump.name.kind));
        let folder = self.folder.canonicalize();
        let folder = folder.map_err(|error| self.tell_words(&error.to_string()))?;
        let downloads = Downloads::new(
            keeper.clone(),
            Arc::clone(&self.site),
            folder.clone(),
            self.limits.clone(),
            Arc::clone(clock),
            stop,
        );
        let mut inputs = Vec::new();
        let mut queued = Vec::new();
        for dump in wanted {
            let dump = RemoteDump { checksum: checksums.of(&dump.name.to_string()), ..dump };
            let (tell, arrived) = watch::channel(Arrived::nothing(&dump, &folder));
            let path = self.folder.join(dump.name.to_string());
            inputs.push(Input { dump: Dump { name: dump.name, path }, arrived: Some(arrived) });
            queued.push((dump, tell));
        }
        let (downloads, connections) = (Arc::new(downloads), self.connections);
        let fetching = stream::iter(queued)
            .map(move |(dump, tell)| {
                let downloads = Arc::clone(&downloads);
                async move {
                    let fetched = downloads.fetch(&dump, tell).await;
                    matches!(fetched, Err(DownloadError::Gone { .. })).then_some(dump.name)
                }
            })
            .buffer_unordered(connections)
            .filter_map(async |gone| gone)
            .collect()
            .boxed();
        Ok(OnTheWay { inputs, fetching })
    }

    /// The key of a dump's record in the store.
    pub fn key(&self, name: DumpName) -> Option<DownloadKey> {
        Some(DownloadKey::new(name, &self.folder.canonicalize().ok()?))
    }

    /// Notes dumps that the site does not give any more.
    pub fn note_gone(&mut self, gone: BTreeSet<DumpName>) {
        self.gone.extend(gone);
    }
}
