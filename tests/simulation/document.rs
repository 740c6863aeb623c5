//! Generated dumps with any mixture of defects.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;
use rand::rngs::StdRng;

/// A dump of labels that is broken in places.
pub struct Document {
    pub gzip: Vec<u8>,
}

/// A record of a few hundred bytes that is as it should be.
fn sound(random: &mut StdRng, id: u64) -> String {
    let fill = "abc def &amp; ghi <![CDATA[<label>]]> <!-- </label> --> ";
    let profile = &fill.repeat(4)[..];
    let mut end = random.random_range(0..profile.len());
    while !profile.is_char_boundary(end) {
        end -= 1;
    }
    // Cut only where no markup is.
    let plain: String = profile[..end].split('<').next().unwrap_or("").replace("&am", "");
    let plain = plain.replace('&', "");
    let aside = ["", "<!-- </label> -->", "<![CDATA[<label>]]>", "<?x </labels>?>"];
    let aside = aside[random.random_range(0..aside.len())];
    let nest = if random.random_bool(0.2) {
        format!("<sublabels><label id=\"{id}9\">Sub {id}</label>\n<label>x</label></sublabels>")
    } else {
        String::new()
    };
    let more = "0123456789 ".repeat(random.random_range(0..30));
    format!(
        "<label><id>{id}</id><name>Label {id}</name><profile>{plain}{aside}{more}</profile>{nest}</label>"
    )
}

/// What may be wrong with a record, or stand in its place.
fn broken(random: &mut StdRng, id: u64, refusals: bool) -> String {
    let record = sound(random, id);
    match random.random_range(0..20) {
        0..=3 => record.trim_end_matches("</label>").to_owned(),
        4 => record.replacen("<label>", "", 1),
        5 => record.replacen("<label>", "<labelx>", 1),
        6 => record.replacen("</profile>", "", 1),
        7 => record.replacen("</profile>", "", 1).trim_end_matches("</label>").to_owned(),
        8 => format!("{record}</label>"),
        9 => format!("stray text {id} {record}"),
        10 => format!("<![CDATA[ stray {id} ]]>{record}"),
        11 => {
            let mut cut = random.random_range(1..record.len());
            while !record.is_char_boundary(cut) {
                cut -= 1;
            }
            record[..cut].to_owned()
        }
        12 => record.replacen("Label", "Label <!-- never closed", 1),
        13 => format!("<label><id>{id}</id><profile>{}</profile></label>", "x".repeat(4_000)),
        14 => format!("<b>{record}"),
        15 => format!("<foreign><label><id>{id}</id></label></foreign>"),
        16 => record.replacen("<name>", "<name a='1' a='2'>", 1),
        17 => record.replacen("<id>", "<id><label>", 1),
        // The sink refuses it.
        18 if refusals => record.replacen("Label", "REFUSED", 1),
        _ => format!("<label><id>{id}</id><name>\u{1}\u{2}</name></label>"),
    }
}

impl Document {
    /// A dump of about `records` records, of which a share is broken; with `refusals`, the sink
    /// refuses some as well.
    pub fn generate(random: &mut StdRng, records: u64, refusals: bool) -> Document {
        let share = [0.0, 0.05, 0.3, 0.8][random.random_range(0..4)];
        let separator = ["\n", "\n  ", "", "<!-- between -->\n"][random.random_range(0..4)];
        let mut text =
            String::from(if random.random_bool(0.5) { "<?xml version=\"1.0\"?>\n" } else { "" });
        text.push_str("<labels>");
        for id in 1..=records {
            text.push_str(separator);
            let id = if random.random_bool(0.05) { 1 + id / 2 } else { id };
            let record = if random.random_bool(share) {
                broken(random, id, refusals)
            } else {
                sound(random, id)
            };
            text.push_str(&record);
        }
        // Some are cut off at the end, or go on after it.
        match random.random_range(0..40) {
            0 => {}
            1 => text.push_str("</labels><label/>"),
            _ => text.push_str("\n</labels>\n<!-- the end -->\n"),
        }
        let gzip = pack(random, text.as_bytes());
        Document { gzip }
    }
}

/// A dump of records with these ids, of which a few are broken. What a record says depends on its
/// id and on `edition`.
pub fn edition(random: &mut StdRng, ids: &[u64], edition: u64) -> Vec<u8> {
    let mut text = String::from("<labels>\n");
    for id in ids {
        let record = format!("<label><id>{id}</id><name>Label {id} of {edition}</name></label>\n");
        let broken = random.random_bool(0.03);
        text.push_str(if broken { record.trim_end_matches("</label>\n") } else { &record });
    }
    text.push_str("</labels>\n");
    pack_whole(random, text.as_bytes())
}

/// As one or several gzip members, in blocks of a few hundred bytes, so that there are places to
/// resume from.
fn pack_whole(random: &mut StdRng, text: &[u8]) -> Vec<u8> {
    let members = random.random_range(1..4);
    let mut packed = Vec::new();
    for part in text.chunks(text.len().div_ceil(members).max(1)) {
        let level = [0, 1, 6][random.random_range(0..3)];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        for piece in part.chunks(random.random_range(100..700)) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        packed.extend(encoder.finish().unwrap());
        if random.random_bool(0.1) {
            packed.extend(GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap());
        }
    }
    packed
}

/// The same; some are cut off, or damaged.
fn pack(random: &mut StdRng, text: &[u8]) -> Vec<u8> {
    let mut packed = pack_whole(random, text);
    match random.random_range(0..60) {
        0 => packed.truncate(packed.len() - random.random_range(1..packed.len() / 2)),
        1 => {
            let at = random.random_range(packed.len() / 2..packed.len());
            packed[at] ^= 1 << random.random_range(0..8);
        }
        _ => {}
    }
    packed
}
