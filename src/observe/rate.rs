use std::collections::VecDeque;
use std::time::Duration;

/// How much of the past a rate looks at: long enough to be calm, short enough to follow.
const SPAN: Duration = Duration::from_secs(20);

/// What a file did in the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    looks: VecDeque<(Duration, u64, u64)>,
}

/// How fast a file goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// Records a second.
    pub records: f64,
    /// Compressed bytes a second.
    pub bytes: f64,
}

impl Rate {
    /// Notes where a file stands at a monotonic time: records and compressed bytes.
    pub fn note(&mut self, at: Duration, records: u64, bytes: u64) {
        self.looks.push_back((at, records, bytes));
        while self.looks.len() > 2 && self.looks[1].0 + SPAN <= at {
            self.looks.pop_front();
        }
    }

    /// The speed over the last seconds.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people needs no 53 bits")]
    pub fn speed(&self) -> Speed {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return Speed::default();
        };
        let seconds = last.0.saturating_sub(first.0).as_secs_f64();
        if seconds <= 0.0 {
            return Speed::default();
        }
        Speed {
            records: last.1.saturating_sub(first.1) as f64 / seconds,
            bytes: last.2.saturating_sub(first.2) as f64 / seconds,
        }
    }
}

impl Speed {
    /// Whole records a second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is a small number that is not negative"
    )]
    pub fn rounded(self) -> u64 {
        self.records.round() as u64
    }

    /// How long so many compressed bytes will take; nothing at a standstill.
    #[expect(clippy::cast_precision_loss, reason = "a forecast needs no 53 bits")]
    pub fn time_for(&self, bytes: u64) -> Option<Duration> {
        Duration::try_from_secs_f64((bytes as f64 / self.bytes).ceil()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.speed(), Speed::default());
        for second in 0..100u64 {
            let records = if second < 50 { second * 10 } else { 500 + (second - 50) * 1_000 };
            rate.note(Duration::from_secs(second), records, records * 2);
        }
        let speed = rate.speed();
        assert!((speed.records - 1_000.0).abs() < 1.0, "{speed:?}");
        assert_eq!(speed.time_for(4_000), Some(Duration::from_secs(2)));
        assert_eq!(Speed::default().time_for(1), None);
    }
}
