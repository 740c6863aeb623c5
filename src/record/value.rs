//! Text and attribute values: where they lie, and what their references and line ends stand for.

use std::ops::Range;

use memchr::memchr2;

/// The byte has an escape in JSON.
const ESCAPED: u8 = 1;
/// The byte stands for something else in text.
const RAW_TEXT: u8 = 2;
/// The byte stands for something else in an attribute value.
const RAW_ATTRIBUTE: u8 = 4;
/// The byte stands for something else in CDATA.
const RAW_CDATA: u8 = 8;
/// The byte begins markup.
const MARKUP: u8 = 16;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        class[byte] = ESCAPED;
        byte += 1;
    }
    class[b'"' as usize] = ESCAPED;
    class[b'\\' as usize] = ESCAPED;
    class[b'<' as usize] = MARKUP;
    class[b'&' as usize] = RAW_TEXT | RAW_ATTRIBUTE;
    class[b'\r' as usize] |= RAW_TEXT | RAW_ATTRIBUTE | RAW_CDATA;
    class[b'\n' as usize] |= RAW_ATTRIBUTE;
    class[b'\t' as usize] |= RAW_ATTRIBUTE;
    class
};

/// Whether a byte has an escape in JSON.
pub(super) const fn is_escaped(byte: u8) -> bool {
    CLASS[byte as usize] & ESCAPED != 0
}

/// Where a raw value stood in the record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Attribute,
    Cdata,
}

impl Form {
    const fn raw(self) -> u8 {
        match self {
            Form::Text => RAW_TEXT,
            Form::Attribute => RAW_ATTRIBUTE,
            Form::Cdata => RAW_CDATA,
        }
    }
}

/// A raw value in the record, and what kinds of bytes are in it.
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    class: u8,
}

impl Span {
    /// From `start` to the next `<` or `quote`; none if there is neither.
    #[inline]
    pub(super) fn until(record: &[u8], start: usize, quote: Option<u8>) -> Option<Span> {
        let mut class = 0;
        let mut at = start;
        loop {
            if quote != Some(b'\'') {
                at = skip_plain(record, at);
            }
            let byte = *record.get(at)?;
            let this = CLASS[usize::from(byte)];
            if this & MARKUP != 0 || Some(byte) == quote {
                return Some(Span { start, end: at, class });
            }
            class |= this;
            at += 1;
        }
    }

    /// From `start` to `end`.
    pub(super) fn all(text: &[u8], start: usize, end: usize) -> Span {
        let text = &text[..end];
        let (mut class, mut at) = (0, start);
        loop {
            at = skip_plain(text, at);
            let Some(byte) = text.get(at) else { return Span { start, end, class } };
            class |= CLASS[usize::from(*byte)];
            at += 1;
        }
    }
}

/// Where the first byte at or after `from` is that has an escape in JSON.
#[inline]
pub(super) fn next_escaped(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = skip_plain(text, at);
        if is_escaped(*text.get(at)?) {
            return Some(at);
        }
        at += 1;
    }
}

/// Passes bytes, eight at a time, up to the first that has any class at all; it may stop before
/// that.
#[inline]
fn skip_plain(record: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    const fn each(byte: u8) -> u64 {
        ONES * byte as u64
    }
    // the high bit of each byte that is zero, exact up to the first
    const fn zeros(bytes: u64) -> u64 {
        bytes.wrapping_sub(ONES) & !bytes & HIGH
    }
    while let Some(bytes) = record.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let bytes = u64::from_le_bytes(*bytes);
        let control = bytes.wrapping_sub(each(0x20)) & !bytes & HIGH;
        // '&' and '"' are the same but for one bit
        let found = control
            | zeros((bytes | each(b'&' ^ b'"')) ^ each(b'&'))
            | zeros(bytes ^ each(b'<'))
            | zeros(bytes ^ each(b'\\'));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// The value of an element or attribute: a range of the record's own text, or of the decoded text
/// beside it.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    start: u32,
    len: u32,
    flags: u8,
}

const PRESENT: u8 = 2;
const DECODED: u8 = 4;

impl Value {
    /// No value at all, which is not the same as an empty one.
    pub(super) const NONE: Value = Value { start: 0, len: 0, flags: 0 };

    pub(super) const fn is_some(self) -> bool {
        self.flags & PRESENT != 0
    }

    pub(super) const fn is_escaped_in_json(self) -> bool {
        self.flags & ESCAPED != 0
    }

    /// The raw value that `span` found in the record, decoded if it has to be.
    #[inline]
    pub(super) fn read(record: &[u8], span: &Span, form: Form, decoded: &mut Vec<u8>) -> Value {
        if span.class & form.raw() == 0 {
            return Value::at(span.start, span.end - span.start, span.class & ESCAPED);
        }
        let start = decoded.len();
        decode(&record[span.start..span.end], form, decoded);
        Value::of_decoded(start, decoded)
    }

    /// What was written to `decoded` from `start` on.
    pub(super) fn of_decoded(start: usize, decoded: &[u8]) -> Value {
        let span = Span::all(decoded, start, decoded.len());
        Value::at(start, span.end - start, span.class & ESCAPED | DECODED)
    }

    /// Appends the value to `decoded` once more.
    pub(super) fn append_to(self, record: &[u8], decoded: &mut Vec<u8>) {
        let range = self.range();
        if self.flags & DECODED == 0 {
            decoded.extend_from_slice(&record[range]);
        } else {
            decoded.extend_from_within(range);
        }
    }

    /// The value's bytes: UTF-8, as record and decoded text are.
    pub(super) fn bytes<'a>(self, record: &'a [u8], decoded: &'a [u8]) -> &'a [u8] {
        let (source, range) = self.place(record, decoded);
        &source[range]
    }

    /// Which text the value is a part of, and which.
    pub(super) fn place<'a>(self, record: &'a [u8], decoded: &'a [u8]) -> (&'a [u8], Range<usize>) {
        (if self.flags & DECODED == 0 { record } else { decoded }, self.range())
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// Records end at [`super::MAX_RECORD`], and neither decoding nor replacing invalid UTF-8 can
    /// make them longer than `u32` counts.
    #[expect(clippy::cast_possible_truncation, reason = "a record's bytes are counted in u32")]
    const fn at(start: usize, len: usize, flags: u8) -> Value {
        Value { start: start as u32, len: len as u32, flags: flags | PRESENT }
    }
}

/// Appends what `raw` stands for: line ends as one newline (one space in an attribute), a raw tab
/// in an attribute as a space, references as their characters. What is no reference stays as it is.
fn decode(raw: &[u8], form: Form, out: &mut Vec<u8>) {
    let line_end = if form == Form::Attribute { b' ' } else { b'\n' };
    let mut rest = raw;
    while let Some(at) = next_raw(rest, form) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        rest = &rest[at + 1..];
        match byte {
            b'&' => rest = reference(rest, out),
            b'\r' => {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                out.push(line_end);
            }
            _ => out.push(b' '),
        }
    }
    out.extend_from_slice(rest);
}

fn next_raw(rest: &[u8], form: Form) -> Option<usize> {
    match form {
        Form::Text => memchr2(b'&', b'\r', rest),
        Form::Cdata => memchr::memchr(b'\r', rest),
        Form::Attribute => {
            rest.iter().position(|byte| CLASS[usize::from(*byte)] & RAW_ATTRIBUTE != 0)
        }
    }
}

/// Appends what the reference at the beginning of `rest` (after its `&`) stands for and returns
/// what follows it. Anything but XML's five names and a number is left as it is written.
fn reference<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    const NAMES: [(&[u8], u8); 5] =
        [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\'')];
    for (name, character) in NAMES {
        if let Some(rest) = rest.strip_prefix(name) {
            out.push(character);
            return rest;
        }
    }
    if let Some((character, rest)) = numeric(rest) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return rest;
    }
    out.push(b'&');
    rest
}

/// `#` decimal digits `;` or `#x` hexadecimal digits `;`. A number that is no character, and NUL,
/// is U+FFFD.
fn numeric(rest: &[u8]) -> Option<(char, &[u8])> {
    let digits = rest.strip_prefix(b"#")?;
    let (radix, digits) = match digits.strip_prefix(b"x") {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    let mut number = 0_u32;
    for (count, byte) in digits.iter().enumerate() {
        if *byte == b';' && count > 0 {
            let character = char::from_u32(number).filter(|character| *character != '\0');
            return Some((character.unwrap_or(char::REPLACEMENT_CHARACTER), &digits[count + 1..]));
        }
        let digit = char::from(*byte).to_digit(radix)?;
        number = number.saturating_mul(radix).saturating_add(digit);
    }
    None
}
