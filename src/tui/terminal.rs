//! The terminal: taken, drawn on, and given back however it ends.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::draw::{Known, draw};
use super::ink::Ink;
use super::keys::action;
use super::screen::Screen;
use crate::model::{Clock, fault};
use crate::observe::picture::Picture;

/// How long news may wait while nobody presses a key.
const LOOK: Duration = Duration::from_millis(50);

/// After so long without news it is said that there are none.
const SILENCE: Duration = Duration::from_secs(3);

/// What there is to show.
#[derive(Clone, Debug)]
pub struct Look {
    /// The picture.
    pub picture: Picture,
    /// Where it is from.
    pub source: String,
}

/// What comes while it is shown.
#[derive(Clone, Debug)]
pub enum News {
    /// Something newer.
    Look(Box<Look>),
    /// Nothing can be had now, and why.
    Trouble(String),
    /// It is to end.
    Stop,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A person had enough.
    Quit,
    /// It was told to.
    Stopped,
    /// There can be no more news.
    Deserted,
}

/// Shows what comes until somebody has enough. A panic gives the terminal back before it is told.
///
/// # Errors
/// If the terminal cannot be used.
pub fn run(news: &Receiver<News>, colour: bool, clock: &dyn Clock) -> io::Result<End> {
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, news, Ink { colour }, clock);
    let restored = ratatui::try_restore();
    let end = shown?;
    restored.map(|()| end)
}

fn show(
    terminal: &mut DefaultTerminal,
    news: &Receiver<News>,
    ink: Ink,
    clock: &dyn Clock,
) -> io::Result<End> {
    let mut screen = Screen::default();
    let mut last: Option<Box<Look>> = None;
    let mut trouble = None;
    let mut heard = clock.elapsed();
    let mut changed = true;
    loop {
        let silent = clock.elapsed().saturating_sub(heard) >= SILENCE;
        if silent && trouble.is_none() {
            trouble = Some("whoever has the store does not answer; it is asked on".to_owned());
            changed = true;
        }
        if changed {
            let known = Known {
                picture: last.as_ref().map(|look| &look.picture),
                source: last.as_ref().map_or("", |look| &look.source),
                trouble: trouble.as_deref(),
            };
            terminal.draw(|frame| {
                screen = draw(&known, screen, ink, frame.area(), frame.buffer_mut());
            })?;
            fault::panicking("top.drawn");
            changed = false;
        }
        // A burst of keys is drawn once.
        let mut wait = LOOK;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            changed = true;
            let Event::Key(key) = event::read()? else { continue };
            let Some(action) = action(key) else { continue };
            let rows = last.iter().flat_map(|look| &look.picture.tables);
            let rows: Vec<_> = rows.map(|table| table.rows.len()).collect();
            let Some(after) = screen.after(action, &rows) else { return Ok(End::Quit) };
            screen = after;
        }
        loop {
            match news.recv_timeout(Duration::ZERO) {
                Ok(News::Stop) => return Ok(End::Stopped),
                Ok(News::Look(look)) => (last, trouble) = (Some(look), None),
                Ok(News::Trouble(words)) => trouble = Some(words),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Deserted),
            }
            heard = clock.elapsed();
            changed = true;
        }
    }
}
