//! What a site answers when a file is asked for, and what follows from it. Pure.

use std::time::Duration;

use crate::model::Timestamp;

/// What is here of a file that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes from its beginning.
    pub bytes: u64,
    /// The tag that the site gave them.
    pub etag: Option<String>,
    /// When the site said they were last modified.
    pub last_modified: Option<String>,
    /// How long the whole is.
    pub length: Option<u64>,
}

impl Held {
    /// What must still hold at the site for a part of the file to be any use: a strong tag, else
    /// the time.
    pub fn unless_changed(&self) -> Option<&str> {
        strong(self.etag.as_deref()).or(self.last_modified.as_deref())
    }
}

fn strong(etag: Option<&str>) -> Option<&str> {
    etag.filter(|etag| !etag.starts_with("W/"))
}

/// What a site says before the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status, also of sites that are not asked over HTTP.
    pub status: u16,
    /// The tag of the bytes.
    pub etag: Option<String>,
    /// When they were last modified.
    pub last_modified: Option<String>,
    /// How many will come.
    pub content_length: Option<u64>,
    /// Which part of the whole they are: first byte, if any, and length of the whole, if said.
    pub range: Option<(Option<u64>, Option<u64>)>,
    /// How long to wait before asking again.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Reads the headers that matter, at `now`.
    pub fn read<'a>(
        status: u16,
        header: impl Fn(&str) -> Option<&'a str>,
        now: Timestamp,
    ) -> Answer {
        Answer {
            status,
            etag: header("etag").map(str::to_owned),
            last_modified: header("last-modified").map(str::to_owned),
            content_length: header("content-length").and_then(|length| length.parse().ok()),
            range: header("content-range").and_then(content_range),
            retry_after: header("retry-after").and_then(|text| retry_after(text, now)),
        }
    }

    /// How long the whole file is, as far as this says.
    pub fn total(&self) -> Option<u64> {
        match self.status {
            200 => self.content_length,
            206 | 416 => self.range.and_then(|(_, total)| total),
            _ => None,
        }
    }
}

/// `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let first = range.split_once('-').map(|(first, _)| first.trim().parse());
    Some((first.transpose().ok()?, total.trim().parse().ok()))
}

/// Seconds, or a date of HTTP.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Timestamp(u64::try_from(date).unwrap_or_default()).since(now))
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes go on where those that are here end.
    GoOn,
    /// It is all of the file once more, the same: those that are here can be passed over.
    Skip,
    /// The bytes begin with the first one; why those that are here are no use, if there are any.
    Over(Option<&'static str>),
    /// These bytes are no use, and nor are those that are here: ask for all of them.
    Again(&'static str),
    /// All of it is here.
    Whole,
    /// Not now.
    Later,
    /// It is not there any more, or not for us.
    Gone,
    /// Nothing that a site answers to this.
    Refused,
}

const CHANGED: &str = "the site has another file under this name now";
const NO_RANGES: &str = "the site does not go on in the middle";
const OTHER_PART: &str = "the site sent another part than was asked for";

/// Decides what an answer means for what is here.
pub fn judge(held: &Held, answer: &Answer) -> Verdict {
    let differs = |here: Option<&str>, there: Option<&str>| {
        here.zip(there).is_some_and(|(here, there)| here != there)
    };
    let lengths = held.length.zip(answer.total());
    let changed = differs(held.etag.as_deref(), answer.etag.as_deref())
        || lengths.is_some_and(|(here, there)| here != there);
    match answer.status {
        200 if held.bytes == 0 => Verdict::Over(None),
        200 if changed => Verdict::Over(Some(CHANGED)),
        200 => {
            let tags = strong(held.etag.as_deref()).zip(strong(answer.etag.as_deref()));
            let same = tags.is_some() && lengths.is_some();
            if same { Verdict::Skip } else { Verdict::Over(Some(NO_RANGES)) }
        }
        206 if changed => Verdict::Again(CHANGED),
        206 => match answer.range {
            Some((Some(first), _)) if first == held.bytes => Verdict::GoOn,
            _ => Verdict::Again(OTHER_PART),
        },
        416 if answer.total().or(held.length) == Some(held.bytes) && !changed => Verdict::Whole,
        416 => Verdict::Again(CHANGED),
        403 | 404 | 410 => Verdict::Gone,
        408 | 425 | 429 | 500..=599 => Verdict::Later,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = [(&'static str, &'static str)];

    fn held(bytes: u64) -> Held {
        let (etag, last_modified) = (Some("\"a\"".to_owned()), None);
        Held { bytes, etag, last_modified, length: Some(10) }
    }

    fn answer(status: u16, headers: &Headers) -> Answer {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        Answer::read(status, header, Timestamp(1_767_323_045_000))
    }

    #[test]
    fn what_each_answer_means() {
        let (tag, other, weak) = (("etag", "\"a\""), ("etag", "\"b\""), ("etag", "W/\"a\""));
        let (ten, nine) = (("content-length", "10"), ("content-length", "9"));
        let part = ("content-range", "bytes 4-9/10");
        let rows: &[(u64, u16, &Headers, Verdict)] = &[
            (0, 200, &[tag, ten], Verdict::Over(None)),
            (0, 206, &[tag, ("content-range", "bytes 0-9/10")], Verdict::GoOn),
            (4, 206, &[tag, part], Verdict::GoOn),
            (4, 206, &[part], Verdict::GoOn),
            (4, 206, &[("content-range", "bytes 4-9/*")], Verdict::GoOn),
            (5, 206, &[tag, part], Verdict::Again(OTHER_PART)),
            (4, 206, &[tag], Verdict::Again(OTHER_PART)),
            (4, 206, &[other, part], Verdict::Again(CHANGED)),
            (4, 206, &[tag, ("content-range", "bytes 4-9/11")], Verdict::Again(CHANGED)),
            (4, 200, &[tag, ten], Verdict::Skip),
            (4, 200, &[other, ten], Verdict::Over(Some(CHANGED))),
            (4, 200, &[tag, nine], Verdict::Over(Some(CHANGED))),
            (4, 200, &[ten], Verdict::Over(Some(NO_RANGES))),
            (4, 200, &[tag], Verdict::Over(Some(NO_RANGES))),
            (4, 200, &[weak, ten], Verdict::Over(Some(CHANGED))),
            (10, 416, &[("content-range", "bytes */10")], Verdict::Whole),
            (10, 416, &[], Verdict::Whole),
            (10, 416, &[("content-range", "bytes */12")], Verdict::Again(CHANGED)),
            (4, 416, &[], Verdict::Again(CHANGED)),
            (4, 404, &[], Verdict::Gone),
            (0, 403, &[], Verdict::Gone),
            (0, 410, &[], Verdict::Gone),
            (0, 429, &[], Verdict::Later),
            (4, 500, &[], Verdict::Later),
            (4, 503, &[], Verdict::Later),
            (0, 401, &[], Verdict::Refused),
            (0, 304, &[], Verdict::Refused),
        ];
        for (bytes, status, headers, expected) in rows {
            let verdict = judge(&held(*bytes), &answer(*status, headers));
            assert_eq!(verdict, *expected, "{bytes} here, {status} {headers:?}");
        }
    }

    #[test]
    fn a_weak_tag_proves_nothing_and_the_time_stands_in_for_it() {
        let mut held = held(4);
        assert_eq!(held.unless_changed(), Some("\"a\""));
        held.etag = Some("W/\"a\"".to_owned());
        assert_eq!(held.unless_changed(), None);
        held.last_modified = Some("then".to_owned());
        assert_eq!(held.unless_changed(), Some("then"));
    }

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date() {
        let rows = [
            ("120", Some(120)),
            ("Fri, 02 Jan 2026 03:05:05 GMT", Some(60)),
            ("Fri, 02 Jan 2015 03:05:05 GMT", Some(0)),
            ("soon", None),
        ];
        for (text, seconds) in rows {
            let wait = answer(503, &[("retry-after", text)]).retry_after;
            assert_eq!(wait, seconds.map(Duration::from_secs), "{text}");
        }
    }
}
