use ratatui::style::Color;

use super::*;
use crate::model::Kind;

const AT: Timestamp = Timestamp(1_767_323_045_000);
const PLAIN: Ink = Ink { colour: false };
const STALL: &str = "discogs_20260101_releases.xml.gz is stalled: sink blocked: the disk is full";

fn row(kind: Kind, state: State, word: &str, done: u64) -> Row {
    let busy = matches!(state, State::Busy | State::Stalled);
    let rate = Cell::Rate { now: 12_345, curve: (0..20).map(f64::from).collect() };
    Row {
        state,
        cells: vec![
            Cell::Text(format!("discogs_20260101_{kind}.xml.gz")),
            Cell::Text(word.to_owned()),
            Cell::Progress { done, of: 3_000_000_000 },
            Cell::Number(done / 100),
            if busy { rate } else { Cell::None },
            if busy { Cell::Text("1h 23m 45s".to_owned()) } else { Cell::None },
            Cell::Time(AT),
            if busy { Cell::None } else { Cell::Time(Timestamp(0)) },
        ],
    }
}

fn picture() -> Picture {
    let files = vec![
        row(Kind::Artists, State::Done, "complete", 3_000_000_000),
        row(Kind::Labels, State::Failed, "failed", 1_000_000),
        row(Kind::Masters, State::Busy, "extracting", 600_000_000),
        row(Kind::Releases, State::Stalled, "stalled", 1_290_000_000),
    ];
    let columns: &[&str] = &[
        "File",
        "State",
        "Progress",
        "Records",
        "Rate",
        "Time left",
        "Last activity",
        "Completed",
    ];
    let empty = "There are none.";
    let table = |caption: &str, rows| Table { caption: caption.to_owned(), columns, rows, empty };
    let again = (0..8).map(|_| row(Kind::Labels, State::Calm, "stopped", 1)).collect();
    Picture {
        service: "discogs-extractor".to_owned(),
        version: "1.2.3",
        at: AT,
        state: State::Stalled,
        stage: "running, stalled".to_owned(),
        alerts: vec![STALL.to_owned()],
        tables: vec![table("Files", files), table("Owed", Vec::new()), table("Last runs", again)],
    }
}

struct Drawn {
    text: String,
    buffer: Buffer,
    screen: Screen,
}

fn drawn_with(known: &Known<'_>, screen: Screen, ink: Ink, width: u16, height: u16) -> Drawn {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let screen = draw(known, screen, ink, area, &mut buffer);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    let lines: Vec<_> = (0..height).map(|y| line(y).trim_end().to_owned()).collect();
    Drawn { text: lines.join("\n"), buffer, screen }
}

fn drawn(screen: Screen, width: u16, height: u16) -> Drawn {
    let picture = picture();
    let known = Known { picture: Some(&picture), source: "state in /s", trouble: None };
    drawn_with(&known, screen, PLAIN, width, height)
}

#[test]
fn all_is_told_at_a_glance_where_there_is_room() {
    let text = drawn(Screen::default(), 160, 40).text;
    for words in [
        "discogs-extractor 1.2.3  running, stalled",
        "03:04:05 UTC",
        "! discogs_20260101_releases.xml.gz is stalled: sink blocked: the disk is full",
        "▸ ",
        "artists 20260101",
        "██████████ 100 %",
        "████░░░░░░  43 %",
        "12,345/s",
        "█",
        "1h 23m 45s",
        "12,900,000",
        "1970-01-01",
        "There are none.",
        "Last runs",
        "q quit",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
}

#[test]
fn with_less_room_what_matters_stays_and_nothing_is_wider() {
    for (width, height) in [(120, 30), (80, 24), (60, 20), (40, 16)] {
        let text = drawn(Screen::default(), width, height).text;
        for kind in Kind::ALL {
            let named = |line: &str| !line.starts_with('!') && line.contains(kind.name());
            assert!(text.lines().any(named), "{kind} at {width}:\n{text}");
        }
        for words in ["complete", "failed", "extracting", "stalled", "100 %", " 43 %", "disk"] {
            assert!(text.contains(words), "{words:?} at {width} is missing in\n{text}");
        }
    }
    let narrow = drawn(Screen::default(), 40, 16).text;
    assert!(!narrow.contains("Completed"), "{narrow}");
}

#[test]
fn columns_stand_under_each_other() {
    let text = drawn(Screen::default(), 80, 24).text;
    let ends: Vec<_> = text
        .lines()
        .filter(|line| line.contains('%'))
        .take(4)
        .map(|line| line.split('%').next().unwrap().chars().count())
        .collect();
    assert!(ends.len() >= 4 && ends.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
}

#[test]
fn every_size_is_drawn_and_the_selected_row_is_seen() {
    for width in [1, 2, 3, 7, 20, 39, 40, 81, 300] {
        for height in 1..30 {
            for selected in [0, 3, 4, 11, 99] {
                for view in [View::Tables, View::Row] {
                    let screen = Screen { view, selected, top: 50, page: 0 };
                    let Drawn { text, screen, .. } = drawn(screen, width, height);
                    assert_eq!(
                        screen.selected,
                        if view == View::Row { selected } else { selected.min(11) }
                    );
                    let seen = view == View::Row || height < 3 || text.contains('▸');
                    assert!(seen, "row {selected} at {width}x{height}:\n{text}");
                }
            }
        }
    }
}

#[test]
fn an_opened_row_says_all_of_it() {
    let screen = Screen { view: View::Row, ..Screen::default() };
    let text = drawn(screen, 50, 20).text;
    for words in
        ["File  ", "discogs_20260101_artists.xml.gz", "1970-01-01 00:00:00 UTC", "esc back"]
    {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    let mut long = picture();
    long.alerts = vec![format!("discogs_20260101_artists.xml.gz: {}the end", "word ".repeat(90))];
    let known = Known { picture: Some(&long), source: "state in /s", trouble: None };
    let screen = Screen { top: usize::MAX, ..screen };
    let text = drawn_with(&known, screen, PLAIN, 40, 10).text;
    assert!(text.contains("the end"), "an error can be read to its end:\n{text}");
}

#[test]
fn without_colour_there_is_none_and_with_it_the_state_has_one() {
    let colours = |drawn: &Drawn| {
        let cells = drawn.buffer.content.iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&drawn(Screen::default(), 100, 30)), 0);
    let picture = picture();
    let known = Known { picture: Some(&picture), source: "", trouble: None };
    let ink = Ink { colour: true };
    let coloured = drawn_with(&known, Screen::default(), ink, 100, 30);
    assert!(coloured.buffer.content.iter().any(|cell| cell.fg == Color::Yellow));
}

#[test]
fn a_picture_that_gets_old_says_so() {
    let picture = picture();
    let trouble = Some("the store is damaged\nhint: repair it");
    let known = Known { picture: Some(&picture), source: "state in /s", trouble };
    let text = drawn_with(&known, Screen::default(), PLAIN, 100, 30).text;
    assert!(text.contains("no answer, last seen 03:04:05 UTC"), "{text}");
    assert!(text.contains("the store is damaged") && text.contains("hint: repair it"), "{text}");
    assert!(!text.contains("running, stalled"), "{text}");
    let known = Known { picture: None, source: "", trouble };
    let text = drawn_with(&known, Screen::default(), PLAIN, 100, 30).text;
    assert!(text.contains("the store is damaged"), "{text}");
}
