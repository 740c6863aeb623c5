use super::random::Random;

/// How one record spells what XML lets it spell in several ways. Dumps of several years, and
/// records within one, differ in it.
#[derive(Clone, Copy, Default)]
pub(super) struct Style {
    /// Characters beyond ASCII as numeric references, else as UTF-8.
    pub(super) references: bool,
    /// Quotation marks in text as `&quot;` and `&apos;`.
    pub(super) quotes: bool,
    /// Optional elements that are empty are left out.
    pub(super) terse: bool,
}

impl Style {
    pub(super) fn choose(random: &mut Random) -> Style {
        Style {
            references: random.percent(50),
            quotes: random.percent(5),
            terse: random.percent(10),
        }
    }
}

/// The text of one record, as it grows.
#[derive(Default)]
pub(super) struct Xml {
    out: Vec<u8>,
    pub(super) style: Style,
}

/// An attribute: its name and its value, unescaped.
pub(super) type Attribute<'a> = (&'static str, &'a str);

impl Xml {
    pub(super) fn clear(&mut self) {
        self.out.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.out
    }

    pub(super) fn line_end(&mut self) {
        self.out.push(b'\n');
    }

    /// An element with what `content` writes inside.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Xml)) {
        self.element_with(name, &[], content);
    }

    /// An element with attributes and what `content` writes inside.
    pub(super) fn element_with(
        &mut self,
        name: &str,
        attributes: &[Attribute<'_>],
        content: impl FnOnce(&mut Xml),
    ) {
        self.tag(name, attributes);
        self.out.push(b'>');
        content(self);
        self.close(name);
    }

    /// An element that holds text, or `<name/>` if there is none.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.text_with(name, &[], text);
    }

    /// An element with attributes that holds text.
    pub(super) fn text_with(&mut self, name: &str, attributes: &[Attribute<'_>], text: &str) {
        if text.is_empty() {
            return self.empty(name, attributes);
        }
        self.tag(name, attributes);
        self.out.push(b'>');
        self.escaped(text, false);
        self.close(name);
    }

    /// As `text`, but a terse record leaves out what is empty.
    pub(super) fn optional(&mut self, name: &str, text: &str) {
        if !(text.is_empty() && self.style.terse) {
            self.text(name, text);
        }
    }

    /// `<name a="b"/>`
    pub(super) fn empty(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.tag(name, attributes);
        self.out.extend_from_slice(b"/>");
    }

    fn tag(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (key, value) in attributes {
            self.out.push(b' ');
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"=\"");
            self.escaped(value, true);
            self.out.push(b'"');
        }
    }

    fn close(&mut self, name: &str) {
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    fn escaped(&mut self, text: &str, in_attribute: bool) {
        for c in text.chars() {
            match c {
                '&' => self.out.extend_from_slice(b"&amp;"),
                '<' => self.out.extend_from_slice(b"&lt;"),
                '>' => self.out.extend_from_slice(b"&gt;"),
                '"' if in_attribute || self.style.quotes => self.out.extend_from_slice(b"&quot;"),
                '\'' if self.style.quotes => self.out.extend_from_slice(b"&apos;"),
                // Raw, a parser would turn them into something else.
                '\r' => self.reference(c),
                '\n' | '\t' if in_attribute => self.reference(c),
                _ if c.is_ascii() => self.out.push(c as u8),
                _ if self.style.references => self.reference(c),
                _ => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn reference(&mut self, c: char) {
        self.out.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
    }
}
