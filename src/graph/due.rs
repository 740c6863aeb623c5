//! When what many records assert together is settled: once, when a version is complete, and never
//! beside writing.

use std::collections::BTreeSet;

use neo4rs::Query;

use super::delivered;
use super::fault::GraphError;
use super::link::{Link, patiently};
use crate::model::agreement::Noter;
use crate::model::{Kind, Version};

/// What is known of a version of which all that is announced is swept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VersionKnown {
    /// Types on whose exchange its end was announced (`extraction_complete`).
    pub(super) announced: BTreeSet<String>,
    /// Types of which it has anything.
    pub(super) came: BTreeSet<String>,
    /// Types of which any version has had anything.
    pub(super) expected: BTreeSet<String>,
    /// Whether there is something of a later version.
    pub(super) is_passed: bool,
}

/// When it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Now: nothing more comes.
    Now,
    /// When nothing has come for a moment: all that this graph knows of is there.
    Soon,
    /// When nothing has come for minutes: some types are not there, and may come.
    Later,
    /// With the later version.
    Never,
}

/// When a version is settled.
pub(super) fn when(known: &VersionKnown) -> When {
    let is_announced = Kind::ALL.iter().all(|kind| known.announced.contains(kind.name()));
    if known.is_passed {
        When::Never
    } else if is_announced {
        When::Now
    } else if known.expected.is_subset(&known.came) {
        When::Soon
    } else {
        When::Later
    }
}

/// What is known of a version.
///
/// # Errors
/// If the graph cannot be read.
pub(super) async fn known(
    link: &Link,
    noter: &Noter,
    version: Option<Version>,
) -> Result<VersionKnown, GraphError> {
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    let of = |statement: &str| {
        Query::new(statement.to_owned())
            .param("consumer", noter.consumer.as_str())
            .param("version", version.as_str())
    };
    patiently(link, || async {
        let mut tx = link.begin().await?;
        let mut types = async |statement| {
            let rows = tx.rows(of(statement)).await?;
            rows.iter().map(|row| Ok(row.get("type")?)).collect::<Result<BTreeSet<String>, _>>()
        };
        let announced: Result<_, GraphError> = types(
            "MATCH (a:ExtractorAnnounced {consumer: $consumer, version: $version})
             RETURN a.type AS type",
        )
        .await;
        let complete: Result<_, GraphError> = types(
            "MATCH (c:ExtractorComplete {consumer: $consumer, version: $version})
             RETURN c.type AS type",
        )
        .await;
        let expected: Result<_, GraphError> =
            types("MATCH (w:ExtractorWrites) RETURN w.type AS type").await;
        let later: Result<_, GraphError> = types(
            "MATCH (d:ExtractorDelivered) WHERE d.version > $version
             RETURN d.type AS type LIMIT 1",
        )
        .await;
        let begun = delivered::latest_runs(&mut tx, &version).await?;
        tx.commit().await?;
        let mut came: BTreeSet<String> = complete?;
        came.extend(begun.into_iter().map(|(kind, _)| kind));
        let is_passed = !version.is_empty() && !later?.is_empty();
        Ok(VersionKnown { announced: announced?, came, expected: expected?, is_passed })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_settled_when_nothing_more_is_to_be_expected() {
        const ALL: &str = "artists labels masters releases";
        let types = |names: &str| names.split_whitespace().map(str::to_owned).collect();
        let rows = [
            // Announced, came, expected, passed.
            (ALL, ALL, ALL, false, When::Now),
            (ALL, "artists", "artists", false, When::Now),
            ("artists labels masters", ALL, ALL, false, When::Soon),
            ("", ALL, ALL, false, When::Soon),
            // A graph that only ever had releases does not wait for the others.
            ("", "releases", "releases", false, When::Soon),
            ("", "artists", ALL, false, When::Later),
            ("releases", "releases", "artists releases", false, When::Later),
            (ALL, ALL, ALL, true, When::Never),
            ("", "artists", ALL, true, When::Never),
        ];
        for (announced, came, expected, is_passed, then) in rows {
            let known = VersionKnown {
                announced: types(announced),
                came: types(came),
                expected: types(expected),
                is_passed,
            };
            assert_eq!(when(&known), then, "{known:?}");
        }
    }
}
