//! Colours: the terminal's own, or none. Whatever they tell, words tell too.

use ratatui::style::{Color, Modifier, Style};

use crate::observe::picture::State;

/// What is drawn with.
#[derive(Clone, Copy, Debug)]
pub struct Ink {
    /// Whether there may be colour.
    pub colour: bool,
}

impl Ink {
    /// How something is.
    pub fn state(self, state: State) -> Style {
        let colour = match state {
            State::Calm => return Style::new(),
            State::Busy => Color::Cyan,
            State::Done => Color::Green,
            State::Stalled => Color::Yellow,
            State::Failed => Color::Red,
        };
        self.of(colour)
    }

    /// What matters less.
    pub fn quiet() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What stands over something.
    pub fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is selected.
    pub fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn of(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }
}
