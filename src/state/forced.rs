//! `FORCE_REPROCESS`: which of the selected types a start clears, given what is under way. Pure.

use serde::{Deserialize, Serialize};

use crate::model::{Job, Kind, Timestamp, Version};

/// What the variable says, when it asks for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceWord {
    /// `true`: clear, unless a forced pass is under way, which then goes on.
    Once,
    /// `restart`: clear, also an unfinished forced pass.
    Restart,
    /// Any other word: clear, once ever for this word.
    Token(String),
}

impl ForceWord {
    /// The word as it is kept with the pass.
    pub fn as_str(&self) -> &str {
        match self {
            ForceWord::Once => "true",
            ForceWord::Restart => "restart",
            ForceWord::Token(word) => word,
        }
    }
}

/// A forced pass that has begun and is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForcedPass {
    /// The job.
    pub job: Job,
    /// The version it goes over.
    pub version: Version,
    /// The types it covers.
    pub kinds: Vec<Kind>,
    /// Those that are not complete in it.
    pub remaining: Vec<Kind>,
    /// The word that asked for it.
    pub word: String,
    /// When it began.
    pub since: Timestamp,
}

/// A word that was honoured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// In which job.
    pub job: Job,
    /// The word.
    pub word: String,
    /// When.
    pub at: Timestamp,
}

/// What a start with the variable set does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// These types are cleared, and a forced pass is under way.
    Cleared(Vec<Kind>),
    /// The forced pass under way goes on; these types are not done in it.
    Resumed(Vec<Kind>),
    /// Nothing: the word was honoured before.
    Honoured,
}

/// Which types to clear for `word`. A pass that is under way keeps what it has done; types that
/// it does not cover are cleared and join it.
pub(super) fn decide(
    word: &ForceWord,
    selected: &[Kind],
    under_way: Option<&ForcedPass>,
    honoured: bool,
) -> Forced {
    let all = || Forced::Cleared(selected.to_vec());
    match (word, under_way) {
        (ForceWord::Restart, _) | (ForceWord::Once, None) => all(),
        (ForceWord::Once, Some(pass)) => go_on(pass, selected),
        (ForceWord::Token(_), None) if honoured => Forced::Honoured,
        (ForceWord::Token(word), Some(pass)) if honoured && pass.word == *word => {
            go_on(pass, selected)
        }
        (ForceWord::Token(_), Some(pass)) if honoured => Forced::Resumed(pass.remaining.clone()),
        (ForceWord::Token(_), _) => all(),
    }
}

fn go_on(pass: &ForcedPass, selected: &[Kind]) -> Forced {
    let new: Vec<Kind> =
        selected.iter().copied().filter(|kind| !pass.kinds.contains(kind)).collect();
    if new.is_empty() { Forced::Resumed(pass.remaining.clone()) } else { Forced::Cleared(new) }
}

/// The pass as it is after `cleared` types were cleared for it.
pub(super) fn begun(
    under_way: Option<&ForcedPass>,
    job: &Job,
    version: Version,
    word: &ForceWord,
    cleared: &[Kind],
    at: Timestamp,
) -> ForcedPass {
    let unfinished = under_way.map(|pass| (pass.kinds.as_slice(), pass.remaining.as_slice()));
    let (kinds, remaining) = unfinished.unwrap_or((&[], &[]));
    let with = |kinds: &[Kind]| {
        let wanted = |kind: &Kind| kinds.contains(kind) || cleared.contains(kind);
        Kind::ALL.into_iter().filter(wanted).collect()
    };
    ForcedPass {
        job: job.clone(),
        version,
        kinds: with(kinds),
        remaining: with(remaining),
        word: word.as_str().to_owned(),
        since: at,
    }
}

/// The pass after a file of `kind` became complete; none when that was the last of it.
pub(super) fn completed(mut pass: ForcedPass, kind: Kind) -> Option<ForcedPass> {
    pass.remaining.retain(|remaining| *remaining != kind);
    (!pass.remaining.is_empty()).then_some(pass)
}
