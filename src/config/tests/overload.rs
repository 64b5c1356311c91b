//! `[overload]`, read.

use crate::config::tests::{read, refused};
use crate::config::{MemoryBound, OverloadConfig};

/// What any configuration needs.
const REST: &str = r#"
[listener.http]
address = "127.0.0.1:80"
[upstream.a]
endpoints = ["127.0.0.1:9000"]
[route.a]
upstream = "a"
"#;

#[track_caller]
fn check(keys: &str, memory: Option<MemoryBound>, connections: Option<usize>) {
    let config = read(&format!("[overload]\n{keys}\n{REST}")).unwrap();
    let expected = OverloadConfig {
        memory,
        connections,
    };
    assert_eq!(config.overload, expected);
    // What is effective says the same.
    let effective = toml::to_string(&config.effective()).unwrap();
    assert_eq!(read(&effective).unwrap().overload, expected);
}

#[test]
fn a_bound_is_a_size_a_share_or_a_number() {
    check("", None, None);
    check("connections = 0", None, None);
    check(
        "memory = \"2GiB\"\nconnections = 7",
        Some(MemoryBound::Bytes(2 << 30)),
        Some(7),
    );
    check("memory = \"80%\"", Some(MemoryBound::Percent(80)), None);
    check("memory = \"100%\"", Some(MemoryBound::Percent(100)), None);
}

#[test]
fn what_is_no_bound_is_refused() {
    let not = "is not a size such as \"2GiB\", of 16MiB at least, or a share such as \"80%\"";
    for text in ["0%", "101%", "1MiB", "much", "80 %", "1.5GiB"] {
        refused(
            &format!("[overload]\nmemory = \"{text}\"\n"),
            &[&format!("2:10 overload.memory: \"{text}\" {not}")],
        );
    }
}
