use super::*;
use serde_json::json;

fn read(kind: Kind, record: &Value) -> Entity {
    Entity::read(kind, record.to_string().as_bytes(), "hash", 2026).unwrap()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn an_artist_names_groups_members_and_aliases() {
    let entity = read(
        Kind::Artists,
        &json!({"id": "7", "name": "A", "groups": [{"id": "1", "name": "G"}, {"name": "no id"}],
            "members": [{"id": "2"}, {"id": ""}, {"id": "2"}], "aliases": [{"id": "3"}]}),
    );
    let url = "https://api.discogs.com/artists/7";
    assert_eq!(entity.properties["name"], Property::Text("A".into()));
    assert_eq!(entity.properties["resource_url"], Property::Text(url.into()));
    assert_eq!(entity.properties["releases_url"], Property::Text(format!("{url}/releases")));
    assert_eq!(entity.shared[&(Shared::MemberOf, Side::Start)], set(&["1"]));
    assert_eq!(entity.shared[&(Shared::MemberOf, Side::End)], set(&["2"]));
    assert_eq!(entity.shared[&(Shared::AliasOf, Side::End)], set(&["3"]));
}

#[test]
fn a_label_names_its_parent_and_its_sublabels() {
    let parent = json!({"id": "1", "name": "P"});
    let entity = read(
        Kind::Labels,
        &json!({"id": "7", "name": null, "parentLabel": parent, "sublabels": [{"id": "2"}]}),
    );
    assert_eq!(entity.properties["name"], Property::Nothing);
    assert_eq!(entity.shared[&(Shared::SublabelOf, Side::Start)], set(&["1"]));
    assert_eq!(entity.shared[&(Shared::SublabelOf, Side::End)], set(&["2"]));
}

#[test]
fn a_release_says_who_where_and_what() {
    let entity = read(
        Kind::Releases,
        &json!({"id": "7", "title": "T", "released": "1999-03-00", "master_id": "5",
            "artists": [{"id": "1"}, {"id": "1"}, {"name": "x"}],
            "labels": [{"id": "3", "catno": "SK 1"}, {"id": "4", "catno": "SK 2"}],
            "formats": [{"name": "Vinyl", "qty": "2"}, {"qty": "1"}, {"name": "CD"}],
            "genres": ["Rock"], "styles": ["Dub", null, "Bop"],
            "extraartists": [{"id": "9", "name": "N", "role": "Producer"},
                {"name": "M", "role": "Drums"}, {"id": "8", "name": "L"}, {"role": "Mixed By"}]}),
    );
    assert_eq!(entity.properties["year"], Property::Number(1999));
    assert_eq!(entity.properties["catalog_number"], Property::Text("SK 1".into()));
    assert_eq!(
        entity.properties["formats"],
        Property::Texts(vec!["Vinyl".to_owned(), "CD".to_owned()])
    );
    let expected = [
        (Own::By, set(&["1"])),
        (Own::On, set(&["3", "4"])),
        (Own::DerivedFrom, set(&["5"])),
        (Own::IsGenre, set(&["Rock"])),
        (Own::IsStyle, set(&["Bop", "Dub"])),
    ];
    assert_eq!(entity.own, expected.into());
    assert_eq!(entity.only_genre(), Some("Rock"));
    let credits: Vec<_> = entity.credits.iter().collect();
    assert_eq!(credits.len(), 2);
    assert_eq!((&*credits[0].name, credits[0].category), ("M", "session"));
    assert_eq!((&*credits[1].name, credits[1].category), ("N", "production"));
    assert_eq!(credits[1].artist_id.as_deref(), Some("9"));
}

#[test]
fn only_one_genre_has_parts_and_only_the_first_label_gives_the_number() {
    let two = read(Kind::Masters, &json!({"id": "1", "genres": ["Rock", "Jazz"]}));
    assert_eq!(two.only_genre(), None);
    let labels = json!([{"id": "1", "catno": ""}, {"id": "2", "catno": "X"}]);
    let second = read(Kind::Releases, &json!({"id": "1", "labels": labels}));
    assert_eq!(second.properties["catalog_number"], Property::Nothing);
}

#[test]
fn a_year_is_four_digits_that_can_be_true() {
    let rows = [
        (json!("1999"), Some(1999)),
        (json!("1999-13-77"), Some(1999)),
        (json!("2027"), Some(2027)),
        (json!("2028"), None),
        (json!("1859"), None),
        (json!("0"), None),
        (json!("199"), None),
        (json!("19é9"), None),
        (json!("+199"), None),
        (json!(null), None),
    ];
    for (value, expected) in rows {
        let entity = read(Kind::Masters, &json!({"id": "1", "year": value}));
        let expected = expected.map_or(Property::Nothing, Property::Number);
        assert_eq!(entity.properties["year"], expected, "{value}");
    }
}

#[test]
fn what_has_no_id_or_a_boundless_name_has_no_place() {
    let refused = |json: &str| Entity::read(Kind::Artists, json.as_bytes(), "", 2026).unwrap_err();
    assert_eq!(refused(r#"{"name":"x"}"#), Unfit::NoId);
    assert_eq!(refused(r#"{"id":""}"#), Unfit::NoId);
    assert!(matches!(refused("[]"), Unfit::NoObject(_)));
    let long = json!({"id": "1", "name": "x".repeat(LONGEST + 1)}).to_string();
    assert_eq!(refused(&long), Unfit::TooLong("name"));
    let title = "x".repeat(LONGEST + 1);
    for kind in [Kind::Masters, Kind::Releases] {
        let entity = read(kind, &json!({"id": "1", "title": title}));
        assert_eq!(entity.properties["title"], Property::Text(title.clone()));
    }
}
