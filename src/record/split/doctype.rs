//! Passing over a document type declaration.

use memchr::memchr;

use super::marks::pass;

/// How far a document type declaration has been read. It is passed over, with its internal
/// subset, never understood.
#[derive(Default)]
pub(super) struct Doctype {
    /// Inside the internal subset.
    subset: bool,
    /// Inside a literal that ends with this quote.
    quote: Option<u8>,
    /// Inside a comment or processing instruction that ends with this mark.
    until: Option<&'static [u8]>,
}

impl Doctype {
    /// Moves `at` past the declaration's end, or as far as the buffer goes.
    pub(super) fn pass(&mut self, buf: &[u8], at: &mut usize, at_end: bool) -> bool {
        loop {
            if let Some(mark) = self.until {
                if !pass(mark, buf, at) {
                    return false;
                }
                self.until = None;
            }
            let rest = &buf[*at..];
            let special = match self.quote {
                Some(quote) => memchr(quote, rest),
                None => rest.iter().position(|byte| b"\"'[]<>".contains(byte)),
            };
            let Some(len) = special else {
                *at = buf.len();
                return false;
            };
            *at += len;
            let rest = &rest[len..];
            match rest[0] {
                _ if self.quote.is_some() => self.quote = None,
                quote @ (b'"' | b'\'') => self.quote = Some(quote),
                b'[' => self.subset = true,
                b']' => self.subset = false,
                b'<' if b"<!--".starts_with(rest) && rest.len() < 4 && !at_end => return false,
                b'<' if rest.starts_with(b"<!--") => {
                    self.until = Some(b"-->");
                    *at += 3;
                }
                b'<' if rest.starts_with(b"<?") => {
                    self.until = Some(b"?>");
                    *at += 1;
                }
                b'>' if !self.subset => {
                    *at += 1;
                    return true;
                }
                _ => {}
            }
            *at += 1;
        }
    }
}
