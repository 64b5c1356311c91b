//! What there is not enough of in the proxy itself, and whose fault that is not.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::config;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};

/// So many descriptors a process has in any case: with this limit there is not one more to be had.
const NONE_LEFT: u64 = 3;

fn let_it_have(proxy: &Proxy, descriptors: Option<u64>) {
    let pid = i32::try_from(proxy.process.id()).expect("a process");
    let all = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: descriptors.or(all),
        maximum: all,
    };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("a limit");
}

#[tokio::test]
async fn an_endpoint_is_not_left_alone_for_want_of_descriptors() {
    // Each request needs another connection.
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let origin = origin::raw_then_close(answer).await;
    let outlier = "outlier = { failures = 1, on = [\"connect\"] }";
    let config = config::to(origin.address).upstream_keys("only", outlier);
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    // It has been accepted by the time that there is an answer.
    assert_eq!(client.get("/").await.text(), "hello");
    let_it_have(&proxy, Some(NONE_LEFT));
    let short = client.get("/").await;
    assert_eq!(short.status, 503, "{short:?}");
    assert_eq!(short.field("retry-after"), Some("1"));
    let_it_have(&proxy, None);
    // At once, and not after the second for which an endpoint is left alone that refuses.
    assert_eq!(client.get("/").await.text(), "hello");
    let metrics = proxy.metrics().await;
    let count = |name: &str, label: (&str, &str)| metrics.sum(name, &[label]);
    assert_eq!(
        count("tidegate_errors_total", ("reason", "local_shortage")),
        1.0
    );
    let judged = "tidegate_variant_judged_requests_total";
    assert_eq!(count(judged, ("class", "excused")), 1.0);
    assert_eq!(count(judged, ("class", "server_error")), 0.0);
    assert!(
        proxy.process.stderr().contains("not enough here"),
        "the log tells of it"
    );
}
