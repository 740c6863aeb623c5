//! Batches into tables by `unnest`, each in the transaction that notes its ordinals.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::try_join;
use tokio_postgres::{Client, Error, Transaction};

use super::delivered::note_delivered;
use super::fault::{Fault, fault, words};
use super::notes::agree_within;
use super::order::{self, Insert, Numbered, stamp, upsert, upsert_of_pass};
use super::refused::note_refused;
use super::runs::may_insert;
use super::unnumbered::{unnumbered, writes};
use crate::database::{Batch, LeftOut, Notes, Refused, Row, Written};
use crate::model::Timestamp;
use crate::model::agreement::{Completion, Counted, Event, Sources};
use crate::model::fault::place;

/// A batch on its way.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The moment that changed rows are dated with.
    pub now: Timestamp,
    /// Whether no other run is known to have written to the table: then rows that are there are
    /// not looked for first. It costs time and nothing else if that is wrong.
    pub only_run: bool,
    /// What is noted with the rows.
    pub notes: Notes<'a>,
}

/// Writes a batch in one transaction, all but what is refused. Of several rows of one id that of
/// the highest ordinal wins, else the last.
///
/// # Errors
/// What the server says; nothing was written then, unless the connection was lost at the end.
pub async fn write(client: &mut Client, writing: &Writing<'_>) -> Result<Written, Error> {
    let began = Instant::now();
    let mut refused = Refused::new();
    loop {
        let rows = last_of_each(&writing.batch.rows, &refused);
        match write_all(client, writing, &rows, &refused, began).await {
            Ok(Some(left_out)) => return Ok(Written { refused, left_out }),
            // The next one is counted in the pass that there is now.
            Ok(None) => {}
            Err(error) if fault(&error) == Fault::Record => {
                let found = look_for_refused(client, writing, &rows).await?;
                if found.is_empty() {
                    return Err(error);
                }
                refused.extend(found);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The row of each id that wins of those that are not refused, sorted by id, so that two who write
/// the same rows wait for each other and do not deadlock.
fn last_of_each<'a>(rows: &'a [Row], refused: &Refused) -> Vec<Numbered<'a>> {
    let taken = rows.iter().enumerate().filter(|(index, _)| !refused.contains_key(index));
    let mut last: BTreeMap<&str, Numbered<'a>> = BTreeMap::new();
    for (index, row) in taken {
        let winner = last.entry(&row.id).or_insert((index, row));
        if winner.1.ordinal <= row.ordinal {
            *winner = (index, row);
        }
    }
    last.into_values().collect()
}

/// Writes the rows in one transaction; none if they had to be of another pass, which was ended
/// meanwhile: nothing of them was written then.
async fn write_all(
    client: &mut Client,
    writing: &Writing<'_>,
    rows: &[Numbered<'_>],
    refused: &Refused,
    began: Instant,
) -> Result<Option<LeftOut>, Error> {
    let transaction = client.transaction().await?;
    if let (Notes::Messages(noter), None) = (writing.notes, writing.batch.source) {
        writes(&transaction, noter, writing.batch.kind).await?;
        let pass = unnumbered(&transaction, noter, writing.batch.kind, "").await?.now();
        let ids = upsert_of_pass(&transaction, writing.batch, writing.now, rows, pass).await?;
        let counted = Counted { pass, ids, took: began.elapsed() };
        let agreed = note(&transaction, writing, refused, Some(counted)).await?;
        if !agreed.is_some_and(|agreed| agreed.unnumbered.has(pass)) {
            transaction.rollback().await?;
            return Ok(None);
        }
        commit(transaction).await?;
        return Ok(Some(LeftOut::default()));
    }
    // Sent at once, done one after the other: a stamp need not know the answer of the first.
    let stamping = async {
        if writing.only_run || rows.is_empty() {
            return Ok(Vec::new());
        }
        stamp(&transaction, writing.batch, rows).await
    };
    let (insert, stamped) = try_join(may_insert(&transaction, writing.batch), stamping).await?;
    let not_stamped =
        |(_, row): &&Numbered<'_>| stamped.binary_search_by(|id| id.as_str().cmp(&row.id)).is_err();
    let rows: Vec<Numbered<'_>> = rows.iter().filter(not_stamped).copied().collect();
    let mut left_out = LeftOut::default();
    if !rows.is_empty()
        && upsert(&transaction, writing.batch, writing.now, &rows, insert).await?
            < rows.len() as u64
    {
        // Some were there already, as they came or later ones, or are to have no row.
        left_out = order::left_out(&transaction, writing.batch, &rows, insert).await?;
    }
    note(&transaction, writing, refused, None).await?;
    commit(transaction).await?;
    Ok(Some(left_out))
}

async fn commit(transaction: Transaction<'_>) -> Result<(), Error> {
    place("postgres.commit.before");
    transaction.commit().await?;
    place("postgres.commit.after");
    Ok(())
}

/// Finds the rows that the server refuses, by halves; it writes nothing.
async fn look_for_refused(
    client: &mut Client,
    writing: &Writing<'_>,
    rows: &[Numbered<'_>],
) -> Result<Refused, Error> {
    let mut refused = Refused::new();
    let mut transaction = client.transaction().await?;
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        let savepoint = transaction.savepoint("part").await?;
        let written = upsert(&savepoint, writing.batch, writing.now, part, Insert::Allowed).await;
        savepoint.rollback().await?;
        match (written, part) {
            (Ok(_), _) | (Err(_), []) => {}
            (Err(error), _) if fault(&error) != Fault::Record => return Err(error),
            (Err(error), [(index, _)]) => {
                refused.insert(*index, words(&error));
            }
            (Err(_), part) => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
        }
    }
    transaction.rollback().await?;
    Ok(refused)
}

/// Notes what is to be noted with rows; what is agreed on then, if they are messages.
async fn note(
    transaction: &Transaction<'_>,
    writing: &Writing<'_>,
    refused: &Refused,
    unnumbered: Option<Counted>,
) -> Result<Option<Completion>, Error> {
    let Writing { batch, now, notes, .. } = writing;
    let agreed = match notes {
        Notes::Messages(noter) => {
            let runs = batch.source.into_iter().collect();
            let came = Event::Written(Sources { runs, unnumbered });
            Some(agree_within(transaction, noter, batch.kind, &came, *now).await?.0)
        }
        Notes::Dealt => None,
    };
    let Some((file, run)) = batch.of() else { return Ok(agreed) };
    for range in batch.noted(*notes, refused) {
        note_delivered(transaction, file, run, range).await?;
    }
    if let Notes::Messages(_) = notes {
        for refusal in batch.refusals(refused) {
            note_refused(transaction, file, run, refusal).await?;
        }
    }
    Ok(agreed)
}
