//! The row of a file, in every format there has been.

use serde::{Deserialize, Serialize};

use crate::model::{
    Checkpoint, GzipOffset, Identity, MemberCheck, Ordinal, Position, Run, Timestamp, XmlOffset,
};
use crate::state::layout::{Row, Undecodable, body_of, frozen, unknown_version};
use crate::state::{FileState, Status};

/// Before files could be extracted while they are downloaded, an identity was that of a content;
/// since then a byte in front says which it is.
type FileOf = (bool, File);

/// Format 0, before the first release.
mod v0 {
    use serde::Deserialize;

    /// Bad records were not counted apart, nor were starts without progress.
    #[derive(Deserialize)]
    pub(super) struct File {
        pub(super) size: u64,
        pub(super) ends: [u8; 32],
        pub(super) status: u8,
        pub(super) run: Option<u64>,
        pub(super) ordinal: u64,
        pub(super) offset: u64,
        pub(super) delivered: u64,
        pub(super) gzip_offset: u64,
        pub(super) attempts: u32,
        pub(super) first_start: Option<u64>,
        pub(super) last_start: Option<u64>,
        pub(super) last_activity: Option<u64>,
        pub(super) completed_at: Option<u64>,
        pub(super) error: Option<String>,
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    size: u64,
    identity: [u8; 32],
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
    const VERSION: u8 = 2;

    fn body(&self) -> Vec<u8> {
        let (of_source, size, identity) = match self.identity {
            Identity::Content { size, ends } => (false, size, ends),
            Identity::Source { size, named } => (true, size, named),
        };
        let Checkpoint { position, check, records, bad_records, sink } = self.checkpoint;
        let file = File {
            size,
            identity,
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
        };
        body_of(&(of_source, file))
    }

    fn parse(version: u8, body: &[u8]) -> Result<FileState, Undecodable> {
        match version {
            0 => from_v0(frozen(body)?),
            1 => from_v2((false, frozen(body)?)),
            2 => from_v2(frozen(body)?),
            other => Err(unknown_version(other)),
        }
    }
}

fn from_v2((of_source, row): FileOf) -> Result<FileState, Undecodable> {
    let size = row.size;
    let state = FileState {
        identity: if of_source {
            Identity::Source { size, named: row.identity }
        } else {
            Identity::Content { size, ends: row.identity }
        },
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
    };
    Ok(state.of_sender())
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
