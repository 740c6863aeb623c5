//! The pass of senders that do not number their records, in the graph. What it is for is
//! `model/agreement/unnumbered`.

use std::collections::BTreeMap;
use std::time::Duration;

use neo4rs::{Query, Row};

use super::decide::{Age, Stored};
use super::fault::GraphError;
use super::link::Tx;
use crate::model::Kind;
use crate::model::agreement::{Noter, Unnumbered};

const FIELDS: &str = "u.pass AS pass, u.is_open AS is_open, u.ids AS ids, u.turn AS turn,
     u.longest AS longest";

/// The pass of a type's records, as it was noted last.
pub(super) async fn unnumbered(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
) -> Result<Unnumbered, GraphError> {
    let look = format!("MATCH (u:ExtractorUnnumbered {{key: $key}}) RETURN {FIELDS}");
    read(&tx.rows(of_type(look, noter, kind)).await?)
}

/// The same, taken for this transaction: whoever else wants it waits.
pub(super) async fn lock_unnumbered(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
) -> Result<Unnumbered, GraphError> {
    let lock = format!(
        "MERGE (u:ExtractorUnnumbered {{key: $key}})
         SET u.claimed = true WITH u REMOVE u.claimed RETURN {FIELDS}"
    );
    read(&tx.rows(of_type(lock, noter, kind)).await?)
}

/// Notes it, where it is taken.
pub(super) async fn note_unnumbered(
    tx: &mut Tx,
    noter: &Noter,
    kind: Kind,
    unnumbered: &Unnumbered,
) -> Result<(), GraphError> {
    let Unnumbered { pass, is_open, ids, turn, longest } = *unnumbered;
    let note = "MATCH (u:ExtractorUnnumbered {key: $key})
         SET u.pass = $pass SET u.is_open = $is_open SET u.ids = $ids SET u.turn = $turn
         SET u.longest = $longest";
    let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    let query = of_type(note.to_owned(), noter, kind)
        .param("pass", pass.cast_signed())
        .param("is_open", is_open)
        .param("ids", ids.cast_signed())
        .param("turn", turn.cast_signed())
        .param("longest", longest);
    tx.run(query).await
}

fn of_type(statement: String, noter: &Noter, kind: Kind) -> Query {
    Query::new(statement).param("key", format!("{}-{kind}", noter.consumer))
}

fn read(rows: &[Row]) -> Result<Unnumbered, GraphError> {
    let Some(row) = rows.first() else { return Ok(Unnumbered::default()) };
    let number = |name| {
        let number = row.get::<Option<i64>>(name)?;
        Ok::<_, GraphError>(number.map_or(0, i64::cast_unsigned))
    };
    Ok(Unnumbered {
        pass: number("pass")?,
        is_open: row.get::<Option<bool>>("is_open")?.unwrap_or(false),
        ids: number("ids")?,
        turn: number("turn")?,
        longest: Duration::from_millis(number("longest")?),
    })
}

/// What counts of each id, where those that say no version are of that pass.
pub(super) fn of_pass<'a, T: Copy>(
    latest: &BTreeMap<&'a str, (Age, T)>,
    pass: Option<u64>,
) -> BTreeMap<&'a str, (Age, T)> {
    let run = pass.unwrap_or(0).cast_signed();
    let of =
        |age: &Age| if age.version.is_empty() { Age { run, ..age.clone() } } else { age.clone() };
    latest.iter().map(|(id, (age, entity))| (*id, (of(age), *entity))).collect()
}

/// How many of these ids do not bear that pass yet, where nothing later stands against them.
pub(super) fn newly<T>(
    latest: &BTreeMap<&str, (Age, T)>,
    stored: &BTreeMap<String, Stored>,
) -> u64 {
    let counts = |(id, (age, _)): &(&&str, &(Age, T))| {
        let known = stored.get(**id).and_then(|stored| stored.age.as_ref());
        age.version.is_empty() && known.is_none_or(|known| known < age)
    };
    latest.iter().filter(counts).count() as u64
}
