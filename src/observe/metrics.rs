use std::fmt::Write;

use metrics::{Label, counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::model::{Kind, Timestamp, metric};

use super::{ExtractionStatus, FileNow, PROGRAM_VERSION, Snapshot};

/// Upper bounds of the buckets, in seconds: a commit on a fast disk takes one millisecond, and
/// what takes a minute has other troubles.
const SECONDS: [f64; 15] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What a metric counts like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It is what it is at the moment of asking.
    Gauge,
    /// How often it took how long.
    Histogram,
}

/// One metric as `/metrics` explains it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it counts.
    pub kind: Type,
    /// Its label, if it has one.
    pub label: Option<&'static str>,
    /// What it means.
    pub help: &'static str,
}

/// All there are.
pub const METRICS: [Metric; 25] = [
    counts(metric::RECORDS, TYPE, "Records delivered by this process."),
    counts(metric::BAD_RECORDS, TYPE, "Records set aside by this process."),
    counts(metric::GZIP_BYTES, TYPE, "Compressed bytes read by this process."),
    counts(metric::DOWNLOAD_BYTES, TYPE, "Compressed bytes downloaded by this process."),
    counts(metric::DOWNLOAD_RETRIES, TYPE, "Times a download broke off and was asked for again."),
    counts(metric::REPEATS, TYPE, "Messages sent again by this process."),
    counts(metric::RECONNECTS, None, "Times the broker was connected to after it was lost."),
    counts(metric::BLOCKED_SECONDS, None, "Seconds that the broker was away or took nothing."),
    times(
        metric::CONFIRM_SECONDS,
        TYPE,
        "Time from sending a message to the broker's confirm, of some messages.",
    ),
    times(metric::COMMIT_SECONDS, None, "Time until what was written to the store was durable."),
    counts(metric::POISON, TYPE, "Messages that this process sent to the dead letters."),
    counts(metric::MANY_DELIVERIES, TYPE, "Messages that came for the sixteenth time or more."),
    times(metric::BATCH_SECONDS, TYPE, "Time until a batch of messages was committed."),
    shows(metric::STATUS, Some("status"), "1 for what is going on, 0 for the others."),
    shows(metric::IN_FLIGHT, TYPE, "Records sent that the mark has not passed."),
    shows(metric::MARK_LAG, TYPE, "Seconds since the mark moved while something is in flight."),
    shows(metric::LAST_ACTIVITY, TYPE, "When something last moved, in Unix time."),
    shows(metric::COMPLETION, TYPE, "When the dump was complete, in Unix time."),
    shows(metric::STALLED, TYPE, "1 if the extraction is stalled, else 0."),
    shows(metric::DUMP_SIZE, TYPE, "Bytes of the compressed dump."),
    shows(metric::DUMP_OFFSET, TYPE, "Bytes of the compressed dump that are done."),
    shows(
        metric::DOWNLOAD_OFFSET,
        TYPE,
        "Bytes of the compressed dump that are downloaded, while they are.",
    ),
    shows(metric::OWED, None, "Messages and sweeps that are owed."),
    shows(metric::BUILD_INFO, Some("version"), "Always 1; the program's version is the label."),
    shows(metric::PROCESS_START, None, "When this process began, in Unix time."),
];

const TYPE: Option<&str> = Some("type");

const fn counts(name: &'static str, label: Option<&'static str>, help: &'static str) -> Metric {
    Metric { name, kind: Type::Counter, label, help }
}

const fn times(name: &'static str, label: Option<&'static str>, help: &'static str) -> Metric {
    Metric { name, kind: Type::Histogram, label, help }
}

const fn shows(name: &'static str, label: Option<&'static str>, help: &'static str) -> Metric {
    Metric { name, kind: Type::Gauge, label, help }
}

impl Type {
    /// Prometheus' word.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        }
    }
}

/// The handle to what this process counts. Gauges are not kept in it: they are made of a snapshot
/// when somebody asks, so that none outlives what it is about.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: PrometheusHandle,
    began: Timestamp,
}

impl Metrics {
    /// Begins to record what the program counts. Every counter is there from the start, at 0.
    ///
    /// # Errors
    /// If this process records already.
    pub fn install(began: Timestamp) -> Result<Metrics, BuildError> {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
        for Metric { name, kind, label, help } in METRICS {
            // What is not there before the first of it looks like a reset when it comes.
            match kind {
                Type::Counter => {
                    describe_counter!(name, help);
                    series(label).for_each(|labels| drop(counter!(name, labels)));
                }
                Type::Histogram => {
                    describe_histogram!(name, help);
                    series(label).for_each(|labels| drop(histogram!(name, labels)));
                }
                Type::Gauge => {}
            }
        }
        Ok(Metrics { recorder, began })
    }

    /// Puts what was recorded into its buckets. Without that every few seconds, or somebody who
    /// asks, memory grows.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }

    /// Everything in Prometheus' text format. How much is owed may not be known.
    pub fn render(&self, snapshot: &Snapshot, owed: Option<usize>, now: Timestamp) -> String {
        let mut samples = gauges(snapshot, owed, now);
        samples.push(Sample { name: metric::PROCESS_START, label: None, value: unix(self.began) });
        let mut text = self.recorder.render();
        write_gauges(&mut text, &samples);
        text
    }
}

/// The labels of each series that what is counted has: one for each type, or one without.
fn series(label: Option<&'static str>) -> impl Iterator<Item = Vec<Label>> {
    let each = label.map(|label| Kind::ALL.map(|kind| vec![Label::new(label, kind.name())]));
    each.map_or(vec![Vec::new()], Vec::from).into_iter()
}

/// The value of a gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    name: &'static str,
    /// The label's value.
    label: Option<&'static str>,
    value: f64,
}

/// The gauges of a moment. What is not known has none.
fn gauges(snapshot: &Snapshot, owed: Option<usize>, now: Timestamp) -> Vec<Sample> {
    let mut samples = Vec::new();
    let status = ExtractionStatus::of(snapshot);
    for each in ExtractionStatus::ALL {
        let value = f64::from(u8::from(each == status));
        samples.push(Sample { name: metric::STATUS, label: Some(each.name()), value });
    }
    // A snapshot is of one version: a type has one file.
    for file in Kind::ALL.into_iter().filter_map(|kind| snapshot.of(kind).next()) {
        let mut sample = |name, value| {
            samples.push(Sample { name, label: Some(file.name.kind.name()), value });
        };
        let in_flight = if file.active() { file.live.in_flight } else { 0 };
        sample(metric::IN_FLIGHT, number(in_flight as u64));
        sample(metric::MARK_LAG, mark_lag(file, in_flight, now));
        sample(metric::STALLED, f64::from(u8::from(file.is_stalled())));
        if let Some(at) = file.last_activity() {
            sample(metric::LAST_ACTIVITY, unix(at));
        }
        if let Some(at) = file.completed_at {
            sample(metric::COMPLETION, unix(at));
        }
        if file.size > 0 {
            sample(metric::DUMP_SIZE, number(file.size));
            sample(metric::DUMP_OFFSET, number(file.bytes_done()));
        }
        if let Some(bytes) = file.downloaded {
            sample(metric::DOWNLOAD_OFFSET, number(bytes));
        }
    }
    if let Some(owed) = owed {
        samples.push(Sample { name: metric::OWED, label: None, value: number(owed as u64) });
    }
    samples.push(Sample { name: metric::BUILD_INFO, label: Some(PROGRAM_VERSION), value: 1.0 });
    samples
}

fn mark_lag(file: &FileNow, in_flight: usize, now: Timestamp) -> f64 {
    let moved = file.live.last_activity.filter(|_| in_flight > 0);
    moved.map_or(0.0, |at| now.since(at).as_secs_f64())
}

/// Every gauge with its explanation, and its samples if there are any. No label's value has a
/// character that must be escaped.
fn write_gauges(text: &mut String, samples: &[Sample]) {
    for Metric { name, kind, label, help } in METRICS {
        if kind != Type::Gauge {
            continue;
        }
        // Writing to a string cannot fail.
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        for sample in samples.iter().filter(|sample| sample.name == name) {
            _ = match (label, sample.label) {
                (Some(label), Some(value)) => {
                    writeln!(text, "{name}{{{label}=\"{value}\"}} {}", sample.value)
                }
                _ => writeln!(text, "{name} {}", sample.value),
            };
        }
        text.push('\n');
    }
}

fn unix(at: Timestamp) -> f64 {
    number(at.0) / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DumpName, GzipOffset, Live, Phase};
    use crate::observe::{Speed, Stage};

    const NOW: Timestamp = Timestamp(1_767_323_045_500);

    fn text(snapshot: &Snapshot) -> String {
        let mut text = String::new();
        write_gauges(&mut text, &gauges(snapshot, Some(2), NOW));
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .fold(String::new(), |all, line| {
                all + line.trim_start_matches("discogs_extractor_") + "\n"
            })
    }

    #[test]
    fn gauges_are_those_of_the_moment_and_what_is_unknown_has_none() {
        let live = Live {
            phase: Phase::Extracting,
            gzip: GzipOffset(40),
            in_flight: 7,
            last_activity: Some(Timestamp(NOW.0 - 2_500)),
            ..Live::PENDING
        };
        let name = DumpName { version: "20260101".parse().unwrap(), kind: Kind::Labels };
        let file = FileNow {
            name,
            size: 100,
            downloaded: None,
            live,
            completed_at: None,
            stalled: true,
            speed: Speed::default(),
        };
        let snapshot = Snapshot { stage: Stage::Running, files: vec![file.clone()] };
        let expected = format!(
            "extraction_status{{status=\"idle\"}} 0\n\
             extraction_status{{status=\"running\"}} 1\n\
             extraction_status{{status=\"completed\"}} 0\n\
             extraction_status{{status=\"waiting\"}} 0\n\
             extraction_status{{status=\"failed\"}} 0\n\
             in_flight_records{{type=\"labels\"}} 7\n\
             mark_lag_seconds{{type=\"labels\"}} 2.5\n\
             last_activity_timestamp_seconds{{type=\"labels\"}} 1767323043\n\
             stalled{{type=\"labels\"}} 1\n\
             dump_size_bytes{{type=\"labels\"}} 100\n\
             dump_offset_bytes{{type=\"labels\"}} 40\n\
             owed 2\n\
             build_info{{version=\"{PROGRAM_VERSION}\"}} 1\n"
        );
        assert_eq!(text(&snapshot), expected);
        let live = Live { phase: Phase::Complete, ..file.live.clone() };
        let done = FileNow { live, completed_at: Some(NOW), ..file };
        let text = text(&Snapshot { stage: Stage::Waiting(NOW), files: vec![done] });
        for line in [
            "extraction_status{status=\"completed\"} 1",
            "in_flight_records{type=\"labels\"} 0",
            "mark_lag_seconds{type=\"labels\"} 0",
            "stalled{type=\"labels\"} 0",
            "completion_timestamp_seconds{type=\"labels\"} 1767323045.5",
            "dump_offset_bytes{type=\"labels\"} 100",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn without_a_file_there_is_no_series_of_its_type() {
        let text = text(&Snapshot::default());
        assert!(!text.contains("type="), "{text}");
    }
}
