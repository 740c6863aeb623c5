//! Draws what is known in a space of any size.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::cells::{cut, full, hour, ways, width, wrapped};
use super::columns::{Column, GAP, fit};
use super::ink::Ink;
use super::screen::{Screen, View};
use crate::model::Timestamp;
use crate::observe::picture::{Cell, Picture, Row, State, Table};

/// What is known.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The last picture, if there ever was one.
    pub picture: Option<&'a Picture>,
    /// Where it is from.
    pub source: &'a str,
    /// Why there is no newer one, if there should be.
    pub trouble: Option<&'a str>,
}

/// In front of a row: whether it is the selected one.
const MARKS: [&str; 2] = ["▸ ", "  "];

/// Draws it, and gives back where the person is: the selection is kept in sight.
pub fn draw(
    known: &Known<'_>,
    screen: Screen,
    ink: Ink,
    area: Rect,
    buffer: &mut Buffer,
) -> Screen {
    let room = usize::from(area.width);
    let mut head = head(known, ink, room);
    // With little room, the rows are what matters.
    head.truncate(usize::from(area.height).div_ceil(2));
    let foot = usize::from(area.height > 4);
    let page = usize::from(area.height).saturating_sub(head.len() + foot);
    let mut screen = Screen { page: page.saturating_sub(2), ..screen };
    let body = match (known.picture, screen.view) {
        (Some(picture), View::Tables) => {
            let rows = picture.tables.iter().map(|table| table.rows.len()).sum::<usize>();
            screen.selected = screen.selected.min(rows.saturating_sub(1));
            let tables = Tables::of(picture, screen.selected, ink, room);
            screen.top = tables.top(screen, page);
            tables.lines
        }
        (Some(picture), View::Row) => {
            let lines = row_in_full(picture, screen.selected, ink, room);
            screen.top = screen.top.min(lines.len().saturating_sub(page));
            lines
        }
        (None, _) => Vec::new(),
    };
    let hidden = [screen.top > 0, body.len() > screen.top + page];
    let seen = body.into_iter().skip(screen.top).take(page);
    let lines = head.into_iter().chain(seen).enumerate();
    let put = |buffer: &mut Buffer, y: usize, line: &Line<'_>| {
        let y = u16::try_from(y).unwrap_or(u16::MAX);
        if y < area.height {
            buffer.set_line(area.x, area.y + y, line, area.width);
        }
    };
    for (y, line) in lines {
        put(buffer, y, &line);
    }
    if foot > 0 {
        put(buffer, usize::from(area.height) - 1, &self::foot(screen.view, hidden, room));
    }
    screen
}

/// Who it is, how it is, as of when, and what a person should look at.
fn head(known: &Known<'_>, ink: Ink, room: usize) -> Vec<Line<'static>> {
    let Known { picture, source, trouble } = known;
    let (name, state, words, at) = match picture {
        None => ("discogs-extractor".to_owned(), State::Calm, "asking".to_owned(), String::new()),
        Some(shown) => {
            let name = format!("{} {}", shown.service, shown.version);
            let at = hour(shown.at);
            match trouble {
                Some(_) => (name, State::Failed, format!("no answer, last seen {at}"), at),
                None => (name, shown.state, shown.stage.clone(), at),
            }
        }
    };
    // What it is at matters more than who it is.
    let name = if width(&name) + GAP + width(&words) <= room { name } else { String::new() };
    let said = if name.is_empty() { 0 } else { width(&name) + GAP };
    let words = cut(&words, room.saturating_sub(said));
    let used = said + width(&words);
    let mut first = Vec::new();
    if !name.is_empty() {
        first.extend([Span::styled(name, Ink::heading()), Span::raw(" ".repeat(GAP))]);
    }
    first.push(Span::styled(words, ink.state(state)));
    if used + GAP + width(&at) <= room {
        let space = " ".repeat(room - used - width(&at));
        first.extend([Span::raw(space), Span::styled(at, Ink::quiet())]);
    }
    let mut lines = vec![Line::from(first)];
    let marked = |text: &str, style: Style| {
        let wrapped = wrapped(text, room.saturating_sub(2)).into_iter().enumerate();
        let line = move |(at, line): (usize, String)| {
            Line::styled(format!("{}{line}", if at == 0 { "! " } else { "  " }), style)
        };
        wrapped.map(line).collect::<Vec<_>>()
    };
    lines.extend(trouble.iter().flat_map(|words| marked(words, ink.state(State::Failed))));
    let alerts = picture.iter().flat_map(|picture| &picture.alerts);
    lines.extend(alerts.flat_map(|alert| marked(alert, ink.state(State::Stalled))));
    lines.push(Line::styled(cut(source, room), Ink::quiet()));
    lines
}

fn foot(view: View, hidden: [bool; 2], room: usize) -> Line<'static> {
    let keys = match view {
        View::Tables => ["q quit", "↑↓ select", "enter details", "tab next table"],
        View::Row => ["q quit", "esc back", "↑↓ scroll", "tab next table"],
    };
    let more = match hidden {
        [false, false] => "",
        [true, false] => "↑ more",
        [false, true] => "↓ more",
        [true, true] => "↑↓ more",
    };
    let kept = room.saturating_sub(if more.is_empty() { 0 } else { width(more) + GAP });
    let mut said = String::new();
    for key in keys {
        let space = if said.is_empty() { 0 } else { GAP };
        if width(&said) + space + width(key) <= kept {
            said = said + &" ".repeat(space) + key;
        }
    }
    let space = room.saturating_sub(width(&said) + width(more));
    Line::styled(cut(&format!("{said}{}{more}", " ".repeat(space)), room), Ink::quiet())
}

/// The tables as lines.
struct Tables {
    lines: Vec<Line<'static>>,
    /// From where to where the selected row and what stands over it are.
    selected: (usize, usize),
    /// Whether it is the last row of all.
    is_last: bool,
}

impl Tables {
    fn of(picture: &Picture, selected: usize, ink: Ink, room: usize) -> Tables {
        let mut lines = Vec::new();
        let (mut at, mut found) = (0, (0, 0));
        for table in &picture.tables {
            let begins = lines.len();
            lines.push(Line::default());
            lines.push(Line::styled(cut(&table.caption, room), Ink::heading()));
            if table.rows.is_empty() {
                lines.push(Line::styled(cut(&format!("  {}", table.empty), room), Ink::quiet()));
                continue;
            }
            let columns = fit(table, room.saturating_sub(MARKS[0].chars().count()), picture.at);
            lines.push(header(table, &columns));
            for (index, row) in table.rows.iter().enumerate() {
                if at == selected {
                    found = (if index == 0 { begins } else { lines.len() }, lines.len());
                }
                lines.push(self::row(row, &columns, picture.at, at == selected, ink));
                at += 1;
            }
        }
        Tables { lines, selected: found, is_last: selected + 1 >= at }
    }

    /// The first line that is seen, as near as can be to the one before.
    fn top(&self, screen: Screen, page: usize) -> usize {
        let (from, to) = self.selected;
        let most = self.lines.len().saturating_sub(page);
        let to = if self.is_last { self.lines.len().saturating_sub(1) } else { to };
        let least = (to + 1).saturating_sub(page);
        // If not all of it fits, the row itself does.
        let row = self.selected.1;
        let least = if self.is_last { least.min(row) } else { least };
        let from = if self.is_last { row.min(from.max(least)) } else { from.max(least) };
        screen.top.clamp(least.min(from), from).min(most)
    }
}

fn padded(text: &str, columns: usize, right: bool) -> String {
    let text = cut(text, columns);
    let space = " ".repeat(columns.saturating_sub(width(&text)));
    if right { space + &text } else { text + &space }
}

fn header(table: &Table, columns: &[Column]) -> Line<'static> {
    let mut text = MARKS[1].to_owned();
    for (index, column) in columns.iter().enumerate() {
        let space = if index == 0 { 0 } else { GAP };
        text = text
            + &" ".repeat(space)
            + &padded(table.columns[column.at], column.width, column.right);
    }
    Line::styled(text.trim_end().to_owned(), Ink::quiet())
}

fn row(row: &Row, columns: &[Column], at: Timestamp, selected: bool, ink: Ink) -> Line<'static> {
    let mut spans = vec![Span::raw(MARKS[usize::from(!selected)])];
    for (index, column) in columns.iter().enumerate() {
        let Some(cell) = row.cells.get(column.at) else { continue };
        let ways = ways(cell, at);
        let said = ways.get(column.way).or(ways.last()).map_or("", String::as_str);
        let space = if index == 0 { 0 } else { GAP };
        spans.push(Span::raw(" ".repeat(space)));
        let style = if column.at == 1 { ink.state(row.state) } else { Style::new() };
        spans.push(Span::styled(padded(said, column.width, column.right), style));
    }
    let line = Line::from(spans);
    if selected { line.patch_style(Ink::selected()) } else { line }
}

/// A row with all that is said of it.
fn row_in_full(picture: &Picture, selected: usize, ink: Ink, room: usize) -> Vec<Line<'static>> {
    let rows = |table: &'_ Table| table.rows.len();
    let mut left = selected;
    let Some(table) = picture.tables.iter().find(|table| {
        let here = left < rows(table);
        left -= if here { 0 } else { rows(table) };
        here
    }) else {
        return vec![Line::raw(cut("There is nothing to show.", room))];
    };
    let row = &table.rows[left];
    let name = table.columns.iter().map(|column| width(column)).max().unwrap_or_default() + GAP;
    let mut lines = vec![Line::default(), Line::styled(cut(&table.caption, room), Ink::heading())];
    for (column, cell) in table.columns.iter().zip(&row.cells) {
        let is_state = std::ptr::eq(cell, row.cells.get(1).unwrap_or(cell));
        let style = if is_state { ink.state(row.state) } else { Style::new() };
        let said = wrapped(&full(cell, picture.at), room.saturating_sub(name + 2));
        for (index, text) in said.into_iter().enumerate() {
            let of = if index == 0 { column } else { &"" };
            lines.push(Line::from(vec![
                Span::styled(format!("  {}", padded(of, name, false)), Ink::quiet()),
                Span::styled(text, style),
            ]));
        }
    }
    // What the head has no room for is read to its end here.
    let Some(Cell::Text(name)) = row.cells.first() else { return lines };
    for alert in picture.alerts.iter().filter(|alert| alert.starts_with(name)) {
        lines.push(Line::default());
        let said = wrapped(alert, room.saturating_sub(2)).into_iter();
        let style = ink.state(row.state);
        lines.extend(said.map(|text| Line::styled(format!("  {text}"), style)));
    }
    lines
}

#[cfg(test)]
mod tests;
