//! Consumers' notes in SQLite. What is decided is `model/agreement`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::delivered::delivered;
use super::refused::refused;
use super::unnumbered::{note_unnumbered, unnumbered};
use crate::database::stored::{NOTE, note_key, stored_time};
use crate::database::{Noted, VersionEnd};
use crate::model::agreement::{
    Announced, Claim, Completion, Event, Note, Noter, Sweep, Unproven, next,
};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

/// What is noted of a type, and how much of each run is written.
///
/// # Errors
/// If the database fails.
pub fn notes(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    which: Noted,
) -> rusqlite::Result<Completion> {
    let mut found = agreed(connection, noter, kind, which)?;
    if which.needs_unnumbered(&found.notes) {
        found.unnumbered = unnumbered(connection, noter, kind)?;
    }
    let counted = found.unnumbered;
    let mut open = found.notes.iter_mut().filter(|note| which.counts(note)).peekable();
    if open.peek().is_none() {
        return Ok(found);
    }
    let refused = refused(connection, kind)?;
    for note in open {
        match (note.announced.version, note.announced.proof) {
            (Some(version), Some((run, ..))) => {
                let held = delivered(connection, DumpName { version, kind }, run)?;
                note.count(&held, &refused.of(version, run));
            }
            (_, Some(_)) => {}
            (_, None) => note.written = counted.ids_of(note.announced.unproven.pass),
        }
    }
    Ok(found)
}

/// The notes, without what only senders need that do not number their records.
fn agreed(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    which: Noted,
) -> rusqlite::Result<Completion> {
    let sql = format!(
        "SELECT {NOTE} FROM extractor_complete WHERE consumer = ?1 AND type = ?2
         ORDER BY version DESC, run DESC LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    // A negative limit is none.
    let most = which.most().map_or(-1, i64::from);
    let parameters = (&noter.consumer, kind.name(), most);
    let found = statement.query_map(parameters, |row| read(row, kind))?;
    Ok(Completion { notes: found.collect::<rusqlite::Result<_>>()?, ..Completion::default() })
}

fn read(row: &Row<'_>, kind: Kind) -> rusqlite::Result<Note> {
    let number = |index| {
        let number: Option<i64> = row.get(index)?;
        Ok::<_, rusqlite::Error>(number.map(i64::cast_unsigned))
    };
    let time = |index| Ok::<_, rusqlite::Error>(number(index)?.map(Timestamp));
    let run = Run(row.get::<_, i64>(1)?.cast_unsigned());
    let proof = number(2)?.zip(number(3)?);
    let by: Option<String> = row.get(9)?;
    Ok(Note {
        announced: Announced {
            kind,
            version: row.get::<_, String>(0)?.parse::<Version>().ok(),
            proof: proof.map(|(last, bad_records)| (run, Ordinal(last), bad_records)),
            unproven: Unproven { pass: number(13)?.unwrap_or(0), sent: number(14)? },
        },
        written: 0,
        refused: 0,
        completed_at: time(4)?,
        cancel_at: time(5)?,
        cancelled_at: time(6)?,
        sweep: row.get::<_, Option<String>>(7)?.as_deref().and_then(Sweep::named),
        sweep_words: row.get(8)?,
        cancel_turn: number(11)?.unwrap_or(0),
        claim: match by.zip(time(10)?) {
            Some((by, until)) => Some(Claim { by, until, turn: number(12)?.unwrap_or(0) }),
            None => None,
        },
    })
}

/// Tells the others that something happened; what is agreed on then, and whether that is new.
/// Within a transaction that writes, which nothing gets between.
///
/// # Errors
/// If the database fails.
pub fn agree(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    event: &Event,
    now: Timestamp,
) -> rusqlite::Result<(Completion, bool)> {
    let mut before = agreed(connection, noter, kind, Noted::All)?;
    if event.is_unnumbered() {
        before.unnumbered = unnumbered(connection, noter, kind)?;
    }
    let after = next(&before, event, &noter.rules, now);
    for note in after.changed_from(&before) {
        store(connection, noter, note, now)?;
    }
    if after.unnumbered != before.unnumbered {
        note_unnumbered(connection, noter, kind, &after.unnumbered)?;
    }
    let is_new = after != before;
    Ok((after, is_new))
}

fn store(
    connection: &Connection,
    noter: &Noter,
    note: &Note,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (version, run) = note_key(&note.announced);
    let (last, bad_records) = note.announced.proof.map(|(_, last, bad)| (last.0, bad)).unzip();
    let Unproven { pass, sent } = note.announced.unproven;
    let sql = format!(
        "INSERT INTO extractor_complete (consumer, type, announced_at, {NOTE})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                 ?16, ?17, ?18)
         ON CONFLICT (consumer, type, version, run) DO UPDATE SET
             last = excluded.last, bad_records = excluded.bad_records,
             completed_at = excluded.completed_at, cancel_at = excluded.cancel_at,
             cancelled_at = excluded.cancelled_at, sweep = excluded.sweep,
             sweep_words = excluded.sweep_words, swept_by = excluded.swept_by,
             swept_until = excluded.swept_until, cancel_turn = excluded.cancel_turn,
             sweep_turn = excluded.sweep_turn, pass = excluded.pass, sent = excluded.sent"
    );
    connection.prepare_cached(&sql)?.execute(params![
        noter.consumer,
        note.announced.kind.name(),
        stored_time(now),
        version,
        run,
        last.map(u64::cast_signed),
        bad_records.map(u64::cast_signed),
        note.completed_at.map(stored_time),
        note.cancel_at.map(stored_time),
        note.cancelled_at.map(stored_time),
        note.sweep.map(Sweep::name),
        note.sweep_words,
        note.claim.as_ref().map(|claim| &claim.by),
        note.claim.as_ref().map(|claim| stored_time(claim.until)),
        note.cancel_turn.cast_signed(),
        note.claim.as_ref().map(|claim| claim.turn.cast_signed()),
        pass.cast_signed(),
        sent.map(u64::cast_signed),
    ])?;
    Ok(())
}

/// Notes the end of a version as it was announced on one type's exchange.
///
/// # Errors
/// If the database fails.
pub fn version_ends(
    connection: &Connection,
    noter: &Noter,
    kind: Kind,
    end: &VersionEnd,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO extractor_announced
             (consumer, version, type, started_at, record_counts, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (consumer, version, type) DO UPDATE SET
             started_at = excluded.started_at, record_counts = excluded.record_counts",
        params![
            noter.consumer,
            end.version.to_string(),
            kind.name(),
            end.started_at,
            end.record_counts,
            stored_time(now)
        ],
    )?;
    Ok(())
}

/// The end of the newest version that was announced on any exchange.
///
/// # Errors
/// If the database fails.
pub fn last_version_end(
    connection: &Connection,
    noter: &Noter,
) -> rusqlite::Result<Option<VersionEnd>> {
    let sql = "SELECT version, started_at, record_counts FROM extractor_announced
               WHERE consumer = ?1 ORDER BY version DESC LIMIT 1";
    let read = |row: &Row<'_>| {
        let version = row.get::<_, String>(0)?.parse::<Version>().ok();
        let (started_at, record_counts) = (row.get(1)?, row.get(2)?);
        Ok(version.map(|version| VersionEnd { version, started_at, record_counts }))
    };
    let found = connection.query_row(sql, [&noter.consumer], read).optional()?;
    Ok(found.flatten())
}
