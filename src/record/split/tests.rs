use super::element::TOO_LARGE;
use super::looked::looked_at;
use super::tag::is_name_start;
use super::*;
use proptest::prelude::*;

/// What came out, with places in the whole text.
#[derive(Debug, PartialEq)]
enum Found {
    Record(u64, String),
    Bad(BadRecord),
    Foreign(String),
}

struct Outcome {
    found: Vec<Found>,
    end: Result<(), SplitError>,
    /// The longest that the buffer became.
    held: usize,
}

/// Splits text that arrives in pieces of the given sizes (the last size repeats).
fn run(mut splitter: Splitter, text: &[u8], sizes: &[usize]) -> Outcome {
    let (mut buf, mut arrived, mut found, mut held) = (Vec::new(), 0, Vec::new(), 0);
    let mut sizes = sizes.iter().copied();
    let mut size = usize::MAX;
    let end = loop {
        let shown = |range: Range<usize>| String::from_utf8_lossy(&buf[range]).into_owned();
        match splitter.next(&buf, arrived == text.len()) {
            Ok(Split::Record(range)) => {
                found.push(Found::Record(splitter.offset(range.start).0, shown(range)));
            }
            Ok(Split::Bad(bad)) => found.push(Found::Bad(bad)),
            Ok(Split::Foreign(range)) => found.push(Found::Foreign(shown(range))),
            Ok(Split::NeedMore) => {
                assert!(arrived < text.len(), "asked for more after the end");
                let unneeded = splitter.unneeded();
                buf.drain(..unneeded);
                splitter.drained(unneeded);
                size = sizes.next().unwrap_or(size).max(1);
                let more = &text[arrived..];
                let more = &more[..size.min(more.len())];
                buf.extend_from_slice(more);
                arrived += more.len();
                held = held.max(buf.len());
            }
            Ok(Split::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Outcome { found, end, held }
}

fn splitter(kind: Kind, limit: usize) -> Splitter {
    Splitter::new(kind).limit(limit)
}

/// Records as they are, bad ones as `!` and their bytes, other elements as `?` and their name.
fn split(kind: Kind, text: &str) -> (Vec<String>, Result<(), SplitError>) {
    let outcome = run(Splitter::new(kind), text.as_bytes(), &[]);
    let mut end = 0;
    let shown = outcome.found.into_iter().map(|found| match found {
        Found::Record(start, record) => {
            let place = usize::try_from(start).unwrap();
            assert_eq!(&text[place..place + record.len()], record);
            assert!(start >= end, "records overlap");
            end = start + record.len() as u64;
            record
        }
        Found::Bad(bad) => {
            assert_eq!(bad.length, bad.raw.len() as u64);
            assert!(bad.start.0 >= end, "records overlap");
            end = bad.start.0 + bad.length;
            format!("!{}", String::from_utf8(bad.raw).unwrap())
        }
        Found::Foreign(name) => format!("?{name}"),
    });
    (shown.collect(), outcome.end)
}

fn labels(inner: &str) -> Vec<String> {
    let (found, end) = split(Kind::Labels, &format!("<labels>{inner}</labels>\n"));
    assert_eq!(end, Ok(()), "{inner}");
    found
}

fn assert_labels(inner: &str, expected: &[&str]) {
    assert_eq!(labels(inner), expected, "{inner}");
}

#[test]
fn a_record_is_an_element_of_the_types_name_at_depth_two() {
    assert_labels("", &[]);
    assert_labels("\n<label>a</label>\n<label/>", &["<label>a</label>", "<label/>"]);
    assert_labels("<label\tid='1'\n></label >", &["<label\tid='1'\n></label >"]);
    let nested = "<label><sublabels><label/><label>x<label/></label></sublabels></label>";
    assert_labels(&format!("{nested}{nested}"), &[nested, nested]);
    assert_labels(
        "<label><labels/><labelx></labelx></label>",
        &["<label><labels/><labelx></labelx></label>"],
    );
}

#[test]
fn other_elements_are_passed_over_with_everything_in_them() {
    assert_labels("<x><label>a</label><x/></x><label/>", &["?x", "<label/>"]);
    assert_labels("<x/><labels2></labels2><label/>", &["?x", "?labels2", "<label/>"]);
    assert_labels("<x a='>'><y b=\"/>\"></y></x><label/>", &["?x", "<label/>"]);
    assert_labels("<x><!-- </x> --><![CDATA[</x>]]><?a </x>?></x><label/>", &["?x", "<label/>"]);
}

#[test]
fn markup_in_comments_cdata_and_instructions_means_nothing() {
    for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        for inner in ["<label>", "</label>", "</labels>", "<x>", "<!", "<?", "<!-- "] {
            let aside = format!("{open}{inner}{close}");
            let record = format!("<label>{aside}</label>");
            let text = format!("{aside}{record}{aside}{record}");
            let stray = format!("!{aside}");
            if open == "<![CDATA[" {
                // which is text
                assert_labels(&text, &[&stray, &record, &stray, &record]);
            } else {
                assert_labels(&text, &[&record, &record]);
            }
        }
    }
    assert_labels("<label><!x></label>", &["<label><!x></label>"]);
}

#[test]
fn text_between_records_is_a_bad_record_of_its_own() {
    assert_labels(r#"<label id="1"/>text"#, &[r#"<label id="1"/>"#, "!text"]);
    assert_labels(" a \n b\t<label/>c< ", &["!a \n b", "<label/>", "!c<"]);
    assert_labels("<!x><label/>", &["!<!x>", "<label/>"]);
    // what is text in several ways is one place, and comments end it
    assert_labels(
        "a<![CDATA[<label/>]]> &b; <!-- --> c<x/>",
        &["!a<![CDATA[<label/>]]> &b;", "!c", "?x"],
    );
    let long = "0123456789".repeat(200_000);
    let text = format!("<labels>\n{long}\n<label/></labels>");
    let outcome = run(Splitter::new(Kind::Labels), text.as_bytes(), &[1_000]);
    let Found::Bad(bad) = &outcome.found[0] else { panic!() };
    assert_eq!((bad.start.0, bad.length, bad.raw.len()), (9, 2_000_000, BadRecord::RAW_LIMIT));
    assert!(outcome.held < 3_000, "{} bytes were held", outcome.held);
}

#[test]
fn an_element_that_is_no_record_is_whole_or_a_bad_record() {
    // a misspelt start tag: the record is not passed over as if it had not been there
    assert_labels("<labelx><a>1</a></label><label/>", &["!<labelx><a>1</a></label>", "<label/>"]);
    // never closed: what comes after it is not in it
    assert_labels(
        "<b><label>1</label>\n<b><label>2</label>",
        &["!<b>", "<label>1</label>", "!<b>", "<label>2</label>"],
    );
    assert_labels("<x a='1' <label/></x>", &["!<x a='1' ", "<label/>", "!</x>"]);
    assert_labels("<x><y a='</x><label/>", &["!<x><y a='", "!</x>", "<label/>"]);
}

#[test]
fn a_tag_ends_where_no_quote_is_open() {
    assert_labels(r#"<label a="/>"></label>"#, &[r#"<label a="/>"></label>"#]);
    assert_labels("<label a='\"/>'/><label/>", &["<label a='\"/>'/>", "<label/>"]);
    let nested = r#"<label><label a="1>2"/></label>"#;
    assert_labels(nested, &[nested]);
}

#[test]
fn a_prolog_is_passed_over() {
    let prologs = [
        "",
        "\u{FEFF}",
        "\u{FEFF}<?xml version=\"1.0\"?>\n",
        "<!-- <artists> --><?pi <x>?>\n ",
        "<!DOCTYPE artists>",
        "<!DOCTYPE artists SYSTEM \"a>b\" [\n<!ENTITY a \"]>\"><!-- ]> ' --><?p ]> ' ?>] >\n",
        "<!DOCTYPE artists [<!ENTITY a '<artist/>'>]><!-- x -->",
    ];
    for prolog in prologs {
        let text = format!("{prolog}<artists a='>'><artist/></artists>");
        let (found, end) = split(Kind::Artists, &text);
        assert_eq!((found, end), (vec!["<artist/>".to_owned()], Ok(())), "{prolog}");
    }
}

#[test]
fn a_document_that_is_not_a_dump_is_an_error() {
    let wrong = |text: &str| match split(Kind::Artists, text) {
        (found, Err(SplitError::WrongRoot { found: root, at, .. })) => {
            assert_eq!(found, [""; 0]);
            (root, at.0)
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(wrong("<releases><release/></releases>"), ("<releases>".to_owned(), 0));
    assert_eq!(wrong("<!-- x --> <artist/>"), ("<artist/>".to_owned(), 11));
    assert_eq!(wrong("not XML"), ("not XML".to_owned(), 0));
    assert_eq!(wrong("<!DOCTYPE x> y"), ("y".to_owned(), 13));
    assert_eq!(wrong("</artists>").0, "</artists>");
    assert_eq!(wrong("<![CDATA[<artists/>]]>").1, 0);
}

#[test]
fn input_that_ends_before_the_root_closes_is_an_error_after_all_that_was_complete() {
    let ends = |text: &str| {
        let (found, end) = split(Kind::Artists, text);
        let at = XmlOffset(text.len() as u64);
        assert_eq!(end, Err(SplitError::EndsEarly { wanted: Kind::Artists, at }), "{text}");
        found
    };
    for text in ["", " ", "<", "<artist", "<artists", "<artists>", "<!-- ", "<artists></artists"] {
        assert_eq!(ends(text), [""; 0], "{text}");
    }
    assert_eq!(ends("<artists><artist/>"), ["<artist/>"]);
    assert_eq!(ends("<artists><artist/><artist>a</arti"), ["<artist/>", "!<artist>a</arti"]);
    assert_eq!(ends("<artists><artist>1<artist>2</artist>"), ["!<artist>1", "<artist>2</artist>"]);
    assert_eq!(ends("<artists><artist/><x>"), ["<artist/>", "!<x>"]);
}

#[test]
fn only_white_space_and_comments_may_follow_the_root() {
    for rest in ["", "\n", "<!-- <x> -->\n<?x?>"] {
        assert_eq!(split(Kind::Artists, &format!("<artists/>{rest}")).1, Ok(()), "{rest}");
    }
    for rest in ["x", "<x/>", "</artists>", "<![CDATA[x]]>", "<", "\0"] {
        let end = split(Kind::Artists, &format!("<artists></artists> {rest}")).1;
        let at = XmlOffset(20);
        assert_eq!(end, Err(SplitError::AfterRoot { wanted: Kind::Artists, at }), "{rest}");
    }
}

#[test]
fn a_stray_end_tag_is_a_bad_record_of_its_own() {
    assert_labels(
        "<label/></label><label>1</label>",
        &["<label/>", "!</label>", "<label>1</label>"],
    );
    assert_labels("</x ><label/>", &["!</x >", "<label/>"]);
    assert_labels("<label/></label<label/>", &["<label/>", "!</label", "<label/>"]);
}

#[test]
fn of_a_record_that_is_not_closed_only_what_must_be_is_set_aside() {
    // a direct child cannot be a record of the same type
    assert_labels(
        "<label>1<label>2</label><label>3</label>",
        &["!<label>1", "<label>2</label>", "<label>3</label>"],
    );
    // whatever is open inside, what stands on its line as the broken one did is the next one
    assert_labels(
        "\n <label>1<a><b>\n <label>2</label>\n <label>3</label>",
        &["!<label>1<a><b>", "<label>2</label>", "<label>3</label>"],
    );
    // a comment that is not closed
    assert_labels(
        "\n<label>1<!-- </label>\n<label>2</label>",
        &["!<label>1<!-- </label>", "<label>2</label>"],
    );
    // the last one has no next one
    assert_labels("<label>1</label><label>2", &["<label>1</label>", "!<label>2"]);
    // one after the other
    assert_labels(
        "\n<label>1\n<label>2\n<label>3</label>\n",
        &["!<label>1", "!<label>2", "<label>3</label>"],
    );
    // a comment that is not closed, where no place tells where the next one begins
    assert_labels(
        "<label>1</label><label>2<a><label>3<!-- </label>",
        &["<label>1</label>", "!<label>2<a><label>3<!-- </label>"],
    );
    // a start tag that is not closed
    assert_labels("<label a='1 <label>2</label>", &["!<label a='1", "<label>2</label>"]);
}

#[test]
fn a_nested_element_is_never_taken_for_a_record() {
    let nested = "<sublabels>\n<label>a</label>\n<label>b</label>\n";
    // in the nest nothing is a record, wherever it stands
    assert_labels(
        &format!("\n<label>1{nested}<label>c</sublabels>x\n<label>2</label>"),
        &[&format!("!<label>1{nested}<label>c</sublabels>x"), "<label>2</label>"],
    );
    // the broken one did not begin a line: no other place tells
    assert_labels(
        "<!----><label>1<a>\n<label>2</label></a>",
        &["!<label>1<a>\n<label>2</label></a>"],
    );
    // behind other white space
    assert_labels("\n<label>1<a>\n <label>2</label></a>", &["!<label>1<a>\n <label>2</label></a>"]);
}

#[test]
fn a_record_that_is_too_large_is_set_aside_in_bounded_memory() {
    let huge = format!("<artist>{}</artist>", "<name>0123456789</name>".repeat(200_000));
    let text = format!("<artists><artist/>{huge}<artist>1</artist></artists>");
    let outcome = run(splitter(Kind::Artists, 100_000), text.as_bytes(), &[1_000]);
    let expected = [
        Found::Record(9, "<artist/>".to_owned()),
        Found::Bad(BadRecord {
            reason: TOO_LARGE.to_owned(),
            start: XmlOffset(18),
            length: huge.len() as u64,
            raw: huge.as_bytes()[..100_000].to_vec(),
        }),
        Found::Record(18 + huge.len() as u64, "<artist>1</artist>".to_owned()),
    ];
    assert!(outcome.found == expected);
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.held < 103_000, "{} bytes were held", outcome.held);
}

#[test]
fn a_comment_that_never_ends_does_not_swallow_the_rest_of_the_dump() {
    let long = "<name>0123456789</name>".repeat(2_000);
    for mark in ["<!--", "<![CDATA[", "<?"] {
        for (before, after) in [("", ""), (&*long, ""), ("", &*long), (&*long, &*long)] {
            let record = format!("<artist><a>{before}{mark}{after}</artistsx></artist>");
            let text = format!("<artists><artist/>{record}</artists >\n");
            for limit in [1_000, MAX_RECORD] {
                for sizes in [&[][..], &[7], &[1_000]] {
                    let outcome = run(splitter(Kind::Artists, limit), text.as_bytes(), sizes);
                    assert_eq!(outcome.end, Ok(()), "{mark}, {} bytes", text.len());
                    assert_eq!(outcome.found.len(), 2);
                    let Found::Bad(bad) = &outcome.found[1] else { panic!("no bad record") };
                    assert_eq!(bad.length, record.len() as u64);
                }
            }
        }
    }
}

#[test]
fn what_is_passed_over_is_not_held() {
    let long = "0123456789<b/> ".repeat(20_000);
    let asides = [
        format!("<!--{long}-->"),
        format!("<![CDATA[{long}]]>"),
        format!("<?{long}?>"),
        format!("<x>{}</x>", long.replace("<b/>", "<b></b>")),
        long.replace('<', " "),
    ];
    for aside in asides {
        let text = format!("<artists>{aside}<artist/></artists>");
        let outcome = run(splitter(Kind::Artists, 1_000), text.as_bytes(), &[1_000]);
        assert_eq!(outcome.end, Ok(()));
        assert!(outcome.held < 3_000, "{} bytes were held", outcome.held);
        // the same in a record that is being discarded
        let text = format!("<artists><artist>{aside}</artist></artists>");
        let outcome = run(splitter(Kind::Artists, 1_000), text.as_bytes(), &[1_000]);
        assert_eq!((outcome.found.len(), outcome.end), (1, Ok(())));
        assert!(outcome.held < 3_000, "{} bytes were held", outcome.held);
    }
}

#[test]
fn a_record_of_exactly_the_limit_is_a_record() {
    let text = "<artists><artist>12345</artist><artist/></artists>";
    for limit in [21, 22, 23] {
        let outcome = run(splitter(Kind::Artists, limit), text.as_bytes(), &[]);
        let is_record = matches!(outcome.found[0], Found::Record(..));
        assert_eq!(is_record, limit >= 22, "{limit}");
        assert_eq!(outcome.found.len(), 2);
    }
}

/// Documents of all that can confuse, mostly with their root around them.
fn document() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "<label>",
        "</label>",
        "<label/>",
        "<label id=\"1\">",
        "<label a='>",
        "<label a='/>'/>",
        "</label ",
        "<labels>",
        "</labels>",
        "<labelx>",
        "</labelx>",
        "<sublabels>",
        "</sublabels>",
        "<x>",
        "</x>",
        "<x y=\"",
        "\"",
        "'",
        ">",
        "/>",
        "<",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!",
        "<!x>",
        "\n",
        "\n  ",
        " ",
        "text",
        "</",
        "&lt;",
        "<label",
        "</label",
        "s",
        "ö",
        "<label>a</label>\n",
        "\n<label>b<sublabels><label>c</label></sublabels></label>",
    ];
    const HEADS: &[&str] =
        &["\u{FEFF}", "<?xml?>", "<!DOCTYPE x [<!ENTITY y '>'><!-- ' -->]>", "<!-- -->", "\n"];
    let pieces = |of: &'static [&'static str], most| {
        prop::collection::vec(prop::sample::select(of), 0..most).prop_map(|pieces| pieces.concat())
    };
    (
        pieces(HEADS, 3),
        pieces(PIECES, 30),
        prop::sample::select(&["</labels>", "", "</labels>\n"][..]),
    )
        .prop_map(|(head, inner, tail)| format!("{head}<labels>{inner}{tail}"))
}

/// How much of a wrong root can be shown depends on how much of it has come.
fn without_excerpt(end: Result<(), SplitError>) -> Result<(), SplitError> {
    end.map_err(|error| match error {
        SplitError::WrongRoot { wanted, at, .. } => {
            SplitError::WrongRoot { found: String::new(), wanted, at }
        }
        error => error,
    })
}

/// Whether a text is white space, comments, instructions and whole elements that are no records, as
/// another reader of XML sees it.
fn is_nothing(text: &str) -> Result<(), String> {
    use quick_xml::events::Event;
    let begins_nothing =
        |pair: &[u8]| pair[0] == b'<' && !(b"/!?".contains(&pair[1]) || is_name_start(pair[1]));
    if text.as_bytes().windows(2).any(begins_nothing) {
        // The other reader takes that for a tag.
        return Ok(());
    }
    let mut reader = quick_xml::Reader::from_str(text);
    let mut depth = 0;
    loop {
        let event = match reader.read_event() {
            // a `<` or an instruction that is none: it is passed over all the same
            Err(quick_xml::Error::Syntax(_)) => return Ok(()),
            event => event.map_err(|error| format!("{error} in {text:?}"))?,
        };
        match event {
            Event::Start(tag) | Event::Empty(tag)
                if depth == 0 && tag.name().as_ref() == "label" =>
            {
                return Err(format!("a record in {text:?}"));
            }
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Text(inner) if depth == 0 && inner.bytes().any(|byte| !is_space(byte)) => {
                return Err(format!("text in {text:?}"));
            }
            Event::CData(_) | Event::DocType(_) | Event::GeneralRef(_) if depth == 0 => {
                return Err(format!("text in {text:?}"));
            }
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err(format!("an open element in {text:?}")),
            _ => {}
        }
    }
}

/// How often each byte of a text is looked at, on average.
fn looks(kind: Kind, text: &[u8], limit: usize) -> u64 {
    looked_at();
    run(splitter(kind, limit), text, &[64 << 10]);
    looked_at() / text.len() as u64
}

/// Texts of about `size` bytes that are made to be costly.
fn hostile(size: usize) -> Vec<(&'static str, String)> {
    let fill = |piece: &str| piece.repeat(size / piece.len());
    let root = |inner: String| format!("<artists>\n{inner}\n</artists>\n");
    vec![
        ("never closed", root(fill("<artist>\n"))),
        ("never closed, one line", root(fill("<artist>"))),
        ("never closed, no root end", format!("<artists>{}", fill("<artist>\n"))),
        ("one in two never closed", root(fill("<artist>a<artist>b</artist>\n"))),
        ("nested in others, no line", root(format!("<artist><a><b>{}", fill("<artist/>")))),
        ("nested in others, lines", root(format!("<artist><a><b>{}", fill(" \n<artist/>")))),
        ("in a nest", root(fill("<artist><sublabels><artist>"))),
        ("comments", root(fill("<artist><!-- </artist>\n"))),
        ("comments, no line", root(fill("<artist><!--"))),
        ("CDATA", root(fill("<artist><![CDATA[ </artist>\n"))),
        ("instructions", root(fill("<artist><? </artist>\n"))),
        ("all asides", root(fill("<artist><!--<![CDATA[<?</artist>\n"))),
        ("quotes", root(fill("<artist a='\n"))),
        ("a quote", root(format!("<artist a='{}", fill("x")))),
        ("names", root(fill("artist"))),
        ("tags without end", root(fill("<artist "))),
        ("end tags", root(fill("</artist>"))),
        ("foreign", root(fill("<b>"))),
        ("foreign and records", root(fill("<b><artist/>"))),
        ("foreign, records, one line", root(fill("<b><artist><c></artist>"))),
        ("foreign and misfits", root(fill("<b><c></b>"))),
        ("foreign tags without end", root(fill("<b c='"))),
        ("text", root(fill("text < "))),
        ("much of all", root(fill("<artist><b>\n<!--x<artist>-->y</c><?<artist/></b><b>]]>"))),
    ]
}

#[test]
fn hostile_text_costs_what_its_size_is() {
    for limit in [4 << 10, 100 << 10, MAX_RECORD] {
        for (name, text) in hostile(400 << 10) {
            let looks = looks(Kind::Artists, text.as_bytes(), limit);
            assert!(looks <= 8, "{name}: every byte is looked at {looks} times, limit {limit}");
        }
    }
}

#[test]
fn what_is_remembered_of_open_tags_is_bounded() {
    let text = format!("<artists>{}", "<artist>".repeat((1 << 20) + 100));
    let outcome = run(Splitter::new(Kind::Artists), text.as_bytes(), &[]);
    assert_eq!(outcome.found.len(), (1 << 20) + 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_the_text_it_costs_what_its_size_is(
        piece in document(),
        limit in prop::sample::select(&[100, 1_000, MAX_RECORD][..]),
    ) {
        let text = format!("<labels>{}", piece.repeat(1 + 20_000 / piece.len()));
        let looks = looks(Kind::Labels, text.as_bytes(), limit);
        prop_assert!(looks <= 8, "every byte is looked at {} times", looks);
    }

    #[test]
    fn between_two_places_stands_nothing_that_could_be_a_record(
        text in document(),
        limit in prop::sample::select(&[40, 100, MAX_RECORD][..]),
    ) {
        let outcome = run(splitter(Kind::Labels, limit), text.as_bytes(), &[]);
        let mut from = None;
        for found in &outcome.found {
            let (start, end) = match found {
                Found::Record(start, record) => (*start, start + record.len() as u64),
                Found::Bad(bad) => (bad.start.0, bad.start.0 + bad.length),
                Found::Foreign(_) => continue,
            };
            let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            if let Some(from) = from {
                prop_assert!(start >= from, "places overlap");
                is_nothing(&text[from..start]).map_err(TestCaseError::fail)?;
            }
            from = Some(end);
        }
    }

    #[test]
    fn where_the_text_is_cut_changes_nothing(
        text in document(),
        sizes in prop::collection::vec(1_usize..20, 1..20),
        limit in prop::sample::select(&[40, 100, MAX_RECORD][..]),
    ) {
        let whole = run(splitter(Kind::Labels, limit), text.as_bytes(), &[]);
        for sizes in [&sizes[..], &[1]] {
            let cut = run(splitter(Kind::Labels, limit), text.as_bytes(), sizes);
            prop_assert_eq!(&cut.found, &whole.found);
            prop_assert_eq!(without_excerpt(cut.end), without_excerpt(whole.end.clone()));
        }
    }

    #[test]
    fn going_on_between_two_records_finds_the_same(
        text in document(),
        sizes in prop::collection::vec(1_usize..20, 1..20),
        limit in prop::sample::select(&[40, 100, MAX_RECORD][..]),
    ) {
        let whole = run(splitter(Kind::Labels, limit), text.as_bytes(), &[]);
        for (index, found) in whole.found.iter().enumerate() {
            let end = match found {
                Found::Record(start, record) => start + record.len() as u64,
                Found::Bad(bad) => bad.start.0 + bad.length,
                Found::Foreign(_) => continue,
            };
            let rest = &text.as_bytes()[usize::try_from(end).unwrap()..];
            let resumed = Splitter::between_records(Kind::Labels, XmlOffset(end)).limit(limit);
            let resumed = run(resumed, rest, &sizes);
            prop_assert_eq!(&resumed.found, &whole.found[index + 1..]);
            prop_assert_eq!(&resumed.end, &whole.end);
        }
    }

    #[test]
    fn well_formed_records_come_out_as_they_went_in(
        records in prop::collection::vec((
            prop::sample::select(&["", "\n", "<?text?>", "<!-- <label> -->", "<x><label/></x>", "<x><y/></x>"][..]),
            prop::sample::select(&[
                "<label/>", "<label id='<'/>", "<label><label/></label>", "<label><!-- </label> --></label>",
                "<label><sublabels><label>a</label><label/></sublabels></label>", "<label><labels/>&</label\n>",
            ][..]),
        ), 0..20),
        sizes in prop::collection::vec(1_usize..50, 1..20),
    ) {
        let records: Vec<_> = records.into_iter().filter(|(_, record)| !record.contains("'<'")).collect();
        let inner: String = records.iter().flat_map(|(before, record)| [*before, *record]).collect();
        let outcome = run(Splitter::new(Kind::Labels), format!("<labels>{inner}</labels>").as_bytes(), &sizes);
        let found = outcome.found.iter().filter_map(|found| match found {
            Found::Record(_, record) => Some(&**record),
            Found::Bad(bad) => panic!("{bad:?}"),
            Found::Foreign(_) => None,
        });
        prop_assert_eq!(found.collect::<Vec<_>>(), records.iter().map(|(_, record)| *record).collect::<Vec<_>>());
        prop_assert_eq!(outcome.end, Ok(()));
    }
}
