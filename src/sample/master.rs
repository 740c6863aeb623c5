use super::credit::{images, main_artist, videos};
use super::names::{Named, any_artist, id_of, master_title};
use super::random::Random;
use super::text;
use super::words::{GENRES, QUALITIES, STYLES};
use super::xml::Xml;

/// Masters per release, as a fraction.
pub(super) const RATE: (u64, u64) = (26, 190);

/// The ordinal of the master whose versions stand around the release of that ordinal.
pub(super) const fn of_release(release: u64) -> u64 {
    (release - 1) * RATE.0 / RATE.1 + 1
}

/// The ordinal of a master's main release: the first of its versions.
pub(super) const fn main_release(master: u64) -> u64 {
    ((master - 1) * RATE.1).div_ceil(RATE.0) + 1
}

/// A `<master>`, in the dumps' order of elements.
pub(super) fn write(seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let title = master_title(seed, ordinal);
    let artist = artist_of(seed, ordinal);
    xml.element_with("master", &[("id", id_of(ordinal).to_string().as_str())], |xml| {
        xml.text("main_release", &id_of(main_release(ordinal)).to_string());
        let pictures = random.skewed(9);
        images(pictures, random, xml);
        xml.element("artists", |xml| {
            let is_alone = !random.one_in(6);
            main_artist(&artist, is_alone, random, xml);
            if !is_alone {
                let other = any_artist(seed, random, known_artists(main_release(ordinal)));
                main_artist(&other, true, random, xml);
            }
        });
        genres(random, xml);
        if random.percent(6) {
            let sentences = random.between(1, 3);
            xml.text("notes", &text::prose(random, sentences));
        }
        let year = if random.one_in(25) { 0 } else { random.between(1950, 2025) };
        xml.text("year", &year.to_string());
        xml.text("title", &title);
        xml.text("data_quality", random.common(&QUALITIES));
        let count = if random.percent(80) { random.between(1, 9) } else { 0 };
        videos(count, &artist.name, &title, random, xml);
    });
}

/// The artist of a master and of its versions.
pub(super) fn artist_of(seed: u64, master: u64) -> Named {
    let mut random = Random::new(seed, "master's artist", master);
    any_artist(seed, &mut random, known_artists(main_release(master)))
}

/// How many artists there are when the release of that ordinal is entered.
pub(super) const fn known_artists(release: u64) -> u64 {
    (release * 100).div_ceil(190)
}

/// `<genres>` and `<styles>`.
pub(super) fn genres(random: &mut Random, xml: &mut Xml) {
    xml.element("genres", |xml| {
        for _ in 0..=random.skewed(3) {
            xml.text("genre", random.common(&GENRES));
        }
    });
    let count = random.below(4);
    if count > 0 {
        xml.element("styles", |xml| {
            for _ in 0..count {
                xml.text("style", random.common(&STYLES));
            }
        });
    }
}
