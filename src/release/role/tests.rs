//! Roles: the table, as a table.

use crate::release::role::{Permission, Role, RoleError, Roles, same_person};

fn roles(names: &[&str]) -> Roles {
    names
        .iter()
        .map(|name| name.parse::<Role>().unwrap())
        .collect()
}

/// The names of the single roles, of those below, that have a permission.
fn who(permission: Permission) -> String {
    let names = "viewer operator approver release-manager admin flag-editor sre";
    let may = names
        .split(' ')
        .filter(|name| roles(&[name]).may(permission));
    may.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_of_permissions_is_this_one() {
    let mut table = String::new();
    for permission in Permission::ALL {
        let name = serde_json::to_value(permission).unwrap();
        table += &format!("{}: {}\n", name.as_str().unwrap(), who(permission));
    }
    let operators = "operator approver release-manager admin";
    let expected = format!(
        "view: viewer operator approver release-manager admin flag-editor sre
create-release: {operators}
preauthorise: release-manager admin
start: {operators}
pause: {operators}
resume: {operators}
skip: {operators}
promote: approver release-manager admin
abort: {operators}
rollback: {operators}
retry: {operators}
reconcile: {operators}
set-weights: {operators}
vote: approver release-manager admin
override-gate: release-manager admin
override-freeze: release-manager admin
close-review: approver release-manager admin
stop-the-line: {operators}
release-the-line: release-manager admin
link-incident: {operators}
kill-flag: {operators} flag-editor
edit-flag: release-manager admin flag-editor
reload: {operators}
administer: admin
"
    );
    assert_eq!(table, expected);
}

#[test]
fn the_list_of_permissions_has_each_once() {
    let mut all = Permission::ALL.to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), Permission::ALL.len());
    assert_eq!(all.last(), Some(&Permission::Administer));
    assert_eq!(Permission::Administer as usize + 1, all.len());
}

#[test]
fn who_has_no_role_may_do_nothing_and_who_has_every_one_anything() {
    for permission in Permission::ALL {
        assert!(!Roles::default().may(permission), "{permission:?}");
        assert!(Roles::every().may(permission), "{permission:?}");
    }
    let sre: Role = "sre".parse().unwrap();
    assert!(Roles::every().holds(&sre));
}

#[test]
fn an_admin_is_in_no_group_without_having_been_put_there() {
    let sre: Role = "sre".parse().unwrap();
    assert!(!roles(&["admin"]).holds(&sre));
    assert!(roles(&["admin", "sre"]).holds(&sre));
    assert!(!roles(&["sre"]).holds(&"dba".parse().unwrap()));
}

#[test]
fn a_misspelt_role_is_refused_rather_than_taken_for_a_group() {
    let meant = |text: &str| match text.parse::<Role>() {
        Err(RoleError::Misspelt { meant, .. }) => Some(meant),
        _ => None,
    };
    assert_eq!(meant("Admin"), Some("admin"));
    assert_eq!(meant("release_manager"), Some("release-manager"));
    assert_eq!(meant("releaseManager"), Some("release-manager"));
    assert_eq!(meant("approvers"), Some("approver"));
    assert_eq!(meant("sre"), None);
    for text in ["", "*", "SRE", "9to5", "a b", "é", &"a".repeat(65)] {
        let refused = text.parse::<Role>();
        assert!(
            matches!(refused, Err(RoleError::Malformed { .. })),
            "{text}"
        );
    }
}

#[test]
fn roles_survive_being_written() {
    for of in [roles(&[]), roles(&["sre", "admin"]), Roles::every()] {
        let text = serde_json::to_string(&of).unwrap();
        assert_eq!(serde_json::from_str::<Roles>(&text).unwrap(), of, "{text}");
    }
    assert!(serde_json::from_str::<Roles>(r#"["Admin"]"#).is_err());
}

#[test]
fn a_person_is_known_by_the_address_in_any_spelling() {
    assert!(same_person("ana@example.com", " Ana@Example.com "));
    assert!(same_person("Ana B. <ana@example.com>", "ana@example.com"));
    assert!(!same_person("ana@example.com", "ben@example.com"));
    assert!(!same_person("", ""));
}
