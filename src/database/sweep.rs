//! Removing the rows that a complete version no longer has, a bounded stretch of the table at a
//! time. No index covers version and run, so the table is read once from end to end; only then is
//! it known what part would go. A sweep that is proven is remembered before the first row goes, also
//! if none has to: what is removed must not come back by a message that is late.

use crate::model::Ordinal;
pub use crate::model::{Sweep, Swept};

/// Rows that one step looks at, and so the most that one transaction removes.
pub const STEP: u32 = 10_000;

/// Consecutive rows of a table.
pub trait Stretch {
    /// How many rows it has.
    fn rows(&self) -> u64;

    /// How many of them the version no longer has.
    fn stale(&self) -> u64;
}

/// A table that is swept. Both steps may wait for the database for as long as it takes; while
/// they do they ask `go_on` with 0 rows, and give nothing once it says no.
pub trait Rows {
    /// A part of the table.
    type Stretch: Stretch;
    /// Why it cannot go on.
    type Error;

    /// The stretch that follows another, or the first; the inner none at the end of the table.
    ///
    /// # Errors
    /// If the database fails.
    fn next(
        &mut self,
        previous: Option<&Self::Stretch>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Option<Self::Stretch>>, Self::Error>;

    /// Remembers the sweep, durably, and waits for whoever writes and does not know of it yet.
    ///
    /// # Errors
    /// If the database fails.
    fn remember(&mut self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Option<()>, Self::Error>;

    /// Removes what is stale in a stretch; says how many rows.
    ///
    /// # Errors
    /// If the database fails.
    fn remove(
        &mut self,
        stretch: &Self::Stretch,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<u64>, Self::Error>;
}

/// Removes what is stale, if that is proven and not too much. `held` is the last ordinal up to
/// which the database knows of every record of the run.
///
/// # Errors
/// If the database fails; a refusal is no error.
pub fn sweep<R: Rows>(
    table: &mut R,
    sweep: &Sweep,
    held: Ordinal,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Swept, R::Error> {
    let (mut rows, mut stale) = (0, 0);
    let mut stretches: Vec<R::Stretch> = Vec::new();
    let mut previous = None;
    loop {
        let Some(next) = table.next(previous.as_ref(), go_on)? else { return Ok(Swept::Stopped) };
        let Some(stretch) = next else { break };
        rows += stretch.rows();
        stale += stretch.stale();
        let looked_at = stretch.rows();
        if let Some(passed) = previous.replace(stretch).filter(|passed| passed.stale() > 0) {
            stretches.push(passed);
        }
        if !go_on(looked_at) {
            return Ok(Swept::Stopped);
        }
    }
    stretches.extend(previous.filter(|last| last.stale() > 0));
    if stale == 0 {
        return nothing_stale(table, sweep, held, go_on);
    }
    if let Some(why) = sweep.unproven(held).filter(|_| !sweep.anyway) {
        return Ok(Swept::Refused(why));
    }
    if let Some(why) = sweep.too_many(rows, stale).filter(|_| !sweep.anyway) {
        return Ok(Swept::Refused(why));
    }
    if table.remember(go_on)?.is_none() {
        return Ok(Swept::Stopped);
    }
    let mut removed = 0;
    for stretch in &stretches {
        let Some(step) = table.remove(stretch, go_on)? else { return Ok(Swept::Stopped) };
        removed += step;
        if !go_on(step) {
            return Ok(Swept::Stopped);
        }
    }
    Ok(Swept::Removed(removed))
}

/// Ends a sweep that has nothing to remove. That need not be proven, but only what is proven is
/// remembered.
///
/// # Errors
/// If the database fails.
pub fn nothing_stale<R: Rows>(
    table: &mut R,
    sweep: &Sweep,
    held: Ordinal,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Swept, R::Error> {
    let proven = sweep.anyway || sweep.unproven(held).is_none();
    if proven && table.remember(go_on)?.is_none() {
        return Ok(Swept::Stopped);
    }
    Ok(Swept::Removed(0))
}
