//! Messages that were handed to the library and are not written to the socket yet.
//!
//! Owns them in order, with the confirm that the library makes for each. The library writes in that
//! order and says so message by message, from the thread that also reads what the broker answers.
//! So whatever the broker has confirmed is written, and [`Writing::take_written`] gives the confirm
//! of every message that an answer seen before can be about: `course` believes nothing without.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, MaybeDone, maybe_done};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Error, PublisherConfirm};

use super::post;
use crate::model::Ordinal;

/// Messages handed to the library together.
#[derive(Default)]
pub struct Burst {
    /// All bodies in one piece: one for each would be allocated here and freed by another thread.
    pub bodies: Vec<u8>,
    /// The messages, in order.
    pub messages: Vec<Message>,
}

/// One of them.
pub struct Message {
    /// Which record it is.
    pub ordinal: Ordinal,
    /// Where its body is in the burst's.
    pub body: Range<usize>,
    /// Everything else.
    pub properties: BasicProperties,
}

/// What became of a message: the broker has yet to confirm it, or the channel is gone.
pub type Written = (Ordinal, Result<PublisherConfirm, Error>);

/// What is not written yet, or was not taken in since.
#[derive(Default)]
pub struct Writing {
    messages: VecDeque<Publishing>,
    bytes: usize,
    written: Vec<Written>,
}

struct Publishing {
    ordinal: Ordinal,
    publish: MaybeDone<BoxFuture<'static, Result<PublisherConfirm, Error>>>,
    /// The bytes of the burst that ends with this message.
    burst: Option<usize>,
}

impl Writing {
    /// Bytes of the bursts that are not wholly written.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything is written and taken in.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.written.is_empty()
    }

    /// Publishes a burst. The library takes each message over when its future is first looked at.
    pub fn add(&mut self, burst: Burst, channel: &Arc<Channel>, exchange: &ShortString) {
        let bodies = Bytes::from(burst.bodies);
        self.bytes += bodies.len();
        for Message { ordinal, body, properties } in burst.messages {
            let (channel, exchange) = (Arc::clone(channel), exchange.clone());
            let body = bodies.slice(body);
            let publish = async move {
                let key = ShortString::default();
                channel.basic_publish(exchange, key, post::OPTIONS, &body, properties).await
            };
            let mut publish = maybe_done(publish.boxed());
            _ = (&mut publish).now_or_never();
            self.messages.push_back(Publishing { ordinal, publish, burst: None });
        }
        if let Some(last) = self.messages.back_mut() {
            last.burst = Some(bodies.len());
        }
    }

    /// Looks what is written by now; ready when that is a whole burst. Only the first unwritten
    /// message is waited for: one wake-up for what was written together instead of one a message.
    ///
    /// Cancel safety: what was seen to be written is kept here until it is taken.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(first) = self.messages.front_mut() {
            if Pin::new(&mut first.publish).poll(context).is_pending() {
                return Poll::Pending;
            }
            let confirm = Pin::new(&mut first.publish).take_output();
            self.written.extend(confirm.map(|confirm| (first.ordinal, confirm)));
            let burst = first.burst;
            self.messages.pop_front();
            if let Some(bytes) = burst {
                self.bytes -= bytes;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Everything that is written by now and was not taken before.
    pub fn take_written(&mut self) -> Vec<Written> {
        while self.poll(&mut Context::from_waker(Waker::noop())).is_ready() {}
        std::mem::take(&mut self.written)
    }
}
