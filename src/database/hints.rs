//! Hints that more than one kind of sink gives.

/// Of a full disk.
pub const FULL: &str =
    "free some space, then start again: it goes on where it was and nothing is lost";

/// Of a place that may only be read.
pub const READ_ONLY: &str =
    "it lies on a read-only disk or may not be written: choose another place, or make it writable";

/// Of a place that is refused.
pub const DENIED: &str = "let the user this runs as write there, or choose another place";
