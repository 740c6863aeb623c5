//! The platform's own environment variables: those that mean nothing here are named in one
//! warning, those that would change what goes out are refused.

/// Known to the platform and without meaning here.
const MEANINGLESS: [&str; 20] = [
    "BATCH_SIZE",
    "QUEUE_SIZE",
    "STATE_SAVE_INTERVAL",
    "PROGRESS_LOG_INTERVAL",
    "FAILURE_COOLDOWN_SECS",
    "STARTUP_DELAY",
    "STUCK_CHECK_INTERVAL",
    "STARTUP_IDLE_TIMEOUT",
    "IDLE_LOG_INTERVAL",
    "NEO4J_BATCH_MODE",
    "NEO4J_BATCH_SIZE",
    "NEO4J_BATCH_FLUSH_INTERVAL",
    "POSTGRES_BATCH_MODE",
    "POSTGRES_BATCH_SIZE",
    "POSTGRES_BATCH_FLUSH_INTERVAL",
    "POSTGRES_POOL_MIN_SIZE",
    "POSTGRES_POOL_MAX_SIZE",
    "RUST_EXTRACTOR_CONFIG",
    "MUSICBRAINZ_ROOT",
    "MUSICBRAINZ_EXCHANGE_PREFIX",
];

/// The names of the set variables that have no meaning here.
pub fn meaningless(is_set: impl Fn(&str) -> bool) -> Vec<&'static str> {
    MEANINGLESS.into_iter().filter(|name| is_set(name)).collect()
}

/// Why the environment cannot be served, if it cannot.
pub fn refusal(value: impl Fn(&str) -> Option<String>) -> Option<String> {
    if value("DATA_QUALITY_RULES").is_some_and(|rules| !rules.is_empty()) {
        return Some(
            "DATA_QUALITY_RULES is set, and rules would change what goes out: records would be \
             missing and hashes would differ\nhint: unset DATA_QUALITY_RULES; every record is \
             delivered as it stands in the dump"
                .into(),
        );
    }
    let source = value("EXTRACTOR_SOURCE").filter(|source| !source.is_empty());
    let other = source.filter(|source| !source.eq_ignore_ascii_case("discogs"))?;
    Some(format!(
        "EXTRACTOR_SOURCE is {other:?}, and only Discogs dumps are read here\nhint: unset \
         EXTRACTOR_SOURCE, and keep the platform's own extractor for other sources"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_records_is_refused_and_the_rest_is_named() {
        let env = |name: &str| match name {
            "EXTRACTOR_SOURCE" => Some("musicbrainz".to_owned()),
            "BATCH_SIZE" => Some("100".to_owned()),
            _ => None,
        };
        assert_eq!(meaningless(|name| env(name).is_some()), ["BATCH_SIZE"]);
        assert!(refusal(env).unwrap().contains("musicbrainz"));
        assert!(refusal(|n| (n == "DATA_QUALITY_RULES").then(|| "/r.yaml".into())).is_some());
        assert!(refusal(|n| (n == "EXTRACTOR_SOURCE").then(|| "discogs".into())).is_none());
        assert!(refusal(|_| None).is_none());
    }
}
