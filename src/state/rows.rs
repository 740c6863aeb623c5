//! The structs that lie in the store, frozen: a change of one is a new version beside it, never an
//! edit. They hold numbers and text only, so that no change of the model can change them.

use serde::{Deserialize, Serialize};

use crate::model::{
    Checkpoint, GzipOffset, Identity, InflatePoint, Kind, MemberCheck, Ordinal, Position,
    ResumePoint, Run, Timestamp, Version, XmlOffset,
};

use super::layout::{Row, Undecodable, body_of, frozen, unknown_version};
use super::view::{EventEntry, JobEntry, OwedEntry, RunEntry};
use super::{FileState, ForcedPass, OutboxId, Owed, Status, Token};
use crate::model::Job;

/// Format 0, before the first release.
pub(super) mod v0 {
    use serde::Deserialize;

    /// Bad records were not counted apart, nor were starts without progress.
    #[derive(Deserialize)]
    pub(in crate::state) struct File {
        pub(in crate::state) size: u64,
        pub(in crate::state) ends: [u8; 32],
        pub(in crate::state) status: u8,
        pub(in crate::state) run: Option<u64>,
        pub(in crate::state) ordinal: u64,
        pub(in crate::state) offset: u64,
        pub(in crate::state) delivered: u64,
        pub(in crate::state) gzip_offset: u64,
        pub(in crate::state) attempts: u32,
        pub(in crate::state) first_start: Option<u64>,
        pub(in crate::state) last_start: Option<u64>,
        pub(in crate::state) last_activity: Option<u64>,
        pub(in crate::state) completed_at: Option<u64>,
        pub(in crate::state) error: Option<String>,
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    size: u64,
    ends: [u8; 32],
    status: u8,
    run: Option<u64>,
    position: Place,
    check: Option<(u32, u64)>,
    records: u64,
    bad_records: u64,
    sink: Option<u64>,
    gzip_offset: u64,
    attempts: u32,
    fruitless: u32,
    first_start: Option<u64>,
    last_start: Option<u64>,
    last_activity: Option<u64>,
    completed_at: Option<u64>,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum Place {
    Beginning,
    At(u64, u64),
    End,
}

impl Row for FileState {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        let Identity::Content { size, ends } = self.identity;
        let Checkpoint { position, check, records, bad_records, sink } = self.checkpoint;
        body_of(&File {
            size,
            ends,
            status: status_code(self.status),
            run: self.run.map(|run| run.0),
            position: match position {
                Position::Beginning => Place::Beginning,
                Position::At(ordinal, xml) => Place::At(ordinal.0, xml.0),
                Position::End => Place::End,
            },
            check: check.map(|check| (check.crc, check.length)),
            records,
            bad_records,
            sink,
            gzip_offset: self.gzip_offset.0,
            attempts: self.attempts,
            fruitless: self.fruitless,
            first_start: self.first_start.map(|at| at.0),
            last_start: self.last_start.map(|at| at.0),
            last_activity: self.last_activity.map(|at| at.0),
            completed_at: self.completed_at.map(|at| at.0),
            error: self.error.clone(),
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<FileState, Undecodable> {
        match version {
            0 => from_v0(frozen(body)?),
            1 => from_v1(frozen(body)?),
            other => Err(unknown_version(other)),
        }
    }
}

fn from_v1(row: File) -> Result<FileState, Undecodable> {
    Ok(FileState {
        identity: Identity::Content { size: row.size, ends: row.ends },
        status: status_of(row.status)?,
        run: row.run.map(Run),
        checkpoint: Checkpoint {
            position: match row.position {
                Place::Beginning => Position::Beginning,
                Place::At(ordinal, xml) => Position::At(Ordinal(ordinal), XmlOffset(xml)),
                Place::End => Position::End,
            },
            check: row.check.map(|(crc, length)| MemberCheck { crc, length }),
            records: row.records,
            bad_records: row.bad_records,
            sink: row.sink,
        },
        gzip_offset: GzipOffset(row.gzip_offset),
        attempts: row.attempts,
        fruitless: row.fruitless,
        first_start: row.first_start.map(Timestamp),
        last_start: row.last_start.map(Timestamp),
        last_activity: row.last_activity.map(Timestamp),
        completed_at: row.completed_at.map(Timestamp),
        error: row.error,
    })
}

/// What was not delivered up to the ordinal had been set aside.
fn from_v0(row: v0::File) -> Result<FileState, Undecodable> {
    let status = status_of(row.status)?;
    let bad_records = row
        .ordinal
        .checked_sub(row.delivered)
        .ok_or_else(|| Undecodable("more was delivered than was read".to_owned()))?;
    let position = match (status, row.ordinal) {
        (Status::Complete, _) => Position::End,
        (Status::Pending | Status::Extracting | Status::Failed, 0) => Position::Beginning,
        (Status::Pending | Status::Extracting | Status::Failed, ordinal) => {
            Position::At(Ordinal(ordinal), XmlOffset(row.offset))
        }
    };
    Ok(FileState {
        identity: Identity::Content { size: row.size, ends: row.ends },
        status,
        run: row.run.map(Run),
        checkpoint: Checkpoint {
            position,
            check: None,
            records: row.delivered,
            bad_records,
            sink: None,
        },
        gzip_offset: GzipOffset(row.gzip_offset),
        attempts: row.attempts,
        fruitless: 0,
        first_start: row.first_start.map(Timestamp),
        last_start: row.last_start.map(Timestamp),
        last_activity: row.last_activity.map(Timestamp),
        completed_at: row.completed_at.map(Timestamp),
        error: row.error,
    })
}

const fn status_code(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Extracting => 1,
        Status::Complete => 2,
        Status::Failed => 3,
    }
}

fn status_of(code: u8) -> Result<Status, Undecodable> {
    match code {
        0 => Ok(Status::Pending),
        1 => Ok(Status::Extracting),
        2 => Ok(Status::Complete),
        3 => Ok(Status::Failed),
        other => Err(Undecodable(format!("there is no status {other}"))),
    }
}

const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Artists => 0,
        Kind::Labels => 1,
        Kind::Masters => 2,
        Kind::Releases => 3,
    }
}

fn kind_of(code: u8) -> Result<Kind, Undecodable> {
    match code {
        0 => Ok(Kind::Artists),
        1 => Ok(Kind::Labels),
        2 => Ok(Kind::Masters),
        3 => Ok(Kind::Releases),
        other => Err(Undecodable(format!("there is no type {other}"))),
    }
}

fn kinds_of(codes: Vec<u8>) -> Result<Vec<Kind>, Undecodable> {
    codes.into_iter().map(kind_of).collect()
}

fn version_of(number: u32) -> Result<Version, Undecodable> {
    format!("{number:08}").parse().map_err(|_| Undecodable(format!("there is no version {number}")))
}

#[derive(Serialize, Deserialize)]
struct Point {
    gzip: u64,
    bits: u8,
    xml: u64,
    window: Vec<u8>,
    crc: u32,
    length: u64,
    after: u64,
    boundary: u64,
}

impl Row for ResumePoint {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        let InflatePoint { gzip, bits, xml, window } = self.place.clone();
        body_of(&Point {
            gzip: gzip.0,
            bits,
            xml: xml.0,
            window,
            crc: self.member.crc,
            length: self.member.length,
            after: self.after.0,
            boundary: self.boundary.0,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<ResumePoint, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: Point = frozen(body)?;
        Ok(ResumePoint {
            place: InflatePoint {
                gzip: GzipOffset(row.gzip),
                bits: row.bits,
                xml: XmlOffset(row.xml),
                window: row.window,
            },
            member: MemberCheck { crc: row.crc, length: row.length },
            after: Ordinal(row.after),
            boundary: XmlOffset(row.boundary),
        })
    }
}

/// Numbers that are never given out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// Of outbox entries, attempts and events.
    pub(super) sequence: u64,
    /// The highest run.
    pub(super) run: u64,
}

impl Row for Counters {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&(self.sequence, self.run))
    }

    fn parse(version: u8, body: &[u8]) -> Result<Counters, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let (sequence, run) = frozen(body)?;
        Ok(Counters { sequence, run })
    }
}

#[derive(Serialize, Deserialize)]
struct JobRow {
    job: String,
    location: String,
    first_seen: u64,
}

impl Row for JobEntry {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&JobRow {
            job: self.job.as_str().to_owned(),
            location: self.location.clone(),
            first_seen: self.first_seen.0,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<JobEntry, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: JobRow = frozen(body)?;
        Ok(JobEntry {
            job: Job::new(row.job),
            location: row.location,
            first_seen: Timestamp(row.first_seen),
        })
    }
}

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

#[derive(Serialize, Deserialize)]
struct RunRow {
    number: u64,
    job: String,
    version: u32,
    kind: u8,
    file: String,
    run: u64,
    started_at: u64,
    from: u64,
    ended_at: Option<u64>,
    reason: Option<String>,
    records: u64,
    bad_records: u64,
}

impl Row for RunEntry {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&RunRow {
            number: self.number,
            job: self.key.job.as_str().to_owned(),
            version: self.key.version.number(),
            kind: kind_code(self.key.kind),
            file: self.key.file.clone(),
            run: self.run.0,
            started_at: self.started_at.0,
            from: self.from.0,
            ended_at: self.ended_at.map(|at| at.0),
            reason: self.reason.clone(),
            records: self.records,
            bad_records: self.bad_records,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<RunEntry, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: RunRow = frozen(body)?;
        Ok(RunEntry {
            number: row.number,
            key: super::FileKey {
                job: Job::new(row.job),
                version: version_of(row.version)?,
                kind: kind_of(row.kind)?,
                file: row.file,
            },
            run: Run(row.run),
            started_at: Timestamp(row.started_at),
            from: Ordinal(row.from),
            ended_at: row.ended_at.map(Timestamp),
            reason: row.reason,
            records: row.records,
            bad_records: row.bad_records,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct EventRow {
    number: u64,
    at: u64,
    job: Option<String>,
    file: Option<String>,
    what: String,
}

impl Row for EventEntry {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&EventRow {
            number: self.number,
            at: self.at.0,
            job: self.job.as_ref().map(|job| job.as_str().to_owned()),
            file: self.file.clone(),
            what: self.what.clone(),
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<EventEntry, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: EventRow = frozen(body)?;
        Ok(EventEntry {
            number: row.number,
            at: Timestamp(row.at),
            job: row.job.map(Job::new),
            file: row.file,
            what: row.what,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ForcedRow {
    job: String,
    version: u32,
    kinds: Vec<u8>,
    remaining: Vec<u8>,
    word: String,
    since: u64,
}

impl Row for ForcedPass {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        let codes = |kinds: &[Kind]| kinds.iter().copied().map(kind_code).collect();
        body_of(&ForcedRow {
            job: self.job.as_str().to_owned(),
            version: self.version.number(),
            kinds: codes(&self.kinds),
            remaining: codes(&self.remaining),
            word: self.word.clone(),
            since: self.since.0,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<ForcedPass, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: ForcedRow = frozen(body)?;
        Ok(ForcedPass {
            job: Job::new(row.job),
            version: version_of(row.version)?,
            kinds: kinds_of(row.kinds)?,
            remaining: kinds_of(row.remaining)?,
            word: row.word,
            since: Timestamp(row.since),
        })
    }
}

impl Row for Token {
    const VERSION: u8 = 1;

    fn body(&self) -> Vec<u8> {
        body_of(&(self.job.as_str(), &self.word, self.at.0))
    }

    fn parse(version: u8, body: &[u8]) -> Result<Token, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let (job, word, at): (String, String, u64) = frozen(body)?;
        Ok(Token { job: Job::new(job), word, at: Timestamp(at) })
    }
}

#[cfg(test)]
mod tests;
