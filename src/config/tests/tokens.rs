//! Tokens of the admin API.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::config::tests::{config, refused};
use crate::config::{TokenConfig, load};
use crate::release::role::Role;

/// Of "test".
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn token(keys: &str) -> TokenConfig {
    let config = config(&format!("[admin.tokens.ana]\n{keys}\n"));
    config.admin.tokens["ana"].clone()
}

#[test]
fn a_token_is_recognised_by_its_secret_or_by_the_hash_of_that() {
    let text = token("roles = [\"viewer\"]\nsecret = \"open-sesame\"");
    let hash: [u8; 32] = Sha256::digest("open-sesame").into();
    assert_eq!(*text.secret.sha256(), hash);
    for hash in [HASH.to_owned(), HASH.to_uppercase()] {
        let hashed = token(&format!("roles = [\"viewer\"]\nsha256 = \"{hash}\""));
        let expected: [u8; 32] = Sha256::digest("test").into();
        assert_eq!(*hashed.secret.sha256(), expected);
    }
}

#[test]
fn roles_are_names() {
    let ana =
        token("roles = [\"operator\", \"sre\", \"team_1.eu-west\"]\nsecret = \"open-sesame\"");
    let names: Vec<&str> = ana.roles.iter().map(Role::name).collect();
    assert_eq!(names, ["operator", "sre", "team_1.eu-west"]);
    let secret = "secret = \"open-sesame\"";
    for (roles, problem) in [
        (
            "[]",
            "2:9 admin.tokens.ana.roles: 0 roles are not from 1 to 32",
        ),
        (
            "[\"a\", \"a\"]",
            "2:15 admin.tokens.ana.roles[1]: \"a\" is named twice",
        ),
        (
            "[\"a b\"]",
            "2:10 admin.tokens.ana.roles[0]: \"a b\" is no role: a role is viewer, operator, approver, \
             release-manager, admin, flag-editor, or the name of a group (a-z first, then a-z, 0-9, -, \
             _, ., at most 64)",
        ),
        (
            "[\"Operator\"]",
            "2:10 admin.tokens.ana.roles[0]: \"Operator\" is no role: did you mean \"operator\"?",
        ),
        (
            "\"viewer\"",
            "2:9 admin.tokens.ana.roles: \"viewer\" is not a list of roles such as [\"operator\", \"sre\"]",
        ),
    ] {
        refused(
            &format!("[admin.tokens.ana]\nroles = {roles}\n{secret}\n"),
            &[problem],
        );
    }
    refused(
        &format!("[admin.tokens.ana]\n{secret}\n"),
        &[
            "1:15 admin.tokens.ana.roles: missing; a list of roles such as [\"operator\"] belongs here",
        ],
    );
}

#[test]
fn a_token_expires_at_a_moment() {
    let expires = |date: &str| {
        let keys = format!("roles = [\"viewer\"]\nsecret = \"open-sesame\"\nexpires = {date}");
        token(&keys).expires
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    assert_eq!(expires("2027-01-01T00:00:00Z"), Some(at));
    assert_eq!(expires("\"2027-01-01T01:00:00+01:00\""), Some(at));
    assert_eq!(expires("2027-01-01"), Some(at));
    refused(
        "[admin.tokens.ana]\nroles = [\"viewer\"]\nsecret = \"open-sesame\"\nexpires = \"soon\"\n",
        &[
            "4:11 admin.tokens.ana.expires: \"soon\" is not a date of RFC 3339 such as 2026-11-24 or \
             2026-11-24T09:00:00Z",
        ],
    );
}

#[test]
fn a_token_has_one_secret_and_no_other_has_it() {
    let roles = "roles = [\"viewer\"]";
    refused(
        &format!("[admin.tokens.ana]\n{roles}\n"),
        &[
            "1:15 admin.tokens.ana: neither secret nor sha256: one of the two says how it is recognised",
        ],
    );
    refused(
        &format!("[admin.tokens.ana]\n{roles}\nsecret = \"open-sesame\"\nsha256 = \"{HASH}\"\n"),
        &["4:1 admin.tokens.ana.sha256: the token has a secret already: one of the two"],
    );
    refused(
        &format!(
            "[admin]\ntoken = \"test-test\"\n[admin.tokens.ana]\n{roles}\nsecret = \"test-test\"\n"
        ),
        &["3:15 admin.tokens.ana: has the same secret as the token admin"],
    );
    refused(
        &format!(
            "[admin]\ntoken = \"test-test\"\n[admin.tokens.admin]\n{roles}\nsha256 = \"{HASH}\"\n"
        ),
        &["3:15 admin.tokens.admin: admin.token is the token of that name already"],
    );
}

#[test]
fn what_stands_in_the_place_of_a_hash_is_not_repeated() {
    for wrong in ["open-sesame", &HASH[1..], &format!("{}z", &HASH[1..])] {
        refused(
            &format!("[admin.tokens.ana]\nroles = [\"viewer\"]\nsha256 = \"{wrong}\"\n"),
            &[
                "3:10 admin.tokens.ana.sha256: the value is not the SHA-256 of a secret: 64 \
                 hexadecimal digits",
            ],
        );
    }
}

#[test]
fn nothing_shows_a_secret_or_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    fs::write(folder.path().join("zoe"), "zoes-secret\n").unwrap();
    let text = format!(
        "[listener.a]\naddress = \"127.0.0.1:1\"\n[admin]\naddress = \"0.0.0.0:0\"\n\
         [admin.tokens.ana]\nroles = [\"viewer\"]\nsha256 = \"{HASH}\"\n\
         [admin.tokens.zoe]\nroles = [\"viewer\"]\nsecret = {{ file = \"zoe\" }}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = load(&path).unwrap();
    let shown = format!("{:?} {}", loaded.config, loaded.config.effective());
    let hash: [u8; 32] = Sha256::digest("test").into();
    for secret in [HASH, &format!("{hash:?}"), "zoes-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let effective = loaded.config.effective();
    let tokens = &effective["admin"]["tokens"];
    assert_eq!(tokens["ana"]["secret"], "[redacted-secret]");
    let file = folder.path().join("zoe");
    assert_eq!(tokens["zoe"]["secret"]["file"], file.to_str().unwrap());
    assert!(loaded.sources.has(&file));
}
