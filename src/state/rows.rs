//! The structs that lie in the store, frozen: a change of one is a new version beside it, never an
//! edit. They hold numbers and text only, so that no change of the model can change them.

mod download;
mod file;
mod owed;

use serde::{Deserialize, Serialize};

use crate::model::{
    Boundary, GzipOffset, InflatePoint, Job, Kind, MemberCheck, Ordinal, ResumePoint, Run,
    Timestamp, Version, XmlOffset,
};

use super::layout::{Row, Undecodable, body_of, frozen, unknown_version};
use super::view::{EventEntry, JobEntry, RunEntry};
use super::{FileKey, ForcedPass, Token};

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

/// A point, as it has been since format 2: before, the check at the boundary was not there, and some
/// points lay beyond their boundary. No store of format 2 has such points.
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
    boundary_crc: u32,
    boundary_length: u64,
}

impl Row for ResumePoint {
    const VERSION: u8 = 2;

    fn body(&self) -> Vec<u8> {
        let InflatePoint { gzip, bits, xml, window } = self.place().clone();
        let (member, boundary) = (self.member(), self.boundary());
        body_of(&Point {
            gzip: gzip.0,
            bits,
            xml: xml.0,
            window,
            crc: member.crc,
            length: member.length,
            after: boundary.after.0,
            boundary: boundary.xml.0,
            boundary_crc: boundary.check.crc,
            boundary_length: boundary.check.length,
        })
    }

    fn parse(version: u8, body: &[u8]) -> Result<ResumePoint, Undecodable> {
        if version != Self::VERSION {
            return Err(unknown_version(version));
        }
        let row: Point = frozen(body)?;
        let place = InflatePoint {
            gzip: GzipOffset(row.gzip),
            bits: row.bits,
            xml: XmlOffset(row.xml),
            window: row.window,
        };
        let member = MemberCheck { crc: row.crc, length: row.length };
        let boundary = Boundary {
            after: Ordinal(row.after),
            xml: XmlOffset(row.boundary),
            check: MemberCheck { crc: row.boundary_crc, length: row.boundary_length },
        };
        ResumePoint::new(place, member, boundary).map_err(|error| Undecodable(error.to_string()))
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
            key: FileKey {
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
