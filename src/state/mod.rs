//! The store: what is known of every file of every job, durable. sled stays behind this door, in `disk`.
//!
//! A state directory holds `store/` (sled), `lock` (who owns it), `state.jsonl` (the snapshot that
//! `state repair` rebuilds from), `bad-records/` and, while it has an owner, `control.sock`.

mod disk;
mod download;
mod error;
mod folder;
mod forced;
mod holder;
mod keeper;
mod layout;
mod ledger;
pub mod lifecycle;
mod lock;
mod memory;
mod open;
mod outbox;
mod rebuild;
mod rows;
mod snapshot;
mod store;
mod trees;
mod upgrade;
pub mod view;

pub use disk::{Compacted, is_guarded};
pub use download::{Download, DownloadKey, DownloadStatus};
pub use error::StateError;
pub use forced::{ForceWord, Forced, ForcedPass, Token};
pub use holder::Holder;
pub use keeper::{Keeper, Pending};
pub use layout::{FORMAT, FileKey};
pub use ledger::{Advance, Begun, Followed};
pub use lifecycle::{Beginning, FileState, Illegal, Status, Written};
pub use memory::Memory;
pub use open::open_for_inspection;
pub use outbox::{OutboxId, Owed, Owes};
pub use rebuild::{Repaired, compact, import, repair};
pub use snapshot::export;
pub use view::Inspection;
