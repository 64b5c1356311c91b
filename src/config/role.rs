//! Reads lists of roles, of tokens as of gates and freezes.

use crate::config::reader::Value;
use crate::release::role::Role;

/// What belongs where roles are listed.
const ROLES: &str = "a list of roles such as [\"operator\", \"sre\"]";
/// What matches the name of a role, and little else.
const ROLE: &str = "[a-z][a-z0-9._-]{0,63}";

/// Reads roles, each at most once.
pub(crate) fn roles(value: &Value<'_>) -> Option<Vec<Role>> {
    let mut seen = Vec::new();
    value.list(ROLES, |value| {
        value.looks_like(|| ROLE);
        let role = match value.string()?.parse::<Role>() {
            Ok(role) => role,
            Err(error) => {
                value.refuse(error.to_string());
                return None;
            }
        };
        if seen.contains(&role) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        seen.push(role.clone());
        Some(role)
    })
}
