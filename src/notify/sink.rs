//! Sinks: who is told, of what, and in whose language.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::notify::event::Event;
use crate::notify::pattern::Pattern;
use crate::notify::standing::{ended_by, raised_by};
use crate::outbound::{Client, SigningKey, Url};

/// The labels of an alert that are ours: they are its identity.
const RESERVED: [&str; 5] = ["alertname", "cluster", "release", "route", "severity"];

/// The language of a sink.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The API of Alertmanager, version 2, at a base URL.
    Alertmanager,
    /// An incoming webhook of Slack, or of who speaks like it.
    Slack,
    /// CloudEvents 1.0 over HTTP in binary mode.
    CloudEvents {
        /// The id of the environment that CDEvents are about; `None` sends none of them.
        cdevents: Option<String>,
    },
    /// JSON, signed when there is a key.
    Webhook {
        /// What signs it.
        key: Option<SigningKey>,
    },
}

/// Somebody who is told of events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sink {
    /// Its name in the configuration.
    pub name: String,
    /// Its language.
    pub kind: Kind,
    /// Where it is.
    pub url: Url,
    /// The kinds of events that it wants.
    pub events: Vec<Pattern>,
    /// What is said to it besides.
    pub labels: Labels,
    /// For a request and its answer.
    pub timeout: Duration,
    /// What asks it, with whom it trusts.
    pub client: Client,
}

/// Labels of the user's own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Labels {
    labels: BTreeMap<String, String>,
}

/// Why a label cannot be.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the field is the label that the message names")]
pub enum LabelError {
    /// Its name is not one that Alertmanager and Prometheus take.
    #[error("`{name}` is no name of a label: letters, digits and _, and no digit first")]
    Name { name: String },
    /// Its name is taken.
    #[error("the label `{name}` is set by tidegate itself")]
    Reserved { name: String },
    /// It says nothing.
    #[error("the label `{name}` has no value")]
    Empty { name: String },
}

impl Labels {
    /// Makes labels of names and values.
    ///
    /// # Errors
    /// When one cannot be; the first such one is told.
    pub fn new(labels: BTreeMap<String, String>) -> Result<Self, LabelError> {
        for (name, value) in &labels {
            let name = name.clone();
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty()
                || name.starts_with(|c: char| c.is_ascii_digit())
                || !name.chars().all(fits)
            {
                return Err(LabelError::Name { name });
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(LabelError::Reserved { name });
            }
            if value.is_empty() {
                return Err(LabelError::Empty { name });
            }
        }
        Ok(Self { labels })
    }

    /// The labels, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.labels.iter();
        labels.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(in crate::notify) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

impl Sink {
    /// Whether it is told of an event. Alertmanager is told of what raises an alert of a kind that
    /// is wanted, and of what ends one, whether that is wanted or not.
    pub fn wants(&self, event: &Event) -> bool {
        match self.kind {
            Kind::Alertmanager => {
                self.raises(event) || ended_by(&event.kind).iter().any(|kind| self.means(kind))
            }
            Kind::Slack | Kind::CloudEvents { .. } | Kind::Webhook { .. } => {
                self.means(&event.kind)
            }
        }
    }

    /// Whether an event is an alert for it.
    pub(in crate::notify) fn raises(&self, event: &Event) -> bool {
        self.means(&event.kind) && raised_by(event).is_some()
    }

    /// Whether a kind of event is among those that it wants.
    pub(in crate::notify) fn means(&self, kind: &str) -> bool {
        self.events.iter().any(|pattern| pattern.matches(kind))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    use crate::notify::event::{Event, Severity};
    use crate::notify::fixture::sink;
    use crate::notify::sink::{Kind, LabelError, Labels};

    #[track_caller]
    fn check(kind: Kind, patterns: &[&str], event: &str, expected: bool) {
        let event = Event::new(UNIX_EPOCH, event, Severity::Info, "eu");
        assert_eq!(sink("a", kind, patterns).wants(&event), expected);
    }

    #[test]
    fn a_sink_wants_what_its_patterns_mean() {
        check(Kind::Slack, &["release.*"], "release.step", true);
        check(Kind::Slack, &["release.*"], "audit.anchor", false);
        check(
            Kind::Slack,
            &["audit.anchor", "release.held"],
            "audit.anchor",
            true,
        );
        check(Kind::Slack, &[], "audit.anchor", false);
    }

    #[test]
    fn alertmanager_wants_what_raises_an_alert_and_what_ends_it() {
        let kind = || Kind::Alertmanager;
        check(kind(), &["release.*"], "release.held", true);
        check(kind(), &["*"], "audit.anchor", false);
        check(kind(), &["release.held"], "release.step", true);
        check(kind(), &["release.held"], "release.failed", true);
        check(kind(), &["release.failed"], "release.step", false);
        check(kind(), &["release.failed"], "release.held", false);
    }

    #[test]
    fn a_label_has_a_name_of_its_own_and_a_value() {
        let labels = |name: &str, value: &str| {
            Labels::new(BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert!(labels("team_2", "shop").is_ok());
        for name in ["", "2team", "te-am", "té"] {
            assert!(
                matches!(labels(name, "x"), Err(LabelError::Name { .. })),
                "{name}"
            );
        }
        assert!(matches!(
            labels("route", "x"),
            Err(LabelError::Reserved { .. })
        ));
        assert!(matches!(labels("team", ""), Err(LabelError::Empty { .. })));
    }
}
