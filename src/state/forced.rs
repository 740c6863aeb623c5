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
    match word {
        ForceWord::Restart => all(),
        ForceWord::Once => under_way.map_or_else(all, |pass| go_on(pass, selected)),
        ForceWord::Token(_) if !honoured => all(),
        ForceWord::Token(word) => match under_way {
            None => Forced::Honoured,
            Some(pass) if pass.word == *word => go_on(pass, selected),
            Some(pass) => Forced::Resumed(pass.remaining.clone()),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_word_clears() {
        use Kind::{Artists, Labels, Masters};
        let pass = |word: &str, kinds: &[Kind], remaining: &[Kind]| ForcedPass {
            job: Job::new("j"),
            version: "20260101".parse().unwrap(),
            kinds: kinds.to_vec(),
            remaining: remaining.to_vec(),
            word: word.to_owned(),
            since: Timestamp(1),
        };
        let half_done = pass("true", &[Artists, Labels], &[Labels]);
        let by_monday = pass("monday", &[Artists, Labels], &[Labels]);
        let token = || ForceWord::Token("monday".to_owned());
        let both = || Forced::Cleared(vec![Artists, Labels]);
        let goes_on = || Forced::Resumed(vec![Labels]);
        let rows = [
            ("nothing under way", ForceWord::Once, None, false, both()),
            ("a restart goes on", ForceWord::Once, Some(&half_done), false, goes_on()),
            ("restart means it", ForceWord::Restart, Some(&half_done), false, both()),
            ("restart from nothing", ForceWord::Restart, None, false, both()),
            ("a new token", token(), None, false, both()),
            ("a new token is a new demand", token(), Some(&half_done), false, both()),
            ("once ever", token(), None, true, Forced::Honoured),
            ("its own pass goes on", token(), Some(&by_monday), true, goes_on()),
            ("another's pass goes on", token(), Some(&half_done), true, goes_on()),
        ];
        for (name, word, under_way, honoured, expected) in rows {
            assert_eq!(decide(&word, &[Artists, Labels], under_way, honoured), expected, "{name}");
        }
        let wider = decide(&ForceWord::Once, &[Artists, Masters], Some(&half_done), false);
        assert_eq!(wider, Forced::Cleared(vec![Masters]), "what is done stays done");
    }

    #[test]
    fn a_pass_grows_by_what_joins_it_and_ends_with_its_last_type() {
        use Kind::{Artists, Labels};
        let (job, version) = (Job::new("j"), "20260101".parse().unwrap());
        let begun = |under_way, cleared: &[Kind]| {
            super::begun(under_way, &job, version, &ForceWord::Once, cleared, Timestamp(1))
        };
        let pass = completed(begun(None, &[Artists, Labels]), Artists).unwrap();
        assert_eq!((&pass.kinds[..], &pass.remaining[..]), (&[Artists, Labels][..], &[Labels][..]));
        let wider = begun(Some(&pass), &[Kind::Masters]);
        assert_eq!(wider.remaining, [Labels, Kind::Masters]);
        assert_eq!(completed(pass, Labels), None);
    }
}
