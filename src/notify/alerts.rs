//! What Alertmanager must be told again and again: the alerts of a sink.
//!
//! An alert is its labels; everything that changes is in its annotations. While it is active it is
//! sent every minute, each time with an end some minutes ahead, so that it goes away by itself when
//! we do; when it is over it is sent once more with its end, and then forgotten.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::notify::event::{Entry, Event};
use crate::notify::sink::{Kind, Sink};
use crate::notify::standing::{Standing, ended_by, raised_by};
use crate::store::instant;

/// How often an active alert is sent: Alertmanager asks for 30 s to 3 min.
pub(in crate::notify) const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// An active alert ends so long after it was last sent: four can be missed.
const HOLDS_FOR: Duration = Duration::from_secs(5 * 60);
/// More at a time are a flood that nobody reads; the oldest go first.
const MOST: usize = 500;

/// The alerts that a sink is to know of.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::notify) struct Alerts {
    alerts: Vec<Alert>,
}

/// One alert.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Alert {
    /// The kind of the event that raised it.
    kind: String,
    release: Option<String>,
    route: Option<String>,
    #[serde(default)]
    flag: Option<String>,
    /// Its identity.
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    url: Option<String>,
    #[serde(with = "instant::milliseconds")]
    starts: SystemTime,
    /// When it was or will be over, if that is known.
    #[serde(with = "instant::milliseconds_option")]
    ends: Option<SystemTime>,
    /// When it was last sent; never, after a restart.
    #[serde(skip)]
    sent: Option<SystemTime>,
}

impl Alert {
    fn is_over(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// Notes that it is over. One that was over before stays so.
    fn end(&mut self, at: SystemTime) {
        if !self.is_over(at) {
            self.ends = Some(at.max(self.starts));
        }
    }

    /// When it is to be sent next.
    fn due(&self) -> Option<SystemTime> {
        let again = self.sent? + AGAIN_AFTER;
        Some(self.ends.map_or(again, |ends| ends.min(again)))
    }

    fn is_due(&self, now: SystemTime) -> bool {
        // A clock that was set back must not keep an alert from being sent.
        let was_sent_later = self.sent.is_some_and(|sent| now < sent);
        was_sent_later || self.is_over(now) || self.due().is_none_or(|due| due <= now)
    }

    /// As Alertmanager reads it.
    fn render(&self, now: SystemTime) -> Value {
        let horizon = now + HOLDS_FOR;
        let ends = self.ends.map_or(horizon, |ends| ends.min(horizon));
        let mut alert = json!({
            "labels": self.labels,
            "annotations": self.annotations,
            "startsAt": instant::text_in_milliseconds(self.starts),
            "endsAt": instant::text_in_milliseconds(ends.max(self.starts)),
        });
        if let Some(url) = &self.url {
            alert["generatorURL"] = json!(url);
        }
        alert
    }
}

impl Alerts {
    /// Takes note of an event: it may raise an alert, and end others. To take note of the same one
    /// again changes nothing.
    pub(in crate::notify) fn note(&mut self, sink: &Sink, entry: &Entry) {
        let event = &entry.event;
        self.end(event, ended_by(&event.kind));
        if !sink.raises(event) {
            return;
        }
        let Some(standing) = raised_by(event) else {
            return;
        };
        let labels = labels(sink, event);
        let before = self.alerts.iter().position(|alert| alert.labels == labels);
        let before = before.map(|position| self.alerts.remove(position));
        let going_on = before.filter(|alert| !alert.is_over(event.at));
        // One of other labels, such as another severity, is another alert: that one is over.
        self.end(event, &[event.kind.as_str()]);
        self.alerts.push(Alert {
            kind: event.kind.clone(),
            release: event.release.clone(),
            route: event.route.clone(),
            flag: event.flag.clone(),
            labels,
            annotations: annotations(entry),
            url: event.links.first().map(|link| link.url.clone()),
            starts: going_on.map_or(event.at, |alert| alert.starts),
            ends: match standing {
                Standing::UntilEnded => None,
                Standing::AtMost(duration) => Some(event.at + duration),
            },
            sent: None,
        });
        if MOST < self.alerts.len() {
            self.alerts.remove(0);
        }
    }

    /// Ends those that a sink, as it is now, does not want: nothing else would.
    pub(in crate::notify) fn end_unwanted(&mut self, sink: &Sink, now: SystemTime) {
        if sink.kind != Kind::Alertmanager {
            self.alerts.clear();
        }
        for alert in &mut self.alerts {
            if !sink.means(&alert.kind) {
                alert.end(now);
            }
        }
    }

    /// Whether any is to be sent now.
    pub(in crate::notify) fn are_due(&self, now: SystemTime) -> bool {
        self.alerts.iter().any(|alert| alert.is_due(now))
    }

    /// How long from now until some are; `None` when there are none at all.
    pub(in crate::notify) fn due_in(&self, now: SystemTime) -> Option<Duration> {
        let due = self.alerts.iter().map(|alert| {
            let due = if alert.is_due(now) {
                Some(now)
            } else {
                alert.due()
            };
            let ahead = due.and_then(|due| due.duration_since(now).ok());
            ahead.unwrap_or_default()
        });
        due.min()
    }

    /// Those to be sent now, as Alertmanager reads them.
    pub(in crate::notify) fn render(&self, now: SystemTime) -> Value {
        let due = self.alerts.iter().filter(|alert| alert.is_due(now));
        Value::Array(due.map(|alert| alert.render(now)).collect())
    }

    /// Notes that those that were to be sent then have been.
    pub(in crate::notify) fn sent(&mut self, then: SystemTime) {
        self.alerts.retain(|alert| !alert.is_over(then));
        for alert in &mut self.alerts {
            if alert.is_due(then) {
                alert.sent = Some(then);
            }
        }
    }

    /// How many there are that are not known to be over.
    pub(in crate::notify) fn n_active(&self, now: SystemTime) -> usize {
        let active = self.alerts.iter().filter(|alert| !alert.is_over(now));
        active.count()
    }

    /// Ends the alerts of these kinds that are about the same release, route and flag.
    fn end(&mut self, event: &Event, kinds: &[&str]) {
        for alert in &mut self.alerts {
            let is_meant = kinds.contains(&alert.kind.as_str())
                && alert.release == event.release
                && alert.route == event.route
                && alert.flag == event.flag;
            if is_meant {
                alert.end(event.at);
            }
        }
    }
}

fn labels(sink: &Sink, event: &Event) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = sink
        .labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let severity = serde_json::to_value(event.severity);
    let severity = severity.expect("a severity is a word");
    let ours = [
        ("alertname", Some(name(&event.kind))),
        ("severity", severity.as_str().map(str::to_owned)),
        ("cluster", Some(event.cluster.clone())),
        ("release", event.release.clone()),
        ("route", event.route.clone()),
        ("flag", event.flag.clone()),
    ];
    for (name, value) in ours {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            labels.insert(name.to_owned(), value);
        }
    }
    labels
}

fn annotations(entry: &Entry) -> BTreeMap<String, String> {
    let event = &entry.event;
    let all = [
        ("summary", Some(event.headline())),
        ("description", event.detail.clone()),
        ("reason", event.reason.clone()),
        ("actor", event.actor.clone()),
        ("stable", event.stable.clone()),
        ("candidate", event.candidate.clone()),
        ("artifact", event.artifact.clone()),
        ("phase", event.phase.clone()),
        ("attempt", event.attempt.map(|attempt| attempt.to_string())),
        ("step", event.step.map(|step| step.to_string())),
        ("weight", event.weight.map(|weight| weight.to_string())),
        ("event_id", Some(entry.id.clone())),
    ];
    let said = all.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((name.to_owned(), value))
    });
    said.collect()
}

/// The name of the alert of a kind of event: `release.rolled_back` is `TidegateReleaseRolledBack`.
fn name(kind: &str) -> String {
    let mut name = String::from("Tidegate");
    for word in kind.split(['.', '_']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests;
