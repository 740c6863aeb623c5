//! How fast each type went in the last half hour.

use std::collections::VecDeque;
use std::time::Duration;

/// How often a curve gets a point.
const EVERY: Duration = Duration::from_secs(10);

/// So many points are half an hour.
const POINTS: usize = 180;

/// Records a second of one type, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    last: Option<(Duration, u64)>,
    points: VecDeque<f64>,
}

impl Curve {
    /// Notes how many records there are at a monotonic time. A count that falls is another
    /// version's, and says nothing of the speed.
    #[expect(clippy::cast_precision_loss, reason = "a curve for people needs no 53 bits")]
    pub fn note(&mut self, at: Duration, records: u64) {
        let Some((since, before)) = self.last else {
            self.last = Some((at, records));
            return;
        };
        let time = at.saturating_sub(since);
        if time < EVERY {
            return;
        }
        self.last = Some((at, records));
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(records.saturating_sub(before) as f64 / time.as_secs_f64());
    }

    /// The points.
    pub fn points(&self) -> Vec<f64> {
        self.points.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_half_an_hour_long_and_no_longer() {
        let mut curve = Curve::default();
        for second in 0..4_000 {
            curve.note(Duration::from_secs(second), second * 7);
        }
        assert_eq!(curve.points(), vec![7.0; 180]);
        curve.note(Duration::from_secs(4_010), 0);
        assert_eq!(curve.points().last(), Some(&0.0));
    }
}
