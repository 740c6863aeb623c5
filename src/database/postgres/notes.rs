//! Consumers' notes in PostgreSQL. What is decided is `model/agreement`.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, GenericClient, Row};

use super::column::Parameter;
use super::delivered::delivered;
use super::refused::refused;
use super::unnumbered::{make_unnumbered, nobody_writes, note_unnumbered, unnumbered};
use crate::database::stored::{NOTE, note_key, stored_time};
use crate::database::{Noted, VersionEnd};
use crate::model::agreement::{
    Announced, Claim, Completion, Event, Note, Noter, Sweep, Unproven, next,
};
use crate::model::{DumpName, Kind, Ordinal, Run, Timestamp, Version};

/// What is noted of a type, and how much of each run is written.
///
/// # Errors
/// What the server says.
pub async fn notes(
    client: &Client,
    noter: &Noter,
    kind: Kind,
    which: Noted,
) -> Result<Completion, Error> {
    let newest = match which.most() {
        Some(most) => format!("ORDER BY version DESC, run DESC LIMIT {most}"),
        None => String::new(),
    };
    let mut found = agreed(client, noter, kind, &newest).await?;
    if which.needs_unnumbered(&found.notes) {
        found.unnumbered = unnumbered(client, noter, kind, "").await?;
    }
    let counted = found.unnumbered;
    if !found.notes.iter().any(|note| which.counts(note)) {
        return Ok(found);
    }
    let refused = refused(client, kind).await?;
    for note in &mut found.notes {
        if !which.counts(note) {
            continue;
        }
        let Announced { version, proof, unproven, .. } = note.announced;
        match (version, proof) {
            (Some(version), Some((run, ..))) => {
                let held = delivered(client, DumpName { version, kind }, run).await?;
                note.count(&held, &refused.of(version, run));
            }
            (None, Some(_)) => {}
            (_, None) => note.written = counted.ids_of(unproven.pass),
        }
    }
    Ok(found)
}

/// Takes rows for the transaction: whoever else wants them waits.
const LOCK: &str = "FOR UPDATE";

/// All of them in an order that is always the same.
const LOCK_ALL: &str = "ORDER BY version, run FOR UPDATE";

/// The notes, without what only senders need that do not number their records.
async fn agreed(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
    which: &str,
) -> Result<Completion, Error> {
    let sql =
        format!("SELECT {NOTE} FROM extractor_complete WHERE consumer = $1 AND type = $2 {which}");
    let parameters: [Parameter<'_>; 2] =
        [(&noter.consumer, Type::TEXT), (&kind.name(), Type::TEXT)];
    let rows = client.query_typed(&sql, &parameters).await?;
    let found = rows.iter().map(|row| read(row, kind)).collect::<Result<_, _>>()?;
    Ok(Completion { notes: found, ..Completion::default() })
}

fn read(row: &Row, kind: Kind) -> Result<Note, Error> {
    let number =
        |column| row.try_get::<_, Option<i64>>(column).map(|number| number.map(i64::cast_unsigned));
    let time = |column| number(column).map(|at| at.map(Timestamp));
    let run = Run(row.try_get::<_, i64>(1)?.cast_unsigned());
    let proof = number(2)?.zip(number(3)?);
    let by: Option<String> = row.try_get(9)?;
    Ok(Note {
        announced: Announced {
            kind,
            version: row.try_get::<_, &str>(0)?.parse::<Version>().ok(),
            proof: proof.map(|(last, bad_records)| (run, Ordinal(last), bad_records)),
            unproven: Unproven { pass: number(13)?.unwrap_or(0), sent: number(14)? },
        },
        written: 0,
        refused: 0,
        completed_at: time(4)?,
        cancel_at: time(5)?,
        cancelled_at: time(6)?,
        sweep: row.try_get::<_, Option<&str>>(7)?.and_then(Sweep::named),
        sweep_words: row.try_get(8)?,
        cancel_turn: number(11)?.unwrap_or(0),
        claim: match by.zip(time(10)?) {
            Some((by, until)) => Some(Claim { by, until, turn: number(12)?.unwrap_or(0) }),
            None => None,
        },
    })
}

/// Tells the others that something happened, in a transaction of its own; what is agreed on then,
/// and whether that is new.
///
/// # Errors
/// What the server says.
pub async fn agree(
    client: &mut Client,
    noter: &Noter,
    kind: Kind,
    event: &Event,
    now: Timestamp,
) -> Result<(Completion, bool), Error> {
    let transaction = client.transaction().await?;
    if let Event::Announced(announced) = event {
        make(&transaction, noter, announced, now).await?;
    }
    let agreed = agree_within(&transaction, noter, kind, event, now).await?;
    transaction.commit().await?;
    Ok(agreed)
}

/// The same within a transaction that goes on. Where something would change, the notes are locked
/// until it ends, in an order that is always the same: whoever writes records mostly changes
/// nothing, and must not wait for others who do so.
pub(super) async fn agree_within(
    client: &impl GenericClient,
    noter: &Noter,
    kind: Kind,
    event: &Event,
    now: Timestamp,
) -> Result<(Completion, bool), Error> {
    let seen = agreed(client, noter, kind, "").await?;
    if event.is_unnumbered() {
        make_unnumbered(client, noter, kind).await?;
    } else if next(&seen, event, &noter.rules, now) == seen {
        return Ok((seen, false));
    }
    if matches!(event, Event::Silent(_)) && !nobody_writes(client, noter, kind).await? {
        return Ok((seen, false));
    }
    let mut before = agreed(client, noter, kind, LOCK_ALL).await?;
    if event.is_unnumbered() {
        before.unnumbered = unnumbered(client, noter, kind, LOCK).await?;
    }
    let after = next(&before, event, &noter.rules, now);
    for note in after.changed_from(&before) {
        store(client, noter, note).await?;
    }
    if after.unnumbered != before.unnumbered {
        note_unnumbered(client, noter, kind, &after.unnumbered).await?;
    }
    let is_new = after != before;
    Ok((after, is_new))
}

/// Makes the note of an end, if there is none yet: what is not there cannot be locked.
async fn make(
    client: &impl GenericClient,
    noter: &Noter,
    announced: &Announced,
    now: Timestamp,
) -> Result<(), Error> {
    let (version, run) = note_key(announced);
    let (last, bad_records) = announced.proof.map(|(_, last, bad)| (last.0, bad)).unzip();
    let sql = "INSERT INTO extractor_complete
                   (consumer, type, version, run, last, bad_records, announced_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let parameters: [Parameter<'_>; 7] = [
        (&noter.consumer, Type::TEXT),
        (&announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&last.map(u64::cast_signed), Type::INT8),
        (&bad_records.map(u64::cast_signed), Type::INT8),
        (&stored_time(now), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

async fn store(client: &impl GenericClient, noter: &Noter, note: &Note) -> Result<(), Error> {
    let (version, run) = note_key(&note.announced);
    let (last, bad_records) = note.announced.proof.map(|(_, last, bad)| (last.0, bad)).unzip();
    let sql = "UPDATE extractor_complete
               SET last = $5, bad_records = $6, completed_at = $7, cancel_at = $8,
                   cancelled_at = $9, sweep = $10, sweep_words = $11, swept_by = $12,
                   swept_until = $13, cancel_turn = $14, sweep_turn = $15, pass = $16,
                   sent = $17
               WHERE consumer = $1 AND type = $2 AND version = $3 AND run = $4";
    let (by, until) =
        note.claim.as_ref().map(|claim| (&*claim.by, stored_time(claim.until))).unzip();
    let turn = note.claim.as_ref().map(|claim| claim.turn.cast_signed());
    let Unproven { pass, sent } = note.announced.unproven;
    let parameters: [Parameter<'_>; 17] = [
        (&noter.consumer, Type::TEXT),
        (&note.announced.kind.name(), Type::TEXT),
        (&version, Type::TEXT),
        (&run, Type::INT8),
        (&last.map(u64::cast_signed), Type::INT8),
        (&bad_records.map(u64::cast_signed), Type::INT8),
        (&note.completed_at.map(stored_time), Type::INT8),
        (&note.cancel_at.map(stored_time), Type::INT8),
        (&note.cancelled_at.map(stored_time), Type::INT8),
        (&note.sweep.map(Sweep::name), Type::TEXT),
        (&note.sweep_words, Type::TEXT),
        (&by, Type::TEXT),
        (&until, Type::INT8),
        (&note.cancel_turn.cast_signed(), Type::INT8),
        (&turn, Type::INT8),
        (&pass.cast_signed(), Type::INT8),
        (&sent.map(u64::cast_signed), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// Notes the end of a version as it was announced on one type's exchange.
///
/// # Errors
/// What the server says.
pub async fn version_ends(
    client: &Client,
    noter: &Noter,
    kind: Kind,
    end: &VersionEnd,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO extractor_announced
                   (consumer, version, type, started_at, record_counts, received_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (consumer, version, type) DO UPDATE SET
                   started_at = excluded.started_at, record_counts = excluded.record_counts";
    let parameters: [Parameter<'_>; 6] = [
        (&noter.consumer, Type::TEXT),
        (&end.version.to_string(), Type::TEXT),
        (&kind.name(), Type::TEXT),
        (&end.started_at, Type::TEXT),
        (&end.record_counts, Type::TEXT),
        (&stored_time(now), Type::INT8),
    ];
    client.execute_typed(sql, &parameters).await.map(drop)
}

/// The end of the newest version that was announced on any exchange.
///
/// # Errors
/// What the server says.
pub async fn last_version_end(client: &Client, noter: &Noter) -> Result<Option<VersionEnd>, Error> {
    let sql = "SELECT version, started_at, record_counts FROM extractor_announced
               WHERE consumer = $1 ORDER BY version DESC LIMIT 1";
    let rows = client.query_typed(sql, &[(&noter.consumer, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let version = row.try_get::<_, &str>(0)?.parse::<Version>().ok();
    let (started_at, record_counts) = (row.try_get(1)?, row.try_get(2)?);
    Ok(version.map(|version| VersionEnd { version, started_at, record_counts }))
}
