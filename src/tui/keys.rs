//! What a key asks for.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The end.
    Quit,
    /// Out of what was opened; the end, if nothing is.
    Back,
    /// Everything about what is selected, and away with it again.
    Open,
    /// One up.
    Up,
    /// One down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// All the way up.
    First,
    /// All the way down.
    Last,
    /// The next table.
    Next,
    /// The one before.
    Previous,
}

/// What a key asks for, if anything.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let held = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'C') if held => Action::Quit,
        KeyCode::Char(_) if held => return None,
        KeyCode::Char('q' | 'Q') => Action::Quit,
        KeyCode::Esc => Action::Back,
        KeyCode::Enter => Action::Open,
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Action::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Tab => Action::Next,
        KeyCode::BackTab => Action::Previous,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_for_what_the_footer_says() {
        let of = |code| action(KeyEvent::from(code));
        assert_eq!(of(KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(of(KeyCode::Esc), Some(Action::Back));
        assert_eq!(of(KeyCode::Char('j')), of(KeyCode::Down));
        assert_eq!(of(KeyCode::Char('k')), of(KeyCode::Up));
        assert_eq!(of(KeyCode::Tab), Some(Action::Next));
        assert_eq!(of(KeyCode::Char('c')), None);
        let held = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(action(held('c')), Some(Action::Quit));
        assert_eq!(action(held('q')), None);
        let mut let_go = KeyEvent::from(KeyCode::Char('q'));
        let_go.kind = KeyEventKind::Release;
        assert_eq!(action(let_go), None);
    }
}
