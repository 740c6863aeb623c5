//! `discogs-extractor` reads the monthly Discogs dumps, turns every record into a canonical JSON
//! document, delivers it, and knows at every moment how far each file has got.
//!
//! The modules stand in layer order: each may import only those above it, as the table in
//! `docs/ARCHITECTURE.md` says and `tests/tidy.rs` checks.

pub mod model;
// layer 1: siblings that know only `model`
pub mod amqp;
pub mod database;
pub mod dump;
pub mod gzip;
pub mod record;
pub mod sample;
pub mod state;
// layer 2
pub mod graph;
pub mod observe;
// layer 3
pub mod consume;
pub mod sink;
// layer 4
pub mod pipeline;
pub mod tui;
// layer 5
pub mod daemon;
// layer 6
pub mod cli;
