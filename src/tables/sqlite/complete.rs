//! Consumers' notes in SQLite.

use rusqlite::{Connection, Row, params};

use super::{delivered, stored_run};
use crate::model::complete::{Announced, Note, Noter, Sweep};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

/// What names a note beside the consumer and the type, as the table holds it.
fn key(announced: &Announced) -> (String, i64) {
    let version = announced.version.map(|version| version.to_string()).unwrap_or_default();
    (version, announced.proof.map_or(0, |(run, ..)| stored_run(run)))
}

fn stored(at: Timestamp) -> i64 {
    at.0.cast_signed()
}

/// Everything that is noted of a type.
///
/// # Errors
/// If the database fails.
pub fn notes(connection: &Connection, noter: &Noter, kind: Kind) -> rusqlite::Result<Vec<Note>> {
    let mut found = connection
        .prepare_cached(
            "SELECT version, run, last, bad_records, completed_at, cancel_at, cancelled_at, sweep
             FROM extractor_complete WHERE consumer = ?1 AND type = ?2",
        )?
        .query_map((&noter.consumer, kind.name()), |row| read(row, kind))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for note in &mut found {
        let (Some(version), Some((run, last, _))) = (note.announced.version, note.announced.proof)
        else {
            continue;
        };
        let held = delivered(connection, DumpName { version, kind }, run)?;
        note.written = held.count_to(last);
    }
    Ok(found)
}

fn read(row: &Row<'_>, kind: Kind) -> rusqlite::Result<Note> {
    let time = |index| {
        let at: Option<i64> = row.get(index)?;
        Ok::<_, rusqlite::Error>(at.map(|at| Timestamp(at.cast_unsigned())))
    };
    let run = Run(row.get::<_, i64>(1)?.cast_unsigned());
    let last: Option<i64> = row.get(2)?;
    let bad_records: Option<i64> = row.get(3)?;
    let proof = last.zip(bad_records);
    Ok(Note {
        announced: Announced {
            kind,
            version: row.get::<_, String>(0)?.parse::<Version>().ok(),
            proof: proof
                .map(|(last, bad)| (run, Ordinal(last.cast_unsigned()), bad.cast_unsigned())),
        },
        written: 0,
        completed_at: time(4)?,
        cancel_at: time(5)?,
        cancelled_at: time(6)?,
        sweep: row.get::<_, Option<String>>(7)?.as_deref().and_then(Sweep::named),
    })
}

/// Notes the end of a run. That of one that is complete schedules its cancellation if there is
/// none; without proof it has to be found complete again.
///
/// # Errors
/// If the database fails.
pub fn announce(
    connection: &Connection,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (version, run) = key(announced);
    let (last, bad_records) = announced.proof.map(|(_, last, bad)| (last.0, bad)).unzip();
    connection.execute(
        "INSERT INTO extractor_complete AS note
             (consumer, type, version, run, last, bad_records, announced_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (consumer, type, version, run) DO UPDATE SET
             last = excluded.last, bad_records = excluded.bad_records,
             completed_at = CASE WHEN excluded.last IS NULL AND cancel_at IS NULL
                 THEN NULL ELSE completed_at END,
             cancel_at = CASE WHEN completed_at IS NOT NULL AND excluded.last IS NOT NULL
                 THEN coalesce(cancel_at, ?8) ELSE cancel_at END",
        params![
            noter.consumer,
            announced.kind.name(),
            version,
            run,
            last.map(u64::cast_signed),
            bad_records.map(u64::cast_signed),
            stored(now),
            noter.cancel_at(now).map(stored)
        ],
    )?;
    Ok(())
}

/// Notes that a run is complete; false if that was noted before.
///
/// # Errors
/// If the database fails.
pub fn complete(
    connection: &Connection,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let (version, run) = key(announced);
    let sweep = announced.proof.map(|_| Sweep::Owed.name());
    let changed = connection.execute(
        "UPDATE extractor_complete SET completed_at = ?5, cancel_at = ?6, cancelled_at = NULL,
             sweep = ?7
         WHERE consumer = ?1 AND type = ?2 AND version = ?3 AND run = ?4 AND completed_at IS NULL",
        params![
            noter.consumer,
            announced.kind.name(),
            version,
            run,
            stored(now),
            noter.cancel_at(now).map(stored),
            sweep
        ],
    )?;
    Ok(changed > 0)
}

/// Notes what written records mean for cancellations. Within the records' transaction.
///
/// # Errors
/// If the database fails.
pub fn data_came(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    sources: &[Option<(Version, Run)>],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut scheduled = connection.prepare_cached(
        "SELECT version, run, last, bad_records, completed_at, cancel_at, cancelled_at, sweep
         FROM extractor_complete WHERE consumer = ?1 AND type = ?2 AND cancel_at IS NOT NULL",
    )?;
    let scheduled = scheduled
        .query_map((&noter.consumer, kind.name()), |row| read(row, kind))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for before in scheduled {
        let after = before.after_data(noter, sources, now);
        let (version, run) = key(&before.announced);
        connection.execute(
            "UPDATE extractor_complete SET cancel_at = ?5, cancelled_at = ?6
             WHERE consumer = ?1 AND type = ?2 AND version = ?3 AND run = ?4",
            params![
                noter.consumer,
                kind.name(),
                version,
                run,
                after.cancel_at.map(stored),
                after.cancelled_at.map(stored)
            ],
        )?;
    }
    Ok(())
}

/// Notes that a type's consumers are cancelled, if that is due.
///
/// # Errors
/// If the database fails.
pub fn cancel(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE extractor_complete SET cancelled_at = ?3
         WHERE consumer = ?1 AND type = ?2 AND cancel_at <= ?3 AND cancelled_at IS NULL",
        (&noter.consumer, kind.name(), stored(now)),
    )?;
    Ok(())
}

/// Notes that a type's consumers read again; they are cancelled again, unless records come.
///
/// # Errors
/// If the database fails.
pub fn resume(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE extractor_complete SET cancelled_at = NULL, cancel_at = ?3
         WHERE consumer = ?1 AND type = ?2 AND cancelled_at IS NOT NULL",
        (&noter.consumer, kind.name(), noter.cancel_at(now).map(stored)),
    )?;
    Ok(())
}

/// Notes the end of a version as it was announced on one type's exchange.
///
/// # Errors
/// If the database fails.
pub fn extraction_complete(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    version: Version,
    words: (Option<&str>, Option<&str>),
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO extractor_announced
             (consumer, version, type, started_at, record_counts, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (consumer, version, type) DO UPDATE SET
             started_at = excluded.started_at, record_counts = excluded.record_counts",
        params![noter.consumer, version.to_string(), kind.name(), words.0, words.1, stored(now)],
    )?;
    Ok(())
}

/// Takes an owed sweep, or one that was refused, for `me` until some time; false if somebody else
/// has it.
///
/// # Errors
/// If the database fails.
pub fn claim_sweep(
    connection: &Connection,
    noter: &Noter,
    announced: &Announced,
    me: &str,
    now: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<bool> {
    let (version, run) = key(announced);
    let changed = connection.execute(
        "UPDATE extractor_complete SET swept_by = ?5, swept_until = ?6
         WHERE consumer = ?1 AND type = ?2 AND version = ?3 AND run = ?4
             AND sweep IN ('owed', 'refused')
             AND (swept_by = ?5 OR swept_until IS NULL OR swept_until < ?7)",
        params![
            noter.consumer,
            announced.kind.name(),
            version,
            run,
            me,
            stored(until),
            stored(now)
        ],
    )?;
    Ok(changed > 0)
}

/// Notes how a sweep ended.
///
/// # Errors
/// If the database fails.
pub fn end_sweep(
    connection: &Connection,
    noter: &Noter,
    announced: &Announced,
    sweep: Sweep,
    words: &str,
) -> rusqlite::Result<()> {
    let (version, run) = key(announced);
    connection.execute(
        "UPDATE extractor_complete SET sweep = ?5, sweep_words = ?6, swept_until = NULL
         WHERE consumer = ?1 AND type = ?2 AND version = ?3 AND run = ?4",
        params![noter.consumer, announced.kind.name(), version, run, sweep.name(), words],
    )?;
    Ok(())
}
