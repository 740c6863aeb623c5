//! A consumer's picture. A function of what each type is at.

use crate::consume::TypeNow;
use crate::model::{Kind, Timestamp};
use crate::observe::PROGRAM_VERSION;
use crate::observe::picture::{Cell, Picture, Row, State, Table};

/// What a consumer is at.
pub struct Consumer<'a> {
    /// Its name.
    pub service: &'static str,
    /// Each type, and when it was complete if it is.
    pub types: &'a [(TypeNow, Option<Timestamp>)],
    /// Those that do not move.
    pub stalled: &'a [Kind],
    /// Records a second in the last half hour.
    pub curves: &'a [Vec<f64>; 4],
}

/// What is shown of it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is a small number that is not negative"
)]
pub fn of_types(shown: &Consumer<'_>, at: Timestamp) -> Picture {
    let Consumer { service, types, stalled, curves } = shown;
    let row = |(now, completed): &(TypeNow, Option<Timestamp>)| {
        let curve = &curves[now.kind as usize];
        let rate = curve.last().copied().unwrap_or_default().round() as u64;
        let (state, word) = match now {
            _ if stalled.contains(&now.kind) => (State::Stalled, "stalled"),
            TypeNow { cancelled: true, .. } => (State::Done, "cancelled, complete"),
            TypeNow { reads: true, .. } => (State::Busy, "active"),
            _ => (State::Calm, "not connected"),
        };
        Row {
            state,
            cells: vec![
                Cell::Text(now.kind.name().to_owned()),
                Cell::Text(word.to_owned()),
                Cell::Number(now.records),
                Cell::Rate { now: rate, curve: curve.clone() },
                Cell::Number(now.messages),
                Cell::Number(now.in_flight as u64),
                Cell::Number(now.poison),
                now.last_message.into(),
                (*completed).into(),
            ],
        }
    };
    let any = |is: fn(&TypeNow) -> bool| types.iter().any(|(now, _)| is(now));
    let (overall, stage) = match () {
        () if !stalled.is_empty() => (State::Stalled, "stalled"),
        () if any(|now| now.reads) => (State::Busy, "reading"),
        () if any(|now| now.cancelled) => (State::Done, "complete, waiting for more"),
        () => (State::Calm, "starting"),
    };
    let told =
        stalled.iter().map(|kind| format!("{kind} is stalled: its messages are not written"));
    let rejected = types.iter().filter(|(now, _)| now.poison > 0);
    let rejected = rejected
        .map(|(now, _)| format!("{}: {} messages are in the dead letters", now.kind, now.poison));
    Picture {
        service,
        version: PROGRAM_VERSION,
        at,
        state: overall,
        stage: stage.to_owned(),
        alerts: told.chain(rejected).collect(),
        tables: vec![Table {
            caption: "Types",
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
        }],
    }
}
