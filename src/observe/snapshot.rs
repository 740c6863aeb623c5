use crate::model::{Kind, Timestamp};
use crate::observe::lines;

/// One file as the progress lines see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNow {
    /// Its type.
    pub kind: Kind,
    /// Records delivered of the version, whichever process delivered them.
    pub records: u64,
    /// When it was complete, if it is.
    pub completed_at: Option<Timestamp>,
    /// Whether it is being extracted.
    pub active: bool,
}

/// All files of a job's version at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The files, in no particular order.
    pub files: Vec<FileNow>,
}

impl Snapshot {
    /// The contract's progress lines for this moment: always the counts, then the completed and
    /// the active types where there are any.
    pub fn lines(&self) -> Vec<String> {
        let count = |kind| self.of(kind).map(|file| file.records).sum();
        let complete = |kind| self.of(kind).find_map(|file| Some((kind, file.completed_at?)));
        let active = |kind: &Kind| self.of(*kind).any(|file| file.active);
        let completed: Vec<_> = Kind::ALL.into_iter().filter_map(complete).collect();
        let active: Vec<_> = Kind::ALL.into_iter().filter(active).collect();
        [Some(lines::progress(Kind::ALL.map(count)))]
            .into_iter()
            .chain([lines::completed(&completed), lines::active(&active)])
            .flatten()
            .collect()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &FileNow> {
        self.files.iter().filter(move |file| file.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_empty_is_left_out() {
        let file =
            |kind, records, completed_at, active| FileNow { kind, records, completed_at, active };
        let begun = Snapshot { files: vec![file(Kind::Labels, 5, None, true)] };
        assert_eq!(begun.lines().len(), 2);
        let mixed = Snapshot {
            files: vec![
                file(Kind::Releases, 5_000, None, true),
                file(Kind::Artists, 20_000, Some(Timestamp(1_767_323_045_000)), false),
                file(Kind::Masters, 1, None, false),
            ],
        };
        assert_eq!(
            mixed.lines(),
            [
                "📊 Extraction Progress: 25001 total records extracted \
                 (Artists: 20000, Labels: 0, Masters: 1, Releases: 5000)",
                "✅ Completed file types: ['artists'] (artists at 2026-01-02T03:04:05Z)",
                "✅ Active extractors: ['releases']",
            ]
        );
    }
}
