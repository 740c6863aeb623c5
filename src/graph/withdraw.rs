//! Taking back what records asserted: what they alone did goes, what the other end asserts too
//! stays, and so does what others made. A relationship with a `source` is somebody else's: it only
//! loses our flags. One without flags and without a `source` was there before us (the platform made
//! it): it counts as asserted by both ends until the record of each came.

use std::collections::BTreeSet;

use neo4rs::BoltType;

use super::fault::GraphError;
use super::link::Tx;
use super::model::{Entity, Label, Shared, Side};
use super::rows::{row, texts};
use crate::model::Kind;

/// Deletes the relationships `r` after all of them are found: not every server keeps what it is
/// still walking over apart from what it deletes meanwhile.
pub(super) const DELETE: &str = "WITH collect(r) AS found UNWIND found AS r DELETE r";

/// A record whose assertions are looked at, and what of them stays.
pub(super) struct Holder<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// What it says now; nothing if it is gone.
    pub(super) now: Option<&'a Entity>,
}

/// Takes back what changed or gone records of one type asserted and do not any more. What each of
/// them alone asserts goes in any case, and is to be written anew.
pub(super) async fn withdraw(
    tx: &mut Tx,
    kind: Kind,
    holders: &[Holder<'_>],
) -> Result<(), GraphError> {
    let label = Label::of(kind).name();
    let ids = || holders.iter().map(|holder| BoltType::from(holder.id)).collect::<Vec<_>>();
    if matches!(kind, Kind::Masters | Kind::Releases) {
        tx.each(
            format!(
                "UNWIND $rows AS id MATCH (n:{label} {{id: id}})-[r:BY|ON|DERIVED_FROM|IS]->()
                 WHERE r.source IS NULL {DELETE}"
            ),
            ids(),
        )
        .await?;
    }
    if kind == Kind::Releases {
        let credits = format!(
            "UNWIND $rows AS id MATCH (:Person)-[r:CREDITED_ON]->(n:Release {{id: id}})
             WHERE r.source IS NULL {DELETE}"
        );
        tx.each(credits, ids()).await?;
    }
    withdraw_shared(tx, kind, holders).await
}

/// The same of what the other end can assert too. A node that was there before its first record may
/// have such relationships, if others made them.
pub(super) async fn withdraw_shared(
    tx: &mut Tx,
    kind: Kind,
    holders: &[Holder<'_>],
) -> Result<(), GraphError> {
    for (shared, side) in Shared::of(kind) {
        let rows = holders.iter().map(|holder| {
            let keep = holder.now.and_then(|entity| entity.shared.get(&(*shared, *side)));
            let none = BTreeSet::new();
            row([("id", holder.id.into()), ("keep", texts(keep.unwrap_or(&none)))])
        });
        tx.each(unshare(kind, *shared, *side), rows.collect()).await?;
    }
    Ok(())
}

/// The flag of a side is set before that of the other is read: setting it locks the relationship,
/// so of two that withdraw at once the second sees what the first did.
fn unshare(kind: Kind, shared: Shared, side: Side) -> String {
    let (label, name) = (Label::of(kind).name(), shared.name());
    let (pattern, ours, theirs, other) = match side {
        Side::Start => (format!("-[r:{name}]->"), "by_start", "by_end", Side::End),
        Side::End => (format!("<-[r:{name}]-"), "by_end", "by_start", Side::Start),
    };
    let unflagged = Shared::of(kind).contains(&(shared, other));
    format!(
        "UNWIND $rows AS row
         MATCH (n:{label} {{id: row.id}}){pattern}(other:{label})
         WHERE coalesce(r.{ours}, r.source IS NULL) AND NOT other.id IN row.keep
         SET r.{ours} = CASE WHEN r.source IS NULL THEN false END
         WITH r WHERE r.source IS NULL AND NOT coalesce(r.{theirs}, {unflagged})
         {DELETE}"
    )
}
