//! An end that never came: whoever empties a queue takes the end of a file along with its records, and
//! nothing that is waited for says so. What is announced of the whole version does.

use std::collections::HashMap;

use crate::database::VersionEnd;
use crate::model::agreement::Completion;
use crate::model::{Kind, Version};

/// The end of a type's file that never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEnd {
    /// Of which version.
    pub version: Version,
    /// How many records its file has.
    pub records: u64,
}

/// Whether a version ended, and the end of this type's file was never announced: the sender announces
/// that first.
pub fn lost_end(kind: Kind, end: &VersionEnd, agreed: &Completion) -> Option<LostEnd> {
    let VersionEnd { version, record_counts, .. } = end;
    let counts = serde_json::from_str::<HashMap<String, u64>>(record_counts.as_deref()?).ok()?;
    let records = counts.get(kind.name()).copied().filter(|records| *records > 0)?;
    let mut announced = agreed.notes.iter().map(|note| note.announced.version);
    // A sender that names no version announces one all the same.
    let came = announced.any(|of| of.is_none() || of == Some(*version));
    (!came).then_some(LostEnd { version: *version, records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::agreement::{Announced, Note, Unproven};

    #[test]
    fn an_end_is_lost_when_its_version_ended_without_it() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let end = |counts: Option<&str>| VersionEnd {
            version: version("20260201"),
            started_at: None,
            record_counts: counts.map(str::to_owned),
        };
        let agreed = |versions: &[Option<&str>]| Completion {
            notes: versions
                .iter()
                .map(|of| {
                    let (version, unproven) = (of.map(version), Unproven::default());
                    Note::new(Announced { kind: Kind::Labels, version, proof: None, unproven })
                })
                .collect(),
            ..Completion::default()
        };
        let counts = Some(r#"{"artists":7,"labels":3,"masters":0,"releases":9}"#);
        let lost = |counts, versions: &[Option<&str>]| {
            lost_end(Kind::Labels, &end(counts), &agreed(versions)).map(|lost| lost.records)
        };
        assert_eq!(lost(counts, &[]), Some(3));
        assert_eq!(lost(counts, &[Some("20260101")]), Some(3));
        assert_eq!(lost(counts, &[Some("20260101"), Some("20260201")]), None);
        assert_eq!(lost(counts, &[None]), None);
        assert_eq!(lost(None, &[]), None);
        assert_eq!(lost(Some("no JSON"), &[]), None);
        assert_eq!(lost_end(Kind::Masters, &end(counts), &agreed(&[])), None);
    }
}
