//! Records: one transition each, with who did it, why, and what it changed.
//!
//! A record is at once a line of the audit log, a step of the fold that gives the state, and what
//! the outbox gets: there is one write for the three. Its place in the chain (`seq`, `prev`,
//! `hash`) and its identity are given by the store.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The version of records that this program writes and reads.
pub const VERSION: u32 = 1;

/// What kind of actor somebody is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person who is known by name.
    User,
    /// The holder of a token.
    Token,
    /// The controller of releases.
    Controller,
    /// The configuration file, changed by somebody who is not known here.
    File,
    /// The program itself, about its own state.
    System,
    /// Somebody on this machine, without a token.
    Local,
}

/// By which way an actor came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The admin API.
    Api,
    /// The command line.
    Cli,
    /// The web page.
    Web,
    /// A reload of the configuration.
    Reload,
    /// The analysis of a release.
    Analysis,
    /// The start of the program.
    Start,
}

/// Who does something.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Actor {
    /// What kind of actor it is.
    pub kind: ActorKind,
    /// The name: of the person, of the token, of the file.
    pub id: String,
    /// The roles held at that moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// By which way it came.
    pub via: Via,
    /// The address it came from, where it came over a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<IpAddr>,
}

impl Actor {
    /// Makes an actor without roles and without an address.
    pub fn new(kind: ActorKind, id: impl Into<String>, via: Via) -> Self {
        Self {
            kind,
            id: id.into(),
            roles: Vec::new(),
            via,
            addr: None,
        }
    }
}

/// What something is done to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Object {
    /// Its kind, such as `release` or `route`.
    pub kind: String,
    /// Its name among those of its kind.
    pub id: String,
    /// The attempt, where an object can be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

impl Object {
    /// Makes an object that has no attempts.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            id: id.into(),
            attempt: None,
        }
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// Which configuration was in force.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConfigOrigin {
    /// The SHA-256 of its text, in hex.
    pub sha256: String,
    /// The revision that it names, such as `git:9f1c…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// The change of one key: its new value, or none where it goes away.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The new value; without one the key goes away. JSON's `null` is a value.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub value: Option<Value>,
}

/// What a record says besides what the store knows by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Who did it.
    pub actor: Actor,
    /// What was done, such as `release.gate.approve`.
    pub action: String,
    /// To what.
    pub object: Object,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// The ticket of the change.
    pub ticket: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// The configuration that was in force.
    pub config: Option<ConfigOrigin>,
    /// What was, as far as it may be shown: never a secret.
    pub before: Option<Value>,
    /// What is now, as far as it may be shown: never a secret.
    pub after: Option<Value>,
    /// The numbers that led to it.
    pub evidence: Option<Value>,
}

impl Draft {
    /// Makes a draft that says who did what to what.
    pub fn new(actor: Actor, action: impl Into<String>, object: Object) -> Self {
        Self {
            actor,
            action: action.into(),
            object,
            reason: None,
            ticket: None,
            request_id: None,
            config: None,
            before: None,
            after: None,
            evidence: None,
        }
    }
}

/// One record of the journal.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// The version of its form: [`VERSION`].
    pub v: u32,
    /// Its number: one more than that of the record before it. The first is 1.
    pub seq: u64,
    /// Its identity (a ULID), which is that of its event, too.
    pub id: String,
    /// When it was made, in whole milliseconds.
    #[serde(rename = "ts", with = "crate::store::instant::milliseconds")]
    pub at: SystemTime,
    /// The cluster.
    pub cluster: String,
    /// The replica that wrote it.
    pub replica: String,
    /// The term of the leader that wrote it, where there are leaders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// What was done, such as `release.gate.approve`.
    pub action: String,
    /// To what.
    pub object: Object,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The request that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The configuration that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigOrigin>,
    /// What was.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub before: Option<Value>,
    /// What is now.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Value>,
    /// The numbers that led to it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub evidence: Option<Value>,
    /// What it changes in the state, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What goes to the outbox: the key `outbox/ID` becomes this.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub event: Option<Value>,
    /// The hash of the record before it; the first has that of the cluster's name.
    pub prev: String,
    /// SHA-256 of the canonical form (RFC 8785) of all of the above, in hex.
    pub hash: String,
}

/// Reads a value that is there: `null` is a value, only what is missing is none.
fn present<'de, D>(deserializer: D) -> Result<Option<Value>, D::Error>
where
    D: Deserializer<'de>,
{
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::store::record::Change;

    #[test]
    fn null_is_a_value_and_nothing_is_none() {
        let put: Change = serde_json::from_value(json!({"key": "a", "value": null})).unwrap();
        assert_eq!(put.value, Some(json!(null)));
        let gone: Change = serde_json::from_value(json!({"key": "a"})).unwrap();
        assert_eq!(gone.value, None);
        for change in [put, gone] {
            let text = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        }
    }
}
