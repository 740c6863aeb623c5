//! What kind of work a credited role is: the categories that the platform's readers ask for. Pure.

use std::cmp::Reverse;

/// Roles that decide, in lower case, by category. The texts of releases are richer (`Executive
/// Producer`, `Guitar [Solo], Vocals`): a role that holds none of these is in no category, however
/// near it sounds (`Drum Programming`, `Synth`, `Written-By`: the platform has none for writing).
const KNOWN: &[(&str, &[&str])] = &[
    ("production", &["producer"]),
    ("engineering", &["engineer", "mixed by", "recorded by", "remix"]),
    ("mastering", &["lacquer cut by", "mastered by"]),
    (
        "session",
        &[
            "accordion",
            "banjo",
            "bass",
            "bongos",
            "cello",
            "clarinet",
            "congas",
            "drums",
            "featuring",
            "flute",
            "guitar",
            "harmonica",
            "harp",
            "horns",
            "keyboards",
            "mandolin",
            "oboe",
            "organ",
            "percussion",
            "piano",
            "saxophone",
            "sitar",
            "strings",
            "synthesizer",
            "tabla",
            "trombone",
            "trumpet",
            "tuba",
            "viola",
            "violin",
            "vocals",
        ],
    ),
    (
        "design",
        &[
            "art direction",
            "artwork",
            "cover",
            "design",
            "illustration",
            "layout",
            "liner notes",
            "photography",
        ],
    ),
    ("management", &["a&r", "booking", "management"]),
];

/// The number of this table: counted up when a role's category changes, so that graphs that were
/// written by another one are set right. The first was of words, and had writing.
pub(super) const TABLE: i64 = 2;

/// A role that no known one decides.
const OTHER: &str = "other";

/// The category of a role as a release credits it, for example `Producer [Additional]`: that of the
/// longest known role in the text, in any case of letters. Of two as long as each other the first
/// in the table decides.
pub(super) fn category(role: &str) -> &'static str {
    let role = role.to_lowercase();
    let known =
        KNOWN.iter().flat_map(|(category, roles)| roles.iter().map(move |it| (*category, *it)));
    let found = known.filter(|(_, known)| role.contains(known));
    found.min_by_key(|(_, known)| Reverse(known.len())).map_or(OTHER, |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_role_in_the_text_decides() {
        let rows = [
            ("PRODUCER [Additional]", "production"),
            ("Producer, Written-By", "production"),
            // 8 letters against 11.
            ("Producer, Mastered By", "mastering"),
            ("Lead Vocals, Recorded By", "engineering"),
            // As long as each other: the first in the table, whatever the order in the text.
            ("Producer, Engineer", "production"),
            ("Engineer, Producer", "production"),
            // What stands in brackets is text like any other.
            ("Other [Backing Vocals Supervisor]", "session"),
            ("Remastered By", "mastering"),
            ("Basset Horn", "session"),
            ("French Horn", "other"),
            ("Written-By", "other"),
            ("", "other"),
        ];
        for (role, expected) in rows {
            assert_eq!(category(role), expected, "{role}");
        }
    }
}
