use std::collections::BTreeSet;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::model::{GzipOffset, InflatePoint, MemberCheck, XmlOffset};

/// Text like a dump's: words that repeat, in lines of markup.
fn text(bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let words: Vec<String> = (0..500)
        .map(|_| {
            let letters = random.random_range(2..12);
            (0..letters).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
        })
        .collect();
    let mut text = Vec::with_capacity(bytes + 64);
    while text.len() < bytes {
        let (word, id) = (&words[random.random_range(0..words.len())], random.random::<u16>());
        write!(text, "<name id=\"{id}\">{word}</name>").unwrap();
    }
    text.truncate(bytes);
    text
}

fn member(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A member whose deflate blocks end after every `piece` bytes of text, before the first of them
/// and after the last one.
fn pieces(text: &[u8], piece: usize, flush: FlushCompress) -> Vec<u8> {
    let mut file = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    file.reserve(text.len() * 2 + 1_000_000);
    let mut deflate = Compress::new(Compression::new(6), false);
    deflate.compress_vec(&[], &mut file, flush).unwrap();
    for piece in text.chunks(piece) {
        deflate.compress_vec(piece, &mut file, flush).unwrap();
    }
    deflate.compress_vec(&[], &mut file, FlushCompress::Finish).unwrap();
    assert_eq!(deflate.total_in(), text.len() as u64);
    file.extend(crc32fast::hash(text).to_le_bytes());
    file.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    file
}

/// Gives its bytes in small portions, some of them interrupted.
struct Portions<R> {
    reader: R,
    portion: usize,
    interrupted: bool,
}

impl<R: Read> Read for Portions<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = buffer.len().min(self.portion);
        self.reader.read(&mut buffer[..length])
    }
}

impl<R: Seek> Seek for Portions<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

fn portions(file: &[u8], portion: usize) -> Portions<Cursor<&[u8]>> {
    Portions { reader: Cursor::new(file), portion, interrupted: false }
}

/// All that an inflater gave.
#[derive(Debug, Default)]
struct Inflated {
    text: Vec<u8>,
    points: Vec<(InflatePoint, MemberCheck)>,
    /// Where each member's text ends.
    members: Vec<u64>,
}

fn read<R: Read>(
    mut inflater: Inflater<R>,
    mut hasher: MemberHasher,
    room: usize,
) -> Result<Inflated, GzipError> {
    let mut all = Inflated::default();
    loop {
        let before = all.text.len();
        let step = inflater.fill(&mut all.text, room)?;
        assert!(all.text.len() - before <= room);
        hasher.update(&all.text[before..]);
        match step {
            Step::More => assert_eq!(all.text.len() - before, room),
            Step::Point(point) => {
                assert_eq!(point.xml, inflater.xml_offset());
                all.points.push((point, hasher.check()));
            }
            Step::MemberEnd(trailer) => {
                assert_eq!(trailer.end, inflater.gzip_offset());
                hasher.finish(&trailer)?;
                all.members.push(inflater.xml_offset().0);
            }
            Step::End => return Ok(all),
        }
    }
}

fn inflate(file: &[u8], points_every: u64) -> Result<Inflated, GzipError> {
    let inflater = Inflater::new(file)?.points_every(points_every);
    read(inflater, MemberHasher::new(), 1 << 16)
}

fn resume(file: &[u8], from: &InflatePoint, check: MemberCheck) -> Result<Inflated, GzipError> {
    let inflater = Inflater::resume(Cursor::new(file), from)?.points_every(u64::MAX);
    read(inflater, MemberHasher::resume(check), 1 << 16)
}

fn error(file: &[u8]) -> GzipError {
    inflate(file, 1 << 10).expect_err("this file is not right")
}

/// Resumes from every block boundary of a file and returns what it found on the first pass.
fn resume_everywhere(file: &[u8], text: &[u8]) -> Inflated {
    let whole = inflate(file, 0).unwrap();
    assert_eq!(whole.text, text);
    for (point, check) in &whole.points {
        let rest = resume(file, point, *check).unwrap_or_else(|e| panic!("{point:?}: {e}"));
        assert!(rest.text == text[usize::try_from(point.xml.0).unwrap()..], "{point:?}");
    }
    whole
}

#[test]
fn every_level_and_every_size_of_portion_gives_the_text_and_the_same_points() {
    let text = text(150_000, 1);
    for level in [0, 1, 6, 9] {
        let file = member(&text, level);
        let points = inflate(&file, 0).unwrap().points;
        for (portion, room) in [(1, 1 << 20), (7, 1), (1000, 333), (1 << 20, 1 << 20)] {
            let inflater = Inflater::new(portions(&file, portion)).unwrap().points_every(0);
            let all = read(inflater, MemberHasher::new(), room).unwrap();
            assert!(all.text == text, "level {level}, portions of {portion}, room {room}");
            assert_eq!(all.points, points, "level {level}, portions of {portion}, room {room}");
        }
    }
}

#[test]
fn inflating_goes_on_from_every_block_of_every_kind_of_file() {
    let text = text(400_000, 2);
    let stored = resume_everywhere(&member(&text, 0), &text);
    assert!(stored.points.len() > 3, "{} stored blocks", stored.points.len());
    let mut bits = BTreeSet::new();
    for level in [1, 6, 9] {
        let all = resume_everywhere(&member(&text, level), &text);
        bits.extend(all.points.iter().map(|(point, _)| point.bits));
    }
    for (piece, flush) in [
        (2_003, FlushCompress::Partial),
        (3_001, FlushCompress::Sync),
        (4_999, FlushCompress::Full),
    ] {
        let file = pieces(&text, piece, flush);
        let all = resume_everywhere(&file, &text);
        bits.extend(all.points.iter().map(|(point, _)| point.bits));
        let place = |range: std::ops::Range<usize>| {
            all.points
                .iter()
                .any(|(point, _)| range.contains(&usize::try_from(point.xml.0).unwrap()))
        };
        assert!(place(0..1), "a point before all text");
        assert!(place(1..32 * 1024), "a point in the first 32 KiB");
        assert!(place(text.len() - 32 * 1024..text.len()), "a point in the last 32 KiB");
        assert!(place(text.len()..text.len() + 1), "a point after all text");
    }
    assert_eq!(bits, (0..=7).collect(), "every bit offset occurred");
}

#[test]
fn inflating_goes_on_across_members() {
    let text = text(120_000, 3);
    let (a, b, c) = (&text[..50_000], &text[50_000..70_000], &text[70_000..]);
    let file = [
        member(b"", 6),
        pieces(a, 7_001, FlushCompress::Partial),
        member(b"", 0),
        member(b"", 6),
        pieces(b, 5_003, FlushCompress::Sync),
        member(c, 0),
        member(b"", 9),
    ]
    .concat();
    let all = resume_everywhere(&file, &text);
    assert_eq!(all.members, [0, 50_000, 50_000, 50_000, 70_000, 120_000, 120_000]);
    let at = |xml, length| {
        all.points.iter().any(|(point, check)| point.xml.0 == xml && check.length == length)
    };
    assert!(at(50_000, 50_000), "a point at a member's end");
    assert!(at(50_000, 0), "a point at a member's beginning, with another one's text before it");
    assert!(at(70_000, 20_000), "a point at the end of a member shorter than the window");
    for (point, check) in all.points.iter().step_by(5) {
        let reader = portions(&file, 1);
        let inflater = Inflater::resume(reader, point).unwrap();
        let rest = read(inflater, MemberHasher::resume(*check), 1000).unwrap();
        assert!(rest.text == text[usize::try_from(point.xml.0).unwrap()..]);
    }
}

#[test]
fn points_are_as_far_apart_as_asked_and_the_same_after_a_resume() {
    let text = text(24 << 20, 4);
    let file = member(&text, 6);
    let every = 1 << 18;
    let whole = inflate(&file, every).unwrap();
    assert!(whole.text == text);
    let places: Vec<u64> = whole.points.iter().map(|(point, _)| point.gzip.0).collect();
    let mut last = 0;
    for place in &places {
        let apart = place - last;
        assert!((every..every + (1 << 17)).contains(&apart), "{apart} bytes apart");
        last = *place;
    }
    assert!(file.len() as u64 - last < every + (1 << 17));
    for nth in [0, places.len() / 2, places.len() * 95 / 100, places.len() - 1] {
        let (point, check) = &whole.points[nth];
        let inflater = Inflater::resume(Cursor::new(&file), point).unwrap().points_every(every);
        let rest = read(inflater, MemberHasher::resume(*check), 1 << 16).unwrap();
        assert!(rest.text == text[usize::try_from(point.xml.0).unwrap()..]);
        assert_eq!(rest.points, whole.points[nth + 1..]);
    }
}

#[test]
fn a_file_has_a_point_every_8_mib_unless_told_otherwise() {
    let text = text(20 << 20, 5);
    let all =
        read(Inflater::new(&*member(&text, 0)).unwrap(), MemberHasher::new(), 1 << 20).unwrap();
    let places: Vec<u64> = all.points.iter().map(|(point, _)| point.gzip.0 >> 20).collect();
    assert_eq!(places, [8, 16]);
}

#[test]
fn a_member_that_is_damaged_after_the_resume_point_is_still_found_out() {
    let text = text(300_000, 6);
    let mut file = member(&text, 0);
    let whole = inflate(&file, 0).unwrap();
    let (point, check) = &whole.points[1];
    let last = file.len() - 100;
    file[last] ^= 1;
    let error = resume(&file, point, *check).unwrap_err();
    assert!(matches!(error, GzipError::Crc { .. }), "{error}");
    assert!(error.is_checksum());
}

#[test]
fn a_file_cut_anywhere_never_ends_well() {
    let text = text(5_000, 7);
    for file in [member(&text, 0), member(&text, 9), pieces(&text, 700, FlushCompress::Sync)] {
        assert!(matches!(error(b""), GzipError::Empty));
        for length in 1..file.len() {
            let GzipError::Truncated { at, inside } = error(&file[..length]) else {
                panic!("cut after {length} bytes");
            };
            let part = match length {
                ..10 => Part::Header,
                _ if length > file.len() - 8 => Part::Trailer,
                _ if length < file.len() - 8 => Part::Data,
                _ => inside,
            };
            assert_eq!((at, inside), (GzipOffset(length as u64), part));
        }
    }
}

#[test]
fn a_second_member_that_is_cut_is_told_from_garbage() {
    let first = member(b"<artists>", 6);
    let whole = [first.clone(), member(b"</artists>", 6)].concat();
    for length in first.len() + 1..whole.len() {
        assert!(matches!(error(&whole[..length]), GzipError::Truncated { .. }));
    }
    for garbage in [&b"\0"[..], b"\0\0\0\0", b"\n", b"\x1f\x8c", b"<html>"] {
        let error = error(&[&first, garbage].concat());
        let GzipError::Garbage { at } = error else { panic!("{error}") };
        assert_eq!(at.0, first.len() as u64);
    }
}

/// A header with the fields that `flags` name, and nothing after it.
fn header(flags: u8) -> Vec<u8> {
    let mut header = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 2, 3];
    if flags & 4 != 0 {
        header.extend(b"\x05\x00extra");
    }
    if flags & 8 != 0 {
        header.extend(b"name\0");
    }
    if flags & 16 != 0 {
        header.extend(b"comment\0");
    }
    if flags & 2 != 0 {
        let crc = crc32fast::hash(&header).to_le_bytes();
        header.extend(&crc[..2]);
    }
    header
}

#[test]
fn headers_with_all_optional_fields_are_passed_over() {
    for flags in 0..32 {
        let mut file = header(flags);
        file.extend(&member(b"<labels/>", 6)[10..]);
        for portion in [1, 3, 100] {
            let inflater = Inflater::new(portions(&file, portion)).unwrap();
            let all = read(inflater, MemberHasher::new(), 100).unwrap();
            assert_eq!(all.text, b"<labels/>", "flags {flags:#b}");
        }
    }
}

#[test]
fn what_no_header_may_say_is_refused() {
    let after = member(b"<labels/>", 6)[10..].to_vec();
    let message = |header: Vec<u8>| error(&[header, after.clone()].concat()).to_string();
    let start = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let mut wrong = header(0b1_1110);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(start(message(wrong)), "the gzip header at byte 0 has a wrong CRC");
    for bit in 5..8 {
        let flags = 1 << bit;
        let expected = format!("the gzip header at byte 0 has reserved flags set ({flags:#04x})");
        assert_eq!(start(message(header(flags))), expected);
    }
    assert_eq!(
        start(message(b"\x1f\x8b\x07\0\0\0\0\0\0\0".to_vec())),
        "the gzip header at byte 0 names the unknown compression method 7"
    );
    let endless = [header(0), vec![b'x'; 1 << 20]].concat();
    let endless = [&endless[..3], &[8], &endless[4..]].concat();
    assert!(message(endless).contains("is longer than the 262144 bytes"));
    for other in [&b"<"[..], b"<?xml version=\"1.0\"?>", b"PK\x03\x04", b"\0"] {
        assert!(matches!(error(other), GzipError::NotGzip));
    }
}

#[test]
fn a_trailer_that_does_not_match_says_which_member_and_where() {
    let first = member(b"<artists>", 6);
    let second = member(b"</artists>", 6);
    let end = first.len() + second.len();
    let file = [first, second].concat();
    let message = |back: usize| {
        let mut file = file.clone();
        file[end - back] ^= 1;
        let error = error(&file);
        assert!(error.is_checksum());
        error.to_string()
    };
    let crc = crc32fast::hash(b"</artists>");
    assert_eq!(
        message(8),
        format!(
            "wrong CRC in the gzip member that ends at byte {end}: its text has {crc:08x}, its \
             trailer says {:08x}\nhint: the file is damaged; fetch it again",
            crc ^ 1
        )
    );
    assert_eq!(
        message(4),
        format!(
            "wrong length in the gzip member that ends at byte {end}: its text has 10 bytes, its \
             trailer says 11 (modulo 4 GiB)\nhint: the file is damaged; fetch it again"
        )
    );
}

#[test]
fn damaged_data_is_reported_with_its_place_and_zlibs_word() {
    let text = text(1 << 20, 8);
    let mut file = member(&text, 0);
    let (point, _) = inflate(&file, 1 << 18).unwrap().points[0].clone();
    let at = usize::try_from(point.gzip.0).unwrap();
    file[at + 1] ^= 0xff;
    let GzipError::Data { at: noticed, why } = error(&file) else { panic!("not noticed") };
    assert_eq!(why, "invalid stored block lengths");
    assert!((at..at + 16).contains(&usize::try_from(noticed.0).unwrap()), "{noticed} for {at}");
}

#[test]
fn a_length_beyond_4_gib_is_compared_as_the_trailer_can_say_it() {
    let check = MemberCheck { crc: 7, length: (1 << 32) + 5 };
    let trailer = Trailer { crc: 7, length: 5, end: GzipOffset(100) };
    let mut hasher = MemberHasher::resume(check);
    assert_eq!(hasher.check(), check);
    hasher.finish(&trailer).unwrap();
    assert_eq!(hasher.check(), MemberCheck::default());
}

#[test]
fn a_disk_that_fails_is_named_with_the_place() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no disk"))
        }
    }
    let file = member(&text(10_000, 9), 6);
    let inflater = Inflater::new(file[..1000].chain(Fails)).unwrap();
    let error = read(inflater, MemberHasher::new(), 100_000).unwrap_err();
    let GzipError::Io { at, cause } = error else { panic!("{error}") };
    assert_eq!((at, cause.to_string()), (GzipOffset(1000), "no disk".to_owned()));
}

#[test]
fn a_point_that_cannot_be_one_is_refused() {
    let text = text(300_000, 10);
    let file = member(&text, 6);
    let (good, check) = inflate(&file, 0).unwrap().points.swap_remove(1);
    let bad = [
        InflatePoint { bits: 8, ..good.clone() },
        InflatePoint { bits: 1, gzip: GzipOffset(0), ..good.clone() },
        InflatePoint { window: b"no window".to_vec(), ..good.clone() },
        InflatePoint { window: point::pack(&text[..=32 * 1024]).unwrap(), ..good.clone() },
    ];
    for point in bad {
        let error = resume(&file, &point, check).unwrap_err();
        assert!(matches!(error, GzipError::Point { .. }), "{error}");
    }
    let beyond = InflatePoint { gzip: GzipOffset(1 << 40), bits: 3, ..good };
    assert!(matches!(resume(&file, &beyond, check), Err(GzipError::Io { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_an_error_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        flags in 0u8..32,
        with_header: bool,
    ) {
        let file = if with_header { [header(flags), bytes].concat() } else { bytes };
        prop_assert!(inflate(&file, 0).is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_does_no_harm(
        level in prop_oneof![Just(0u32), Just(1), Just(6), Just(9)],
        size in 0usize..3000,
        place: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let text = text(size, 11);
        let mut file = [member(&text, level), member(&text, 6)].concat();
        let place = place.index(file.len());
        file[place] ^= 1 << bit;
        if let Ok(all) = inflate(&file, 0) {
            prop_assert_eq!(all.text, [&*text, &text].concat());
        }
    }

    #[test]
    fn resuming_at_any_place_with_any_window_is_an_error_or_does_no_harm(
        place: prop::sample::Index,
        bits in 0u8..8,
        window in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let text = text(20_000, 12);
        let file = pieces(&text, 999, FlushCompress::Partial);
        let gzip = GzipOffset(place.index(file.len()) as u64);
        let window = point::pack(&window).unwrap();
        let point = InflatePoint { gzip, bits, xml: XmlOffset(0), window };
        if let Ok(all) = resume(&file, &point, MemberCheck::default()) {
            // Only before the first text stands nothing that could be missing.
            let points = inflate(&file, 0).unwrap().points;
            let empty = points.iter().map(|(point, _)| point).filter(|at| at.xml == XmlOffset(0));
            let mut right = empty.map(|at| (at.gzip, at.bits)).chain([(GzipOffset(10), 0)]);
            prop_assert!(right.any(|at| at == (gzip, bits)), "{gzip} {bits}");
            prop_assert_eq!(all.text, text);
        }
    }
}
