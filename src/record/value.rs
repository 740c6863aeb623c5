//! Text and attribute values: where they lie, and what their references and line ends stand for.

use memchr::memchr2;

/// The byte has an escape in JSON.
const ESCAPED: u8 = 1;
/// The byte stands for something else in text.
const RAW_TEXT: u8 = 2;
/// The byte stands for something else in an attribute value.
const RAW_ATTRIBUTE: u8 = 4;
/// The byte stands for something else in CDATA.
const RAW_CDATA: u8 = 8;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        class[byte] = ESCAPED;
        byte += 1;
    }
    class[b'"' as usize] = ESCAPED;
    class[b'\\' as usize] = ESCAPED;
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

/// The value of an element or attribute: a range of the record's own text, or of the decoded text
/// beside it.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    start: u32,
    len: u32,
    flags: u8,
}

const PRESENT: u8 = 16;
const DECODED: u8 = 32;

impl Value {
    /// No value at all, which is not the same as an empty one.
    pub(super) const NONE: Value = Value { start: 0, len: 0, flags: 0 };

    pub(super) const fn is_some(self) -> bool {
        self.flags & PRESENT != 0
    }

    pub(super) const fn is_escaped_in_json(self) -> bool {
        self.flags & ESCAPED != 0
    }

    /// The raw value at `start..end` of the record, decoded if it has to be.
    pub(super) fn read(
        record: &[u8],
        start: usize,
        end: usize,
        form: Form,
        decoded: &mut Vec<u8>,
    ) -> Value {
        let raw = &record[start..end];
        let class = raw.iter().fold(0, |all, byte| all | CLASS[usize::from(*byte)]);
        if class & form.raw() == 0 {
            return Value::at(start, raw.len(), class & ESCAPED);
        }
        let start = decoded.len();
        decode(raw, form, decoded);
        Value::of_decoded(start, decoded)
    }

    /// What was written to `decoded` from `start` on.
    pub(super) fn of_decoded(start: usize, decoded: &[u8]) -> Value {
        let text = &decoded[start..];
        let class = text.iter().fold(0, |all, byte| all | CLASS[usize::from(*byte)]);
        Value::at(start, text.len(), class & ESCAPED | DECODED)
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
        let source = if self.flags & DECODED == 0 { record } else { decoded };
        &source[self.range()]
    }

    fn range(self) -> std::ops::Range<usize> {
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
