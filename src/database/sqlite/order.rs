//! The statements that write a row, and the rule of which of two writes of one id wins.

use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::runs::is_older_than_sweep;
use super::unnumbered::is_of_pass;
use crate::database::stored::stored_run;
use crate::database::{Batch, Row};
use crate::model::agreement::Counted;
use crate::model::{Kind, Timestamp};

/// Whether a row goes in a sweep of this run (?2) of the version (?1).
pub(super) const STALE: &str =
    "(version IS NULL OR version < ?1 OR (version = ?1 AND coalesce(run, -1) < ?2))";

/// What writing a row came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    Row,
    /// Its row is there from a later version, run or ordinal.
    NothingLater,
    /// It has no row, and a later sweep says that it is to have none.
    NothingSwept,
}

/// The statement for a batch of rows.
pub(super) struct Upsert<'c> {
    connection: &'c Connection,
    kind: Kind,
    statement: CachedStatement<'c>,
    /// A later version or run was swept: rows that are there may change, none is inserted.
    only_there: bool,
    /// The pass that the rows bear that have no run.
    pass: Option<u64>,
    /// Ids that were not written in that pass before.
    ids: u64,
}

impl<'c> Upsert<'c> {
    /// The statement with everything bound that is the same for a whole batch. Within the
    /// transaction that writes, which no sweep can get between.
    pub(super) fn new(
        connection: &'c Connection,
        batch: &Batch,
        pass: Option<u64>,
        now: Timestamp,
    ) -> rusqlite::Result<Upsert<'c>> {
        let kind = batch.kind;
        let only_there = match batch.source {
            Some((version, run)) => is_older_than_sweep(connection, kind, version, run)?,
            None => false,
        };
        let sql = if only_there { update_sql(kind) } else { upsert_sql(kind) };
        let mut statement = connection.prepare_cached(sql)?;
        let (version, run) = batch.source.unzip();
        statement.raw_bind_parameter(4, version.map(|version| version.to_string()))?;
        statement.raw_bind_parameter(5, run.map(stored_run).or(pass.map(u64::cast_signed)))?;
        statement.raw_bind_parameter(6, format!("{now:.3}"))?;
        Ok(Upsert { connection, kind, statement, only_there, pass, ids: 0 })
    }

    pub(super) fn row(&mut self, row: &Row) -> rusqlite::Result<Wrote> {
        self.statement.raw_bind_parameter(1, &*row.id)?;
        self.statement.raw_bind_parameter(2, text(&row.hash.hex()))?;
        self.statement.raw_bind_parameter(3, text(&row.json))?;
        let ordinal = row.ordinal.map(|ordinal| ordinal.0.cast_signed());
        self.statement.raw_bind_parameter(7, ordinal)?;
        let counts = match self.pass {
            Some(pass) => !is_of_pass(self.connection, self.kind, &row.id, pass)?,
            None => false,
        };
        if self.statement.raw_execute()? > 0 {
            self.ids += u64::from(counts);
            Ok(Wrote::Row)
        } else if self.only_there && !self.is_there(&row.id)? {
            Ok(Wrote::NothingSwept)
        } else {
            Ok(Wrote::NothingLater)
        }
    }

    /// What was written of a pass, but for how long it took.
    pub(super) fn counted(&self) -> Option<Counted> {
        Some(Counted { pass: self.pass?, ids: self.ids, took: Duration::ZERO })
    }

    fn is_there(&self, id: &str) -> rusqlite::Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE data_id = ?1", self.kind);
        self.connection.prepare_cached(&sql)?.exists([id])
    }
}

/// Text that is known to be UTF-8.
fn text(bytes: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(bytes))
}

/// What a row gets where it is there, and whether it may. Equal hashes are equal data, so an
/// unchanged row gets only a new stamp.
macro_rules! change {
    () => {
        " hash = ?2, data = ?3, version = ?4, run = ?5, ordinal = ?7,
          updated_at = CASE WHEN row.hash = ?2 THEN row.updated_at ELSE ?6 END
          WHERE (row.version IS NULL OR row.version < ?4
              OR (row.version = ?4 AND (coalesce(row.run, -1) < ?5
                  OR (row.run = ?5 AND coalesce(row.ordinal <= ?7, TRUE)))))"
    };
}

/// Statements of all four tables: they are looked up for every batch, and not made each time.
macro_rules! of_each {
    ($kind:expr, $before:expr, $after:expr) => {
        match $kind {
            Kind::Artists => concat!($before, "artists", $after),
            Kind::Labels => concat!($before, "labels", $after),
            Kind::Masters => concat!($before, "masters", $after),
            Kind::Releases => concat!($before, "releases", $after),
        }
    };
}

fn upsert_sql(kind: Kind) -> &'static str {
    of_each!(
        kind,
        "INSERT INTO ",
        concat!(
            " AS row (data_id, hash, data, version, run, ordinal, updated_at)
              VALUES (?1, ?2, ?3, ?4, ?5, ?7, ?6) ON CONFLICT (data_id) DO UPDATE SET",
            change!()
        )
    )
}

fn update_sql(kind: Kind) -> &'static str {
    of_each!(kind, "UPDATE ", concat!(" AS row SET", change!(), " AND row.data_id = ?1"))
}
