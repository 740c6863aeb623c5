//! A picture as HTML. Functions of the picture alone; whatever it says is escaped.

use std::fmt::{self, Display, Formatter, Write};

use crate::model::Timestamp;
use crate::observe::bytes;
use crate::observe::picture::{Cell, Picture, Row, Table};

/// The curve's box.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;

/// The whole page.
pub fn page(picture: &Picture) -> String {
    let shell = include_str!("page.html");
    let (head, rest) = shell.split_once("{title}").unwrap_or((shell, ""));
    let (middle, end) = rest.split_once("{main}").unwrap_or((rest, ""));
    format!("{head}{}{middle}{}{end}", title(picture), main(picture))
}

/// What the tab says, escaped.
pub fn title(picture: &Picture) -> String {
    format!("{}: {}", Escaped(&picture.service), Escaped(&picture.stage))
}

/// What changes.
pub fn main(picture: &Picture) -> String {
    let Picture { service, version, at, state, stage, alerts, tables } = picture;
    let alerts = alerts.iter().map(|a| format!("<li>{}</li>", Escaped(a)));
    let alerts = alerts.collect::<Vec<_>>().concat();
    let alerts = if alerts.is_empty() { alerts } else { format!("<ul>{alerts}</ul>") };
    let tables = tables.iter().map(table).collect::<Vec<_>>().concat();
    format!(
        "<header><h1>{}</h1><p class=\"stage {}\" role=\"status\">{}</p>\
         <p class=\"at\">version {}, as of {}</p></header>\
         <div class=\"alerts\" role=\"status\" aria-label=\"needs attention\">{alerts}</div>{tables}",
        Escaped(service),
        state.name(),
        Escaped(stage),
        Escaped(version),
        moment(*at),
    )
}

fn table(table: &Table) -> String {
    let caption = Escaped(&table.caption);
    if table.rows.is_empty() {
        return format!("<section><h2>{caption}</h2><p>{}</p></section>", Escaped(table.empty));
    }
    let columns = table.columns.iter();
    let columns = columns
        .map(|c| format!("<th scope=\"col\" role=\"columnheader\">{}</th>", Escaped(c)))
        .collect::<Vec<_>>()
        .concat();
    let rows = table.rows.iter().map(|r| row(r, table.columns)).collect::<Vec<_>>().concat();
    // A narrow screen shows rows as blocks; the roles keep it a table for those who listen.
    format!(
        "<section><table role=\"table\"><caption><h2>{caption}</h2></caption>\
         <thead role=\"rowgroup\"><tr role=\"row\">{columns}</tr></thead>\
         <tbody role=\"rowgroup\">{rows}</tbody></table></section>"
    )
}

fn row(row: &Row, columns: &[&str]) -> String {
    let cells = row.cells.iter().zip(columns).enumerate().map(|(at, (one, column))| {
        let (column, html) = (Escaped(column), cell(one));
        if at == 0 {
            format!("<th scope=\"row\" role=\"rowheader\" data-column=\"{column}\">{html}</th>")
        } else {
            let class = if *one == Cell::None { " class=\"none\"" } else { "" };
            format!("<td role=\"cell\"{class} data-column=\"{column}\"><div>{html}</div></td>")
        }
    });
    let cells = cells.collect::<Vec<_>>().concat();
    format!("<tr role=\"row\" class=\"{}\">{cells}</tr>", row.state.name())
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::None => "–".to_owned(),
        Cell::Text(text) => Escaped(text).to_string(),
        Cell::Number(number) => grouped(*number),
        Cell::Time(at) => moment(*at),
        Cell::Progress { done, of: 0 } => bytes(*done),
        Cell::Progress { done, of } => {
            let (percent, done, of) = (done.min(of) * 100 / of, bytes(*done), bytes(*of));
            format!(
                "<div class=\"progress\"><span>{percent}&nbsp;%</span><progress max=\"100\" \
                 value=\"{percent}\" aria-label=\"done\"></progress></div><small>{done} of {of}</small>"
            )
        }
        Cell::Rate { now, curve } => format!("{}/s{}", grouped(*now), drawn(curve)),
    }
}

/// A small curve, the newest point to the right; empty until there is something to draw, so that
/// nothing moves when there is.
#[expect(clippy::cast_precision_loss, reason = "there are few points")]
fn drawn(curve: &[f64]) -> String {
    let highest = curve.iter().copied().fold(0.0, f64::max);
    if curve.len() < 2 || highest <= 0.0 {
        return format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\"></svg>");
    }
    let step = WIDTH / (curve.len() - 1) as f64;
    let mut points = String::new();
    for (at, rate) in curve.iter().enumerate() {
        let (x, y) = (at as f64 * step, (1.0 - rate / highest).mul_add(HEIGHT - 2.0, 1.0));
        // Writing to a string cannot fail.
        _ = write!(points, "{x:.1},{y:.1} ");
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"the last half hour, at most \
         {highest:.0} a second\"><polyline points=\"{}\"/></svg>",
        points.trim_end()
    )
}

fn moment(at: Timestamp) -> String {
    let (day, hour) = at.day_and_hour();
    format!("<time datetime=\"{at}\"><span>{day}</span> <span>{hour} UTC</span></time>")
}

/// `12 345 678`, the spaces narrow and unbroken.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Text that means nothing but itself, in an element and in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::picture::State;

    fn picture(state: State, cells: Vec<Cell>) -> Picture {
        let table = Table {
            caption: "Files".to_owned(),
            columns: &["File", "Value"],
            rows: vec![Row { state, cells }],
            empty: "none",
        };
        Picture {
            service: "x".to_owned(),
            version: "1",
            at: Timestamp(1_767_323_045_000),
            state,
            stage: "running".to_owned(),
            alerts: Vec::new(),
            tables: vec![table],
        }
    }

    #[test]
    fn whatever_is_said_stays_text() {
        let evil = "<script>alert(\"1\")</script>&'{main}";
        let cells = vec![Cell::Text(evil.to_owned()), Cell::Text(evil.to_owned())];
        let mut picture = picture(State::Failed, cells);
        picture.stage = evil.to_owned();
        picture.alerts = vec![evil.to_owned()];
        let page = page(&picture);
        let tame = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;{main}";
        assert!(!page.contains("<script>"), "{page}");
        assert_eq!(page.matches(tame).count(), 5, "{page}");
    }

    #[test]
    fn each_state_and_each_cell_is_told_apart() {
        for (state, class) in [
            (State::Calm, "calm"),
            (State::Busy, "busy"),
            (State::Done, "done"),
            (State::Stalled, "stalled"),
            (State::Failed, "failed"),
        ] {
            let html = main(&picture(state, vec![Cell::None, Cell::Number(1_234_567)]));
            assert!(html.contains(&format!("<tr role=\"row\" class=\"{class}\">")), "{html}");
            assert!(html.contains("1\u{202f}234\u{202f}567"), "{html}");
        }
        let shown = |one| cell(&one);
        assert!(shown(Cell::Progress { done: 1_500, of: 3_000 }).contains("1.5 kB of 3.0 kB"));
        assert_eq!(shown(Cell::Progress { done: 7, of: 0 }), "7 B");
        assert!(shown(Cell::Time(Timestamp(0))).contains("<span>00:00:00 UTC</span>"));
        let flat = shown(Cell::Rate { now: 5, curve: vec![0.0] });
        assert!(flat.starts_with("5/s<svg") && !flat.contains("polyline"), "{flat}");
        let curve = shown(Cell::Rate { now: 5, curve: vec![0.0, 10.0] });
        assert!(curve.contains("points=\"0.0,23.0 120.0,1.0\""), "{curve}");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let mut picture = picture(State::Calm, Vec::new());
        picture.tables[0].rows.clear();
        assert!(main(&picture).contains("<p>none</p>"));
    }
}
