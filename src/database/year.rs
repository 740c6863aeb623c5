//! The integer `year` that the platform's readers look for in masters and releases.

use memchr::memchr2;

use crate::model::Kind;

/// No earlier year can be that of a recording.
const EARLIEST: i32 = 1860;

/// How many characters of a date are its year.
const DIGITS: usize = 4;

/// The member whose first four characters are the year of a type's records, if they have one.
pub(super) const fn dated_by(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Artists | Kind::Labels => None,
        Kind::Masters => Some("year"),
        Kind::Releases => Some("released"),
    }
}

/// The year of a canonical record that `member` dates, if that is a year from 1860 to `latest`.
pub(super) fn year_of(json: &str, member: &str, latest: i32) -> Option<i32> {
    let year = string_member(json, member)?.get(..DIGITS)?;
    if !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    year.parse().ok().filter(|year| (EARLIEST..=latest).contains(year))
}

/// A record as canonical JSON with the integer `year` in it, in two parts. It stands last, since
/// of two members of one name `jsonb` keeps the last.
pub(super) fn with_year(json: &str, year: Option<i32>) -> (&str, String) {
    let open = json.strip_suffix('}').unwrap_or(json);
    let comma = if open.len() > 1 { "," } else { "" };
    match year {
        Some(year) => (open, format!("{comma}\"year\":{year}}}")),
        None => (open, format!("{comma}\"year\":null}}")),
    }
}

/// What stands between the quotes of a string that is a member of the outermost object of
/// canonical JSON, escapes as they are.
fn string_member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut depth = 0_u32;
    let mut at = 0;
    // A string that a comma or the object's brace stands before is a member's name.
    let mut is_name = false;
    loop {
        let rest = &json.as_bytes()[at..];
        let structure = rest.iter().position(|byte| b"\"{}[],".contains(byte))?;
        at += structure + 1;
        match rest[structure] {
            b'{' => {
                depth += 1;
                is_name = true;
            }
            b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' => is_name = true,
            _ => {
                let begin = at;
                at = end_of_string(json, at)?;
                if is_name && depth == 1 && &json[begin..at - 1] == name {
                    let value = json[at..].strip_prefix(":\"")?;
                    let end = end_of_string(value, 0)?;
                    return Some(&value[..end - 1]);
                }
                is_name = false;
            }
        }
    }
}

/// Where a string ends, after its closing quote, whose text begins at `at`.
fn end_of_string(json: &str, mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', &json.as_bytes()[at..])?;
        match json.as_bytes()[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
        if at > json.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn a_year_is_four_digits_of_the_records_own_date() {
        let rows = [
            (r#"{"id":"1","released":"1999-05-00"}"#, Some(1999)),
            (r#"{"id":"1","released":"1860"}"#, Some(1860)),
            (r#"{"released":"1859"}"#, None),
            (r#"{"released":"2027"}"#, Some(2027)),
            (r#"{"released":"2028"}"#, None),
            (r#"{"released":"199?"}"#, None),
            (r#"{"released":"99"}"#, None),
            (r#"{"released":"+199"}"#, None),
            (r#"{"released":"é199"}"#, None),
            (r#"{"released":null}"#, None),
            (r#"{"released":{"released":"1999"}}"#, None),
            (r#"{"a":[{"released":"1999"}],"b":"released"}"#, None),
            (r#"{"a":"x\"released\":\"1999","released":"1987"}"#, Some(1987)),
            (r#"{"a":"\\","released":"1987"}"#, Some(1987)),
            (r#"{"notes":"released","released":"1987"}"#, Some(1987)),
            ("{}", None),
        ];
        for (json, year) in rows {
            assert_eq!(year_of(json, "released", 2027), year, "{json}");
        }
        let master = r#"{"released":"1999","year":"1987"}"#;
        assert_eq!(year_of(master, dated_by(Kind::Masters).unwrap(), 2027), Some(1987));
    }

    #[test]
    fn only_the_last_brace_makes_room_for_it() {
        let rows = [
            ("{}", r#"{"year":1999}"#),
            (r#"{"a":"1"}"#, r#"{"a":"1","year":1999}"#),
            (r#"{"a":{"b":{"c":"}}"}}}"#, r#"{"a":{"b":{"c":"}}"}},"year":1999}"#),
            (r#"{"a":"}}}"}"#, r#"{"a":"}}}","year":1999}"#),
        ];
        for (json, with) in rows {
            let (open, rest) = with_year(json, Some(1999));
            assert_eq!(format!("{open}{rest}"), with);
        }
        assert_eq!(with_year("{}", None), ("{", "\"year\":null}".to_owned()));
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["released|year", r#"["\\{},:\[\]a1]{0,6}"#, "[12][0-9]{3}-0[0-9]"];
        let leaf = prop_oneof![Just(Value::Null), text.prop_map(Value::String)];
        leaf.prop_recursive(3, 24, 5, |inner| {
            let names = prop_oneof!["released|year", r#"["\\{},:a]{0,4}"#];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(names, inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_member_is_what_a_parser_finds(value in value()) {
            let Value::Object(_) = &value else { return Ok(()) };
            let json = value.to_string();
            let found = string_member(&json, "released").map(|text| format!("\"{text}\""));
            let expected = value["released"].is_string().then(|| value["released"].to_string());
            prop_assert_eq!(found, expected);
        }
    }
}
