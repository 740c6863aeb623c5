//! The records that a reader has cut and not sent yet, and how they become chunks for the parse threads.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::model::{GzipOffset, Kind, ResumePoint, XmlOffset};
use crate::pipeline::budget::{BYTES, Share};
use crate::pipeline::reading::Reading;
use crate::pipeline::workers::{Chunk, Cut, Done, Pool};

/// The least that a chunk takes of the budget, so that it bounds how many there are as well.
const MIN_SHARE: usize = 64 << 10;

/// Where a reader's chunks go.
pub struct Outlet {
    /// What the records are.
    pub kind: Kind,
    /// What is shared with the delivery.
    pub reading: Reading,
    /// Takes the chunks.
    pub pool: Pool,
    /// Where the parse threads send what they made of them.
    pub done: mpsc::Sender<Done>,
}

/// What is cut and not sent.
#[derive(Default)]
pub(super) struct Outgoing {
    cuts: Vec<Cut>,
    /// Bytes of the records in `cuts`.
    bytes: usize,
    /// Points that have their boundary.
    points: VecDeque<ResumePoint>,
    /// Chunks that were sent.
    chunks: u64,
    /// A share taken ahead, for a record larger than the budget.
    share: Option<Share>,
}

/// The text that the records of some chunks lie in.
pub(super) struct CutText {
    pub text: Vec<u8>,
    /// Where it begins in the dump.
    pub base: XmlOffset,
    /// Compressed bytes read so far.
    pub gzip: GzipOffset,
}

impl Outgoing {
    /// Whether there is no record.
    pub(super) const fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// How many records there are.
    pub(super) const fn records(&self) -> usize {
        self.cuts.len()
    }

    /// How many bytes these hold.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the last record ends.
    pub(super) fn end(&self) -> Option<XmlOffset> {
        self.cuts.last().map(|cut| cut.place.end)
    }

    /// Takes a record, and the points whose boundary it ends at.
    pub(super) fn push(&mut self, cut: Cut, points: Vec<ResumePoint>) {
        self.points.extend(points);
        self.bytes += cut.length();
        self.cuts.push(cut);
    }

    /// Takes points that lie before the mark: the last of all of them is the one to start from again.
    pub(super) fn pass(&mut self, points: Vec<ResumePoint>) {
        if let Some(last) = points.into_iter().next_back() {
            self.points = VecDeque::from([last]);
        }
    }

    /// Waits until nothing else is on its way, and takes the whole budget for what comes next; false
    /// if it was stopped.
    pub(super) fn take_all(&mut self, outlet: &Outlet) -> bool {
        if self.share.is_none() {
            self.share = outlet.reading.budget.wait_for(BYTES);
        }
        self.share.is_some()
    }

    /// Sends all records, at most so many in a chunk; false if it was stopped.
    pub(super) fn send(&mut self, piece: CutText, most: usize, outlet: &Outlet) -> bool {
        let CutText { text, base, gzip } = piece;
        let text = Arc::new(text);
        self.bytes = 0;
        let mut cuts = std::mem::take(&mut self.cuts).into_iter().peekable();
        while let Some(first) = cuts.peek().map(|cut| cut.place.ordinal) {
            let records: Vec<_> = cuts.by_ref().take(most).collect();
            let size = records.iter().map(Cut::length).sum::<usize>().max(MIN_SHARE);
            let taken = self.share.take().or_else(|| outlet.reading.budget.wait_for(size));
            let Some(share) = taken else { return false };
            let upto = records.last().map_or(first, |cut| cut.place.ordinal);
            let points = self.points.partition_point(|point| point.boundary().after <= upto);
            let chunk = Chunk {
                number: self.chunks,
                text: Arc::clone(&text),
                base,
                records,
                points: self.points.drain(..points).collect(),
                gzip,
                share,
            };
            self.chunks += 1;
            if !outlet.pool.parse(outlet.kind, chunk, &outlet.done) {
                return false;
            }
        }
        true
    }
}
