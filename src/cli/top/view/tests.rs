//! What is shown of an instance.

use std::time::Duration;

use serde_json::json;

use crate::admin::wire::{Endpoints, Status};
use crate::cli::output::Ink;
use crate::cli::screen::Size;
use crate::cli::top::Sort;
use crate::cli::top::interval::{Interval, Traffic, VariantSeen};
use crate::cli::top::quantile::Quantile;
use crate::cli::top::view::{Choice, Seen, block, frame, object, part, rate, roughly};

fn status() -> Status {
    serde_json::from_value(json!({
        "version": "0.1.0", "generation": 7, "config_sha256": "", "applied_at": "", "ready": true,
        "routes": {}, "upstreams": {},
        "listeners": { "http": { "address": "", "protocols": [], "tls": false, "connections": 12,
            "draining": false } },
    }))
    .unwrap()
}

fn variant(route: &str, name: &str, requests: f64, failed: f64) -> VariantSeen {
    VariantSeen {
        route: route.to_owned(),
        name: name.to_owned(),
        upstream: format!("{route}-{name}"),
        weight: 5,
        share: 0.05,
        actual_share: Some(0.0493),
        traffic: Traffic {
            requests_per_second: Some(requests),
            failed: Some(failed),
            failed_by_proxy: Some(0.0),
            in_flight: 3,
            tunnels: 1,
        },
        p50_ms: Some(Quantile::Within(8.75)),
        p99_ms: Some(Quantile::Beyond(60_000.0)),
        endpoints: Endpoints {
            available: 1,
            total: 2,
        },
        state: "on",
    }
}

fn interval(variants: Vec<VariantSeen>) -> Interval {
    Interval {
        took: Some(Duration::from_secs(1)),
        total: Traffic::default(),
        variants,
    }
}

fn choice(sort: Sort) -> Choice {
    Choice {
        sort,
        routes: Vec::new(),
    }
}

/// Runs something with an instance that has these variants.
fn with<T>(variants: Vec<VariantSeen>, gone: Option<&str>, show: impl FnOnce(&Seen<'_>) -> T) -> T {
    let (status, interval) = (status(), interval(variants));
    show(&Seen {
        admin: "http://127.0.0.1:9900",
        at: "2026-01-02T03:04:05.678Z".to_owned(),
        running: Some(Duration::from_secs(3 * 3600)),
        status: &status,
        interval: &interval,
        gone,
    })
}

fn many() -> Vec<VariantSeen> {
    (0..50)
        .map(|n| {
            variant(
                &format!("a-route-with-a-long-name-{n:02}"),
                "stable",
                f64::from(n),
                0.0,
            )
        })
        .collect()
}

#[test]
fn a_frame_fits_whatever_the_terminal_is_like() {
    for columns in [1, 10, 40, 80, 132, 300] {
        for rows in [1, 3, 5, 24, 100] {
            let size = Size { columns, rows };
            let gone = Some("http://127.0.0.1:9900: cannot connect: Connection refused");
            let lines = with(many(), gone, |seen| {
                frame(seen, &choice(Sort::Rate), size, Ink::Plain)
            });
            assert!(lines.len() <= rows, "{size:?}: {}", lines.len());
            for line in lines {
                assert!(line.chars().count() <= columns, "{size:?}: {line}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    let size = Size {
        columns: 200,
        rows: 25,
    };
    let lines = with(many(), None, |seen| {
        frame(seen, &choice(Sort::Rate), size, Ink::Plain)
    });
    assert_eq!(lines.len(), 25);
    assert!(lines[24].starts_with("30 more variants; "), "{}", lines[24]);
    // The busiest are those that are shown.
    assert!(
        lines[4].starts_with("a-route-with-a-long-name-49"),
        "{}",
        lines[4]
    );
    let size = Size { rows: 100, ..size };
    let lines = with(many(), None, |seen| {
        frame(seen, &choice(Sort::Rate), size, Ink::Plain)
    });
    assert!(lines[54].starts_with("by rate"), "{}", lines[54]);
}

#[test]
fn variants_of_a_route_stay_together() {
    let variants = || {
        vec![
            variant("api", "canary", 1.0, 0.5),
            variant("api", "stable", 10.0, 0.0),
            variant("shop", "canary", 5.0, 0.0),
            variant("shop", "stable", 95.0, 0.01),
        ]
    };
    let order = |sort| {
        let variants = variants();
        let shown = choice(sort).of(&variants);
        let names = shown.iter().map(|v| format!("{} {}", v.route, v.name));
        names.collect::<Vec<_>>()
    };
    let shop_first = ["shop canary", "shop stable", "api canary", "api stable"];
    let api_first = ["api canary", "api stable", "shop canary", "shop stable"];
    assert_eq!(order(Sort::Rate), shop_first);
    assert_eq!(order(Sort::Errors), api_first);
    assert_eq!(order(Sort::Name), api_first);
}

#[test]
fn routes_can_be_chosen() {
    let variants = vec![
        variant("api", "a", 1.0, 0.0),
        variant("shop", "a", 1.0, 0.0),
    ];
    let choice = Choice {
        sort: Sort::Name,
        routes: vec!["shop".to_owned()],
    };
    let shown = choice.of(&variants);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].route, "shop");
}

#[test]
fn a_block_has_every_column() {
    let lines = with(vec![variant("shop", "canary", 20.0, 0.25)], None, |seen| {
        block(seen, &choice(Sort::Rate), Ink::Plain)
    });
    let head = "2026-01-02T03:04:05.678Z  tidegate 0.1.0 at http://127.0.0.1:9900: ready, \
                generation 7, up 3 h 0 min";
    assert_eq!(lines[0], head);
    let words: Vec<_> = lines[3].split_whitespace().collect();
    let expected = "shop canary shop-canary 5 5 % 4.93 % 20.0 25.0 % 0 % 8.75 >60000 3 1 1/2 on";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn an_object_has_numbers_and_no_texts_for_people() {
    let object = with(vec![variant("shop", "canary", 20.0, 0.25)], None, |seen| {
        object(seen, &choice(Sort::Rate))
    });
    let canary = &object["routes"]["shop"]["variants"]["canary"];
    assert_eq!(canary["requests_per_second"], 20.0);
    assert_eq!(canary["failed"], 0.25);
    assert_eq!(canary["p99_ms"], 60_000.0);
    assert_eq!(canary["endpoints"]["total"], 2);
    assert_eq!(object["interval_seconds"], 1.0);
    assert_eq!(object["connections"], 12);
}

#[test]
fn an_instance_that_is_gone_is_an_error_and_no_numbers() {
    let why = "http://127.0.0.1:9900: cannot connect";
    let (lines, object) = with(many(), Some(why), |seen| {
        let choice = choice(Sort::Rate);
        (block(seen, &choice, Ink::Plain), object(seen, &choice))
    });
    let expected = format!("2026-01-02T03:04:05.678Z  {why}; trying again");
    assert_eq!(lines, [expected]);
    assert_eq!(object["error"], why);
    assert!(object.get("routes").is_none());
}

#[test]
fn numbers_have_as_many_digits_as_they_need() {
    assert_eq!(rate(Some(9.96)), "10.0");
    assert_eq!(rate(Some(1234.5)), "1234");
    assert_eq!(rate(None), "-");
    assert_eq!(part(Some(0.0)), "0 %");
    assert_eq!(part(Some(0.000_001)), "<0.01 %");
    assert_eq!(part(Some(0.0123)), "1.23 %");
    assert_eq!(part(Some(0.954)), "95.4 %");
    assert_eq!(part(Some(1.0)), "100 %");
    assert_eq!(roughly(Duration::from_secs(59)), "59 s");
    assert_eq!(roughly(Duration::from_secs(61)), "1 min 1 s");
    assert_eq!(roughly(Duration::from_secs(90_000)), "1 d 1 h");
}
