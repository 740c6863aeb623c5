//! What is counted for nodes to which too much leads to count it in one step (a genre has millions of
//! releases): each label, artist, master and release, looked at once, says what it counts for. Pure.
//!
//! Of what is looked at in one step each node counts once for all that it leads to: `alone` is how
//! many such there were. Those that were too large themselves are found release by release, so they
//! are kept by their keys; they are few, as each stands for thousands of relationships.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::Label;
use super::settling::Stage;

/// All such nodes, and what has been counted for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gathered(BTreeMap<Label, BTreeMap<String, Tally>>);

/// What has been counted for one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Releases, or credits of a person.
    found: u64,
    /// The first year of a release.
    first: Option<i64>,
    /// Artists and labels that were looked at by themselves, each once.
    alone: BTreeMap<Label, u64>,
    /// Those of which only the releases were looked at; and genres and styles; of a person the
    /// artists.
    others: BTreeMap<Label, BTreeSet<String>>,
    /// The genres that a style is part of.
    part_of: BTreeSet<String>,
    /// Whether a person has a credit of which nobody knows whose it is.
    taken_over: bool,
}

/// What a release or a master leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leads {
    /// Its year.
    pub(super) year: Option<i64>,
    /// The keys of what it leads to.
    pub(super) to: BTreeMap<Label, BTreeSet<String>>,
    /// Of these what its record asserts, and nobody else alone.
    pub(super) own: BTreeMap<Label, BTreeSet<String>>,
}

impl Leads {
    /// The only genre, if there is exactly one.
    fn only_genre(&self) -> Option<&String> {
        let genres = self.own.get(&Label::Genre)?;
        genres.first().filter(|_| genres.len() == 1)
    }
}

/// What a gathered node gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allotment<'a> {
    /// Its label.
    pub(super) label: Label,
    /// Its key.
    pub(super) key: &'a str,
    /// Its counts, by the names of their properties; none where there is nothing to count.
    pub(super) counts: Vec<(&'static str, Option<i64>)>,
    /// What it is part of, or who it is.
    pub(super) leads_to: &'a BTreeSet<String>,
    /// Whether it may lead to more than that.
    pub(super) taken_over: bool,
    /// Its place among all of them.
    pub(super) place: String,
}

static NOTHING: BTreeSet<String> = BTreeSet::new();

impl Gathered {
    /// From now on a node is one of these.
    pub(super) fn add(&mut self, label: Label, key: &str) {
        self.0.entry(label).or_default().entry(key.to_owned()).or_default();
    }

    /// Whether a stage has anything to do.
    pub(super) fn needs(&self, stage: Stage) -> bool {
        let any = |labels: &[Label]| labels.iter().any(|label| self.0.contains_key(label));
        match stage {
            Stage::Genres | Stage::Styles | Stage::Labels | Stage::People | Stage::Orphans(_) => {
                true
            }
            Stage::Artists => any(&[Label::Genre, Label::Style, Label::Label]),
            Stage::Masters => any(&[Label::Style]),
            Stage::Releases | Stage::Gathered => {
                any(&[Label::Genre, Label::Style, Label::Label, Label::Person])
            }
        }
    }

    /// Whether there are any of a label.
    pub(super) fn has(&self, label: Label) -> bool {
        self.0.contains_key(&label)
    }

    fn of(&mut self, label: Label, key: &str) -> Option<&mut Tally> {
        self.0.get_mut(&label)?.get_mut(key)
    }

    /// So many artists, or labels, count for a node, each of which was looked at by itself.
    pub(super) fn alone(&mut self, what: Label, label: Label, key: &str, nodes: u64) {
        if let Some(tally) = self.of(label, key) {
            *tally.alone.entry(what).or_default() += nodes;
        }
    }

    /// A master counts for what it leads to.
    pub(super) fn master(&mut self, master: &Leads) {
        let Some(genre) = master.only_genre() else { return };
        for style in master.own.get(&Label::Style).into_iter().flatten() {
            if let Some(tally) = self.of(Label::Style, style) {
                tally.part_of.insert(genre.clone());
            }
        }
    }

    /// A release counts for what it leads to.
    pub(super) fn release(&mut self, release: &Leads) {
        self.master(release);
        let by_itself = |label: Label, key: &String| match label {
            Label::Genre | Label::Style => false,
            other => !self.0.get(&other).is_some_and(|nodes| nodes.contains_key(key)),
        };
        let others: Vec<(Label, &String)> = release
            .to
            .iter()
            .flat_map(|(label, keys)| keys.iter().map(|key| (*label, key)))
            .filter(|(label, key)| !by_itself(*label, key))
            .collect();
        for label in [Label::Genre, Label::Style, Label::Label] {
            for key in release.to.get(&label).into_iter().flatten() {
                let Some(tally) = self.of(label, key) else { continue };
                tally.found += 1;
                tally.first = [tally.first, release.year].into_iter().flatten().min();
                for (other, key) in &others {
                    let known = tally.others.entry(*other).or_default();
                    if !known.contains(*key) {
                        known.insert((*key).clone());
                    }
                }
            }
        }
    }

    /// Somebody is credited, as this artist if the record says which. What was `taken_over` is the
    /// credit of a graph that was there before us.
    pub(super) fn credit(&mut self, person: &str, artist: Option<&str>, taken_over: bool) {
        let Some(tally) = self.of(Label::Person, person) else { return };
        tally.found += 1;
        tally.taken_over |= taken_over;
        let Some(artist) = artist else { return };
        let known = tally.others.entry(Label::Artist).or_default();
        if !known.contains(artist) {
            known.insert(artist.to_owned());
        }
    }

    /// What some nodes get, beginning after a place among them.
    pub(super) fn due(&self, after: &str, nodes: usize) -> Vec<Allotment<'_>> {
        let all = self.0.iter().filter(|(label, _)| **label != Label::Artist);
        let all = all.flat_map(|(label, nodes)| {
            nodes.iter().map(|(key, tally)| (*label, key, tally, place(*label, key)))
        });
        all.filter(|(.., place)| place.as_str() > after)
            .take(nodes)
            .map(|(label, key, tally, place)| tally.due(label, key, place))
            .collect()
    }
}

/// Sorts as labels and keys do.
fn place(label: Label, key: &str) -> String {
    format!("{}{key}", label as u8)
}

impl Tally {
    fn count(&self, label: Label) -> i64 {
        let others = self.others.get(&label).map_or(0, BTreeSet::len) as u64;
        let alone = self.alone.get(&label).copied().unwrap_or(0);
        (alone + others).cast_signed()
    }

    fn due<'a>(&'a self, label: Label, key: &'a str, place: String) -> Allotment<'a> {
        let releases = ("release_count", Some(self.found.cast_signed()));
        let first = ("first_year", self.first);
        let artists = ("artist_count", Some(self.count(Label::Artist)));
        let labels = ("label_count", Some(self.count(Label::Label)));
        let genres = ("genre_count", Some(self.count(Label::Genre)));
        let counts = match label {
            Label::Genre => {
                vec![
                    releases,
                    first,
                    artists,
                    labels,
                    ("style_count", Some(self.count(Label::Style))),
                ]
            }
            Label::Style => vec![releases, first, artists, labels, genres],
            Label::Label => vec![releases, artists, genres],
            Label::Person => vec![("credit_count", Some(self.found.cast_signed()))],
            Label::Artist | Label::Master | Label::Release => Vec::new(),
        };
        let leads_to = match label {
            Label::Person => self.others.get(&Label::Artist).unwrap_or(&NOTHING),
            Label::Style => &self.part_of,
            Label::Artist | Label::Label | Label::Master | Label::Release | Label::Genre => {
                &NOTHING
            }
        };
        Allotment { label, key, counts, leads_to, taken_over: self.taken_over, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(year: Option<i64>, to: &[(Label, &[&str])]) -> Leads {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let to: BTreeMap<_, _> = to.iter().map(|(label, of)| (*label, keys(of))).collect();
        Leads { year, own: to.clone(), to }
    }

    #[test]
    fn what_counts_for_a_node_counts_once_whichever_way_it_was_looked_at() {
        use Label::{Artist, Genre, Label as Of, Person, Style};
        let mut gathered = Gathered::default();
        for (label, key) in
            [(Genre, "Rock"), (Style, "Dub"), (Of, "1"), (Artist, "194"), (Person, "Ann")]
        {
            gathered.add(label, key);
        }
        // Three artists and two labels, each with some releases of Rock, were looked at alone.
        gathered.alone(Artist, Genre, "Rock", 3);
        gathered.alone(Of, Genre, "Rock", 2);
        gathered.alone(Artist, Genre, "Jazz", 9);
        gathered.alone(Artist, Of, "1", 4);
        gathered.master(&leads(None, &[(Genre, &["Reggae"]), (Style, &["Dub", "Ska"])]));
        let some =
            [(Genre, &["Rock"][..]), (Style, &["Dub"]), (Artist, &["194", "5"]), (Of, &["1"])];
        gathered.release(&leads(Some(1990), &some));
        gathered.release(&leads(None, &some));
        gathered.release(&leads(
            Some(1971),
            &[(Genre, &["Jazz", "Rock"]), (Style, &["Dub", "Bop"]), (Artist, &["5"]), (Of, &["2"])],
        ));
        for artist in [Some("7"), None, Some("7"), Some("8")] {
            gathered.credit("Ann", artist, false);
        }
        gathered.credit("Bob", Some("9"), true);

        let json = serde_json::to_string(&gathered).unwrap();
        assert_eq!(serde_json::from_str::<Gathered>(&json).unwrap(), gathered);
        let found: Vec<_> = gathered
            .due("", 9)
            .into_iter()
            .map(|due| {
                let counts: Vec<_> = due.counts.iter().map(|(_, count)| *count).collect();
                let leads_to: Vec<_> = due.leads_to.iter().map(String::as_str).collect();
                (due.key.to_owned(), counts, leads_to.join(" "))
            })
            .collect();
        let some = |counts: &[i64]| counts.iter().map(|count| Some(*count)).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                // Releases, artists (4 alone and 194), genres.
                ("1".to_owned(), some(&[2, 5, 1]), String::new()),
                // Releases, first year, artists (3 and 194), labels (2 and 1), styles.
                ("Rock".to_owned(), some(&[3, 1971, 4, 3, 2]), String::new()),
                ("Dub".to_owned(), some(&[3, 1971, 1, 1, 2]), "Reggae Rock".to_owned()),
                ("Ann".to_owned(), some(&[4]), "7 8".to_owned()),
            ]
        );
        let first = gathered.due("", 1)[0].place.clone();
        assert_eq!(gathered.due(&first, 1)[0].key, "Rock");
    }
}
