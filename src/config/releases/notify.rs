//! Reads `[notify.NAME]`: who is told of what happens, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::config::releases::test;
use crate::config::secret::Secret;
use crate::notify::{Kind, Labels, Pattern};
use crate::outbound::{SigningKey, Url};

/// How long a request and its answer may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a URL may be.
const MOST_URL: usize = 8192;

/// How long a secret is: what is shorter than 128 bits can be guessed.
const SECRET: std::ops::RangeInclusive<usize> = 16..=1024;

/// What belongs where kinds of events are listed.
const EVENTS: &str = "a list of kinds of events such as [\"release.failed\", \"release.*\", \"*\"]";

/// The words for the kinds.
const KINDS: [&str; 4] = ["alertmanager", "slack", "cloudevents", "webhook"];

/// Somebody who is told, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyConfig {
    /// Its name.
    pub name: String,
    /// Its language.
    pub kind: Kind,
    /// Where it is.
    pub url: Url,
    /// The URL as it was written: with Slack it is a secret.
    pub written_url: Secret,
    /// The kinds of events that it wants.
    pub events: Vec<Pattern>,
    /// What is said to it besides.
    pub labels: Labels,
    /// For a request and its answer.
    pub timeout: Duration,
    /// The file of the authorities that are trusted; none are those of the system.
    pub ca: Option<PathBuf>,
    /// What signs a webhook.
    pub secret: Option<Secret>,
}

/// Reads all of them; the cluster is the environment of CDEvents unless told otherwise.
pub(in crate::config::releases) fn all(section: &Value<'_>, cluster: &str) -> Vec<NotifyConfig> {
    let read = section.names(|name, value| value.table(|table| one(name, table, cluster))?);
    read.into_iter().map(|(_, sink)| sink).collect()
}

fn one(name: &str, table: &mut Table<'_>, cluster: &str) -> Option<NotifyConfig> {
    let kind = table.needed(
        "kind",
        "one of \"alertmanager\", \"slack\", \"cloudevents\", \"webhook\"",
    );
    let kind = kind.and_then(|value| value.choice(&KINDS.map(|kind| (kind, kind))));
    let url = table.needed("url", test::URL);
    let url = url.and_then(|value| {
        let secret = if value.is_table() {
            value.secret(1..=MOST_URL)?
        } else {
            Secret::new(value.string()?.to_owned())
        };
        match Url::parse(secret.expose()) {
            Ok(url) => Some((url, secret)),
            Err(error) => {
                value.refuse(error.to_string());
                None
            }
        }
    });
    let events = table.needed("events", EVENTS);
    let events = events.and_then(|value| {
        let events = value.list(EVENTS, |value| {
            value.parsed(
                "a kind of event such as \"release.held\", or \"release.*\", or \"*\"",
                |text| Pattern::parse(text).ok(),
            )
        })?;
        if events.is_empty() {
            value.refuse("empty; who wants nothing is told nothing");
            return None;
        }
        Some(events)
    });
    let mut labels = Labels::default();
    table.set("labels", &mut labels, |value| {
        let entries =
            value.entries(|name, value| Some((name.to_owned(), value.string()?.to_owned())));
        let entries: BTreeMap<String, String> = entries.into_iter().collect();
        match Labels::new(entries) {
            Ok(labels) => Some(labels),
            Err(error) => {
                value.refuse(error.to_string());
                None
            }
        }
    });
    let mut timeout = TIMEOUT;
    table.set("timeout", &mut timeout, |value| value.duration(&WAIT));
    let ca = table.optional("ca").and_then(|value| value.path());
    let mut cdevents = false;
    let mut environment = cluster.to_owned();
    let mut secret = None;
    for (key, of) in [
        ("cdevents", "cloudevents"),
        ("environment", "cloudevents"),
        ("secret", "webhook"),
    ] {
        let Some(value) = table.optional(key) else {
            continue;
        };
        if kind.is_some_and(|kind| kind != of) {
            value.refuse_key(format!("only of use with kind = \"{of}\""));
            continue;
        }
        match key {
            "cdevents" => cdevents = value.boolean().unwrap_or_default(),
            "environment" => environment = value.string().unwrap_or_default().to_owned(),
            _ => secret = value.secret(SECRET),
        }
    }
    let kind = match kind? {
        "alertmanager" => Kind::Alertmanager,
        "slack" => Kind::Slack,
        "cloudevents" => Kind::CloudEvents {
            cdevents: cdevents.then_some(environment),
        },
        _ => Kind::Webhook {
            key: secret
                .as_ref()
                .map(|secret: &Secret| SigningKey::new(secret.expose().as_bytes())),
        },
    };
    let (url, written_url) = url?;
    Some(NotifyConfig {
        name: name.to_owned(),
        kind,
        url,
        written_url,
        events: events?,
        labels,
        timeout,
        ca,
        secret,
    })
}
