//! The text is one that Prometheus reads, with every series that there should be.

mod counted;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use tokio::time::Instant;

use crate::telemetry::metrics::{Family, Kind, catalogue};
use crate::telemetry::render::tests::counted::{begun, busy, labels, quiet};
use crate::telemetry::stats::{Buckets, Class, ErrorReason, Selection};
use crate::telemetry::{Live, Telemetry};

/// A text as it was understood: the value of each series, by the series as it is written.
struct Read {
    families: Vec<&'static Family>,
    series: BTreeMap<String, f64>,
}

/// Reads a text and panics when anything about it is not as it must be.
#[track_caller]
fn read(text: &str) -> Read {
    let mut families: Vec<&'static Family> = Vec::new();
    let mut series = BTreeMap::new();
    let mut lines = text.lines().peekable();
    assert!(text.ends_with('\n'));
    while let Some(line) = lines.next() {
        let family = *catalogue()
            .iter()
            .find(|family| line == format!("# HELP {} {}", family.name, family.help))
            .unwrap_or_else(|| panic!("not the help of any family: {line}"));
        assert!(
            !families.contains(&family),
            "{} is there twice",
            family.name
        );
        families.push(family);
        let kind = format!("# TYPE {} {}", family.name, family.kind.name());
        assert_eq!(lines.next(), Some(&*kind));
        let mut histograms = Histograms::default();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            // A logarithm may be less than nothing.
            let may_be_less = family.name == "tidegate_release_check_evidence";
            assert!(0.0 <= value || may_be_less, "{line}");
            assert!(
                series.insert(name.to_owned(), value).is_none(),
                "{name} is there twice"
            );
            let (name, labels) = split_labels(name);
            if family.kind == Kind::Histogram {
                histograms.add(family, name, labels, value);
            } else {
                assert_eq!(name, family.name);
                let names: Vec<_> = labels.iter().map(|(name, _)| &**name).collect();
                assert_eq!(names, family.labels, "{line}");
            }
        }
        histograms.check();
    }
    Read { families, series }
}

/// Splits a series into its name and its labels, reading escapes as Prometheus does.
#[track_caller]
fn split_labels(series: &str) -> (&str, Vec<(String, String)>) {
    let Some((name, rest)) = series.split_once('{') else {
        return (series, Vec::new());
    };
    let mut labels = Vec::new();
    let mut letters = rest.chars();
    loop {
        let label: String = letters
            .by_ref()
            .take_while(|&letter| letter != '=')
            .collect();
        assert_eq!(letters.next(), Some('"'), "{series}");
        let mut value = String::new();
        loop {
            match letters.next().expect("a label ends with a quote") {
                '"' => break,
                '\\' => value.push(match letters.next() {
                    Some('n') => '\n',
                    Some(letter @ ('"' | '\\')) => letter,
                    other => panic!("escape {other:?} in {series}"),
                }),
                letter => value.push(letter),
            }
        }
        labels.push((label, value));
        match letters.next() {
            Some(',') => {}
            Some('}') => break,
            other => panic!("{other:?} after a label in {series}"),
        }
    }
    assert_eq!(letters.next(), None, "{series}");
    (name, labels)
}

/// The histograms of one family, by their labels without `le`.
#[derive(Default)]
struct Histograms {
    by_labels: BTreeMap<Vec<(String, String)>, Histogram>,
}

#[derive(Default)]
struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

impl Histograms {
    fn add(&mut self, family: &Family, name: &str, mut labels: Vec<(String, String)>, value: f64) {
        let part = name.strip_prefix(family.name).unwrap();
        let le = (part == "_bucket").then(|| labels.pop().unwrap());
        let names: Vec<_> = labels.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, family.labels, "{name}");
        let histogram = self.by_labels.entry(labels).or_default();
        match (part, le) {
            ("_bucket", Some((name, bound))) => {
                assert_eq!(name, "le");
                histogram.buckets.push((bound.parse().unwrap(), value));
            }
            ("_sum", None) => histogram.sum = Some(value),
            ("_count", None) => histogram.count = Some(value),
            _ => panic!("{name} is no part of a histogram"),
        }
    }

    fn check(&self) {
        for (
            labels,
            Histogram {
                buckets,
                sum,
                count,
            },
        ) in &self.by_labels
        {
            assert!(
                buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                "{labels:?}: {buckets:?}"
            );
            let &(bound, all) = buckets.last().unwrap();
            assert_eq!(bound, f64::INFINITY);
            assert_eq!(Some(all), *count);
            assert!(sum.is_some());
        }
    }
}

#[test]
fn every_family_of_the_catalogue_is_rendered_once_and_in_its_order() {
    for telemetry in [quiet(), busy()] {
        let read = read(&telemetry.render(Instant::now()));
        let expected: Vec<_> = catalogue().to_vec();
        assert_eq!(read.families, expected);
    }
}

/// The number of series of a text whose name begins so.
fn n_series(telemetry: &Telemetry, name: &str) -> usize {
    let read = read(&telemetry.render(Instant::now()));
    let series = read.series.keys();
    series.filter(|series| series.starts_with(name)).count()
}

#[test]
fn what_a_first_request_is_missed_by_is_there_before_it_and_the_rest_with_it() {
    let (quiet, begun) = (quiet(), begun());
    for name in [
        "tidegate_requests_total{",
        "tidegate_selections_total{",
        "tidegate_requests_in_flight{",
        "tidegate_tunnels_open{",
        "tidegate_variant_weight{",
        "tidegate_upstream_endpoints{",
    ] {
        assert_ne!(n_series(&quiet, name), 0, "{name}");
        assert_eq!(n_series(&quiet, name), n_series(&begun, name), "{name}");
    }
    for name in [
        "tidegate_request_duration_seconds",
        "tidegate_response_headers_seconds",
        "tidegate_proxy_overhead_seconds",
        "tidegate_errors_total",
        "tidegate_failovers_total",
        "tidegate_upstream_attempts_total",
        "tidegate_retries_total",
    ] {
        assert_eq!(n_series(&quiet, name), 0, "{name}");
        assert_ne!(n_series(&begun, name), 0, "{name}");
    }
}

#[test]
fn of_many_variants_only_pairs_that_failed_over_are_shown() {
    let telemetry = Telemetry::new(1, Buckets::default());
    let registry = telemetry.registry();
    let mut live = Live::default();
    for n in 0..64 {
        let labels = labels(&format!("v{n}"));
        registry.variant(&labels, &[Selection::Hash]);
        live.direct.push(labels);
    }
    let route = registry.route(&labels("v1").route);
    route.shard(0).failover(&"v1".into(), &"v2".into());
    registry.set_live(live, Instant::now());
    assert_eq!(n_series(&telemetry, "tidegate_failovers_total"), 1);
}

#[test]
fn what_has_not_happened_yet_is_there_as_0() {
    let telemetry = begun();
    let read = read(&telemetry.render(Instant::now()));
    let value = |wanted: &str| {
        let found = read.series.iter().filter(|(name, _)| {
            let (name, labels) = split_labels(name);
            let labels: Vec<_> = labels
                .iter()
                .filter(|(name, _)| name != "route" && name != "upstream")
                .map(|(_, value)| &**value)
                .collect();
            format!("{name} {}", labels.join(" ")) == wanted
        });
        let values: Vec<f64> = found.map(|(_, &value)| value).collect();
        assert_eq!(values.len(), 1, "{wanted}");
        values[0]
    };
    for variant in ["stable", "canary"] {
        for selection in ["hash", "forced"] {
            for code in [
                "200 upstream",
                "404 upstream",
                "499 proxy",
                "500 upstream",
                "502 proxy",
            ] {
                let wanted = format!("tidegate_requests_total {variant} {code} {selection}");
                assert_eq!(value(&wanted), 0.0);
            }
            let begun = if selection == "hash" { 1.0 } else { 0.0 };
            let wanted = format!("tidegate_selections_total {variant} {selection}");
            assert_eq!(value(&wanted), begun);
        }
        for reason in ErrorReason::ALL {
            let wanted = format!("tidegate_errors_total {variant} {}", reason.label());
            assert_eq!(value(&wanted), 0.0);
        }
        for class in Class::ALL {
            let class = class.label();
            let wanted = format!("tidegate_variant_judged_requests_total {variant} {class}");
            assert_eq!(value(&wanted), 0.0);
        }
        for outcome in ["success", "failure", "client_closed"] {
            for family in ["request_duration", "response_headers"] {
                let wanted = format!("tidegate_{family}_seconds_count {variant} {outcome}");
                assert_eq!(value(&wanted), 0.0);
            }
        }
        assert_eq!(
            value(&format!("tidegate_requests_in_flight {variant}")),
            1.0
        );
        assert_eq!(value(&format!("tidegate_tunnels_open {variant}")), 0.0);
    }
    assert_eq!(value("tidegate_failovers_total canary stable"), 0.0);
    assert_eq!(value("tidegate_unrouted_requests_total http 404"), 0.0);
    assert_eq!(value("tidegate_variant_weight stable"), 95.0);
    assert_eq!(value("tidegate_variant_share_ratio canary"), 0.05);
    assert_eq!(value("tidegate_variant_state canary off"), 1.0);
    assert_eq!(value("tidegate_variant_state canary on"), 0.0);
    assert_eq!(value("tidegate_upstream_endpoints canary unhealthy"), 1.0);
}

#[test]
fn a_selection_that_is_not_possible_has_no_series() {
    let text = quiet().render(Instant::now());
    assert!(!text.contains("selection=\"draw\""));
    assert!(!text.contains("selection=\"pin\""));
}

#[test]
fn numbers_of_all_workers_are_added() {
    let text = busy().render(Instant::now());
    for line in [
        "code=\"200\",source=\"upstream\",selection=\"draw\"} 2\n",
        "class=\"reset\"} 2\n",
        "class=\"unavailable\"} 1800\n",
        "code=\"9xx\",source=\"proxy\",selection=\"failover\"} 200\n",
        "from=\"stable\",to=\"canary\"} 2\n",
        "tidegate_unrouted_requests_total{listener=\"http\",code=\"414\"} 2\n",
        "tidegate_downstream_connections{listener=\"http\",protocol=\"h2\"} 2\n",
        "tidegate_upstream_connections_closed_total{upstream=\"shop-stable\",reason=\"upstream\"} 2\n",
        "tidegate_config_info{sha256=\"001122334455\"} 1\n",
        "tidegate_access_log_dropped_total 5\n",
        "tidegate_draining 1\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert!(!text.contains("removed-long-ago"));
}

#[test]
fn a_release_is_told_with_what_it_waits_for_and_what_surrounds_it() {
    let text = busy().render(Instant::now());
    let route = r#"route="a \"quoted\\route\"\n",release="shop-2""#;
    for line in [
        format!("tidegate_release_phase{{{route},phase=\"progressing\"}} 1"),
        format!("tidegate_release_phase{{{route},phase=\"aborted\"}} 0"),
        format!("tidegate_release_entered_timestamp_seconds{{{route}}} 1800000000.5"),
        format!("tidegate_release_step{{{route}}} 2"),
        format!("tidegate_release_steps{{{route}}} 5"),
        format!("tidegate_release_weight_ratio{{{route},variant=\"canary\"}} 0.25"),
        format!("tidegate_release_share_ratio{{{route},variant=\"canary\"}} 0.2"),
        format!("tidegate_release_hold{{{route},reason=\"approval\"}} 1"),
        format!("tidegate_release_check_evidence{{{route},check=\"errors\"}} -0.5"),
        format!("tidegate_release_check_evidence_threshold{{{route},check=\"errors\"}} 2"),
        format!("tidegate_release_check_verdict{{{route},check=\"errors\",verdict=\"fail\"}} 0"),
        format!("tidegate_release_work_seconds_total{{{route}}} 90"),
        format!("tidegate_release_wait_seconds_total{{{route},reason=\"approval\"}} 1.5"),
        format!("tidegate_release_review_open{{{route}}} 1"),
        "tidegate_release_transitions_total{route=\"shop\",to=\"aborted\",cause=\"analysis\"} 1"
            .into(),
        "tidegate_release_approvals_total{gate=\"sre\",answer=\"approved\"} 2".into(),
        "tidegate_releases_looked_at_timestamp_seconds 1800000001.25".into(),
        "tidegate_release_conflicts 1".into(),
        "tidegate_drift{route=\"shop\"} 1".into(),
        "tidegate_stop_the_line 1".into(),
        "tidegate_freeze_active{freeze=\"holidays\"} 1".into(),
        "tidegate_freeze_overridden{freeze=\"holidays\"} 1".into(),
        "tidegate_audit_head_seq 1042".into(),
        "tidegate_audit_head_info{hash=\"0011aabb\"} 1".into(),
        "tidegate_store_writable 1".into(),
        "tidegate_store_broken 0".into(),
        "tidegate_store_unwritten_records 3".into(),
        "tidegate_store_commits_total{result=\"done\"} 7".into(),
        "tidegate_notify_sent_total{sink=\"pager\"} 4".into(),
        "tidegate_notify_failed_total{sink=\"pager\"} 5".into(),
        "tidegate_notify_dropped_total{sink=\"pager\"} 6".into(),
        "tidegate_notify_waiting{sink=\"pager\"} 2".into(),
        "tidegate_notify_oldest_seconds{sink=\"pager\"} 2.5".into(),
        "tidegate_dora_deployments{window=\"30d\"} 8".into(),
        "tidegate_dora_lead_time_seconds{window=\"30d\",percentile=\"50\"} 3600".into(),
        "tidegate_dora_change_failure_ratio{window=\"30d\"} 0.125".into(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // What there is no data for is absent, not 0.
    assert!(!text.contains("tidegate_dora_recovery_seconds{"));
}

#[test]
fn without_a_store_nothing_is_told_of_one() {
    let text = quiet().render(Instant::now());
    let told = text.lines().filter(|line| !line.starts_with('#'));
    for line in told {
        for name in [
            "release_",
            "store_",
            "audit_",
            "stop_the_line",
            "dora_",
            "notify_",
        ] {
            assert!(!line.starts_with(&format!("tidegate_{name}")), "{line}");
        }
    }
}

#[test]
fn the_text_is_the_same_when_nothing_has_happened() {
    let telemetry = busy();
    let now = Instant::now();
    let stable = |text: String| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("process_"))
            .map(str::to_owned)
            .collect()
    };
    let first = stable(telemetry.render(now));
    telemetry.upkeep();
    assert_eq!(first, stable(telemetry.render(now)));
}

#[test]
fn a_split_of_two_has_no_more_series_than_the_documents_say() {
    let of_variants = |telemetry: &Telemetry| {
        let read = read(&telemetry.render(Instant::now()));
        let names = read.series.keys();
        let of_variants = |name: &&String| name.contains("variant=\"") && !name.contains("flag=\"");
        names.filter(of_variants).count()
    };
    // 2 variants, each with 7 histograms of 18 series and about 85 plain ones.
    let n_series = of_variants(&begun());
    assert!(n_series <= 2 * 214, "{n_series}");
    // 7 statuses and the selection for each of two ways to be chosen, and 8 of what is live.
    assert_eq!(of_variants(&quiet()), 2 * (2 * (7 + 1) + 8));
}

#[test]
fn promtool_is_content() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: promtool is not installed");
            return;
        }
        child => child.unwrap(),
    };
    let text = busy().render(Instant::now());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
}
