//! Waiting for something to happen, with a bound and without sleeping.
//!
//! What can tell by itself (a socket, a task) is awaited by [`within`]. What can only be looked at
//! (a file, a counter of another process) is looked at by [`until`] at every tick of an interval.

use std::time::Duration;

/// How long anything may take: far longer than any of it needs, for a busy machine that builds
/// something else at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How often [`until`] looks; short against anything that is waited for.
const TICK: Duration = Duration::from_millis(5);

/// Awaits the future; panics with `what` when it takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Looks at the condition again and again until it holds; panics with `what` when it does not.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    within(what, async {
        while !condition().await {
            ticks.tick().await;
        }
    })
    .await;
}
