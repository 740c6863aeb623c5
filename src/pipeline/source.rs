//! The compressed bytes of a dump: of one that is wholly here, or of one that still grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::download::{Arrived, ArrivedState};

/// A dump that is read.
pub struct Source {
    file: File,
    growth: Option<Growth>,
}

/// What a reader knows of a dump that still grows.
pub struct Growth {
    arrived: watch::Receiver<Arrived>,
    /// Which of the files that there have been under the name this is.
    generation: u64,
    /// Where in the file the next byte is read.
    at: u64,
    waits: Arc<AtomicBool>,
    runtime: Handle,
    stop: CancellationToken,
}

impl Growth {
    /// The growth of the file that `arrived` tells of now. `waits` is set while a reader waits for
    /// bytes, which ends early with `stop`. It must be made on the runtime.
    pub fn new(
        arrived: watch::Receiver<Arrived>,
        waits: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> Growth {
        let generation = arrived.borrow().generation;
        Growth { arrived, generation, at: 0, waits, runtime: Handle::current(), stop }
    }

    /// Waits, on a thread of its own, until there are bytes to be read, and says how many; none
    /// if the file is wholly here, so that its end is an end.
    fn wait(&mut self) -> io::Result<Option<u64>> {
        loop {
            let now = self.arrived.borrow_and_update().clone();
            if now.generation != self.generation {
                return Err(io::Error::other("the download started over"));
            }
            match now.state {
                ArrivedState::Growing if now.synced > self.at => {
                    return Ok(Some(now.synced - self.at));
                }
                ArrivedState::Growing => {}
                ArrivedState::Verified | ArrivedState::Unverified => return Ok(None),
                ArrivedState::Failed { why, .. } => return Err(io::Error::other(why)),
            }
            self.hear()?;
        }
    }

    /// Waits until something is told of the download.
    fn hear(&mut self) -> io::Result<()> {
        self.waits.store(true, Ordering::Relaxed);
        let heard = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err("stopped"),
                changed = self.arrived.changed() => changed.map_err(|_| "the download ended"),
            }
        });
        self.waits.store(false, Ordering::Relaxed);
        heard.map_err(io::Error::other)
    }
}

impl Source {
    /// A file that is wholly here, from its beginning.
    pub const fn whole(file: File) -> Source {
        Source { file, growth: None }
    }

    /// A file that grows, from its beginning.
    pub const fn growing(file: File, growth: Growth) -> Source {
        Source { file, growth: Some(growth) }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(growth) = &mut self.growth else { return self.file.read(buffer) };
        while !buffer.is_empty() {
            let Some(here) = growth.wait()? else { return self.file.read(buffer) };
            let here = usize::try_from(here).unwrap_or(usize::MAX);
            let most = buffer.len().min(here);
            let read = self.file.read(&mut buffer[..most])?;
            if read > 0 {
                growth.at += read as u64;
                return Ok(read);
            }
            // The bytes were taken away: they start over, which is told after that.
            growth.hear()?;
        }
        Ok(0)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.file.seek(to)?;
        if let Some(growth) = &mut self.growth {
            growth.at = at;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn arrived(state: ArrivedState, generation: u64, synced: u64) -> Arrived {
        let (part, identity, length) = (std::path::PathBuf::new(), None, None);
        Arrived { part, identity, generation, synced, length, state }
    }

    #[tokio::test]
    async fn a_reader_gets_what_is_synced_and_the_end_only_of_what_is_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(b"0123456789").unwrap();
        let (tell, heard) = watch::channel(arrived(ArrivedState::Growing, 1, 4));
        let (waits, stop) = (Arc::default(), CancellationToken::new());
        let growth = Growth::new(heard, Arc::clone(&waits), stop.clone());
        let mut source = Source::growing(file.reopen().unwrap(), growth);
        let (pieces, mut got) = tokio::sync::mpsc::unbounded_channel();
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 8];
            loop {
                let read = source.read(&mut buffer)?;
                pieces.send(buffer[..read].to_vec()).unwrap();
                if read == 0 {
                    source.seek(SeekFrom::Start(0))?;
                }
            }
        });
        assert_eq!(got.recv().await.unwrap(), b"0123");
        while !waits.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        tell.send_replace(arrived(ArrivedState::Growing, 1, 10));
        assert_eq!(got.recv().await.unwrap(), b"456789");
        tell.send_replace(arrived(ArrivedState::Verified, 1, 10));
        assert_eq!(got.recv().await.unwrap(), b"");
        assert_eq!(got.recv().await.unwrap(), b"01234567");
        // The bytes go before it is told: that is no end.
        tell.send_replace(arrived(ArrivedState::Growing, 1, 10));
        file.as_file().set_len(0).unwrap();
        tell.send_replace(arrived(ArrivedState::Growing, 2, 10));
        let ended: io::Result<()> =
            tokio::task::spawn_blocking(|| reading.join().unwrap()).await.unwrap();
        assert_eq!(ended.unwrap_err().to_string(), "the download started over");
    }

    #[tokio::test]
    async fn a_reader_that_waits_ends_with_the_stop_and_with_the_download() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (tell, heard) = watch::channel(arrived(ArrivedState::Growing, 1, 0));
        let waiting = |stop: &CancellationToken| {
            let growth = Growth::new(heard.clone(), Arc::default(), stop.clone());
            let mut source = Source::growing(file.reopen().unwrap(), growth);
            tokio::task::spawn_blocking(move || source.read(&mut [0]).unwrap_err().to_string())
        };
        let stop = CancellationToken::new();
        let one = waiting(&stop);
        stop.cancel();
        assert_eq!(one.await.unwrap(), "stopped");
        let other = waiting(&CancellationToken::new());
        let failed = ArrivedState::Failed { why: "no more".to_owned(), mismatch: false };
        tell.send_replace(arrived(failed, 1, 0));
        assert_eq!(other.await.unwrap(), "no more");
    }
}
