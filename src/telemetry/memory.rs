//! The process's memory: how much it has, how much it may have, and giving back what it has no use
//! for.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows the limits of groups of processes.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes of memory of the process that are in RAM; 0 where the kernel does not tell.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status, "VmRSS:").unwrap_or(0)
}

/// Bytes that the process may have: the least limit of the groups that it is in, as a container is
/// one, else all that the machine has. `None` where the kernel does not tell.
pub fn allowed() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = files_of_limits(&groups).into_iter();
    let limits = limits.filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    limits.chain(kibibytes(&meminfo, "MemTotal:")).min()
}

/// Gives back to the system what was let go of and kept for later.
///
/// The library's `malloc` keeps most of it: what a busy hour took would still count long after.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "no crate has it; it asks for no promise")]
    // SAFETY: it may be called at any time, from any thread (malloc_trim(3): MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The files that tell limits, by what `/proc/self/cgroup` says: of the group and of all above it,
/// in version 2 and in version 1 (cgroups(7)).
fn files_of_limits(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (PathBuf::from(GROUPS), "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                (Path::new(GROUPS).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        // What leads out of the root is of no group that we can see.
        let ancestors = group.ancestors().filter(|group| !group.starts_with(".."));
        files.extend(ancestors.map(|group| root.join(group).join(file)));
    }
    files
}

/// A limit; `max` is none, and so is what version 1 says in its place, the greatest number of pages.
fn limit(text: &str) -> Option<u64> {
    let bytes = text.trim().parse().ok();
    bytes.filter(|&bytes| bytes < 1 << 62)
}

/// The value of a line such as `VmRSS:    1234 kB`, in bytes.
pub(crate) fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    Some(number.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::telemetry::memory::{allowed, files_of_limits, limit, resident};

    #[track_caller]
    fn check(groups: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(files_of_limits(groups), expected);
    }

    #[test]
    fn a_group_has_the_limits_of_all_above_it() {
        check("0::/\n", &["/sys/fs/cgroup/memory.max"]);
        check(
            "0::/system.slice/tidegate.service\n",
            &[
                "/sys/fs/cgroup/system.slice/tidegate.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ],
        );
    }

    #[test]
    fn groups_of_version_1_have_limits_of_their_own() {
        check(
            "5:cpu,cpuacct:/a\n4:memory:/a\n0::/../b\n",
            &[
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max",
            ],
        );
        check("nonsense\n", &[]);
    }

    #[test]
    fn the_greatest_number_is_no_limit() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("1073741824\n"), Some(1 << 30));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_less_than_it_may_have() {
        // What it gives back is for a process of its own to show: here other tests take and give, too.
        let resident = resident();
        assert!(0 < resident && resident < allowed().unwrap());
    }
}
