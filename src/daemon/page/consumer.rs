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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_767_323_045_000);

    fn idle() -> TypeNow {
        TypeNow {
            kind: Kind::Labels,
            reads: false,
            cancelled: false,
            messages: 12,
            records: 10,
            poison: 0,
            in_flight: 2,
            last_message: Some(AT),
            notes: Vec::new(),
            reading: None,
        }
    }

    fn shown(now: TypeNow, stalled: bool, completed: Option<Timestamp>) -> Picture {
        let stalled = if stalled { vec![now.kind] } else { Vec::new() };
        let mut curves: [Vec<f64>; 4] = Default::default();
        curves[Kind::Labels as usize] = vec![1.0, 2.6];
        let types = [(now, completed)];
        let (types, stalled, curves) = (types.as_slice(), stalled.as_slice(), &curves);
        of_types(&Consumer { service: "tableinator", types, stalled, curves }, AT)
    }

    #[test]
    fn each_state_of_a_type_has_its_words_and_so_has_the_whole() {
        for (reads, cancelled, stalled, state, word, overall, stage) in [
            (false, false, false, State::Calm, "not connected", State::Calm, "starting"),
            (true, false, false, State::Busy, "active", State::Busy, "reading"),
            (true, false, true, State::Stalled, "stalled", State::Stalled, "stalled"),
            (false, false, true, State::Stalled, "stalled", State::Stalled, "stalled"),
            (
                false,
                true,
                false,
                State::Done,
                "cancelled, complete",
                State::Done,
                "complete, waiting for more",
            ),
        ] {
            let picture = shown(TypeNow { reads, cancelled, ..idle() }, stalled, None);
            let row = &picture.tables[0].rows[0];
            assert_eq!((row.state, &row.cells[1]), (state, &Cell::Text(word.to_owned())));
            assert_eq!((picture.state, picture.stage.as_str()), (overall, stage));
            let told = picture
                .alerts
                .contains(&"labels is stalled: its messages are not written".to_owned());
            assert_eq!(told, stalled, "{word}");
        }
    }

    #[test]
    fn one_type_that_still_reads_is_what_the_whole_does() {
        let done = TypeNow { cancelled: true, ..idle() };
        let busy = TypeNow { kind: Kind::Artists, reads: true, ..idle() };
        let (types, curves) = ([(done, Some(AT)), (busy, None)], Default::default());
        let shown =
            Consumer { service: "tableinator", types: &types, stalled: &[], curves: &curves };
        assert_eq!(of_types(&shown, AT).stage, "reading");
    }

    #[test]
    fn dead_letters_are_told_of_and_each_number_has_its_column() {
        assert_eq!(shown(idle(), false, None).alerts, Vec::<String>::new());
        let picture = shown(TypeNow { poison: 3, ..idle() }, false, Some(AT));
        assert_eq!(picture.alerts, ["labels: 3 messages are in the dead letters"]);
        let table = &picture.tables[0];
        let cells = &table.rows[0].cells;
        assert_eq!(cells.len(), table.columns.len());
        assert_eq!(
            cells[2..],
            [
                Cell::Number(10),
                Cell::Rate { now: 3, curve: vec![1.0, 2.6] },
                Cell::Number(12),
                Cell::Number(2),
                Cell::Number(3),
                Cell::Time(AT),
                Cell::Time(AT),
            ]
        );
    }
}
