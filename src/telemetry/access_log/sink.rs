//! Where lines wait until a thread has written them.
//!
//! Each thread that appends has a lane, a buffer of its own in practice, so that appending is a
//! short copy under a lock that nobody else wants. The writer takes a whole buffer by swapping it
//! for an empty one. It is woken once per batch and not once per line.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use metrics::Counter;
use tracing::{info, warn};

/// Lanes: as many as workers that usually are. More workers share them, which is correct and only
/// a little slower.
const N_LANES: usize = 16;

/// Bytes that a lane holds: some 2 500 lines, so that a writer that is not scheduled for a while
/// loses nothing, and a pipe that nobody reads takes at most 17 MiB with all lanes.
const LANE_BYTES: usize = 1024 * 1024;

/// Bytes in a lane at which the writer begins at once.
const HURRY_BYTES: usize = 64 * 1024;

/// How long the writer waits for more lines after the first one: long enough for a batch, too
/// short for a person who watches the log.
const LINGER: Duration = Duration::from_millis(20);

/// How long the end of the process waits for an output that takes nothing any more.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// How long the writer waits before it tries again to write to an output that is full and does not
/// block, such as a pipe that another process has set so.
const FULL_WAIT: Duration = Duration::from_millis(10);

thread_local! {
    /// The lane of this thread.
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The lane of the next thread that needs one.
static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

/// Lines on their way to an output.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    writer: Thread,
    /// Where other outputs go, for the writer to take.
    outputs: Sender<Box<dyn Write + Send>>,
    /// Disconnected when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    lanes: [Mutex<Lane>; N_LANES],
    /// A lane is getting full.
    hurry: AtomicBool,
    closing: AtomicBool,
    dropped: Counter,
}

/// Lines that wait. Aligned so that two threads do not write to the same cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    lines: Vec<u8>,
    /// Nobody will come for them any more.
    closed: bool,
}

impl Sink {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(output: impl Write + Send + 'static, dropped: Counter) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            lanes: Default::default(),
            hurry: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            dropped,
        });
        let (alive, ended) = channel();
        let (outputs, others) = channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            output: Box::new(output),
            others,
            torn: false,
            failing: false,
            _alive: alive,
        };
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            writer: thread.thread().clone(),
            outputs,
            ended: Mutex::new(ended),
        })
    }

    /// Has everything that is not written yet go to another output.
    pub(crate) fn replace(&self, output: impl Write + Send + 'static) {
        // A writer that has ended needs none.
        let _ended = self.outputs.send(Box::new(output));
        self.writer.unpark();
    }

    /// Takes a line, or drops and counts it when its lane is full.
    pub(crate) fn append(&self, line: &[u8]) {
        let mut lane = self.shared.lane(lane_of_this_thread());
        let before = lane.lines.len();
        if lane.closed || LANE_BYTES - before < line.len() {
            drop(lane);
            self.shared.dropped.increment(1);
            return;
        }
        lane.lines.extend_from_slice(line);
        let after = lane.lines.len();
        drop(lane);
        if before < HURRY_BYTES && HURRY_BYTES <= after {
            self.shared.hurry.store(true, Ordering::Release);
            self.writer.unpark();
        } else if before == 0 {
            self.writer.unpark();
        }
    }

    /// Has everything written and waits for that, but not for long.
    pub(crate) fn close(&self) {
        self.begin_close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            warn!("access log not written to its end: its output takes nothing");
        }
    }

    fn begin_close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.writer.unpark();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Without waiting: the last one to hold a log may be a worker.
        self.begin_close();
    }
}

impl Shared {
    fn lane(&self, index: usize) -> MutexGuard<'_, Lane> {
        self.lanes[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn lane_of_this_thread() -> usize {
    LANE.with(|lane| {
        lane.get().unwrap_or_else(|| {
            let index = NEXT_LANE.fetch_add(1, Ordering::Relaxed) % N_LANES;
            lane.set(Some(index));
            index
        })
    })
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    output: Box<dyn Write + Send>,
    /// The outputs that are to take its place.
    others: Receiver<Box<dyn Write + Send>>,
    /// The last thing written is a part of a line.
    torn: bool,
    /// The last batch could not be written whole.
    failing: bool,
    _alive: Sender<()>,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let closing = self.shared.closing.load(Ordering::Acquire);
            let mut wrote = false;
            while let Ok(other) = self.others.try_recv() {
                self.output = other;
                self.torn = false;
            }
            for index in 0..N_LANES {
                let mut lane = self.shared.lane(index);
                lane.closed = closing;
                mem::swap(&mut lane.lines, &mut batch);
                drop(lane);
                if !batch.is_empty() {
                    self.write(&batch);
                    batch.clear();
                    wrote = true;
                }
            }
            if closing {
                return;
            }
            if !wrote {
                thread::park();
            }
            self.linger();
        }
    }

    /// Waits until a batch is worth writing.
    fn linger(&self) {
        let end = Instant::now() + LINGER;
        loop {
            if self.shared.hurry.swap(false, Ordering::AcqRel)
                || self.shared.closing.load(Ordering::Acquire)
            {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// Writes whole lines; those that cannot be written are counted as dropped.
    fn write(&mut self, batch: &[u8]) {
        let mut rest = batch;
        if self.torn {
            // What follows a part of a line must not be read as its other part.
            match write_all(&mut self.output, b"\n") {
                Ok(()) => self.torn = false,
                Err(failure) => return self.failed(rest, &failure.error),
            }
        }
        match write_all(&mut self.output, rest) {
            Ok(()) => {
                if mem::take(&mut self.failing) {
                    info!("access log is written again");
                }
            }
            Err(failure) => {
                self.torn = failure.written != 0 && rest[failure.written - 1] != b'\n';
                rest = &rest[failure.written..];
                self.failed(rest, &failure.error);
            }
        }
    }

    /// Counts the lines that were not written whole.
    fn failed(&mut self, rest: &[u8], error: &io::Error) {
        let n_lines = memchr::memchr_iter(b'\n', rest).count();
        self.shared.dropped.increment(n_lines as u64);
        if !mem::replace(&mut self.failing, true) {
            warn!(%error, "access log cannot be written");
        }
    }
}

/// A write that ended early.
struct Failure {
    /// How many bytes were written before.
    written: usize,
    error: io::Error,
}

fn write_all(output: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => {
                let error = ErrorKind::WriteZero.into();
                return Err(Failure { written, error });
            }
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_WAIT),
            Err(error) => return Err(Failure { written, error }),
        }
    }
    Ok(())
}
