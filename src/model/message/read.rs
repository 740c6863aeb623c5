//! What a message means: a record, or the end of something. Whoever sent it: messages of this
//! program say which record of which run they are; those of others do not.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::Digest;

use super::header::{BAD_RECORDS, Headers, LAST_ORDINAL, ORDINAL, Value};
use crate::model::{DumpName, Ordinal, Run, Sha256, Version};

/// A message as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// One record.
    Data(Record),
    /// Every record of a file was sent before.
    FileComplete(FileComplete),
    /// Every file of a version was.
    ExtractionComplete(ExtractionComplete),
    /// Nothing that can be handled.
    Poison(Poison),
}

/// What cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Why.
    pub why: String,
    /// Which record of which run it was to be, if what stands beside its body says so.
    pub source: Option<Source>,
}

/// A record and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which record of which run it is, if the message says so.
    pub source: Option<Source>,
    /// Its id.
    pub id: String,
    /// SHA-256 of its canonical JSON, as the sender says.
    pub hash: Sha256,
    /// Its canonical JSON.
    pub json: Vec<u8>,
}

/// Which record of which run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The dump's version.
    pub version: Version,
    /// The run.
    pub run: Run,
    /// The record's place in the dump.
    pub ordinal: Ordinal,
}

/// The end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileComplete {
    /// The dump's version, if the message says so.
    pub version: Option<Version>,
    /// What has to be written before all of it is; none from senders that do not say.
    pub proof: Option<Proof>,
    /// The records that were sent, as the sender counts them.
    pub total: Option<u64>,
}

/// What a complete run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The run.
    pub run: Run,
    /// The ordinal of its last record.
    pub last: Ordinal,
    /// The ordinals up to there that never come.
    pub bad_records: u64,
}

/// The end of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractionComplete {
    /// The version, if the message says so.
    pub version: Option<Version>,
    /// When its extraction began, in the sender's words.
    pub started_at: Option<String>,
    /// How many records of each type there were, as JSON.
    pub record_counts: Option<String>,
}

/// Reads a message; `header` says what stands under a name beside its body.
pub fn read(header: impl Fn(&str) -> Option<Value>, body: &[u8]) -> Message {
    let headers = Headers(header);
    let poison = |why| Message::Poison(Poison { why, source: source(&headers) });
    let Ok(text) = std::str::from_utf8(body) else { return poison("it is not UTF-8".into()) };
    let members = match serde_json::from_str::<Members<'_>>(text) {
        Ok(Members(members)) => members,
        Err(error) => return poison(format!("it is no JSON object: {error}")),
    };
    match string(&members, "type").as_deref() {
        Some("file_complete") => match headers.run() {
            Ok(_) => Message::FileComplete(file_complete(&headers, &members)),
            Err(why) => poison(why),
        },
        Some("extraction_complete") => {
            let version = string(&members, "version").and_then(|text| text.parse().ok());
            Message::ExtractionComplete(ExtractionComplete {
                version: version.or(headers.version()),
                started_at: string(&members, "started_at").map(Cow::into_owned),
                record_counts: raw(&members, "record_counts").map(str::to_owned),
            })
        }
        _ => match record(&headers, &members) {
            Ok(record) => Message::Data(record),
            Err(why) => poison(why),
        },
    }
}

/// Which record of which run a message is.
fn source<F: Fn(&str) -> Option<Value>>(headers: &Headers<F>) -> Option<Source> {
    Some(Source {
        version: headers.version()?,
        run: headers.run().ok()??,
        ordinal: Ordinal(headers.number(ORDINAL)?),
    })
}

fn file_complete<F: Fn(&str) -> Option<Value>>(
    headers: &Headers<F>,
    members: &[Member<'_>],
) -> FileComplete {
    let file = string(members, "file").and_then(|name| name.parse::<DumpName>().ok());
    let proof = || {
        Some(Proof {
            run: headers.run().ok()??,
            last: Ordinal(headers.number(LAST_ORDINAL)?),
            bad_records: headers.number(BAD_RECORDS)?,
        })
    };
    let version = headers.version();
    FileComplete {
        version: version.or(file.map(|file| file.version)),
        // A run of an unknown version is none.
        proof: version.and_then(|_| proof()),
        total: raw(members, "total_processed").and_then(|number| number.parse().ok()),
    }
}

fn record<F: Fn(&str) -> Option<Value>>(
    headers: &Headers<F>,
    members: &[Member<'_>],
) -> Result<Record, String> {
    let id = match raw(members, "id") {
        None => return Err("it has no id".into()),
        Some(raw) => serde_json::from_str::<String>(raw).map_err(|_| "its id is no string")?,
    };
    if id.is_empty() {
        return Err("its id is empty".into());
    }
    let hash = string(members, "sha256").ok_or("it has no sha256")?;
    let hash = sha256(&hash).ok_or("its sha256 is none")?;
    headers.run()?;
    let json = canonical(members, &hash);
    Ok(Record { source: source(headers), id, hash, json })
}

/// The record in a message: all members but the first `type`, `id` and `sha256`. The sender puts
/// its id in front and leaves it out of the rest, or does not; the hash says what there was.
fn canonical(members: &[Member<'_>], hash: &Sha256) -> Vec<u8> {
    let envelope = ["type", "id", "sha256"].map(|name| position(members, name));
    let rest = members.iter().enumerate().filter(|(index, _)| !envelope.contains(&Some(*index)));
    let rest: Vec<Member<'_>> = rest.map(|(_, member)| member.clone()).collect();
    if position(&rest, "id").is_some() {
        return object(&rest);
    }
    let id = raw(members, "id").unwrap_or_default();
    let with_id = with_member(&rest, id);
    // A record whose id is an attribute has none of that name; one whose id is empty has null.
    let candidates = [object(&rest), with_member(&rest, "null")];
    if is_hash_of(hash, &with_id) {
        return with_id;
    }
    candidates.into_iter().find(|json| is_hash_of(hash, json)).unwrap_or(with_id)
}

fn is_hash_of(hash: &Sha256, json: &[u8]) -> bool {
    <[u8; 32]>::from(sha2::Sha256::digest(json)) == hash.0
}

/// An object with a member `id` at its place.
fn with_member(members: &[Member<'_>], id: &str) -> Vec<u8> {
    let mut members = members.to_vec();
    let place = members.iter().position(|member| member.key.as_bytes() > b"id".as_slice());
    let id = Member { key: "id".into(), value: id };
    members.insert(place.unwrap_or(members.len()), id);
    object(&members)
}

fn object(members: &[Member<'_>]) -> Vec<u8> {
    let length: usize = members.iter().map(|m| m.key.len() + m.value.len() + 4).sum();
    let mut json = Vec::with_capacity(length + 2);
    json.push(b'{');
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(serde_json::Value::from(&*member.key).to_string().as_bytes());
        json.push(b':');
        json.extend_from_slice(member.value.as_bytes());
    }
    json.push(b'}');
    json
}

fn sha256(text: &str) -> Option<Sha256> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if text.len() != 64 || !digits {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(Sha256(hash))
}

/// A member of an object, its value as it stands in the text.
#[derive(Clone, Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    value: &'a str,
}

fn position(members: &[Member<'_>], key: &str) -> Option<usize> {
    members.iter().position(|member| member.key == key)
}

fn raw<'a>(members: &[Member<'a>], key: &str) -> Option<&'a str> {
    position(members, key).map(|index| members[index].value)
}

fn string<'a>(members: &[Member<'a>], key: &str) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'a>>(raw(members, key)?).ok().map(|text| text.0)
}

/// An object's members in order, those of one name too.
struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::with_capacity(24);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push(Member { key, value: value.get() });
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests;
