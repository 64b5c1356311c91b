//! What there is to render: two variants, before and after anything has happened.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::telemetry::stats::{
    AttemptResult, BreakerState, Buckets, Class, CloseReason, ErrorReason, Finished, FlagEvaluated,
    FlagLabels, FlagReason, ForcedRejection, GrpcStatus, Limit, Outcome, Protocol, RejectReason,
    RetryCause, RetryResult, RuleLabels, Selection, Source, StickyKind, TunnelEnd, VariantLabels,
};
use crate::telemetry::{
    CheckLive, DoraLive, FlagLive, FreezeLive, Live, OfrepLive, PlaneLive, ReleaseLive, SinkLive,
    StoreLive, Telemetry, TransitionLive, UpstreamLive, VariantLive, VariantState,
};

pub(in crate::telemetry::render) fn labels(variant: &str) -> VariantLabels {
    VariantLabels {
        // A name that would break the text if it were not escaped.
        route: "a \"quoted\\route\"\n".into(),
        variant: variant.into(),
        upstream: format!("shop-{variant}").into(),
    }
}

pub(in crate::telemetry::render) fn rule() -> RuleLabels {
    RuleLabels {
        route: labels("stable").route,
        segment: "beta".into(),
    }
}

/// Two variants that are configured and have had no request.
pub(in crate::telemetry::render) fn quiet() -> Telemetry {
    let telemetry = Telemetry::new(2, Buckets::default());
    let registry = telemetry.registry();
    let mut live = Live::default();
    for (variant, weight, state) in [
        ("stable", 95, VariantState::On),
        ("canary", 5, VariantState::Off),
    ] {
        let labels = labels(variant);
        registry.variant(&labels, &[Selection::Hash, Selection::Forced]);
        registry.route(&labels.route);
        let upstream = registry.upstream(&labels.upstream);
        upstream.breaker_is(BreakerState::Closed);
        live.upstreams.push(UpstreamLive {
            name: Arc::clone(&labels.upstream),
            limits: vec![(Limit::Requests, 100)],
            endpoints: vec![("10.0.0.1:80".into(), true)],
        });
        live.variants.push(VariantLive {
            labels,
            weight,
            share: f64::from(weight) / 100.0,
            state,
            healthy_endpoints: 2,
            unhealthy_endpoints: 1,
        });
    }
    registry.flag(&flag());
    live.flags.push(flag());
    registry.rule(&rule());
    live.rules.push(rule());
    registry.listener(&"http".into());
    live.listeners.push("http".into());
    registry.set_live(live, Instant::now());
    telemetry
}

/// What the numbers of the only flag are labelled with.
fn flag() -> FlagLabels {
    FlagLabels {
        flag: "new-checkout".into(),
        variant: "on".into(),
    }
}

/// The same after everything has happened that can be counted.
pub(in crate::telemetry::render) fn busy() -> Telemetry {
    let telemetry = quiet();
    let registry = telemetry.registry();
    let [stable, canary] = [labels("stable"), labels("canary")];
    let finished = Finished {
        code: 200,
        source: Source::Upstream,
        selection: Selection::Draw,
        outcome: Outcome::Success,
        class: Class::Ok,
        slice: 0,
        duration: Duration::from_micros(1_500),
        response_headers: Some(Duration::from_secs(100)),
        request_bytes: 3,
        response_bytes: 4,
        error: Some(ErrorReason::Truncated),
    };
    for worker in 0..2 {
        let stats = registry.variant(&stable, &[]);
        let shard = stats.shard(worker);
        for (n, &outcome) in Outcome::ALL.iter().enumerate() {
            shard.begin(Selection::Draw);
            shard.finish(&Finished {
                code: 200 + 100 * n as u16,
                outcome,
                class: [Class::Ok, Class::Reset, Class::ClientClosed][n],
                ..finished
            });
        }
        for code in 100..1000 {
            let selection = Selection::Failover;
            shard.begin(selection);
            shard.finish(&Finished {
                code,
                source: Source::Proxy,
                selection,
                outcome: Outcome::Failure,
                class: Class::Unavailable,
                duration: Duration::ZERO,
                response_headers: None,
                ..finished
            });
        }
        shard.grpc(GrpcStatus::Unavailable);
        shard.attempt(AttemptResult::Success);
        shard.connected(Duration::from_millis(1));
        shard.retried(RetryCause::Connect, RetryResult::Failure);
        shard.tunnel_opened();
        shard.tunnel_closed(TunnelEnd::Drained);

        let route = registry.route(&stable.route);
        let route = route.shard(worker);
        route.overhead(Duration::from_micros(70));
        route.cookie_set(StickyKind::Pin);
        route.forced_rejected(ForcedRejection::Unknown);
        route.failover(&stable.variant, &canary.variant);
        route.failover(&stable.variant, &"removed-long-ago".into());
        registry.rule(&rule()).matched(worker);
        let flag = registry.flag(&flag());
        let evaluated = FlagEvaluated {
            reason: FlagReason::Split,
            missing: 1,
        };
        flag.exposed(worker, evaluated, true);
        flag.finished(worker, &finished);

        let listener = registry.listener(&"http".into());
        listener.shard(worker).connection_opened(Protocol::H2);
        listener
            .shard(worker)
            .connection_rejected(RejectReason::Tls);
        listener.shard(worker).unrouted(414);

        let upstream = registry.upstream(&stable.upstream);
        upstream.shard(worker).connection_opened();
        upstream.shard(worker).connection_parked();
        upstream.shard(worker).idle_closed(CloseReason::Upstream);
    }
    let recorder = telemetry.recorder();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    recorder.config_applied(1, "00112233445566778899", Duration::from_millis(3), at);
    recorder.config_rejected();
    recorder.access_log_dropped().increment(5);
    recorder.draining();
    telemetry.set_plane(plane());
    telemetry
}

/// A release that is held, one that is over, and everything around them.
fn plane() -> PlaneLive {
    let phases = |is| ["progressing", "aborted"].map(|phase| (phase, phase == is));
    let held = ReleaseLive {
        // A name that would break the text if it were not escaped.
        route: "a \"quoted\\route\"\n".into(),
        release: "shop-2".into(),
        phases: phases("progressing").to_vec(),
        entered_at: 1_800_000_000.5,
        step: 2,
        n_steps: 5,
        weights: vec![("stable".into(), 0.75), ("canary".into(), 0.25)],
        shares: vec![("stable".into(), 0.8), ("canary".into(), 0.2)],
        holds: vec!["approval", "no_data"],
        checks: vec![CheckLive {
            name: "errors".into(),
            evidence: -0.5,
            threshold: 2.0,
            verdicts: vec![("fail", false), ("insufficient", true)],
        }],
        worked: Duration::from_secs(90),
        waited: vec![("approval", Duration::from_millis(1_500))],
        is_review_open: true,
        is_in_conflict: true,
    };
    let over = ReleaseLive {
        release: "shop-1".into(),
        phases: phases("aborted").to_vec(),
        weights: Vec::new(),
        shares: Vec::new(),
        holds: Vec::new(),
        checks: Vec::new(),
        waited: Vec::new(),
        is_review_open: false,
        is_in_conflict: false,
        ..held.clone()
    };
    PlaneLive {
        looked_at: 1_800_000_001.25,
        releases: vec![over, held],
        transitions: vec![TransitionLive {
            route: "shop".into(),
            to: "aborted",
            cause: "analysis",
            n: 1,
        }],
        approvals: vec![("sre".into(), "approved", 2)],
        flags: vec![FlagLive {
            name: "new-checkout".into(),
            is_killed: true,
            is_overridden: true,
            is_expired: false,
            stale: vec![("expired", false), ("unused", true)],
            last_evaluated: Some(1_800_000_000.0),
        }],
        ofrep: OfrepLive {
            errors: vec![("FLAG_NOT_FOUND", 2)],
            refused: vec![("denied", 3), ("limited", 4), ("streams", 5)],
            bulk: vec![("sent", 6), ("not_modified", 7)],
            streams: 8,
        },
        drifting: vec!["shop".into()],
        is_stopped: true,
        freezes: vec![FreezeLive {
            name: "holidays".into(),
            is_active: true,
            overridden: 1,
        }],
        store: StoreLive {
            head_seq: 1042,
            head_hash: "0011aabb".into(),
            is_writable: true,
            is_broken: false,
            unwritten: 3,
            commits: vec![("done", 7)],
        },
        sinks: vec![SinkLive {
            name: "pager".into(),
            sent: 4,
            failed: 5,
            dropped: 6,
            waiting: 2,
            oldest: Duration::from_millis(2_500),
        }],
        dora: vec![DoraLive {
            window: "30d",
            deployments: 8,
            lead_time: vec![("50", 3600.0)],
            change_failure: Some(0.125),
            recovery: Vec::new(),
        }],
    }
}

/// The same after one request of each variant.
pub(in crate::telemetry::render) fn begun() -> Telemetry {
    let telemetry = quiet();
    let registry = telemetry.registry();
    for variant in ["stable", "canary"] {
        let labels = labels(variant);
        let stats = registry.variant(&labels, &[]);
        stats.shard(0).begin(Selection::Hash);
        let route = registry.route(&labels.route);
        route.shard(0).overhead(Duration::from_micros(70));
    }
    telemetry
}
