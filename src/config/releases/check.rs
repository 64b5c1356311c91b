//! Reads `[strategy.NAME.check.NAME]`: what is looked at while a candidate serves, and what it is
//! tried with before.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::reader::{Table, Value};
use crate::config::releases::analysis::CHANCE;
use crate::config::releases::test;
use crate::release::analysis::{Bad, Check, Kind, OnFail};
use crate::release::test::Test;

/// What belongs where ways to end badly are.
const BAD: &str = "a list such as [\"5xx\", \"timeout\", \"reset\"]";

/// The ways to end badly, by their words.
pub(in crate::config) const ALL_BAD: [(&str, Bad); 5] = [
    ("5xx", Bad::ServerError),
    ("timeout", Bad::Timeout),
    ("reset", Bad::Reset),
    ("4xx", Bad::ClientError),
    ("grpc", Bad::Grpc),
];

/// Which of them are bad unless told otherwise.
const USUAL: [Bad; 3] = [Bad::ServerError, Bad::Timeout, Bad::Reset];

/// Margins unless told otherwise.
const FAIL_RATIO: f64 = 1.25;
const FAIL_ABS: f64 = 0.002;
const PASS_RATIO: f64 = 2.0;
const PASS_ABS: f64 = 0.005;
/// Where the hard stop is unless told otherwise, and its own chance of being wrong.
const HARD_MAX: f64 = 0.25;
const HARD_ALPHA: f64 = 0.001;
/// The share of mirrored answers that may differ unless told otherwise.
const MISMATCHES: f64 = 0.01;
/// The quantile that is looked at unless told otherwise.
const QUANTILE: f64 = 0.95;

/// What a check is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kinds {
    ErrorRate,
    Latency,
    Absolute,
    Mismatch,
    Http,
    Webhook,
}

const KINDS: [(&str, Kinds); 6] = [
    ("error_rate", Kinds::ErrorRate),
    ("latency", Kinds::Latency),
    ("absolute", Kinds::Absolute),
    ("mismatch", Kinds::Mismatch),
    ("http", Kinds::Http),
    ("webhook", Kinds::Webhook),
];

/// What checks of any kind may have.
const KEYS: [&str; 17] = [
    "on_fail",
    "bad",
    "quantile",
    "fail_ratio",
    "pass_ratio",
    "fail_abs",
    "pass_abs",
    "max",
    "alpha",
    "dry_run",
    "required",
    "requests",
    "url",
    "at",
    "attempts",
    "interval",
    "timeout",
];

/// The checks of a strategy.
#[derive(Default)]
pub(in crate::config::releases) struct Checks {
    /// What is looked at while the candidate serves.
    pub(in crate::config::releases) checks: BTreeMap<String, Check>,
    /// What it is tried with before.
    pub(in crate::config::releases) tests: BTreeMap<String, Test>,
    /// Whether one that is to be a check has problems.
    pub(in crate::config::releases) is_part: bool,
}

/// Reads the section with all of them; `is_judged` is false where there is no analysis.
pub(in crate::config::releases) fn all(section: &Value<'_>, is_judged: bool) -> Checks {
    let mut all = Checks::default();
    section.names(|name, value| {
        let before = all.checks.len() + all.tests.len();
        one(name, value, is_judged, &mut all);
        all.is_part |= before == all.checks.len() + all.tests.len();
        Some(())
    });
    all
}

fn one(name: &str, value: &Value<'_>, is_judged: bool, all: &mut Checks) {
    if let Some(kind) = value.entry("kind")
        && kind.is_text("promql")
    {
        kind.refuse(
            "\"promql\" comes with Prometheus as a source of metrics, which this version does not \
             have; error_rate, latency, absolute and mismatch are counted by the proxy itself, and \
             http and webhook ask others",
        );
        return;
    }
    value.table(|table| {
        let kind = table.required("kind", "what is looked at, such as \"error_rate\",");
        let Some(kind) = kind.and_then(|value| value.choice(&KINDS)) else {
            // Which keys it may have depends on what it is.
            for key in KEYS {
                table.optional(key);
            }
            return None;
        };
        let mut on_fail = OnFail::default();
        table.set("on_fail", &mut on_fail, |value| {
            value.choice(&[("rollback", OnFail::Rollback), ("hold", OnFail::Hold)])
        });
        let kind = match kind {
            Kinds::Http => {
                let test = test::http(table, on_fail)?;
                all.tests.insert(name.to_owned(), test);
                return Some(());
            }
            Kinds::Webhook => {
                let test = test::webhook(table, on_fail)?;
                all.tests.insert(name.to_owned(), test);
                return Some(());
            }
            Kinds::ErrorRate => error_rate(table),
            Kinds::Latency => latency(table),
            Kinds::Absolute => absolute(table),
            Kinds::Mismatch => mismatch(table),
        };
        let (mut dry_run, mut required) = (false, true);
        table.set("dry_run", &mut dry_run, Value::boolean);
        table.set("required", &mut required, Value::boolean);
        if !is_judged {
            table.refuse("has no effect with analysis = false");
            return None;
        }
        let check = Check {
            kind,
            on_fail,
            dry_run,
            required,
        };
        all.checks.insert(name.to_owned(), check);
        Some(())
    });
}

/// What is looked at in a strategy that names nothing.
pub(in crate::config::releases) fn defaults() -> [(&'static str, Check); 3] {
    let check = |kind| Check {
        kind,
        on_fail: OnFail::default(),
        dry_run: false,
        required: true,
    };
    let usual = || BTreeSet::from(USUAL);
    let errors = Kind::ErrorRate {
        bad: usual(),
        fail_ratio: FAIL_RATIO,
        fail_abs: FAIL_ABS,
        pass_ratio: PASS_RATIO,
        pass_abs: PASS_ABS,
    };
    let p95 = Kind::Latency {
        quantile: QUANTILE,
        fail_ratio: FAIL_RATIO,
        fail_abs: 0.0,
        pass_ratio: PASS_RATIO,
    };
    let hard_stop = Kind::Absolute {
        bad: usual(),
        max: HARD_MAX,
        alpha: HARD_ALPHA,
    };
    [
        ("errors", check(errors)),
        ("p95", check(p95)),
        ("hard-stop", check(hard_stop)),
    ]
}

fn error_rate(table: &mut Table<'_>) -> Kind {
    let bad = bad(table);
    let [fail_ratio, pass_ratio] = ratios(table);
    let (mut fail_abs, mut pass_abs) = (FAIL_ABS, PASS_ABS);
    table.set("fail_abs", &mut fail_abs, Value::share);
    table.set("pass_abs", &mut pass_abs, |value| value.between(1e-6..=0.5));
    Kind::ErrorRate {
        bad,
        fail_ratio,
        fail_abs,
        pass_ratio,
        pass_abs,
    }
}

fn latency(table: &mut Table<'_>) -> Kind {
    let mut quantile = QUANTILE;
    table.set("quantile", &mut quantile, |value| {
        value.between(0.01..=0.9999)
    });
    let [fail_ratio, pass_ratio] = ratios(table);
    let mut fail_abs = 0.0;
    table.set("fail_abs", &mut fail_abs, Value::share);
    Kind::Latency {
        quantile,
        fail_ratio,
        fail_abs,
        pass_ratio,
    }
}

fn absolute(table: &mut Table<'_>) -> Kind {
    let bad = bad(table);
    let (mut max, mut alpha) = (HARD_MAX, HARD_ALPHA);
    table.set("max", &mut max, |value| value.between(1e-6..=0.99));
    table.set("alpha", &mut alpha, |value| value.between(CHANCE));
    Kind::Absolute { bad, max, alpha }
}

fn mismatch(table: &mut Table<'_>) -> Kind {
    let mut max = MISMATCHES;
    table.set("max", &mut max, |value| value.between(1e-6..=0.99));
    Kind::Mismatch { max }
}

fn ratios(table: &mut Table<'_>) -> [f64; 2] {
    let mut ratios = [FAIL_RATIO, PASS_RATIO];
    for (key, ratio) in ["fail_ratio", "pass_ratio"].into_iter().zip(&mut ratios) {
        table.set(key, ratio, |value| value.between(1.0..=1000.0));
    }
    ratios
}

fn bad(table: &mut Table<'_>) -> BTreeSet<Bad> {
    let mut bad = BTreeSet::from(USUAL);
    table.set("bad", &mut bad, |value| {
        let named = value.list(BAD, |value| value.choice(&ALL_BAD))?;
        if named.is_empty() {
            value.refuse("empty; at least one way to end badly belongs here");
            return None;
        }
        Some(named.into_iter().collect())
    });
    bad
}
