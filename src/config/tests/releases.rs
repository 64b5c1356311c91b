//! Releases, strategies, gates and freezes: what is read of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::tests::{config, read};
use crate::config::{Config, OnStateLost, load};
use crate::release::analysis::{self, Bad, Baseline, OnFail, OnInsufficient};
use crate::release::freeze::{Act, Pattern, Window};
use crate::release::gate::{Criterion, Grade, OnTimeout};
use crate::release::percent::Percent;
use crate::release::readiness::{ChangeType, Document, Risk};
use crate::release::spec::Start;
use crate::release::strategy::{Action, Kind, OnDeadline, Requirement, Salt, Strategy};
use crate::release::test::TestKind;

/// A route with two variants, for releases.
pub(in crate::config::tests) const ROUTE: &str = "[route.shop.split]\n\
    v1 = { upstream = \"base\", weight = 100 }\nv2 = { upstream = \"base\", weight = 0 }\n";

pub(in crate::config::tests) fn requirements(strategy: &Strategy) -> Vec<Requirement> {
    strategy.steps.iter().map(|step| step.require).collect()
}

pub(in crate::config::tests) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(in crate::config::tests) fn weight(percent: f64) -> Action {
    Action::Weight(Percent::new(percent).unwrap())
}

/// What the plan of the release plane shows, but for sources and sinks.
const ALL: &str = r#"
[cluster]
id = "prod-eu"

[store]
kind = "file"
path = "state"
on_state_lost = "refuse-to-start"

[release."payments-5.1.0"]
route = "pay"
stable = "v1"
candidate = "v2"
strategy = "swap"

[release."checkout-2.4.0+build.7"]
route = "shop"
stable = "v1"
candidate = "v2"
artifact = "pkg:oci/checkout@sha256:abc"
commit = "9f1c"
commit_time = 2026-11-20T10:11:12Z
author = "Ana <ana@example.com>"
change = { type = "standard", ticket = "CHG-1042", risk = "medium" }
notes = "what changes"
rollback_plan = "abort"
procedure = "wait"
not_before = 2026-11-24T10:00:00+01:00
strategy = "canary-default"
after = ["payments-5.1.0"]
start = "manual"
rework_of = "checkout-2.3.9"

[strategy.swap]
kind = "blue-green"

[strategy.canary-default]
kind = "canary"
salt = "shared:checkout"
deadline = "6h"
on_deadline = "abort"
rollback_window = "12h"
min_healthy = { endpoints = 2, percent = 75 }
start_gate = "cab"
requires = ["notes", "ticket"]
steps = [
  { preview = true, match = { headers = { X-Canary = "1" } } },
  { mirror = 10, for = "10m", methods = ["GET", "HEAD"] },
  { weight = 0.25,  for = "10m", require = "no-regression" },
  { weight = 5,  for = "20m" },
  { weight = 25, for = "30m", require = "proven" },
  { weight = 50, for = "30m", gate = "sre" },
  { weight = 100, bake = "30m", gate = "promote" },
]

[strategy.canary-default.analysis]
source = "local"
interval = "10s"
warmup = "0s"
alpha = 0.02
beta_pass = 0.1
baseline = "slice"
aa_guard = false
max_wait = "1h"
on_insufficient = "pass"
on_no_data = "rollback"
on_source_down = "rollback"

[strategy.canary-default.check.errors]
kind = "error_rate"
bad = ["5xx", "4xx", "grpc"]
fail_ratio = 1.5
fail_abs = 0.003
pass_ratio = 3
pass_abs = 0.006
on_fail = "hold"

[strategy.canary-default.check.p99]
kind = "latency"
quantile = 0.99
required = false

[strategy.canary-default.check.hard-stop]
kind = "absolute"
bad = ["5xx"]
max = 0.5
alpha = 0.0001

[strategy.canary-default.check.same]
kind = "mismatch"
max = 0.02
dry_run = true

[strategy.canary-default.check.smoke]
kind = "http"
at = "preview"
requests = [{ method = "POST", path = "/healthz?deep=1", headers = { x-a = "b" }, body = "{}", expect = { status = 201, contains = "ok" } }]

[strategy.canary-default.check.ask]
kind = "webhook"
url = "https://ci.internal/tests"
attempts = 1
interval = "1s"
timeout = "2m"

[gate.sre]
roles = ["sre"]
approvals = 2
distinct_from_author = false
expires = "12h"
on_timeout = "abort"
criteria = ["verdict>=no-regression", "notes", "check:smoke", "release:payments-5.1.0"]
[gate.promote]
[gate.cab]

[freeze.xmas]
kind = "deny"
from = 2026-12-20T00:00:00Z
to = 2027-01-03T00:00:00Z
blocks = ["start", "flag"]
routes = ["shop", "pa*"]
override_roles = []
[freeze.office-hours]
kind = "allow"
weekly = { days = ["mon", "tue"], from = "09:00", to = "24:00" }
tz = "Europe/Berlin"

[route.shop]
match = { path = "/shop" }
[route.shop.split]
v1 = { upstream = "base", weight = 100 }
v2 = { upstream = "base", weight = 0 }
[route.pay]
match = { path = "/pay" }
[route.pay.split]
v1 = { upstream = "base", weight = 1 }
v2 = { upstream = "base", weight = 0 }
v3 = { upstream = "base", weight = 0 }
"#;

#[test]
fn every_key_of_a_release_means_something() {
    let releases = config(ALL).releases;
    assert_eq!(releases.cluster, "prod-eu");
    assert_eq!(releases.store.path, PathBuf::from("/etc/tidegate/state"));
    assert_eq!(releases.store.on_state_lost, OnStateLost::RefuseToStart);
    let spec = &releases.specs["checkout-2.4.0+build.7"];
    assert_eq!(spec.id, "checkout-2.4.0+build.7");
    assert_eq!((&*spec.stable, &*spec.candidate), ("v1", "v2"));
    assert_eq!(
        spec.artifact.as_deref(),
        Some("pkg:oci/checkout@sha256:abc")
    );
    assert_eq!(spec.commit.as_deref(), Some("9f1c"));
    assert_eq!(spec.author.as_deref(), Some("Ana <ana@example.com>"));
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(spec.commit_time, at(1_795_169_472));
    assert_eq!(spec.not_before, at(1_795_510_800));
    assert_eq!(spec.change, ChangeType::Standard);
    assert_eq!(spec.risk, Some(Risk::Medium));
    assert_eq!(spec.documents.ticket.as_deref(), Some("CHG-1042"));
    assert_eq!(spec.documents.notes.as_deref(), Some("what changes"));
    assert_eq!(spec.documents.rollback_plan.as_deref(), Some("abort"));
    assert_eq!(spec.documents.procedure.as_deref(), Some("wait"));
    assert_eq!(spec.after, ["payments-5.1.0"]);
    assert_eq!(spec.rework_of.as_deref(), Some("checkout-2.3.9"));
    assert_eq!(spec.start, Start::Manual);
    assert_eq!(spec.strategy, releases.strategies["canary-default"]);
    assert_eq!(releases.specs["payments-5.1.0"].start, Start::Auto);
}

#[test]
fn every_key_of_a_strategy_means_something() {
    let strategy = &config(ALL).releases.strategies["canary-default"];
    assert_eq!(strategy.name, "canary-default");
    assert_eq!(strategy.kind, Kind::Canary);
    assert_eq!(strategy.salt, Salt::Shared("checkout".to_owned()));
    assert_eq!(strategy.deadline, Some(minutes(360)));
    assert_eq!(strategy.on_deadline, OnDeadline::Abort);
    assert_eq!(strategy.rollback_window, minutes(720));
    assert_eq!(strategy.min_healthy.endpoints, 2);
    assert_eq!(strategy.min_healthy.share, Percent::new(75.0).unwrap());
    assert_eq!(strategy.start_gate.as_deref(), Some("cab"));
    assert_eq!(strategy.requires, [Document::Notes, Document::Ticket]);
    let actions: Vec<&Action> = strategy.steps.iter().map(|step| &step.action).collect();
    let Action::Preview(preview) = actions[0] else {
        panic!("{actions:?}");
    };
    assert_eq!(preview.headers["x-canary"], "1");
    let Action::Mirror(mirror) = actions[1] else {
        panic!("{actions:?}");
    };
    assert_eq!(mirror.percent, Percent::new(10.0).unwrap());
    assert_eq!(mirror.methods, ["GET", "HEAD"]);
    let weights = [0.25, 5.0, 25.0, 50.0, 100.0].map(weight);
    assert_eq!(actions[2..], weights.iter().collect::<Vec<_>>());
    let times: Vec<Duration> = strategy.steps.iter().map(|step| step.at_least).collect();
    assert_eq!(times, [0, 10, 10, 20, 30, 30, 30].map(minutes));
    let gates: Vec<Option<&str>> = strategy
        .steps
        .iter()
        .map(|step| step.gate.as_deref())
        .collect();
    assert_eq!(gates[5..], [Some("sre"), Some("promote")]);
    assert_eq!(
        requirements(strategy),
        [
            Requirement::NotFailed,
            Requirement::NotFailed,
            Requirement::NoRegression,
            Requirement::NoRegression,
            Requirement::Proven,
            Requirement::Proven,
            Requirement::NotFailed,
        ]
    );
}

#[test]
fn every_key_of_an_analysis_means_something() {
    let strategy = &config(ALL).releases.strategies["canary-default"];
    let analysis = &strategy.analysis;
    assert_eq!(analysis.interval, Duration::from_secs(10));
    assert_eq!(analysis.warmup, Duration::ZERO);
    assert_eq!((analysis.alpha, analysis.beta_pass), (0.02, 0.1));
    assert_eq!(analysis.baseline, Baseline::Slice);
    assert!(!analysis.aa_guard);
    assert_eq!(analysis.max_wait, minutes(60));
    assert_eq!(analysis.on_insufficient, OnInsufficient::Pass);
    assert_eq!(analysis.on_no_data, analysis::OnMissing::Rollback);
    assert_eq!(analysis.on_source_down, analysis::OnMissing::Rollback);
    let checks = &analysis.checks;
    assert_eq!(checks.len(), 4);
    assert_eq!(
        checks["errors"].kind,
        analysis::Kind::ErrorRate {
            bad: BTreeSet::from([Bad::ServerError, Bad::ClientError, Bad::Grpc]),
            fail_ratio: 1.5,
            fail_abs: 0.003,
            pass_ratio: 3.0,
            pass_abs: 0.006,
        }
    );
    assert_eq!(checks["errors"].on_fail, OnFail::Hold);
    assert_eq!(
        checks["p99"].kind,
        analysis::Kind::Latency {
            quantile: 0.99,
            fail_ratio: 1.25,
            fail_abs: 0.0,
            pass_ratio: 2.0,
        }
    );
    assert!(!checks["p99"].required && checks["errors"].required);
    assert_eq!(
        checks["hard-stop"].kind,
        analysis::Kind::Absolute {
            bad: BTreeSet::from([Bad::ServerError]),
            max: 0.5,
            alpha: 0.0001,
        }
    );
    assert_eq!(checks["same"].kind, analysis::Kind::Mismatch { max: 0.02 });
    assert!(checks["same"].dry_run && !checks["errors"].dry_run);
    assert_eq!(strategy.tests.len(), 2);
    let smoke = &strategy.tests["smoke"];
    let TestKind::Http(requests) = &smoke.kind else {
        panic!("{smoke:?}");
    };
    let request = &requests[0];
    assert_eq!(
        (&*request.method, &*request.path),
        ("POST", "/healthz?deep=1")
    );
    assert_eq!(request.headers["x-a"], "b");
    assert_eq!(request.body.as_deref(), Some("{}"));
    assert_eq!(
        (request.status, request.contains.as_deref()),
        (201, Some("ok"))
    );
    assert_eq!((smoke.attempts, smoke.on_fail), (3, OnFail::Rollback));
    let ask = &strategy.tests["ask"];
    assert_eq!(
        ask.kind,
        TestKind::Webhook("https://ci.internal/tests".to_owned())
    );
    assert_eq!(
        (ask.attempts, ask.interval, ask.timeout),
        (1, Duration::from_secs(1), minutes(2))
    );
}

#[test]
fn every_key_of_gates_and_freezes_means_something() {
    let rules = config(ALL).releases.rules;
    let sre = &rules.gates["sre"];
    assert_eq!(sre.name, "sre");
    assert_eq!(sre.roles, ["sre".parse().unwrap()]);
    assert_eq!((sre.approvals, sre.distinct_from_author), (2, false));
    assert_eq!(
        (sre.expires, sre.on_timeout),
        (minutes(720), OnTimeout::Abort)
    );
    assert_eq!(
        sre.criteria,
        [
            Criterion::Verdict(Grade::NoRegression),
            Criterion::Document(Document::Notes),
            Criterion::Check("smoke".to_owned()),
            Criterion::Release("payments-5.1.0".to_owned()),
        ]
    );
    let plain = &rules.gates["promote"];
    assert!(plain.roles.is_empty() && plain.criteria.is_empty());
    assert_eq!((plain.approvals, plain.distinct_from_author), (1, true));
    assert_eq!(
        (plain.expires, plain.on_timeout),
        (minutes(1440), OnTimeout::Hold)
    );
    let named = |name: &str| {
        rules
            .freezes
            .iter()
            .find(|freeze| freeze.name == name)
            .unwrap()
    };
    let xmas = named("xmas");
    assert_eq!(xmas.blocks, [Act::Start, Act::Flag]);
    assert_eq!(
        xmas.routes,
        [
            Pattern::Name("shop".to_owned()),
            Pattern::Prefix("pa".to_owned())
        ]
    );
    assert!(xmas.override_roles.is_empty());
    let Window::Span(span) = &xmas.window else {
        panic!("{xmas:?}");
    };
    assert_eq!(
        span.from(),
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_797_724_800))
    );
    let office = named("office-hours");
    let Window::Weekly(weekly) = &office.window else {
        panic!("{office:?}");
    };
    assert_eq!(weekly.to_string(), "mon,tue 09:00-24:00 Europe/Berlin");
    assert_eq!(office.blocks, Act::ALL);
    assert_eq!(office.routes, [Pattern::Every]);
    assert_eq!(office.override_roles, ["release-manager".parse().unwrap()]);
}

#[test]
fn without_a_word_about_releases_there_is_none() {
    let releases = config("").releases;
    assert_eq!(releases.cluster, "tidegate");
    assert_eq!(releases.store.path, PathBuf::from("/etc/tidegate/state"));
    assert_eq!(releases.store.on_state_lost, OnStateLost::Hold);
    assert!(releases.specs.is_empty() && releases.strategies.is_empty());
    assert!(releases.rules.gates.is_empty() && releases.rules.freezes.is_empty());
}

#[test]
fn a_configuration_can_be_had_twice() {
    let config: Config = read(&format!("{ALL}{}", crate::config::tests::BASE)).unwrap();
    assert_eq!(config.clone().effective(), config.effective());
}

#[test]
fn what_is_effective_of_releases_is_read_as_the_same() {
    let first = config(ALL);
    let text = toml::to_string(&first.effective()).unwrap();
    let again = read(&text).unwrap();
    assert_eq!(again.releases.specs, first.releases.specs);
    assert_eq!(again.releases.strategies, first.releases.strategies);
    let (rules, rules_again) = (&first.releases.rules, &again.releases.rules);
    assert_eq!(rules_again.gates, rules.gates);
    assert_eq!(rules_again.freezes, rules.freezes);
    assert_eq!(again.releases.store, first.releases.store);
    assert!(again.releases.has_store && !config("").releases.has_store);
}

/// Loads a release with notes in this file beside the configuration.
fn with_notes(notes: &[u8]) -> Result<crate::config::Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.md"), notes).unwrap();
    let path = folder.path().join("t.toml");
    let text = format!(
        "[listener.base]\naddress = \"127.0.0.1:80\"\n[upstream.base]\n\
         endpoints = [\"127.0.0.1:9000\"]\n{ROUTE}[release.a]\nroute = \"shop\"\nstable = \"v1\"\n\
         candidate = \"v2\"\nnotes = {{ file = \"notes.md\" }}\n\
         strategy = {{ kind = \"blue-green\" }}\n"
    );
    fs::write(&path, text).unwrap();
    load(&path).map_err(|problems| {
        let problems = problems.to_string();
        problems.replace(&folder.path().display().to_string(), "")
    })
}

#[test]
fn a_document_may_be_in_a_file_which_is_watched() {
    let loaded = with_notes("# Was sich ändert\n".as_bytes()).unwrap();
    let spec = &loaded.config.releases.specs["a"];
    assert_eq!(spec.documents.notes.as_deref(), Some("# Was sich ändert\n"));
    let file = &loaded.config.releases.document_files["a"][&Document::Notes];
    assert!(loaded.sources.has(file));
    let effective = loaded.config.effective();
    let shown = effective["release"]["a"]["notes"]["file"].as_str().unwrap();
    assert!(Path::new(shown).ends_with("notes.md"), "{shown}");
}

#[test]
fn a_document_that_cannot_be_read_is_told() {
    let said = |notes: &[u8]| with_notes(notes).unwrap_err();
    let at = "/t.toml:12:18 release.a.notes.file: ";
    assert_eq!(said(b" \n"), format!("{at}/notes.md is empty"));
    assert_eq!(said(b"\xff"), format!("{at}/notes.md is not UTF-8"));
    assert_eq!(
        said(&[b'x'; 70_000]),
        format!("{at}/notes.md cannot be read: larger than 64KiB")
    );
}
