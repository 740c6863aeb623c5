//! Where no comment, CDATA section or processing instruction ends.

use memchr::memmem;

use super::looked::looked;

/// Where the ends of comments, CDATA and processing instructions were searched for in vain, so that
/// text in which none ends is not searched again from every record in it.
#[derive(Default)]
pub(super) struct Unclosed {
    comment: Searched,
    cdata: Searched,
    instruction: Searched,
}

/// From `from` to `to`, in bytes of the whole text, no mark begins.
#[derive(Default)]
struct Searched {
    from: u64,
    to: u64,
}

impl Unclosed {
    /// Moves `at` past the next `mark` in the view, which begins at `base` of the text. If there is
    /// none, `at` stays.
    pub(super) fn pass(&mut self, mark: &[u8], view: &[u8], base: u64, at: &mut usize) -> bool {
        let searched = match mark {
            b"-->" => &mut self.comment,
            b"]]>" => &mut self.cdata,
            _ => &mut self.instruction,
        };
        let here = base + *at as u64;
        if here < searched.from || searched.to < here {
            (searched.from, searched.to) = (here, here);
        }
        let begin = usize::try_from(searched.to - base).unwrap_or(usize::MAX);
        let rest = view.get(begin..).unwrap_or_default();
        let found = memmem::find(rest, mark);
        looked(found.unwrap_or(rest.len()));
        let searched_now = found.unwrap_or(rest.len().saturating_sub(mark.len() - 1));
        searched.to += searched_now as u64;
        if found.is_some() {
            *at = begin + searched_now + mark.len();
        }
        found.is_some()
    }
}
