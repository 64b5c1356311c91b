//! Events: what happened, as it lies in the outbox and as sinks are told.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::store::instant;

/// How much an event matters.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look, some time.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// Where there is more to read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// What is there, in a word or two.
    pub title: String,
    /// Its URL.
    pub url: String,
}

/// Something that happened. What does not apply is left out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Event {
    /// When, to the millisecond in what is written.
    #[serde(with = "instant::milliseconds")]
    pub at: SystemTime,
    /// What: words with dots between them, such as `release.rolled_back`.
    pub kind: String,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// The id of the cluster where it did.
    pub cluster: String,
    /// The release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The variant that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The variant that is gone to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// Which attempt of the release, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The phase that the release is in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The step that the release is at now, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The candidate's share of the traffic now, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Who did it: a person, a token, or the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What there is to say about it: a sentence or a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The artifact of the candidate, as a purl (package URL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// The artifact of the stable variant likewise, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_artifact: Option<String>,
    /// Where there is more to read, the most telling one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What else programs may want: the evidence of an analysis, the head of the audit log.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place: a later entry has a larger one.
    pub seq: u64,
    /// The id of the event, which is that of its audit record. It is the same however often it is
    /// sent, so that who gets it twice can tell.
    pub id: String,
    /// The event.
    pub event: Event,
}

impl Event {
    /// Makes an event of a kind, with nothing else said.
    pub fn new(at: SystemTime, kind: &str, severity: Severity, cluster: &str) -> Self {
        Self {
            at,
            kind: kind.to_owned(),
            severity,
            cluster: cluster.to_owned(),
            release: None,
            route: None,
            flag: None,
            stable: None,
            candidate: None,
            attempt: None,
            phase: None,
            step: None,
            weight: None,
            actor: None,
            reason: None,
            detail: None,
            artifact: None,
            stable_artifact: None,
            links: Vec::new(),
            data: Map::new(),
        }
    }

    /// What it is about: the release, else the route, else the flag, else the cluster.
    pub(in crate::notify) fn subject(&self) -> &str {
        let named = self.release.as_ref().or(self.route.as_ref());
        named.or(self.flag.as_ref()).unwrap_or(&self.cluster)
    }

    /// What happened, in a line for people.
    pub(in crate::notify) fn headline(&self) -> String {
        format!("{}: {}", self.subject(), self.happening())
    }

    fn happening(&self) -> String {
        let candidate = self.candidate.as_deref().unwrap_or("the candidate");
        let stable = self.stable.as_deref().unwrap_or("stable");
        match self.kind.as_str() {
            "release.started" => format!("started, from {stable} to {candidate}"),
            "release.step" => match (self.step, self.weight) {
                (Some(step), Some(weight)) => {
                    format!("step {}, {weight} % to {candidate}", u64::from(step) + 1)
                }
                (Some(step), None) => format!("step {}", u64::from(step) + 1),
                (None, Some(weight)) => format!("{weight} % to {candidate}"),
                (None, None) => "next step".to_owned(),
            },
            "release.failed" => format!("failed, back on {stable}"),
            "release.rolled_back" => format!("rolled back to {stable}"),
            "release.alarm" => format!("promoted, and {candidate} is bad"),
            "release.promoted" => format!("promoted, {candidate} serves everyone"),
            "release.approval_needed" => "waits for an approval".to_owned(),
            "freeze.override" => "a freeze was overridden".to_owned(),
            "audit.anchor" => "head of the audit log".to_owned(),
            kind => {
                let words = match (&self.release, &self.flag) {
                    (Some(_), _) => kind.strip_prefix("release.").unwrap_or(kind),
                    (None, Some(_)) => kind.strip_prefix("flag.").unwrap_or(kind),
                    (None, None) => kind,
                };
                words.replace(['.', '_'], " ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use crate::notify::event::{Event, Severity};

    #[test]
    fn an_event_is_written_without_what_it_does_not_say_and_read_back() {
        let at = UNIX_EPOCH + Duration::from_millis(1_763_869_055_511);
        let event = Event::new(at, "audit.anchor", Severity::Info, "eu");
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(
            written,
            json!({
                "at": "2025-11-23T03:37:35.511Z",
                "kind": "audit.anchor",
                "severity": "info",
                "cluster": "eu",
            })
        );
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
    }

    #[test]
    fn a_headline_says_what_happened_to_what() {
        let event = |kind: &str| Event {
            release: Some("shop-2".to_owned()),
            stable: Some("v1".to_owned()),
            candidate: Some("v2".to_owned()),
            ..Event::new(UNIX_EPOCH, kind, Severity::Info, "eu")
        };
        let step = Event {
            step: Some(2),
            weight: Some(2.5),
            ..event("release.step")
        };
        assert_eq!(step.headline(), "shop-2: step 3, 2.5 % to v2");
        for (kind, expected) in [
            ("release.rolled_back", "shop-2: rolled back to v1"),
            ("release.approval_needed", "shop-2: waits for an approval"),
            ("release.no_longer_held", "shop-2: no longer held"),
            ("flag.killed", "shop-2: flag killed"),
        ] {
            assert_eq!(event(kind).headline(), expected);
        }
    }
}
