use std::sync::LazyLock;

use super::random::Random;
use super::words::{GIVEN, PROSE, SCRIPTS, SIGNS, SITES, SYLLABLES, TITLE};

type Words = LazyLock<Vec<&'static str>>;

static PROSE_WORDS: Words = LazyLock::new(|| PROSE.split(' ').collect());
static TITLE_WORDS: Words = LazyLock::new(|| TITLE.split(' ').collect());
static GIVEN_NAMES: Words = LazyLock::new(|| GIVEN.split(' ').collect());
static SYLLABLE_LIST: Words = LazyLock::new(|| SYLLABLES.split(' ').collect());
static SCRIPT_WORDS: LazyLock<Vec<(Vec<&'static str>, bool)>> = LazyLock::new(|| {
    SCRIPTS.iter().map(|(words, apart)| (words.split(' ').collect(), *apart)).collect()
});

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A word nobody has used yet, capitalised.
pub(super) fn made_up(random: &mut Random) -> String {
    let mut word = capitalised(random.any(&SYLLABLE_LIST));
    for _ in 0..random.between(1, 2) {
        word.push_str(random.any(&SYLLABLE_LIST));
    }
    word
}

/// Given name and surname.
pub(super) fn person(random: &mut Random) -> String {
    format!("{} {}", random.any(&GIVEN_NAMES), made_up(random))
}

/// One to four words, nearly always Latin.
pub(super) fn title(random: &mut Random) -> String {
    if random.percent(6) {
        return foreign(random);
    }
    let mut title = random.any(&TITLE_WORDS).to_string();
    for _ in 0..random.below(3) {
        title.push(' ');
        match random.below(10) {
            0..=2 => title.push_str(&capitalised(random.any(&PROSE_WORDS))),
            3..=5 => title.push_str(&made_up(random)),
            _ => title.push_str(random.any(&TITLE_WORDS)),
        }
    }
    match random.below(40) {
        0 => title + " & More",
        1 => title + " \"Live\"",
        2 => title + " <3",
        3 => title + " Don't Stop",
        4..=7 => format!("{title} ({} Mix)", made_up(random)),
        _ => title,
    }
}

/// One to three words of a script other than Latin.
pub(super) fn foreign(random: &mut Random) -> String {
    let (words, apart) = random.any_of(&SCRIPT_WORDS);
    let count = random.between(1, 3);
    let chosen: Vec<&str> = (0..count).map(|_| random.any(words)).collect();
    chosen.join(if *apart { " " } else { "" })
}

fn word(random: &mut Random) -> String {
    match random.below(40) {
        0 => random.any(&SIGNS).to_owned(),
        1 => format!("[a={}]", person(random)),
        2 => format!("[l={}]", made_up(random)),
        3 => format!("[r{}]", random.between(1, 30_000_000)),
        4 => random.between(1950, 2025).to_string(),
        5 => foreign(random),
        6 => format!("\"{}\"", random.any(&TITLE_WORDS)),
        7 => person(random),
        8 => "&".to_owned(),
        9..=12 => made_up(random),
        13..=24 => random.any(&PROSE_WORDS).to_owned(),
        _ => random.common(&PROSE_WORDS).to_owned(),
    }
}

/// Sentences as of people who write about records.
pub(super) fn prose(random: &mut Random, sentences: u64) -> String {
    let mut text = String::new();
    for sentence in 0..sentences {
        if sentence > 0 {
            text.push_str(match random.below(10) {
                0 => "\n",
                1 => "\r\n",
                2 => "\r\n\r\n",
                _ => " ",
            });
        }
        text.push_str(&capitalised(random.common(&PROSE_WORDS)));
        for _ in 0..random.between(4, 14) {
            text.push(' ');
            text.push_str(&word(random));
        }
        text.push('.');
    }
    text
}

/// `length` characters of the alphabet of video ids, which nothing can compress.
pub(super) fn code(random: &mut Random, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..length).map(|_| char::from(random.any(ALPHABET))).collect()
}

/// Digits, as of barcodes and telephone numbers.
pub(super) fn digits(random: &mut Random, length: usize) -> String {
    (0..length).map(|_| char::from(random.any(b"0123456789"))).collect()
}

/// A page of someone called `name`; a reserved domain, so that it leads nowhere.
pub(super) fn url(random: &mut Random, name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    if random.percent(25) {
        format!("http://www.{}.example/", plain.to_lowercase())
    } else {
        format!("{}{plain}{}", random.any(&SITES), random.below(1000))
    }
}
