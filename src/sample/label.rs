use super::credit::images;
use super::names::{any_label, label};
use super::random::Random;
use super::text;
use super::words::{COUNTRIES, QUALITIES};
use super::xml::Xml;

/// A `<label>` of the labels dump, in the dumps' order of elements.
pub(super) fn write(seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let own = label(seed, ordinal);
    let is_known = random.percent(40);
    xml.element("label", |xml| {
        let pictures = if is_known { random.skewed(8) } else { 0 };
        images(pictures, random, xml);
        xml.text("id", &own.id);
        xml.text("name", &own.name);
        if is_known && random.percent(60) {
            xml.text("contactinfo", &contact(&own.name, random));
        }
        if is_known || random.percent(15) {
            let sentences = 1 + random.skewed(10);
            xml.text("profile", &text::prose(random, sentences));
        }
        xml.text("data_quality", random.common(&QUALITIES));
        if ordinal > 1 && random.percent(18) {
            let parent = any_label(seed, random, ordinal - 1);
            xml.text_with("parentLabel", &[("id", parent.id.as_str())], &parent.name);
        }
        if is_known && random.percent(70) {
            let count = random.between(1, 4);
            xml.element("urls", |xml| {
                for _ in 0..count {
                    xml.text("url", &text::url(random, &own.name));
                }
            });
        }
        if ordinal > 1 && random.percent(12) {
            sublabels(seed, ordinal, random, xml);
        }
    });
}

/// Dumps up to 2020 lost names and ids of sublabels and left `<label/>`.
fn sublabels(seed: u64, ordinal: u64, random: &mut Random, xml: &mut Xml) {
    let is_lost = random.percent(30);
    let earlier = ordinal - 1;
    let count = 1 + random.skewed(earlier.min(20));
    xml.element("sublabels", |xml| {
        for _ in 0..count {
            if is_lost {
                xml.empty("label", &[]);
            } else {
                let other = any_label(seed, random, earlier);
                xml.text_with("label", &[("id", other.id.as_str())], &other.name);
            }
        }
    });
}

fn contact(name: &str, random: &mut Random) -> String {
    let domain = text::made_up(random).to_lowercase();
    format!(
        "{name}\r\n{} {} Street\r\n{}\r\n\r\nTel: +{}\r\nEmail: info@{domain}.example",
        random.between(1, 999),
        text::made_up(random),
        random.common(&COUNTRIES),
        text::digits(random, 10),
    )
}
