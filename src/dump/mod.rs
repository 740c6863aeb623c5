//! The dumps: which there are, here and at a site, which belong together, what makes one the same
//! as before, and how one is fetched.
//!
//! Pure: `listing`, `seek`, `remote`, `checksums` (what there is), `answer`, `backoff` (what to do
//! next). `http` and `shelf` are the sites behind the trait [`Site`]; `part` is the file on its way.

mod address;
mod answer;
mod backoff;
mod catalogue;
mod checksums;
mod hash;
mod http;
mod identity;
mod listing;
mod part;
mod rate;
mod remote;
mod seek;
mod shelf;
mod site;

pub use address::open_site;
pub use answer::{Answer, Held, Verdict, judge};
pub use backoff::{jitter, rest};
pub use catalogue::{CatalogueError, Choice, Dump, choose, find};
pub use checksums::{Checksums, checksums_name, checksums_of};
pub use hash::{RunningHash, hash_file, stamp};
pub use identity::identify;
pub use part::{Order, Part, PartError, PartLock, Synced};
pub use rate::RateLimit;
pub use remote::{Needs, NoVersion, RemoteDump, RemoteVersion, pick};
pub use seek::Wanted;
pub use site::{Broken, Opened, Site, SiteError, without_secrets};
