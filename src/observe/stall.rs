use std::time::Duration;

use crate::model::Phase;

/// How often progress is looked at.
pub const STALL_TICK: Duration = Duration::from_secs(1);

/// How long a file has been extracted without anything moving, as far as this process saw it.
///
/// Time counts only in steps that were observed, each at most two ticks long: a process that was
/// stopped, or a machine that slept, wakes with no more idle time than it had. Every process
/// begins with none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    progress: Option<(u64, u64)>,
    time: Duration,
}

impl Idle {
    /// What is known after another look: the file's phase, its mark and the text read so far, and
    /// the time since the last look.
    #[must_use]
    pub fn next(self, phase: Phase, progress: (u64, u64), since_last_look: Duration) -> Idle {
        match phase {
            Phase::Extracting if self.progress == Some(progress) => {
                Idle { time: self.time + since_last_look.min(2 * STALL_TICK), ..self }
            }
            Phase::Extracting => Idle { progress: Some(progress), time: Duration::ZERO },
            Phase::Pending | Phase::Complete | Phase::Failed | Phase::Stopped => Idle::default(),
        }
    }

    /// How long nothing has moved.
    pub const fn time(&self) -> Duration {
        self.time
    }

    /// Whether that is too long.
    pub fn is_stalled(&self, threshold: Duration) -> bool {
        self.time > threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THRESHOLD: Duration = Duration::from_mins(2);

    fn look(looks: &[(Phase, u64, u64)]) -> Idle {
        looks.iter().fold(Idle::default(), |idle, (phase, progress, seconds)| {
            idle.next(*phase, (*progress, 0), Duration::from_secs(*seconds))
        })
    }

    #[test]
    fn a_file_stalls_when_nothing_moves_for_longer_than_the_threshold() {
        let mut looks = vec![(Phase::Extracting, 7, 1)];
        looks.extend(vec![(Phase::Extracting, 7, 1); 120]);
        assert!(!look(&looks).is_stalled(THRESHOLD), "not at the threshold itself");
        looks.push((Phase::Extracting, 7, 1));
        assert!(look(&looks).is_stalled(THRESHOLD));
        looks.push((Phase::Extracting, 8, 1));
        assert_eq!(look(&looks).time(), Duration::ZERO, "one record ends it");
    }

    #[test]
    fn a_file_that_never_produced_a_record_is_caught_too() {
        assert!(look(&vec![(Phase::Extracting, 0, 1); 122]).is_stalled(THRESHOLD));
    }

    #[test]
    fn sleep_and_suspension_raise_no_stall() {
        let asleep = [(Phase::Extracting, 7, 1), (Phase::Extracting, 7, 90_000)];
        assert!(!look(&asleep).is_stalled(THRESHOLD));
    }

    proptest! {
        #[test]
        fn nothing_but_an_extraction_stalls(
            steps in proptest::collection::vec((0..4usize, 0..1_000u64), 0..300)
        ) {
            let phases = [Phase::Pending, Phase::Complete, Phase::Failed, Phase::Stopped];
            let looks: Vec<_> = steps.iter().map(|(p, s)| (phases[*p], 0, *s)).collect();
            prop_assert_eq!(look(&looks), Idle::default());
        }

        #[test]
        fn idle_time_is_never_more_than_what_was_observed_since_the_last_move(
            steps in proptest::collection::vec((0..3u64, 0..5u64), 1..300)
        ) {
            let looks: Vec<_> = steps.iter().map(|(p, s)| (Phase::Extracting, *p, *s)).collect();
            let last = looks[looks.len() - 1].1;
            let still = looks.iter().rev().take_while(|(_, p, _)| *p == last).count();
            let observed: u64 = looks.iter().rev().take(still.saturating_sub(1)).map(|l| l.2.min(2)).sum();
            prop_assert!(look(&looks).time() <= Duration::from_secs(observed));
        }
    }
}
