//! The record of `docs/ARCHITECTURE.md`, once more: slow, naive, and written from that text alone.

use std::collections::BTreeMap;

use discogs_extractor::model::Kind;
use serde_json::{Map, Value};
use sha2::Digest;

/// What a record must become.
#[derive(Debug, PartialEq)]
pub(crate) struct Expected {
    pub json: String,
    pub id: String,
    pub sha256: String,
}

/// An element as XML has it. Text is gathered over its pieces.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

/// The canonical form of a record, or nothing if it is malformed or no object.
pub(crate) fn canonical(kind: Kind, record: &[u8]) -> Option<Expected> {
    let text = String::from_utf8_lossy(record);
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let element = reader.element(1)?;
    if reader.at < reader.chars.len() {
        return None;
    }
    let Value::Object(record) = value(&element) else { return None };
    let attribute = record.get("@id").cloned();
    let child = record.get("id").cloned();
    let id = match (&attribute, &child) {
        (Some(Value::String(id)), _) | (None, Some(Value::String(id))) => id.clone(),
        _ => "unknown".to_owned(),
    };
    let mut record = record;
    if attribute.is_some() {
        record.remove("id");
    }
    let sorted: BTreeMap<String, Value> = flatten(kind, record).into_iter().collect();
    let json = serde_json::to_string(&sorted).unwrap();
    let digest = sha2::Sha256::digest(json.as_bytes());
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    Some(Expected { json, id, sha256 })
}

/// How many elements and attributes a well-formed record has.
pub(crate) fn count(record: &[u8]) -> (usize, usize) {
    fn add(element: &Element, sum: (usize, usize)) -> (usize, usize) {
        let sum = (sum.0 + 1, sum.1 + element.attributes.len());
        element.children.iter().fold(sum, |sum, child| add(child, sum))
    }
    let text = String::from_utf8_lossy(record);
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    reader.element(1).map_or((0, 0), |element| add(&element, (0, 0)))
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn sees(&self, what: &str) -> bool {
        let mut at = self.at;
        what.chars().all(|c| {
            at += 1;
            self.chars.get(at - 1) == Some(&c)
        })
    }

    fn take(&mut self, what: &str) -> Option<()> {
        self.sees(what).then(|| self.at += what.chars().count())
    }

    fn until(&mut self, what: &str) -> Option<String> {
        let start = self.at;
        while !self.sees(what) {
            if self.at >= self.chars.len() {
                return None;
            }
            self.at += 1;
        }
        let text = self.chars[start..self.at].iter().collect();
        self.take(what)?;
        Some(text)
    }

    fn spaces(&mut self) -> usize {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| " \t\r\n".contains(*c)) {
            self.at += 1;
        }
        self.at - start
    }

    fn name(&mut self) -> Option<String> {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| !" \t\r\n<>/=\"'&".contains(*c)) {
            self.at += 1;
        }
        let name: String = self.chars[start..self.at].iter().collect();
        (!name.is_empty() && !name.starts_with(['@', '#', '!', '?'])).then_some(name)
    }

    fn element(&mut self, depth: usize) -> Option<Element> {
        self.take("<")?;
        let name = self.name()?;
        let mut element =
            Element { name, attributes: Vec::new(), text: String::new(), children: Vec::new() };
        if depth > 64 {
            return None;
        }
        loop {
            let spaces = self.spaces();
            if self.take("/>").is_some() {
                return Some(element);
            }
            if self.take(">").is_some() {
                break;
            }
            if spaces == 0 {
                return None;
            }
            let (name, value) = self.attribute()?;
            if element.attributes.iter().any(|(other, _)| *other == name) {
                return None;
            }
            element.attributes.push((name, value));
        }
        loop {
            if self.take("</").is_some() {
                let name = self.name()?;
                self.spaces();
                self.take(">")?;
                return (name == element.name).then_some(element);
            } else if self.take("<!--").is_some() {
                self.until("-->")?;
            } else if self.take("<?").is_some() {
                self.until("?>")?;
            } else if self.take("<![CDATA[").is_some() {
                element.text.push_str(&line_ends(&self.until("]]>")?));
            } else if self.sees("<") {
                element.children.push(self.element(depth + 1)?);
            } else {
                let start = self.at;
                while self.at < self.chars.len() && !self.sees("<") {
                    self.at += 1;
                }
                let raw: String = self.chars[start..self.at].iter().collect();
                element.text.push_str(&references(&line_ends(&raw)));
                if self.at == self.chars.len() {
                    return None;
                }
            }
        }
    }

    fn attribute(&mut self) -> Option<(String, String)> {
        let name = self.name()?;
        self.spaces();
        self.take("=")?;
        self.spaces();
        let raw = if self.take("\"").is_some() {
            self.until("\"")?
        } else {
            self.take("'")?;
            self.until("'")?
        };
        if raw.contains('<') {
            return None;
        }
        Some((name, references(&line_ends(&raw).replace(['\n', '\t'], " "))))
    }
}

fn line_ends(raw: &str) -> String {
    raw.replace("\r\n", "\n").replace('\r', "\n")
}

fn references(raw: &str) -> String {
    let mut text = String::new();
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let resolved = rest[1..].split_once(';').and_then(|(name, after)| {
            let character = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "apos" => '\'',
                "quot" => '"',
                _ => {
                    let digits = name.strip_prefix('#')?;
                    let (digits, radix) =
                        digits.strip_prefix('x').map_or((digits, 10), |digits| (digits, 16));
                    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
                        return None;
                    }
                    let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
                    match char::from_u32(number) {
                        None | Some('\0') => '\u{FFFD}',
                        Some(character) => character,
                    }
                }
            };
            Some((character, after))
        });
        let (character, after) = resolved.unwrap_or(('&', &rest[1..]));
        text.push(character);
        rest = after;
    }
    text + rest
}

fn value(element: &Element) -> Value {
    let text = Some(&element.text).filter(|text| !text.chars().all(char::is_whitespace));
    if element.attributes.is_empty() && element.children.is_empty() {
        return text.map_or(Value::Null, |text| Value::String(text.clone()));
    }
    let mut object = Map::new();
    for (name, value) in &element.attributes {
        object.insert(format!("@{name}"), Value::String(value.clone()));
    }
    if let Some(text) = text {
        object.insert("#text".to_owned(), Value::String(text.clone()));
    }
    let mut by_name: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for child in &element.children {
        by_name.entry(&child.name).or_default().push(value(child));
    }
    for (name, mut values) in by_name {
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

fn strip(value: Value) -> Value {
    let Value::Object(object) = value else { return value };
    let has_name = object.contains_key("name");
    let mut stripped = Map::new();
    let (attributes, others): (Vec<_>, Vec<_>) =
        object.into_iter().partition(|(key, _)| key.starts_with('@'));
    for (key, value) in attributes {
        stripped.insert(key[1..].to_owned(), value);
    }
    for (key, value) in others {
        let key = if key == "#text" && !has_name { "name".to_owned() } else { key };
        stripped.entry(key).or_insert(value);
    }
    Value::Object(stripped)
}

/// The items of a container.
fn items(value: Value, key: &str) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(item) => vec![item],
        },
        Value::Null => Vec::new(),
        item => vec![item],
    }
}

fn flatten(kind: Kind, record: Map<String, Value>) -> Map<String, Value> {
    let (mut record, lists, unwrapped) = match kind {
        Kind::Artists => {
            (record, vec![("members", "name"), ("groups", "name"), ("aliases", "name")], vec![])
        }
        Kind::Labels => (record, vec![("sublabels", "label")], vec![]),
        Kind::Masters | Kind::Releases => {
            let Value::Object(record) = strip(Value::Object(record)) else { unreachable!() };
            let mut lists = vec![("artists", "artist")];
            if kind == Kind::Releases {
                lists.extend([("extraartists", "artist"), ("labels", "label")]);
            }
            (record, lists, vec![("genres", "genre"), ("styles", "style")])
        }
    };
    let mut replace = |field: &str, key: &str, item: &dyn Fn(Value) -> Value| {
        if let Some(container) = record.remove(field) {
            let items: Vec<Value> = items(container, key).into_iter().map(item).collect();
            if !items.is_empty() {
                record.insert(field.to_owned(), Value::Array(items));
            }
        }
    };
    for (field, key) in lists {
        replace(field, key, &|item| match item {
            Value::String(id) => Value::Object(Map::from_iter([("id".into(), id.into())])),
            item => strip(item),
        });
    }
    for (field, key) in unwrapped {
        replace(field, key, &|item| item);
    }
    if kind == Kind::Releases {
        replace("formats", "format", &strip);
        if let Some(Value::Object(object)) = record.get("master_id")
            && let Some(id) = object.get("#text").or_else(|| object.get("id"))
        {
            let id = id.clone();
            record.insert("master_id".to_owned(), id);
        }
    }
    if kind == Kind::Labels
        && let Some(parent) = record.remove("parentLabel")
    {
        record.insert("parentLabel".to_owned(), strip(parent));
    }
    record
}
