//! The indexes that the platform's readers use. They are made when a type is complete in its table
//! for the first time: kept up during the first load they would make it many times slower, and
//! every one that is there is written for each changed row from then on.

use tokio_postgres::{Client, Error};

use crate::model::Kind;

/// An index of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// What its name has behind the table's.
    pub suffix: &'static str,
    /// The access method.
    method: &'static str,
    /// What is indexed, as PostgreSQL itself writes it.
    key: &'static str,
    of: &'static [Kind],
}

const NAMED: &[Kind] = &[Kind::Artists, Kind::Labels];
const TITLED: &[Kind] = &[Kind::Masters, Kind::Releases];

const fn index(
    suffix: &'static str,
    method: &'static str,
    key: &'static str,
    of: &'static [Kind],
) -> Index {
    Index { suffix, method, key, of }
}

/// All of them, as the platform's `schema-init` makes them.
pub const INDEXES: &[Index] = &[
    index("hash", "btree", "hash", &Kind::ALL),
    index("updated_at", "btree", "updated_at", &Kind::ALL),
    index("name", "btree", "(data ->> 'name'::text)", NAMED),
    index("title", "btree", "(data ->> 'title'::text)", TITLED),
    index("year", "btree", "(data ->> 'year'::text)", TITLED),
    index("country", "btree", "(data ->> 'country'::text)", &[Kind::Releases]),
    index("genres", "gin", "(data -> 'genres'::text)", &[Kind::Releases]),
    index("labels", "gin", "(data -> 'labels'::text)", &[Kind::Releases]),
    index(
        "name_text",
        "gin",
        "to_tsvector('english'::regconfig, COALESCE((data ->> 'name'::text), ''::text))",
        NAMED,
    ),
    index(
        "title_text",
        "gin",
        "to_tsvector('english'::regconfig, COALESCE((data ->> 'title'::text), ''::text))",
        TITLED,
    ),
];

impl Index {
    /// Its name on a table.
    pub fn name(&self, kind: Kind) -> String {
        format!("extractor_{kind}_{}", self.suffix)
    }
}

/// The indexes that a table has no equivalent of, whatever it is called.
///
/// # Errors
/// What the server says.
pub async fn missing(client: &Client, kind: Kind) -> Result<Vec<Index>, Error> {
    let sql = format!(
        "SELECT method.amname::text, pg_get_indexdef(index.indexrelid, 1, false)
         FROM pg_index AS index
         JOIN pg_class AS class ON class.oid = index.indexrelid
         JOIN pg_am AS method ON method.oid = class.relam
         WHERE index.indrelid = '{kind}'::regclass
             AND index.indisvalid AND index.indpred IS NULL AND index.indnkeyatts = 1"
    );
    let mut there: Vec<(String, String)> = Vec::new();
    for row in client.query_typed(&sql, &[]).await? {
        there.push((row.try_get(0)?, row.try_get(1)?));
    }
    let is_there = |index: &Index| {
        there.iter().any(|(method, key)| method == index.method && bare(key) == bare(index.key))
    };
    let of_table = INDEXES.iter().filter(|index| index.of.contains(&kind));
    Ok(of_table.filter(|index| !is_there(index)).copied().collect())
}

/// An expression without brackets and spaces, by which two that mean the same are the same.
fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '(' | ')' | ' ')).collect()
}

/// Makes an index. Whoever reads the table goes on; who writes to it waits.
///
/// # Errors
/// What the server says.
pub async fn create(client: &Client, kind: Kind, index: Index) -> Result<(), Error> {
    let Index { method, key, .. } = index;
    let name = index.name(kind);
    // An id's length is bounded by its own index, a name's is not: one that no page holds must not
    // keep the rest from being found.
    client
        .batch_execute(&format!(
            "CREATE INDEX IF NOT EXISTS {name} ON {kind} USING {method} (({key}))"
        ))
        .await
}
