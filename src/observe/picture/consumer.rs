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
    let (state, words) = stage(types);
    Picture {
        service: service.to_owned(),
        version: PROGRAM_VERSION,
        at,
        state,
        stage: words.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_767_323_045_000);

    fn idle() -> TypeEntry {
        TypeEntry {
            kind: Kind::Labels,
            reads: false,
            cancelled: false,
            stalled: false,
            records: 10,
            messages: 12,
            in_flight: 2,
            dead_letters: 0,
            last_message: Some(AT),
            completed_at: None,
        }
    }

    fn shown(types: &[TypeEntry]) -> Picture {
        of_types("tableinator", types, |_| (3, vec![1.0, 2.6]), AT)
    }

    #[test]
    fn each_state_of_a_type_has_its_words_and_so_has_the_whole() {
        let done = "complete, waiting for more";
        for (reads, cancelled, stalled, state, word, overall, stage) in [
            (false, false, false, State::Calm, "not connected", State::Calm, "starting"),
            (true, false, false, State::Busy, "active", State::Busy, "reading"),
            (true, false, true, State::Stalled, "stalled", State::Stalled, "stalled"),
            (false, false, true, State::Stalled, "stalled", State::Stalled, "stalled"),
            (false, true, false, State::Done, "cancelled, complete", State::Done, done),
        ] {
            let picture = shown(&[TypeEntry { reads, cancelled, stalled, ..idle() }]);
            let row = &picture.tables[0].rows[0];
            assert_eq!((row.state, &row.cells[1]), (state, &Cell::Text(word.to_owned())));
            assert_eq!((picture.state, picture.stage.as_str()), (overall, stage));
            let alert = "labels is stalled: its messages are not written".to_owned();
            assert_eq!(picture.alerts.contains(&alert), stalled, "{word}");
        }
    }

    #[test]
    fn one_type_that_still_reads_is_what_the_whole_does() {
        let done = TypeEntry { cancelled: true, completed_at: Some(AT), ..idle() };
        let busy = TypeEntry { kind: Kind::Artists, reads: true, ..idle() };
        assert_eq!(shown(&[done, busy]).stage, "reading");
    }

    #[test]
    fn dead_letters_are_told_of_and_each_number_has_its_column() {
        assert_eq!(shown(&[idle()]).alerts, Vec::<String>::new());
        let picture = shown(&[TypeEntry { dead_letters: 3, completed_at: Some(AT), ..idle() }]);
        assert_eq!(picture.alerts, ["labels: 3 messages are in the dead letters"]);
        let table = &picture.tables[0];
        let cells = &table.rows[0].cells;
        assert_eq!(cells.len(), table.columns.len());
        let numbers = [
            Cell::Number(10),
            Cell::Rate { now: 3, curve: vec![1.0, 2.6] },
            Cell::Number(12),
            Cell::Number(2),
            Cell::Number(3),
            Cell::Time(AT),
            Cell::Time(AT),
        ];
        assert_eq!(cells[2..], numbers);
    }
}
