//! The dump as it lies on disk: inflate with members, checks, and places to start again from. No tokio.
//!
//! [`Inflater`] turns a gzip file (RFC 1952) into its text, member after member, and offers
//! [resume points](crate::model::InflatePoint) on its way. It leaves the CRC to its caller, who
//! wants it at the boundaries of records too: [`MemberHasher`] goes over the same bytes and says
//! at each [`Trailer`] whether they are the right ones.
//!
//! ```
//! # use std::io::Write;
//! # use discogs_extractor::gzip::{Inflater, MemberHasher, Step};
//! # let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
//! # file.write_all(b"<artists></artists>")?;
//! # let file = file.finish()?;
//! let mut inflater = Inflater::new(file.as_slice())?;
//! let (mut text, mut hasher) = (Vec::new(), MemberHasher::new());
//! loop {
//!     let before = text.len();
//!     let step = inflater.fill(&mut text, 1 << 20)?;
//!     hasher.update(&text[before..]);
//!     match step {
//!         Step::More | Step::Point(_) => {}
//!         Step::MemberEnd(trailer) => hasher.finish(&trailer)?,
//!         Step::End => break,
//!     }
//! }
//! assert_eq!(text, b"<artists></artists>");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod inflate;
mod input;
mod member;
mod point;
mod raw;
#[cfg(test)]
mod tests;

pub use error::{GzipError, HeaderFault, Part};
pub use inflate::{Inflater, POINT_EVERY, Step};
pub use member::{MemberHasher, Trailer};
