//! What the kernel knows of this process, under the names that Prometheus' own libraries use.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::memory::kibibytes;

/// Units of processor time per second in `/proc`: 100 on every architecture that tidegate runs on
/// (`USER_HZ` is part of the kernel's interface and does not follow its own clock).
const TICKS_PER_SECOND: f64 = 100.0;

/// When this process started, reckoned once: two reckonings differ where the clock was set between
/// them, and a start that moves looks like a restart.
static START_SECONDS: OnceLock<f64> = OnceLock::new();

/// What the kernel knows of this process; what cannot be read is missing.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) open_fds: Option<usize>,
    pub(crate) max_fds: Option<u64>,
    pub(crate) start_seconds: Option<f64>,
}

impl Process {
    /// Asks the kernel.
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let times = Times::parse(&stat);
        Self {
            cpu_seconds: times
                .as_ref()
                .map(|times| times.cpu_ticks / TICKS_PER_SECOND),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            // The directory that is being read is open too.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|fds| fds.count().saturating_sub(1)),
            max_fds: getrlimit(Resource::Nofile).current,
            start_seconds: times.map(|times| {
                let uptime = times.start_ticks / TICKS_PER_SECOND;
                *START_SECONDS.get_or_init(|| boot_seconds() + uptime)
            }),
        }
    }
}

/// The times in `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Times {
    cpu_ticks: f64,
    start_ticks: f64,
}

impl Times {
    /// Reads the line (proc(5)). The second field is the program's name in parentheses, which may
    /// itself hold spaces and parentheses, so counting begins after the last one.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: ticks(14)? + ticks(15)?,
            start_ticks: ticks(22)?,
        })
    }
}

/// When the machine started, in seconds since 1970, as far as its clock is right now. `/proc/stat`
/// tells it too, but not within a sandbox that shows processes alone.
fn boot_seconds() -> f64 {
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::new(up.tv_sec.unsigned_abs(), up.tv_nsec.unsigned_abs() as u32);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(up).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use crate::telemetry::memory::kibibytes;
    use crate::telemetry::process::{Process, Times};

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 12345 1000 9";
        let expected = Times {
            cpu_ticks: 300.0,
            start_ticks: 12345.0,
        };
        assert_eq!(Times::parse(stat), Some(expected));
        assert_eq!(Times::parse(""), None);
        assert_eq!(Times::parse("7 (a) S"), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmSize:\t  10 kB\nVmRSS:\t  3 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(3 * 1024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_tells_everything_on_linux() {
        let process = Process::read();
        assert!(process.cpu_seconds.is_some());
        assert!(process.resident_bytes.is_some_and(|bytes| 0 < bytes));
        assert!(process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_fds.is_some_and(|fds| 3 <= fds));
        // This test began after the process did, and not long after.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - process.start_seconds.unwrap();
        assert!((-0.1..3600.0).contains(&age), "{age}");
        assert_eq!(Process::read().start_seconds, process.start_seconds);
    }
}
