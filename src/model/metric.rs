//! The names of what is measured, in Prometheus' conventions. Whoever measures uses the `metrics`
//! facade; without a recorder that costs next to nothing. What each of them means is told in
//! `observe/metrics`.

/// Counter by `type`: records that this process delivered.
pub const RECORDS: &str = "discogs_extractor_records_total";
/// Counter by `type`: records that this process set aside.
pub const BAD_RECORDS: &str = "discogs_extractor_bad_records_total";
/// Counter by `type`: compressed bytes that this process read.
pub const GZIP_BYTES: &str = "discogs_extractor_gzip_bytes_total";
/// Counter by `type`: compressed bytes that this process downloaded.
pub const DOWNLOAD_BYTES: &str = "discogs_extractor_download_bytes_total";
/// Counter by `type`: times that a download of this process broke off and was asked for again.
pub const DOWNLOAD_RETRIES: &str = "discogs_extractor_download_retries_total";
/// Histogram by `type`: seconds from sending a message to the broker's confirm.
pub const CONFIRM_SECONDS: &str = "discogs_extractor_confirm_seconds";
/// Counter by `type`: messages that this process sent again.
pub const REPEATS: &str = "discogs_extractor_repeats_total";
/// Counter: times the broker was connected to after it was lost.
pub const RECONNECTS: &str = "discogs_extractor_broker_reconnects_total";
/// Counter: seconds that the broker was away or took nothing.
pub const BLOCKED_SECONDS: &str = "discogs_extractor_broker_blocked_seconds_total";
/// Histogram: seconds until what was written to the store was durable.
pub const COMMIT_SECONDS: &str = "discogs_extractor_state_commit_seconds";

/// Gauge by `status`: 1 for what is going on, 0 for the others.
pub const STATUS: &str = "discogs_extractor_extraction_status";
/// Gauge by `type`: records sent that the mark has not passed.
pub const IN_FLIGHT: &str = "discogs_extractor_in_flight_records";
/// Gauge by `type`: seconds since the mark moved, while something is in flight.
pub const MARK_LAG: &str = "discogs_extractor_mark_lag_seconds";
/// Gauge by `type`: when something last moved.
pub const LAST_ACTIVITY: &str = "discogs_extractor_last_activity_timestamp_seconds";
/// Gauge by `type`: when the dump was complete.
pub const COMPLETION: &str = "discogs_extractor_completion_timestamp_seconds";
/// Gauge by `type`: 1 if it is stalled, else 0.
pub const STALLED: &str = "discogs_extractor_stalled";
/// Gauge by `type`: bytes of the compressed dump.
pub const DUMP_SIZE: &str = "discogs_extractor_dump_size_bytes";
/// Gauge by `type`: how many of them are done.
pub const DUMP_OFFSET: &str = "discogs_extractor_dump_offset_bytes";
/// Gauge by `type`: how many of them are downloaded, while they are.
pub const DOWNLOAD_OFFSET: &str = "discogs_extractor_download_offset_bytes";
/// Gauge: messages and sweeps that are owed.
pub const OWED: &str = "discogs_extractor_owed";
/// Gauge by `version`: always 1.
pub const BUILD_INFO: &str = "discogs_extractor_build_info";
/// Gauge: when this process began. The name is Prometheus' own.
pub const PROCESS_START: &str = "process_start_time_seconds";

/// Messages that a consumer could not handle, by type.
pub const POISON: &str = "discogs_extractor_poison_messages_total";
/// Messages that came to a consumer for the sixteenth time or more, by type.
pub const MANY_DELIVERIES: &str = "discogs_extractor_many_deliveries_total";
/// Time from gathering a consumer's batch to its commit, by type.
pub const BATCH_SECONDS: &str = "discogs_extractor_batch_seconds";
