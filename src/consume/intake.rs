//! What the broker sends of one queue, counted in bytes: it sends as many messages as it may, however
//! large they are, and whoever does not look until a batch is written has them all by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicCancelOptions;
use lapin::{Channel, Consumer, Error};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of one type that may be here, waiting or being written. What is more is let go of, and the
/// broker sends it again. Of four types it is 96 MiB, beside what writing a batch takes.
const BYTES: usize = 24 << 20;

/// What came, in the order in which it was sent.
pub struct Intake {
    deliveries: mpsc::Receiver<Result<Delivery, Error>>,
    level: Arc<Level>,
    /// Takes everything off the connection as it comes.
    _taking: AbortOnDropHandle<()>,
}

/// How much is here.
#[derive(Default)]
struct Level {
    bytes: AtomicUsize,
    largest: AtomicUsize,
    /// The largest of them when something was let go of; 0 if nothing was.
    overflowed: AtomicUsize,
}

/// Bytes of messages that are here, until it is dropped.
#[derive(Default)]
pub struct Held {
    bytes: usize,
    level: Option<Arc<Level>>,
}

impl Intake {
    /// Takes what the consumer is sent, of which at most so many messages are not acknowledged.
    pub fn new(channel: Channel, consumer: Consumer, prefetch: u16) -> Intake {
        let (sender, deliveries) = mpsc::channel(usize::from(prefetch).max(1));
        let level = Arc::new(Level::default());
        let taking = tokio::spawn(take(channel, consumer, sender, Arc::clone(&level)));
        Intake { deliveries, level, _taking: AbortOnDropHandle::new(taking) }
    }

    /// The next message; none when nothing more comes.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        self.deliveries.recv().await
    }

    /// How many are here that were not asked for yet.
    pub fn waiting(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether something was let go of, and how large the largest message is: nothing more comes
    /// then but what is here.
    pub fn overflowed(&self) -> Option<usize> {
        Some(self.level.overflowed.load(Ordering::Acquire)).filter(|largest| *largest > 0)
    }

    /// Counts a message as long as it is held.
    pub fn hold(&self, held: &mut Held, delivery: &Delivery) {
        held.bytes += delivery.data.len();
        held.level.get_or_insert_with(|| Arc::clone(&self.level));
    }
}

impl Held {
    /// How many bytes they are.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(level) = &self.level {
            level.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

impl Level {
    /// Whether a message finds room: one alone always does.
    fn rises(&self, bytes: usize) -> bool {
        self.largest.fetch_max(bytes, Ordering::AcqRel);
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        before == 0 || before + bytes <= BYTES
    }
}

async fn take(
    channel: Channel,
    mut consumer: Consumer,
    sender: mpsc::Sender<Result<Delivery, Error>>,
    level: Arc<Level>,
) {
    while let Some(delivery) = consumer.next().await {
        let fits = delivery.as_ref().map_or(true, |delivery| level.rises(delivery.data.len()));
        // No more come than there is room for, unless the broker does not keep to what was agreed.
        if fits && sender.try_send(delivery).is_ok() {
            continue;
        }
        level.overflowed.store(level.largest.load(Ordering::Acquire).max(1), Ordering::Release);
        drop(sender);
        let tag = consumer.tag();
        let cancelling = async {
            // If the channel is gone nothing more comes either.
            _ = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
        };
        let letting_go = async { while consumer.next().await.is_some() {} };
        tokio::join!(cancelling, letting_go);
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_alone_always_finds_room_and_others_while_there_is_some() {
        let level = Arc::new(Level::default());
        assert!(level.rises(2 * BYTES));
        let held = Held { bytes: 2 * BYTES, level: Some(Arc::clone(&level)) };
        drop(held);
        assert!(level.rises(BYTES - 1) && level.rises(1));
        assert!(!level.rises(1));
    }
}
