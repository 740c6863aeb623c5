//! The buffer of inflated text: appended at its end, taken from its front.

/// The part of a dump's text that is in memory, from the first byte that is still needed.
pub(super) struct Text {
    bytes: Vec<u8>,
    /// What of `bytes` is not needed any more.
    front: usize,
    /// Where the needed part begins in the dump.
    base: u64,
    /// Room that is kept for what comes.
    room: usize,
}

impl Text {
    /// No text, at a place of the dump. `room` bytes of it are usually held.
    pub(super) fn at(base: u64, room: usize) -> Text {
        Text { bytes: Vec::with_capacity(room), front: 0, base, room }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.front..]
    }

    /// Where more text is appended.
    pub(super) const fn end_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.front
    }

    /// Where it begins in the dump.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// Where it ends in the dump.
    pub(super) const fn end(&self) -> u64 {
        self.base + self.len() as u64
    }

    /// The bytes between two places of the dump.
    pub(super) fn between(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes()[self.index(from)..self.index(to)]
    }

    /// How many bytes come before a place of the dump.
    pub(super) fn index(&self, place: u64) -> usize {
        usize::try_from(place - self.base).unwrap_or(usize::MAX)
    }

    /// Takes the first `count` bytes out; others may follow them. Usually that is nearly all there
    /// is, and only the rest is copied. Of a long text that became many records it is little.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.len() - count;
        if self.front == 0 && rest <= count {
            let mut next = Vec::with_capacity(self.room.max(rest));
            next.extend_from_slice(&self.bytes[count..]);
            self.base += count as u64;
            std::mem::replace(&mut self.bytes, next)
        } else {
            let taken = self.bytes()[..count].to_vec();
            self.drop_front(count);
            taken
        }
    }

    /// Drops the first `count` bytes. Each byte is moved at most once for every time that as much
    /// as it and all after it was dropped.
    pub(super) fn drop_front(&mut self, count: usize) {
        self.base += count as u64;
        self.front += count;
        if self.front >= self.bytes.len() / 2 {
            self.bytes.drain(..self.front);
            self.front = 0;
            if self.bytes.capacity() > 8 * self.room && self.bytes.len() < self.room {
                self.bytes.shrink_to(self.room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_taken_and_dropped_is_what_came_in_order(
            steps in prop::collection::vec((0_usize..3, 0_usize..200), 1..60)
        ) {
            let (mut text, mut came, mut gone) = (Text::at(7, 64), 0_u8, 0_u8);
            for (what, count) in steps {
                let here = count.min(text.len());
                match what {
                    0 => text.end_mut().extend((0..count).map(|_| { came = came.wrapping_add(1); came })),
                    1 => {
                        for byte in &text.take(here)[..here] {
                            gone = gone.wrapping_add(1);
                            prop_assert_eq!(*byte, gone);
                        }
                    }
                    _ => {
                        text.drop_front(here);
                        gone = (0..here).fold(gone, |gone, _| gone.wrapping_add(1));
                    }
                }
                prop_assert_eq!(text.end() - text.base(), text.len() as u64);
                let first = text.bytes().first().copied();
                prop_assert!(first.is_none() || first == Some(gone.wrapping_add(1)));
            }
        }
    }
}
