//! The checker: a task for each endpoint whose upstream has checks.
//!
//! They live on the control plane's thread, so that no request waits for one. A task goes on over
//! reloads while what it asks stays the same, and what is known of an endpoint in any case: a reload
//! neither forgets that one is unhealthy nor asks a thousand at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use crate::control::chance::random;
use crate::proxy::Snapshot;
use crate::telemetry::stats::{CheckResult, UpstreamStats};
use crate::tls::Secured;
use crate::upstream::{Endpoint, HealthCheck, Judge, ProbeError, Protocol, ProxyHeader, probe};

/// How many endpoints are asked at once: more wait for their turn, so that descriptors are left for
/// requests.
const AT_ONCE: usize = 256;

/// How much an interval is longer or shorter at most.
const JITTER: f64 = 0.1;

/// All tasks, by their endpoint.
pub(in crate::control) struct Checker {
    tasks: HashMap<u64, Running>,
    turns: Arc<Semaphore>,
}

struct Running {
    asked: Asked,
    _task: AbortOnDropHandle<()>,
}

/// What is asked, and of whom.
#[derive(Clone)]
struct Asked {
    upstream: Arc<str>,
    endpoint: Arc<Endpoint>,
    check: HealthCheck,
    protocol: Protocol,
    proxy_protocol: Option<ProxyHeader>,
    tls: Option<Secured>,
    stats: Arc<UpstreamStats>,
}

impl Checker {
    pub(in crate::control) fn new() -> Self {
        Self {
            tasks: HashMap::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Checks the endpoints of a snapshot as they are now, and no others.
    pub(in crate::control) fn follow(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.tasks);
        for upstream in &snapshot.upstreams {
            let settings = upstream.settings();
            let Some(check) = &settings.health else {
                continue;
            };
            upstream.stats().expect_checks();
            for endpoint in upstream.endpoints().iter() {
                let id = endpoint.id();
                let known = before.remove(&id);
                if let Some(known) = known.filter(|known| known.asked.check == *check) {
                    self.tasks.insert(id, known);
                    continue;
                }
                let tls = settings
                    .tls
                    .as_ref()
                    .map(|tls| tls.towards(endpoint.tls_name(), endpoint.address().ip()));
                self.begin(Asked {
                    upstream: Arc::clone(upstream.name()),
                    endpoint: Arc::clone(endpoint),
                    check: check.clone(),
                    protocol: settings.protocol,
                    proxy_protocol: settings.proxy_protocol,
                    tls,
                    stats: Arc::clone(upstream.stats()),
                });
            }
        }
        for gone in before.into_values() {
            // Nobody asks it any more, so nobody would find out that it is well again.
            gone.asked.endpoint.set_health(None);
        }
    }

    fn begin(&mut self, asked: Asked) {
        let task = tokio::spawn(watch(asked.clone(), Arc::clone(&self.turns)));
        let running = Running {
            _task: AbortOnDropHandle::new(task),
            asked,
        };
        self.tasks.insert(running.asked.endpoint.id(), running);
    }
}

/// Asks an endpoint again and again.
async fn watch(asked: Asked, turns: Arc<Semaphore>) {
    let mut judge = Judge::new(asked.endpoint.health().is_healthy);
    loop {
        let turn = turns.acquire().await;
        let answer = asked.ask().await;
        drop(turn);
        asked.hear(&mut judge, answer);
        sleep(jittered(asked.check.interval, random())).await;
    }
}

impl Asked {
    async fn ask(&self) -> Result<(), ProbeError> {
        probe(
            &self.check,
            &self.endpoint,
            self.protocol,
            self.tls.as_ref(),
            self.proxy_protocol,
        )
        .await
    }

    fn hear(&self, judge: &mut Judge, answer: Result<(), ProbeError>) {
        let (upstream, endpoint) = (&self.upstream, self.endpoint.address());
        if let Err(error) = &answer
            && error.is_ours()
        {
            // It was not asked, so what was known of it stands.
            warn!(%upstream, %endpoint, %error, "no health check: not enough here to ask");
            return;
        }
        self.stats.checked(match &answer {
            Ok(()) => CheckResult::Success,
            Err(ProbeError::Timeout) => CheckResult::Timeout,
            Err(_) => CheckResult::Failure,
        });
        let change = judge.hear(answer.is_ok(), &self.check);
        let error = answer.err().map(|error| error.to_string());
        if let Some(error) = &error {
            debug!(%upstream, %endpoint, %error, "health check failed");
            self.endpoint.check_failed(error.clone());
        }
        match change {
            None => {}
            Some(true) => {
                self.endpoint.set_health(Some(true));
                info!(%upstream, %endpoint, "endpoint is healthy");
            }
            Some(false) => {
                self.endpoint.set_health(Some(false));
                warn!(%upstream, %endpoint, error = error.as_deref(), "endpoint is unhealthy");
            }
        }
    }
}

/// An interval, a little longer or shorter by a number from 0 to 1.
fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::control::health::jittered;

    #[test]
    fn an_interval_is_a_tenth_longer_or_shorter_at_most() {
        let interval = Duration::from_secs(10);
        assert_eq!(jittered(interval, 0.0), Duration::from_secs(9));
        assert_eq!(jittered(interval, 0.5), interval);
        assert_eq!(jittered(interval, 1.0), Duration::from_secs(11));
    }
}
