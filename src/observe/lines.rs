//! The lines that people grep for, word for word. They are a contract: change none of them.

use std::time::Duration;

use crate::model::message::Announcement;
use crate::model::{Kind, Timestamp, WaitsFor};

/// `📊 Extraction Progress: …`, with the counts of [`Kind::ALL`] in that order.
pub fn progress(counts: [u64; 4]) -> String {
    let total: u64 = counts.iter().sum();
    let each = Kind::ALL.iter().zip(counts).map(|(kind, n)| format!("{}: {n}", kind.title()));
    let each: Vec<_> = each.collect();
    format!("📊 Extraction Progress: {total} total records extracted ({})", each.join(", "))
}

/// `✅ Completed file types: …`, unless there is none.
pub fn completed(types: &[(Kind, Timestamp)]) -> Option<String> {
    let times: Vec<_> = types.iter().map(|(kind, at)| format!("{kind} at {at}")).collect();
    let kinds: Vec<_> = types.iter().map(|(kind, _)| *kind).collect();
    (!types.is_empty())
        .then(|| format!("✅ Completed file types: {} ({})", list(&kinds), times.join(", ")))
}

/// `✅ Active extractors: …`, unless there is none.
pub fn active(kinds: &[Kind]) -> Option<String> {
    (!kinds.is_empty()).then(|| format!("✅ Active extractors: {}", list(kinds)))
}

/// `⚠️ Stalled extractors detected: …`
pub fn stalled(kinds: &[Kind]) -> String {
    format!("⚠️ Stalled extractors detected: {}", list(kinds))
}

/// Why one of them is thought to be stalled, and for how long it has been.
pub fn stalled_because(kind: Kind, idle: Duration, waits_for: &WaitsFor) -> String {
    let idle = Duration::from_secs(idle.as_secs());
    format!("{kind}: nothing moved for {}, {waits_for}", humantime::format_duration(idle))
}

/// Says that a stall is over.
pub fn stall_over(kind: Kind) -> String {
    format!("{kind}: no longer stalled")
}

/// `✅ Sent file completion message for …`
pub fn sent_file_complete(kind: Kind) -> String {
    format!("✅ Sent file completion message for {kind}")
}

/// What is said once the sink has confirmed an announcement.
pub fn announced(what: &Announcement) -> String {
    match what {
        Announcement::FileComplete { file, .. } => sent_file_complete(file.kind),
        Announcement::ExtractionComplete { version, .. } => {
            format!("✅ Sent extraction completion message for version {version} to all exchanges")
        }
    }
}

/// What a consumer has written.
pub fn consumer_progress(counts: [u64; 4]) -> String {
    let total: u64 = counts.iter().sum();
    let each = Kind::ALL.iter().zip(counts).map(|(kind, n)| format!("{}: {n}", kind.title()));
    let each: Vec<_> = each.collect();
    format!("📊 Consumer Progress: {total} records written ({})", each.join(", "))
}

/// The types whose queues are read, if there are any.
pub fn active_consumers(kinds: &[Kind]) -> Option<String> {
    (!kinds.is_empty()).then(|| format!("✅ Active consumers: {}", list(kinds)))
}

/// The types whose messages are not written.
pub fn stalled_consumers(kinds: &[Kind]) -> String {
    format!("⚠️ Stalled consumers detected: {}", list(kinds))
}

/// A consumer has written all of a type.
pub fn file_processing_complete(kind: Kind) -> String {
    format!("🎉 File processing complete for {kind}!")
}

/// A consumer stops reading a type's queue.
pub fn canceling_consumer(kind: Kind) -> String {
    format!("🔌 Canceling consumer for {kind}")
}

/// As the platform prints its lists: `['artists', 'labels']`.
fn list(kinds: &[Kind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_the_contracts_word_for_word() {
        let at = |seconds: u64| Timestamp(1_767_323_045_000 + seconds * 1_000);
        assert_eq!(
            progress([20_000, 15_000, 10_000, 5_000]),
            "📊 Extraction Progress: 50000 total records extracted \
             (Artists: 20000, Labels: 15000, Masters: 10000, Releases: 5000)"
        );
        assert_eq!(
            completed(&[(Kind::Artists, at(0)), (Kind::Labels, at(60))]).unwrap(),
            "✅ Completed file types: ['artists', 'labels'] \
             (artists at 2026-01-02T03:04:05Z, labels at 2026-01-02T03:05:05Z)"
        );
        assert_eq!(
            active(&[Kind::Masters, Kind::Releases]).unwrap(),
            "✅ Active extractors: ['masters', 'releases']"
        );
        assert_eq!(stalled(&[Kind::Releases]), "⚠️ Stalled extractors detected: ['releases']");
        assert_eq!(
            sent_file_complete(Kind::Artists),
            "✅ Sent file completion message for artists"
        );
        assert_eq!(
            stalled_because(
                Kind::Releases,
                Duration::from_millis(121_900),
                &WaitsFor::SinkBlocked("database is locked".into())
            ),
            "releases: nothing moved for 2m 1s, sink blocked: database is locked"
        );
        assert_eq!(
            file_processing_complete(Kind::Artists),
            "🎉 File processing complete for artists!"
        );
        assert_eq!(canceling_consumer(Kind::Artists), "🔌 Canceling consumer for artists");
        assert_eq!(completed(&[]), None);
        assert_eq!(active(&[]), None);
    }
}
