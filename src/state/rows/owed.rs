//! The row of an entry of the outbox.

use serde::{Deserialize, Serialize};

use crate::model::{Job, Ordinal, Run, Timestamp};
use crate::state::layout::{Row, Undecodable, body_of, frozen, unknown_version};
use crate::state::view::OwedEntry;
use crate::state::{OutboxId, Owed};

use super::{kind_code, kind_of, version_of};

#[derive(Serialize, Deserialize)]
struct OwedRow {
    id: u64,
    job: String,
    since: u64,
    refused: Option<String>,
    what: What,
}

#[derive(Serialize, Deserialize)]
enum What {
    FileComplete {
        version: u32,
        kind: u8,
        file: String,
        run: u64,
        last: u64,
        records: u64,
        bad_records: u64,
        at: u64,
    },
    Sweep {
        version: u32,
        kind: u8,
        run: u64,
        last: u64,
        bad_records: u64,
    },
    ExtractionComplete {
        version: u32,
        started_at: u64,
        record_counts: [u64; 4],
        at: u64,
    },
}

impl Row for OwedEntry {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        let what = match self.owed.clone() {
            Owed::FileComplete { version, kind, file, run, last, records, bad_records, at } => {
                What::FileComplete {
                    version: version.number(),
                    kind: kind_code(kind),
                    file,
                    run: run.0,
                    last: last.0,
                    records,
                    bad_records,
                    at: at.0,
                }
            }
            Owed::Sweep { version, kind, run, last, bad_records } => What::Sweep {
                version: version.number(),
                kind: kind_code(kind),
                run: run.0,
                last: last.0,
                bad_records,
            },
            Owed::ExtractionComplete { version, started_at, record_counts, at } => {
                What::ExtractionComplete {
                    version: version.number(),
                    started_at: started_at.0,
                    record_counts,
                    at: at.0,
                }
            }
        };
        body_of(&OwedRow {
            id: self.id.0,
            job: self.job.as_str().to_owned(),
            since: self.since.0,
            refused: self.refused.clone(),
            what,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<OwedEntry, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: OwedRow = frozen(body)?;
        let owed = match row.what {
            What::FileComplete { version, kind, file, run, last, records, bad_records, at } => {
                Owed::FileComplete {
                    version: version_of(version)?,
                    kind: kind_of(kind)?,
                    file,
                    run: Run(run),
                    last: Ordinal(last),
                    records,
                    bad_records,
                    at: Timestamp(at),
                }
            }
            What::Sweep { version, kind, run, last, bad_records } => Owed::Sweep {
                version: version_of(version)?,
                kind: kind_of(kind)?,
                run: Run(run),
                last: Ordinal(last),
                bad_records,
            },
            What::ExtractionComplete { version, started_at, record_counts, at } => {
                Owed::ExtractionComplete {
                    version: version_of(version)?,
                    started_at: Timestamp(started_at),
                    record_counts,
                    at: Timestamp(at),
                }
            }
        };
        Ok(OwedEntry {
            id: OutboxId(row.id),
            job: Job::new(row.job),
            since: Timestamp(row.since),
            refused: row.refused,
            owed,
        })
    }
}
