//! Asks for the state, whoever has it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::daemon::control::{self, Request, Response};
use crate::model::SystemClock;
use crate::state::{self, Inspection, Keeper};

/// How long a store that somebody holds without answering is asked again: an owner that starts or
/// ends, or another inspector.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known, from the owner of the state directory or from the store.
pub fn inspect(dir: &Path) -> Result<Inspection> {
    Store::new(dir)?.inspect()
}

/// Where the state is asked for.
pub struct Store<'a> {
    dir: &'a Path,
    runtime: tokio::runtime::Runtime,
    /// Time.
    pub clock: SystemClock,
}

impl Store<'_> {
    /// The store of a state directory, whether it is there or not.
    ///
    /// # Errors
    /// If the system gives no runtime.
    pub fn new(dir: &Path) -> Result<Store<'_>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        Ok(Store { dir, runtime, clock: SystemClock::new() })
    }

    /// From the owner, who knows more; from the store if there is none.
    ///
    /// # Errors
    /// If neither says anything that can be read.
    pub fn inspect(&self) -> Result<Inspection> {
        let began = Instant::now();
        loop {
            match self.ask(&Request::Inspect)? {
                Some(Response::Inspection(inspection)) => return Ok(*inspection),
                Some(Response::Refused { why }) => bail!(why),
                Some(Response::Forgotten { .. }) => bail!("the owner gave another answer"),
                None => {}
            }
            match state::open_for_inspection(self.dir) {
                Err(state::StateError::Owned { .. }) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                inspected => return Ok(inspected?),
            }
        }
    }

    fn ask(&self, request: &Request) -> Result<Option<Response>> {
        let asked = self.runtime.block_on(control::ask(self.dir, request));
        asked.context("the process that has the state gave no answer that can be read")
    }

    /// Has the owner do it, or, without one, does it as the owner.
    ///
    /// # Errors
    /// If the owner refuses, or the store does.
    pub fn forget(
        &self,
        request: &Request,
        alone: impl AsyncFnOnce(&Keeper) -> Result<usize, state::StateError>,
    ) -> Result<usize> {
        match self.ask(request)? {
            Some(Response::Forgotten { files }) => Ok(files),
            Some(Response::Refused { why }) => Err(anyhow!(why)),
            Some(Response::Inspection(_)) => Err(anyhow!("the owner gave another answer")),
            None => {
                let clock = std::sync::Arc::new(SystemClock::new());
                self.runtime.block_on(async {
                    let keeper = Keeper::open(self.dir, clock).await?;
                    let files = alone(&keeper).await?;
                    keeper.close().await?;
                    Ok(files)
                })
            }
        }
    }
}
