//! What kind of work a credited role is.

/// Words of roles, in lower case, and the category they stand for; the first that is found
/// decides.
const WORDS: &[(&str, &[&str])] = &[
    ("mastering", &["mastered", "mastering", "lacquer cut", "remastered"]),
    ("engineering", &["engineer", "mixed", "mixing", "recorded", "recording", "edited", "tape op"]),
    ("production", &["produce", "production", "remix", "dj mix", "programmed", "supervised by"]),
    (
        "writing",
        &[
            "written", "writer", "lyrics", "music by", "composed", "composer", "arranged",
            "words by",
        ],
    ),
    (
        "design",
        &[
            "artwork",
            "design",
            "photograph",
            "cover",
            "illustration",
            "layout",
            "painting",
            "graphic",
            "typography",
            "art direction",
            "sleeve",
        ],
    ),
    (
        "management",
        &["a&r", "management", "manager", "executive", "coordinator", "legal", "promotion"],
    ),
    (
        "session",
        &[
            "vocal",
            "guitar",
            "bass",
            "drum",
            "piano",
            "keyboard",
            "synth",
            "violin",
            "viola",
            "cello",
            "saxophone",
            "trumpet",
            "trombone",
            "flute",
            "clarinet",
            "organ",
            "percussion",
            "strings",
            "horn",
            "harmonica",
            "accordion",
            "harp",
            "banjo",
            "mandolin",
            "orchestra",
            "choir",
            "conductor",
            "featuring",
            "performer",
            "scratches",
            "turntables",
            "rap",
            "soloist",
            "voice",
            "musician",
            "oboe",
            "bassoon",
            "tuba",
            "electronics",
        ],
    ),
];

/// A role that no word decides.
const OTHER: &str = "other";

/// The category of a role as a release credits it, for example `Producer [Additional]`. What
/// stands in brackets only explains it.
pub(super) fn category(role: &str) -> &'static str {
    let role = role.split('[').next().unwrap_or_default().to_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| role.contains(word)));
    found.map_or(OTHER, |(category, _)| category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_category() {
        let rows = [
            ("Producer [Additional]", "production"),
            ("Executive-Producer", "production"),
            ("Written-By, Producer", "production"),
            ("Written-By", "writing"),
            ("Lacquer Cut By", "mastering"),
            ("Mixed By, Recorded By", "engineering"),
            ("Photography By [Mixed]", "design"),
            ("Bass Guitar", "session"),
            ("A&R", "management"),
            ("Thanks To", "other"),
            ("", "other"),
        ];
        for (role, expected) in rows {
            assert_eq!(category(role), expected, "{role}");
        }
    }
}
