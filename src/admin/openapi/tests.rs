//! The description is that of the API, and as it is written down.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::admin::actions::Action;
use crate::admin::fault::{Code, any_of};
use crate::admin::guard::Needs;
use crate::admin::openapi::document;

/// Set to have it written down anew.
const WRITE: &str = "TIDEGATE_WRITE_OPENAPI";

#[test]
fn it_is_as_it_is_written_down() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/openapi/openapi.json");
    if env::var_os(WRITE).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "the API is not that of {}; is that meant? Then: {WRITE}=1 cargo test --lib openapi",
        path.display()
    );
}

#[test]
fn every_action_is_described_with_its_role_and_what_may_go_wrong() {
    let document = document();
    let mut n_described = 0;
    for methods in document["paths"].as_object().unwrap().values() {
        n_described += methods.as_object().unwrap().len();
    }
    assert_eq!(n_described, Action::all().count());
    let mut names = BTreeSet::new();
    for action in Action::all() {
        let method = action.method.as_str().to_ascii_lowercase();
        let operation = &document["paths"][action.path][method];
        assert_eq!(operation["operationId"], action.name);
        assert!(names.insert(action.name), "{} twice", action.name);
        let role = operation["x-tidegate-role"].as_str();
        match action.needs {
            Needs::Nothing => assert_eq!(role, None),
            Needs::May(permission) => {
                assert_eq!(role, Some(any_of(permission.granted_to()).as_str()));
            }
            Needs::Known => assert_eq!(role, Some("viewer")),
        }
        let said = |code: Code| {
            let answer = &operation["responses"][code.status().as_str()];
            let said = answer["description"].as_str().unwrap_or_default();
            said.contains(&format!("`{}`", code.name()))
        };
        for code in action.faults {
            assert!(said(*code), "{} {}", action.name, code.name());
        }
        assert_eq!(said(Code::RoleMissing), role.is_some());
        assert_eq!(said(Code::PreconditionFailed), action.is_mutation());
        assert_eq!(action.body.is_some(), action.is_mutation());
    }
}

#[test]
fn whatever_is_referred_to_is_there_and_nothing_else() {
    let document = document();
    let mut referred = BTreeSet::new();
    collect(&document, &mut referred);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let there: BTreeSet<String> = schemas
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(referred, there);
    for (name, schema) in schemas {
        // What has the members of others has its own beside them.
        let parts = schema["allOf"].as_array();
        let parts = parts.map_or_else(|| vec![schema], |parts| parts.iter().collect());
        let own = parts
            .iter()
            .filter_map(|part| part["properties"].as_object());
        let own: Vec<_> = own.flatten().collect();
        assert!(!own.is_empty(), "{name}");
        for (member, schema) in own {
            let text = schema.to_string();
            assert!(text.contains("\"description\""), "{name}.{member}");
        }
    }
}

fn collect(value: &Value, referred: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            if let Some(place) = entries.get("$ref").and_then(Value::as_str) {
                referred.insert(place.to_owned());
            }
            entries.values().for_each(|value| collect(value, referred));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, referred)),
        _ => {}
    }
}
