use super::credit::{extra_artist, images, main_artist, videos};
use super::master::{artist_of, genres, known_artists, main_release, of_release};
use super::names::{Named, any_artist, any_label, artist, id_of, master_title};
use super::random::Random;
use super::text;
use super::words::{COUNTRIES, ENTITY_TYPES, FORMATS, IDENTIFIERS, QUALITIES};
use super::xml::Xml;

/// What the parts of one release share.
struct Release<'a> {
    seed: u64,
    ordinal: u64,
    random: &'a mut Random,
    /// Those who are credited; few, and again and again, as on real sleeves.
    people: Vec<Named>,
    catalogue_number: String,
}

/// A `<release>`, in the dumps' order of elements.
pub(super) fn write(seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let master = of_release(ordinal);
    let is_main = main_release(master) == ordinal;
    let has_master = is_main || random.percent(55);
    let is_compilation = random.percent(12);
    let (main, title) = if has_master {
        (artist_of(seed, master), master_title(seed, master))
    } else if is_compilation {
        (artist(seed, 1), text::title(random))
    } else {
        (any_artist(seed, random, known_artists(ordinal)), text::title(random))
    };
    let mut people = vec![main];
    for _ in 0..random.between(2, 9) {
        people.push(any_artist(seed, random, known_artists(ordinal)));
    }
    let letters = text::code(random, 3).to_uppercase();
    let catalogue_number = format!("{letters} {}", random.below(1000));
    let status = if random.one_in(200) { "Draft" } else { "Accepted" };
    let mut release = Release { seed, ordinal, random, people, catalogue_number };

    let id = id_of(ordinal).to_string();
    xml.element_with("release", &[("id", id.as_str()), ("status", status)], |xml| {
        let pictures = release.random.skewed(12);
        images(pictures, release.random, xml);
        release.artists(xml);
        xml.text("title", &title);
        release.labels(xml);
        release.series(xml);
        let count = release.random.skewed(16);
        release.extra_artists(count, true, xml);
        release.formats(xml);
        genres(release.random, xml);
        release.country_and_day(xml);
        if release.random.percent(60) {
            let sentences = 1 + release.random.skewed(20);
            xml.text("notes", &text::prose(release.random, sentences));
        }
        xml.text("data_quality", release.random.common(&QUALITIES));
        if has_master {
            let is_main = if is_main { "true" } else { "false" };
            let id = id_of(master).to_string();
            xml.text_with("master_id", &[("is_main_release", is_main)], &id);
        }
        release.tracklist(is_compilation, xml);
        release.identifiers(xml);
        let count = if release.random.percent(60) { release.random.between(1, 8) } else { 0 };
        videos(count, &release.people[0].name, &title, release.random, xml);
        release.companies(xml);
    });
}

impl Release<'_> {
    fn artists(&mut self, xml: &mut Xml) {
        let count = if self.random.one_in(7) { 2 } else { 1 };
        xml.element("artists", |xml| {
            for (place, who) in self.people.iter().take(count).enumerate() {
                main_artist(who, place + 1 == count, self.random, xml);
            }
        });
    }

    fn labels(&mut self, xml: &mut Xml) {
        let known = (self.ordinal * 24).div_ceil(190);
        let count = if self.random.one_in(8) { 2 } else { 1 };
        xml.element("labels", |xml| {
            for _ in 0..count {
                let label = any_label(self.seed, self.random, known);
                let number =
                    if self.random.one_in(12) { "none" } else { self.catalogue_number.as_str() };
                xml.empty(
                    "label",
                    &[("name", label.name.as_str()), ("catno", number), ("id", label.id.as_str())],
                );
            }
        });
    }

    /// Only dumps after 2020 have it.
    fn series(&mut self, xml: &mut Xml) {
        if !self.random.percent(6) {
            return;
        }
        let known = (self.ordinal * 24).div_ceil(190);
        let label = any_label(self.seed, self.random, known);
        let number = self.random.between(1, 99).to_string();
        xml.element("series", |xml| {
            xml.empty(
                "series",
                &[
                    ("name", label.name.as_str()),
                    ("catno", number.as_str()),
                    ("id", label.id.as_str()),
                ],
            );
        });
    }

    /// `<extraartists>`; an empty one where a release has none.
    fn extra_artists(&mut self, count: u64, has_tracks: bool, xml: &mut Xml) {
        if count == 0 {
            return xml.optional("extraartists", "");
        }
        xml.element("extraartists", |xml| {
            for _ in 0..count {
                let tracks = match self.random.below(10) {
                    0 if has_tracks => "A1, B2",
                    1 if has_tracks => "1 to 4, 7",
                    _ => "",
                };
                let who = self.random.any_of(&self.people);
                extra_artist(who, tracks, self.random, xml);
            }
        });
    }

    fn formats(&mut self, xml: &mut Xml) {
        let count = if self.random.one_in(15) { 2 } else { 1 };
        xml.element("formats", |xml| {
            for _ in 0..count {
                let (name, descriptions) = self.random.common(&FORMATS);
                let quantity = (1 + self.random.skewed(4)).to_string();
                let text = match self.random.below(12) {
                    0 => "180 g",
                    1 => "Red Translucent, \"Gatefold\"",
                    _ => "",
                };
                let attributes = [("name", name), ("qty", quantity.as_str()), ("text", text)];
                if descriptions.is_empty() {
                    xml.empty("format", &attributes);
                    continue;
                }
                xml.element_with("format", &attributes, |xml| {
                    xml.element("descriptions", |xml| {
                        for _ in 0..self.random.between(1, 3) {
                            xml.text("description", self.random.common(descriptions));
                        }
                    });
                });
            }
        });
    }

    fn country_and_day(&mut self, xml: &mut Xml) {
        if !self.random.one_in(60) {
            xml.text("country", self.random.common(&COUNTRIES));
        }
        let year = self.random.between(1950, 2025);
        match self.random.below(20) {
            0 => {}
            1..=6 => xml.text("released", &year.to_string()),
            7..=9 => {
                let month = self.random.between(0, 12);
                xml.text("released", &format!("{year}-{month:02}-00"));
            }
            _ => {
                let (month, day) = (self.random.between(1, 12), self.random.between(1, 28));
                xml.text("released", &format!("{year}-{month:02}-{day:02}"));
            }
        }
    }

    fn tracklist(&mut self, is_compilation: bool, xml: &mut Xml) {
        if self.random.one_in(150) {
            return xml.text("tracklist", "");
        }
        let count = 2 + self.random.skewed(22);
        let is_sided = self.random.percent(50);
        xml.element("tracklist", |xml| {
            for place in 1..=count {
                let position = if is_sided {
                    let side = if place * 2 > count { 'B' } else { 'A' };
                    format!("{side}{place}")
                } else {
                    place.to_string()
                };
                self.track(&position, is_compilation, xml);
            }
        });
    }

    fn track(&mut self, position: &str, is_compilation: bool, xml: &mut Xml) {
        // Headings and works in movements have neither position nor length of their own.
        let is_heading = self.random.one_in(60);
        let is_work = !is_heading && self.random.one_in(60);
        let title = text::title(self.random);
        xml.element("track", |xml| {
            xml.text("position", if is_heading || is_work { "" } else { position });
            xml.text("title", &title);
            let duration = if is_heading || self.random.percent(35) {
                String::new()
            } else {
                format!("{}:{:02}", self.random.between(1, 9), self.random.below(60))
            };
            xml.text("duration", &duration);
            if is_heading {
                return;
            }
            if is_work {
                self.sub_tracks(position, xml);
            }
            if is_compilation {
                xml.element("artists", |xml| {
                    let who = self.random.any_of(&self.people);
                    main_artist(who, true, self.random, xml);
                });
            }
            if self.random.percent(30) {
                let count = 1 + self.random.skewed(4);
                self.extra_artists(count, false, xml);
            }
        });
    }

    fn sub_tracks(&mut self, position: &str, xml: &mut Xml) {
        let count = self.random.between(2, 4);
        xml.element("sub_tracks", |xml| {
            for part in 1..=count {
                let title = text::title(self.random);
                xml.element("track", |xml| {
                    xml.text("position", &format!("{position}.{part}"));
                    xml.text("title", &title);
                    xml.text("duration", if self.random.percent(50) { "" } else { "2:30" });
                    if self.random.one_in(4) {
                        self.extra_artists(1, false, xml);
                    }
                });
            }
        });
    }

    fn identifiers(&mut self, xml: &mut Xml) {
        let count = self.random.skewed(10);
        if count == 0 {
            return xml.optional("identifiers", "");
        }
        xml.element("identifiers", |xml| {
            for place in 0..count {
                let kind = self.random.common(&IDENTIFIERS);
                let value = match kind {
                    "Barcode" => text::digits(self.random, 13),
                    "Matrix / Runout" => {
                        let side = if place % 2 == 0 { "A" } else { "B" };
                        format!("{}-{side} {}", self.catalogue_number, text::code(self.random, 8))
                    }
                    "Rights Society" => "GEMA\t/ BIEM".to_owned(),
                    _ => text::code(self.random, 6),
                };
                let description = ["", "Side A runout, etched", "Text", "Variant 1"];
                let description = self.random.any(&description);
                if description.is_empty() {
                    xml.empty("identifier", &[("type", kind), ("value", value.as_str())]);
                } else {
                    let described = ("description", description);
                    xml.empty(
                        "identifier",
                        &[("type", kind), described, ("value", value.as_str())],
                    );
                }
            }
        });
    }

    fn companies(&mut self, xml: &mut Xml) {
        let known = (self.ordinal * 24).div_ceil(190);
        let count = self.random.skewed(10);
        if count == 0 {
            return xml.optional("companies", "");
        }
        xml.element("companies", |xml| {
            for _ in 0..count {
                let company = any_label(self.seed, self.random, known);
                let (number, part) = self.random.common(&ENTITY_TYPES);
                let catalogue_number = if self.random.one_in(12) {
                    text::digits(self.random, 5)
                } else {
                    String::new()
                };
                xml.element("company", |xml| {
                    xml.text("id", &company.id);
                    xml.text("name", &company.name);
                    xml.optional("catno", &catalogue_number);
                    xml.text("entity_type", number);
                    xml.text("entity_type_name", part);
                    let address = format!("https://api.discogs.com/labels/{}", company.id);
                    xml.text("resource_url", &address);
                });
            }
        });
    }
}
