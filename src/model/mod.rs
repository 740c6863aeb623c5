//! The words everything else is said in: types, versions, places in a dump, the window of
//! deliveries in flight, messages. Values and functions from values to values, nothing that waits.

pub mod agreement;
mod checkpoint;
mod clock;
mod download;
pub mod fault;
mod file;
mod finding;
mod first_connection;
mod job;
mod kind;
mod live;
pub mod message;
pub mod metric;
mod position;
mod ranges;
mod record;
mod sha256;
mod sweep;
mod window;

pub use checkpoint::{
    Boundary, Checkpoint, InflatePoint, MemberCheck, PointBeyondBoundary, ResumePoint,
};
pub use clock::{Clock, SystemClock, Timestamp};
pub use download::{HashState, Stamp, Verification};
pub use file::{DumpName, Identity, NameError, Version};
pub use finding::{Finding, Level, parted};
pub use first_connection::{FirstConnection, NoConnection};
pub use job::Job;
pub use kind::{Kind, UnknownKind};
pub use live::{Live, Phase, WaitsFor};
pub use position::{Ending, GzipOffset, Ordinal, Position, Run, XmlOffset};
pub use ranges::Ranges;
pub use record::{BadRecord, Body, Document, Documents, Item, Parsed, Place};
pub use sha256::Sha256;
pub use sweep::{Sweep, Swept};
pub use window::{Confirmed, Delivery, Limits, Window, WindowError};
