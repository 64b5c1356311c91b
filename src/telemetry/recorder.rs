//! The numbers off the hot path: reloads, the build, the end. They go through the `metrics` crate.
//!
//! The recorder is a local one and its handles are registered once: the crate's macros would need
//! one recorder for the whole process, which tests would then share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::telemetry::metrics::{self as names, Family, Kind};
use crate::telemetry::stats::Buckets;

/// How many letters of a configuration's hash are shown: enough to tell two apart.
const SHA256_SHOWN: usize = 12;

/// The numbers that the control plane records.
pub struct Recorder {
    handle: PrometheusHandle,
    reloads_applied: Counter,
    reloads_unchanged: Counter,
    reloads_rejected: Counter,
    last_reload_successful: Gauge,
    last_reload_success_timestamp: Gauge,
    generation: Gauge,
    reload_duration: Histogram,
    upgrades_succeeded: Counter,
    upgrades_failed: Counter,
    overloaded: [Gauge; 2],
    draining: Gauge,
    access_log_dropped: Counter,
    /// The hash of the live configuration. The exporter cannot take a series away again, so this
    /// one is not given to it.
    sha256: Mutex<Option<String>>,
}

impl Default for Recorder {
    fn default() -> Self {
        let seconds: Vec<f64> = Buckets::default().seconds().collect();
        let recorder = PrometheusBuilder::new()
            .set_buckets(&seconds)
            .expect("the default bounds are not empty")
            .build_recorder();
        let reloads = |result| counter(&recorder, &names::CONFIG_RELOADS, &[("result", result)]);
        let upgrades = |result| counter(&recorder, &names::UPGRADES, &[("result", result)]);
        let made = Self {
            handle: recorder.handle(),
            reloads_applied: reloads("applied"),
            reloads_unchanged: reloads("unchanged"),
            reloads_rejected: reloads("rejected"),
            last_reload_successful: gauge(&recorder, &names::CONFIG_LAST_RELOAD_SUCCESSFUL, &[]),
            last_reload_success_timestamp: gauge(
                &recorder,
                &names::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP,
                &[],
            ),
            generation: gauge(&recorder, &names::CONFIG_GENERATION, &[]),
            reload_duration: recorder.register_histogram(
                &key(&recorder, &names::CONFIG_RELOAD_DURATION, &[]),
                &METADATA,
            ),
            upgrades_succeeded: upgrades("succeeded"),
            upgrades_failed: upgrades("failed"),
            overloaded: ["memory", "connections"]
                .map(|cause| gauge(&recorder, &names::OVERLOADED, &[("cause", cause)])),
            draining: gauge(&recorder, &names::DRAINING, &[]),
            access_log_dropped: counter(&recorder, &names::ACCESS_LOG_DROPPED, &[]),
            sha256: Mutex::default(),
        };
        gauge(
            &recorder,
            &names::BUILD_INFO,
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                (
                    "revision",
                    option_env!("TIDEGATE_REVISION").unwrap_or("unknown"),
                ),
            ],
        )
        .set(1.0);
        made
    }
}

impl Recorder {
    /// Counts a configuration that became live: the first one, or by a reload.
    pub fn config_applied(&self, generation: u64, sha256: &str, took: Duration, at: SystemTime) {
        self.reloads_applied.increment(1);
        self.generation.set(generation as f64);
        self.reload_duration.record(took.as_secs_f64());
        let sha256 = sha256.chars().take(SHA256_SHOWN).collect();
        *self.sha256.lock().unwrap_or_else(PoisonError::into_inner) = Some(sha256);
        self.reload_succeeded(at);
    }

    /// Tells that the same configuration has other weights now, by a release or by somebody.
    pub fn weights_applied(&self, generation: u64) {
        self.generation.set(generation as f64);
    }

    /// Counts a reload that found the configuration that is live already.
    pub fn config_unchanged(&self, at: SystemTime) {
        self.reloads_unchanged.increment(1);
        self.reload_succeeded(at);
    }

    /// Counts a reload whose configuration was refused.
    pub fn config_rejected(&self) {
        self.reloads_rejected.increment(1);
        self.last_reload_successful.set(0.0);
    }

    /// Counts upgrades, by what came of them.
    pub fn upgrades(&self, succeeded: u64, failed: u64) {
        self.upgrades_succeeded.increment(succeeded);
        self.upgrades_failed.increment(failed);
    }

    /// Notes whether new work is refused, by memory or by connections.
    pub fn overloaded(&self, by_memory: bool, by_connections: bool) {
        for (gauge, is_so) in self.overloaded.iter().zip([by_memory, by_connections]) {
            gauge.set(f64::from(u8::from(is_so)));
        }
    }

    /// Notes that the process is about to end.
    pub fn draining(&self) {
        self.draining.set(1.0);
    }

    /// The counter of access log lines that were dropped.
    pub fn access_log_dropped(&self) -> Counter {
        self.access_log_dropped.clone()
    }

    /// Moves what histograms have recorded into their buckets; without it they would grow.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The hash of the live configuration, as far as it is shown.
    pub(crate) fn sha256(&self) -> Option<String> {
        let sha256 = self.sha256.lock().unwrap_or_else(PoisonError::into_inner);
        sha256.clone()
    }

    /// The text of each family by its name, help and type included, in a stable order.
    pub(crate) fn families(&self) -> HashMap<String, String> {
        let text = self.handle.render();
        let mut families = HashMap::new();
        for block in text.split("\n\n").filter(|block| !block.is_empty()) {
            let mut lines: Vec<_> = block.lines().collect();
            let Some(name) = lines
                .iter()
                .find_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            else {
                continue;
            };
            // The exporter keeps series in a hash map. The lines of a histogram stand in an order
            // that matters, and none has labels here, so only the others are sorted.
            let family = names::catalogue().iter().find(|family| family.name == name);
            if family.is_some_and(|family| family.kind != Kind::Histogram) {
                lines[2..].sort_unstable();
            }
            let mut text = lines.join("\n");
            text.push('\n');
            families.insert(name.to_owned(), text);
        }
        families
    }

    fn reload_succeeded(&self, at: SystemTime) {
        self.last_reload_successful.set(1.0);
        let since_1970 = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.last_reload_success_timestamp
            .set(since_1970.as_secs_f64());
    }
}

/// What `metrics` wants to know of whoever registers.
static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Describes a family and makes the key of one of its series.
fn key(
    recorder: &PrometheusRecorder,
    family: &'static Family,
    labels: &[(&'static str, &'static str)],
) -> Key {
    let (name, help) = (family.name.into(), family.help.into());
    match family.kind {
        Kind::Counter => recorder.describe_counter(name, None, help),
        Kind::Gauge => recorder.describe_gauge(name, None, help),
        Kind::Histogram => recorder.describe_histogram(name, None, help),
    }
    let labels: Vec<Label> = labels
        .iter()
        .map(|&(name, value)| Label::from_static_parts(name, value))
        .collect();
    Key::from_parts(family.name, labels)
}

fn counter(
    recorder: &PrometheusRecorder,
    family: &'static Family,
    labels: &[(&'static str, &'static str)],
) -> Counter {
    recorder.register_counter(&key(recorder, family, labels), &METADATA)
}

fn gauge(
    recorder: &PrometheusRecorder,
    family: &'static Family,
    labels: &[(&'static str, &'static str)],
) -> Gauge {
    recorder.register_gauge(&key(recorder, family, labels), &METADATA)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::telemetry::recorder::Recorder;

    #[track_caller]
    fn check(recorder: &Recorder, family: &str, line: &str) {
        let families = recorder.families();
        let text = &families[family];
        assert!(
            text.lines().any(|found| found == line),
            "{line} not in\n{text}"
        );
    }

    #[test]
    fn reloads_are_counted_by_their_result() {
        let recorder = Recorder::default();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let reloads = "tidegate_config_reloads_total";
        let successful = "tidegate_config_last_reload_successful";
        check(
            &recorder,
            reloads,
            "tidegate_config_reloads_total{result=\"rejected\"} 0",
        );

        recorder.config_applied(7, "0123456789abcdef", Duration::from_millis(2), at);
        check(
            &recorder,
            reloads,
            "tidegate_config_reloads_total{result=\"applied\"} 1",
        );
        check(
            &recorder,
            successful,
            "tidegate_config_last_reload_successful 1",
        );
        check(
            &recorder,
            "tidegate_config_generation",
            "tidegate_config_generation 7",
        );
        assert_eq!(recorder.sha256().as_deref(), Some("0123456789ab"));

        recorder.config_rejected();
        check(
            &recorder,
            reloads,
            "tidegate_config_reloads_total{result=\"rejected\"} 1",
        );
        check(
            &recorder,
            successful,
            "tidegate_config_last_reload_successful 0",
        );

        recorder.config_unchanged(at + Duration::from_secs(1));
        check(
            &recorder,
            successful,
            "tidegate_config_last_reload_successful 1",
        );
        check(
            &recorder,
            "tidegate_config_last_reload_success_timestamp_seconds",
            "tidegate_config_last_reload_success_timestamp_seconds 1001",
        );
        check(
            &recorder,
            "tidegate_config_reload_duration_seconds",
            "tidegate_config_reload_duration_seconds_bucket{le=\"0.0025\"} 1",
        );
    }
}
