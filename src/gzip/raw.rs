//! Raw inflate (RFC 1951) over zlib's interface, and the project's only `unsafe`: flate2's safe
//! interface neither stops at block boundaries nor gives the window out, both of which a resume
//! point needs. What the calls do is said in zlib's manual (<https://zlib.net/manual.html>) under
//! `inflate`, `inflatePrime`, `inflateSetDictionary` and `inflateGetDictionary`.
#![allow(unsafe_code, reason = "see above")]

use std::ffi::{CStr, c_int};

use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_MEM_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, inflate, inflateEnd,
    inflateGetDictionary, inflateInit2_, inflatePrime, inflateReset, inflateSetDictionary,
    z_stream, zlibVersion,
};

use super::point::WINDOW;

/// `windowBits` for deflate data without a header, with the largest window.
const RAW: c_int = -15;

/// In `data_type`: the call stopped at the end of a block.
const AT_BLOCK_END: c_int = 128;
/// In `data_type`: the block is the last one.
const LAST_BLOCK: c_int = 64;
/// In `data_type`, at the end of a block: the bits of the last used byte that are still to come.
const UNUSED_BITS: c_int = 7;

/// What one call did.
pub(super) struct Inflated {
    /// Bytes of input used.
    pub consumed: usize,
    /// Bytes of output appended.
    pub produced: usize,
    /// Why it returned; the error is zlib's word for damaged data.
    pub stop: Result<Stop, String>,
}

/// Why a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It needs more input or more room.
    Hungry,
    /// A block ended.
    BlockEnd {
        /// How many upper bits of the last used byte belong to the next block.
        bits: u8,
        /// Whether it was the last block.
        last: bool,
    },
    /// The deflate data ended.
    StreamEnd,
}

/// A raw inflate stream.
pub(super) struct RawInflate {
    /// Boxed because zlib forbids moving it.
    stream: Box<z_stream>,
}

// SAFETY: the stream and the state behind it belong to this value alone, are only reached through
// `&mut self` (or read through `&self`), and were allocated by Rust's allocator, which is not
// bound to a thread.
unsafe impl Send for RawInflate {}

impl RawInflate {
    /// A stream that stands at the beginning of deflate data. The error is zlib's word.
    pub(super) fn new() -> Result<RawInflate, String> {
        let mut stream = Box::new(z_stream::default());
        let size = c_int::try_from(size_of::<z_stream>()).unwrap_or(0);
        // SAFETY: `stream` is a valid `z_stream` whose allocation functions are the library's
        // own; the version is a C string of the library.
        let code = unsafe { inflateInit2_(&raw mut *stream, RAW, zlibVersion(), size) };
        if code == Z_OK { Ok(RawInflate { stream }) } else { Err(word(&stream, code)) }
    }

    /// Goes back to the beginning, for the next member.
    pub(super) fn reset(&mut self) -> Result<(), String> {
        // SAFETY: `stream` was initialized by `new`.
        let code = unsafe { inflateReset(&raw mut *self.stream) };
        self.done(code)
    }

    /// Makes a fresh stream stand at a block boundary: `bits` upper bits of the byte `before` are
    /// still to come, and `window` is the text that went before.
    pub(super) fn stand_at(&mut self, bits: u8, before: u8, window: &[u8]) -> Result<(), String> {
        if bits > 0 {
            let value = before.checked_shr(8 - u32::from(bits)).unwrap_or(0);
            // SAFETY: `stream` was initialized by `new`.
            let code = unsafe { inflatePrime(&raw mut *self.stream, bits.into(), value.into()) };
            self.done(code)?;
        }
        let length = u32::try_from(window.len()).unwrap_or(u32::MAX);
        // SAFETY: `stream` was initialized by `new`; `window` is valid for `length` bytes, which
        // is never more than it has.
        let code = unsafe { inflateSetDictionary(&raw mut *self.stream, window.as_ptr(), length) };
        self.done(code)
    }

    /// The text up to here that later blocks may refer to, at most 32 KiB of this member.
    pub(super) fn window(&self) -> Result<Vec<u8>, String> {
        let mut window = vec![0; WINDOW];
        let mut length = 0;
        // SAFETY: `stream` was initialized by `new`; `window` has the 32 KiB that are always
        // enough; `length` is a valid place for a number.
        let code = unsafe {
            inflateGetDictionary(&raw const *self.stream, window.as_mut_ptr(), &raw mut length)
        };
        self.done(code)?;
        window.truncate(length as usize);
        Ok(window)
    }

    /// Inflates from `input`, appending at most `room` bytes to `out`, whose capacity must
    /// already have them: less fits otherwise. With `stop_at_blocks` it returns at the end of
    /// every block.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
        stop_at_blocks: bool,
    ) -> Inflated {
        let before = out.len();
        let spare = out.spare_capacity_mut();
        let given = u32::try_from(input.len()).unwrap_or(u32::MAX);
        let offered = u32::try_from(room.min(spare.len())).unwrap_or(u32::MAX);
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = given;
        self.stream.next_out = spare.as_mut_ptr().cast();
        self.stream.avail_out = offered;
        let flush = if stop_at_blocks { Z_BLOCK } else { Z_NO_FLUSH };
        // SAFETY: `stream` was initialized by `new`; `next_in` and `next_out` point to at least
        // `avail_in` readable and `avail_out` writable bytes, the latter possibly uninitialized,
        // which the library allows; both are borrowed for the whole call, and every call sets
        // them anew.
        let code = unsafe { inflate(&raw mut *self.stream, flush) };
        let consumed = (given - self.stream.avail_in) as usize;
        let produced = (offered - self.stream.avail_out) as usize;
        // SAFETY: the library has written the `produced` bytes behind the old length, and they
        // are within the capacity since `offered` was.
        unsafe { out.set_len(before + produced) };
        let state = self.stream.data_type;
        let stop = match code {
            Z_STREAM_END => Ok(Stop::StreamEnd),
            // a block may end on bits that were read earlier, which zlib calls no progress
            Z_OK | Z_BUF_ERROR if stop_at_blocks && state & AT_BLOCK_END != 0 => {
                let bits = u8::try_from(state & UNUSED_BITS).unwrap_or(0);
                Ok(Stop::BlockEnd { bits, last: state & LAST_BLOCK != 0 })
            }
            Z_OK => Ok(Stop::Hungry),
            Z_BUF_ERROR if given == 0 || offered == 0 => Ok(Stop::Hungry),
            code => Err(word(&self.stream, code)),
        };
        Inflated { consumed, produced, stop }
    }

    fn done(&self, code: c_int) -> Result<(), String> {
        if code == Z_OK { Ok(()) } else { Err(word(&self.stream, code)) }
    }
}

impl Drop for RawInflate {
    fn drop(&mut self) {
        // SAFETY: `stream` was initialized by `new` and is not used afterwards.
        unsafe { inflateEnd(&raw mut *self.stream) };
    }
}

/// What zlib says about a code: its own message if it left one.
fn word(stream: &z_stream, code: c_int) -> String {
    if !stream.msg.is_null() {
        // SAFETY: a message that is there is a C string that lives as long as the program.
        return unsafe { CStr::from_ptr(stream.msg) }.to_string_lossy().into_owned();
    }
    match code {
        Z_MEM_ERROR => "out of memory".to_owned(),
        Z_BUF_ERROR => "no progress".to_owned(),
        code => format!("zlib error {code}"),
    }
}
