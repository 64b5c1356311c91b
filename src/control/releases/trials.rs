//! Trials: the tests that candidates have to pass before they get users, carried out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::control::Live;
use crate::outbound::{Client, Limits, Request, Url, trust};
use crate::release::analysis::OnFail;
use crate::release::controller::Tested;
use crate::release::state::{Phase, State};
use crate::release::test::{Test, TestKind, TestRequest, TestResult};
use crate::tls::{Connector, Secured};
use crate::upstream::{Endpoint, Protocol, ProxyHeader, Question, ask};

/// Bytes of a webhook's answer that are read: what it says for people.
const MOST: usize = 16 << 10;

/// How much of an answer a result quotes.
const QUOTED: usize = 200;

/// Which test of which attempt.
type Key = (String, u32, String);

/// The trials that are under way, and what came of others.
pub(in crate::control) struct Trials {
    running: HashMap<Key, AbortOnDropHandle<()>>,
    told: mpsc::Sender<Tested>,
    results: mpsc::Receiver<Tested>,
    latest: HashMap<Key, Tested>,
    client: Client,
}

impl Trials {
    /// Makes it. Webhooks over https are trusted as the system trusts; where it trusts nobody, only
    /// plain ones are asked.
    pub(in crate::control) fn new() -> Self {
        let (told, results) = mpsc::channel(64);
        let client = match trust(None, None) {
            Ok(connector) => Client::secured(connector),
            Err(error) => {
                warn!(%error, "no authorities are trusted: webhooks are asked over http alone");
                Client::plain()
            }
        };
        Self {
            running: HashMap::new(),
            told,
            results,
            latest: HashMap::new(),
            client,
        }
    }

    /// Begins the trials that are due, ends those that nobody waits for, and gives what came of all.
    pub(in crate::control) fn follow<'a>(
        &mut self,
        live: &Live,
        releases: impl Iterator<Item = &'a State>,
    ) -> Vec<Tested> {
        let mut due = Vec::new();
        for state in releases.filter(|state| is_due(state)) {
            for (name, test) in &state.spec.strategy.tests {
                due.push((
                    (state.spec.id.clone(), state.attempt, name.clone()),
                    state,
                    test,
                ));
            }
        }
        self.running
            .retain(|key, _| due.iter().any(|(other, ..)| other == key));
        self.latest
            .retain(|key, _| due.iter().any(|(other, ..)| other == key));
        while let Ok(tested) = self.results.try_recv() {
            let key = (tested.release.clone(), tested.attempt, tested.name.clone());
            self.latest.insert(key, tested);
        }
        for (key, state, test) in due {
            let is_passed = state.tests.get(&key.2).is_some_and(|result| result.passed);
            if is_passed || self.running.contains_key(&key) {
                continue;
            }
            if let Some(trial) = self.trial(live, state, &key, test) {
                let task = tokio::spawn(trial.run());
                self.running.insert(key, AbortOnDropHandle::new(task));
            }
        }
        self.latest.values().cloned().collect()
    }

    /// A trial; nothing while nobody is there to be tried.
    fn trial(&self, live: &Live, state: &State, key: &Key, test: &Test) -> Option<Trial> {
        let whom = match &test.kind {
            TestKind::Webhook(url) => {
                let url = Url::parse(url).ok()?;
                let body = serde_json::json!({
                    "release": state.spec.id,
                    "route": state.spec.route,
                    "stable": state.spec.stable,
                    "candidate": state.spec.candidate,
                    "attempt": state.attempt,
                    "artifact": state.spec.artifact,
                    "commit": state.spec.commit,
                    "test": key.2,
                });
                Whom::Webhook(self.client.clone(), url, body.to_string())
            }
            TestKind::Http(requests) => {
                let snapshot = &live.snapshot;
                let mut routes = snapshot.routes.iter();
                let route = routes.find(|route| *route.name == *state.spec.route)?;
                let mut variants = route.variants.iter();
                let variant = variants.find(|variant| *variant.name == *state.spec.candidate)?;
                let upstream = &snapshot.upstreams[variant.upstream];
                let endpoints = upstream.endpoints();
                let endpoint = endpoints.iter().find(|one| one.is_available_now())?;
                let settings = upstream.settings();
                let towards = |tls: &Arc<Connector>| {
                    tls.towards(endpoint.tls_name(), endpoint.address().ip())
                };
                Whom::Endpoint(Box::new(Asked {
                    endpoint: Arc::clone(endpoint),
                    protocol: settings.protocol,
                    tls: settings.tls.as_ref().map(towards),
                    header: settings.proxy_protocol,
                    requests: requests.clone(),
                }))
            }
        };
        Some(Trial {
            key: key.clone(),
            test: test.clone(),
            whom,
            told: self.told.clone(),
        })
    }
}

/// Tests are tried right before the candidate gets users.
fn is_due(state: &State) -> bool {
    let first = state.spec.strategy.first_with_users();
    let next = state.step.map_or(0, |step| step + 1);
    let has_users = state.step.is_some_and(|step| first <= step);
    let waits = matches!(
        state.phase,
        Phase::Pending | Phase::Preview | Phase::Progressing
    );
    waits && !has_users && (first <= next || state.phase == Phase::Preview)
}

struct Trial {
    key: Key,
    test: Test,
    whom: Whom,
    told: mpsc::Sender<Tested>,
}

enum Whom {
    Endpoint(Box<Asked>),
    Webhook(Client, Url, String),
}

struct Asked {
    endpoint: Arc<Endpoint>,
    protocol: Protocol,
    tls: Option<Secured>,
    header: Option<ProxyHeader>,
    requests: Vec<TestRequest>,
}

impl Trial {
    /// Tries until it is passed, or as often as it is to be tried. One that only holds is tried on:
    /// what it is about may be mended.
    async fn run(self) {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            let tried = self.try_once().await;
            let passed = tried.is_ok();
            let is_last = self.test.attempts <= n_tries;
            if passed || is_last {
                let (Ok(detail) | Err(detail)) = tried;
                let tested = Tested {
                    release: self.key.0.clone(),
                    attempt: self.key.1,
                    name: self.key.2.clone(),
                    result: TestResult {
                        passed,
                        detail,
                        at: SystemTime::now(),
                    },
                };
                // Nobody may be interested any more.
                let _told = self.told.send(tested).await;
            }
            if passed || is_last && self.test.on_fail == OnFail::Rollback {
                return;
            }
            sleep(self.test.interval).await;
        }
    }

    async fn try_once(&self) -> Result<String, String> {
        match &self.whom {
            Whom::Endpoint(asked) => asked.ask_all(&self.test).await,
            Whom::Webhook(client, url, body) => {
                let request = Request {
                    method: Method::POST,
                    url,
                    fields: HeaderMap::from_iter([(
                        http::header::CONTENT_TYPE,
                        HeaderValue::from_static("application/json"),
                    )]),
                    body: Bytes::from(body.clone()),
                };
                let limits = Limits {
                    time: self.test.timeout,
                    answer: MOST,
                };
                let answer = client.ask(request, limits).await;
                let answer = answer.map_err(|error| error.in_a_line())?;
                let said = quoted(&answer.body);
                if answer.status.is_success() {
                    Ok(format!("answered {}{said}", answer.status.as_u16()))
                } else {
                    Err(format!("answered {}{said}", answer.status.as_u16()))
                }
            }
        }
    }
}

impl Asked {
    async fn ask_all(&self, test: &Test) -> Result<String, String> {
        for request in &self.requests {
            let what = format!("{} {}", request.method, request.path);
            let question = question(request, test).map_err(|why| format!("{what}: {why}"))?;
            let answer = ask(
                &question,
                &self.endpoint,
                self.protocol,
                self.tls.as_ref(),
                self.header,
            );
            let answer = answer.await.map_err(|error| format!("{what}: {error}"))?;
            let (status, wanted) = (answer.status.as_u16(), request.status);
            if status != wanted {
                return Err(format!("{what}: answered {status}, not {wanted}"));
            }
            if let Some(text) = &request.contains
                && memchr::memmem::find(&answer.body, text.as_bytes()).is_none()
            {
                return Err(format!("{what}: the answer does not have `{text}`"));
            }
        }
        let n_requests = self.requests.len();
        Ok(format!(
            "{n_requests} requests were answered as they have to be"
        ))
    }
}

fn question(request: &TestRequest, test: &Test) -> Result<Question, String> {
    let mut fields = HeaderMap::new();
    let mut host = None;
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("host") {
            host = Some(value.clone());
            continue;
        }
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no field"))?;
        let value: HeaderValue = value
            .parse()
            .map_err(|_| format!("`{value}` is no value"))?;
        fields.append(name, value);
    }
    Ok(Question {
        method: request
            .method
            .parse()
            .map_err(|_| "the method is none".to_owned())?,
        path: request.path.clone(),
        host,
        fields,
        body: Bytes::from(request.body.clone().unwrap_or_default()),
        timeout: test.timeout,
    })
}

/// The beginning of an answer, if it is text.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(QUOTED).collect();
    let is_plain = !text.is_empty() && !text.chars().any(|c| c.is_control() && c != '\n');
    if is_plain {
        format!(": {text}")
    } else {
        String::new()
    }
}
