//! The lines, and what becomes of them when nobody reads.

use std::io::{self, BufRead, BufReader, Read, Write, pipe};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use metrics::Counter;
use serde_json::{Value, json};

use crate::message::Version;
use crate::telemetry::access_log::format::{Form, Formatter};
use crate::telemetry::access_log::{AccessLog, Entry, Field, Format, Mask, Output, Settings};
use crate::telemetry::stats::{ErrorReason, Selection, Source};

/// 2026-11-23 10:35:18.007 UTC.
fn entry() -> Entry<'static> {
    Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_430_118_007),
        listener: "http",
        route: Some("shop"),
        variant: Some("canary"),
        served_variant: Some("stable"),
        selection: Some(Selection::Failover),
        key_hash: Some(0xf00d_0000_0000_0abc),
        method: b"GET",
        host: b"shop.example.com",
        path: b"/cart",
        query: Some(b"token=1"),
        status: 502,
        source: Source::Proxy,
        reason: Some(ErrorReason::ConnectFailure),
        bytes_in: 12,
        bytes_out: 3456,
        duration: Duration::from_micros(12_345),
        response_headers: Some(Duration::from_micros(9)),
        upstream_connect: Some(Duration::from_millis(2)),
        attempts: 2,
        endpoint: Some((Ipv4Addr::new(10, 0, 0, 21), 9000).into()),
        client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        protocol: Version::Http11,
        generation: 12,
        referer: None,
        user_agent: Some(b"curl/8"),
    }
}

/// What there is to say of bytes that were no request.
fn nothing_known() -> Entry<'static> {
    Entry {
        route: None,
        variant: None,
        served_variant: None,
        selection: None,
        key_hash: None,
        method: b"",
        host: b"",
        path: b"",
        query: None,
        status: 400,
        reason: Some(ErrorReason::ClientProtocolError),
        bytes_out: 0,
        response_headers: None,
        upstream_connect: None,
        endpoint: Some((Ipv6Addr::LOCALHOST, 80).into()),
        client_ip: IpAddr::V6(Ipv6Addr::LOCALHOST),
        user_agent: None,
        ..entry()
    }
}

fn settings(format: Format) -> Settings {
    Settings {
        format,
        ..Settings::default()
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    line_as(&settings(format), entry)
}

fn line_as(settings: &Settings, entry: &Entry<'_>) -> String {
    let mut formatter = Formatter::default();
    let line = formatter.line(&Form::new(settings), entry);
    String::from_utf8(line.to_vec()).unwrap()
}

#[test]
fn json_tells_all_that_is_known() {
    let line = line(Format::Json, &entry());
    let read: Value = serde_json::from_str(&line).unwrap();
    let expected = json!({
        "ts": "2026-11-23T10:35:18.007Z", "listener": "http", "route": "shop",
        "variant": "canary", "served_variant": "stable", "selection": "failover",
        "key_hash": "f00d000000000abc", "method": "GET", "host": "shop.example.com",
        "path": "/cart", "status": 502, "source": "proxy", "reason": "connect_failure",
        "bytes_in": 12, "bytes_out": 3456, "duration_ms": 12.345, "ttfb_ms": 0.009,
        "upstream_connect_ms": 2.0, "attempts": 2, "endpoint": "10.0.0.21:9000",
        "client_ip": "192.0.2.7", "protocol": "HTTP/1.1", "generation": 12,
    });
    assert_eq!(read, expected);
    assert!(line.ends_with("}\n"));
}

#[test]
fn json_leaves_out_what_is_not_known() {
    let line = line(Format::Json, &nothing_known());
    let read: Value = serde_json::from_str(&line).unwrap();
    for name in ["route", "variant", "selection", "key_hash", "ttfb_ms"] {
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
    let log = AccessLog::open(&settings, Counter::noop()).unwrap();
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

fn counter() -> (Counter, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    (Counter::from_arc(Arc::clone(&count)), count)
}

/// An output that keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_line_of_every_thread_is_written_whole() {
    const N_THREADS: usize = 20;
    const N: usize = 500;
    let kept = Kept::default();
    let (dropped, n_dropped) = counter();
    let log = AccessLog::start(&settings(Format::Json), kept.clone(), dropped).unwrap();
    thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| (0..N).for_each(|_| log.record(&entry())));
        }
    });
    log.close();
    assert_eq!(n_dropped.load(Ordering::Relaxed), 0);
    let written = kept.0.lock().unwrap();
    let expected = line(Format::Json, &entry());
    assert_eq!(written.len(), expected.len() * N_THREADS * N);
    for line in written.split_inclusive(|&byte| byte == b'\n') {
        assert_eq!(line, expected.as_bytes());
    }
}

#[test]
fn lines_are_written_although_no_more_follow() {
    let (reader, writer) = pipe().unwrap();
    let (dropped, _) = counter();
    let log = AccessLog::start(&settings(Format::Common), writer, dropped).unwrap();
    log.record(&entry());
    let mut read = String::new();
    // The log is neither closed nor dropped: this returns because the writer does not wait.
    BufReader::new(reader).read_line(&mut read).unwrap();
    assert_eq!(read, line(Format::Common, &entry()));
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_never_time() {
    const N: u64 = 20_000;
    let (mut reader, writer) = pipe().unwrap();
    let (dropped, n_dropped) = counter();
    let log = AccessLog::start(&settings(Format::Json), writer, dropped).unwrap();
    // Far more than a pipe and a lane hold. Were a worker ever to wait, this would never end.
    for _ in 0..N {
        log.record(&entry());
    }
    let lost = n_dropped.load(Ordering::Relaxed);
    assert!(0 < lost && lost < N, "{lost}");

    // Someone reads at last: what was kept is whole, and every line was either kept or counted.
    let reading = thread::spawn(move || {
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        read
    });
    log.close();
    drop(log);
    let read = reading.join().unwrap();
    let expected = line(Format::Json, &entry());
    assert!(read.split_inclusive('\n').all(|line| line == expected));
    let n_written = (read.len() / expected.len()) as u64;
    assert_eq!(n_written + n_dropped.load(Ordering::Relaxed), N);
}

#[test]
fn a_log_that_is_closed_counts_what_comes_later() {
    let (dropped, n_dropped) = counter();
    let kept = Kept::default();
    let log = AccessLog::start(&settings(Format::Json), kept.clone(), dropped).unwrap();
    log.close();
    log.close();
    log.record(&entry());
    assert_eq!(n_dropped.load(Ordering::Relaxed), 1);
    assert!(kept.0.lock().unwrap().is_empty());
}

/// A disk that is full after some bytes, and empty again after one refusal.
struct FullOnce {
    room: Option<usize>,
    kept: Kept,
}

impl Write for FullOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.room {
            None => self.kept.write(bytes),
            Some(0) => {
                self.room = None;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(room) => {
                let n = bytes.len().min(*room);
                *room -= n;
                self.kept.write(&bytes[..n])
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_was_cut_by_a_full_disk_does_not_spoil_the_next_one() {
    let kept = Kept::default();
    let (dropped, n_dropped) = counter();
    let expected = line(Format::Common, &entry());
    let output = FullOnce {
        room: Some(expected.len() + 10),
        kept: kept.clone(),
    };
    let log = AccessLog::start(&settings(Format::Common), output, dropped).unwrap();
    log.record(&entry());
    log.record(&entry());
    while n_dropped.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
    log.record(&entry());
    log.close();
    assert_eq!(n_dropped.load(Ordering::Relaxed), 1);
    let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        written,
        format!("{expected}{}\n{expected}", &expected[..10])
    );
}

#[test]
fn a_file_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    for n in 1..=2 {
        let settings = Settings {
            format: Format::Common,
            output: Output::Path(path.clone()),
            ..Settings::default()
        };
        let log = AccessLog::open(&settings, Counter::noop()).unwrap();
        assert!(log.is_on());
        log.record(&entry());
        log.close();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, line(Format::Common, &entry()).repeat(n));
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let settings = Settings {
        format: Format::Json,
        output: Output::Path("/nowhere/access.log".into()),
        ..Settings::default()
    };
    let error = AccessLog::open(&settings, Counter::noop()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open access log /nowhere/access.log"
    );
}

#[test]
fn a_log_that_is_off_takes_entries_and_writes_nothing() {
    let settings = Settings {
        format: Format::Json,
        output: Output::Off,
        ..Settings::default()
    };
    let log = AccessLog::open(&settings, Counter::noop()).unwrap();
    assert!(!log.is_on());
    log.record(&entry());
    log.close();
}
