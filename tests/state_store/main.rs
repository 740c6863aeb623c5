//! The state store as its users see it: the keeper, inspection, damage, sudden death.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests; the seed is printed")]

mod download;
mod kill;
mod life;
mod rebuild;
mod upgrade;

use std::path::Path;
use std::sync::Arc;

use discogs_extractor::model::{
    Boundary, Checkpoint, Confirmed, DumpName, Ending, GzipOffset, Identity, InflatePoint, Job,
    Kind, Limits, MemberCheck, Ordinal, Place, ResumePoint, SystemClock, Timestamp, Window,
    XmlOffset,
};
use discogs_extractor::state::{Advance, Begun, FileKey, Keeper, Owes, StateError};

pub(crate) const SIZE: u64 = 1_000;
pub(crate) const TABLES: Owes = Owes { announcements: false, sweep: true };
pub(crate) const BROKER: Owes = Owes { announcements: true, sweep: false };

pub(crate) fn job() -> Job {
    Job::new("sqlite:2f0c")
}

pub(crate) fn key(kind: Kind) -> FileKey {
    FileKey::new(job(), DumpName { version: "20260101".parse().unwrap(), kind })
}

pub(crate) fn identity() -> Identity {
    Identity::Content { size: SIZE, ends: [7; 32] }
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp(1_767_323_045_000 + millis)
}

pub(crate) async fn open(dir: &Path) -> Keeper {
    try_open(dir).await.unwrap()
}

pub(crate) async fn try_open(dir: &Path) -> Result<Keeper, StateError> {
    Keeper::open(dir, Arc::new(SystemClock::new())).await
}

pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

pub(crate) async fn begin(keeper: &Keeper, kind: Kind, millis: u64) -> Begun {
    keeper.begin(key(kind), identity(), None, at(millis)).await.unwrap()
}

/// The steps a pipeline would make, through a real window.
pub(crate) struct Steps(Window);

impl Steps {
    pub(crate) fn from(mark: Checkpoint) -> Steps {
        Steps(Window::new(Limits { records: 10_000, bytes: usize::MAX }, mark))
    }

    /// `records` more are confirmed.
    pub(crate) fn confirm(&mut self, records: u64) -> Confirmed {
        let first = self.0.mark().ordinal().next();
        let last = Ordinal(first.0 + records - 1);
        for ordinal in first.0..=last.0 {
            let check = Some(MemberCheck { crc: 7, length: ordinal * 100 });
            let place = Place { check, ..Place::counted(Ordinal(ordinal), 100) };
            self.0.sent(place, 100).unwrap();
        }
        self.0.confirm(first..=last, None).unwrap().unwrap()
    }

    pub(crate) fn set_aside(&mut self) -> Confirmed {
        let ordinal = self.0.mark().ordinal().next();
        let place = Place::counted(ordinal, 100);
        self.0.sent(place, 100).unwrap();
        self.0.set_aside(ordinal).unwrap().unwrap()
    }

    pub(crate) fn finish(&mut self) -> Confirmed {
        let mark = self.0.mark();
        let end = mark.position.reached().unwrap();
        let ending = Ending { last: mark.ordinal(), end, length: XmlOffset(end.0 + 10) };
        self.0.finish(&ending).unwrap()
    }
}

pub(crate) fn step(step: Confirmed, millis: u64) -> Advance {
    let gzip_offset = GzipOffset(step.to().ordinal().0.min(SIZE));
    Advance { step, points: Vec::new(), gzip_offset, at: at(millis) }
}

/// A resume point whose window does not fit into one value of the store, if `large`.
pub(crate) fn point(after: u64, large: bool) -> ResumePoint {
    let window = vec![u8::try_from(after % 251).unwrap(); if large { 33_000 } else { 7_000 }];
    let place = InflatePoint {
        gzip: GzipOffset(after * 10),
        bits: 3,
        xml: XmlOffset(after * 100 - 1),
        window,
    };
    let member = MemberCheck { crc: 1, length: after * 100 - 1 };
    let check = MemberCheck { crc: 7, length: after * 100 };
    let boundary = Boundary { after: Ordinal(after), xml: XmlOffset(after * 100), check };
    ResumePoint::new(place, member, boundary).unwrap()
}

/// Delivers a whole file of `records`.
pub(crate) async fn deliver(keeper: &Keeper, kind: Kind, records: u64, owes: Owes, millis: u64) {
    let begun = begin(keeper, kind, millis).await;
    let mut steps = Steps::from(begun.checkpoint);
    let advance = step(steps.confirm(records), millis + 1);
    keeper.advance(key(kind), advance).await.unwrap().await.unwrap();
    keeper.complete(key(kind), steps.finish(), owes, at(millis + 2)).await.unwrap();
}
