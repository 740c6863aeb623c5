use super::random::Random;
use super::text;

/// What a reference says: an id, and the name that the record of that id bears.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
}

/// The id of a record: ids rise, and some were deleted.
pub(super) const fn id_of(ordinal: u64) -> u64 {
    ordinal + ordinal / 12
}

/// The artist of that ordinal; the first one stands for all that are not named.
pub(super) fn artist(seed: u64, ordinal: u64) -> Named {
    Named { id: id_of(ordinal).to_string(), name: artist_name(seed, ordinal) }
}

/// The label of that ordinal.
pub(super) fn label(seed: u64, ordinal: u64) -> Named {
    Named { id: id_of(ordinal).to_string(), name: label_name(seed, ordinal) }
}

/// An artist of the first `known`, the early ones more often, rarely the nameless first; one in a
/// hundred was deleted.
pub(super) fn any_artist(seed: u64, random: &mut Random, known: u64) -> Named {
    let ordinal = any_ordinal(random, known).max(known.min(2));
    let id = if random.one_in(100) { deleted_id(ordinal) } else { id_of(ordinal) };
    Named { id: id.to_string(), name: artist_name(seed, ordinal) }
}

/// A label of the first `known`, the early ones more often.
pub(super) fn any_label(seed: u64, random: &mut Random, known: u64) -> Named {
    label(seed, any_ordinal(random, known))
}

/// The title of a master, which its releases bear too.
pub(super) fn master_title(seed: u64, ordinal: u64) -> String {
    text::title(&mut Random::new(seed, "title", ordinal))
}

fn any_ordinal(random: &mut Random, known: u64) -> u64 {
    1 + if random.percent(40) { random.skewed(known) } else { random.below(known) }
}

/// The id before every multiple of 13 belongs to no record, as `id_of` steps over it.
const fn deleted_id(ordinal: u64) -> u64 {
    (ordinal / 12 + 1) * 13 - 1
}

fn artist_name(seed: u64, ordinal: u64) -> String {
    if ordinal == 1 {
        return "Various".to_owned();
    }
    let mut random = Random::new(seed, "artist name", ordinal);
    let name = match random.below(20) {
        0..=9 => text::person(&mut random),
        10..=13 => format!("The {} {}s", text::title(&mut random), text::made_up(&mut random)),
        14 | 15 => text::title(&mut random),
        16 => text::foreign(&mut random),
        17 => format!("{} & {}", text::person(&mut random), text::person(&mut random)),
        _ => text::made_up(&mut random),
    };
    // Names that several bear are numbered.
    if random.percent(12) { format!("{name} ({})", 2 + random.skewed(30)) } else { name }
}

fn label_name(seed: u64, ordinal: u64) -> String {
    let mut random = Random::new(seed, "label name", ordinal);
    let name =
        if random.percent(60) { text::made_up(&mut random) } else { text::title(&mut random) };
    let ending =
        random.any(&[" Records", " Recordings", " Music", "", "", " Tapes", " & Sons Ltd."]);
    format!("{name}{ending}")
}
