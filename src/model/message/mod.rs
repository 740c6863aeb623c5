//! What goes over the wire, both ways: one JSON object a message, and what stands beside it.

mod announcement;
mod data;
mod header;
mod read;

pub use announcement::Announcement;
pub use data::{data_headers, message_id, write_data};
pub use header::{ORDINAL, Value};
pub use read::{ExtractionComplete, FileComplete, Message, Poison, Proof, Record, Source, read};
