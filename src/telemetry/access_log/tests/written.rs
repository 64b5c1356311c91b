//! What becomes of lines: they are written whole, or counted.

use std::io::{self, BufRead, BufReader, Read, Write, pipe};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use metrics::Counter;

use crate::telemetry::access_log::sink::Sink;
use crate::telemetry::access_log::tests::{entry, line, settings};
use crate::telemetry::access_log::{AccessLog, Format, Output, Outputs, Settings};

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

fn started(format: Format, output: impl Write + Send + 'static, dropped: Counter) -> AccessLog {
    let sink = Sink::start(output, dropped).unwrap();
    AccessLog::new(&settings(format), Some(Arc::new(sink)))
}

#[test]
fn every_line_of_every_thread_is_written_whole() {
    const N_THREADS: usize = 20;
    const N: usize = 500;
    let kept = Kept::default();
    let (dropped, n_dropped) = counter();
    let log = started(Format::Json, kept.clone(), dropped);
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
    let log = started(Format::Common, writer, dropped);
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
    let log = started(Format::Json, writer, dropped);
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
    let log = started(Format::Json, kept.clone(), dropped);
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
    let log = started(Format::Common, output, dropped);
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
        let log = Outputs::new(Counter::noop()).open(&settings).unwrap();
        assert!(log.is_on());
        log.record(&entry());
        log.close();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, line(Format::Common, &entry()).repeat(n));
    }
}

/// A log to a file in common format, and its output.
fn to_file(outputs: &Outputs, path: &Path) -> AccessLog {
    let settings = Settings {
        output: Output::Path(path.to_owned()),
        ..settings(Format::Common)
    };
    outputs.open(&settings).unwrap()
}

#[test]
fn logs_to_one_file_share_its_writer_and_its_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let outputs = Outputs::new(Counter::noop());
    let logs = [to_file(&outputs, &path), to_file(&outputs, &path)];
    for log in &logs {
        log.record(&entry());
    }
    std::fs::rename(&path, directory.path().join("old.log")).unwrap();
    outputs.reopen();
    for log in &logs {
        log.record(&entry());
    }
    logs[0].close();
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let (old, new) = (read("old.log"), read("access.log"));
    let once = line(Format::Common, &entry());
    assert_eq!(format!("{old}{new}"), once.repeat(4));
    // What was recorded after the rotation is in the new file at least.
    assert!(new.ends_with(&once.repeat(2)), "{new}");
}

#[test]
fn a_file_that_cannot_be_reopened_is_written_on() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::create_dir(&from).unwrap();
    let outputs = Outputs::new(Counter::noop());
    let log = to_file(&outputs, &from.join("access.log"));
    std::fs::rename(&from, &to).unwrap();
    outputs.reopen();
    log.record(&entry());
    log.close();
    let written = std::fs::read_to_string(to.join("access.log")).unwrap();
    assert_eq!(written, line(Format::Common, &entry()));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let settings = Settings {
        format: Format::Json,
        output: Output::Path("/nowhere/access.log".into()),
        ..Settings::default()
    };
    let error = Outputs::new(Counter::noop()).open(&settings).unwrap_err();
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
    let log = Outputs::new(Counter::noop()).open(&settings).unwrap();
    assert!(!log.is_on());
    log.record(&entry());
    log.close();
}
