//! A consumer's picture. A function of what each type is at.

use super::{Cell, Picture, Row, State, Table};
use crate::model::{Kind, Timestamp};
use crate::observe::PROGRAM_VERSION;
use crate::state::view::TypeEntry;

/// How fast a type goes: records a second now, and in the last half hour.
pub type Pace = (u64, Vec<f64>);

/// What is shown of a consumer: `pace` says how fast a type goes.
pub fn of_types(
    service: &str,
    types: &[TypeEntry],
    pace: impl Fn(Kind) -> Pace,
    at: Timestamp,
) -> Picture {
    let (state, stage) = stage(types);
    Picture {
        service: service.to_owned(),
        version: PROGRAM_VERSION,
        at,
        state,
        stage: stage.to_owned(),
        alerts: alerts(types).collect(),
        tables: vec![table(types, pace)],
    }
}

pub(super) fn stage(types: &[TypeEntry]) -> (State, &'static str) {
    let any = |is: fn(&TypeEntry) -> bool| types.iter().any(is);
    match () {
        () if any(|now| now.stalled) => (State::Stalled, "stalled"),
        () if any(|now| now.reads) => (State::Busy, "reading"),
        () if any(|now| now.cancelled) => (State::Done, "complete, waiting for more"),
        () => (State::Calm, "starting"),
    }
}

pub(super) fn alerts(types: &[TypeEntry]) -> impl Iterator<Item = String> {
    let stalled = types.iter().filter(|now| now.stalled);
    let stalled = stalled.map(|n| format!("{} is stalled: its messages are not written", n.kind));
    let rejected = types.iter().filter(|now| now.dead_letters > 0);
    let rejected = rejected
        .map(|n| format!("{}: {} messages are in the dead letters", n.kind, n.dead_letters));
    stalled.chain(rejected)
}

pub(super) fn table(types: &[TypeEntry], pace: impl Fn(Kind) -> Pace) -> Table {
    let row = |entry: &TypeEntry| {
        let (now, curve) = pace(entry.kind);
        let (state, word) = match entry {
            TypeEntry { stalled: true, .. } => (State::Stalled, "stalled"),
            TypeEntry { cancelled: true, .. } => (State::Done, "cancelled, complete"),
            TypeEntry { reads: true, .. } => (State::Busy, "active"),
            _ => (State::Calm, "not connected"),
        };
        Row {
            state,
            cells: vec![
                Cell::Text(entry.kind.name().to_owned()),
                Cell::Text(word.to_owned()),
                Cell::Number(entry.records),
                Cell::Rate { now, curve },
                Cell::Number(entry.messages),
                Cell::Number(entry.in_flight),
                Cell::Number(entry.dead_letters),
                entry.last_message.into(),
                entry.completed_at.into(),
            ],
        }
    };
    Table {
        caption: "Types".to_owned(),
        columns: &[
            "Type",
            "Consumers",
            "Written",
            "Rate",
            "Messages",
            "In flight",
            "Dead letters",
            "Last message",
            "Completed",
        ],
        rows: types.iter().map(row).collect(),
        empty: "There are no types.",
    }
}
