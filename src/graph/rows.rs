//! Values as Bolt has them.

use neo4rs::{BoltMap, BoltNull, BoltType};

use super::model::Property;

/// A row for an `UNWIND`: names and values.
pub(super) fn row<const N: usize>(fields: [(&str, BoltType); N]) -> BoltType {
    let mut map = BoltMap::default();
    for (name, value) in fields {
        map.put(name.into(), value);
    }
    BoltType::Map(map)
}

/// No value.
pub(super) fn null() -> BoltType {
    BoltType::Null(BoltNull)
}

/// A list of texts.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> BoltType {
    texts.into_iter().map(|text| BoltType::from(text.as_str())).collect()
}

/// A property's value.
pub(super) fn property(property: &Property) -> BoltType {
    match property {
        Property::Nothing => null(),
        Property::Text(text) => text.as_str().into(),
        Property::Number(number) => (*number).into(),
        Property::Texts(list) => texts(list),
    }
}
