//! Secrets as texts, from the environment and from files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::{Loaded, Problems, load};

const BASE: &str = "[listener.base]\naddress = \"127.0.0.1:80\"\n";

/// Loads a configuration with this token beside a file `token`.
fn token(token: &str, file: &str) -> Result<Loaded, Problems> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), file).unwrap();
    let path = folder.path().join("t.toml");
    fs::write(&path, format!("{BASE}[admin]\ntoken = {token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    load(&path)
}

#[track_caller]
fn check(text: &str, file: &str, expected: &str) {
    let loaded = token(text, file).unwrap();
    let token = loaded.config.admin.token.as_ref().unwrap();
    let expected_hash: [u8; 32] = Sha256::digest(expected).into();
    assert_eq!(*token.sha256(), expected_hash);
    assert!(loaded.warnings.is_empty());
    // Nothing shows it.
    let shown = format!("{:?} {}", loaded.config, loaded.config.effective());
    assert!(!shown.contains(expected), "{shown}");
}

#[track_caller]
fn refused(text: &str, file: &str, expected: &str) {
    let problems = token(text, file).unwrap_err().to_string();
    let said = problems.split_once("t.toml:").unwrap().1;
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn a_secret_is_a_text_or_what_a_file_holds() {
    check("\"open-sesame\"", "", "open-sesame");
    check("{ file = \"token\" }", " open-sesame\r\n", "open-sesame");
    check(
        "{ file = \"${NOBODY:-token}\" }",
        "open-sesame",
        "open-sesame",
    );
}

#[test]
fn no_message_repeats_a_secret() {
    let rule = "is not 8 to 4096 visible ASCII characters";
    refused(
        "\"sesame\"",
        "",
        &format!("4:9 admin.token: the text {rule}"),
    );
    refused(
        "{ file = \"token\" }",
        "sesame",
        &format!("token holds {rule}"),
    );
    refused("{ file = \"token\" }", "open sesame", rule);
    refused("{ file = \"token\" }", "", "4:18 admin.token.file: what ");
    refused(
        "{ file = \"none\" }",
        "",
        "none cannot be read: No such file",
    );
    refused(
        "{ file = \"token\" }",
        &"x".repeat(70_000),
        "larger than 64KiB",
    );
    refused(
        "{ flie = \"token\" }",
        "",
        "unknown key, did you mean file?",
    );
    refused("{}", "", "admin.token.file: missing");
    refused("5", "", "the value is not a text or { file = \"…\" }");
    refused("[\"open-sesame\"]", "", "the value is not a text");
}

#[test]
fn the_file_of_a_secret_belongs_to_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (path, token) = (folder.path().join("t.toml"), folder.path().join("token"));
    fs::write(
        &path,
        format!("{BASE}[admin]\ntoken = {{ file = \"token\" }}\n"),
    )
    .unwrap();
    // What is missing may come.
    assert!(load(&path).unwrap_err().sources().has(&token));
    fs::write(&token, "open-sesame").unwrap();
    let first = load(&path).unwrap();
    assert!(first.sources.has(&token));
    fs::write(&token, "open-the-door").unwrap();
    assert_ne!(load(&path).unwrap().files_sha256, first.files_sha256);
    let effective = first.config.effective();
    assert_eq!(effective["admin"]["token"]["file"], token.to_str().unwrap());
}

#[test]
fn a_secret_in_a_file_that_everybody_can_read_is_warned_of() {
    let warned = |text: &str, mode: u32| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        write(&path, text, mode);
        load(&path).unwrap().warnings
    };
    let text = format!("{BASE}[admin]\ntoken = \"open-sesame\"\n");
    let warnings = warned(&text, 0o644);
    assert_eq!(warnings.len(), 1);
    assert_eq!((warnings[0].line, warnings[0].column), (4, 9));
    assert!(warnings[0].message.contains("everybody on this machine"));
    assert!(warned(&text, 0o640).is_empty());
    let text = text.replace("\"open", "\"${NOBODY:-open}");
    assert!(warned(&text, 0o644).is_empty());
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
