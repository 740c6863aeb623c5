use super::credit::{images, short_form};
use super::names::{any_artist, artist};
use super::random::Random;
use super::text;
use super::words::QUALITIES;
use super::xml::Xml;

/// An `<artist>` of the artists dump, in the dumps' order of elements.
pub(super) fn write(seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let own = artist(seed, ordinal);
    let is_known = random.percent(55);
    xml.element("artist", |xml| {
        let pictures = if is_known { random.skewed(12) } else { 0 };
        images(pictures, random, xml);
        xml.text("id", &own.id);
        xml.text("name", &own.name);
        if random.percent(40) {
            xml.text("realname", &text::person(random));
        }
        let sentences = if is_known { random.skewed(16) } else { 0 };
        xml.text("profile", &text::prose(random, sentences));
        xml.text("data_quality", random.common(&QUALITIES));
        if is_known && random.percent(70) {
            let count = random.between(1, 5);
            xml.element("urls", |xml| {
                for _ in 0..count {
                    let address = if random.one_in(300) {
                        String::new()
                    } else {
                        text::url(random, &own.name)
                    };
                    xml.text("url", &address);
                }
            });
        }
        if random.percent(50) {
            xml.element("namevariations", |xml| {
                xml.text("name", &short_form(&own.name));
                for _ in 0..random.skewed(10) {
                    xml.text("name", &format!("{} {}", text::made_up(random), own.name));
                }
            });
        }
        for (list, chance) in [("aliases", 25), ("members", 12), ("groups", 22)] {
            if ordinal > 2 && random.percent(chance) {
                others(list, seed, ordinal, random, xml);
            }
        }
    });
}

/// `members` of older dumps have an `<id>` before each name.
fn others(list: &str, seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let has_ids = list == "members" && random.percent(50);
    let earlier = ordinal - 1;
    let count = 1 + random.skewed(earlier.min(12));
    xml.element(list, |xml| {
        for _ in 0..count {
            let other = any_artist(seed, random, earlier);
            if has_ids {
                xml.text("id", &other.id);
            }
            xml.text_with("name", &[("id", other.id.as_str())], &other.name);
        }
    });
}
