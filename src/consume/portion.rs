//! How many messages of a queue are taken at once: few until it is known that the queue's head does
//! not kill whoever reads it, more while that goes well, fewer when they are large.

/// Messages of one transaction at first. The broker counts a death against every message that was
/// handed out, 20 of them make a dead letter, and a consumer that is killed over and over must get
/// through meanwhile.
const CAREFUL: usize = 100;

/// Bytes of one type that may be on their way, waiting or being written, as far as what came before
/// tells: twice a batch of 2,000 releases, which have 3.9 kB each.
const BYTES: usize = 16 << 20;

/// Messages of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    most: usize,
    batch: usize,
}

/// What is known of messages that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// They come over a new channel.
    Opened,
    /// A batch was written, and as much is here as may be handed out.
    Wrote {
        /// Messages of the batch and of the next.
        messages: usize,
        /// Their bytes.
        bytes: usize,
        /// Whether none of them was handed out often before.
        may_widen: bool,
    },
    /// More bytes came than may wait.
    Overflowed {
        /// The bytes of the largest message.
        largest: usize,
    },
}

impl Portion {
    /// For a database of which a batch has so many messages at most.
    pub fn new(most: usize) -> Portion {
        Portion { most: most.max(1), batch: CAREFUL.clamp(1, most.max(1)) }
    }

    /// Messages of one transaction.
    pub const fn batch(self) -> usize {
        self.batch
    }

    /// Messages that may be handed out and not done with: the batch that is being written, and the
    /// one that is being gathered. Where one is as large as a batch, only that.
    pub fn prefetch(self) -> u16 {
        let messages = if self.batch == 1 { 1 } else { 2 * self.batch };
        u16::try_from(messages).unwrap_or(u16::MAX)
    }

    /// As many as fit of messages that have so many bytes each.
    fn fitting(self, bytes: usize) -> usize {
        (BYTES / 2 / bytes.max(1)).clamp(1, self.most)
    }
}

/// How many are taken next.
#[must_use]
pub fn next(portion: Portion, event: Event) -> Portion {
    let Portion { most, batch } = portion;
    let batch = match event {
        Event::Opened => batch.min(CAREFUL),
        Event::Wrote { messages, bytes, may_widen } => {
            let fitting = portion.fitting(bytes / messages.max(1));
            // Doubled, and not at once to the most: whatever is handed out and comes back, since it
            // was too much, has then not come back often.
            let wider = (2 * batch).min(most);
            if may_widen && fitting >= wider { wider } else { batch.min(fitting) }
        }
        Event::Overflowed { largest } => batch.min(portion.fitting(largest)),
    };
    Portion { most, batch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KB: usize = 1 << 10;
    const MB: usize = 1 << 20;

    fn wrote(messages: usize, each: usize, may_widen: bool) -> Event {
        Event::Wrote { messages, bytes: messages * each, may_widen }
    }

    #[test]
    fn a_portion_grows_while_it_goes_well_and_shrinks_when_messages_are_large() {
        let of = |batch| Portion { most: 500, batch };
        let rows = [
            (100, wrote(100, 2 * KB, true), 200),
            (100, wrote(100, 2 * KB, false), 100),
            (400, wrote(400, 2 * KB, true), 500),
            (500, wrote(500, 2 * KB, true), 500),
            // 8 MiB hold 400 of them.
            (400, wrote(400, 20 * KB, true), 400),
            (500, wrote(500, 20 * KB, true), 409),
            (500, wrote(500, MB, true), 8),
            (500, wrote(3, 40 * MB, false), 1),
            (8, wrote(8, 2 * KB, true), 16),
            (500, Event::Opened, 100),
            (8, Event::Opened, 8),
            (500, Event::Overflowed { largest: MB }, 8),
            (500, Event::Overflowed { largest: 40 * MB }, 1),
            (4, Event::Overflowed { largest: KB }, 4),
        ];
        for (batch, event, expected) in rows {
            assert_eq!(next(of(batch), event), of(expected), "{batch} {event:?}");
        }
        assert_eq!((of(1).prefetch(), of(8).prefetch()), (1, 16));
        assert_eq!(Portion::new(40).batch(), 40);
    }

    proptest! {
        #[test]
        fn what_is_taken_fits_as_far_as_one_may_know(
            most in 1..3_000usize, sizes in prop::collection::vec((1..4 * MB, any::<bool>()), 1..40)
        ) {
            let mut portion = Portion::new(most);
            for (size, may_widen) in sizes {
                portion = next(portion, wrote(portion.batch(), size, may_widen));
                prop_assert!((1..=most).contains(&portion.batch()));
                prop_assert!(portion.batch() == 1 || 2 * portion.batch() * size <= BYTES);
            }
        }
    }
}
