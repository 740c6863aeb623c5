//! The message of one record.

use super::header::{ORDINAL, Value, headers};
use crate::model::{Document, DumpName, Kind, Ordinal, Run, Sha256, Version};

/// Appends the data message of one document, which lies in `json`, to `out`:
/// `{"type":"data","id":"…","sha256":"…", the record's other keys}`.
pub fn write_data(json: &[u8], document: &Document, out: &mut Vec<u8>) {
    out.reserve(document.json.len() + 128);
    out.extend_from_slice(br#"{"type":"data","id":"#);
    write_id(json, document, out);
    out.extend_from_slice(br#","sha256":""#);
    out.extend_from_slice(&document.hash.hex());
    out.push(b'"');
    let inner = document.json.start + 1..document.json.end - 1;
    let (before, after) = match &document.id_member {
        Some(id) => (&json[inner.start..id.start], &json[id.end..inner.end]),
        None => (&json[inner], &json[..0]),
    };
    let before = before.strip_suffix(b",").unwrap_or(before);
    let after = after.strip_prefix(b",").unwrap_or(after);
    for part in [before, after] {
        if !part.is_empty() {
            out.push(b',');
            out.extend_from_slice(part);
        }
    }
    out.push(b'}');
}

/// The id as a JSON string. A record whose id is a child or a stripped attribute has it ready.
fn write_id(json: &[u8], document: &Document, out: &mut Vec<u8>) {
    const KEY: &[u8] = br#""id":"#;
    let value = document.id_member.as_ref().map(|id| &json[id.start + KEY.len()..id.end]);
    match value {
        Some(string) if string.starts_with(b"\"") => out.extend_from_slice(string),
        Some(_) | None => {
            let string = serde_json::Value::from(&*document.id).to_string();
            out.extend_from_slice(string.as_bytes());
        }
    }
}

/// The id of a data message, the same at every repeat:
/// `{version}-{type}-{ordinal}-{first 8 of sha256}`.
pub fn message_id(version: Version, kind: Kind, ordinal: Ordinal, hash: &Sha256) -> String {
    let hex = hash.hex();
    let short = std::str::from_utf8(&hex[..8]).unwrap_or_default();
    format!("{version}-{kind}-{ordinal}-{short}")
}

/// What stands beside its body.
pub fn data_headers(file: DumpName, run: Run, ordinal: Ordinal) -> Vec<(&'static str, Value)> {
    headers(file.version, Some(run), &[(ORDINAL, ordinal.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str, id: &str, id_member: Option<std::ops::Range<usize>>) -> String {
        let document =
            Document { json: 0..json.len(), id: id.into(), hash: Sha256([0xab; 32]), id_member };
        let mut out = Vec::new();
        write_data(json.as_bytes(), &document, &mut out);
        String::from_utf8(out).unwrap().replace(&"ab".repeat(32), "H")
    }

    #[test]
    fn the_id_appears_once_wherever_it_stood() {
        let rows = [
            (r#"{"a":"1","id":"7","z":null}"#, Some(9..17), r#","a":"1","z":null}"#),
            (r#"{"id":"7","z":null}"#, Some(1..9), r#","z":null}"#),
            (r#"{"a":"1","id":"7"}"#, Some(9..17), r#","a":"1"}"#),
            (r#"{"id":"7"}"#, Some(1..9), "}"),
            (r#"{"@id":"7"}"#, None, r#","@id":"7"}"#),
        ];
        for (json, id_member, rest) in rows {
            let expected = format!(r#"{{"type":"data","id":"7","sha256":"H"{rest}"#);
            assert_eq!(message(json, "7", id_member), expected, "{json}");
        }
    }

    #[test]
    fn an_id_that_is_no_string_in_the_record_is_quoted() {
        let sent = message(r#"{"id":null}"#, "unknown", Some(1..10));
        assert_eq!(sent, r#"{"type":"data","id":"unknown","sha256":"H"}"#);
        let sent = message(r#"{"@id":"a\"b"}"#, "a\"b", None);
        assert_eq!(sent, r#"{"type":"data","id":"a\"b","sha256":"H","@id":"a\"b"}"#);
    }
}
