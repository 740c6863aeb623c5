//! The maker of dump sets: deterministic, of any size, with the real dumps' proportions.
//!
//! Every record is a function of (type, seed, ordinal) alone, so the set of `n` releases begins
//! the set of `2n`, and a reference needs no table to know the name behind an id.

mod artist;
mod credit;
mod gzip;
mod label;
mod master;
mod names;
mod random;
mod release;
mod set;
mod text;
mod words;
mod xml;

use std::io::{self, Write};

pub use set::{DumpSummary, Options, SampleError, Summary, make};

use crate::model::Kind;
use random::Random;
use xml::{Style, Xml};

/// The version of a set when nobody asks for another.
pub const DEFAULT_VERSION: &str = "20260101";

/// How many records of `kind` stand in a set of `releases` releases: 19 to 10 artists, 2.4 labels
/// and 2.6 masters, as in the dumps of 2025 (in millions).
pub const fn count(kind: Kind, releases: u64) -> u64 {
    match kind {
        Kind::Artists => (releases * 100).div_ceil(190),
        Kind::Labels => (releases * 24).div_ceil(190),
        Kind::Masters if releases == 0 => 0,
        Kind::Masters => master::of_release(releases),
        Kind::Releases => releases,
    }
}

/// Writes one type's dump of `count` records, from the root element's opening to its closing.
///
/// The same arguments give the same bytes on every platform.
///
/// # Errors
/// Whatever `out` says.
pub fn write_xml(kind: Kind, count: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    parts(kind, count, seed, |_, part| out.write_all(part))
}

/// Hands over the dump in parts: the opening (0), each record (its ordinal), the closing (the
/// last ordinal and one).
fn parts(
    kind: Kind,
    count: u64,
    seed: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    each(0, format!("<{kind}>\n").as_bytes())?;
    let mut xml = Xml::default();
    for ordinal in 1..=count {
        xml.clear();
        record(kind, seed, ordinal, &mut xml);
        each(ordinal, xml.bytes())?;
    }
    let line_end = if kind == Kind::Artists { "" } else { "\n" };
    each(count + 1, format!("</{kind}>{line_end}").as_bytes())
}

fn record(kind: Kind, seed: u64, ordinal: u64, xml: &mut Xml) {
    let mut random = Random::new(seed, kind.name(), ordinal);
    xml.style = Style::choose(&mut random);
    match kind {
        Kind::Artists => artist::write(seed, ordinal, &mut random, xml),
        Kind::Labels => label::write(seed, ordinal, &mut random, xml),
        Kind::Masters => master::write(seed, ordinal, &mut random, xml),
        Kind::Releases => release::write(seed, ordinal, &mut random, xml),
    }
    // Some real records share a line.
    if !random.one_in(400) {
        xml.line_end();
    }
}
