//! Where a person is: what is selected, and whether it is opened.

use super::keys::Action;

/// What is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The tables.
    #[default]
    Tables,
    /// Everything about the selected row.
    Row,
}

impl View {
    /// What is seen after an action; nothing if that is the end.
    fn next(self, action: Action) -> Option<View> {
        use Action::{Back, Down, First, Last, Next, Open, PageDown, PageUp, Previous, Quit, Up};
        match (self, action) {
            (View::Tables | View::Row, Quit) | (View::Tables, Back) => None,
            (View::Tables, Open) => Some(View::Row),
            (View::Row, Open | Back) => Some(View::Tables),
            (
                View::Tables | View::Row,
                Up | Down | PageUp | PageDown | First | Last | Next | Previous,
            ) => Some(self),
        }
    }
}

/// Where a person is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// What is seen.
    pub view: View,
    /// Which row is selected, counted over all tables.
    pub selected: usize,
    /// The first line that is seen.
    pub top: usize,
    /// How many lines there is room for, as of the last drawing.
    pub page: usize,
}

impl Screen {
    /// After an action, with so many rows in each table; nothing if that is the end.
    pub fn after(self, action: Action, rows: &[usize]) -> Option<Screen> {
        let view = self.view.next(action)?;
        if view != self.view {
            return Some(Screen { view, top: 0, ..self });
        }
        let last = rows.iter().sum::<usize>().saturating_sub(1);
        let page = self.page.max(1);
        let moved = |at: usize, last: usize| match action {
            Action::Up => at.saturating_sub(1),
            Action::Down => at.saturating_add(1).min(last),
            Action::PageUp => at.saturating_sub(page),
            Action::PageDown => at.saturating_add(page).min(last),
            Action::First => 0,
            Action::Last => last,
            Action::Next | Action::Previous | Action::Quit | Action::Back | Action::Open => at,
        };
        let selected = match (action, view) {
            (Action::Next, _) => next(self.selected, rows),
            (Action::Previous, _) => previous(self.selected, rows),
            (_, View::Tables) => moved(self.selected, last),
            (_, View::Row) => self.selected,
        };
        // Drawing knows where a row's text ends.
        let top = if view == View::Row { moved(self.top, usize::MAX) } else { self.top };
        let top = if view == View::Row && selected != self.selected { 0 } else { top };
        Some(Screen { selected, top, ..self })
    }
}

/// Where the tables that have rows begin.
fn beginnings(rows: &[usize]) -> Vec<usize> {
    let begins = rows.iter().scan(0, |before, rows| {
        let begins = *before;
        *before += rows;
        Some((*rows > 0).then_some(begins))
    });
    begins.flatten().collect()
}

fn next(selected: usize, rows: &[usize]) -> usize {
    let beginnings = beginnings(rows);
    let after = beginnings.iter().find(|begins| **begins > selected);
    after.or(beginnings.first()).copied().unwrap_or_default()
}

fn previous(selected: usize, rows: &[usize]) -> usize {
    let beginnings = beginnings(rows);
    let before = beginnings.iter().rev().find(|begins| **begins < selected);
    before.or(beginnings.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(actions: &[Action]) -> Option<Screen> {
        let begun = Screen { page: 3, ..Screen::default() };
        actions.iter().try_fold(begun, |screen, action| screen.after(*action, &[4, 0, 2]))
    }

    #[test]
    fn the_selection_stays_on_the_rows_and_goes_from_table_to_table() {
        use Action::{Down, First, Last, Next, PageDown, Previous, Up};
        let selected = |actions: &[Action]| after(actions).unwrap().selected;
        assert_eq!(selected(&[Up]), 0);
        assert_eq!(selected(&[Down, Down, Up]), 1);
        assert_eq!(selected(&[PageDown]), 3);
        assert_eq!(selected(&[PageDown, PageDown, Down]), 5);
        assert_eq!(selected(&[Last]), 5);
        assert_eq!(selected(&[Last, First]), 0);
        assert_eq!(selected(&[Next]), 4, "the one without rows is passed over");
        assert_eq!(selected(&[Next, Next]), 0);
        assert_eq!(selected(&[Previous]), 4);
        let empty = Screen::default().after(Next, &[0, 0]).unwrap();
        assert_eq!(empty.after(Last, &[0, 0]).unwrap().selected, 0);
    }

    #[test]
    fn a_row_is_opened_and_left_and_what_is_not_opened_ends_it() {
        use Action::{Back, Down, Open, Quit};
        assert_eq!(after(&[Quit]), None);
        assert_eq!(after(&[Back]), None);
        assert_eq!(after(&[Open, Quit]), None);
        assert_eq!(after(&[Open]).unwrap().view, View::Row);
        assert_eq!(after(&[Open, Back]).unwrap().view, View::Tables);
        assert_eq!(after(&[Open, Open]).unwrap().view, View::Tables);
        let scrolled = after(&[Open, Down]).unwrap();
        assert_eq!((scrolled.selected, scrolled.top), (0, 1));
    }
}
