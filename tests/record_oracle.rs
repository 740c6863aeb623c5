//! The fast path from XML to canonical JSON against a second, slow implementation of the same
//! text: over real records, over generated ones, and over anything at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test says what it could not compare")]

#[path = "record_oracle/slow.rs"]
mod slow;

use std::io::Read;
use std::path::{Path, PathBuf};

use discogs_extractor::model::Kind;
use discogs_extractor::record::{Malformed, Parser, Split, Splitter};
use proptest::prelude::*;
use quick_xml::events::Event;

use slow::{Expected, canonical};

/// The record as the library has it, after checking that the document describes its own JSON.
fn fast(parser: &mut Parser, kind: Kind, record: &[u8]) -> Option<Expected> {
    const BEFORE: &[u8] = b"what was there before";
    let mut out = BEFORE.to_vec();
    let Ok(document) = parser.parse(kind, record, &mut out) else {
        assert_eq!(out, BEFORE, "a refused record must leave nothing behind");
        return None;
    };
    assert_eq!(document.json, BEFORE.len()..out.len());
    let json = String::from_utf8(out[document.json].to_vec()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    match document.id_member {
        Some(range) => {
            let member = String::from_utf8(out[range].to_vec()).unwrap();
            let id = member.strip_prefix("\"id\":").unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(id).unwrap(), value["id"]);
        }
        None => assert!(value.get("id").is_none()),
    }
    Some(Expected { json, id: document.id.into(), sha256: document.hash.to_string() })
}

/// The dump sets that are there: the real samples beside the repository, the project's own.
fn dumps() -> Vec<(Kind, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("../shared/samples"), root.join("data/sample")];
    let files = folders.iter().filter_map(|folder| match folder.read_dir() {
        Ok(files) => Some(files.filter_map(Result::ok).map(|file| file.path())),
        Err(error) => {
            eprintln!("not compared: {}: {error}", folder.display());
            None
        }
    });
    let named = files.flatten().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let name: discogs_extractor::model::DumpName = name.parse().ok()?;
        Some((name.kind, path))
    });
    named.collect()
}

fn text_of(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    text
}

#[test]
fn every_record_of_the_dump_sets_is_the_same_in_both() {
    for (kind, path) in dumps() {
        let text = text_of(&path);
        let (mut splitter, mut parser) = (Splitter::new(kind), Parser::new());
        let mut records = 0;
        loop {
            match splitter.next(&text, true).unwrap() {
                Split::Record(range) => {
                    let record = &text[range];
                    let expected = canonical(kind, record);
                    assert!(expected.is_some(), "{}", String::from_utf8_lossy(record));
                    assert_eq!(fast(&mut parser, kind, record), expected);
                    records += 1;
                }
                Split::End => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(records > 0, "{} has no records", path.display());
        eprintln!("{}: {records} records compared", path.display());
    }
}

const NAMES: &[&str] = &[
    "id",
    "name",
    "artist",
    "label",
    "master",
    "release",
    "artists",
    "labels",
    "sublabels",
    "members",
    "groups",
    "aliases",
    "genres",
    "genre",
    "styles",
    "style",
    "extraartists",
    "formats",
    "format",
    "master_id",
    "parentLabel",
    "text",
    "a",
    "abcdefgh",
    "abcdefghi",
    "abcdefghj",
    "ÄÖ",
    "-x",
    "0",
    "x\\y",
    "x\u{1}",
];
const TEXTS: &[&str] = &[
    "x",
    " p ",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\u{3000}",
    "\u{a0}\u{2003}",
    "ö音楽",
    "&amp;",
    "&lt;b&gt;",
    "&quot;",
    "&apos;",
    "&#13;",
    "&#10;",
    "&#x9;",
    "&#32;",
    "&#0;",
    "&#xD800;",
    "&#x110000;",
    "&#99999999999999999999;",
    "&#;",
    "&#x;",
    "&#xzz;",
    "&#X41;",
    "&nbsp;",
    "&",
    "& ",
    "&am",
    "p;",
    ";",
    "]]>",
    "\u{1}",
    "\u{8}",
    "\u{c}",
    "\u{7f}",
    "\\",
    "/",
    ">",
    "#13;",
    "0123456789abcdef0123456789abcdef",
];
const ASIDE: &[&str] = &[
    "<!-- </release> <a> -->",
    "<!---->",
    "<?pi <b> ?>",
    "<![CDATA[]]>",
    "<![CDATA[ <c>&amp;\r\n\"]]>",
    "<![CDATA[ ]]>",
    "<![CDATA[\r]]>",
];

/// Records with everything in them that XML and the rules know, mostly well-formed.
fn record(kind: Kind) -> impl Strategy<Value = Vec<u8>> {
    let name = || prop::sample::select(NAMES);
    let text = || prop::collection::vec(prop::sample::select(TEXTS), 0..4).prop_map(|t| t.concat());
    let attribute =
        (name(), text(), any::<bool>(), prop::sample::select(&["=", " = ", "\n=\t"][..])).prop_map(
            |(name, value, double, equals)| {
                let quote = if double { '"' } else { '\'' };
                (name, format!(" {name}{equals}{quote}{value}{quote}"))
            },
        );
    // an attribute that is there twice is malformed: keep that rare
    let attributes = prop::collection::vec(attribute, 0..4).prop_map(|mut attributes| {
        if attributes.len() < 3 {
            attributes.sort();
            attributes.dedup_by(|a, b| a.0 == b.0);
        }
        attributes.into_iter().map(|(_, attribute)| attribute).collect::<String>()
    });
    let attributes = attributes.boxed();
    let element = move |name: String, attributes: String, space: &str, inner: String| {
        if inner.is_empty() && !space.is_empty() {
            format!("<{name}{attributes}{space}/>")
        } else {
            format!("<{name}{attributes}{space}>{inner}</{name}{space}>")
        }
    };
    let space = || prop::sample::select(&["", "", "", " ", "\n"][..]);
    let leaf = prop_oneof![4 => text(), 1 => prop::sample::select(ASIDE).prop_map(str::to_owned)];
    let inner = leaf.prop_recursive(4, 40, 6, {
        let attributes = attributes.clone();
        move |inner| {
            prop_oneof![
                3 => (name(), attributes.clone(), space(), inner.clone()).prop_map(
                    move |(name, attributes, space, inner)| {
                        element(name.to_owned(), attributes, space, inner)
                    }
                ),
                2 => prop::collection::vec(inner, 0..6).prop_map(|parts| parts.concat()),
            ]
        }
    });
    let tag = kind.record_tag();
    (
        attributes,
        prop::collection::vec(inner, 0..6),
        prop::option::weighted(0.1, any::<(u16, u8)>()),
    )
        .prop_map(move |(attributes, inner, flaw)| {
            let mut record = format!("<{tag}{attributes}>{}</{tag}>", inner.concat()).into_bytes();
            if let Some((at, byte)) = flaw {
                let at = usize::from(at) % record.len();
                record[at] = byte;
            }
            record
        })
}

/// What markup is made of, to be put together in any order.
const PIECES: &[&[u8]] = &[
    b"<a>",
    b"</a>",
    b"<a",
    b">",
    b"/>",
    b" b=",
    b"\"",
    b"'",
    b"&",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<?",
    b"?>",
    b"x",
    b"\xff",
    b"\xe9\x9f",
    b"=",
    b"<",
    b"</",
    b"\0",
];

/// How many elements and attributes quick-xml finds; none if it objects.
fn counted_by_quick_xml(record: &str) -> Option<(usize, usize)> {
    let mut reader = quick_xml::Reader::from_str(record);
    reader.config_mut().allow_dangling_amp = true;
    let (mut elements, mut attributes) = (0, 0);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => {
                elements += 1;
                for attribute in tag.attributes() {
                    attribute.ok()?;
                    attributes += 1;
                }
            }
            Event::Eof => return Some((elements, attributes)),
            _ => {}
        }
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(&Kind::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn generated_records_are_the_same_in_both(
        (kind, record) in kinds().prop_flat_map(|kind| (Just(kind), record(kind)))
    ) {
        prop_assert_eq!(fast(&mut Parser::new(), kind, &record), canonical(kind, &record));
    }

    #[test]
    fn what_is_accepted_has_nothing_that_quick_xml_objects_to(
        (kind, record) in kinds().prop_flat_map(|kind| (Just(kind), record(kind)))
    ) {
        if fast(&mut Parser::new(), kind, &record).is_some() {
            let counted = counted_by_quick_xml(&String::from_utf8_lossy(&record));
            prop_assert_eq!(counted, Some(slow::count(&record)));
        }
    }

    #[test]
    fn one_parser_remembers_nothing_of_earlier_records(
        records in prop::collection::vec(record(Kind::Releases), 1..5)
    ) {
        let mut parser = Parser::new();
        for record in records {
            let fresh = fast(&mut Parser::new(), Kind::Releases, &record);
            prop_assert_eq!(fast(&mut parser, Kind::Releases, &record), fresh);
        }
    }

    #[test]
    fn what_is_not_utf8_is_the_same_in_both(
        (kind, record) in kinds().prop_flat_map(|kind| (Just(kind), record(kind))),
        bytes in prop::collection::vec(prop::sample::select(&b"xx\xff\xe9\x9f\xc3\xa9"[..]), 16)
    ) {
        // Where it stands in names, text and attributes, never twice the same.
        let mut bytes = bytes.into_iter().cycle();
        let mut record = record;
        record.iter_mut().filter(|byte| **byte == b'x').for_each(|byte| {
            *byte = bytes.next().unwrap_or(*byte);
        });
        prop_assert_eq!(fast(&mut Parser::new(), kind, &record), canonical(kind, &record));
    }

    #[test]
    fn a_limit_refuses_what_is_larger_and_changes_nothing_else(
        (kind, record) in kinds().prop_flat_map(|kind| (Just(kind), record(kind))),
        limit in 0_usize..600
    ) {
        let mut limited = Parser::with_limit(limit);
        match fast(&mut Parser::new(), kind, &record) {
            Some(whole) if whole.json.len() > limit => {
                let mut out = Vec::new();
                let error = limited.parse(kind, &record, &mut out).err();
                prop_assert_eq!(error, Some(Malformed::TooLarge { limit }));
                prop_assert!(out.is_empty());
            }
            whole => prop_assert_eq!(fast(&mut limited, kind, &record), whole),
        }
    }

    #[test]
    fn anything_at_all_is_refused_or_parsed_but_never_a_panic(
        kind in kinds(), parts in prop::collection::vec(prop::sample::select(PIECES), 0..16)
    ) {
        let record = parts.concat();
        prop_assert_eq!(fast(&mut Parser::new(), kind, &record), canonical(kind, &record));
    }
}
