//! Removing the rows that a complete version no longer has, a bounded stretch of the table at a
//! time. No index covers version and run, so the table is read once from end to end; only then is
//! it known what part would go.

use crate::model::{DumpName, Ordinal, Run};

/// Rows that one step looks at, and so the most that one transaction removes.
pub const STEP: u32 = 10_000;

/// What to sweep, and how far a sweep may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The version and type that are now complete.
    pub file: DumpName,
    /// The run that completed it.
    pub run: Run,
    /// Its last ordinal.
    pub last: Ordinal,
    /// Records of that run that were set aside.
    pub bad_records: u64,
    /// The highest part of the rows that may go, 0 to 1.
    pub max_fraction: f64,
    /// Whether to sweep without proof and above that part.
    pub anyway: bool,
}

/// How a sweep ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swept {
    /// It is done; so many rows were removed.
    Removed(u64),
    /// Nothing was, for this reason.
    Refused(String),
    /// It was told to stop, and is still owed.
    Stopped,
}

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
        // Nothing would go, so nothing need be proven.
        return Ok(Swept::Removed(0));
    }
    if let Some(why) = unproven(sweep, held).filter(|_| !sweep.anyway) {
        return Ok(Swept::Refused(why));
    }
    let limit = if sweep.anyway { f64::INFINITY } else { sweep.max_fraction };
    if let Some(why) = too_many(rows, stale, limit) {
        return Ok(Swept::Refused(why));
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

/// Why it is not proven that everything of the sweep's version arrived, if it is not.
fn unproven(sweep: &Sweep, held: Ordinal) -> Option<String> {
    if sweep.last == Ordinal(0) {
        Some("the dump has no records".to_owned())
    } else if sweep.bad_records > 0 {
        Some(format!("{} records of the dump were set aside", sweep.bad_records))
    } else if held < sweep.last {
        Some(format!(
            "it is not proven that all {} records arrived: the database knows of those up to {held}",
            sweep.last
        ))
    } else {
        None
    }
}

/// The reason not to remove `stale` of `rows` rows, if there is one.
fn too_many(rows: u64, stale: u64, max_fraction: f64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let fraction = if rows == 0 { 0.0 } else { stale as f64 / rows as f64 };
    (fraction > max_fraction).then(|| {
        format!(
            "{stale} of {rows} rows would go, {:.1} %, and {:.1} % is the limit",
            fraction * 100.0,
            max_fraction * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_may_take_exactly_its_part() {
        assert_eq!(too_many(0, 0, 0.0), None);
        assert_eq!(too_many(100, 10, 0.1), None);
        let words = too_many(1_000, 101, 0.1).unwrap();
        assert_eq!(words, "101 of 1000 rows would go, 10.1 %, and 10.0 % is the limit");
    }
}
