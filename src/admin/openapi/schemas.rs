//! The types that are sent and answered, as schemas.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::ToSchema;

/// Gives the schema of a type, and of what it holds.
pub(in crate::admin) type Shape = fn(&mut Schemas) -> Value;

/// All schemas that something refers to, by the names of their types.
#[derive(Debug, Default)]
pub(in crate::admin) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Adds a type with all that it holds, and refers to it.
    pub(in crate::admin) fn of<T: ToSchema>(&mut self) -> Value {
        let name = T::name().into_owned();
        self.add(name.clone(), json!(T::schema()));
        self.parts::<T>();
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The schema of a type itself; what it holds is added.
    pub(in crate::admin) fn inline<T: ToSchema>(&mut self) -> Value {
        self.parts::<T>();
        json!(T::schema())
    }

    /// They all.
    pub(in crate::admin::openapi) fn into_components(self) -> Value {
        json!(self.0)
    }

    fn parts<T: ToSchema>(&mut self) {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        for (name, schema) in parts {
            self.add(name, json!(schema));
        }
    }

    fn add(&mut self, name: String, schema: Value) {
        self.0.insert(name, schema);
    }
}
