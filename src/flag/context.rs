//! Contexts: whom a flag is evaluated for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::segment::{Attribute, Value};

/// The key of a context under which the targeting key is.
pub const TARGETING_KEY: &str = "targetingKey";

/// Whom a flag is evaluated for, and when.
pub trait Context {
    /// The value of an attribute, if there is one. It is never asked about
    /// [`Attribute::Flag`].
    fn value(&self, attribute: &Attribute) -> Option<Value<'_>>;

    /// What splits divide by where no rule says otherwise. An empty one is none.
    fn targeting_key(&self) -> Option<Cow<'_, [u8]>>;

    /// The time, which rules with a schedule ask.
    fn now(&self) -> SystemTime;
}

/// A context that came as a JSON object.
///
/// Every attribute is a key of it by its text: `country`, but `client_ip` and `header:x-plan`, too.
/// Texts stay as they are; numbers are their shortest decimal text (`5`, `1.5`), booleans `true`
/// and `false`, lists the texts of such elements. Null and objects are missing.
#[derive(Clone, Debug)]
pub struct JsonContext {
    values: BTreeMap<String, Known>,
    now: SystemTime,
}

/// What a context has under a key.
#[derive(Clone, Debug)]
enum Known {
    Text(String),
    List(Vec<String>),
}

/// Why a JSON object is no context.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ContextError {
    /// Its targeting key is something else than a text.
    #[error("`targetingKey` is not a text")]
    TargetingKey,
}

impl JsonContext {
    /// Takes an object for a context.
    ///
    /// # Errors
    /// When its targeting key is neither a text nor null.
    pub fn new(object: Map<String, Json>, now: SystemTime) -> Result<Self, ContextError> {
        if let Some(key) = object.get(TARGETING_KEY)
            && !key.is_string()
            && !key.is_null()
        {
            return Err(ContextError::TargetingKey);
        }
        let known = object
            .into_iter()
            .filter_map(|(key, json)| Some((key, known(json)?)));
        Ok(Self {
            values: known.collect(),
            now,
        })
    }

    fn get(&self, key: &str) -> Option<Value<'_>> {
        Some(match self.values.get(key)? {
            Known::Text(text) => Value::Text(Cow::Borrowed(text.as_bytes())),
            Known::List(texts) => Value::List(texts),
        })
    }
}

impl Context for JsonContext {
    fn value(&self, attribute: &Attribute) -> Option<Value<'_>> {
        match attribute {
            Attribute::Context(key) => self.get(key),
            Attribute::Host => Some(match self.get("host")? {
                Value::Text(host) => Value::Text(plain_host(host)),
                value => value,
            }),
            Attribute::ClientIp => self.get("client_ip"),
            Attribute::Method => self.get("method"),
            Attribute::Path => self.get("path"),
            Attribute::Header(_) | Attribute::Cookie(_) | Attribute::Query(_) => {
                self.get(&attribute.to_string())
            }
            Attribute::Flag(_) => None,
        }
    }

    fn targeting_key(&self) -> Option<Cow<'_, [u8]>> {
        match self.values.get(TARGETING_KEY)? {
            Known::Text(text) if !text.is_empty() => Some(Cow::Borrowed(text.as_bytes())),
            Known::Text(_) | Known::List(_) => None,
        }
    }

    fn now(&self) -> SystemTime {
        self.now
    }
}

/// A host as it is compared: in lower case and without the dot at its end.
fn plain_host(host: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if host.ends_with(b".") || host.iter().any(u8::is_ascii_uppercase) {
        let host = host.strip_suffix(b".").unwrap_or(&host);
        return Cow::Owned(host.to_ascii_lowercase());
    }
    host
}

fn known(json: Json) -> Option<Known> {
    match json {
        Json::Array(elements) => Some(Known::List(elements.into_iter().filter_map(text).collect())),
        json => text(json).map(Known::Text),
    }
}

/// The text of a text, a number or a boolean.
fn text(json: Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text),
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) => Some(match number.as_f64() {
            // Whole numbers are exact at any size.
            Some(value) if number.is_f64() => decimal(value),
            _ => number.to_string(),
        }),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The shortest decimal text that stands for a number and no other, without an exponent.
fn decimal(number: f64) -> String {
    // There is one zero.
    if number == 0.0 {
        return "0".to_owned();
    }
    number.to_string()
}
