//! The names of what is measured, in Prometheus' conventions. Whoever measures uses the `metrics`
//! facade; without a recorder that costs next to nothing.

/// Histogram by `type`: seconds from sending a message to the broker's confirm.
pub const CONFIRM_SECONDS: &str = "discogs_extractor_confirm_seconds";
/// Counter by `type`: messages that this process sent again.
pub const REPEATS: &str = "discogs_extractor_repeats_total";
/// Counter: times the broker was connected to after it was lost.
pub const RECONNECTS: &str = "discogs_extractor_broker_reconnects_total";
/// Counter: seconds that the broker was away or took nothing.
pub const BLOCKED_SECONDS: &str = "discogs_extractor_broker_blocked_seconds_total";
