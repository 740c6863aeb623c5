//! What the reader of a file and its delivery share, for one attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::budget::Budget;

/// One reading of a file: what it may have in memory, and how it does.
#[derive(Clone)]
pub struct Reading {
    /// Bounds what is in memory; it tells, too, whether the parse threads have work.
    pub budget: Budget,
    /// Bytes of text that were read only to get to the mark again.
    pub skipped: Arc<AtomicU64>,
    /// Whether the reader waits for bytes that the site has not sent yet.
    pub waits_for_bytes: Arc<AtomicBool>,
}

impl Reading {
    /// A reading that has not begun.
    pub fn new(budget: Budget) -> Reading {
        Reading { budget, skipped: Arc::default(), waits_for_bytes: Arc::default() }
    }
}
