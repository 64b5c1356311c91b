//! Values that are kept as they are, in the terms of JSON.

use std::rc::Rc;

use serde_json::{Map, Number as JsonNumber, Value as Json};
use toml::de::{DeTable, DeValue};

use crate::config::reader::trail::Trail;
use crate::config::reader::{Number, Value};

impl<'d> Value<'d> {
    /// Reads a whole number, negative or not, of 64 bits.
    pub(crate) fn integer(&self) -> Option<i64> {
        self.tell(|shape| shape.number = Some(Number::Any));
        let number = match self.spanned.get_ref().as_integer() {
            Some(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            None => self.expanded().and_then(|text| text.parse().ok()),
        };
        if number.is_none() {
            self.is_not("a whole number of 64 bits");
        }
        number
    }

    /// Reads a table with anything in it, as an object of JSON; a date in it is a text.
    pub(crate) fn object(&self) -> Option<Map<String, Json>> {
        self.tell(|shape| shape.any().is_anything = true);
        let DeValue::Table(entries) = self.spanned.get_ref() else {
            self.is_not("a table");
            return None;
        };
        self.entries_as_json(entries)
    }

    fn as_json(&self) -> Option<Json> {
        match self.spanned.get_ref() {
            DeValue::String(text) => Some(Json::String(text.to_string())),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                if number.is_none() {
                    self.is_not("a whole number of 64 bits");
                }
                Some(number?.into())
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(JsonNumber::from_f64);
                if number.is_none() {
                    self.is_not("a number that JSON has");
                }
                Some(Json::Number(number?))
            }
            DeValue::Boolean(boolean) => Some(Json::Bool(*boolean)),
            DeValue::Datetime(date) => Some(Json::String(date.to_string())),
            DeValue::Array(values) => {
                let trail = Rc::new(self.trail.clone());
                let values = values.iter().enumerate();
                let values: Vec<Option<Json>> = values
                    .map(|(n, spanned)| self.item(&trail, n, spanned).as_json())
                    .collect();
                Some(Json::Array(values.into_iter().collect::<Option<_>>()?))
            }
            DeValue::Table(entries) => Some(Json::Object(self.entries_as_json(entries)?)),
        }
    }

    fn entries_as_json(&self, entries: &'d DeTable<'d>) -> Option<Map<String, Json>> {
        let table = self.as_table(entries);
        let entries: Vec<Option<(String, Json)>> = entries
            .iter()
            .map(|(name, value)| {
                let trail = Trail::name(table.trail.as_ref(), name.get_ref());
                let json = table.value(trail, name, value).as_json()?;
                Some((name.get_ref().to_string(), json))
            })
            .collect();
        entries.into_iter().collect()
    }
}
