//! What a lane was given and the broker has not confirmed, in order; what came back goes first. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Document, Documents, Limits, Ordinal};

/// The documents of one file that the broker has not confirmed, and what is to be sent next. Pure:
/// sockets and time are the lane's.
///
/// In order as they came; what comes back (returned, refused for now, lost with its channel) is
/// sent again before anything new. After something came back only one at a time is sent, until
/// the broker has taken that one. After the broker closed the channel over a message, half as many
/// are sent at once, then half of those, until one alone closes it: that one it will never take.
#[derive(Debug)]
pub struct Flight {
    /// How many may be on their way; one always may.
    limits: Limits,
    letters: BTreeMap<Ordinal, Letter>,
    to_send: BTreeSet<Ordinal>,
    /// On their way on the present channel, with the bytes that they take.
    sent: BTreeMap<Ordinal, usize>,
    sent_bytes: usize,
    /// Whether the window was full and there is not room for a few again.
    full: bool,
    /// Whether something came back and nothing was taken since.
    came_back: bool,
    narrowed: Option<Narrowed>,
}

/// One document of a batch.
#[derive(Clone, Debug)]
pub struct Letter {
    batch: Arc<Documents>,
    index: usize,
    sent_before: bool,
}

#[derive(Clone, Copy, Debug)]
struct Narrowed {
    at_once: usize,
    /// The last ordinal that can be the one.
    until: Ordinal,
}

impl Letter {
    /// The batch and the document in it.
    pub fn document(&self) -> Option<(&Documents, &Document)> {
        let (_, document) = self.batch.all.get(self.index)?;
        Some((&self.batch, document))
    }

    /// Whether it was sent before.
    pub const fn is_repeat(&self) -> bool {
        self.sent_before
    }

    /// Its canonical JSON.
    pub fn json(&self) -> Vec<u8> {
        let found = self.document();
        found
            .map(|(batch, document)| batch.json[document.json.clone()].to_vec())
            .unwrap_or_default()
    }
}

impl Flight {
    /// With nothing in it.
    pub const fn new(limits: Limits) -> Flight {
        Flight {
            limits,
            letters: BTreeMap::new(),
            to_send: BTreeSet::new(),
            sent: BTreeMap::new(),
            sent_bytes: 0,
            full: false,
            came_back: false,
            narrowed: None,
        }
    }

    /// Takes a batch over.
    pub fn add(&mut self, batch: Documents) {
        let batch = Arc::new(batch);
        for (index, (ordinal, _)) in batch.all.iter().enumerate() {
            let letter = Letter { batch: Arc::clone(&batch), index, sent_before: false };
            self.letters.insert(*ordinal, letter);
            self.to_send.insert(*ordinal);
        }
    }

    /// Whether nothing is left to be confirmed.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// The first that is not confirmed.
    pub fn first(&self) -> Option<Ordinal> {
        self.letters.keys().next().copied()
    }

    /// How many are on their way.
    pub fn on_their_way(&self) -> usize {
        self.sent.len()
    }

    /// Whether there is something to send that came back, which is worth a pause first.
    pub fn must_pause(&self) -> bool {
        self.came_back && self.sent.is_empty() && !self.to_send.is_empty()
    }

    /// The next to send, if one may be sent now; it is on its way from then on.
    pub fn next(&mut self) -> Option<(Ordinal, Letter)> {
        let at_once = match self.narrowed {
            _ if self.came_back => 1,
            Some(narrowed) => narrowed.at_once,
            None => self.limits.records,
        };
        if !self.has_room(at_once) {
            return None;
        }
        let ordinal = self.to_send.pop_first()?;
        let letter = self.letters.get_mut(&ordinal)?;
        let bytes = letter.document().map_or(0, |(_, document)| document.json.len());
        self.sent.insert(ordinal, bytes);
        self.sent_bytes += bytes;
        let now = letter.clone();
        letter.sent_before = true;
        Some((ordinal, now))
    }

    /// Whether one more may be sent. Once the window was full, a sixteenth of it must be free
    /// first: message by message, each with a write of its own, costs the broker half as much
    /// time again as a few hundred together.
    fn has_room(&mut self, at_once: usize) -> bool {
        let Limits { records, bytes } = self.limits;
        let records = records.min(at_once);
        let (taken, taken_bytes) = (self.sent.len(), self.sent_bytes);
        self.full = if self.full {
            taken > records - records.div_ceil(16) || taken_bytes > bytes - bytes.div_ceil(16)
        } else {
            taken >= records || taken_bytes >= bytes
        };
        !self.full || taken == 0
    }

    /// The broker has one for good; false if that is no news.
    pub fn confirmed(&mut self, ordinal: Ordinal) -> bool {
        self.came_back = false;
        self.arrived(ordinal);
        let known = self.letters.remove(&ordinal).is_some();
        let passed = |narrowed: Narrowed| self.first().is_none_or(|first| first > narrowed.until);
        if self.narrowed.is_some_and(passed) {
            self.narrowed = None;
        }
        known
    }

    /// One came back; it is to be sent again.
    pub fn back(&mut self, ordinal: Ordinal) {
        self.arrived(ordinal);
        if self.letters.contains_key(&ordinal) {
            self.to_send.insert(ordinal);
            self.came_back = true;
        }
    }

    /// The channel is gone: everything that was on its way is to be sent again.
    pub fn channel_lost(&mut self) {
        self.sent_bytes = 0;
        self.to_send.extend(std::mem::take(&mut self.sent).into_keys());
    }

    fn arrived(&mut self, ordinal: Ordinal) {
        self.sent_bytes -= self.sent.remove(&ordinal).unwrap_or(0);
    }

    /// The broker closed the channel over one of those that were on their way. If there was only
    /// one, it is that; it is taken out and returned.
    pub fn channel_refused(&mut self) -> Option<(Ordinal, Letter)> {
        let on_their_way = self.sent.len();
        let last = self.sent.keys().last().copied();
        if on_their_way == 1 {
            self.narrowed = None;
            self.sent_bytes = 0;
            let (ordinal, _) = self.sent.pop_first()?;
            let letter = self.letters.remove(&ordinal)?;
            return Some((ordinal, letter));
        }
        let until = self.narrowed.map(|narrowed| narrowed.until).max(last);
        if let Some(until) = until {
            self.narrowed = Some(Narrowed { at_once: (on_their_way / 2).max(1), until });
        }
        self.channel_lost();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use proptest::prelude::*;

    fn flight(ordinals: std::ops::RangeInclusive<u64>) -> Flight {
        let hash = Sha256([0; 32]);
        let document = Document { json: 0..10, id: "1".into(), hash, id_member: None };
        let all = ordinals.map(|n| (Ordinal(n), document.clone())).collect();
        let mut flight = Flight::new(Limits { records: 250, bytes: 1_000 });
        flight.add(Documents { json: vec![b' '; 10], all, ..Documents::default() });
        flight
    }

    fn send_all(flight: &mut Flight) -> Vec<u64> {
        std::iter::from_fn(|| flight.next()).map(|(ordinal, _)| ordinal.0).collect()
    }

    #[test]
    fn what_was_lost_with_its_channel_goes_first_and_as_a_repeat() {
        let mut flight = flight(1..=4);
        assert_eq!(send_all(&mut flight), [1, 2, 3, 4]);
        flight.confirmed(Ordinal(2));
        flight.channel_lost();
        let (first, letter) = flight.next().unwrap();
        assert!(first == Ordinal(1) && letter.is_repeat());
        assert_eq!(send_all(&mut flight), [3, 4]);
    }

    #[test]
    fn after_something_came_back_one_is_tried_until_the_broker_takes_it() {
        let mut flight = flight(1..=4);
        send_all(&mut flight);
        (1..=4).for_each(|n| flight.back(Ordinal(n)));
        assert!(flight.must_pause());
        assert_eq!(send_all(&mut flight), [1]);
        flight.back(Ordinal(1));
        assert_eq!(send_all(&mut flight), [1]);
        flight.confirmed(Ordinal(1));
        assert_eq!(send_all(&mut flight), [2, 3, 4]);
    }

    #[test]
    fn no_more_are_on_their_way_than_the_window_allows() {
        let mut flight = flight(1..=4);
        flight.limits = Limits { records: 2, bytes: 1_000 };
        assert_eq!(send_all(&mut flight), [1, 2]);
        flight.confirmed(Ordinal(2));
        assert_eq!(send_all(&mut flight), [3]);
        flight.channel_lost();
        assert_eq!(send_all(&mut flight), [1, 3]);
        flight.limits.bytes = 10;
        flight.confirmed(Ordinal(1));
        assert!(send_all(&mut flight).is_empty(), "too many bytes");
        flight.confirmed(Ordinal(3));
        assert_eq!(send_all(&mut flight), [4], "but one always may");
    }

    proptest! {
        #[test]
        fn whatever_the_broker_refuses_is_found_and_nothing_else(
            count in 1..300u64,
            bad in proptest::collection::btree_set(1..300u64, 0..5)
        ) {
            let bad: BTreeSet<u64> = bad.into_iter().filter(|n| *n <= count).collect();
            let mut flight = flight(1..=count);
            let (mut refused, mut taken, mut channels) = (BTreeSet::new(), BTreeSet::new(), 0);
            while !flight.is_empty() {
                channels += 1;
                prop_assert!(channels < 200, "it goes on for ever");
                let sent = send_all(&mut flight);
                // The broker takes what comes before the one that it closes the channel over.
                let culprit = sent.iter().find(|n| bad.contains(n)).copied();
                for n in sent.iter().take_while(|n| Some(**n) != culprit) {
                    flight.confirmed(Ordinal(*n));
                    taken.insert(*n);
                }
                if culprit.is_some() && let Some((ordinal, _)) = flight.channel_refused() {
                    refused.insert(ordinal.0);
                }
            }
            prop_assert_eq!(&refused, &bad);
            prop_assert_eq!(taken.len() + refused.len(), usize::try_from(count).unwrap());
        }
    }
}
