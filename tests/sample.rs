//! The maker of dump sets, and the small set in `data/sample`.

#![expect(clippy::unwrap_used, reason = "a test may panic, in the functions its tests share too")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use discogs_extractor::model::{DumpName, Kind};
use discogs_extractor::sample::{DEFAULT_VERSION, Options, count, make, write_xml};
use flate2::read::MultiGzDecoder;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use sha2::{Digest, Sha256};

fn xml(kind: Kind, count: u64, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_xml(kind, count, seed, &mut out).unwrap();
    out
}

fn hex(data: &[u8]) -> String {
    discogs_extractor::model::Sha256(Sha256::digest(data).into()).to_string()
}

fn options(records: u64) -> Options {
    Options::new(records, 7, DEFAULT_VERSION.parse().unwrap())
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut xml = Vec::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_end(&mut xml).unwrap();
    xml
}

/// A gzip member's header as flate2 and Python write it: deflate, no time.
fn member_starts(gzip: &[u8]) -> usize {
    gzip.windows(8).filter(|w| w[..3] == [0x1f, 0x8b, 8] && w[4..] == [0, 0, 0, 0]).count()
}

/// The paths of a dump's elements (`artist/urls/url`) and attributes (`artist/aliases/name@id`)
/// from the record down, and the ids of its records; panics where it is not well-formed.
fn shape(kind: Kind, xml: &[u8]) -> (BTreeSet<String>, Vec<Option<String>>) {
    let xml = std::str::from_utf8(xml).unwrap();
    let mut reader = Reader::from_str(xml);
    let (mut paths, mut ids) = (BTreeSet::new(), Vec::new());
    let mut open: Vec<String> = Vec::new();
    let mut is_id_text = false;
    loop {
        let event = reader.read_event().unwrap();
        let is_id = is_id_text;
        is_id_text = false;
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                open.push(start.name().0.to_owned());
                let id = note(start, &open, &mut paths);
                if open.len() == 1 {
                    assert_eq!(open[0], kind.name());
                }
                if open.len() == 2 {
                    assert_eq!(open[1], kind.record_tag());
                    ids.push(id);
                }
                is_id_text = open.len() == 3 && open[2] == "id";
                if matches!(event, Event::Empty(_)) {
                    open.pop();
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => {
                assert!(!open.is_empty() || text.trim().is_empty());
                if is_id && let Some(id @ None) = ids.last_mut() {
                    *id = Some(text.into_inner().into_owned());
                }
            }
            Event::GeneralRef(reference) => {
                let known = ["amp", "lt", "gt", "quot", "apos"].contains(&&*reference);
                assert!(
                    known || reference.resolve_char_ref().unwrap().is_some(),
                    "&{};",
                    &*reference
                );
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    (paths, ids)
}

fn note(start: &BytesStart<'_>, open: &[String], paths: &mut BTreeSet<String>) -> Option<String> {
    let path = open[1..].join("/");
    let mut id = None;
    for attribute in start.attributes() {
        let attribute = attribute.unwrap();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap();
        paths.insert(format!("{path}@{}", attribute.key.0));
        if attribute.key.0 == "id" {
            id = Some(value.into_owned());
        }
    }
    paths.insert(path);
    id
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_platform() {
    let hashes = Kind::ALL.map(|kind| hex(&xml(kind, 100, 7)));
    assert_eq!(
        hashes,
        [
            "3ed9fe8fe75b32888b4272a65b86ae23f3af9b1d330ab1a2bd50f682a5e09754",
            "0323dd477abb0837278e2dcb1ece33e0825a26e088b0ba70f94b9ddf5cda337c",
            "d77e1b2a72b9a7efee1163c67ae066957052c6d3fc6ca5fefbd740747df2303a",
            "53fd328e55ef96bf8435d934498d96cd8db31001a420ea2e716ffbe62554aa90",
        ]
    );
    assert_ne!(xml(Kind::Labels, 100, 7), xml(Kind::Labels, 100, 8));
}

#[test]
fn a_larger_dump_begins_with_the_smaller_one() {
    for kind in Kind::ALL {
        let (small, large) = (xml(kind, 20, 7), xml(kind, 40, 7));
        let records = small.len() - format!("</{kind}>\n").len();
        assert_eq!(small[..records], large[..records]);
    }
}

#[test]
fn every_dump_is_well_formed_with_rising_ids_and_as_many_records_as_asked_for() {
    for kind in Kind::ALL {
        let (_, ids) = shape(kind, &xml(kind, 2000, 7));
        let ids: Vec<u64> = ids.into_iter().map(|id| id.unwrap().parse().unwrap()).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.is_sorted_by(|a, b| a < b));
        let (_, none) = shape(kind, &xml(kind, 0, 7));
        assert!(none.is_empty());
    }
}

#[test]
fn types_stand_in_the_proportion_of_the_real_dumps() {
    assert_eq!(Kind::ALL.map(|kind| count(kind, 19_000)), [10_000, 2_400, 2_600, 19_000]);
    assert_eq!(Kind::ALL.map(|kind| count(kind, 1)), [1, 1, 1, 1]);
    assert_eq!(Kind::ALL.map(|kind| count(kind, 0)), [0, 0, 0, 0]);
}

#[test]
fn a_main_release_and_its_master_name_each_other() {
    let releases = String::from_utf8(xml(Kind::Releases, 500, 7)).unwrap();
    let masters = String::from_utf8(xml(Kind::Masters, count(Kind::Masters, 500), 7)).unwrap();
    let mut pairs = 0;
    for master in masters.split("<master id=\"").skip(1) {
        let id = master.split('"').next().unwrap();
        let main = master.split("<main_release>").nth(1).unwrap().split('<').next().unwrap();
        let release = releases.split(&format!("<release id=\"{main}\"")).nth(1).unwrap();
        let release = release.split("</release>").next().unwrap();
        assert!(release.contains(&format!("<master_id is_main_release=\"true\">{id}</master_id>")));
        pairs += 1;
    }
    assert_eq!(pairs, count(Kind::Masters, 500));
}

#[test]
fn releases_pack_about_as_well_as_the_real_ones() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { kinds: vec![Kind::Releases], ..options(5000) };
    let made = &make(&options, folder.path()).unwrap().dumps[0];
    // In hundredths, to stay with integers: 5.9 in the dumps of 2020.
    let ratio = made.xml_bytes * 100 / made.gzip_bytes;
    assert!((500..650).contains(&ratio), "{ratio}");
    let record = made.xml_bytes / made.records;
    assert!((3500..4400).contains(&record), "{record}");
}

#[test]
fn a_set_is_four_dumps_whose_checksums_match_and_no_unfinished_file() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("new/folder");
    let made = make(&options(300), &into).unwrap();
    let mut names: Vec<_> = fs::read_dir(&into)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "discogs_20260101_CHECKSUM.txt",
            "discogs_20260101_artists.xml.gz",
            "discogs_20260101_labels.xml.gz",
            "discogs_20260101_masters.xml.gz",
            "discogs_20260101_releases.xml.gz",
        ]
    );
    assert_eq!(check_sums(&into), 4);
    for dump in &made.dumps {
        let xml = unpacked(&dump.path);
        assert_eq!(xml.len() as u64, dump.xml_bytes);
        assert_eq!(fs::metadata(&dump.path).unwrap().len(), dump.gzip_bytes);
        assert_eq!(shape(dump.name.kind, &xml).1.len() as u64, dump.records);
        assert_eq!(xml, self::xml(dump.name.kind, dump.records, 7));
    }
}

#[test]
fn a_dump_of_several_members_holds_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { members: 5, ..options(300) };
    for dump in &make(&options, folder.path()).unwrap().dumps {
        assert_eq!(member_starts(&fs::read(&dump.path).unwrap()), 5, "{}", dump.name);
        assert_eq!(unpacked(&dump.path), xml(dump.name.kind, dump.records, 7));
    }
    let options = Options { records: 3, ..options };
    for dump in &make(&options, folder.path()).unwrap().dumps {
        assert_eq!(unpacked(&dump.path), xml(dump.name.kind, dump.records, 7));
    }
}

#[test]
fn a_failed_set_says_where_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("discogs_20260101_labels.xml.gz.part");
    fs::create_dir(&in_the_way).unwrap();
    let error = make(&options(10), folder.path()).unwrap_err().to_string();
    assert!(error.contains("labels.xml.gz.part") && error.contains("hint: "), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// How many files the folder's checksum file names; every one must match.
fn check_sums(folder: &Path) -> usize {
    let sums = fs::read_to_string(folder.join("discogs_20260101_CHECKSUM.txt")).unwrap();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        name.parse::<DumpName>().unwrap();
        assert_eq!(sum, hex(&fs::read(folder.join(name)).unwrap()), "{name}");
    }
    sums.lines().count()
}

fn own_set() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/sample"))
}

fn own_dump(kind: Kind) -> Vec<u8> {
    let name = DumpName { version: DEFAULT_VERSION.parse().unwrap(), kind };
    unpacked(&own_set().join(name.to_string()))
}

/// What the records of the real dumps of 2020 and after consist of.
fn known_paths(kind: Kind) -> Vec<String> {
    const IMAGES: &str = "images images/image@type images/image@uri images/image@uri150 \
        images/image@width images/image@height";
    const VIDEOS: &str = "videos videos/video@src videos/video@duration videos/video@embed \
        videos/video/title videos/video/description";
    const CREDIT: [&str; 6] = ["id", "name", "anv", "join", "role", "tracks"];
    let (record, paths, credits): (_, _, &[&str]) = match kind {
        Kind::Artists => (
            "artist",
            format!(
                "{IMAGES} id name realname profile data_quality urls/url namevariations/name \
                 aliases/name@id members/id members/name@id groups/name@id"
            ),
            &[],
        ),
        Kind::Labels => (
            "label",
            format!(
                "{IMAGES} id name contactinfo profile data_quality parentLabel@id urls/url \
                 sublabels/label sublabels/label@id"
            ),
            &[],
        ),
        Kind::Masters => (
            "master",
            format!(
                "{IMAGES} {VIDEOS} main_release genres/genre styles/style notes year title \
                 data_quality"
            ),
            &["artists"],
        ),
        Kind::Releases => (
            "release",
            format!(
                "{IMAGES} {VIDEOS} title labels/label@name labels/label@catno labels/label@id \
                 series/series@name series/series@catno series/series@id formats/format@name \
                 formats/format@qty formats/format@text formats/format/descriptions/description \
                 genres/genre styles/style country released notes data_quality \
                 master_id@is_main_release tracklist/track/position tracklist/track/title \
                 tracklist/track/duration tracklist/track/sub_tracks/track/position \
                 tracklist/track/sub_tracks/track/title tracklist/track/sub_tracks/track/duration \
                 identifiers/identifier@type identifiers/identifier@description \
                 identifiers/identifier@value companies/company/id companies/company/name \
                 companies/company/catno companies/company/entity_type \
                 companies/company/entity_type_name companies/company/resource_url"
            ),
            &[
                "artists",
                "extraartists",
                "tracklist/track/artists",
                "tracklist/track/extraartists",
                "tracklist/track/sub_tracks/track/artists",
                "tracklist/track/sub_tracks/track/extraartists",
            ],
        ),
    };
    let plain = paths.split(' ').map(|path| format!("{record}/{path}"));
    let credited =
        credits.iter().flat_map(|list| CREDIT.map(|part| format!("{record}/{list}/artist/{part}")));
    plain.chain(credited).collect()
}

#[test]
fn both_the_maker_and_the_own_set_know_every_element_and_attribute_of_the_real_dumps() {
    for kind in Kind::ALL {
        let made = shape(kind, &xml(kind, 3000, 7)).0;
        let own = shape(kind, &own_dump(kind)).0;
        for path in known_paths(kind) {
            assert!(own.contains(&path), "{path} is not in data/sample");
            // The maker's movements have no artists of their own.
            assert!(made.contains(&path) || path.contains("sub_tracks/track/artists"), "{path}");
        }
    }
    let releases = shape(Kind::Releases, &own_dump(Kind::Releases)).0;
    assert!(releases.contains("release@id") && releases.contains("release@status"));
}

#[test]
fn the_own_set_is_whole_and_holds_a_few_dozen_records_of_each_type() {
    assert_eq!(check_sums(own_set()), 4);
    let records = Kind::ALL.map(|kind| shape(kind, &own_dump(kind)).1.len());
    assert_eq!(records, [46, 41, 40, 48]);
    let releases = fs::read(own_set().join("discogs_20260101_releases.xml.gz")).unwrap();
    assert_eq!(member_starts(&releases), 5);
}

#[test]
fn the_own_set_holds_what_a_well_formed_dump_may_hold() {
    let holds = |kind: Kind, what: &[&str]| {
        let dump = String::from_utf8(own_dump(kind)).unwrap();
        for part in what {
            assert!(dump.contains(part), "{part:?} is not in {kind}");
        }
    };
    let in_artists = [
        "</artist><artist>",
        "<!-- a comment between records that holds <artist><id>1</id></artist>",
        "<!-- not here </artist> -->",
        "<?sample ",
        "<![CDATA[Plain <b>markup</b> & no entity: &amp; </artist> ]]]]><![CDATA[> end]]>",
        "<![CDATA[   ]]>",
        "]]&gt; &amp;copy; &amp;#233; &amp;amp;",
        "&quot;quiet&quot; &amp; mean &apos;quiet&apos;: 1 &lt; 2 &gt; 0.",
        "&#13;\n",
        "&#x006D;&#0000101;",
        "&#x1F680; &#128640;",
        "<data_quality>\u{3000}\u{2003} </data_quality>",
        "<profile>&#32;&#9;&#10;&#13;&#160;&#x2003;&#12288;</profile>",
        "<name>  Ada Königshøj </name>",
        "<profile></profile>",
        "<members>bare text, no element</members>",
        "<members><id>9001</id><id>9002</id></members>",
        "<groups>in between <name",
        "<artist id=\"9008\"><id>99999</id>",
        "<artist><name>No Id At All</name>",
        "<artist id=\"9009\"/>",
        "raw CRLF\r\nraw CR\rraw LF\n",
        "raw tab\traw end\r\nreference&#9;&#10;&#13;.",
        "\u{7f} \u{9f} \u{85} \u{2028}",
        "架空 太郎",
        "👩‍🚀",
        "<größe einheit=\"cm\">",
        "id = '9016'",
    ];
    holds(Kind::Artists, &in_artists);
    let in_labels = [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<sublabels><label/><label/><label/></sublabels>",
        "<parentLabel>Tidewater Tapes</parentLabel>",
        "<label>Just A Name</label>",
        "<parentLabel/>",
    ];
    holds(Kind::Labels, &in_labels);
    let in_masters = [
        "<masters generated=\"20260101\">",
        "stray text<title>",
        "<genres>Jazz</genres>",
        "<styles><style/></styles>",
        "<artist id=\"9001\"><id>5</id><name>Clash</name></artist>",
        "<related><master id=\"1\">",
    ];
    holds(Kind::Masters, &in_masters);
    let in_releases = [
        "<master_id>9004</master_id>",
        "<master_id is_main_release=\"true\"/>",
        "<master_id is_main_release=\"false\"><id>9001</id></master_id>",
        "<formats>bare text</formats>",
        "<release status='Accepted' id='9004'>",
        "name=\"Tidewater > Tapes\"",
        "<versions><release id=\"1\" status=\"Accepted\">",
        "<![CDATA[</release><release id=\"1\">]]>",
    ];
    holds(Kind::Releases, &in_releases);
}
