//! How a line looks.

use std::time::{Duration, SystemTime};

use metrics::Counter;
use serde_json::{Value, json};

use crate::telemetry::access_log::format::{Form, Formatter};
use crate::telemetry::access_log::tests::{entry, line, line_as, nothing_known, settings};
use crate::telemetry::access_log::{Entry, Field, Format, Mask, Output, Outputs, Settings};

#[test]
fn json_tells_all_that_is_known() {
    let line = line(Format::Json, &entry());
    let read: Value = serde_json::from_str(&line).unwrap();
    let expected = json!({
        "ts": "2026-11-23T10:35:18.007Z", "listener": "http", "route": "shop",
        "variant": "canary", "served_variant": "stable", "selection": "failover", "segment": "beta", "flags": {"dark-mode": "on", "price": "b"},
        "key_hash": "f00d000000000abc", "method": "GET", "host": "shop.example.com",
        "path": "/cart", "status": 502, "source": "proxy", "reason": "connect_failure",
        "bytes_in": 12, "bytes_out": 3456, "duration_ms": 12.345, "ttfb_ms": 0.009,
        "upstream_connect_ms": 2.0, "attempts": 2, "mirror": "next",
        "endpoint": "10.0.0.21:9000",
        "client_ip": "192.0.2.7", "protocol": "HTTP/1.1", "upstream_protocol": "HTTP/2.0",
        "grpc_status": "14", "generation": 12,
        "request_id": "0123456789abcdef0123456789abcdef",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(read, expected);
    assert!(line.ends_with("}\n"));
}

#[test]
fn json_leaves_out_what_is_not_known() {
    let line = line(Format::Json, &nothing_known());
    let read: Value = serde_json::from_str(&line).unwrap();
    for name in [
        "route",
        "variant",
        "selection",
        "segment",
        "flags",
        "key_hash",
        "ttfb_ms",
        "upstream_protocol",
        "grpc_status",
    ] {
        assert_eq!(read.get(name), None, "{name}");
    }
    assert_eq!(read["client_ip"], "::1");
    assert_eq!(read["endpoint"], "[::1]:80");
}

#[test]
fn common_and_combined_are_apaches() {
    assert_eq!(
        line(Format::Common, &entry()),
        "192.0.2.7 - - [23/Nov/2026:10:35:18 +0000] \"GET /cart HTTP/1.1\" 502 3456\n"
    );
    assert_eq!(
        line(Format::Combined, &entry()),
        "192.0.2.7 - - [23/Nov/2026:10:35:18 +0000] \"GET /cart HTTP/1.1\" 502 3456 \"-\" \"curl/8\"\n"
    );
    assert_eq!(
        line(Format::Common, &nothing_known()),
        "::1 - - [23/Nov/2026:10:35:18 +0000] \"-\" 400 -\n"
    );
}

#[test]
fn a_json_line_has_the_fields_that_are_chosen_in_their_order() {
    let chosen = |fields: &[Field], entry: &Entry<'_>| {
        let settings = Settings {
            fields: fields.to_vec(),
            ..Settings::default()
        };
        line_as(&settings, entry)
    };
    assert_eq!(
        chosen(&[Field::Status, Field::Ts, Field::Route], &entry()),
        "{\"status\":502,\"ts\":\"2026-11-23T10:35:18.007Z\",\"route\":\"shop\"}\n"
    );
    // Also where the first ones, or all, are not known.
    let fields = [Field::Route, Field::Status];
    assert_eq!(chosen(&fields, &nothing_known()), "{\"status\":400}\n");
    assert_eq!(chosen(&[Field::Route], &nothing_known()), "{}\n");
    // Each member alone has the name of its field.
    let all = Settings {
        redact: Vec::new(),
        ..Settings::default()
    };
    let all: Value = serde_json::from_str(&line_as(&all, &entry())).unwrap();
    for field in Field::ALL {
        let settings = Settings {
            fields: vec![field],
            redact: Vec::new(),
            ..Settings::default()
        };
        let read: Value = serde_json::from_str(&line_as(&settings, &entry())).unwrap();
        assert_eq!(read, json!({ field.name(): all[field.name()] }));
    }
    assert_eq!(all.as_object().unwrap().len(), Field::ALL.len());
}

#[test]
fn what_is_masked_is_in_no_format() {
    let entry = Entry {
        referer: Some(b"https://a.example/?secret=2"),
        ..entry()
    };
    for format in [Format::Json, Format::Common, Format::Combined] {
        let open = Settings {
            redact: Vec::new(),
            ..settings(format)
        };
        let line = line_as(&open, &entry);
        assert!(
            line.contains("token=1") && line.contains("192.0.2.7"),
            "{line}"
        );
        let masked = Settings {
            redact: Mask::ALL.to_vec(),
            ..open
        };
        let line = line_as(&masked, &entry);
        assert!(line.contains("192.0.2.0"), "{line}");
        for hidden in ["token", "192.0.2.7", "secret", "curl"] {
            assert!(!line.contains(hidden), "{line}");
        }
    }
}

#[test]
fn failures_are_written_whatever_the_sample() {
    let settings = Settings {
        sample: 0.0,
        output: Output::Off,
        ..Settings::default()
    };
    let log = Outputs::new(Counter::noop()).open(&settings).unwrap();
    assert!(log.wants(true));
    assert!(!log.wants(false));
}

#[test]
fn no_client_can_begin_a_line_of_its_own() {
    let attack = b"x\" 200 1\r\n10.0.0.1 - - [01/Jan/2000] \"GET / \x1b[2J\xff\xc2\x85\\";
    let entry = Entry {
        method: attack,
        host: attack,
        path: attack,
        referer: Some(attack),
        user_agent: Some(attack),
        ..entry()
    };
    for format in [Format::Json, Format::Common, Format::Combined] {
        let line = line(format, &entry);
        let (text, end) = line.split_at(line.len() - 1);
        assert_eq!(end, "\n");
        assert!(text.chars().all(|letter| !letter.is_control()), "{line}");
        if format == Format::Json {
            let read: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read["status"], 502);
        }
    }
}

#[test]
fn a_second_is_told_anew_when_it_has_passed_and_when_the_format_differs() {
    let mut formatter = Formatter::default();
    let mut begins = |format, entry: &Entry<'_>, expected: &str| {
        let line = String::from_utf8_lossy(formatter.line(&Form::new(&settings(format)), entry))
            .into_owned();
        assert!(line.contains(expected), "{line}");
    };
    let later = Entry {
        at: entry().at + Duration::from_millis(993),
        ..entry()
    };
    begins(Format::Json, &entry(), "T10:35:18.007Z");
    begins(Format::Json, &later, "T10:35:19.000Z");
    begins(Format::Common, &later, "23/Nov/2026:10:35:19");
    let before_1970 = Entry {
        at: SystemTime::UNIX_EPOCH - Duration::from_secs(1),
        ..entry()
    };
    begins(Format::Json, &before_1970, "1970-01-01T00:00:00.000Z");
}
