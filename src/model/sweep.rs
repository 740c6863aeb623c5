//! Removing what a complete version no longer has: what must be proven first, and how much may go.

use super::{DumpName, Ordinal, Run};

/// What to sweep, and how far a sweep may go.
#[derive(Clone, Copy, Debug, PartialEq)]
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

impl Sweep {
    /// Why it is not proven that everything of the version arrived, if it is not, where the
    /// target holds all records up to `held`.
    pub fn unproven(&self, held: Ordinal) -> Option<String> {
        if self.last == Ordinal(0) {
            Some("the dump has no records".to_owned())
        } else if self.bad_records > 0 {
            Some(format!("{} records of the dump were set aside", self.bad_records))
        } else if held < self.last {
            Some(format!(
                "it is not proven that all {} records arrived: the database knows of those up to \
                 {held}",
                self.last
            ))
        } else {
            None
        }
    }

    /// The reason not to remove `stale` of `rows` rows, if there is one.
    pub fn too_many(&self, rows: u64, stale: u64) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
        let fraction = if rows == 0 { 0.0 } else { stale as f64 / rows as f64 };
        (fraction > self.max_fraction).then(|| {
            format!(
                "{stale} of {rows} rows would go, {:.1} %, and {:.1} % is the limit",
                fraction * 100.0,
                self.max_fraction * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_may_take_exactly_its_part() {
        let sweep = |max_fraction| Sweep {
            file: "discogs_20260101_artists.xml.gz".parse().unwrap(),
            run: Run(1),
            last: Ordinal(1),
            bad_records: 0,
            max_fraction,
            anyway: false,
        };
        assert_eq!(sweep(0.0).too_many(0, 0), None);
        assert_eq!(sweep(0.1).too_many(100, 10), None);
        let words = sweep(0.1).too_many(1_000, 101).unwrap();
        assert_eq!(words, "101 of 1000 rows would go, 10.1 %, and 10.0 % is the limit");
    }
}
