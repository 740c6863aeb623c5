//! Text and attribute values: where they lie, and what their references and line ends stand for.

use std::convert::Infallible;
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

/// The value of an element or attribute, as it stands in the record. What its references and line
/// ends stand for is found out where it is written, so that no value is in memory twice: decoded
/// beside the record, one of 60 MiB took that much again.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    /// Where it begins in the record; of a joined one, its first piece.
    start: u32,
    len: u32,
    flags: u8,
}

// Beside these, a value has the classes of its bytes that matter: ESCAPED and its form's RAW.
/// There is a value.
const PRESENT: u8 = 32;
/// It is the text around children, comments and CDATA: several pieces, listed in the tree.
const JOINED: u8 = 64;
/// Not all of it is UTF-8.
const INVALID: u8 = 128;

impl Value {
    /// No value at all, which is not the same as an empty one.
    pub(super) const NONE: Value = Value { start: 0, len: 0, flags: 0 };

    /// The value that `span` found in the record.
    #[inline]
    pub(super) fn new(span: &Span, form: Form) -> Value {
        let flags = PRESENT | span.class & (ESCAPED | form.raw());
        // A record is at most `MAX_RECORD` long.
        #[expect(clippy::cast_possible_truncation, reason = "a record's bytes are counted in u32")]
        Value { start: span.start as u32, len: (span.end - span.start) as u32, flags }
    }

    /// The value that is the pieces from `first` on.
    pub(super) const fn joined(first: u32) -> Value {
        Value { start: first, len: 0, flags: PRESENT | JOINED }
    }

    pub(super) const fn is_some(self) -> bool {
        self.flags & PRESENT != 0
    }

    /// Whether it is in JSON what it is in the record.
    pub(super) const fn is_plain(self) -> bool {
        self.flags == PRESENT
    }

    /// Its first piece, if it is joined.
    pub(super) const fn pieces(self) -> Option<u32> {
        if self.flags & JOINED == 0 { None } else { Some(self.start) }
    }

    /// Where it stands in the record; a joined one stands nowhere.
    pub(super) const fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    /// Notes whether it has bytes that are not UTF-8.
    pub(super) fn mark_invalid(&mut self, record: &[u8]) {
        if str::from_utf8(&record[self.range()]).is_err() {
            self.flags |= INVALID;
        }
    }

    /// Hands over what one piece stands for, bit by bit, each of them UTF-8; ends with the first
    /// error of `take`.
    #[inline]
    pub(super) fn decode<E>(
        self,
        record: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let raw = &record[self.range()];
        if self.flags & INVALID != 0 {
            return decode(raw, self.form(), &mut |bits| replace_invalid(bits, take));
        }
        match self.form() {
            None => take(raw),
            form => decode(raw, form, take),
        }
    }

    /// How it is to be decoded, if it is.
    const fn form(self) -> Option<Form> {
        match self.flags & (RAW_TEXT | RAW_ATTRIBUTE | RAW_CDATA) {
            0 => None,
            RAW_TEXT => Some(Form::Text),
            RAW_ATTRIBUTE => Some(Form::Attribute),
            _ => Some(Form::Cdata),
        }
    }
}

/// Hands text over with U+FFFD for what is not UTF-8. Such bytes are never ASCII, so all that is
/// decoded before this, and the tags, are the same in bytes and in text.
fn replace_invalid<E>(text: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for chunk in text.utf8_chunks() {
        take(chunk.valid().as_bytes())?;
        if !chunk.invalid().is_empty() {
            take(REPLACEMENT)?;
        }
    }
    Ok(())
}

/// U+FFFD.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// A copy of the record with U+FFFD for what is not UTF-8, if it is not longer than `limit`.
pub(super) fn lossy_copy(record: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut len = 0;
    replace_invalid(record, &mut |bits| {
        len += bits.len();
        if len > limit { Err(()) } else { Ok(()) }
    })
    .ok()?;
    let mut copy = Vec::with_capacity(len);
    let copied: Result<(), Infallible> = replace_invalid(record, &mut |bits| {
        copy.extend_from_slice(bits);
        Ok(())
    });
    copied.ok().map(|()| copy)
}

/// Hands over what `raw` stands for: line ends as one newline (one space in an attribute), a raw
/// tab in an attribute as a space, references as their characters. What is no reference stays as
/// it is.
fn decode<E>(
    raw: &[u8],
    form: Option<Form>,
    take: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let Some(form) = form else { return take(raw) };
    let line_end: &[u8] = if form == Form::Attribute { b" " } else { b"\n" };
    let mut rest = raw;
    while let Some(at) = next_raw(rest, form) {
        take(&rest[..at])?;
        let byte = rest[at];
        rest = &rest[at + 1..];
        match byte {
            b'&' => {
                let character;
                (character, rest) = reference(rest);
                take(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
            b'\r' => {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                take(line_end)?;
            }
            _ => take(b" ")?,
        }
    }
    take(rest)
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

/// What the reference at the beginning of `rest` (after its `&`) stands for, and what follows it.
/// Anything but XML's five names and a number is left as it is written.
fn reference(rest: &[u8]) -> (char, &[u8]) {
    match rest {
        [b'a', b'm', b'p', b';', rest @ ..] => ('&', rest),
        [b'l', b't', b';', rest @ ..] => ('<', rest),
        [b'g', b't', b';', rest @ ..] => ('>', rest),
        [b'q', b'u', b'o', b't', b';', rest @ ..] => ('"', rest),
        [b'a', b'p', b'o', b's', b';', rest @ ..] => ('\'', rest),
        _ => numeric(rest).unwrap_or(('&', rest)),
    }
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
