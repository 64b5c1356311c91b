//! Values: what a variant of a flag stands for.
//!
//! A value has the kind that its flag declares, not the one that its text happens to look like: `1`
//! of a float flag is written `1.0`, since there are clients that refuse a whole number where they
//! expect a float.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value as Json};
use thiserror::Error;

/// What the values of a flag are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A text.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A finite number, written with its decimal point.
    Float,
    /// A JSON object.
    Object,
}

/// The value of a variant.
#[derive(Clone, Debug, PartialEq)]
pub enum FlagValue {
    /// True or false.
    Boolean(bool),
    /// A text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number; only a finite one passes the check of its flag.
    Float(f64),
    /// A JSON object; its keys stay in their order.
    Object(Map<String, Json>),
}

/// A text that is not a [`Kind`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not {what}", what = Kind::WHAT)]
pub struct KindError {
    text: String,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Boolean,
        Self::String,
        Self::Integer,
        Self::Float,
        Self::Object,
    ];

    /// What the texts that can be one look like.
    pub const WHAT: &str = "\"boolean\", \"string\", \"integer\", \"float\" or \"object\"";

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Object => "object",
        }
    }

    /// What a value of it is, in words.
    pub fn takes(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::String => "a text",
            Self::Integer => "a whole number from -9223372036854775808 to 9223372036854775807",
            Self::Float => "a finite number",
            Self::Object => "an object",
        }
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| KindError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FlagValue {
    /// Takes JSON for a value of this kind; `None` where it is none. A whole number is a float
    /// where a float belongs, but a number with a fraction is never an integer.
    pub fn of(kind: Kind, json: &Json) -> Option<Self> {
        match (kind, json) {
            (Kind::Boolean, Json::Bool(value)) => Some(Self::Boolean(*value)),
            (Kind::String, Json::String(text)) => Some(Self::String(text.clone())),
            (Kind::Integer, Json::Number(number)) => number.as_i64().map(Self::Integer),
            (Kind::Float, Json::Number(number)) => number.as_f64().map(Self::Float),
            (Kind::Object, Json::Object(map)) => Some(Self::Object(map.clone())),
            (
                Kind::Boolean | Kind::String | Kind::Integer | Kind::Float | Kind::Object,
                Json::Null
                | Json::Bool(_)
                | Json::Number(_)
                | Json::String(_)
                | Json::Array(_)
                | Json::Object(_),
            ) => None,
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::String(_) => Kind::String,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Object(_) => Kind::Object,
        }
    }

    /// The value as JSON: a float keeps its decimal point. Null only for a number that is not
    /// finite, which no checked flag has.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Boolean(value) => Json::Bool(*value),
            Self::String(text) => Json::String(text.clone()),
            Self::Integer(number) => Json::Number(Number::from(*number)),
            Self::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Self::Object(map) => Json::Object(map.clone()),
        }
    }
}

impl Serialize for FlagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Object(map) => map.serialize(serializer),
        }
    }
}

impl fmt::Display for FlagValue {
    /// As JSON, in one line: `true`, `"blue"`, `1.0`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::flag::{FlagValue, Kind};

    #[track_caller]
    fn check(kind: Kind, json: &str, expected: &str) {
        let value = FlagValue::of(kind, &serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(value.kind(), kind);
        assert_eq!(serde_json::to_string(&value).unwrap(), expected);
        assert_eq!(value.to_string(), expected);
        assert_eq!(
            value.to_json(),
            serde_json::from_str::<Json>(expected).unwrap()
        );
    }

    #[test]
    fn a_value_is_written_as_its_kind() {
        check(Kind::Boolean, "true", "true");
        check(Kind::String, r#""a\"b""#, r#""a\"b""#);
        check(Kind::Integer, "1", "1");
        check(Kind::Float, "1", "1.0");
        check(Kind::Float, "1.0", "1.0");
        check(Kind::Float, "-0.0", "-0.0");
        check(Kind::Float, "0.1", "0.1");
        check(Kind::Float, "1e300", "1e+300");
    }

    #[test]
    fn a_whole_number_is_exact_beyond_what_a_float_holds() {
        for text in [
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            check(Kind::Integer, text, text);
        }
    }

    #[test]
    fn an_object_keeps_the_order_of_its_keys() {
        let text = r#"{"z":1,"a":{"y":null,"b":[1.0,2]},"m":"x"}"#;
        check(Kind::Object, text, text);
    }

    #[test]
    fn what_is_of_another_kind_is_no_value() {
        for (kind, values) in [
            (Kind::Boolean, json!([null, 1, "true", [], {}])),
            (Kind::String, json!([null, 1, true, [], {}])),
            (Kind::Integer, json!([null, 1.5, 1.0, u64::MAX, "1", true])),
            (Kind::Float, json!([null, "1.0", true])),
            (Kind::Object, json!([null, [], "{}", 1])),
        ] {
            for value in values.as_array().unwrap() {
                assert_eq!(FlagValue::of(kind, value), None, "{kind}: {value}");
            }
        }
    }

    #[test]
    fn a_kind_is_read_and_written_as_text() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "bool".parse::<Kind>().unwrap_err().to_string();
        assert!(error.starts_with("`bool` is not \"boolean\""), "{error}");
    }
}
