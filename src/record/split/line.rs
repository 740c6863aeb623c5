use memchr::memrchr;

/// More white space than this at the beginning of a line is not remembered.
const MAX_INDENT: usize = 256;

/// What stands on the current line so far, if it is only white space.
pub(super) struct Line {
    is_blank: bool,
    indent: Vec<u8>,
}

impl Line {
    pub(super) const fn new(is_blank: bool) -> Line {
        Line { is_blank, indent: Vec::new() }
    }

    /// Text was passed.
    pub(super) fn text(&mut self, text: &[u8]) {
        let mut rest = text;
        if let Some(end) = memrchr(b'\n', text) {
            rest = &text[end + 1..];
            self.is_blank = true;
            self.indent.clear();
        }
        if self.is_blank {
            self.indent.extend_from_slice(&rest[..rest.len().min(MAX_INDENT + 1)]);
            self.is_blank = self.indent.len() <= MAX_INDENT
                && rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        }
    }

    /// Markup was passed.
    pub(super) const fn markup(&mut self) {
        self.is_blank = false;
    }

    /// The white space before what comes next, if that is the first thing on its line.
    pub(super) fn indent(&self) -> Option<&[u8]> {
        self.is_blank.then_some(&*self.indent)
    }
}
