//! Dumps on their way from a site into a folder, resumed after any stop. It joins the site and the
//! file (`dump`) with what is known of them (`state`): the store is never ahead of the disk.

mod arrived;
mod context;
mod disk;
mod error;
mod fetch;
mod here;
mod intake;
mod outstanding;
mod transfer;

pub use arrived::{Arrived, ArrivedState, Fetched};
pub use context::{DownloadLimits, Downloads, TRIES};
pub use error::DownloadError;
